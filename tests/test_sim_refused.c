/* What the simulator does not run it refuses by name, with the place where it
 * was written: ops, types, windows, tensors and runs. */
#include "mosaic_kernels.h"
#include "sim_case.h"

static const pfl_allocator heap;

/* A kernel around `body`, with operands of these types in VMEM. */
#define KERNEL(arguments, types, body)                                 \
  "\"builtin.module\"() ({\n"                                          \
  "  \"stable_mosaic.func.func\"() ({\n"                               \
  "  ^bb0(" arguments "):\n" body                                      \
  "    \"stable_mosaic.func.return\"() : () -> ()\n"                   \
  "  }) {dimension_semantics = [], function_type = (" types            \
  ") -> (), "                                                          \
  "scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = " \
  "\"k\", tpu.core_type = #tpu.core_type<tc>} : () -> ()\n"            \
  "}) {stable_mosaic.version = 13 : i64} : () -> ()\n"
#define VMEM "#tpu.memory_space<vmem>"
#define F32 "memref<8x128xf32, " VMEM ">"
#define LOAD(ref, type, vector)                                              \
  "    %c = \"stable_mosaic.arith.constant\"() {value = 0 : index} : () -> " \
  "index\n"                                                                  \
  "    %v = \"stable_mosaic.vector.load\"(" ref ", %c, %c) : (" type         \
  ", index, index) -> " vector "\n"

/* The text must be refused with that status, by a message with these words. */
static void refuse(const char *text, pfl_status want, const char *words) {
  mo_module *module;
  pfl_error error = {0};
  CHECK_NEED(!mo_parse(text, strlen(text), &heap, &module, &error));
  static const int64_t shape[] = {8, 128};
  sim_tensor tensor = {MO_F32, 2, shape};
  sim_kernel kernel = {
      .module = module, .operands = &tensor, .operand_count = 1};
  sim_program *program;
  pfl_status status = sim_program_create(&kernel, &heap, &program, &error);
  CHECK(status == want, "status %d, not %d: %s", status, want, error.message);
  CHECK(strstr(error.message, words), "no \"%s\" in: %s", words, error.message);
  CHECK(!program, "a program all the same");
  sim_program_destroy(program);
  mo_module_destroy(module);
}

static void test_ops(void) {
  refuse(KERNEL("%a: " F32, F32,
                "    \"stable_mosaic.tpu.levitate\"() : () -> ()\n"),
         PFL_STATUS_INVALID_ARGUMENT, "tpu.levitate");
  refuse(
      KERNEL(
          "%a: " F32, F32,
          LOAD("%a", F32,
               "vector<8x128xf32>") "    %w = "
                                    "\"stable_mosaic.arith.truncf\"(%v) {} : "
                                    "(vector<8x128xf32>) -> "
                                    "vector<8x128xf8E4M3FN>\n"),
      PFL_STATUS_UNIMPLEMENTED,
      "arith.truncf: the simulator does not know "
      "elements of f8E4M3FN");
  refuse(KERNEL("%a: memref<8x128xf32, #tpu.memory_space<cmem>>",
                "memref<8x128xf32, #tpu.memory_space<cmem>>", ""),
         PFL_STATUS_UNIMPLEMENTED, "cmem");
  refuse(KERNEL("%a: " F32, F32,
                "    %d = \"stable_mosaic.arith.constant\"() {value = "
                "dense<[1.0, 2.0]> : vector<2xf32>} : () -> vector<2xf32>\n"),
         PFL_STATUS_UNIMPLEMENTED, "a constant of different elements");
  refuse(KERNEL("%a: " F32, F32,
                "    %s = \"stable_mosaic.tpu.sem_barrier\"() : () -> "
                "memref<!tpu.semaphore, #tpu.memory_space<semaphore_mem>>\n"),
         PFL_STATUS_UNIMPLEMENTED, "collective_id");
}

/* A place is named where there is one. */
static void build_gather(mo_builder *b) {
  mo_kernel(b, "gather", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *v = mo_load_all(b, x);
  mo_value *i = mo_iota(b, MO_SHAPE(8, 128), 0);
  mo_named_attr attr = {
      "dimensions", mo_attr_numbers(b->module, MO_I32, 2, (int64_t[]){0, 1})};
  mo_build(b, MO_TPU_DYNAMIC_GATHER, MO_VALUES(v, i),
           mo_vector_type(b, MO_F32, MO_SHAPE(8, 128)), 1, &attr);
  mo_kernel_end(b);
}

static void test_place(void) {
  sim_case c;
  sim_case_begin(&c, build_gather, 1);
  sim_case_operand(&c, MO_F32, MO_SHAPE(8, 128));
  sim_options options = {.hostile = true};
  pfl_status status = sim_case_run(&c, &options);
  CHECK(status == PFL_STATUS_UNIMPLEMENTED &&
            strstr(c.error.message, "tpu.dynamic_gather at ") &&
            strstr(c.error.message, "test_sim_refused.c:"),
        "%s", c.error.message);
  sim_case_end(&c);
}

static void test_tensors(void) {
  static const int64_t shape[] = {256, 128}, other[] = {128, 256};
  sim_case c;
  sim_case_begin(&c, build_vector_add, 1);
  struct {
    sim_tensor tensor;
    int count;
    sim_alias alias;
    const char *words;
  } cases[] = {
      {{MO_F32, 2, shape}, 1, {0, 0}, "1 operands and 1 results"},
      {{MO_BF16, 2, shape}, 2, {0, 0}, "operand 0 is 256x128xbf16"},
      {{MO_F32, 2, other}, 2, {0, 0}, "operand 0 is 128x256xf32"},
      {{MO_F32, 1, shape}, 2, {0, 0}, "operand 0 is 256xf32"},
      {{MO_F32, 2, shape}, 2, {1, 0}, "result 1 in the place of operand 0"},
      {{MO_F32, 2, shape}, 2, {0, 2}, "result 0 in the place of operand 2"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    sim_tensor operands[2] = {cases[i].tensor, {MO_F32, 2, shape}};
    sim_tensor result = {MO_F32, 2, shape};
    sim_kernel kernel = {.module = c.module,
                         .operands = operands,
                         .operand_count = cases[i].count,
                         .results = &result,
                         .result_count = 1,
                         .aliases = &cases[i].alias,
                         .alias_count = i >= 4};
    sim_program *program;
    pfl_error error = {0};
    pfl_status status = sim_program_create(&kernel, &heap, &program, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "%d", status);
    CHECK(strstr(error.message, cases[i].words), "no \"%s\" in: %s",
          cases[i].words, error.message);
    sim_program_destroy(program);
  }
  sim_case_end(&c);
}

static void test_slices(void) {
  sim_slice *slice;
  pfl_error error = {0};
  sim_options options = {.chips = 5};
  CHECK(sim_slice_create(&options, &heap, &slice, &error) ==
            PFL_STATUS_INVALID_ARGUMENT,
        "five chips");
  CHECK(strstr(error.message, "a slice of 5 chips"), "%s", error.message);
  options.chips = 2;
  CHECK_NEED(!sim_slice_create(&options, &heap, &slice, &error));
  sim_case c;
  sim_case_begin(&c, build_vector_add, 1);
  for (int i = 0; i < 3; i++)
    sim_case_add(&c, i == 2, MO_F32, MO_SHAPE(256, 128));
  CHECK_NEED(!sim_case_run(&c, &options));
  sim_run run = {.chips = 3};
  CHECK(sim_slice_run(slice, c.program, &run, NULL, &error) ==
            PFL_STATUS_INVALID_ARGUMENT,
        "three of two chips");
  CHECK(strstr(error.message, "3 chips of a slice of 2"), "%s", error.message);
  sim_case_end(&c);
  sim_slice_destroy(slice);
}

/* ---- Memory that cannot be had ------------------------------------------- */

static long allocations, allowed;

static void *allocate(void *user, size_t bytes) {
  (void)user;
  return allocations++ < allowed ? malloc(bytes) : NULL;
}

static void release(void *user, void *memory) {
  (void)user;
  free(memory);
}

/* Each allocation fails once: a status, no crash, nothing kept. */
static void test_allocation(void) {
  static const pfl_allocator failing = {allocate, release, NULL};
  sim_case c;
  sim_case_begin(&c, build_exchange, 4);
  sim_case_operand(&c, MO_F32, MO_SHAPE(8, 128));
  sim_case_result(&c, MO_F32, MO_SHAPE(8, 128));
  c.allocator = failing;
  bool done = false;
  for (allowed = 0; !done && allowed < 2000; allowed++) {
    allocations = 0;
    sim_options options = {.hostile = true, .seed = 3, .threads = 2};
    pfl_status status = sim_case_run(&c, &options);
    done = !status;
    CHECK(!status || status == PFL_STATUS_RESOURCE_EXHAUSTED, "%s",
          c.error.message);
    sim_program_destroy(c.program);
    c.program = NULL;
  }
  CHECK(done, "never enough");
  sim_case_end(&c);
}

int main(void) {
  return CHECK_RUN(test_ops, test_place, test_tensors, test_slices,
                   test_allocation);
}

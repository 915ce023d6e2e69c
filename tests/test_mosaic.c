/* The builder and the printer: golden kernels, versions, places, mistakes,
 * memory that runs out, and work that grows with the kernel alone.
 *
 * PFLASH_GOLDEN=write writes tests/golden/mosaic anew. */
#include "check.h"
#include "failing.h"
#include "mosaic_kernels.h"

static const pfl_allocator heap;

static mo_module *build(void (*write)(mo_builder *b)) {
  mo_builder b;
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  mo_begin(&b, &heap);
  write(&b);
  pfl_status status = mo_finish(&b, &module, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return module;
}

static base_text print(mo_module *module, const mo_print_options *options) {
  base_text text = {0};
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = mo_print(module, options, &text, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return text;
}

static mo_module *parse(const char *text, size_t length) {
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = mo_parse(text, length, &heap, &module, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return module;
}

/* What is printed is read back as what prints the same and keeps the rules. */
static void round_trip(const char *name, const base_text *text,
                       const mo_print_options *options) {
  pfl_error error = {PFL_STATUS_OK, ""};
  mo_module *module = parse(text->bytes, text->length);
  base_text again = print(module, options);
  CHECK(again.length == text->length && !strcmp(again.bytes, text->bytes),
        "%s does not read back as it was", name);
  CHECK(!mo_verify(module, &error), "%s: %s", name, error.message);
  base_text_release(&again);
  mo_module_destroy(module);
}

static void golden_path(char path[512], const char *name) {
  snprintf(path, 512, "%s/golden/mosaic/%s.mlir", PFLASH_TESTS_DIR, name);
}

static void test_golden(void) {
  const char *mode = getenv("PFLASH_GOLDEN");
  for (int i = 0; i < MOSAIC_KERNELS; i++) {
    char path[512];
    static char golden[1 << 18];
    golden_path(path, mosaic_kernels[i].name);
    mo_module *module = build(mosaic_kernels[i].build);
    base_text text = print(module, NULL);
    FILE *file = fopen(path, mode && !strcmp(mode, "write") ? "w+b" : "rb");
    CHECK(file, "%s is missing", path);
    CHECK_NEED(file);
    if (mode && !strcmp(mode, "write")) {
      fwrite(text.bytes, 1, text.length, file);
      rewind(file);
    }
    size_t size = fread(golden, 1, sizeof golden, file);
    fclose(file);
    CHECK(size == text.length && !memcmp(golden, text.bytes, size),
          "%s is not %s", mosaic_kernels[i].name, path);
    CHECK(mo_module_version(module) == mosaic_kernels[i].version,
          "%s needs version %d", mosaic_kernels[i].name,
          mo_module_version(module));
    round_trip(mosaic_kernels[i].name, &text, NULL);
    base_text_release(&text);
    mo_module_destroy(module);
  }
}

static void test_forms(void) {
  const mo_print_options plain = {.plain = true}, places = {.locations = true};
  for (int i = 0; i < MOSAIC_KERNELS; i++) {
    mo_module *module = build(mosaic_kernels[i].build);
    base_text text = print(module, &plain);
    CHECK(!strstr(text.bytes, "stable_mosaic"), "%s", text.bytes);
    round_trip("plain form", &text, &plain);
    base_text_release(&text);
    text = print(module, &places);
    CHECK(strstr(text.bytes, "mosaic_kernels.h\":"), "no place in %s",
          mosaic_kernels[i].name);
    round_trip("form with places", &text, &places);
    base_text_release(&text);
    mo_module_destroy(module);
  }
}

/* ---- Versions -------------------------------------------------------------
 */

static void test_versions(void) {
  for (int i = 0; i < MOSAIC_KERNELS; i++)
    for (int v = MO_VERSION_OLDEST; v <= MO_VERSION_NEWEST; v++) {
      mo_module *module = build(mosaic_kernels[i].build);
      mo_print_options plain = {.plain = true};
      base_text newest = print(module, &plain);
      module->version = v;
      base_text text = print(module, NULL);
      round_trip("version", &text, NULL);
      mo_module *back = parse(text.bytes, text.length);
      base_text same = print(back, &plain);
      CHECK(!strcmp(same.bytes, newest.bytes), "%s is another after version %d",
            mosaic_kernels[i].name, v);
      base_text_release(&same);
      base_text_release(&newest);
      base_text_release(&text);
      mo_module_destroy(back);
      mo_module_destroy(module);
    }
}

static mo_op *find_op(const mo_module *module, mo_op_id id) {
  mo_op *op = module->body.first->regions[0]->first;
  while (op && op->info->id != id) op = op->next;
  CHECK_NEED(op);
  return op;
}

/* Each thing that came later asks for the version it came with. */
static void test_needs(void) {
  const struct {
    void (*build)(mo_builder *b);
    mo_op_id op;
    const char *name;
    int boolean, integer, version;
  } needs[] = {
      {build_matmul, MO_TPU_MATMUL, "transpose_lhs_hint", 1, 1, 13},
      {build_exchange, MO_TPU_ENQUEUE_DMA, "strict_ordering", 1, 1, 8},
      {build_exchange, MO_TPU_ENQUEUE_DMA, "priority", 0, 2, 4},
  };
  for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
    mo_module *module = build(needs[i].build);
    const mo_attr *attr =
        needs[i].boolean
            ? mo_attr_simple(module, MO_ATTR_BOOL, needs[i].integer, NULL)
            : mo_attr_integer(module, MO_I32, needs[i].integer);
    mo_op_set(module, find_op(module, needs[i].op), needs[i].name, attr);
    CHECK(mo_module_version(module) == needs[i].version, "%s came with %d",
          needs[i].name, mo_module_version(module));
    base_text text = {0};
    pfl_error error = {PFL_STATUS_OK, ""};
    module->version = needs[i].version - 1;
    CHECK(mo_print(module, NULL, &text, &error) ==
                  PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, mo_op_info_of(needs[i].op)->name),
          "%s", error.message);
    base_text_release(&text);
    mo_module_destroy(module);
  }
}

/* ---- Mistakes -------------------------------------------------------------
 */

static mo_value *f32_ref(mo_builder *b) {
  return mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(16, 128));
}

static void add_unlike(mo_builder *b) { mo_add(b, mo_i32(b, 1), mo_f32(b, 1)); }
static void scratch_first(mo_builder *b) {
  mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  f32_ref(b);
}
static void too_few_indices(mo_builder *b) {
  mo_load(b, f32_ref(b), MO_VALUES(mo_i32(b, 0)), MO_SHAPE(8, 128));
}
static void end_of_nothing(mo_builder *b) { mo_end(b, MO_NONE); }
static void open_loop(mo_builder *b) {
  mo_for(b, mo_i32(b, 0), mo_i32(b, 4), mo_i32(b, 1), MO_NONE);
  mo_kernel_end(b);
}
static void half_an_index(mo_builder *b) { mo_i32(b, 0.5); }
static void null_operand(mo_builder *b) { mo_exp(b, NULL); }
static void axis_beyond(mo_builder *b) { mo_grid_index(b, 1); }
static void window_beyond(mo_builder *b) {
  mo_window(b, MO_F32, MO_SHAPE(8, 128), MO_MAP(3, 0));
}
static void reduce_beyond(mo_builder *b) {
  mo_reduce(b, MO_SUM, mo_load_all(b, f32_ref(b)), 2);
}
static void else_of_nothing(mo_builder *b) { mo_else(b, MO_NONE); }
static void empty_vector(mo_builder *b) {
  mo_full(b, MO_F32, MO_SHAPE(0, 128), 1);
}
static void scalar_from_vector(mo_builder *b) {
  mo_reshape(b, mo_f32(b, 1), MO_SHAPE(1, 1));
}
static void left_open(mo_builder *b) { f32_ref(b); }
static void another_kernel(mo_builder *b) { mo_kernel(b, "two", NULL); }
static void verified(mo_builder *b) {
  mo_value *x = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(16, 128));
  mo_load_all(b, x);
  mo_kernel_end(b);
}
static void quoted_name(mo_builder *b) { mo_trace_start(b, "a \"b\""); }

static void test_mistakes(void) {
  const struct {
    void (*make)(mo_builder *b);
    const char *message;
  } mistakes[] = {
      {add_unlike, "arith.addi: the operands are i32 and f32"},
      {scratch_first, "an operand after scratch"},
      {too_few_indices, "1 indices into memref<16x128xf32"},
      {end_of_nothing, "mo_end without"},
      {open_loop, "mo_kernel_end within a loop"},
      {half_an_index, "the constant 0.5 is no i32"},
      {null_operand, "math.exp: operand 0 is NULL"},
      {axis_beyond, "the grid has no axis 1"},
      {window_beyond, "a window follows axis 3 of a grid of 1"},
      {reduce_beyond, "vector<16x128xf32> has no dimension 2"},
      {else_of_nothing, "mo_else without mo_if"},
      {empty_vector, "dimension 0 of a vector is 0"},
      {scalar_from_vector, "what is reshaped is f32, not a vector"},
      {left_open, "the kernel has no mo_kernel_end"},
      {another_kernel, "kernel two begins within another"},
      {verified, "vectors lie in VMEM"},
      {quoted_name, "a quote, a backslash or a line's end in message"},
  };
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    mo_builder b;
    mo_module *module;
    pfl_error error = {PFL_STATUS_OK, ""};
    mo_begin(&b, &heap);
    mo_kernel(&b, "one", &(mo_grid){.rank = 1, .bounds = {4}});
    mistakes[i].make(&b);
    bool at_finish =
        mistakes[i].make == left_open || mistakes[i].make == verified;
    if (!at_finish) mo_fail(&b, "a later mistake");
    pfl_status status = mo_finish(&b, &module, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT && !module &&
              strstr(error.message, mistakes[i].message),
          "wanted \"%s\", got \"%s\"", mistakes[i].message, error.message);
    bool place = strstr(error.message, "test_mosaic.c:") != NULL;
    CHECK(place || mistakes[i].make == left_open, "no place in \"%s\"",
          error.message);
  }
}

/* Whatever is called after a mistake does nothing, and does not crash. */
static void test_after_mistake(void) {
  for (int i = 0; i < MOSAIC_KERNELS; i++) {
    mo_builder b;
    mo_module *module;
    pfl_error error = {PFL_STATUS_OK, ""};
    mo_begin(&b, &heap);
    mo_fail(&b, "first");
    mosaic_kernels[i].build(&b);
    CHECK(mo_finish(&b, &module, &error) == PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, "first"),
          "%s", error.message);
  }
}

/* ---- Memory, size ----------------------------------------------------------
 */

static pfl_status write_and_read(void (*write)(mo_builder *b),
                                 pfl_allocator allocator) {
  mo_builder b;
  mo_module *module, *back;
  base_text text = {.allocator = allocator};
  mo_begin(&b, &allocator);
  write(&b);
  pfl_status status = mo_finish(&b, &module, NULL);
  if (status) return status;
  status = mo_print(module, NULL, &text, NULL);
  if (!status)
    status = mo_parse(text.bytes, text.length, &allocator, &back, NULL);
  if (!status) {
    status = mo_verify(back, NULL);
    mo_module_destroy(back);
  }
  base_text_release(&text);
  mo_module_destroy(module);
  return status;
}

static void test_no_memory(void) {
  for (int i = 0; i < MOSAIC_KERNELS; i++)
    for (failing_state state = {0}; failing_next(&state);)
      state.done = failing_check(
          &state,
          write_and_read(mosaic_kernels[i].build, failing_allocator(&state)));
}

/* Bytes taken and given, added up. */
static void *counting_allocate(void *user, size_t bytes) {
  *(size_t *)user += bytes;
  return malloc(bytes);
}
static void counting_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static int kernel_length;
static void build_long(mo_builder *b) {
  mo_kernel(b, "long", NULL);
  mo_value *ref = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(64, 128));
  mo_value *sum = mo_load_all(b, ref);
  for (int i = 0; i < kernel_length; i++) {
    mo_value *row = mo_load(b, ref, MO_VALUES(mo_i32(b, i % 64), mo_i32(b, 0)),
                            MO_SHAPE(1, 128));
    sum = mo_add(b, sum, mo_broadcast(b, row, MO_SHAPE(64, 128)));
  }
  mo_store_all(b, sum, ref);
  mo_kernel_end(b);
}

/* Twice the kernel: twice the ops, and no more than twice the memory. */
static void test_linear(void) {
  size_t bytes[2] = {0};
  int ops[2];
  for (int i = 0; i < 2; i++) {
    kernel_length = 4000 << i;
    pfl_allocator allocator = {counting_allocate, counting_release, &bytes[i]};
    CHECK(!write_and_read(build_long, allocator), "a long kernel");
    mo_module *module = build(build_long);
    ops[i] = module->op_count;
    mo_module_destroy(module);
  }
  CHECK(ops[1] - 100 <= 2 * ops[0] && ops[1] > ops[0] * 3 / 2, "%d and %d ops",
        ops[0], ops[1]);
  CHECK(bytes[1] <= bytes[0] * 5 / 2, "%zu and %zu bytes", bytes[0], bytes[1]);
}

static void build_twins(mo_builder *b) {
  mo_kernel(b, "twins", NULL);
  for (int i = 0; i < 9; i++) {
    mo_i32(b, 7);
    mo_index(b, 7);
    mo_f32(b, i % 2 ? 0. : -0.);
  }
  mo_kernel_end(b);
}

/* A constant is made once; -0 is not 0. */
static void test_constants(void) {
  mo_module *module = build(build_twins);
  CHECK(module->op_count == 1 + 4 + 1, "%d ops", module->op_count);
  mo_module_destroy(module);
}

int main(void) {
  return CHECK_RUN(test_golden, test_forms, test_versions, test_needs,
                   test_mistakes, test_after_mistake, test_no_memory,
                   test_linear, test_constants);
}

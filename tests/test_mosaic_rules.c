/* The verifier: a module that keeps every rule, and for each rule modules that
 * break it and nothing else that is looked at before. */
#include "check.h"
#include "mosaic/ir_rules.h"

static const pfl_allocator heap;

#define VMEM "memref<16x128xf32, #tpu.memory_space<vmem>>"
#define SMEM "memref<4xi32, #tpu.memory_space<smem>>"
#define ANY "memref<16x128xf32, #tpu.memory_space<any>>"
#define DMA "memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>"
#define DMAS "memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>"
#define SEM "memref<!tpu.semaphore, #tpu.memory_space<semaphore_mem>>"
#define ARGUMENTS                                                  \
  "%v: " VMEM ", %s: " SMEM ", %h: " ANY ", %d: " DMA ", %c: " SEM \
  ", %dd: " DMAS
#define TYPES VMEM ", " SMEM ", " ANY ", " DMA ", " SEM ", " DMAS
#define F "vector<16x128xf32>"
#define B "vector<16x128xi1>"
#define HEAD                                                                 \
  "\"builtin.module\"() ({\n\"func.func\"() ({\n^bb0(" ARGUMENTS             \
  "):\n"                                                                     \
  "%i = \"arith.constant\"() {value = 1 : i32} : () -> i32\n"                \
  "%x = \"arith.constant\"() {value = 0 : index} : () -> index\n"            \
  "%t = \"arith.constant\"() {value = true} : () -> i1\n"                    \
  "%e = \"arith.constant\"() {value = 1.0 : f32} : () -> f32\n"              \
  "%f = \"vector.load\"(%v, %x, %x) : (" VMEM ", index, index) -> " F        \
  "\n"                                                                       \
  "%b = \"arith.cmpf\"(%f, %f) {predicate = 1 : i64} : (" F ", " F ") -> " B \
  "\n"
#define RETURN "\"func.return\"() : () -> ()\n"
#define FOOT \
  "}) {function_type = (" TYPES ") -> (), sym_name = \"k\"} : () -> ()\n"
#define END "}) : () -> ()\n"

/* A body within the kernel above; WHOLE: a module of its own. */
typedef struct sample {
  mo_rule rule;
  enum { BODY, WHOLE } form;
  const char *text;
} sample;

#define FUNCTION(attributes, arguments, body)                    \
  "\"builtin.module\"() ({\n\"func.func\"() ({\n^bb0(" arguments \
  "):\n" body RETURN "}) {" attributes ", sym_name = \"k\"} : () -> ()\n" END

static const sample samples[] = {
    {MO_RULE_KNOWN_OP, BODY, "\"tpu.nonsense\"() : () -> ()\n"},
    {MO_RULE_KNOWN_TYPE, BODY,
     "%y = \"arith.constant\"() {value = 1 : i32} : () -> !foo.bar\n"},
    {MO_RULE_KNOWN_TYPE, BODY,
     "%y = \"vector.broadcast\"(%e) : (f32) -> vector<0x8xf32>\n"},
    {MO_RULE_WIDTH, BODY,
     "%y = \"arith.constant\"() {value = dense<0> : vector<8x128xi64>} : () -> "
     "vector<8x128xi64>\n"},
    {MO_RULE_OPERAND_COUNT, BODY,
     "%y = \"arith.addf\"(%f) : (" F ") -> " F "\n"},
    {MO_RULE_OPERAND_COUNT, BODY,
     "%y = \"math.exp\"(%f, %f) : (" F ", " F ") -> " F "\n"},
    {MO_RULE_OPERAND_KIND, BODY,
     "%y = \"arith.addf\"(%i, %i) : (i32, i32) -> f32\n"},
    {MO_RULE_OPERAND_KIND, BODY,
     "\"tpu.sem_wait\"(%d, %i) : (" DMA ", i32) -> ()\n"},
    {MO_RULE_SEGMENTS, BODY,
     "\"tpu.sem_signal\"(%c, %i) : (" SEM ", i32) -> ()\n"},
    {MO_RULE_SEGMENTS, BODY,
     "\"tpu.sem_signal\"(%c, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, "
     "0>} : (" SEM ", i32) -> ()\n"},
    {MO_RULE_SEGMENTS, BODY,
     "\"tpu.sem_signal\"(%c, %i) {operandSegmentSizes = array<i32: 1, 0, 0, 0, "
     "0>} : (" SEM ", i32) -> ()\n"},
    {MO_RULE_RESULT_COUNT, BODY,
     "\"arith.addf\"(%f, %f) : (" F ", " F ") -> ()\n"},
    {MO_RULE_RESULT_KIND, BODY, "%y = \"tpu.device_id\"() : () -> index\n"},
    {MO_RULE_ATTRIBUTE_MISSING, BODY,
     "%y = \"arith.cmpf\"(%f, %f) : (" F ", " F ") -> " B "\n"},
    {MO_RULE_ATTRIBUTE_KIND, BODY,
     "%y = \"arith.cmpf\"(%f, %f) {predicate = 1 : i32} : (" F ", " F ") -> " B
     "\n"},
    {MO_RULE_ATTRIBUTE_UNKNOWN, BODY,
     "%y = \"tpu.device_id\"() {speed = 9 : i32} : () -> i32\n"},
    {MO_RULE_REGION_COUNT, BODY,
     "\"scf.if\"(%t) ({\n\"scf.yield\"() : () -> ()\n}) : (i1) -> ()\n"},
    {MO_RULE_TOP_LEVEL, WHOLE, "\"builtin.module\"() ({\n" END},
    {MO_RULE_TOP_LEVEL, WHOLE,
     "\"builtin.module\"() ({\n\"tpu.trace_stop\"() : () -> ()\n" END},
    {MO_RULE_TOP_LEVEL, BODY,
     "\"func.func\"() ({\n" RETURN
     "}) {function_type = () -> (), sym_name = \"g\"} : () -> ()\n"},
    {MO_RULE_TERMINATOR, BODY, RETURN},
    {MO_RULE_TERMINATOR, BODY,
     "\"tpu.region\"() ({\n\"scf.yield\"() : () -> ()\n}) : () -> ()\n"},
    {MO_RULE_TERMINATOR, BODY,
     "%y = \"scf.if\"(%t) ({\n\"scf.yield\"(%i) : (i32) -> ()\n}, {\n}) : (i1) "
     "-> i32\n"},
    {MO_RULE_YIELD, BODY,
     "%y = \"scf.if\"(%t) ({\n\"scf.yield\"(%i) : (i32) -> ()\n}, {\n"
     "\"scf.yield\"() : () -> ()\n}) : (i1) -> i32\n"},
    {MO_RULE_YIELD, BODY,
     "%y = \"scf.for\"(%i, %i, %i, %e) ({\n^bb0(%j: i32, %a: f32):\n"
     "\"scf.yield\"(%j) : (i32) -> ()\n}) : (i32, i32, i32, f32) -> f32\n"},
    {MO_RULE_BLOCK_ARGUMENTS, BODY,
     "\"scf.for\"(%i, %i, %i) ({\n\"scf.yield\"() : () -> ()\n}) : (i32, i32, "
     "i32) -> ()\n"},
    {MO_RULE_BLOCK_ARGUMENTS, BODY,
     "%y = \"scf.for\"(%i, %i, %i, %e) ({\n^bb0(%j: i32, %a: i32):\n"
     "\"scf.yield\"(%e) : (f32) -> ()\n}) : (i32, i32, i32, f32) -> f32\n"},
    {MO_RULE_SAME_TYPES, BODY,
     "%y = \"arith.addf\"(%f, %e) : (" F ", f32) -> " F "\n"},
    {MO_RULE_SAME_TYPES, BODY,
     "%y = \"arith.cmpi\"(%i, %x) {predicate = 0 : i64} : (i32, index) -> "
     "i1\n"},
    {MO_RULE_COMPARE_SHAPE, BODY,
     "%y = \"arith.cmpf\"(%f, %f) {predicate = 1 : i64} : (" F ", " F
     ") -> i1\n"},
    {MO_RULE_CAST, BODY,
     "%y = \"arith.truncf\"(%f) : (" F ") -> vector<8x128xbf16>\n"},
    {MO_RULE_CAST, BODY, "%y = \"arith.extf\"(%f) : (" F ") -> " F "\n"},
    {MO_RULE_CAST, BODY, "%y = \"arith.index_cast\"(%i) : (i32) -> i32\n"},
    {MO_RULE_PREDICATE, BODY,
     "%y = \"arith.cmpf\"(%f, %f) {predicate = 16 : i64} : (" F ", " F ") -> " B
     "\n"},
    {MO_RULE_PREDICATE, BODY,
     "%y = \"arith.cmpi\"(%i, %i) {predicate = 10 : i64} : (i32, i32) -> i1\n"},
    {MO_RULE_SELECT, BODY,
     "%y = \"arith.select\"(%b, %e, %e) : (" B ", f32, f32) -> f32\n"},
    {MO_RULE_CONSTANT, BODY,
     "%y = \"arith.constant\"() {value = 1 : i32} : () -> index\n"},
    {MO_RULE_CONSTANT, BODY,
     "%y = \"arith.constant\"() {value = true} : () -> i32\n"},
    {MO_RULE_BROADCAST, BODY,
     "%y = \"vector.broadcast\"(%f) : (" F ") -> vector<16x256xf32>\n"},
    {MO_RULE_RESHAPE, BODY,
     "%y = \"vector.shape_cast\"(%f) : (" F ") -> vector<16x64xf32>\n"},
    {MO_RULE_INDICES, BODY,
     "%y = \"vector.load\"(%v, %x) : (" VMEM ", index) -> " F "\n"},
    {MO_RULE_INDICES, BODY, "%y = \"memref.load\"(%s) : (" SMEM ") -> i32\n"},
    {MO_RULE_ACCESS_SPACE, BODY,
     "%y = \"vector.load\"(%h, %x, %x) : (" ANY ", index, index) -> " F "\n"},
    {MO_RULE_ACCESS_SPACE, BODY,
     "%y = \"memref.load\"(%v, %x, %x) : (" VMEM ", index, index) -> f32\n"},
    {MO_RULE_ACCESS_SHAPE, BODY,
     "%y = \"vector.load\"(%v, %x, %x) : (" VMEM
     ", index, index) -> vector<32x128xf32>\n"},
    {MO_RULE_ACCESS_SHAPE, BODY,
     "\"vector.store\"(%b, %v, %x, %x) : (" B ", " VMEM
     ", index, index) -> ()\n"},
    {MO_RULE_ACCESS_SHAPE, BODY,
     "\"memref.store\"(%e, %s, %x) : (f32, " SMEM ", index) -> ()\n"},
    {MO_RULE_STRIDES, BODY,
     "%y = \"tpu.strided_load\"(%v, %x, %x) {strides = array<i32: 2>} : (" VMEM
     ", index, index) -> vector<8x128xf32>\n"},
    {MO_RULE_STRIDES, BODY,
     "%y = \"tpu.strided_load\"(%v, %x, %x) {strides = array<i32: 0, 1>} : "
     "(" VMEM ", index, index) -> vector<8x128xf32>\n"},
    {MO_RULE_MASK, BODY,
     "%m = \"vector.extract_strided_slice\"(%b) {offsets = [0, 0], sizes = [8, "
     "128], strides = [1, 1]} : (" B ") -> vector<8x128xi1>\n"
     "\"tpu.vector_store\"(%f, %v, %x, %x, %m) {operandSegmentSizes = "
     "array<i32: 1, 1, 2, 1>, strides = array<i32>} : (" F ", " VMEM
     ", index, index, vector<8x128xi1>) -> ()\n"},
    {MO_RULE_REDUCTION, BODY,
     "%y = \"vector.multi_reduction\"(%f, %e) {kind = #vector.kind<add>, "
     "reduction_dims = array<i64: 1>} : (" F ", f32) -> f32\n"},
    {MO_RULE_REDUCTION, BODY,
     "%a = \"vector.broadcast\"(%e) : (f32) -> vector<128xf32>\n"
     "%y = \"vector.multi_reduction\"(%a, %e) {kind = #vector.kind<add>, "
     "reduction_dims = array<i64: 0>} : (vector<128xf32>, f32) -> f32\n"},
    {MO_RULE_REDUCTION_ACC, BODY,
     "%a = \"vector.broadcast\"(%e) : (f32) -> vector<16xf32>\n"
     "%y = \"vector.multi_reduction\"(%f, %a) {kind = #vector.kind<add>, "
     "reduction_dims = array<i64: 1>} : (" F
     ", vector<16xf32>) -> vector<128xf32>\n"},
    {MO_RULE_SLICE, BODY,
     "%y = \"vector.extract_strided_slice\"(%f) {offsets = [9, 0], sizes = [8, "
     "128], strides = [1, 1]} : (" F ") -> vector<8x128xf32>\n"},
    {MO_RULE_MATMUL, BODY,
     "%y = \"tpu.matmul\"(%f, %f, %f) {dimension_numbers = "
     "#tpu.dot_dimension_numbers<[1], [0], [0], [1], [0, 0, 1, 1], [], []>, "
     "transpose_lhs_hint = false} : (" F ", " F ", " F ") -> " F "\n"},
    {MO_RULE_MATMUL, BODY,
     "%y = \"tpu.matmul\"(%f, %f, %f) {dimension_numbers = "
     "#tpu.dot_dimension_numbers<[1], [99]>, transpose_lhs_hint = false} : (" F
     ", " F ", " F ") -> " F "\n"},
    {MO_RULE_MATMUL_ACC, BODY,
     "%a = \"arith.constant\"() {value = dense<0.0> : vector<16x16xbf16>} : () "
     "-> vector<16x16xbf16>\n"
     "%y = \"tpu.matmul\"(%f, %f, %a) {dimension_numbers = "
     "#tpu.dot_dimension_numbers<[1], [1], [0], [0], [0, 0, 1, 0], [], []>, "
     "transpose_lhs_hint = false} : (" F ", " F
     ", vector<16x16xbf16>) -> vector<16x16xbf16>\n"},
    {MO_RULE_IOTA, BODY,
     "%y = \"tpu.iota\"() {dimensions = array<i32: 0>} : () -> "
     "vector<128xi32>\n"},
    {MO_RULE_IOTA, BODY,
     "%y = \"tpu.iota\"() {dimensions = array<i32: 2>} : () -> "
     "vector<8x128xi32>\n"},
    {MO_RULE_CONCATENATE, BODY,
     "%y = \"tpu.concatenate\"(%f, %f) {dimension = 0 : i32} : (" F ", " F
     ") -> vector<16x256xf32>\n"},
    {MO_RULE_TRANSPOSE, BODY,
     "%y = \"tpu.transpose\"(%f) {permutation = array<i64: 1, 1>} : (" F
     ") -> vector<128x128xf32>\n"},
    {MO_RULE_ROTATE, BODY,
     "%y = \"tpu.dynamic_rotate\"(%f, %i) {dimension = 2 : si32} : (" F
     ", i32) -> " F "\n"},
    {MO_RULE_BITCAST, BODY,
     "%y = \"tpu.bitcast\"(%f) : (" F ") -> vector<16x128xbf16>\n"},
    {MO_RULE_REPEAT, BODY,
     "%y = \"tpu.repeat\"(%f) {dimension = 1 : i32, times = 2 : i32} : (" F
     ") -> vector<16x128xf32>\n"},
    {MO_RULE_RECIPROCAL, BODY,
     "%a = \"arith.truncf\"(%f) : (" F ") -> vector<16x128xbf16>\n"
     "%y = \"tpu.reciprocal\"(%a) : (vector<16x128xbf16>) -> "
     "vector<16x128xbf16>\n"},
    {MO_RULE_MULTIPLE, BODY,
     "%y = \"tpu.assume_multiple\"(%i) {multiple = 0 : i32} : (i32) -> i32\n"},
    {MO_RULE_REFERENCE, BODY,
     "%y = \"tpu.memref_reshape\"(%v) : (" VMEM ") -> " ANY "\n"},
    {MO_RULE_REFERENCE_SHAPE, BODY,
     "%y = \"tpu.memref_squeeze\"(%v) : (" VMEM
     ") -> memref<128xf32, #tpu.memory_space<vmem>>\n"},
    {MO_RULE_REFERENCE_SHAPE, BODY,
     "%y = \"tpu.memref_slice\"(%v, %i, %i) {operandSegmentSizes = array<i32: "
     "1, 2, 0>} : (" VMEM
     ", i32, i32) -> memref<17x128xf32, #tpu.memory_space<vmem>>\n"},
    {MO_RULE_DMA, BODY,
     "\"tpu.enqueue_dma\"(%h, %s, %d) {operandSegmentSizes = array<i32: 1, 0, "
     "1, 1, 0, 0, 0>} : (" ANY ", " SMEM ", " DMA ") -> ()\n"},
    {MO_RULE_DMA_SEMAPHORES, BODY,
     "\"tpu.enqueue_dma\"(%h, %v, %d, %i) {operandSegmentSizes = array<i32: 1, "
     "0, 1, 1, 1, 0, 0>} : (" ANY ", " VMEM ", " DMA ", i32) -> ()\n"},
    {MO_RULE_DMA_SEMAPHORES, BODY,
     "\"tpu.enqueue_dma\"(%h, %v) {operandSegmentSizes = array<i32: 1, 0, 1, "
     "0, "
     "0, 0, 0>} : (" ANY ", " VMEM ") -> ()\n"},
    {MO_RULE_SEMAPHORE_RANK, BODY,
     "\"tpu.enqueue_dma\"(%h, %v, %dd) {operandSegmentSizes = array<i32: 1, 0, "
     "1, 1, 0, 0, 0>} : (" ANY ", " VMEM ", " DMAS ") -> ()\n"},
    {MO_RULE_SEMAPHORE_RANK, BODY,
     "\"tpu.wait_dma2\"(%dd, %h, %v) {operandSegmentSizes = array<i32: 1, 1, "
     "1, "
     "0, 0>} : (" DMAS ", " ANY ", " VMEM ") -> ()\n"},
    {MO_RULE_LOOP, BODY,
     "\"scf.for\"(%i, %x, %i) ({\n^bb0(%j: i32):\n\"scf.yield\"() : () -> "
     "()\n}) : (i32, index, i32) -> ()\n"},
    {MO_RULE_SYMBOL, WHOLE,
     "\"builtin.module\"() ({\n\"func.func\"() ({\n" RETURN
     "}) {function_type = () -> (), sym_name = \"k\"} : () -> ()\n"
     "\"func.func\"() ({\n" RETURN
     "}) {function_type = () -> (), sym_name = \"k\"} : () -> ()\n" END},
    {MO_RULE_FUNCTION_TYPE, WHOLE,
     FUNCTION("function_type = () -> ()", "%a: i32", "")},
    {MO_RULE_GRID, WHOLE,
     FUNCTION("function_type = (f32) -> (), iteration_bounds = array<i64: 4>, "
              "dimension_semantics = [#tpu.dimension_semantics<parallel>]",
              "%a: f32", "")},
    {MO_RULE_GRID, WHOLE,
     FUNCTION("function_type = (i32) -> (), scratch_operands = 2 : i64",
              "%a: i32", "")},
    {MO_RULE_WINDOW, WHOLE,
     FUNCTION("function_type = (" VMEM
              ") -> (), window_params = [{transform_indices = @k, "
              "window_bounds = array<i64: 8, 128>}]",
              "%a: " VMEM, "")},
    {MO_RULE_WINDOW, WHOLE,
     FUNCTION("function_type = (" VMEM
              ") -> (), window_params = [{transform_indices = @nowhere, "
              "window_bounds = array<i64: 16, 128>}]",
              "%a: " VMEM, "")},
    /* ops with rules of their own that none of the above breaks */
    {MO_RULE_SLICE, BODY,
     "%y = \"vector.insert_strided_slice\"(%f, %f) {offsets = [1, 0], strides "
     "= "
     "[1, 1]} : (" F ", " F ") -> " F "\n"},
    {MO_RULE_SLICE, BODY,
     "%y = \"vector.insert_strided_slice\"(%f, %f) {offsets = [0, 0], strides "
     "= "
     "[1, 1]} : (" F ", " F ") -> vector<32x128xf32>\n"},
    {MO_RULE_TERMINATOR, BODY,
     "\"scf.while\"() ({\n\"scf.yield\"() : () -> ()\n}, {\n"
     "\"scf.yield\"() : () -> ()\n}) : () -> ()\n"},
    {MO_RULE_BLOCK_ARGUMENTS, BODY,
     "%y = \"scf.while\"(%i) ({\n^bb0(%a: i32):\n"
     "\"scf.condition\"(%t, %a) : (i1, i32) -> ()\n}, {\n"
     "\"scf.yield\"(%i) : (i32) -> ()\n}) : (i32) -> i32\n"},
    {MO_RULE_YIELD, BODY,
     "%y = \"scf.while\"(%i) ({\n^bb0(%a: i32):\n"
     "\"scf.condition\"(%t) : (i1) -> ()\n}, {\n^bb0(%n: i32):\n"
     "\"scf.yield\"(%n) : (i32) -> ()\n}) : (i32) -> i32\n"},
    {MO_RULE_YIELD, BODY,
     "%y = \"scf.while\"(%i) ({\n^bb0(%a: i32):\n"
     "\"scf.condition\"(%t, %a) : (i1, i32) -> ()\n}, {\n^bb0(%n: i32):\n"
     "\"scf.yield\"(%e) : (f32) -> ()\n}) : (i32) -> i32\n"},
    {MO_RULE_STRIDES, BODY,
     "%y = \"tpu.vector_load\"(%v, %x, %x) {operandSegmentSizes = array<i32: "
     "1, "
     "2, 0>, strides = array<i32: 1, 0>} : (" VMEM ", index, index) -> " F
     "\n"},
    {MO_RULE_STRIDES, BODY,
     "\"tpu.strided_store\"(%f, %v, %x, %x) {strides = array<i32: 2>} : (" F
     ", " VMEM ", index, index) -> ()\n"},
    {MO_RULE_RESHAPE, BODY,
     "%y = \"tpu.reshape\"(%f) : (" F ") -> vector<16x64xf32>\n"},
    {MO_RULE_REFERENCE_SHAPE, BODY,
     "%y = \"tpu.memref_reshape\"(%v) : (" VMEM
     ") -> memref<16x64xf32, #tpu.memory_space<vmem>>\n"},
    {MO_RULE_REFERENCE_SHAPE, BODY,
     "%y = \"tpu.memref_bitcast\"(%v) : (" VMEM
     ") -> memref<16x128xbf16, #tpu.memory_space<vmem>>\n"},
    {MO_RULE_SEMAPHORE_RANK, BODY,
     "%y = \"tpu.sem_barrier\"() : () -> memref<2x!tpu.semaphore, "
     "#tpu.memory_space<semaphore_mem>>\n"},
    {MO_RULE_TERMINATOR, BODY,
     "\"tpu.trace\"() ({\n\"scf.yield\"() : () -> ()\n}) {level = 1 : i32, "
     "message = \"m\"} : () -> ()\n"},
    {MO_RULE_CAST, BODY, "%y = \"arith.bitcast\"(%i) : (i32) -> i1\n"},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static mo_module *parse(const char *text) {
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = mo_parse(text, strlen(text), &heap, &module, &error);
  CHECK(!status, "%s: %s", error.message, text);
  CHECK_NEED(!status);
  return module;
}

static mo_module *parse_sample(const sample *s) {
  if (s->form == WHOLE) return parse(s->text);
  char text[8192];
  snprintf(text, sizeof text, "%s%s%s%s%s", HEAD, s->text, RETURN, FOOT, END);
  return parse(text);
}

static void broken(const mo_module *module, mo_rule rule, const char *what) {
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = mo_verify(module, &error);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, mo_rule_text(rule)),
        "wanted \"%s\", got \"%s\" from %s", mo_rule_text(rule), error.message,
        what);
}

static void test_kept(void) {
  mo_module *module = parse_sample(&(sample){MO_RULE_KNOWN_OP, BODY, ""});
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK(!mo_verify(module, &error), "%s", error.message);
  mo_module_destroy(module);
}

static void test_broken(void) {
  for (int i = 0; i < SAMPLES; i++) {
    mo_module *module = parse_sample(&samples[i]);
    broken(module, samples[i].rule, samples[i].text);
    mo_module_destroy(module);
  }
}

/* What no text can say, as its names would not be found. */
static void test_scopes(void) {
  mo_module *module = parse_sample(
      &(sample){MO_RULE_KNOWN_OP, BODY,
                "%p = \"arith.addf\"(%f, %f) : (" F ", " F ") -> " F "\n"
                "%q = \"arith.mulf\"(%p, %p) : (" F ", " F ") -> " F "\n"});
  mo_op *sum = module->body.first->regions[0]->first;
  while (sum->info->id != MO_ARITH_ADDF) sum = sum->next;
  sum->operands[0] = sum->next->results[0];
  broken(module, MO_RULE_DOMINANCE, "a use before the definition");
  mo_module_destroy(module);

  module = parse(
      "\"builtin.module\"() ({\n"
      "\"func.func\"() ({\n^bb0(%a: i32):\n" RETURN
      "}) {function_type = (i32) -> (), sym_name = \"f\"} : () -> ()\n"
      "\"func.func\"() ({\n^bb0(%n: i32):\n"
      "%c = \"arith.addi\"(%n, %n) : (i32, i32) -> i32\n" RETURN
      "}) {function_type = (i32) -> (), sym_name = \"g\"} : () -> "
      "()\n" END);
  module->body.last->regions[0]->first->operands[0] =
      module->body.first->regions[0]->arguments[0];
  broken(module, MO_RULE_ISOLATION, "a use of another function's value");
  mo_module_destroy(module);
}

/* A rule, or an op with rules of its own, that nothing here breaks is one whose
 * check could be missing. */
static void test_every_rule(void) {
  bool seen[MO_RULE_COUNT] = {
      [MO_RULE_DOMINANCE] = true, [MO_RULE_ISOLATION] = true};
  for (int i = 0; i < SAMPLES; i++) seen[samples[i].rule] = true;
  for (int i = 0; i < MO_RULE_COUNT; i++)
    CHECK(seen[i], "no module breaks \"%s\"", mo_rule_text((mo_rule)i));
}

static bool is_broken(const char *op) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\"", op);
  for (int i = 0; i < SAMPLES; i++)
    if (strstr(samples[i].text, quoted)) return true;
  return false;
}

static void test_every_op(void) {
  static const struct {
    const char *name, *rule;
  } ops[] = {
#define OP_ROW(id, name, operands, results, attributes, regions, rule, \
               meaning)                                                \
  {name, #rule},
      MO_OP_LIST(OP_ROW)
#undef OP_ROW
  };
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    CHECK(strcmp(ops[i].rule, "OWN") || is_broken(ops[i].name),
          "no module breaks a rule of %s", ops[i].name);
}

int main(void) {
  return CHECK_RUN(test_kept, test_broken, test_scopes, test_every_rule,
                   test_every_op);
}

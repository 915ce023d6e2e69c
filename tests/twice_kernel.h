/* The smallest program for a TPU: a kernel that doubles the first 8 rows of its
 * operand, in the compiler's own words, so that it can be wrong in any way. */
#ifndef PFL_TESTS_TWICE_KERNEL_H
#define PFL_TESTS_TWICE_KERNEL_H

#include "check.h"
#include "xla/program.h"

enum { TWICE_ROWS = 256, TWICE_COLUMNS = 128 };

#define MEMREF "memref<%dx128xf32, #tpu.memory_space<vmem>>"

/* What can be wrong with a kernel that doubles its operand. */
typedef struct twice_kernel {
  const char *op;      /* NULL: arith.addf */
  const char *version; /* NULL: one that is known */
  const char *further; /* ops before the return, or NULL */
  int rows;            /* 0: TWICE_ROWS */
} twice_kernel;

static inline void twice_write_body(const twice_kernel *asked, base_text *out) {
  int rows = asked->rows ? asked->rows : TWICE_ROWS;
  base_text_format(
      out,
      "\"builtin.module\"() ({\n"
      "  \"stable_mosaic.func.func\"() ({\n"
      "  ^bb0(%%a: " MEMREF ", %%b: " MEMREF
      "):\n"
      "    %%zero = \"stable_mosaic.arith.constant\"() {value = 0 : index} : "
      "() "
      "-> index\n"
      "    %%v = \"stable_mosaic.vector.load\"(%%a, %%zero, %%zero) : (" MEMREF
      ", index, index) -> vector<8x128xf32>\n"
      "    %%w = \"stable_mosaic.%s\"(%%v, %%v) {fastmath = "
      "#arith.fastmath<none>} : (vector<8x128xf32>, vector<8x128xf32>) -> "
      "vector<8x128xf32>\n"
      "    \"stable_mosaic.tpu.vector_store\"(%%w, %%b, %%zero, %%zero) {add = "
      "false, operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = "
      "array<i32>} : (vector<8x128xf32>, " MEMREF
      ", index, index) -> ()\n"
      "%s"
      "    \"stable_mosaic.func.return\"() : () -> ()\n"
      "  }) {dimension_semantics = [], function_type = (" MEMREF ", " MEMREF
      ") -> (), scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, "
      "sym_name "
      "= \"twice\", tpu.core_type = #tpu.core_type<tc>} : () -> ()\n"
      "}) {%s} : () -> ()\n",
      rows, rows, rows, asked->op ? asked->op : "arith.addf", rows,
      asked->further ? asked->further : "", rows, rows,
      asked->version ? asked->version : "stable_mosaic.version = 13 : i64");
}

/* Writes the program around it, for so many chips, and its options. */
static inline void twice_write(const twice_kernel *asked, int replicas,
                               base_text *out_module, base_text *out_options) {
  base_text body = {0};
  twice_write_body(asked, &body);
  const xla_tensor tensor = {
      PFL_DTYPE_F32,
      2,
      {asked->rows ? asked->rows : TWICE_ROWS, TWICE_COLUMNS}};
  const xla_call call = {.kernel_name = "twice",
                         .body = base_text_get(&body),
                         .body_size = body.length,
                         .operands = (const int[]){0},
                         .operand_count = 1,
                         .results = &tensor,
                         .result_count = 1};
  const xla_program program = {.name = "twice",
                               .replicas = replicas,
                               .arguments = &tensor,
                               .argument_count = 1,
                               .calls = &call,
                               .call_count = 1,
                               .outputs = (const int[]){1},
                               .output_count = 1};
  CHECK_NEED(!xla_program_write(&program, out_module, NULL) &&
             !xla_options_write(replicas, NULL, 0, out_options, NULL));
  base_text_release(&body);
}

#endif

/* StableHLO text around Mosaic kernels: a module that takes arguments, calls
 * kernels one after the other, and returns values; and the bytes of the options
 * that it is compiled with. Both are written, the same input giving the same
 * bytes, and read again: exactly what is written here, and nothing else.
 *
 * Values are numbered: the arguments first, then the results of each call in
 * turn. All layouts are row-major. */
#ifndef PFL_XLA_PROGRAM_H
#define PFL_XLA_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "mosaic/ir.h"
#include "pallas_flash/dtype.h"

#define XLA_RANK_MAX 8
#define XLA_REPLICAS_MAX 4
#define XLA_LIST_MAX 64 /* arguments, operands, results, outputs */
#define XLA_CALLS_MAX 1024

typedef struct xla_tensor {
  pfl_dtype dtype; /* never DEFAULT */
  int rank;
  int64_t shape[XLA_RANK_MAX];
} xla_tensor;

/* A result that takes the place of an operand, by their numbers in the call. */
typedef struct xla_alias {
  int result;
  int operand;
} xla_alias;

/* Where an operand or result lies: with `color` memory, beside HBM's default.
 */
typedef enum xla_memory {
  XLA_MEMORY_DEFAULT = 0, /* the compiler's choice: HBM */
  XLA_MEMORY_HBM,
  XLA_MEMORY_VMEM,
  XLA_MEMORY_SMEM
} xla_memory;

/* What the scheduler should think a kernel costs; zero: nothing is said. */
typedef struct xla_cost {
  int64_t flops;
  int64_t transcendentals;
  int64_t bytes_accessed;
  int64_t remote_bytes_transferred;
} xla_cost;

/* All zero is the default but for names, body, operands and results. */
typedef struct xla_call {
  const char *kernel_name;
  const char *body; /* the Mosaic module: text in serialized form */
  size_t body_size;
  const int *operands; /* numbers of values */
  int operand_count;
  const xla_tensor *results;
  int result_count;
  const xla_memory *operand_memories; /* [operand_count], or NULL */
  const xla_memory *result_memories;  /* [result_count], or NULL */
  const xla_alias *aliases;
  int alias_count;
  xla_cost cost;
  int64_t vmem_limit_bytes; /* 0: the compiler's default */
  bool has_communication;   /* it talks to other chips */
  int32_t collective_id;    /* of its barrier semaphore, with the above */
  bool bounds_unchecked; /* its DMAs are in bounds: do not check as it runs */
  bool semaphores_unchecked; /* all are 0 at its end: do not check that */
  bool side_effects;         /* keep it though nobody uses its results */
} xla_call;

typedef struct xla_program {
  const char *name;
  int replicas; /* chips that run it, each on its own buffers; 0: 1 */
  const xla_tensor *arguments;
  int argument_count;
  const xla_call *calls; /* at most XLA_CALLS_MAX */
  int call_count;
  const int *outputs; /* numbers of values */
  int output_count;
  const xla_alias *donations; /* output `result` takes argument `operand` */
  int donation_count;
} xla_program;

/* INVALID_ARGUMENT: a number that is none of the values (or of a later one), a
 * shape or dtype that is none, an alias between tensors that differ, two of one
 * operand or result, replicas out of 1 .. 4. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status xla_program_write(const xla_program *program,
                                           base_text *out, pfl_error *error);

/* Adds a call's backend_config: JSON. */
void xla_call_config_write(const xla_call *call, base_text *out);

/* ---- Rules -------------------------------------------------------------- */

/* What xla_program_write asks, of the whole or of one call and those before. */
PFL_NODISCARD pfl_status xla_program_check(const xla_program *program,
                                           pfl_error *error);
PFL_NODISCARD pfl_status xla_call_check(const xla_program *program, int number,
                                        pfl_error *error);

/* The type of a value, and its call (-1: an argument) and place there; NULL if
 * there is no value of that number. */
const xla_tensor *xla_value_find(const xla_program *program, int value,
                                 int *out_call, int *out_place);
const xla_tensor *xla_value_type(const xla_program *program, int value);

mo_element xla_element(pfl_dtype dtype);

/* The number that XLA has for a memory, -1 for DEFAULT; and back, DEFAULT for
 * one that there is not. */
int64_t xla_memory_color(xla_memory memory);
xla_memory xla_memory_of_color(int64_t color);

/* ---- Reading ------------------------------------------------------------ */

/* A program that was read, in memory of its own. */
typedef struct xla_document {
  xla_program program;
  mo_arena arena;
} xla_document;

/* Reads what xla_program_write writes, white space and comments apart. There is
 * nothing that it passes over: INVALID_ARGUMENT names what it does not know and
 * its line and column. RESOURCE_EXHAUSTED. On failure *out_document is empty.
 */
PFL_NODISCARD pfl_status xla_program_read(const char *text, size_t length,
                                          const pfl_allocator *allocator,
                                          xla_document *out_document,
                                          pfl_error *error);
void xla_document_release(xla_document *document);

/* ---- Options ------------------------------------------------------------ */

/* One setting of the compiler's, as its flags are called without dashes. */
typedef struct xla_setting {
  const char *name;
  const char *value;
} xla_setting;

/* A serialized CompileOptionsProto. INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status xla_options_write(int replicas,
                                           const xla_setting *settings,
                                           int setting_count, base_text *out,
                                           pfl_error *error);

/* Reads what xla_options_write writes without settings. UNIMPLEMENTED: names a
 * setting, or has the number of a field that is not known. INVALID_ARGUMENT:
 * no such message. */
PFL_NODISCARD pfl_status xla_options_read(const void *bytes, size_t size,
                                          int *out_replicas, pfl_error *error);

#endif

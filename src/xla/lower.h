/* From the kernels of an attention problem to what a PJRT plugin compiles. */
#ifndef PFL_XLA_LOWER_H
#define PFL_XLA_LOWER_H

#include "kernels/tpu_program.h"

/* The tensors of a lowered program, in the order of its arguments and results:
 * pointers into the kernels_program. */
typedef struct xla_signature {
  const kernels_tensor *arguments[KERNELS_TENSORS_MAX * KERNELS_MAX];
  const kernels_tensor *results[KERNELS_TENSORS_MAX * KERNELS_MAX];
  int argument_count, result_count;
} xla_signature;

void xla_signature_of(const kernels_program *program,
                      xla_signature *out_signature);

/* Adds the StableHLO text to *out_module and the serialized CompileOptionsProto
 * to *out_options, either of which may be NULL. FAILED_PRECONDITION,
 * INVALID_ARGUMENT: the program is not sound. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status xla_lower(const kernels_program *program,
                                   base_text *out_module,
                                   base_text *out_options, pfl_error *error);

/* Adds, as one JSON object, what one who writes the StableHLO himself needs:
 *   arguments  the tensors it takes: name, dtype ("bf16"), shape, swapped,
 *              row (elements of rows that are padded; 0: none is), and
 *              spare: the dimension of the whole tensor along which there is
 *              room for more if there is any; -1: at the end of all
 *   calls      in order: kernel, config (its backend_config), operands (numbers
 *              of values: the arguments first, then all results in turn),
 *              results (tensors), aliases ([result, operand] pairs: numbers
 *              in the call) and side_effects
 *   outputs    the numbers of the values that it returns
 * Tensors are as kernels_tensor says, of a program for one chip. Errors as xla_lower's. */
PFL_NODISCARD pfl_status xla_describe(const kernels_program *program,
                                      base_text *out, pfl_error *error);

#endif

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

#endif

/* Programs of kernels through the real compiler. */
#ifndef PFL_TESTS_COMPILED_H
#define PFL_TESTS_COMPILED_H

#include "check.h"
#include "kernels/tpu_program.h"
#include "pjrt/compile.h"
#include "xla/lower.h"

/* For a topology, without the cache. NOT_FOUND: there is no compiler. */
static inline pfl_status compiled_check(const char *target,
                                        const kernels_program *program,
                                        pfl_error *error) {
  const pfl_allocator heap = {0};
  base_text module = {0}, options = {0};
  pjrt_artifact artifact;
  pfl_status status = xla_lower(program, &module, &options, error);
  if (!status)
    status =
        pjrt_compile(&(pjrt_compile_request){.topology = target,
                                             .module = module.bytes,
                                             .module_size = module.length,
                                             .options = options.bytes,
                                             .options_size = options.length,
                                             .seconds = 240,
                                             .uncached = true},
                     &heap, &artifact, error);
  if (!status) pjrt_artifact_release(&artifact);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

#endif

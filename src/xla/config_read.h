/* The backend_config of a tpu_custom_call, which is JSON. */
#ifndef PFL_XLA_CONFIG_READ_H
#define PFL_XLA_CONFIG_READ_H

#include "xla/program.h"

/* Fills what the configuration says of `call`, whose operands are known;
 * `result_memories` has room for XLA_LIST_MAX and is filled for all of them, as
 * the number of results is not known yet. INVALID_ARGUMENT names what is not
 * known or not as it must be. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status xla_config_read(const char *json, size_t length,
                                         mo_arena *arena, xla_call *call,
                                         xla_memory *result_memories,
                                         pfl_error *error);

#endif

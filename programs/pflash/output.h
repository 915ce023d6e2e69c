/* What commands write beside standard output, and how messages name it. */
#ifndef PFLASH_OUTPUT_H
#define PFLASH_OUTPUT_H

#include <stddef.h>

#include "base/status.h"

/* What can be told of --out before the work is done: whether a file can be
 * begun there. It leaves no trace. */
PFL_NODISCARD pfl_status output_check(const char *path, pfl_error *error);

/* The whole file, or none. */
PFL_NODISCARD pfl_status output_write(const char *path, const void *bytes,
                                      size_t size, pfl_error *error);

/* Puts the option before a message about its value. Returns `status`. */
pfl_status name_option(const char *option, pfl_status status, pfl_error *error);

#endif

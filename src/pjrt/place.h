/* Where this program and this library lie. */
#ifndef PFL_PJRT_PLACE_H
#define PFL_PJRT_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* The path of the running program, links resolved; false if it is not known or
 * does not fit. */
bool pjrt_program_path(char *out_path, size_t capacity);

/* That of the shared library, or program, which holds this function. */
bool pjrt_library_path(char *out_path, size_t capacity);

#endif

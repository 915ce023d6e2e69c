/* Files: regular ones read at any place, and new ones that come into being
 * whole or not at all. Messages name the path and say what the system said. */
#ifndef PFL_BASE_FILE_H
#define PFL_BASE_FILE_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

typedef struct base_file {
  const char *path; /* the caller's */
  int descriptor;
  int64_t size; /* bytes, when it was opened */
} base_file;

/* Opens a regular file for reading; a directory, a pipe or a device is refused
 * without waiting for it. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT. */
PFL_NODISCARD pfl_status base_file_open(const char *path, base_file *out_file,
                                        pfl_error *error);

/* Reads `size` bytes from `offset`. DATA_LOSS if the file ends before. */
PFL_NODISCARD pfl_status base_file_read(const base_file *file, void *out,
                                        int64_t size, int64_t offset,
                                        pfl_error *error);

void base_file_close(base_file *file);

/* Adds all of a file to the text. INVALID_ARGUMENT: it has more than `most`
 * bytes; otherwise as above. */
PFL_NODISCARD pfl_status base_file_load(const char *path, int64_t most,
                                        base_text *out_text, pfl_error *error);

/* A file being written: a temporary one in the directory of its path, which
 * commit flushes and renames. A file that was at the path keeps its content
 * until then; a symbolic link stays and what it points to is replaced; what is
 * no regular file is refused.
 *
 *   base_output output;
 *   PFL_TRY(base_output_begin(path, &output, error));
 *   pfl_status status = base_output_write(&output, bytes, size, error);
 *   return base_output_end(&output, status, error);
 */
typedef struct base_output {
  const char *path;    /* the caller's */
  char *target;        /* path with its links resolved */
  base_text temporary; /* path of the temporary file */
  int descriptor;
} base_output;

/* NOT_FOUND (no such directory), PERMISSION_DENIED, INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status base_output_begin(const char *path,
                                           base_output *out_output,
                                           pfl_error *error);

PFL_NODISCARD pfl_status base_output_write(base_output *output,
                                           const void *bytes, int64_t size,
                                           pfl_error *error);

/* Puts the file in its place if `status`, that of the writing, is OK, and
 * removes it without a trace otherwise. Returns `status`, or what went wrong
 * here. */
PFL_NODISCARD pfl_status base_output_end(base_output *output, pfl_status status,
                                         pfl_error *error);

/* ---- Shared with folder.h ------------------------------------------------ */

/* Raises what errno says: "cannot open q.safetensors: Permission denied". */
pfl_status base_raise_errno(const char *action, const char *path,
                            pfl_error *error);

/* Adds a path in the target's directory that nobody can foresee. */
PFL_NODISCARD pfl_status base_temporary_name(const char *target,
                                             const char *prefix,
                                             base_text *out_path,
                                             pfl_error *error);

#endif

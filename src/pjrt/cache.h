/* The compile cache: one file for each artifact, called by the SHA-256 of all
 * that it was made of: module, options, topology, LIBTPU_INIT_ARGS, XLA_FLAGS,
 * and the build of the compiler.
 *
 * It lies in PFLASH_CACHE, or pallas-flash in XDG_CACHE_HOME or ~/.cache. An
 * empty PFLASH_CACHE, or no home, means no cache. Files appear whole, by
 * renaming, so that any number of processes may share it; what is not whole, or
 * may have been written by another user, is compiled again; what cannot be
 * written is not kept. Nothing is ever removed: that is the user's to do, at
 * any time. */
#ifndef PFL_PJRT_CACHE_H
#define PFL_PJRT_CACHE_H

#include "pjrt/compile.h"

/* Sets *out_path to where the artifact of a request belongs, and leaves it
 * empty if there is no cache. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_cache_name(const pjrt_compile_request *request,
                                         const char *plugin,
                                         base_text *out_path, pfl_error *error);

/* Adds the cache's directory to the text, if there is one; false otherwise. */
bool pjrt_cache_directory(base_text *path);

/* Adds what a file of the cache holds; false if it is not there, has more than
 * `most` bytes, or is not to be trusted. */
bool pjrt_cache_read(const char *path, int64_t most, base_text *out_bytes);

/* Whether it is there, whole and to be trusted; without memory it is not. Only
 * then *out_artifact is set, the caller's. */
bool pjrt_cache_load(const char *path, const pfl_allocator *allocator,
                     pjrt_artifact *out_artifact);

/* Keeps it, if that can be done. */
void pjrt_cache_store(const char *path, const void *packed, size_t size);

/* What is in the cache, as far as it can be read. */
typedef struct pjrt_cache_contents {
  int64_t files;
  int64_t bytes;
} pjrt_cache_contents;

/* Adds the directory's path to *out_directory, which may not be there yet; adds
 * nothing if there is no cache. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_cache_examine(base_text *out_directory,
                                            pjrt_cache_contents *out_contents,
                                            pfl_error *error);

#endif

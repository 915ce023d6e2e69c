/* Compiling in a process of its own, with a time limit and a cache on disk.
 *
 * A TPU compiler aborts on some bad input; here that is a status. The process
 * is the program pflash-compiler, which loads the plugin; this one never does.
 *
 *   pjrt_compile_request request = {.topology = "v5e:2x2", .module = text,
 *                                   .module_size = size, ...};
 *   pjrt_artifact artifact;
 *   PFL_TRY(pjrt_compile(&request, &allocator, &artifact, error));
 *
 * Threads: any number of calls at once, in any number of processes. */
#ifndef PFL_PJRT_COMPILE_H
#define PFL_PJRT_COMPILE_H

#include "pjrt/artifact.h"

/* All zero is the default but for what is to be compiled. */
typedef struct pjrt_compile_request {
  const char *topology; /* "v5e:2x2" */
  const void *module;   /* StableHLO, text or bytecode */
  size_t module_size;
  const void *options; /* a serialized CompileOptionsProto */
  size_t options_size;
  const char *plugin;  /* a path; NULL: what pjrt_plugin_find finds */
  const char *listing; /* a directory, made if missing, that the compiler's
                          listings go to; NULL: none. Compiles always. */
  bool passes;          /* the listing has what each pass made, too */
  double seconds;      /* the time limit; 0: 300 */
  const int *stop; /* a descriptor: CANCELLED once it is readable, or NULL */
  bool uncached;   /* neither look into the cache nor write to it */
  base_text *log;  /* what the compiler printed, or NULL */
  bool *out_from_cache; /* whether the cache had it, or NULL */
} pjrt_compile_request;

/* On success the caller releases *out_artifact; on failure it is empty.
 * What the compiler answered (INVALID_ARGUMENT and so on, with its message).
 * DEADLINE_EXCEEDED: no answer in time. INTERNAL: it died; the message has the
 * signal and its last words. NOT_FOUND: no plugin, or no pflash-compiler (which
 * is PFLASH_COMPILER, or beside the program or the library, or where programs
 * are installed from the library). RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_compile(const pjrt_compile_request *request,
                                      const pfl_allocator *allocator,
                                      pjrt_artifact *out_artifact,
                                      pfl_error *error);

#endif

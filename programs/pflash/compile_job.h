/* One `pflash compile`: a problem in, a text, an executable or a listing out.
 */
#ifndef PFLASH_COMPILE_JOB_H
#define PFLASH_COMPILE_JOB_H

#include "pjrt/artifact.h"
#include "tpu_request.h"

/* All zero to begin with; compile_job_release whatever came of it. */
typedef struct compile_job {
  const cli_options *options;
  bool passes;     /* into the listing, too: for people */
  const int *stop; /* a descriptor that ends the compiler, or NULL (stop.h) */
  tpu_request request;
  kernels_program program;
  base_text module;  /* the kernels' text, or StableHLO */
  double write_ms;   /* to plan, build and print */
  const void *bytes; /* what --emit asked for; NULL: a listing */
  size_t size;
  bool compiled; /* by the TPU compiler; then the rest is there */
  pjrt_artifact artifact;
  base_text log; /* what the compiler printed, also when it failed */
  bool from_cache;
  double compile_ms;
} compile_job;

/* Plans, writes and, if --emit needs it, compiles. `listing` is where the
 * compiler's dumps go, or NULL. */
PFL_NODISCARD pfl_status compile_job_do(compile_job *job, const char *listing,
                                        pfl_error *error);

void compile_job_release(compile_job *job);

/* What was done, on stdout. */
void compile_job_print(const compile_job *job);
/* The same facts, for stdout or a file. */
void compile_job_write_json(const compile_job *job, base_text *out);

#endif

#include "compile_job.h"

#include <time.h>

#include "pjrt/compile.h"
#include "xla/lower.h"

static const pfl_allocator heap;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* The kernels one after the other, with the line between them at which MLIR's
 * tools split a file. */
static pfl_status print_kernels(compile_job *job, pfl_error *error) {
  for (int i = 0; i < job->program.kernel_count; i++) {
    if (i) base_text_add_string(&job->module, "// -----\n");
    PFL_TRY(
        mo_print(job->program.kernels[i].module, NULL, &job->module, error));
  }
  return base_text_check(&job->module, error);
}

static pfl_status write_module(compile_job *job, base_text *out_options,
                               pfl_error *error) {
  double start = now_ms();
  PFL_TRY(kernels_write(&job->request.kernels, &heap, &job->program, error));
  PFL_TRY(job->options->emit == EMIT_MOSAIC
              ? print_kernels(job, error)
              : xla_lower(&job->program, &job->module, out_options, error));
  job->write_ms = now_ms() - start;
  return PFL_STATUS_OK;
}

static pfl_status compile(compile_job *job, const base_text *options,
                          const char *listing, pfl_error *error) {
  const pjrt_compile_request request = {.topology = job->request.kernels.target,
                                        .module = job->module.bytes,
                                        .module_size = job->module.length,
                                        .options = options->bytes,
                                        .options_size = options->length,
                                        .listing = listing,
                                        .passes = job->passes,
                                        .seconds = job->options->timeout,
                                        .stop = job->stop,
                                        .log = &job->log,
                                        .out_from_cache = &job->from_cache};
  double start = now_ms();
  PFL_TRY(pjrt_compile(&request, &heap, &job->artifact, error));
  job->compile_ms = now_ms() - start;
  job->compiled = true;
  return PFL_STATUS_OK;
}

pfl_status compile_job_do(compile_job *job, const char *listing,
                          pfl_error *error) {
  bool is_text =
      job->options->emit == EMIT_MOSAIC || job->options->emit == EMIT_STABLEHLO;
  base_text options = {0};
  PFL_TRY(tpu_request_read(job->options, &job->request, error));
  pfl_status status = write_module(job, &options, error);
  if (!status && !is_text) status = compile(job, &options, listing, error);
  base_text_release(&options);
  if (!listing) {
    job->bytes = is_text ? job->module.bytes : job->artifact.executable;
    job->size = is_text ? job->module.length : job->artifact.executable_size;
  }
  return status;
}

void compile_job_release(compile_job *job) {
  kernels_program_release(&job->program);
  pjrt_artifact_release(&job->artifact);
  base_text_release(&job->module);
  base_text_release(&job->log);
}

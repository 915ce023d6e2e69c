/* pflash run: reads, checks, computes, writes, tells. */
#include <sys/stat.h>

#include "job.h"
#include "output.h"

/* The results would take the place of what they were made from. */
static pfl_status check_paths_differ(const cli_options *options,
                                     pfl_error *error) {
  struct stat in, out;
  if (!stat(options->in, &in) && !stat(options->out, &out) &&
      in.st_dev == out.st_dev && in.st_ino == out.st_ino)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--out is '%s': must be another file than --in", options->out);
  return PFL_STATUS_OK;
}

/* What a device has no use for must not be given. */
static pfl_status check_uses(const cli_options *options, pfl_error *error) {
  on_device device = device_of(options);
  const option_use uses[] = {{"--isa", options->isa, device == ON_CPU},
                             {"--chips", options->chips, device != ON_CPU},
                             {"--threads", options->threads, device != ON_TPU},
                             {"--seed", options->seed, device == ON_SIM},
                             {"--trace", options->trace, device == ON_SIM}};
  return options_check_uses(uses, sizeof uses / sizeof *uses, "--device",
                            device_name(device), error);
}

static pfl_status do_job(cli_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  pfl_allocator allocator = {0};
  PFL_TRY(name_option("--out", output_check(options->out, error), error));
  PFL_TRY(name_option(
      "--in", safetensors_read(options->in, &allocator, &job->file, error),
      error));
  PFL_TRY(cli_tensors_check(&job->file, (op)options->op, &job->set, error));
  PFL_TRY(job_compute(job, error));
  PFL_TRY(name_option("--out",
                      safetensors_write(options->out, job->outputs,
                                        job->output_count, NULL, error),
                      error));
  if (options->json) return job_print_json(job, error);
  job_print(job);
  return PFL_STATUS_OK;
}

int run_command(const cli_options *options) {
  cli_job job = {.options = options};
  pfl_error error;
  if (check_uses(options, &error) || check_paths_differ(options, &error))
    return print_misuse(COMMAND_RUN, &error);
  pfl_status status = do_job(&job, &error);
  job_release(&job);
  return status ? print_failure(COMMAND_RUN, &error) : EXIT_DONE;
}

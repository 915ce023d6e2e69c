/* pflash compile: from the shapes of an attention to what a TPU runs. */
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "compile_job.h"
#include "output.h"
#include "stop.h"

/* What the command says, kept beside the compiler's dumps; a directory that has
 * it is one of ours. */
static const char listing_facts[] = "pflash.json";

static bool is_stdout(const cli_options *options) {
  return !strcmp(options->out, "-");
}

static pfl_status check_stdout(const cli_options *options, pfl_error *error) {
  if (!is_stdout(options)) return PFL_STATUS_OK;
  if (options->json)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--out is '-': must be a path, with --json");
  if (options->emit != EMIT_MOSAIC && options->emit != EMIT_STABLEHLO)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--out is '-': must be a path, for what is no text");
  return PFL_STATUS_OK;
}

/* To stdout, or to a file. */
static pfl_status make_file(compile_job *job, pfl_error *error) {
  const char *out = job->options->out;
  bool to_stdout = is_stdout(job->options);
  if (!to_stdout)
    PFL_TRY(name_option("--out", output_check(out, error), error));
  PFL_TRY(compile_job_do(job, NULL, error));
  if (!to_stdout)
    return name_option("--out", output_write(out, job->bytes, job->size, error),
                       error);
  fwrite(job->bytes, 1, job->size, stdout); /* finish_output tells of errors */
  return PFL_STATUS_OK;
}

static pfl_status fill_listing(compile_job *job, const char *directory,
                               pfl_error *error) {
  base_text path = {0}, facts = {0};
  pfl_status status = compile_job_do(job, directory, error);
  base_text_format(&path, "%s/%s", directory, listing_facts);
  compile_job_write_json(job, &facts);
  if (!status) status = base_text_check(&path, error);
  if (!status) status = base_text_check(&facts, error);
  if (!status)
    status = name_option(
        "--out",
        output_write(base_text_get(&path), facts.bytes, facts.length, error),
        error);
  base_text_release(&path);
  base_text_release(&facts);
  return status;
}

static pfl_status make_listing(compile_job *job, pfl_error *error) {
  base_folder folder;
  job->stop = stop_begin();
  job->passes = true;
  pfl_status status = name_option(
      "--out",
      base_folder_begin(job->options->out, listing_facts, &folder, error),
      error);
  if (!status)
    status = base_folder_end(
        &folder, fill_listing(job, base_text_get(&folder.temporary), error),
        error);
  stop_end();
  return status;
}

static pfl_status tell(const compile_job *job, pfl_error *error) {
  if (is_stdout(job->options)) return PFL_STATUS_OK;
  if (!job->options->json) {
    compile_job_print(job);
    return PFL_STATUS_OK;
  }
  base_text facts = {0};
  compile_job_write_json(job, &facts);
  pfl_status status = base_text_check(&facts, error);
  if (!status) fputs(base_text_get(&facts), stdout);
  base_text_release(&facts);
  return status;
}

int compile_command(const cli_options *options) {
  compile_job job = {.options = options};
  pfl_error error;
  if (check_stdout(options, &error) ||
      tpu_request_make(options, &job.request, &error))
    return print_misuse(COMMAND_COMPILE, &error);
  pfl_status status = options->emit == EMIT_LISTING ? make_listing(&job, &error)
                                                    : make_file(&job, &error);
  if (options->verbose && job.log.length)
    fwrite(job.log.bytes, 1, job.log.length, stderr);
  if (!status) status = tell(&job, &error);
  compile_job_release(&job);
  return status ? print_failure(COMMAND_COMPILE, &error) : EXIT_DONE;
}

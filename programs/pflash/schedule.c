/* pflash schedule: what a compiled TPU program will take. */
#include <stdio.h>

#include "schedule_job.h"

static pfl_status print_text(const schedule_report *report, pfl_error *error) {
  base_text text = {0};
  schedule_report_text(report, &text);
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}

int schedule_command(const cli_options *options) {
  schedule_job job = {.options = options};
  pfl_error error;
  if (!options->listing) {
    base_error_set(&error, PFL_STATUS_INVALID_ARGUMENT,
                   "LISTING is missing: must be a path");
    return print_misuse(COMMAND_SCHEDULE, &error);
  }
  pfl_status status = schedule_job_do(&job, &error);
  if (!status) status = print_text(&job.report, &error);
  schedule_job_release(&job);
  return status ? print_failure(COMMAND_SCHEDULE, &error) : EXIT_DONE;
}

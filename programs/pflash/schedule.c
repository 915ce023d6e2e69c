/* pflash schedule: what a compiled TPU program will take. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "output.h"
#include "schedule_job.h"

static pfl_status print_report(const schedule_job *job, pfl_error *error) {
  base_text text = {0};
  if (job->options->json)
    schedule_report_json(&job->report, &text);
  else
    schedule_report_text(&job->report, &text);
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}

/* The run that took longest: a trace is of one. */
static const schedule_result *longest(const schedule_report *report) {
  const schedule_result *best = &report->results[0];
  for (int64_t i = 1; i < report->result_count; i++)
    if (report->results[i].cycles > best->cycles) best = &report->results[i];
  return best;
}

static pfl_status write_files(const schedule_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  base_text html = {0}, trace = {0};
  pfl_status status = PFL_STATUS_OK;
  if (options->html_path) {
    schedule_report_html(&job->report, &html);
    status = base_text_check(&html, error);
    if (!status)
      status = name_option(
          "--html",
          output_write(options->html_path, html.bytes, html.length, error),
          error);
  }
  if (!status && options->trace) {
    schedule_report_trace(longest(&job->report), &job->model, &trace);
    status = base_text_check(&trace, error);
    if (!status)
      status = name_option(
          "--trace",
          output_write(options->trace, trace.bytes, trace.length, error),
          error);
  }
  base_text_release(&html);
  base_text_release(&trace);
  return status;
}

/* Before minutes of work, whether its files can be written. */
static pfl_status check_files(const cli_options *options, pfl_error *error) {
  if (options->html_path)
    PFL_TRY(
        name_option("--html", output_check(options->html_path, error), error));
  if (options->trace)
    PFL_TRY(name_option("--trace", output_check(options->trace, error), error));
  return PFL_STATUS_OK;
}

/* Started by `pflash tune`, nobody waits for the answer once that has ended. */
static void end_with_parent(void) {
  const char *parent = getenv("PFLASH_TUNE");
  if (parent && strtol(parent, NULL, 10) == (long)getppid())
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

int schedule_command(const cli_options *options) {
  end_with_parent();
  schedule_job job = {.options = options};
  pfl_error error;
  int code = EXIT_DONE;
  if (schedule_job_check(&job, &error))
    code = print_misuse(COMMAND_SCHEDULE, &error);
  else if (check_files(options, &error) || schedule_job_do(&job, &error) ||
           write_files(&job, &error) || print_report(&job, &error))
    code = print_failure(COMMAND_SCHEDULE, &error);
  schedule_job_release(&job);
  return code;
}

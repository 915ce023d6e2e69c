/* One `pflash schedule`: a listing in, predicted cycles out. */
#ifndef PFLASH_SCHEDULE_JOB_H
#define PFLASH_SCHEDULE_JOB_H

#include "compile_job.h"
#include "schedule/schedule_dump.h"
#include "schedule/schedule_summary.h"

/* All zero to begin with; schedule_job_release whatever came of it. */
typedef struct schedule_job {
  const cli_options *options;
  cli_options compile_options; /* what the listing is compiled with, if it is */
  compile_job compile;
  bool compiled;
  schedule_dump dump;
  schedule_model model;
  schedule_input inputs[INPUTS_MAX];
  base_text words[INPUTS_MAX]; /* the memory of those */
  int input_count;
  schedule_work work; /* of the kernel, or of all that were compiled */
  char how[160];      /* that is counted */
  base_text lists[3]; /* schedule_result, schedule_summary, sources */
  base_text sources[KERNELS_MAX]; /* the kernels' texts */
  base_text title;
  schedule_report report;
} schedule_job;

/* Reads or compiles, runs and sums up. */
PFL_NODISCARD pfl_status schedule_job_do(schedule_job *job, pfl_error *error);
void schedule_job_release(schedule_job *job);

/* ---- schedule_source.c --------------------------------------------------- */

/* What options ask for that cannot be: INVALID_ARGUMENT. */
PFL_NODISCARD pfl_status schedule_job_check(schedule_job *job,
                                            pfl_error *error);

/* Fills the dump, the inputs, the work and the title. */
PFL_NODISCARD pfl_status schedule_job_open(schedule_job *job, pfl_error *error);

/* The compiled kernel that the listing called `name` is of; -1: none. */
int schedule_job_kernel(const schedule_job *job, const char *name);

/* Whether the listing called `name` is of a kernel that was asked for. */
bool schedule_job_wants(const schedule_job *job, const char *name);

#endif

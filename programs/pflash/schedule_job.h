/* One `pflash schedule`: a listing in, predicted cycles out. */
#ifndef PFLASH_SCHEDULE_JOB_H
#define PFLASH_SCHEDULE_JOB_H

#include "options.h"
#include "schedule/schedule_dump.h"
#include "schedule/schedule_summary.h"

/* All zero to begin with; schedule_job_release whatever came of it. */
typedef struct schedule_job {
  const cli_options *options;
  schedule_dump dump;
  schedule_model model;
  schedule_input inputs[INPUTS_MAX];
  base_text words[INPUTS_MAX]; /* the memory of those */
  int input_count;
  double flops;       /* useful ones of a kernel; 0: not known */
  base_text lists[2]; /* schedule_result, schedule_summary */
  schedule_report report;
} schedule_job;

/* Reads, runs and sums up. */
PFL_NODISCARD pfl_status schedule_job_do(schedule_job *job, pfl_error *error);
void schedule_job_release(schedule_job *job);

#endif

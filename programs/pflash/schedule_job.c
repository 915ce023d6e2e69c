#include "schedule_job.h"

#include <string.h>

#include "words.h"

static const pfl_allocator heap;

/* Spans of a trace: as many as a browser can still show. */
#define SPANS_MAX 400000

/* ---- Summaries ----------------------------------------------------------- */

/* How many of the programs that run are what the work is counted for. */
static int kernel_count(const schedule_job *job) {
  return job->compiled ? job->compile.program.kernel_count : 1;
}

static pfl_status add_summary(schedule_job *job, const schedule_result *result,
                              const schedule_profile *profile,
                              pfl_error *error) {
  base_text *list = &job->lists[1];
  schedule_summary summary;
  schedule_work work = {0};
  if (kernel_count(job) == 1 && !profile->program->top &&
      schedule_job_wants(job, profile->program->name))
    work = job->work;
  PFL_TRY(schedule_summarize(result, profile, &job->model, work, &heap,
                             &summary, error));
  base_text_add(list, (const char *)&summary, sizeof summary);
  int kernel = schedule_job_kernel(job, profile->program->name);
  const char *source = kernel < 0 ? NULL : base_text_get(&job->sources[kernel]);
  base_text_add(&job->lists[2], (const char *)&source, sizeof source);
  PFL_TRY(base_text_check(&job->lists[2], error));
  return base_text_check(list, error);
}

/* Of each program that ran, the chip that took longest. */
static pfl_status add_summaries(schedule_job *job,
                                const schedule_result *result,
                                pfl_error *error) {
  for (int64_t i = 0; i < result->profile_count; i += result->chips) {
    const schedule_profile *slowest = &result->profiles[i];
    for (int chip = 1; chip < result->chips; chip++)
      if (result->profiles[i + chip].cycles > slowest->cycles)
        slowest = &result->profiles[i + chip];
    if (slowest->calls) PFL_TRY(add_summary(job, result, slowest, error));
  }
  return PFL_STATUS_OK;
}

/* ---- Runs ---------------------------------------------------------------- */

/* Kernels that talk to each other run on all chips of the slice, and so do
 * programs that wait for their start on other chips. */
static bool is_joint(const schedule_program *program) {
  for (int64_t i = 0; i < program->symbol_count && program->top; i++)
    if (strstr(program->symbols[i].tag, "launch barrier")) return true;
  for (int64_t i = 0; i < program->instruction_count && !program->top; i++)
    if (program->instructions[i].remote) return true;
  return false;
}

static int chips_of(const schedule_job *job,
                    const schedule_program *const *programs, int64_t count) {
  if (job->options->chips) return job->options->chips;
  for (int64_t i = 0; i < count; i++)
    if (is_joint(programs[i])) return SCHEDULE_CHIPS_MAX;
  return 1;
}

static pfl_status run(schedule_job *job,
                      const schedule_program *const *programs, int64_t count,
                      pfl_error *error) {
  const cli_options *options = job->options;
  bool spans = options->trace || options->html_path;
  const schedule_request request = {.programs = programs,
                                    .program_count = count,
                                    .aliases = job->dump.aliases,
                                    .alias_count = job->dump.alias_count,
                                    .inputs = job->inputs,
                                    .input_count = job->input_count,
                                    .chips = chips_of(job, programs, count),
                                    .cycle_limit = options->limit,
                                    .span_limit = spans ? SPANS_MAX : 0,
                                    .model = job->model};
  schedule_result result;
  PFL_TRY(schedule_run(&request, &heap, &result, error));
  base_text_add(&job->lists[0], (const char *)&result, sizeof result);
  pfl_status status = base_text_check(&job->lists[0], error);
  if (!status) return add_summaries(job, &result, error);
  schedule_result_release(&result, &heap);
  return status;
}

static pfl_status run_kernels(schedule_job *job, pfl_error *error) {
  char all[512] = "";
  bool found = false;
  for (int64_t i = 0; i < job->dump.program_count; i++) {
    const schedule_program *program = job->dump.programs[i];
    if (program->top && job->dump.program_count > 1) continue;
    words_append(all, sizeof all, "%s%s", *all ? ", " : "", program->name);
    if (!schedule_job_wants(job, program->name)) continue;
    PFL_TRY(run(job, &program, 1, error));
    found = true;
  }
  if (found) return PFL_STATUS_OK;
  PFL_RAISE(error, NOT_FOUND, "no listing is called %s: there are %s",
            job->options->kernel ? job->options->kernel : "as the kernels are",
            all);
}

static pfl_status run_whole(schedule_job *job, pfl_error *error) {
  if (!job->dump.has_top)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--whole needs the program around the kernels, which %s has not",
              base_text_get(&job->title));
  return run(job, (const schedule_program *const *)job->dump.programs,
             job->dump.program_count, error);
}

pfl_status schedule_job_do(schedule_job *job, pfl_error *error) {
  PFL_TRY(schedule_job_open(job, error));
  PFL_TRY(job->options->whole ? run_whole(job, error)
                              : run_kernels(job, error));
  job->report = (schedule_report){
      .title = base_text_get(&job->title),
      .model = &job->model,
      .results = (const schedule_result *)job->lists[0].bytes,
      .result_count = (int64_t)(job->lists[0].length / sizeof(schedule_result)),
      .summaries = (const schedule_summary *)job->lists[1].bytes,
      .summary_count =
          (int64_t)(job->lists[1].length / sizeof(schedule_summary)),
      .sources = (const char *const *)job->lists[2].bytes};
  return PFL_STATUS_OK;
}

void schedule_job_release(schedule_job *job) {
  schedule_result *results = (schedule_result *)job->lists[0].bytes;
  for (size_t i = 0; i < job->lists[0].length / sizeof *results; i++)
    schedule_result_release(&results[i], &heap);
  for (int i = 0; i < 3; i++) base_text_release(&job->lists[i]);
  for (int i = 0; i < KERNELS_MAX; i++) base_text_release(&job->sources[i]);
  for (int i = 0; i < INPUTS_MAX; i++) base_text_release(&job->words[i]);
  base_text_release(&job->title);
  schedule_dump_release(&job->dump);
  compile_job_release(&job->compile);
}

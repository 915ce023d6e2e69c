#include "schedule_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "output.h"
#include "words.h"

static const pfl_allocator heap;

/* ---- Inputs ----------------------------------------------------------------
 */

#define INPUT_BYTES_MAX (1 << 26)

static pfl_status read_text(const char *path, base_text *out_text,
                            pfl_error *error) {
  base_file file;
  PFL_TRY(base_file_open(path, &file, error));
  pfl_status status = PFL_STATUS_OK;
  if (file.size > INPUT_BYTES_MAX)
    status =
        base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                       "%.300s is larger than %d bytes", path, INPUT_BYTES_MAX);
  char *bytes = status ? NULL : base_allocate(&heap, (size_t)file.size + 1);
  if (!status && !bytes)
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for %.300s", path);
  if (!status) status = base_file_read(&file, bytes, file.size, 0, error);
  if (!status) base_text_add(out_text, bytes, (size_t)file.size);
  if (!status) status = base_text_check(out_text, error);
  base_release(&heap, bytes);
  base_file_close(&file);
  return status;
}

/* Whole numbers with anything between them that JSON has there. */
static pfl_status add_words(const char *text, base_text *out_words,
                            pfl_error *error) {
  static const char between[] = " ,\t\r\n[]";
  for (text += strspn(text, between); *text; text += strspn(text, between)) {
    char *end;
    long long number = strtoll(text, &end, 0);
    if (end == text || number < INT32_MIN || number > UINT32_MAX)
      PFL_RAISE(error, INVALID_ARGUMENT, "'%.20s' is no 32-bit integer", text);
    uint32_t word = (uint32_t)number;
    base_text_add(out_words, (const char *)&word, sizeof word);
    text = end;
  }
  return base_text_check(out_words, error);
}

static pfl_status add_input(schedule_job *job, const char *option,
                            pfl_error *error) {
  const char *values = strchr(option, '=') + 1;
  base_text *words = &job->words[job->input_count], file = {0};
  schedule_input *input = &job->inputs[job->input_count++];
  pfl_status status = PFL_STATUS_OK;
  if (*values == '@') status = read_text(values + 1, &file, error);
  if (!status)
    status =
        add_words(*values == '@' ? base_text_get(&file) : values, words, error);
  base_text_release(&file);
  *input = (schedule_input){.operand = strtoll(option, NULL, 10),
                            .words = (const uint32_t *)words->bytes,
                            .count = (int64_t)(words->length / 4)};
  return name_option("--input", status, error);
}

/* ---- Runs ------------------------------------------------------------------
 */

static bool communicates(const schedule_program *program) {
  for (int64_t i = 0; i < program->instruction_count; i++)
    if (program->instructions[i].remote) return true;
  return false;
}

static pfl_status add_summary(schedule_job *job, const schedule_result *result,
                              const schedule_profile *profile,
                              pfl_error *error) {
  base_text *list = &job->lists[1];
  schedule_summary summary;
  PFL_TRY(schedule_summarize(result, profile, &job->model, job->flops, &heap,
                             &summary, error));
  base_text_add(list, (const char *)&summary, sizeof summary);
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

static pfl_status run(schedule_job *job,
                      const schedule_program *const *programs, int64_t count,
                      pfl_error *error) {
  int chips = job->options->chips;
  if (!chips) chips = communicates(programs[0]) ? SCHEDULE_CHIPS_MAX : 1;
  const schedule_request request = {.programs = programs,
                                    .program_count = count,
                                    .aliases = job->dump.aliases,
                                    .alias_count = job->dump.alias_count,
                                    .inputs = job->inputs,
                                    .input_count = job->input_count,
                                    .chips = chips,
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
  const char *wanted = job->options->kernel;
  char all[512] = "";
  bool found = false;
  for (int64_t i = 0; i < job->dump.program_count; i++) {
    const schedule_program *program = job->dump.programs[i];
    if (program->top && job->dump.program_count > 1) continue;
    words_append(all, sizeof all, "%s%s", *all ? ", " : "", program->name);
    if (wanted && strcmp(wanted, program->name)) continue;
    PFL_TRY(run(job, &program, 1, error));
    found = true;
  }
  if (found) return PFL_STATUS_OK;
  PFL_RAISE(error, NOT_FOUND, "--kernel is '%s': must be one of %s", wanted,
            all);
}

static pfl_status run_whole(schedule_job *job, pfl_error *error) {
  if (!job->dump.has_top)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--whole needs the program around the kernels: %s has none",
              job->options->listing);
  return run(job, (const schedule_program *const *)job->dump.programs,
             job->dump.program_count, error);
}

pfl_status schedule_job_do(schedule_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  job->model = schedule_model_default();
  job->flops = options->flops;
  for (int i = 0; i < options->input_count; i++)
    PFL_TRY(add_input(job, options->inputs[i], error));
  PFL_TRY(schedule_dump_read(options->listing, &heap, &job->dump, error));
  PFL_TRY(options->whole ? run_whole(job, error) : run_kernels(job, error));
  job->report = (schedule_report){
      .title = options->listing,
      .model = &job->model,
      .results = (const schedule_result *)job->lists[0].bytes,
      .result_count = (int64_t)(job->lists[0].length / sizeof(schedule_result)),
      .summaries = (const schedule_summary *)job->lists[1].bytes,
      .summary_count =
          (int64_t)(job->lists[1].length / sizeof(schedule_summary))};
  return PFL_STATUS_OK;
}

void schedule_job_release(schedule_job *job) {
  schedule_result *results = (schedule_result *)job->lists[0].bytes;
  for (size_t i = 0; i < job->lists[0].length / sizeof *results; i++)
    schedule_result_release(&results[i], &heap);
  for (int i = 0; i < 2; i++) base_text_release(&job->lists[i]);
  for (int i = 0; i < INPUTS_MAX; i++) base_text_release(&job->words[i]);
  schedule_dump_release(&job->dump);
}

/* pflash tune: the best tiles of a TPU program, by its predicted cycles. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "output.h"
#include "tune_job.h"

/* ---- Text ---------------------------------------------------------------- */

static void print_tiles(const tune_candidate *candidate) {
  for (int i = 0; i < candidate->tile_count; i++)
    printf(" %s=%" PRId64, candidate->tiles[i].name, candidate->tiles[i].value);
}

static void print_row(const tune_job *job, const tune_candidate *candidate) {
  const tune_candidate *base = tune_at(job, 0);
  if (!candidate->cycles) {
    printf("%10s  %8s %7s %9s %6s ", "-", "", "", "", "");
    print_tiles(candidate);
    printf("\n            %s\n", candidate->failure);
    return;
  }
  printf("%10" PRId64 "  %8.1f", candidate->cycles, candidate->us);
  if (base->cycles)
    printf(" %6.1f%%", 100 * (double)candidate->cycles / (double)base->cycles);
  else
    printf(" %7s", "");
  printf(" %9" PRId64 " %6.1f ", candidate->spills,
         (double)candidate->vmem_bytes / (1 << 20));
  print_tiles(candidate);
  printf("%s\n", candidate == base ? "  (the plan's own)" : "");
}

static void print_text(const tune_job *job, const int64_t *ranks) {
  printf("%s\n%10s  %8s %7s %9s %6s  tiles\n", job->key, "cycles", "us",
         "of plan", "spills", "MiB");
  for (int64_t i = 0; i < tune_count(job); i++)
    print_row(job, tune_at(job, ranks[i]));
  if (job->options->out)
    printf("table   %s%s\n", job->options->out,
           tune_gains(job) ? "" : ": no row, the plan's own tiles do as well");
}

/* ---- JSON ---------------------------------------------------------------- */

static void write_candidate(json_writer *json,
                            const tune_candidate *candidate) {
  json_begin_object(json, NULL);
  json_begin_object(json, "tiles");
  for (int i = 0; i < candidate->tile_count; i++)
    json_write_int64(json, candidate->tiles[i].name, candidate->tiles[i].value);
  json_end(json);
  if (candidate->cycles) {
    json_write_int64(json, "cycles", candidate->cycles);
    json_write_double(json, "time_us", candidate->us);
    json_write_int64(json, "spill_stores", candidate->spills);
    json_write_int64(json, "vmem_bytes", candidate->vmem_bytes);
  } else {
    json_write_string(json, "failure", candidate->failure);
  }
  json_end(json);
}

static pfl_status print_json(const tune_job *job, const int64_t *ranks,
                             pfl_error *error) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  json_write_string(&json, "key", job->key);
  json_write_string(&json, "evidence", "predicted by the cycle model");
  json_begin_array(&json, "candidates");
  for (int64_t i = 0; i < tune_count(job); i++)
    write_candidate(&json, tune_at(job, ranks[i]));
  json_end(&json);
  json_end(&json);
  base_text_add_string(&text, "\n");
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}

/* ---- The command --------------------------------------------------------- */

static pfl_status print_ranks(const tune_job *job, pfl_error *error) {
  int64_t *ranks = malloc((size_t)tune_count(job) * sizeof *ranks);
  if (!ranks) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a table");
  pfl_status status = PFL_STATUS_OK;
  tune_job_rank(job, ranks);
  if (job->options->json)
    status = print_json(job, ranks, error);
  else
    print_text(job, ranks);
  free(ranks);
  return status;
}

/* Before minutes of work, whether the table can be written. */
static pfl_status check_table(const cli_options *options, pfl_error *error) {
  if (!options->out) return PFL_STATUS_OK;
  return name_option("--out", output_check(options->out, error), error);
}

/* The processes that tune starts end with it (schedule.c). */
static void name_parent(void) {
  char id[32];
  snprintf(id, sizeof id, "%ld", (long)getpid());
  (void)!setenv("PFLASH_TUNE", id, 1);
}

int tune_command(const cli_options *options) {
  tune_job job = {.options = options};
  pfl_error error;
  name_parent();
  int code = EXIT_DONE;
  if (tpu_request_make(options, &job.request, &error))
    code = print_misuse(COMMAND_TUNE, &error);
  else if (check_table(options, &error) || tune_job_do(&job, &error) ||
           print_ranks(&job, &error))
    code = print_failure(COMMAND_TUNE, &error);
  tune_job_release(&job);
  return code;
}

/* Measuring the rows of a suite. */
#include "bench/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

/* ---- What is left to do ------------------------------------------------ */

static bool is_missing(const suite_run *run, const bench_workload *workload,
                       int32_t threads, int32_t process) {
  const report_row *row = report_find_row(run->report, workload, threads);
  return !row || !report_row_has(row, process);
}

int64_t suite_missing(const suite_run *run, int32_t process) {
  bench_workload workload;
  int64_t missing = 0;
  for (int64_t n = 0; bench_workload_get(run->suite, n, &workload); n++)
    for (int i = 0; i < run->lane_count; i++)
      missing += is_missing(run, &workload, run->lanes[i].threads, process);
  return missing;
}

/* Of this process and those after it. */
static double seconds_left(const suite_run *run) {
  const bench_effort *effort = &run->report->manifest.effort;
  int32_t processes = run->report->manifest.processes;
  double each = (machine_now() - run->started) / (double)base_max(1, run->done);
  if (!run->done) /* a guess: what is asked for, and as much to prepare it */
    each = 2 * run->report->side_count *
           (effort->warm_seconds + effort->min_seconds);
  int64_t rows = 0;
  for (int32_t p = run->process; p < processes; p++)
    rows += suite_missing(run, p);
  return each * (double)rows;
}

/* "40 s", "12 min", "1 h 20 min" */
static const char *tell_time(double seconds, char text[32]) {
  long minutes = (long)(seconds / 60 + 0.5);
  if (seconds < 100)
    snprintf(text, 32, "%.0f s", seconds);
  else if (minutes < 100)
    snprintf(text, 32, "%ld min", minutes);
  else
    snprintf(text, 32, "%ld h %ld min", minutes / 60, minutes % 60);
  return text;
}

static void tell_start(const suite_run *run) {
  FILE *talk = run->options->talk;
  int32_t processes = run->report->manifest.processes;
  char text[32], part[64] = "";
  if (!talk) return;
  if (processes > 1)
    snprintf(part, sizeof part, "process %d of %d: ", run->process + 1,
             processes);
  fprintf(talk, "bench: %s%lld rows, about %s left\n", part,
          (long long)suite_missing(run, run->process),
          tell_time(seconds_left(run), text));
  fflush(talk);
}

static void tell_sides(FILE *talk, const report_row *row, int side_count) {
  for (int i = 0; i < side_count; i++) {
    const report_side *side = &row->sides[i];
    const bench_samples *samples = &side->processes[0];
    const char *name = i ? side->title : "ours";
    if (report_side_measured(side) && samples->count)
      fprintf(talk, ", %s %.2f ms", name,
              samples->total / (double)samples->count / (double)samples->batch *
                  1e3);
    else
      fprintf(talk, ", %s skipped: %s", name, side->reason);
  }
}

static void tell_row(const suite_run *run, const report_row *row) {
  FILE *talk = run->options->talk;
  char name[BENCH_NAME_SIZE];
  int64_t all = bench_workload_count(run->suite) * run->lane_count;
  int64_t left = suite_missing(run, run->process) - 1;
  if (!talk) return;
  fprintf(talk, "bench: %lld of %lld: %s on %d thread%s",
          (long long)(all - left), (long long)all,
          bench_workload_name(&row->workload, name), row->threads,
          row->threads == 1 ? "" : "s");
  tell_sides(talk, row, run->report->side_count);
}

static void tell_left(const suite_run *run) {
  char text[32];
  if (!run->options->talk) return;
  fprintf(run->options->talk, "; about %s left\n",
          tell_time(seconds_left(run), text));
  fflush(run->options->talk);
}

/* ---- Rows -------------------------------------------------------------- */

/* Keeps a finished row: in the journal first, then in the report. */
static pfl_status keep_row(suite_run *run, report_row *row, pfl_error *error) {
  int sides = run->report->side_count;
  if (run->journal) PFL_TRY(journal_add(run->journal, row, sides, error));
  tell_row(run, row);
  run->done++;
  PFL_TRY(report_add_row(run->report, row, error));
  tell_left(run);
  return PFL_STATUS_OK;
}

static pfl_status measure_row(suite_run *run, bench_lane *lane,
                              bench_tensors *tensors, const bench_gate *gate,
                              pfl_error *error) {
  int sides = run->report->side_count;
  double start = machine_now(), stolen = machine_stolen();
  report_row row;
  PFL_TRY(report_row_create(&tensors->workload, lane->threads, run->process,
                            sides, &row, error));
  pfl_status status = lane_measure(lane, tensors, gate,
                                   &run->report->manifest.effort, &row, error);
  row.seconds = machine_now() - start;
  row.stolen = fmax(0, machine_stolen() - stolen);
  if (status == PFL_STATUS_OK) status = keep_row(run, &row, error);
  report_row_release(&row, sides);
  return status;
}

/* A row that does not fit this machine's memory is told and not dropped (rule
 * 14). */
static pfl_status refuse_row(suite_run *run, const bench_lane *lane,
                             const bench_workload *workload, double bytes,
                             pfl_error *error) {
  int sides = run->report->side_count;
  report_row row;
  PFL_TRY(report_row_create(workload, lane->threads, run->process, sides, &row,
                            error));
  snprintf(row.sides[0].title, sizeof row.sides[0].title, "pallas-flash %s",
           pfl_version());
  row.limit = bench_workload_limit(workload, lane->kernels.dot != NULL);
  for (int i = 0; i < sides; i++) {
    if (i)
      snprintf(row.sides[i].title, sizeof row.sides[i].title, "%s",
               run->options->peers[i - 1]);
    snprintf(row.sides[i].reason, sizeof row.sides[i].reason,
             "infeasible: it takes %.1f GB of this machine's %.1f GB",
             bytes * 1e-9,
             (double)run->report->manifest.machine.memory_bytes * 1e-9);
  }
  pfl_status status = keep_row(run, &row, error);
  report_row_release(&row, sides);
  return status;
}

/* Tensors, with the copies of a cache, may take three quarters of it. */
static bool fits(const suite_run *run, const bench_workload *workload,
                 double *out_bytes) {
  *out_bytes = bench_workload_footprint(workload);
  if (workload->op == BENCH_OP_DECODE)
    *out_bytes += fmax(*out_bytes, (double)run->ring_bytes);
  return *out_bytes <=
         0.75 * (double)run->report->manifest.machine.memory_bytes;
}

static pfl_status measure_lanes(suite_run *run, bench_tensors *tensors,
                                pfl_error *error) {
  bench_gate gate;
  PFL_TRY(gate_create(tensors, run->pool, &gate, error));
  pfl_status status = PFL_STATUS_OK;
  for (int i = 0; i < run->lane_count && status == PFL_STATUS_OK; i++)
    if (is_missing(run, &tensors->workload, run->lanes[i].threads,
                   run->process))
      status = measure_row(run, &run->lanes[i], tensors, &gate, error);
  gate_release(&gate);
  return status;
}

static pfl_status measure_workload(suite_run *run,
                                   const bench_workload *workload,
                                   pfl_error *error) {
  bench_tensors tensors;
  double bytes;
  bool missing = false, feasible = fits(run, workload, &bytes);
  for (int i = 0; i < run->lane_count; i++) {
    if (!is_missing(run, workload, run->lanes[i].threads, run->process))
      continue;
    missing = true;
    if (!feasible)
      PFL_TRY(refuse_row(run, &run->lanes[i], workload, bytes, error));
  }
  if (!missing || !feasible) return PFL_STATUS_OK;
  PFL_TRY(tensors_create(workload, run->report->manifest.seed, run->ring_bytes,
                         run->pool, &tensors, error));
  pfl_status status = measure_lanes(run, &tensors, error);
  tensors_release(&tensors);
  return status;
}

pfl_status suite_measure(suite_run *run, int32_t process, pfl_error *error) {
  bench_workload workload;
  run->process = process;
  run->done = 0;
  run->started = machine_now();
  tell_start(run);
  for (int64_t n = 0; bench_workload_get(run->suite, n, &workload); n++)
    PFL_TRY(measure_workload(run, &workload, error));
  return PFL_STATUS_OK;
}

/* ---- A process of its own ---------------------------------------------- */

/* The command with what makes it that process' behind it; malloc's. */
static const char **make_command(const char *const *self, const char *path,
                                 const char *number) {
  size_t count = 0;
  while (self[count]) count++;
  const char **command = malloc((count + 5) * sizeof *command);
  if (!command) return NULL;
  memcpy(command, self, count * sizeof *command);
  const char *const more[] = {"--journal", path, "--process", number, NULL};
  memcpy(command + count, more, sizeof more);
  return command;
}

static pfl_status wait_for(pid_t child, int32_t process, pfl_error *error) {
  int how;
  while (waitpid(child, &how, 0) < 0)
    if (errno != EINTR)
      PFL_RAISE(error, UNAVAILABLE, "process %d is lost: %s", process + 1,
                strerror(errno));
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return PFL_STATUS_OK;
  if (WIFSIGNALED(how))
    PFL_RAISE(error, UNAVAILABLE, "process %d was ended by signal %d",
              process + 1, WTERMSIG(how));
  PFL_RAISE(error, UNAVAILABLE, "process %d ended with exit code %d",
            process + 1, WEXITSTATUS(how));
}

pfl_status suite_spawn(const suite_run *run, int32_t process, const char *path,
                       pfl_error *error) {
  char number[16];
  pid_t child;
  posix_spawn_file_actions_t actions;
  snprintf(number, sizeof number, "%d", process + 1);
  const char **command = make_command(run->options->self, path, number);
  if (!command) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a process");
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  int failed = posix_spawn(&child, command[0], &actions, NULL,
                           (char *const *)command, environ);
  posix_spawn_file_actions_destroy(&actions);
  free(command);
  if (failed)
    PFL_RAISE(error, UNAVAILABLE, "process %d cannot be started: %s",
              process + 1, strerror(failed));
  return wait_for(child, process, error);
}

/* Rows: made, joined, released. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"

pfl_status report_row_create(const bench_workload *workload, int32_t threads,
                             int32_t process, int side_count,
                             report_row *out_row, pfl_error *error) {
  *out_row = (report_row){
      .workload = *workload,
      .threads = threads,
      .work = bench_workload_work(workload),
      .process_count = 1,
      .process_ids = {process},
      .limit_processes = calloc(1, sizeof *out_row->limit_processes),
      .sides = calloc((size_t)side_count, sizeof *out_row->sides),
  };
  machine_start(out_row->starts[0]);
  bool room = out_row->limit_processes && out_row->sides;
  for (int i = 0; room && i < side_count; i++) {
    out_row->sides[i].processes = calloc(1, sizeof(bench_samples));
    room = out_row->sides[i].processes;
  }
  if (room) return PFL_STATUS_OK;
  report_row_release(out_row, side_count);
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
}

static void release_processes(bench_samples *processes, int64_t count) {
  for (int64_t i = 0; processes && i < count; i++)
    samples_release(&processes[i]);
  free(processes);
}

void report_row_release(report_row *row, int side_count) {
  release_processes(row->limit_processes, row->process_count);
  for (int i = 0; row->sides && i < side_count; i++)
    release_processes(row->sides[i].processes, row->process_count);
  free(row->sides);
  *row = (report_row){0};
}

void report_release(bench_report *report) {
  for (int64_t i = 0; i < report->row_count; i++)
    report_row_release(&report->rows[i], report->side_count);
  free(report->rows);
  free(report->manifest.command);
  economy_close(&report->economy);
  forecast_release(&report->forecast);
  *report = (bench_report){0};
}

report_row *report_find_row(const bench_report *report,
                            const bench_workload *workload, int32_t threads) {
  for (int64_t i = 0; i < report->row_count; i++) {
    report_row *row = &report->rows[i];
    if (row->threads == threads &&
        bench_workload_equal(&row->workload, workload))
      return row;
  }
  return NULL;
}

bool report_row_has(const report_row *row, int32_t process) {
  for (int64_t i = 0; i < row->process_count; i++)
    if (row->process_ids[i] == process) return true;
  return false;
}

/* Room for `count` of them; what is there stays. */
static bool grow(bench_samples **processes, int64_t count) {
  bench_samples *all = realloc(*processes, (size_t)count * sizeof *all);
  if (all) *processes = all;
  return all != NULL;
}

static void move_samples(bench_samples *to, bench_samples *from,
                         int64_t count) {
  memcpy(to, from, (size_t)count * sizeof *to);
  memset(from, 0, (size_t)count * sizeof *from);
}

static gate_verdict worse(gate_verdict a, gate_verdict b) {
  if (isnan(a.relative) || a.relative > b.relative) return a;
  return b;
}

/* A side that could not be measured in one process is not measured. */
static void join_sides(report_side *side, int64_t count, report_side *more,
                       int64_t more_count) {
  move_samples(side->processes + count, more->processes, more_count);
  if (!*side->reason && *more->reason)
    memcpy(side->reason, more->reason, sizeof side->reason);
  if (!*more->reason) {
    memcpy(side->title, more->title, sizeof side->title);
    memcpy(side->device, more->device, sizeof side->device);
    side->chips = more->chips;
  }
  side->verdict = worse(side->verdict, more->verdict);
}

static pfl_status join_rows(report_row *row, report_row *more, int side_count,
                            pfl_error *error) {
  int64_t count = row->process_count, more_count = more->process_count;
  char name[BENCH_NAME_SIZE];
  bench_workload_name(&row->workload, name);
  for (int64_t i = 0; i < more_count; i++)
    if (report_row_has(row, more->process_ids[i]))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s on %d threads is there twice in process %d", name,
                row->threads, more->process_ids[i]);
  if (count + more_count > REPORT_PROCESSES_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s has more than %d processes", name,
              REPORT_PROCESSES_MAX);
  bool room = grow(&row->limit_processes, count + more_count);
  for (int i = 0; room && i < side_count; i++)
    room = grow(&row->sides[i].processes, count + more_count);
  if (!room) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  move_samples(row->limit_processes + count, more->limit_processes, more_count);
  for (int i = 0; i < side_count; i++)
    join_sides(&row->sides[i], count, &more->sides[i], more_count);
  memcpy(row->process_ids + count, more->process_ids,
         (size_t)more_count * sizeof *row->process_ids);
  memcpy(row->starts + count, more->starts,
         (size_t)more_count * sizeof *row->starts);
  row->process_count += more_count;
  row->limit_work = fmax(row->limit_work, more->limit_work);
  row->seconds += more->seconds;
  row->stolen += more->stolen;
  report_row_release(more, side_count);
  return PFL_STATUS_OK;
}

pfl_status report_add_row(bench_report *report, report_row *row,
                          pfl_error *error) {
  report_row *same = report_find_row(report, &row->workload, row->threads);
  if (same) return join_rows(same, row, report->side_count, error);
  report_row *rows = realloc(
      report->rows, (size_t)(report->row_count + 1) * sizeof *report->rows);
  if (!rows) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the rows");
  report->rows = rows;
  rows[report->row_count++] = *row;
  *row = (report_row){0};
  return PFL_STATUS_OK;
}

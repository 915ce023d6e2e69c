/* All who run rows on one number of threads. */
#include "bench/lane.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/measure.h"

/* A peer that failed on this many rows in a row is not started again. */
enum { STRIKES_MAX = 2 };

/* ---- What is timed ----------------------------------------------------- */

typedef struct our_run {
  bench_tensors *tensors;
  pfl_context *context;
} our_run;

static pfl_status run_ours(void *self, int64_t times, double *out_seconds,
                           pfl_error *error) {
  our_run *run = self;
  pfl_status status = PFL_STATUS_OK;
  double start = machine_now();
  for (int64_t i = 0; i < times && status == PFL_STATUS_OK; i++)
    status = tensors_run(run->tensors, run->context, error);
  *out_seconds = machine_now() - start;
  return status;
}

/* By the peer's own clock, run by run. */
static pfl_status run_peer(void *self, int64_t times, double *out_seconds,
                           pfl_error *error) {
  *out_seconds = 0;
  for (int64_t i = 0; i < times; i++) {
    double seconds;
    PFL_TRY(peer_run(self, &seconds, error));
    *out_seconds += seconds;
  }
  return PFL_STATUS_OK;
}

typedef struct limit_run {
  bench_limit limit;
  const limits_kernels *kernels;
  base_threads *pool;
  const bench_tensors *tensors; /* READ reads decode's own memory */
  double work;
} limit_run;

static pfl_status run_limit(void *self, int64_t times, double *out_seconds,
                            pfl_error *error) {
  limit_run *run = self;
  (void)error;
  double start = machine_now();
  for (int64_t i = 0; i < times; i++) {
    limits_ring ring = tensors_ring(run->tensors);
    run->work = limits_run(run->limit, run->kernels, run->pool, &ring);
  }
  *out_seconds = machine_now() - start;
  return PFL_STATUS_OK;
}

/* ---- Peers ------------------------------------------------------------- */

/* The side is not measured for the reason in `error`, and if it is the peer's
 * fault the peer goes. */
static void turn_away(lane_guest *guest, report_side *side,
                      const pfl_error *error) {
  snprintf(side->reason, sizeof side->reason, "%s", error->message);
  if (error->status == PFL_STATUS_UNIMPLEMENTED) return;
  snprintf(guest->reason, sizeof guest->reason, "%s", error->message);
  peer_stop(guest->peer);
  guest->peer = NULL;
  guest->strikes++;
}

/* Has the peer ready to run the workload; else the side says why not. */
static void invite(bench_lane *lane, int which, const bench_tensors *tensors,
                   report_side *side, measure_series *series) {
  lane_guest *guest = &lane->guests[which];
  const char *name = lane->options->peers[which];
  pfl_error error = {0};
  snprintf(side->title, sizeof side->title, "%s", name);
  if (guest->strikes >= STRIKES_MAX) {
    snprintf(side->reason, sizeof side->reason, "%s", guest->reason);
    return;
  }
  pfl_status status = PFL_STATUS_OK;
  if (!guest->peer)
    status = peer_start(name, lane->threads, lane->directory,
                        (peer_patience){0}, &guest->peer, &error);
  if (status == PFL_STATUS_OK) {
    status = peer_load(guest->peer, tensors, &error);
    snprintf(side->title, sizeof side->title, "%s", peer_title(guest->peer));
    snprintf(side->device, sizeof side->device, "%s", peer_device(guest->peer));
    side->chips = peer_chips(guest->peer);
  }
  if (status != PFL_STATUS_OK) {
    turn_away(guest, side, &error);
    return;
  }
  series->subject = (measure_subject){.self = guest->peer,
                                      .run = run_peer,
                                      .process = peer_process(guest->peer),
                                      .meters = lane->meters};
}

/* After the runs: looks at what the peer computed. */
static void examine(lane_guest *guest, const bench_tensors *tensors,
                    const bench_gate *gate, const measure_series *series,
                    report_side *side) {
  pfl_error error = series->error;
  pfl_status status = series->status;
  if (status == PFL_STATUS_OK)
    status = peer_check(guest->peer, tensors, gate, &side->verdict, &error);
  if (status == PFL_STATUS_OK)
    guest->strikes = 0;
  else
    turn_away(guest, side, &error);
}

/* ---- One row ----------------------------------------------------------- */

/* The series of a row: the sides', then the limit's. */
typedef struct row_series {
  measure_series *all; /* [sides + 1] */
  int sides;
} row_series;

/* Lets all who can run take turns, and gives the row their samples. */
static pfl_status take_turns(report_row *row, row_series *series,
                             const bench_effort *effort, pfl_error *error) {
  measure_series **in_turn =
      malloc((size_t)(series->sides + 1) * sizeof *in_turn);
  int count = 0;
  if (!in_turn) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  for (int i = 0; i < series->sides; i++)
    if (report_side_measured(&row->sides[i]))
      in_turn[count++] = &series->all[i];
  in_turn[count++] = &series->all[series->sides];
  pfl_status status = measure_in_turns(in_turn, count, effort, error);
  for (int i = 0; i < series->sides; i++)
    row->sides[i].processes[0] = series->all[i].samples;
  row->limit_processes[0] = series->all[series->sides].samples;
  free(in_turn);
  return status;
}

/* Holds our outputs against the reference, or forwards our failure. */
static pfl_status check_ours(const bench_tensors *tensors,
                             const bench_gate *gate,
                             const measure_series *series, report_side *ours,
                             pfl_error *error) {
  const void *outputs[BENCH_OUTPUTS_MAX];
  if (series->status != PFL_STATUS_OK)
    return base_error_set(error, series->status, "%s", series->error.message);
  for (int i = 0; i < tensors->output_count; i++)
    outputs[i] = tensors->outputs[i].data;
  ours->verdict = gate_check(gate, outputs, tensors->workload.dtype);
  return PFL_STATUS_OK;
}

static pfl_status measure_sides(bench_lane *lane, bench_tensors *tensors,
                                const bench_gate *gate,
                                const bench_effort *effort, row_series *series,
                                report_row *row, pfl_error *error) {
  int peers = series->sides - 1;
  our_run run = {tensors, lane->context};
  limit_run limit = {row->limit, &lane->kernels, lane->pool, tensors, 0};
  series->all[0].subject = (measure_subject){.self = &run,
                                             .run = run_ours,
                                             .process = getpid(),
                                             .meters = lane->meters};
  series->all[1 + peers].subject = (measure_subject){
      .self = &limit, .run = run_limit, .process = getpid(), .companion = true};
  for (int i = 1; i <= peers; i++)
    invite(lane, i - 1, tensors, &row->sides[i], &series->all[i]);
  PFL_TRY(take_turns(row, series, effort, error));
  row->limit_work = limit.work;
  PFL_TRY(check_ours(tensors, gate, &series->all[0], &row->sides[0], error));
  for (int i = 1; i <= peers; i++)
    if (report_side_measured(&row->sides[i]))
      examine(&lane->guests[i - 1], tensors, gate, &series->all[i],
              &row->sides[i]);
  return PFL_STATUS_OK;
}

pfl_status lane_measure(bench_lane *lane, bench_tensors *tensors,
                        const bench_gate *gate, const bench_effort *effort,
                        report_row *row, pfl_error *error) {
  int sides = 1 + lane->options->peer_count;
  report_side *ours = &row->sides[0];
  snprintf(ours->title, sizeof ours->title, "pallas-flash %s", pfl_version());
  memcpy(row->sample, gate->sample, sizeof row->sample);
  row->limit = bench_workload_limit(&row->workload, lane->kernels.dot != NULL);
  bench_effort lasting = *effort;
  lasting.least_seconds =
      fmax(effort->least_seconds, DISPATCHES_LEAST * lane->dispatch_seconds);
  if (row->workload.op == BENCH_OP_BACKWARD)
    PFL_TRY(tensors_run_forward(tensors, lane->context, error));
  tensors_spoil_outputs(tensors);
  row_series series = {calloc((size_t)sides + 1, sizeof *series.all), sides};
  if (!series.all) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  pfl_status status =
      measure_sides(lane, tensors, gate, &lasting, &series, row, error);
  free(series.all);
  return status;
}

/* ---- The lane ---------------------------------------------------------- */

static void no_task(void *argument, int64_t task, int32_t worker) {
  (void)argument;
  (void)task;
  (void)worker;
}

/* The median of calls that do nothing on every thread. */
static double time_dispatch(base_threads *pool) {
  enum { CALLS = 101 };
  double seconds[CALLS];
  for (int i = 0; i < CALLS; i++) {
    double start = machine_now();
    base_threads_run(pool, base_threads_count(pool), no_task, NULL);
    seconds[i] = machine_now() - start;
  }
  return statistics_summarize(seconds, CALLS).median;
}

pfl_status lane_open(bench_lane *lane, const bench_options *options,
                     int32_t threads, const char *directory, pfl_error *error) {
  static const pfl_allocator allocator = {0};
  pfl_context_options context = {
      .struct_size = sizeof context, .threads = threads, .isa = options->isa};
  *lane = (bench_lane){
      .options = options,
      .threads = threads,
      .kernels = limits_kernels_best(),
      .directory = directory,
      .guests = calloc((size_t)options->peer_count + 1, sizeof *lane->guests),
  };
  if (!lane->guests)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the peers");
  PFL_TRY(base_threads_create(&allocator, threads, &lane->pool, error));
  lane->dispatch_seconds = time_dispatch(lane->pool);
  lane->meters = energy_open();
  return pfl_context_create(&context, &lane->context, error);
}

void lane_close(bench_lane *lane) {
  for (int i = 0; lane->guests && i < lane->options->peer_count; i++)
    peer_stop(lane->guests[i].peer);
  free(lane->guests);
  energy_close(lane->meters);
  pfl_context_destroy(lane->context);
  base_threads_destroy(lane->pool);
}

/* All who run rows on one number of threads. */
#include "bench/lane.h"

#include <stdlib.h>
#include <unistd.h>

/* A peer that failed on this many rows in a row is not started again. */
enum { STRIKES_MAX = 2 };

/* ---- What is timed ----------------------------------------------------- */

typedef struct our_run {
  bench_tensors *tensors;
  pfl_context *context;
} our_run;

static pfl_status run_ours(void *self, double *out_seconds, pfl_error *error) {
  our_run *run = self;
  double start = machine_now();
  pfl_status status = tensors_run(run->tensors, run->context, error);
  *out_seconds = machine_now() - start;
  return status;
}

static pfl_status run_peer(void *self, double *out_seconds, pfl_error *error) {
  return peer_run(self, out_seconds, error);
}

typedef struct limit_run {
  bench_limit limit;
  const limits_kernels *kernels;
  base_threads *pool;
  const bench_tensors *tensors; /* READ reads decode's own memory */
  double work;
} limit_run;

static pfl_status run_limit(void *self, double *out_seconds, pfl_error *error) {
  limit_run *run = self;
  (void)error;
  limits_ring ring = tensors_ring(run->tensors);
  double start = machine_now();
  run->work = limits_run(run->limit, run->kernels, run->pool, &ring);
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
                   report_side *side) {
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
  }
  if (status != PFL_STATUS_OK) {
    turn_away(guest, side, &error);
    return;
  }
  side->series.subject = (measure_subject){guest->peer, run_peer,
                                           peer_process(guest->peer), false};
}

/* After the runs: looks at what the peer computed. */
static void examine(lane_guest *guest, const bench_tensors *tensors,
                    const bench_gate *gate, report_side *side) {
  pfl_error error = side->series.error;
  pfl_status status = side->series.status;
  if (status == PFL_STATUS_OK)
    status = peer_check(guest->peer, tensors, gate, &side->verdict, &error);
  if (status == PFL_STATUS_OK)
    guest->strikes = 0;
  else
    turn_away(guest, side, &error);
}

/* ---- One row ----------------------------------------------------------- */

/* Lets all who can run take turns. */
static pfl_status take_turns(report_row *row, int sides,
                             const bench_effort *effort, pfl_error *error) {
  measure_series **series = malloc((size_t)(sides + 1) * sizeof *series);
  int count = 0;
  if (!series) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  for (int i = 0; i < sides; i++)
    if (report_side_measured(&row->sides[i]))
      series[count++] = &row->sides[i].series;
  series[count++] = &row->limit_series;
  pfl_status status = measure_in_turns(series, count, effort, error);
  free(series);
  return status;
}

/* Holds our outputs against the reference, or forwards our failure. */
static pfl_status check_ours(const bench_tensors *tensors,
                             const bench_gate *gate, report_side *ours,
                             pfl_error *error) {
  const void *outputs[BENCH_OUTPUTS_MAX];
  if (ours->series.status != PFL_STATUS_OK)
    return base_error_set(error, ours->series.status, "%s",
                          ours->series.error.message);
  for (int i = 0; i < tensors->output_count; i++)
    outputs[i] = tensors->outputs[i].data;
  ours->verdict = gate_check(gate, outputs, tensors->workload->dtype);
  return PFL_STATUS_OK;
}

pfl_status lane_measure(bench_lane *lane, bench_tensors *tensors,
                        const bench_gate *gate, const bench_effort *effort,
                        report_row *row, pfl_error *error) {
  int peers = lane->options->peer_count;
  report_side *ours = &row->sides[0];
  snprintf(ours->title, sizeof ours->title, "pallas-flash %s", pfl_version());
  our_run run = {tensors, lane->context};
  ours->series.subject = (measure_subject){&run, run_ours, getpid(), false};
  limit_run limit = {row->limit, &lane->kernels, lane->pool, tensors, 0};
  row->limit_series.subject =
      (measure_subject){&limit, run_limit, getpid(), true};
  if (row->workload->op == BENCH_OP_BACKWARD)
    PFL_TRY(tensors_run_forward(tensors, lane->context, error));
  tensors_spoil_outputs(tensors);
  for (int i = 0; i < peers; i++) invite(lane, i, tensors, &row->sides[1 + i]);
  PFL_TRY(take_turns(row, 1 + peers, effort, error));
  row->limit_work = limit.work;
  PFL_TRY(check_ours(tensors, gate, ours, error));
  for (int i = 0; i < peers; i++)
    if (report_side_measured(&row->sides[1 + i]))
      examine(&lane->guests[i], tensors, gate, &row->sides[1 + i]);
  return report_row_finish(row, 1 + peers, error);
}

/* ---- The lane ----------------------------------------------------------- */

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
  return pfl_context_create(&context, &lane->context, error);
}

void lane_close(bench_lane *lane) {
  for (int i = 0; lane->guests && i < lane->options->peer_count; i++)
    peer_stop(lane->guests[i].peer);
  free(lane->guests);
  pfl_context_destroy(lane->context);
  base_threads_destroy(lane->pool);
}

/* A lane: all who run rows on one number of threads - we, the peers, the
 * limits. */
#ifndef PFL_BENCH_LANE_H
#define PFL_BENCH_LANE_H

#include "bench/peer.h"
#include "bench/report.h"

/* A timed region is at least this many steps of the clock, and this many empty
 * calls, long (rule 23). */
enum { RESOLUTIONS_LEAST = 1000, DISPATCHES_LEAST = 100 };

/* A peer as guest of a lane: one process for all rows, so that it need not
 * start anew for each. */
typedef struct lane_guest {
  bench_peer *peer;              /* NULL: not running */
  int strikes;                   /* failures since its last good row */
  char reason[PFL_MESSAGE_SIZE]; /* of the last failure */
} lane_guest;

typedef struct bench_lane {
  const bench_options *options;
  int32_t threads;
  pfl_context *context;
  limits_kernels kernels;
  base_threads *pool; /* for the limits */
  const char *directory;
  energy_meters *meters;   /* NULL: there are none */
  lane_guest *guests;      /* [options.peer_count] */
  double dispatch_seconds; /* an empty call on every thread (rule 23) */
} bench_lane;

/* `directory`, for the peers' files, must outlive the lane, as `options` must.
 * UNAVAILABLE: an instruction set this CPU lacks. RESOURCE_EXHAUSTED. Whether
 * it succeeds or not, lane_close releases what there is; a zero lane has
 * nothing. */
PFL_NODISCARD pfl_status lane_open(bench_lane *lane,
                                   const bench_options *options,
                                   int32_t threads, const char *directory,
                                   pfl_error *error);
void lane_close(bench_lane *lane);

/* Measures a row that report_row_create made and fills in what is measured. A
 * peer that fails is a side with a reason; our own failure is an error. */
PFL_NODISCARD pfl_status lane_measure(bench_lane *lane, bench_tensors *tensors,
                                      const bench_gate *gate,
                                      const bench_effort *effort,
                                      report_row *row, pfl_error *error);

#endif

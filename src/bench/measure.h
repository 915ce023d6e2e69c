/* Times several subjects on the same machine in the same minutes. */
#ifndef PFL_BENCH_MEASURE_H
#define PFL_BENCH_MEASURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"
#include "bench/samples.h"
#include "bench/workloads.h"

/* What is timed: our kernel, a peer, a limit. */
typedef struct measure_subject {
  void *self;
  /* Runs it some times, one after the other; says how long all took. */
  pfl_status (*run)(void *self, int64_t times, double *out_seconds,
                    pfl_error *error);
  pid_t process;         /* whose threads do it: this one or another */
  bool companion; /* a limit: it runs as long as the others do, and no row
                     waits for it */
  energy_meters *meters; /* NULL: its energy is not asked for */
} measure_subject;

typedef struct measure_series {
  measure_subject subject;
  bench_samples samples;
  pfl_status status; /* not OK: it gave up, for the reason in error */
  pfl_error error;
} measure_series;

/* Warms each subject up, then lets them take turns in blocks of some runs: A B
 * C C B A A B C ..., so that whatever the machine does in the meantime it does
 * to all (rule 30). A block of short runs begins with one that is not counted;
 * a subject in another process is given time to fall asleep after its block.
 * Runs shorter than effort->least_seconds are timed some at a time. Ends when
 * every subject has what `effort` asks for; a subject that fails is left out
 * from then on. Before the call `subject` is set in each series and the rest is
 * zero. RESOURCE_EXHAUSTED: no memory. */
PFL_NODISCARD pfl_status measure_in_turns(measure_series *const *series,
                                          int count, const bench_effort *effort,
                                          pfl_error *error);

#endif

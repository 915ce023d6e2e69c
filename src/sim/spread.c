#include "sim/spread.h"

#include "base/memory.h"
#include "base/threads.h"

typedef struct spread {
  sim_range_fn *run;
  const void *job;
  int64_t count, grain;
} spread;

static void run_task(void *argument, int64_t task, int32_t worker) {
  const spread *x = argument;
  int64_t first = task * x->grain;
  (void)worker;
  x->run(x->job, first, base_min(first + x->grain, x->count));
}

void sim_spread(const sim_chip *chip, int64_t count, int64_t grain,
                sim_range_fn *run, const void *job) {
  spread x = {run, job, count, grain};
  if (!chip->threads || count <= grain)
    run(job, 0, count);
  else
    base_threads_run(chip->threads, base_ceil_div(count, grain), run_task, &x);
}

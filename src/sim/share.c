#include "sim/share.h"

#include "base/memory.h"
#include "base/threads.h"

typedef struct share {
  sim_range_fn *run;
  const void *job;
  int64_t count, grain;
} share;

static void run_task(void *argument, int64_t task, int32_t worker) {
  const share *x = argument;
  int64_t first = task * x->grain;
  (void)worker;
  x->run(x->job, first, base_min(first + x->grain, x->count));
}

void sim_share(const sim_chip *chip, int64_t count, int64_t grain,
               sim_range_fn *run, const void *job) {
  share x = {run, job, count, grain};
  if (!chip->threads || count <= grain)
    run(job, 0, count);
  else
    base_threads_run(chip->threads, base_ceil_div(count, grain), run_task, &x);
}

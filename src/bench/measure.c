/* Times several subjects in turns. */
#include "bench/measure.h"

#include <math.h>
#include <unistd.h>

#include "bench/machine.h"
#include "bench/statistics.h"

/* Long enough for the threads of an OpenMP pool, which look for work for some
 * milliseconds before they sleep (libgomp: 300,000 rounds). */
#define SETTLE_SECONDS 0.02
/* Runs shorter than this feel what another subject left in the caches. */
#define SHORT_SECONDS 0.01

static bool is_alive(const measure_series *s) {
  return s->status == PFL_STATUS_OK;
}

/* The time is 0 if it failed. */
static double run(measure_series *s, int64_t times) {
  double seconds = 0;
  s->status = s->subject.run(s->subject.self, times, &seconds, &s->error);
  return is_alive(s) ? seconds : 0;
}

/* One region that counts; false if there is no memory to remember it. */
static bool run_counted(measure_series *s) {
  double before = machine_waited(s->subject.process);
  double batch = (double)s->samples.batch;
  double seconds = run(s, s->samples.batch);
  if (!is_alive(s)) return true;
  double after = machine_waited(s->subject.process);
  double waited =
      before < 0 || after < 0 ? -1 : fmax(0, after - before) / batch;
  return samples_add(&s->samples, seconds / batch, waited);
}

/* The last run of the warm-up says how many are timed together. */
static void warm_up(measure_series *s, const bench_effort *effort) {
  double last = run(s, 1), total = last;
  s->samples.first = last;
  while (is_alive(s) && total < effort->warm_seconds) total += last = run(s, 1);
  s->samples.batch =
      last > 0 && !s->subject.companion && last < effort->least_seconds
          ? (int64_t)ceil(effort->least_seconds / last)
          : 1;
}

static void settle(const measure_series *s) {
  if (s->subject.process != getpid()) machine_sleep(SETTLE_SECONDS);
}

/* What a block took, which `counted` regions that count are of. */
static void add_energy(measure_series *s, const energy_reading *before,
                       int64_t counted) {
  bench_samples *samples = &s->samples;
  energy_reading after = energy_read(s->subject.meters);
  for (int i = 0; i < ENERGY_SOURCES; i++) {
    double joules = energy_between(before, &after, (energy_source)i);
    if (isnan(joules) || !counted || !is_alive(s)) continue;
    samples->joules[i] += joules;
    samples->metered[i] += counted * samples->batch;
  }
}

static bool run_block(measure_series *s, double block_seconds) {
  const bench_samples *samples = &s->samples;
  double expected =
      samples->count ? samples->total / (double)samples->count : samples->first;
  if (expected < SHORT_SECONDS && !s->subject.companion) run(s, 1);
  double before = samples->total;
  int64_t count = samples->count;
  energy_reading energy = energy_read(s->subject.meters);
  do {
    if (is_alive(s) && !run_counted(s)) return false;
  } while (is_alive(s) && !s->subject.companion &&
           samples->total - before < block_seconds);
  add_energy(s, &energy, samples->count - count);
  settle(s);
  return true;
}

/* Half the 95 % interval of the mean, in parts of it. */
static double half_width(const bench_samples *s) {
  double n = (double)s->count, mean = s->total / n / (double)s->batch;
  double squares = 0;
  for (int64_t i = 0; i < s->count; i++)
    squares += (s->seconds[i] - mean) * (s->seconds[i] - mean);
  return statistics_student(s->count - 1, 0.95) * sqrt(squares / (n - 1) / n) /
         mean;
}

/* The width is looked at last, and the verdict never (rule 40). */
static bool is_satisfied(const measure_series *s, const bench_effort *effort) {
  const bench_samples *samples = &s->samples;
  if (!is_alive(s) || s->subject.companion ||
      samples->total >= effort->max_seconds)
    return true;
  if (samples->count < effort->min_runs || samples->total < effort->min_seconds)
    return false;
  return effort->half_width <= 0 || samples->count < 2 ||
         half_width(samples) <= effort->half_width;
}

static bool all_satisfied(measure_series *const *series, int count,
                          const bench_effort *effort) {
  for (int i = 0; i < count; i++)
    if (!is_satisfied(series[i], effort)) return false;
  return true;
}

pfl_status measure_in_turns(measure_series *const *series, int count,
                            const bench_effort *effort, pfl_error *error) {
  for (int i = 0; i < count; i++) {
    warm_up(series[i], effort);
    settle(series[i]);
  }
  for (int turn = 0; !all_satisfied(series, count, effort); turn++)
    for (int i = 0; i < count; i++) {
      measure_series *s = series[turn % 2 ? count - 1 - i : i];
      if (is_alive(s) && !run_block(s, effort->block_seconds))
        PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the times of runs");
    }
  return PFL_STATUS_OK;
}

/* Times several subjects in turns. */
#include "bench/measure.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/machine.h"

/* Long enough for the threads of an OpenMP pool, which look for work for some
 * milliseconds before they sleep (libgomp: 300,000 rounds). */
#define SETTLE_SECONDS 0.02
/* Runs shorter than this feel what another subject left in the caches. */
#define SHORT_SECONDS 0.01

/* Being woken takes a thread some microseconds on an idle machine too. */
#define WAKING_SECONDS 50e-6

static bool is_alive(const measure_series *s) {
  return s->status == PFL_STATUS_OK;
}

/* One run, not counted; its time is 0 if it failed. */
static double run_once(measure_series *s) {
  double seconds = 0;
  s->status = s->subject.run(s->subject.self, &seconds, &s->error);
  return is_alive(s) ? seconds : 0;
}

static bool make_room(measure_series *s) {
  if (s->count < s->capacity) return true;
  int64_t capacity = s->capacity ? 2 * s->capacity : 64;
  double *seconds = realloc(s->seconds, (size_t)capacity * sizeof *seconds);
  if (seconds) s->seconds = seconds;
  double *waited = realloc(s->waited, (size_t)capacity * sizeof *waited);
  if (waited) s->waited = waited;
  if (!seconds || !waited) return false;
  s->capacity = capacity;
  return true;
}

/* One run that counts; false if there is no memory to remember it. */
static bool run_counted(measure_series *s) {
  if (!make_room(s)) return false;
  double before = machine_waited(s->subject.process);
  double seconds = run_once(s);
  if (!is_alive(s)) return true;
  double after = machine_waited(s->subject.process);
  s->seconds[s->count] = seconds;
  s->waited[s->count] = before < 0 || after < 0 ? -1 : fmax(0, after - before);
  s->count++;
  s->total += seconds;
  return true;
}

static void warm_up(measure_series *s, double least) {
  double total = s->first = run_once(s);
  while (is_alive(s) && total < least) total += run_once(s);
}

static void settle(const measure_series *s) {
  if (s->subject.process != getpid()) machine_sleep(SETTLE_SECONDS);
}

static bool run_block(measure_series *s, double block_seconds) {
  double expected = s->count ? s->total / (double)s->count : s->first;
  if (expected < SHORT_SECONDS && !s->subject.companion) run_once(s);
  double before = s->total;
  do {
    if (is_alive(s) && !run_counted(s)) return false;
  } while (is_alive(s) && !s->subject.companion &&
           s->total - before < block_seconds);
  settle(s);
  return true;
}

static bool is_satisfied(const measure_series *s, const bench_effort *effort) {
  if (!is_alive(s) || s->subject.companion || s->total >= effort->max_seconds)
    return true;
  return s->count >= effort->min_runs && s->total >= effort->min_seconds;
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
    warm_up(series[i], effort->warm_seconds);
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

void measure_release(measure_series *series) {
  free(series->seconds);
  free(series->waited);
  *series = (measure_series){0};
}

int64_t measure_clean_runs(const measure_series *series) {
  int64_t clean = 0;
  for (int64_t i = 0; i < series->count; i++) {
    if (series->waited[i] < 0) return -1;
    clean += series->waited[i] < WAKING_SECONDS + 0.02 * series->seconds[i];
  }
  return clean;
}

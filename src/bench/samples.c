/* The runs of one subject in one process. */
#include "bench/samples.h"

#include <math.h>
#include <stdlib.h>

/* Being woken takes a thread some microseconds on an idle machine too. */
#define WAKING_SECONDS 50e-6

static bool make_room(bench_samples *s) {
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

/* To the picosecond, the clock giving nanoseconds: so that what is written to a
 * file in few digits and read back is the same number. */
static double to_picoseconds(double seconds) {
  return round(seconds * 1e12) / 1e12;
}

bool samples_add(bench_samples *samples, double seconds, double waited) {
  bench_samples *s = samples;
  if (!make_room(s)) return false;
  if (!s->batch) s->batch = 1;
  seconds = to_picoseconds(seconds);
  s->seconds[s->count] = seconds;
  s->waited[s->count] = waited < 0 ? -1 : to_picoseconds(waited);
  s->count++;
  s->total += seconds * (double)s->batch;
  return true;
}

void samples_release(bench_samples *samples) {
  free(samples->seconds);
  free(samples->waited);
  *samples = (bench_samples){0};
}

int64_t samples_clean(const bench_samples *samples) {
  int64_t clean = 0;
  for (int64_t i = 0; i < samples->count; i++) {
    if (samples->waited[i] < 0) return -1;
    clean += samples->waited[i] < WAKING_SECONDS + 0.02 * samples->seconds[i];
  }
  return clean;
}

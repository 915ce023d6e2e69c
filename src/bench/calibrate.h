/* The cycle model's numbers from times on a real chip: probes, each chosen for
 * what it depends on, measured, and held against their listings
 * (schedule/schedule_calibrate.h). */
#ifndef PFL_BENCH_CALIBRATE_H
#define PFL_BENCH_CALIBRATE_H

#include "bench/predict.h"

/* A call of our kernels and what its time is mostly of. */
typedef struct calibrate_case {
  const char *tells;
  int chips;
  bench_workload workload;
} calibrate_case;

/* The n-th probe; false: there are no more. */
bool calibrate_case_get(int64_t n, calibrate_case *out_case);

/* Who has the chips. Tests have others. */
typedef struct calibrate_device {
  const char *name; /* for the file: whose times they are */
  int chips;
  void *self;
  /* Microseconds of a call, what hands it to the chip included. `listing` is
   * for those who only play a chip. */
  pfl_status (*measure)(void *self, const calibrate_case *probe,
                        const predict_loaded *listing, double *out_us,
                        pfl_error *error);
} calibrate_device;

/* Measures and predicts every probe that has its chips, prints a table to
 * `results` (NULL: none) and writes the calibration file at `path`, which is
 * tried before. Listings go to `directory` and are removed.
 * NOT_FOUND: no TPU compiler. */
PFL_NODISCARD pfl_status calibrate_with(const calibrate_device *device,
                                        const char *path, const char *directory,
                                        FILE *results, pfl_error *error);

/* What measures on the chips of a plugin: `slice` is a device_slice. */
PFL_NODISCARD pfl_status calibrate_measure(void *slice,
                                           const calibrate_case *probe,
                                           const predict_loaded *listing,
                                           double *out_us, pfl_error *error);

/* The same on this machine's TPU, a v5e. UNAVAILABLE: it has none.
 * FAILED_PRECONDITION: what stands in its place only simulates one. */
PFL_NODISCARD pfl_status bench_calibrate(const char *path, FILE *results,
                                         pfl_error *error);

#endif

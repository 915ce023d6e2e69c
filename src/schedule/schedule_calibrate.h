/* From times that were measured on a chip to the model's numbers: those that
 * the times have something to say of, so that predictions come as near to them
 * as can be.
 *
 *   schedule_probe probes[] = {{"decode 8192", request, 61.2}, ...};
 *   schedule_calibration found;
 *   PFL_TRY(schedule_calibrate(probes, count, &start, &allocator, &found,
 *                              error));
 *   schedule_calibration_write(&found, probes, count, NULL, &text);
 *
 * Nothing here asks where the times are from. */
#ifndef PFL_SCHEDULE_CALIBRATE_H
#define PFL_SCHEDULE_CALIBRATE_H

#include "schedule/schedule_run.h"

/* X(NAME): what is looked for, of SCHEDULE_MODEL_LIST. The latencies of the
 * units are the compiler's own and stay. */
#define SCHEDULE_CALIBRATED_LIST(X) \
  X(clock_ghz)                      \
  X(hbm_gbs)                        \
  X(dma_latency_ns)                 \
  X(hop_us)                         \
  X(link_bytes_per_cycle)           \
  X(dispatch_us)

typedef enum schedule_calibrated {
#define SCHEDULE_CALIBRATED_ENUM(name) SCHEDULE_CALIBRATED_##name,
  SCHEDULE_CALIBRATED_LIST(SCHEDULE_CALIBRATED_ENUM)
#undef SCHEDULE_CALIBRATED_ENUM
      SCHEDULE_CALIBRATED_COUNT
} schedule_calibrated;

/* One program and the time that a call of it took. */
typedef struct schedule_probe {
  const char *name;
  schedule_request request;   /* its model is not looked at */
  double measured_us;         /* dispatch included */
  double before_us, after_us; /* set: predicted with dispatch, by the numbers to
                                 begin with and by those found */
} schedule_probe;

typedef struct schedule_calibration {
  schedule_model model; /* what was not found is as it was to begin with */
  bool found[SCHEDULE_CALIBRATED_COUNT];
  double before, after; /* root mean square of the relative errors */
} schedule_calibration;

/* Least squares of the relative errors. A number that no probe's time depends
 * on by a thousandth is not looked for, nor is more than there are probes.
 * INVALID_ARGUMENT: no probes, times that are no numbers above 0, and what
 * schedule_run says. */
PFL_NODISCARD pfl_status schedule_calibrate(schedule_probe *probes,
                                            int64_t count,
                                            const schedule_model *start,
                                            const pfl_allocator *allocator,
                                            schedule_calibration *out_found,
                                            pfl_error *error);

/* The calibration file (schedule_model.h): the numbers that were found and,
 * under "about", on what. `of` says whose times they are; NULL: not said. */
void schedule_calibration_write(const schedule_calibration *found,
                                const schedule_probe *probes, int64_t count,
                                const char *of, base_text *out);

#endif

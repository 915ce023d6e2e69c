/* calibrate_probes: the probes of `pflash bench --calibration` through the real
 * compiler, with times made by the model with other numbers in the place of a
 * chip's: whether the probes tell enough to find those numbers again. Exit code
 * 77 if there is no compiler. */
#include <math.h>

#include "bench/calibrate.h"
#include "check.h"
#include "directory.h"

static const pfl_allocator heap;

/* A chip that is none of those documented. */
static schedule_model make_chip(void) {
  schedule_model chip = schedule_model_default();
  chip.clock_ghz = 1.42;
  chip.hbm_gbs = 741;
  chip.dma_latency_ns = 820;
  chip.hop_us = 1.35;
  chip.link_bytes_per_cycle = 24;
  chip.dispatch_us = 87;
  return chip;
}

static pfl_status make_time(void *self, const calibrate_case *probe,
                            const predict_loaded *listing, double *out_us,
                            pfl_error *error) {
  const schedule_model *chip = self;
  schedule_request request = predict_loaded_request(listing);
  schedule_result result;
  (void)probe;
  request.model = *chip;
  PFL_TRY(schedule_run(&request, &heap, &result, error));
  *out_us = (double)result.cycles / chip->clock_ghz / 1000 + chip->dispatch_us;
  schedule_result_release(&result, &heap);
  return PFL_STATUS_OK;
}

static void check_number(const char *name, double found, double chips,
                         double within) {
  CHECK(fabs(found / chips - 1) < within, "%s is %g, not %g", name, found,
        chips);
}

static pfl_error failure;

static void test_probes(void) {
  const schedule_model chip = make_chip();
  const calibrate_device device = {.name = "nothing: made up for a test",
                                   .chips = 4,
                                   .self = (void *)&chip,
                                   .measure = make_time};
  char path[400];
  snprintf(path, sizeof path, "%s/calibration.json", directory);
  if (calibrate_with(&device, path, directory, stdout, &failure)) return;
  schedule_model found = schedule_model_default();
  CHECK_NEED(!schedule_model_read(path, &heap, &found, &failure));
  check_number("clock_ghz", found.clock_ghz, chip.clock_ghz, 0.01);
  check_number("hbm_gbs", found.hbm_gbs, chip.hbm_gbs, 0.01);
  check_number("dma_latency_ns", found.dma_latency_ns, chip.dma_latency_ns,
               0.05);
  check_number("hop_us", found.hop_us, chip.hop_us, 0.05);
  check_number("link_bytes_per_cycle", found.link_bytes_per_cycle,
               chip.link_bytes_per_cycle, 0.05);
  check_number("dispatch_us", found.dispatch_us, chip.dispatch_us, 0.02);
  CHECK(!unlink(path), "no file");
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_probes);
  directory_remove();
  if (failure.status == PFL_STATUS_NOT_FOUND) {
    printf("%s\n", failure.message);
    return 77;
  }
  if (failure.status) printf("%s\n", failure.message);
  return failed || failure.status;
}

/* Calibrating, but for the fit (test_schedule_calibrate.c): every probe is one
 * that the kernels take, a probe runs on a device and is timed, and chips that
 * are simulated are refused under a TPU's name. */
#include "bench/asked.h"
#include "bench/calibrate.h"
#include "check.h"
#include "device/device.h"
#include "directory.h"
#include "schedule/schedule_calibrate.h"

static const pfl_allocator heap;

static void test_probes(void) {
  calibrate_case probe;
  int64_t n = 0;
  for (; calibrate_case_get(n, &probe); n++) {
    asked_kernel asked;
    kernels_program program;
    pfl_error error = {PFL_STATUS_OK, ""};
    CHECK_NEED(!asked_kernel_init(&probe.workload, probe.chips, &asked, NULL));
    asked.request.target = PREDICT_TARGET;
    CHECK(!kernels_write(&asked.request, &heap, &program, &error), "%s: %s",
          probe.tells, error.message);
    if (error.status) continue;
    CHECK(program.chips == probe.chips, "%s: %d chips", probe.tells,
          program.chips);
    kernels_program_release(&program);
  }
  CHECK(n > SCHEDULE_CALIBRATED_COUNT, "%lld probes", (long long)n);
  CHECK(!calibrate_case_get(-1, &probe), "a probe before the first");
}

static void test_measured(void) {
  const device_options options = {.kind = DEVICE_SIM};
  device_slice slice;
  calibrate_case probe;
  double us = -1;
  pfl_error error;
  CHECK_NEED(!device_open(&options, &heap, &slice, &error));
  CHECK_NEED(calibrate_case_get(0, &probe));
  CHECK(!calibrate_measure(&slice, &probe, NULL, &us, &error), "%s",
        error.message);
  CHECK(us > 0, "%g us", us);
  device_close(&slice);
}

/* The simulator as PFLASH_PJRT_PLUGIN is taken for a TPU everywhere else. */
static void test_simulated(void) {
  base_text path = {0};
  char file[400];
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK_NEED(!device_find_simulator(&path, &error));
  CHECK_NEED(!setenv("PFLASH_PJRT_PLUGIN", base_text_get(&path), 1));
  snprintf(file, sizeof file, "%s/calibration.json", directory);
  CHECK(bench_calibrate(file, NULL, &error) == PFL_STATUS_FAILED_PRECONDITION &&
            strstr(error.message, "simulates"),
        "%s", error.message);
  CHECK(files_in_directory() == 0, "a file");
  CHECK_NEED(!unsetenv("PFLASH_PJRT_PLUGIN"));
  base_text_release(&path);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_probes, test_measured, test_simulated);
  directory_remove();
  return failed;
}

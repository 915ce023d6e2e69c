/* Asks the providers. */
#include "bench/estimate.h"

#include <string.h>

bool estimate_concerns(const bench_workload *workload) {
  return workload->dtype == PFL_DTYPE_BF16;
}

/* A is predicted, the others are not. */
static pfl_status open_provider(const estimate_run *run, int which,
                                economics_unit unit,
                                bench_provider *out_provider,
                                pfl_error *error) {
  const bench_catalog *catalog = &run->report->economy.catalog;
  if (which == 0 && !run->report->manifest.effort.smoke)
    return provider_schedule(catalog, run->directory, out_provider, error);
  return provider_roofline(catalog, unit, out_provider, error);
}

static void tell(const estimate_run *run, const char *device,
                 const bench_workload *w, const bench_estimate *e) {
  char name[BENCH_NAME_SIZE];
  if (!run->talk || e->evidence == BENCH_EVIDENCE_ROOFLINE) return;
  bench_workload_name(w, name);
  if (economy_estimated(e))
    fprintf(run->talk, "bench: %s: %s, %s %.3f ms\n", device, name,
            evidence_word(e->evidence), e->seconds.value * 1e3);
  else
    fprintf(run->talk, "bench: %s: %s: %s\n", device, name, e->reason);
  fflush(run->talk);
}

static bool is_kept(const bench_estimate *e) {
  return economy_estimated(e) && e->evidence == BENCH_EVIDENCE_PREDICTED;
}

static pfl_status estimate_cell(estimate_run *run,
                                const bench_provider *provider, int device,
                                const bench_workload *workload,
                                pfl_error *error) {
  economy_cell *cell;
  PFL_TRY(economy_add_cell(&run->report->economy, workload, &cell, error));
  bench_estimate *e = &cell->estimates[device];
  if (is_kept(e)) return PFL_STATUS_OK;
  PFL_TRY(provider->estimate(provider, workload, e, error));
  if (run->journal && is_kept(e))
    PFL_TRY(
        journal_add_estimate(run->journal, workload, provider->name, e, error));
  tell(run, provider->name, workload, e);
  return PFL_STATUS_OK;
}

static pfl_status estimate_device(estimate_run *run, int device,
                                  economics_unit unit, pfl_error *error) {
  bench_economy *economy = &run->report->economy;
  bench_provider provider;
  bench_workload workload;
  PFL_TRY(open_provider(run, device, unit, &provider, error));
  pfl_status status = PFL_STATUS_OK;
  for (int64_t n = 0;
       status == PFL_STATUS_OK && bench_workload_get(run->suite, n, &workload);
       n++)
    if (estimate_concerns(&workload))
      status = estimate_cell(run, &provider, device, &workload, error);
  if (provider.self && *provider_schedule_compiler(&provider))
    snprintf(economy->compiler, sizeof economy->compiler, "%s",
             provider_schedule_compiler(&provider));
  provider_close(&provider);
  return status;
}

static const economics_unit units[] = {
#define DEVICE_UNIT(chip, chips) {chip, chips},
    ECONOMY_DEVICE_LIST(DEVICE_UNIT)
#undef DEVICE_UNIT
};
enum { UNITS = sizeof units / sizeof *units };

void estimate_name_devices(bench_economy *economy) {
  economy->device_count = UNITS;
  for (int i = 0; i < UNITS; i++) {
    economy_device *d = &economy->devices[i];
    d->chips = units[i].chips;
    snprintf(d->chip, sizeof d->chip, "%s", units[i].chip);
    economics_unit_name(units[i], d->name, sizeof d->name);
  }
}

pfl_status estimate_all(estimate_run *run, pfl_error *error) {
  for (int i = 0; i < UNITS; i++)
    PFL_TRY(estimate_device(run, i, units[i], error));
  return PFL_STATUS_OK;
}

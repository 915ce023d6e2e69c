/* What a chip's peaks allow, times what others were seen to reach of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/provider.h"

/* FLOP/s of one chip for the workload's arithmetic; NAN if there is none. A
 * chip without bf16 computes in the other 16-bit float (rule 11). */
static double peak_flops(const catalog_chip *chip, const bench_workload *w) {
  bool is_16_bit = w->dtype == PFL_DTYPE_BF16 ||
                   (w->dtype == PFL_DTYPE_F16 && strcmp(chip->key, "v5e"));
  return is_16_bit ? chip->tflops16 * 1e12 : NAN;
}

bool provider_set_bound(const bench_provider *provider,
                        const bench_workload *workload,
                        bench_estimate *estimate) {
  const catalog_chip *chip =
      catalog_chip_find(provider->catalog, provider->unit.chip);
  double chips = (double)provider->unit.chips;
  double room = chips * chip->memory_gb, need;
  need = bench_workload_footprint(workload) * 1e-9;
  if (need > room) {
    snprintf(estimate->reason, sizeof estimate->reason,
             "infeasible: it takes %.1f GB of %.0f GB", need, room);
    return false;
  }
  double peak = chips * peak_flops(chip, workload);
  if (isnan(peak)) {
    snprintf(estimate->reason, sizeof estimate->reason,
             "no rate of %s is known for %s", chip->name,
             pfl_dtype_name(workload->dtype));
    return false;
  }
  double compute = bench_workload_flops(workload) / peak;
  double memory =
      bench_workload_bytes(workload) / (chips * chip->bandwidth_gb_s * 1e9);
  estimate->bound = compute > memory ? BENCH_BOUND_COMPUTE : BENCH_BOUND_MEMORY;
  estimate->bound_seconds = fmax(compute, memory);
  return true;
}

static pfl_status estimate(const bench_provider *provider,
                           const bench_workload *workload,
                           bench_estimate *out_estimate, pfl_error *error) {
  bench_estimate *e = out_estimate;
  (void)error;
  *e = (bench_estimate){.evidence = BENCH_EVIDENCE_ROOFLINE};
  if (!provider_set_bound(provider, workload, e)) return PFL_STATUS_OK;
  const catalog_efficiency *share = &provider->catalog->efficiency[e->bound];
  const catalog_chip *chip =
      catalog_chip_find(provider->catalog, provider->unit.chip);
  e->seconds = quantity_range(e->bound_seconds / share->high,
                              e->bound_seconds / share->low);
  snprintf(e->how, sizeof e->how, "%.0f to %.0f %% of the %s peak%s",
           100 * share->low, 100 * share->high, catalog_bound_name(e->bound),
           workload->dtype == PFL_DTYPE_BF16 && strcmp(chip->float16, "bf16")
               ? ", in fp16: it has no bf16"
               : "");
  return PFL_STATUS_OK;
}

pfl_status provider_roofline(const bench_catalog *catalog, economics_unit unit,
                             bench_provider *out_provider, pfl_error *error) {
  if (!catalog_chip_find(catalog, unit.chip))
    PFL_RAISE(error, INVALID_ARGUMENT, "no chip is called %s in %s", unit.chip,
              catalog->tables[0].name);
  *out_provider =
      (bench_provider){.unit = unit, .catalog = catalog, .estimate = estimate};
  if (!economics_unit_name(unit, out_provider->name, PROVIDER_NAME_SIZE))
    PFL_RAISE(error, INVALID_ARGUMENT, "the name of %s is too long", unit.chip);
  return PFL_STATUS_OK;
}

void provider_close(bench_provider *provider) {
  if (provider->close) provider->close(provider);
  *provider = (bench_provider){0};
}

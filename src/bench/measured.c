#include "bench/measured.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/estimate.h"
#include "bench/replicas.h"

/* ---- What may rest on it ------------------------------------------------- */

static int64_t least_runs(const report_row *row, const report_side *side) {
  int64_t least = INT64_MAX;
  for (int64_t i = 0; i < row->process_count; i++)
    least = base_min(least, side->processes[i].count);
  return least;
}

void measured_weakness(const bench_report *report, const report_row *row,
                       const report_side *side, const bench_plan *plan,
                       char *out_text, size_t size) {
  int64_t runs = least_runs(row, side);
  *out_text = 0;
  if (report->manifest.effort.smoke)
    snprintf(out_text, size, "a smoke run");
  else if (!side->verdict.passed)
    snprintf(out_text, size, "its error is beyond the tolerance");
  else if (row->process_count < plan->min_processes)
    snprintf(out_text, size, "%lld of %lld processes",
             (long long)row->process_count, (long long)plan->min_processes);
  else if (runs < plan->min_runs)
    snprintf(out_text, size, "%lld of %lld runs", (long long)runs,
             (long long)plan->min_runs);
  else if (report_row_noisy(row))
    snprintf(out_text, size, "noisy");
  else if (!side->steady.known)
    snprintf(out_text, size, "too few runs to tell whether it was steady");
  else if (!side->steady.steady)
    snprintf(out_text, size, "unsteady");
}

/* ---- Devices ------------------------------------------------------------- */

/* The chip that a plugin or a program calls by its full name: the key of the
 * tables is a word of it, "NVIDIA L4". A v5e calls itself "TPU v5 lite". */
static const catalog_chip *find_chip(const bench_catalog *catalog,
                                     const char *device) {
  if (!strcmp(device, "TPU v5 lite")) device = "v5e";
  for (int64_t i = 0; i < catalog->chip_count; i++) {
    const char *key = catalog->chips[i].key;
    size_t length = strlen(key);
    for (const char *at = device; (at = strstr(at, key)) != NULL; at++)
      if ((at == device || at[-1] == ' ') &&
          (!at[length] || at[length] == ' ' || at[length] == '-'))
        return &catalog->chips[i];
  }
  return NULL;
}

/* What a side is called as a device: "cpu", "v5e-4", "L4 torch". */
static void name_side(const bench_report *report, const report_side *side,
                      economy_device *out_device) {
  const bench_economy *e = &report->economy;
  bool is_cpu = !*side->device;
  const catalog_chip *chip = find_chip(&e->catalog, side->device);
  const char *key = is_cpu ? ECONOMY_CPU : chip ? chip->key : side->device;
  bool ours = !strncmp(side->title, "pallas-flash ", 13);
  char unit[PROVIDER_NAME_SIZE];
  *out_device =
      (economy_device){.chips = base_max(1, side->chips), .measured = true};
  if (is_cpu) out_device->chips = 1;
  snprintf(out_device->chip, sizeof out_device->chip, "%.31s", key);
  if (!economics_unit_name(
          (economics_unit){out_device->chip, out_device->chips}, unit,
          sizeof unit))
    memcpy(unit, out_device->chip, sizeof unit);
  if (ours)
    memcpy(out_device->name, unit, sizeof unit);
  else
    snprintf(out_device->name, sizeof out_device->name, "%.20s %.*s", unit,
             (int)base_min(10, strcspn(side->title, " ")), side->title);
}

/* -1: there is none and it was not added: it has no price, or no room. */
static int find_device(bench_economy *e, const economy_device *device) {
  for (int i = 0; i < e->device_count; i++)
    if (!strcmp(e->devices[i].name, device->name)) return i;
  if (e->device_count == ECONOMY_DEVICES_MAX) return -1;
  e->devices[e->device_count] = *device;
  if (!economy_price(e, e->device_count)) return -1;
  return e->device_count++;
}

/* ---- Estimates ----------------------------------------------------------- */

static pfl_status fill(const bench_report *report, const report_row *row,
                       const report_side *side, bench_estimate *e,
                       pfl_error *error) {
  int64_t count = row->process_count;
  *e = (bench_estimate){.evidence = BENCH_EVIDENCE_MEASURED,
                        .bound = row->limit == BENCH_LIMIT_READ
                                     ? BENCH_BOUND_MEMORY
                                     : BENCH_BOUND_COMPUTE};
  if (!*side->device) e->bound_seconds = row->work / row->limit_rate;
  snprintf(e->how, sizeof e->how, "%.60s, %lld runs in %lld process%s",
           side->title, (long long)side->summary.count, (long long)count,
           count == 1 ? "" : "es");
  measured_weakness(report, row, side, &report->economy.plan, e->weakness,
                    sizeof e->weakness);
  bench_replicas replicas;
  PFL_TRY(replicas_create(row, side->processes, &replicas, error));
  replicas_pack(&replicas);
  pfl_status status =
      bootstrap_mean(replicas.runs, replicas.count, BOOTSTRAP_RESAMPLES,
                     BOOTSTRAP_SEED, &e->seconds, error);
  replicas_release(&replicas);
  return status;
}

static pfl_status add_side(bench_report *report, const report_row *row,
                           const report_side *side, pfl_error *error) {
  bench_economy *economy = &report->economy;
  economy_device device;
  economy_cell *cell;
  if (!report_side_measured(side) || !side->summary.count ||
      (side == row->sides && !report_side_counts(side)))
    return PFL_STATUS_OK;
  if (side != row->sides && !*side->device) return PFL_STATUS_OK;
  name_side(report, side, &device);
  int which = find_device(economy, &device);
  if (which < 0) return PFL_STATUS_OK;
  PFL_TRY(economy_add_cell(economy, &row->workload, &cell, error));
  bench_estimate *e = &cell->estimates[which], before = *e;
  PFL_TRY(fill(report, row, side, e, error));
  if (!economy_estimated(&before)) return PFL_STATUS_OK;
  e->bound = before.bound;
  e->bound_seconds = before.bound_seconds;
  return PFL_STATUS_OK;
}

static int32_t most_threads(const bench_report *report) {
  int32_t most = 0;
  for (int64_t i = 0; i < report->row_count; i++)
    most = base_max(most, report->rows[i].threads);
  return most;
}

pfl_status measured_add(bench_report *report, pfl_error *error) {
  bench_economy *e = &report->economy;
  int32_t threads = most_threads(report);
  int known = 0; /* measured ones are the last */
  while (known < e->device_count && !e->devices[known].measured) known++;
  if (!known) return PFL_STATUS_OK;
  economy_drop_devices(e, known);
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_row *row = &report->rows[i];
    if (row->threads != threads || !estimate_concerns(&row->workload)) continue;
    for (int side = 0; side < report->side_count; side++)
      PFL_TRY(add_side(report, row, &row->sides[side], error));
  }
  return PFL_STATUS_OK;
}

/* The report as CSV: a line for each side of a row that was measured, and for
 * each device of a cell. Numbers that are not there are empty. */
#include <math.h>
#include <stdio.h>

#include "bench/report.h"

static void add_text(base_text *csv, const char *text) {
  base_text_add_string(csv, "\"");
  for (; *text; text++)
    base_text_add_string(csv, *text == '"' ? "\"\"" : (char[]){*text, 0});
  base_text_add_string(csv, "\",");
}

static void add_number(base_text *csv, double number, const char *end) {
  if (isfinite(number)) base_text_add_double(csv, number);
  base_text_add_string(csv, end);
}

static void add_start(base_text *csv, const bench_workload *w,
                      const char *device, char evidence, int32_t threads,
                      const char *skipped) {
  char name[BENCH_NAME_SIZE];
  add_text(csv, bench_workload_name(w, name));
  add_text(csv, device);
  base_text_format(csv, "%c,", evidence);
  if (threads) base_text_format(csv, "%d", threads);
  base_text_add_string(csv, ",");
  add_text(csv, skipped);
}

/* Seconds with their bounds, then what follows from them. */
static void add_rest(base_text *csv, const bench_workload *w,
                     bench_quantity seconds, double usd_per_hour) {
  bench_quantity rate = quantity_scale(
      quantity_invert(seconds), bench_workload_tokens(w) / (double)w->layers);
  add_number(csv, seconds.value, ",");
  add_number(csv, seconds.low, ",");
  add_number(csv, seconds.high, ",");
  add_number(csv, bench_workload_flops(w) / seconds.value, ",");
  add_number(csv, bench_workload_bytes(w) / seconds.value, ",");
  add_number(csv, rate.value, ",");
  add_number(csv, usd_per_hour, ",");
  add_number(csv, 3600 * rate.value / usd_per_hour, ",");
  add_number(csv, economics_usd_per_million(rate, usd_per_hour).value, "\n");
}

static void add_row(base_text *csv, const report_row *row, int side_count) {
  const bench_workload *w = &row->workload;
  for (int i = 0; i < side_count; i++) {
    const report_side *side = &row->sides[i];
    bench_quantity seconds = quantity_point(NAN);
    if (report_side_measured(side)) {
      seconds = quantity_point(side->summary.median);
      seconds.low = side->summary.low;
      seconds.high = side->summary.high;
    }
    add_start(csv, w, side->title, evidence_letter(BENCH_EVIDENCE_MEASURED),
              row->threads, side->reason);
    add_rest(csv, w, seconds, NAN);
  }
}

static void add_estimate(base_text *csv, const bench_economy *e,
                         const economy_cell *cell, int device) {
  const bench_estimate *estimate = &cell->estimates[device];
  const catalog_price *price = economy_price(e, device);
  bool there = economy_estimated(estimate);
  add_start(csv, &cell->workload, e->devices[device].name,
            evidence_letter(estimate->evidence), 0, estimate->reason);
  add_rest(csv, &cell->workload,
           there ? estimate->seconds : quantity_point(NAN),
           price ? price->usd_per_hour : NAN);
}

/* Predicted for our kernels and JAX's: chips of a v5e. */
static void add_forecast(base_text *csv, const bench_forecast *f,
                         const forecast_cell *cell) {
  for (int i = 0; i < cell->side_count; i++) {
    const forecast_side *side = &cell->sides[i];
    char device[FORECAST_TITLE_SIZE + 16];
    bench_quantity seconds = quantity_point(NAN);
    if (forecast_side_there(side))
      seconds = quantity_widen(quantity_point(predict_seconds(side->cycles)),
                               f->model_error);
    snprintf(device, sizeof device, "v5e x%d: %s", cell->chips, side->title);
    add_start(csv, &cell->workload, device,
              evidence_letter(BENCH_EVIDENCE_PREDICTED), 0, side->reason);
    add_rest(csv, &cell->workload, seconds, NAN);
  }
}

pfl_status report_csv(const bench_report *report, base_text *out_text,
                      pfl_error *error) {
  base_text_add_string(
      out_text,
      "cell,device,evidence,threads,skipped,seconds,seconds_low,seconds_high,"
      "flop_per_second,bytes_per_second,attention_tokens_per_second,"
      "usd_per_hour,attention_tokens_per_usd,usd_per_million_attention_tokens"
      "\n");
  for (int64_t i = 0; i < report->row_count; i++)
    add_row(out_text, &report->rows[i], report->side_count);
  const bench_economy *e = &report->economy;
  for (int64_t i = 0; i < e->cell_count; i++)
    for (int device = 0; device < e->device_count; device++)
      add_estimate(out_text, e, &e->cells[i], device);
  for (int64_t i = 0; i < report->forecast.cell_count; i++)
    add_forecast(out_text, &report->forecast, &report->forecast.cells[i]);
  return base_text_check(out_text, error);
}

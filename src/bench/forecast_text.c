/* The forecast as tables of 80 columns. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/forecast.h"

/* ---- Forward and backward ------------------------------------------------ */

/* Microseconds in 6 columns. */
static void print_us(double cycles, FILE *out) {
  double us = predict_seconds(cycles) * 1e6;
  fprintf(out, us < 9999.95 ? " %6.1f" : " %6.0f", us);
}

static void print_useful(const forecast_cell *cell, const forecast_side *side,
                         FILE *out) {
  print_us(side->cycles, out);
  fprintf(out, " %5.1f%% %5.1f%%",
          100 * forecast_utilisation(cell, side->cycles),
          100 * forecast_utilisation(cell, side->kernel_cycles));
}

static void print_training_cell(const forecast_cell *cell, FILE *out) {
  char name[BENCH_NAME_SIZE];
  const forecast_side *ours = &cell->sides[0];
  const forecast_side *peer = forecast_best_peer(cell);
  fprintf(out, "%-31s", forecast_cell_name(cell, name));
  if (!forecast_side_there(ours)) {
    fprintf(out, " %.48s\n", ours->reason);
    return;
  }
  print_useful(cell, ours, out);
  if (peer) {
    fprintf(out, " %-6.*s", forecast_side_kind(peer), peer->title);
    print_useful(cell, peer, out);
  }
  fputc('\n', out);
}

static void print_windows(const bench_forecast *f, FILE *out) {
  for (int64_t i = 0; i < f->cell_count; i++) {
    char name[BENCH_NAME_SIZE];
    const forecast_cell *cell = &f->cells[i];
    const forecast_cell *whole = forecast_unwindowed(f, cell);
    if (!whole || !forecast_side_there(&cell->sides[0]) ||
        !forecast_side_there(&whole->sides[0]))
      continue;
    fprintf(out, "%s: %.1f%% of the time without the window\n",
            forecast_cell_name(cell, name),
            100 * cell->sides[0].cycles / whole->sides[0].cycles);
  }
}

static bool is_decode(const forecast_cell *cell) {
  return cell->workload.op == BENCH_OP_DECODE;
}

static void print_training(const bench_forecast *f, FILE *out) {
  fprintf(out, "%-31s %6s %6s %6s %-6s %6s %6s %6s\n", "forward, backward",
          "us", "useful", "kernel", "best", "us", "useful", "kernel");
  for (int64_t i = 0; i < f->cell_count; i++)
    if (!is_decode(&f->cells[i])) print_training_cell(&f->cells[i], out);
  fputs(
      "\nuseful: FLOPs as a part of what the chip's matrix units do in that "
      "time, causal\nhalved, of windows the pairs in them, backward 2.5 times "
      "forward; of the whole\ncompiled program, XLA's operations included, "
      "and of the kernels alone. best: of\nJAX's flash and splash attention; "
      "its backward is its program with forward, less\nthe forward "
      "kernel.\n",
      out);
  print_windows(f, out);
}

/* ---- Decode -------------------------------------------------------------- */

enum { KINDS_MAX = FORECAST_SIDES_MAX - 1, KIND_SIZE = 7 };

typedef struct peer_kinds {
  char names[KINDS_MAX][KIND_SIZE];
  int count;
} peer_kinds;

static int find_kind(const peer_kinds *kinds, const forecast_side *side) {
  char name[KIND_SIZE];
  snprintf(name, sizeof name, "%.*s", forecast_side_kind(side), side->title);
  for (int i = 0; i < kinds->count; i++)
    if (!strcmp(kinds->names[i], name)) return i;
  return -1;
}

static void add_kinds(peer_kinds *kinds, const forecast_cell *cell) {
  for (int i = 1; i < cell->side_count; i++)
    if (find_kind(kinds, &cell->sides[i]) < 0 && kinds->count < KINDS_MAX)
      snprintf(kinds->names[kinds->count++], KIND_SIZE, "%.*s",
               forecast_side_kind(&cell->sides[i]), cell->sides[i].title);
}

static void print_peers(const forecast_cell *cell, const peer_kinds *kinds,
                        FILE *out) {
  for (int kind = 0; kind < kinds->count; kind++) {
    const forecast_side *found = NULL;
    for (int i = 1; i < cell->side_count; i++)
      if (find_kind(kinds, &cell->sides[i]) == kind) found = &cell->sides[i];
    if (found && forecast_side_there(found))
      print_us(found->kernel_cycles, out);
    else
      fprintf(out, " %6s", "-");
  }
}

static void print_decode_cell(const forecast_cell *cell,
                              const peer_kinds *kinds, FILE *out) {
  char title[BENCH_TITLE_SIZE], name[BENCH_NAME_SIZE];
  const forecast_side *ours = &cell->sides[0];
  snprintf(name, sizeof name, "%s %s",
           bench_workload_title(&cell->workload, title),
           bench_workload_dtype(&cell->workload));
  fprintf(out, "%-26s %5d %6.1f", name, cell->chips, cell->bound_seconds * 1e6);
  if (forecast_side_there(ours)) {
    print_us(ours->kernel_cycles, out);
    fprintf(out, " %5.1f%%",
            100 * cell->bound_seconds / predict_seconds(ours->kernel_cycles));
    print_us(ours->cycles, out);
    print_peers(cell, kinds, out);
    fputc('\n', out);
  } else {
    fprintf(out, " %.40s\n", ours->reason);
  }
}

static void print_decode(const bench_forecast *f, FILE *out) {
  peer_kinds kinds = {.count = 0};
  for (int64_t i = 0; i < f->cell_count; i++)
    if (is_decode(&f->cells[i])) add_kinds(&kinds, &f->cells[i]);
  fprintf(out, "%-26s %5s %6s %6s %6s %6s", "decode, one query position",
          "chips", "bound", "us", "bound", "whole");
  for (int i = 0; i < kinds.count; i++) fprintf(out, " %6s", kinds.names[i]);
  fputc('\n', out);
  for (int64_t i = 0; i < f->cell_count; i++)
    if (is_decode(&f->cells[i])) print_decode_cell(&f->cells[i], &kinds, out);
  fputs(
      "\nus: of the kernel; bound: what reading the bytes of the cache takes "
      "at the\nHBMs' rate, and its part of us; whole: with XLA's operations "
      "around the kernel,\non four chips one after the other and without "
      "their launch. Then the kernels of\nJAX, the best of the block sizes "
      "tried; where the cache is contiguous, in pages\nof 256.\n",
      out);
}

/* ---- Both ---------------------------------------------------------------- */

static bool has_cells(const bench_forecast *f, bool decode) {
  for (int64_t i = 0; i < f->cell_count; i++)
    if (is_decode(&f->cells[i]) == decode) return true;
  return false;
}

static void print_reasons(const bench_forecast *f, FILE *out) {
  const char *last = f->peers_reason;
  if (*last) fprintf(out, "JAX's kernels skipped: %s\n", last);
  for (int64_t i = 0; i < f->cell_count; i++)
    for (int k = 1; k < f->cells[i].side_count; k++) {
      const forecast_side *side = &f->cells[i].sides[k];
      if (forecast_side_there(side) || !strcmp(side->reason, last)) continue;
      last = side->reason;
      fprintf(out, "%s: %s\n", side->title, last);
    }
}

void forecast_text(const bench_forecast *f, FILE *out) {
  if (!f->cell_count) return;
  fprintf(out, "\na TPU v5e, predicted (class B), never measured; by %s%s%s\n",
          *f->compiler ? f->compiler : "no compiler", *f->peers ? ", " : "",
          f->peers);
  for (int decode = 0; decode < 2; decode++) {
    if (!has_cells(f, decode)) continue;
    fputc('\n', out);
    if (decode)
      print_decode(f, out);
    else
      print_training(f, out);
  }
  fprintf(out,
          "\nBy the cycle model (docs/cycle-model.md), without dispatch; its "
          "worst error on\nwhat others measured is %.0f %%.\n",
          100 * f->model_error);
  print_reasons(f, out);
}

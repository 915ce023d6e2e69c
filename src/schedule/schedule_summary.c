#include "schedule/schedule_summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define FLOPS_PER_CYCLE (4.0 * 128 * 128 * 2)

static int64_t bundle_cycles(const schedule_profile *profile, int64_t b) {
  int64_t cycles =
      (int64_t)profile->counts[b] * (1 + profile->program->bundles[b].delay);
  for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
    cycles += profile->stalls[b][cause];
  return cycles;
}

/* ---- Lines --------------------------------------------------------------- */

/* Cycles by place: `costs` has one entry for each place of the program's, in
 * the order of file and line, `count` of them. */
typedef struct line_table {
  const schedule_program *program;
  vliw_line *places;
  double *cycles;
  int64_t count;
} line_table;

static int compare_places(const void *a, const void *b) {
  const vliw_line *x = a, *y = b;
  if (x->file != y->file) return x->file < y->file ? -1 : 1;
  return (x->line > y->line) - (x->line < y->line);
}

static pfl_status create_table(const schedule_program *program,
                               const pfl_allocator *allocator,
                               line_table *out_table, pfl_error *error) {
  size_t count = (size_t)program->line_count;
  *out_table = (line_table){.program = program};
  out_table->places = base_allocate(allocator, count * sizeof(vliw_line));
  out_table->cycles = base_allocate(allocator, count * sizeof(double));
  if (!out_table->places || !out_table->cycles)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a summary");
  if (!count) return PFL_STATUS_OK;
  memcpy(out_table->places, program->lines, count * sizeof(vliw_line));
  qsort(out_table->places, count, sizeof(vliw_line), compare_places);
  int64_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (!kept ||
        compare_places(&out_table->places[kept - 1], &out_table->places[i]))
      out_table->places[kept++] = out_table->places[i];
  out_table->count = kept;
  return PFL_STATUS_OK;
}

static void add_lines(line_table *table, const schedule_profile *profile,
                      int64_t first, int64_t last) {
  const schedule_program *program = table->program;
  for (int64_t i = 0; i < table->count; i++) table->cycles[i] = 0;
  for (int64_t b = first; b <= last; b++) {
    const vliw_bundle *bundle = &program->bundles[b];
    if (!bundle->line_count) continue;
    double share = (double)bundle_cycles(profile, b) / bundle->line_count;
    for (int i = 0; i < bundle->line_count; i++) {
      const vliw_line *place = &program->lines[bundle->lines + (uint32_t)i];
      const vliw_line *found =
          bsearch(place, table->places, (size_t)table->count, sizeof *place,
                  compare_places);
      table->cycles[found - table->places] += share;
    }
  }
}

/* The costliest, in their order; returns how many there are. */
static int take_lines(line_table *table, schedule_line_cost *out_lines,
                      int capacity) {
  int count = 0;
  for (; count < capacity; count++) {
    int64_t best = -1;
    for (int64_t i = 0; i < table->count; i++)
      if (table->cycles[i] > 0 &&
          (best < 0 || table->cycles[i] > table->cycles[best]))
        best = i;
    if (best < 0) break;
    out_lines[count] =
        (schedule_line_cost){table->program->files[table->places[best].file],
                             table->places[best].line, table->cycles[best]};
    table->cycles[best] = 0;
  }
  return count;
}

/* ---- Regions ------------------------------------------------------------- */

static void keep_region(schedule_summary *summary,
                        const schedule_region *region) {
  int at = summary->region_count;
  if (at == SCHEDULE_REGIONS_MAX) {
    if (region->cycles <= summary->regions[at - 1].cycles) return;
    at--;
  } else {
    summary->region_count++;
  }
  for (; at && summary->regions[at - 1].cycles < region->cycles; at--)
    summary->regions[at] = summary->regions[at - 1];
  summary->regions[at] = *region;
}

static void find_regions(schedule_summary *summary) {
  const schedule_profile *profile = summary->profile;
  int64_t count = profile->program->bundle_count;
  for (int64_t first = 0, last; first < count; first = last + 1) {
    schedule_region region = {.first = first,
                              .times = (int64_t)profile->counts[first]};
    for (last = first; last < count; last++) {
      if (profile->counts[last] != profile->counts[first]) break;
      region.cycles += bundle_cycles(profile, last);
      for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
        region.causes[cause] += profile->stalls[last][cause];
    }
    region.last = --last;
    region.causes[SCHEDULE_CAUSE_ISSUE] = region.cycles;
    for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
      region.causes[SCHEDULE_CAUSE_ISSUE] -= region.causes[cause];
    if (region.times) keep_region(summary, &region);
  }
}

/* ---- All of it ----------------------------------------------------------- */

static void count_units(schedule_summary *summary) {
  const schedule_profile *profile = summary->profile;
  const schedule_program *program = profile->program;
  for (int64_t b = 0; program->slots && b < program->bundle_count; b++)
    for (int unit = 0; unit < SCHEDULE_UNITS; unit++)
      summary->units[unit] +=
          (int64_t)profile->counts[b] * program->slots[b][unit];
  summary->spill_stores = summary->units[SCHEDULE_UNIT_VSTORE_SPILL];
  summary->spill_loads = summary->units[SCHEDULE_UNIT_VLOAD_FILL];
}

static void count_traffic(schedule_summary *summary,
                          const schedule_model *model) {
  const schedule_profile *profile = summary->profile;
  for (int i = 0; i < SCHEDULE_SPACES; i++) {
    summary->hbm_read_bytes += profile->traffic[SCHEDULE_HBM][i].bytes;
    summary->hbm_write_bytes += profile->traffic[i][SCHEDULE_HBM].bytes;
  }
  double possible = (double)summary->cycles * model->hbm_gbs / model->clock_ghz;
  if (possible <= 0) return;
  summary->byte_fraction = summary->work.bytes / possible;
  summary->hbm_fraction =
      (double)(summary->hbm_read_bytes + summary->hbm_write_bytes) / possible;
}

pfl_status schedule_summarize(const schedule_result *result,
                              const schedule_profile *profile,
                              const schedule_model *model, schedule_work work,
                              const pfl_allocator *allocator,
                              schedule_summary *out_summary, pfl_error *error) {
  schedule_summary summary = {.profile = profile,
                              .clock_ghz = model->clock_ghz,
                              .chips = result->chips,
                              .cycles = profile->cycles,
                              .work = work};
  double cycles = (double)profile->cycles;
  summary.us = cycles / model->clock_ghz / 1000;
  for (int i = 0; i < VLIW_MXUS && cycles > 0; i++)
    if ((double)profile->mxu_busy[i] / cycles > summary.mxu_busy)
      summary.mxu_busy = (double)profile->mxu_busy[i] / cycles;
  if (cycles > 0)
    summary.flop_fraction = work.flops / (cycles * FLOPS_PER_CYCLE);
  count_traffic(&summary, model);
  count_units(&summary);
  find_regions(&summary);
  line_table table;
  pfl_status status = create_table(profile->program, allocator, &table, error);
  for (int i = 0; i < summary.region_count && !status; i++) {
    schedule_region *region = &summary.regions[i];
    add_lines(&table, profile, region->first, region->last);
    take_lines(&table, region->lines, SCHEDULE_REGION_LINES);
  }
  if (!status) {
    add_lines(&table, profile, 0, profile->program->bundle_count - 1);
    summary.line_count =
        take_lines(&table, summary.lines, SCHEDULE_REGIONS_MAX);
  }
  base_release(allocator, table.places);
  base_release(allocator, table.cycles);
  *out_summary = summary;
  return status;
}

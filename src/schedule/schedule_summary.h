/* What a run took, worked out for people: one program on one chip. */
#ifndef PFL_SCHEDULE_SUMMARY_H
#define PFL_SCHEDULE_SUMMARY_H

#include "schedule/schedule_run.h"

#define SCHEDULE_REGIONS_MAX 10
#define SCHEDULE_REGION_LINES 3

/* A line of the kernel's source, and the cycles of the bundles it is in: a
 * bundle's cycles are shared out evenly among the places of its slots. */
typedef struct schedule_line_cost {
  const char *file; /* NULL: none */
  int64_t line;
  double cycles;
} schedule_line_cost;

/* Bundles that follow each other and execute equally often. */
typedef struct schedule_region {
  int64_t first, last; /* bundles, both included */
  int64_t times;       /* each is executed */
  int64_t cycles;      /* with what they wait */
  int64_t causes[SCHEDULE_CAUSES];
  schedule_line_cost lines[SCHEDULE_REGION_LINES]; /* the costliest */
} schedule_region;

/* What is useful of what one call does on one chip; 0: not known. */
typedef struct schedule_work {
  double flops;
  double bytes;    /* that must come from HBM */
  const char *how; /* they are counted, in words; NULL: somebody else's */
} schedule_work;

typedef struct schedule_summary {
  const schedule_profile *profile;
  double clock_ghz;
  int chips; /* that ran it together */
  int64_t cycles;
  double us; /* at the model's clock, without dispatch */
  int64_t hbm_read_bytes, hbm_write_bytes;
  double hbm_fraction; /* of what HBM can move in that time */
  double mxu_busy;     /* the busiest one's share of the cycles */
  schedule_work work;
  double flop_fraction;          /* of the chip's 4 x 128 x 128 x 2 a cycle */
  double byte_fraction;          /* of what HBM can move in that time */
  int64_t units[SCHEDULE_UNITS]; /* slots executed; 0 without the file */
  int64_t spill_stores, spill_loads;
  schedule_region regions[SCHEDULE_REGIONS_MAX]; /* the costliest first */
  int region_count;
  schedule_line_cost lines[SCHEDULE_REGIONS_MAX];
  int line_count;
} schedule_summary;

/* RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status schedule_summarize(const schedule_result *result,
                                            const schedule_profile *profile,
                                            const schedule_model *model,
                                            schedule_work work,
                                            const pfl_allocator *allocator,
                                            schedule_summary *out_summary,
                                            pfl_error *error);

/* Of them those that went by in programs that this one calls. */
static inline int64_t schedule_called_cycles(const schedule_summary *summary) {
  int64_t called = summary->cycles;
  for (int i = 0; i < SCHEDULE_CAUSES; i++)
    called -= summary->profile->causes[i];
  return called;
}

/* ---- Reports ------------------------------------------------------------- */

/* Everything that a report tells. */
typedef struct schedule_report {
  const char *title; /* what was scheduled, in a few words */
  const schedule_model *model;
  const schedule_result *results;
  int64_t result_count;
  const schedule_summary *summaries; /* of their profiles, those to be told */
  int64_t summary_count;
  /* For each summary its kernel's text, for the places in the file "-"; NULL,
   * or NULL for one: not there. */
  const char *const *sources;
} schedule_report;

/* "attention.py:21", or "line 21, tpu.matmul" where the kernel's text is there.
 */
const char *schedule_place_name(const schedule_report *report,
                                const schedule_summary *summary,
                                const schedule_line_cost *line,
                                char buffer[128]);

void schedule_report_text(const schedule_report *report, base_text *out);
void schedule_report_json(const schedule_report *report, base_text *out);
/* One page that needs nothing but itself. */
void schedule_report_html(const schedule_report *report, base_text *out);

/* The spans of one result, in the trace event format that ui.perfetto.dev and
 * chrome://tracing open. */
void schedule_report_trace(const schedule_result *result,
                           const schedule_model *model, base_text *out);

#endif

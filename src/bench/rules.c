/* The rules, and how far a report kept them. */
#include "bench/rules.h"

#include <math.h>
#include <stddef.h>

#include "bench/replicas.h"

enum { STARTS_LEAST = 6 }; /* rule 29 */

/* What depends on the report. */
typedef struct found {
  bool measured, estimated, predicted, noisy, unsteady, unknown, beyond, stale,
      metered;
  int64_t starts; /* of the machine, that most rows have at least */
} found;

static void look_at_row(const report_row *row, found *f) {
  const report_side *ours = &row->sides[0];
  if (!report_side_measured(ours)) return;
  f->measured = true;
  f->noisy |= report_row_noisy(row);
  int64_t starts = replicas_starts(row);
  if (!f->starts || starts < f->starts) f->starts = starts;
  f->unknown |= !ours->steady.known;
  f->unsteady |= ours->steady.known && !ours->steady.steady;
  f->beyond |= ours->fraction > 1;
  for (int i = 0; i < ENERGY_SOURCES; i++)
    f->metered |= !isnan(ours->joules[i]);
}

static found look_at(const bench_report *report) {
  const bench_economy *e = &report->economy;
  found f = {.estimated = e->device_count > 0 && e->cell_count > 0};
  for (int64_t i = 0; i < report->row_count; i++)
    look_at_row(&report->rows[i], &f);
  for (int64_t i = 0; i < e->cell_count; i++) {
    const bench_estimate *a = &e->cells[i].estimates[0];
    f.predicted |= f.estimated && economy_estimated(a) &&
                   a->evidence == BENCH_EVIDENCE_PREDICTED;
  }
  f.stale = f.estimated && economy_stale_get(e, report_day(report), 0);
  return f;
}

typedef struct judgement {
  rule_state state;
  const char *because; /* NULL: as the table says */
} judgement;

typedef judgement judge_fn(const bench_report *report, const found *f);

#define KEPT ((judgement){RULE_KEPT, NULL})

static judgement judge_model_error(const bench_report *report, const found *f) {
  (void)report;
  if (f->predicted) return KEPT;
  return (judgement){RULE_NOT_KEPT,
                     "nothing was predicted: there is no TPU compiler here, or "
                     "the suite is too small"};
}

static judgement judge_warm_up(const bench_report *report, const found *f) {
  (void)f;
  if (report->manifest.effort.warm_seconds >= 3) return KEPT;
  return (judgement){RULE_PARTLY,
                     "the first run is told apart; but this suite warms up for "
                     "less than 3 s"};
}

static judgement judge_steady(const bench_report *report, const found *f) {
  (void)report;
  if (f->unsteady)
    return (judgement){RULE_PARTLY,
                       "rows marked unsteady had not settled: their numbers "
                       "stay, for what they are, and support no verdict"};
  if (f->unknown)
    return (judgement){RULE_PARTLY,
                       "rows of fewer than ten runs are not judged"};
  return KEPT;
}

static judgement judge_duration(const bench_report *report, const found *f) {
  const bench_effort *effort = &report->manifest.effort;
  (void)f;
  if (effort->smoke)
    return (judgement){RULE_NOT_KEPT, "a smoke run: it supports no verdict"};
  if (effort->min_runs >= 10 && effort->min_seconds >= 3) return KEPT;
  return (judgement){RULE_NOT_KEPT,
                     "this suite measures fewer runs than 10, or less than 3 s "
                     "of them"};
}

static judgement judge_replication(const bench_report *report, const found *f) {
  if (f->starts > 1 && report->manifest.processes > 1) return KEPT;
  if (report->manifest.processes > 1)
    return (judgement){RULE_PARTLY,
                       "runs in processes on one start of the machine"};
  return (judgement){RULE_NOT_KEPT,
                     "one process: intervals speak of it alone (--processes)"};
}

static judgement judge_environment(const bench_report *report, const found *f) {
  if (f->noisy)
    return (judgement){
        RULE_PARTLY,
        "others used the machine: rows marked noisy waited for a "
        "CPU"};
  if (!*report->manifest.machine.governor)
    return (judgement){RULE_PARTLY,
                       "the system tells no governor, clocks or temperatures"};
  return (judgement){RULE_PARTLY, "no temperatures or throttle counters"};
}

static judgement judge_stop(const bench_report *report, const found *f) {
  (void)f;
  if (report->manifest.effort.half_width > 0) return KEPT;
  return (judgement){RULE_PARTLY,
                     "this suite has fixed efforts; the width that was reached "
                     "is told"};
}

static judgement judge_bounds(const bench_report *report, const found *f) {
  (void)report;
  if (!f->beyond) return KEPT;
  return (judgement){RULE_PARTLY,
                     "rows marked beyond are faster than their limit: one of "
                     "the two is not what it should be"};
}

static judgement judge_prices(const bench_report *report, const found *f) {
  (void)report;
  if (f->stale)
    return (judgement){RULE_PARTLY, "prices older than 30 days are marked"};
  return KEPT;
}

/* X(number, what it asks, how it is kept, what it is about, judge or NULL):
 * about ALL, rows that were MEASURED, or other devices, ESTIMATED. */
#define RULE_LIST(X)                                                           \
  X("D1", "throughput is work over time, both summed",                         \
    "tokens a second and ratios are of sums; medians are told beside", ALL,    \
    NULL)                                                                      \
  X("D6", "1 GB is 1e9 bytes; peaks are dense",                                \
    "figures with sparsity are halved in hardware.csv", ALL, NULL)             \
  X("1", "an evidence class on every number", "A, B, C or D", ALL, NULL)       \
  X("2", "validated needs class A on both sides",                              \
    "all else is called projected", ALL, NULL)                                 \
  X("3", "a projection carries its model's error",                             \
    "bounds are moved out by the worst error over anchors.csv", ESTIMATED,     \
    judge_model_error)                                                         \
  X("4", "what is asked is fixed before it is measured",                       \
    "the plan's hash is in the manifest", ESTIMATED, NULL)                     \
  X("5", "one of four verdicts",                                               \
    "superior, inferior, equivalent or inconclusive, by intervals", ESTIMATED, \
    NULL)                                                                      \
  X("10", "outputs are right before a time counts",                            \
    "held against fp64 within a derived tolerance", MEASURED, NULL)            \
  X("11", "precision is told and equal",                                       \
    "bf16 on all but the T4, which has fp16 only", ESTIMATED, NULL)            \
  X("14", "what does not fit is infeasible, not dropped",                      \
    "such cells are told with what they take", ALL, NULL)                      \
  X("19", "cost at 100, 50 and 20 % of use",                                   \
    "in the cost curves and the JSON", ESTIMATED, NULL)                        \
  X("22", "kernel cells are not sold as models' tokens",                       \
    "attention alone, said wherever tokens are", ALL, NULL)                    \
  X("23", "a timed region is 1000 clock steps and 100 empty calls long",       \
    "shorter runs are timed some at a time", MEASURED, NULL)                   \
  X("25", "warm-up is apart, and 3 s long", "the first run is in the JSON",    \
    MEASURED, judge_warm_up)                                                   \
  X("26", "steady state: variation below 2 %, no slope",                       \
    "by ten windows of each process", MEASURED, judge_steady)                  \
  X("27", "10 runs and 3 s at least", "both", MEASURED, judge_duration)        \
  X("28", "replication: starts, processes, runs",                              \
    "starts are drawn, then the runs within each", MEASURED,                   \
    judge_replication)                                                         \
  X("29", "six starts of the machine at least", "told with each row",          \
    MEASURED, judge_starts)                                                    \
  X("30", "sides take turns", "in blocks, forwards and backwards", MEASURED,   \
    NULL)                                                                      \
  X("31", "the machine's state is recorded", "", MEASURED, judge_environment)  \
  X("34", "no normality; below 6 runs no interval",                            \
    "medians are held by ranks", MEASURED, NULL)                               \
  X("35", "ratios by a hierarchical bootstrap",                                \
    "processes, then runs, 10,000 times, seed published", MEASURED, NULL)      \
  X("36", "held against an asymptotic interval",                               \
    "the outer bounds of both; both are in the JSON", MEASURED, NULL)          \
  X("37", "no summary over cells without the cells", "there is none", ALL,     \
    NULL)                                                                      \
  X("38", "outliers are flagged, never deleted",                               \
    "Tukey's fences, counted; their share of the variance", MEASURED, NULL)    \
  X("39", "one primary cell", "the plan's; the others are exploratory",        \
    ESTIMATED, NULL)                                                           \
  X("40", "stop on width, never on significance",                              \
    "until 2.5 % or the time is up", MEASURED, judge_stop)                     \
  X("42", "nothing is faster than its bound", "no cell is", ALL, judge_bounds) \
  X("43", "a roofline uses a stated efficiency, never 100 %",                  \
    "efficiency.csv, by what others reached", ESTIMATED, NULL)                 \
  X("46", "prices are dated; stale after 30 days", "none is older", ESTIMATED, \
    judge_prices)                                                              \
  X("47", "like with like: one kind, one continent",                           \
    "the lowest of the "                                                       \
    "continent where the region has none",                                     \
    ESTIMATED, NULL)                                                           \
  X("48", "every region and kind", "for the plan's cell", ESTIMATED, NULL)     \
  X("51", "parity price and a grid of prices", "in the report", ESTIMATED,     \
    NULL)                                                                      \
  X("53", "energy from a meter, or none", "", ALL, judge_energy)               \
  X("54", "a manifest that reproduces the run", "at the end of the page", ALL, \
    NULL)                                                                      \
  X("55", "raw samples; the rest follows from them",                           \
    "a report read back is the same, byte for byte", ALL, NULL)                \
  X("57", "losses are told as gains are", "every cell is in the table", ALL,   \
    NULL)                                                                      \
  X("59", "plots show runs and intervals", "no line joins categories", ALL,    \
    NULL)                                                                      \
  X("15", "whole models: offline, latency, server, load", "", ALL,             \
    judge_systems)

static judgement judge_starts(const bench_report *report, const found *f) {
  (void)report;
  if (f->starts >= STARTS_LEAST) return KEPT;
  if (f->starts > 1) return (judgement){RULE_PARTLY, "fewer starts than six"};
  return (judgement){RULE_NOT_KEPT, "one start of one machine"};
}

static judgement judge_energy(const bench_report *report, const found *f) {
  (void)report;
  if (f->metered)
    return (judgement){RULE_PARTLY,
                       "counters of devices alone, best effort: not the power "
                       "at the wall"};
  return (judgement){RULE_PARTLY, "no meter can be read here: none is told"};
}

static judgement judge_systems(const bench_report *report, const found *f) {
  (void)report;
  (void)f;
  return (judgement){RULE_NOT_KEPT,
                     "rules 15 to 18, 20 and 21 are for whole models; here are "
                     "kernels, and what others published"};
}

enum { ALL, MEASURED, ESTIMATED };

static const struct {
  const char *number, *what, *how;
  int about;
  judge_fn *judge;
} rules[] = {
#define RULE_ROW(number, what, how, about, judge) \
  {number, what, how, about, judge},
    RULE_LIST(RULE_ROW)
#undef RULE_ROW
};
enum { RULES = sizeof rules / sizeof *rules };

const char *rule_word(rule_state state) {
  static const char *const words[] = {"kept", "partly", "not kept"};
  return words[state];
}

static bool concerns(int about, const found *f) {
  return about == ALL || (about == MEASURED ? f->measured : f->estimated);
}

bool rules_get(const bench_report *report, int n, rule_answer *out_answer) {
  found f = look_at(report);
  for (int i = 0; i < RULES; i++) {
    if (!concerns(rules[i].about, &f) || n-- > 0) continue;
    judgement j = rules[i].judge ? rules[i].judge(report, &f) : KEPT;
    *out_answer = (rule_answer){rules[i].number, rules[i].what, j.state,
                                j.because ? j.because : rules[i].how};
    return true;
  }
  return false;
}

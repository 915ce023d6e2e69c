/* The journal of a run: every finished cell, as soon as it is finished, so that
 * a run which is interrupted loses none. A file of JSON lines:
 *
 *   {"journal":1,"identity":{...},"start":"2026-01-31T12:00:00Z"}
 *   {"limit":...}          a row, as in the report, of one process
 *   {"estimate":...}       a prediction for a device, and its cell
 *   {"resumed":"..."}      the run was gone on with
 *
 * A line is written by one call and flushed. A last line without its end is
 * what an interruption left of one, and is cut off. The identity is what must
 * be the same for rows to belong to one run: program, machine and options. */
#ifndef PFL_BENCH_JOURNAL_H
#define PFL_BENCH_JOURNAL_H

#include "bench/report.h"

typedef struct bench_journal {
  const char *path; /* the caller's */
  int descriptor;
} bench_journal;

/* Opens the journal at `path`, which it makes if there is none, adds its rows
 * and estimates to the report and sets the manifest's start and resumed (what
 * is there already is counted). `identity` is one JSON object without line
 * breaks. While it is open nobody else can open it. INVALID_ARGUMENT: it is of
 * another run, the message says how they differ; or it is no journal.
 * UNAVAILABLE: another run has it. Others: as a file's. */
PFL_NODISCARD pfl_status journal_open(const char *path, const char *identity,
                                      bench_report *report,
                                      bench_journal *out_journal,
                                      pfl_error *error);

/* Notes that an interrupted run is gone on with. */
PFL_NODISCARD pfl_status journal_resume(bench_journal *journal,
                                        bench_report *report, pfl_error *error);

/* Adds a row of one process. */
PFL_NODISCARD pfl_status journal_add(bench_journal *journal,
                                     const report_row *row, int side_count,
                                     pfl_error *error);
PFL_NODISCARD pfl_status journal_add_estimate(bench_journal *journal,
                                              const bench_workload *workload,
                                              const char *device,
                                              const bench_estimate *estimate,
                                              pfl_error *error);
void journal_close(bench_journal *journal);

#endif

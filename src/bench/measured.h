/* Devices that were measured, as devices of the economy: this machine's CPU,
 * and those that a peer ran on. Evidence class A. */
#ifndef PFL_BENCH_MEASURED_H
#define PFL_BENCH_MEASURED_H

#include "bench/report.h"

/* What a verdict needs of a row's side, and this one lacks; "": nothing. Of
 * `plan` are how many processes and runs (rules 26 to 28, 31). */
void measured_weakness(const bench_report *report, const report_row *row,
                       const report_side *side, const bench_plan *plan,
                       char *out_text, size_t size);

/* Adds, to an economy that is open, the devices for which there is a price -
 * the user's for the CPU, the user's or the tables' for others - and what they
 * took for its cells, from the rows on most threads, which are finished. Our
 * kernels on a slice of the first device replace what was predicted of it.
 * Those that are there already are made anew. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status measured_add(bench_report *report, pfl_error *error);

#endif

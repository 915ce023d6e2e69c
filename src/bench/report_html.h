/* What the parts of the HTML report share. */
#ifndef PFL_BENCH_REPORT_HTML_H
#define PFL_BENCH_REPORT_HTML_H

#include "bench/report.h"

/* CSS. */
extern const char report_style[];

/* Adds `string` as text: & < > and quotes as entities. */
void html_add_text(base_text *html, const char *string);

/* A badge: the letter of an evidence class. */
void html_add_evidence(base_text *html, bench_evidence evidence);

/* Sections, each empty where there is nothing for it. */
PFL_NODISCARD pfl_status html_add_roofline(base_text *html,
                                           const bench_report *report,
                                           pfl_error *error);
void html_add_latency(base_text *html, const bench_report *report);
void html_add_costs(base_text *html, const bench_report *report);

/* The answer in a few lines, the verdict table, prices and where they lead. */
void html_add_answer(base_text *html, const bench_report *report);
void html_add_verdicts(base_text *html, const bench_report *report);
PFL_NODISCARD pfl_status html_add_prices(base_text *html,
                                         const bench_report *report,
                                         pfl_error *error);

/* Every number that was measured, the machine's limits, the rules. */
void html_add_table(base_text *html, const bench_report *report);
/* Nothing where no meter was read. */
void html_add_energy(base_text *html, const bench_report *report);
PFL_NODISCARD pfl_status html_add_limits(base_text *html,
                                         const bench_report *report,
                                         pfl_error *error);
void html_add_rules(base_text *html, const bench_report *report);

/* What the kernels take on a v5e, predicted. */
void html_add_forecast(base_text *html, const bench_report *report);

/* Bars: a section for each op. */
void html_add_charts(base_text *html, const bench_report *report);

#endif

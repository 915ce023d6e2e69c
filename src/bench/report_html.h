/* What the parts of the HTML report share. */
#ifndef PFL_BENCH_REPORT_HTML_H
#define PFL_BENCH_REPORT_HTML_H

#include "bench/report.h"

/* CSS. */
extern const char report_style[];

/* Adds `string` as text: & < > and quotes as entities. */
void html_add_text(base_text *html, const char *string);

/* Bars: a section for each op. */
void html_add_charts(base_text *html, const bench_report *report);

#endif

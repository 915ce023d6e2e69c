/* What the parts of the schedule's HTML page share. */
#ifndef PFL_SCHEDULE_REPORT_SCHEDULE_HTML_H
#define PFL_SCHEDULE_REPORT_SCHEDULE_HTML_H

#include "schedule/schedule_summary.h"

/* Adds `string` as text: & < > and quotes as entities. */
void schedule_html_text(base_text *html, const char *string);

/* One bar: all cycles, by what they went to. */
void schedule_chart_causes(const schedule_summary *summary, base_text *html);

/* How full each unit is. */
void schedule_chart_units(const schedule_summary *summary, base_text *html);

/* Cycles along the code, from the first bundle to the last. */
void schedule_chart_code(const schedule_summary *summary, base_text *html);

/* Core and HBM along the time, if the result has its spans. */
void schedule_chart_time(const schedule_summary *summary,
                         const schedule_result *result, base_text *html);

#endif

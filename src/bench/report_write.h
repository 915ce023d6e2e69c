/* A report into files. */
#ifndef PFL_BENCH_REPORT_WRITE_H
#define PFL_BENCH_REPORT_WRITE_H

#include "bench/report.h"

/* Paths; NULL: not written. */
typedef struct report_paths {
  const char *json, *html, *csv;
} report_paths;

/* Whether each can be written, leaving no trace. */
PFL_NODISCARD pfl_status report_try_paths(const report_paths *paths,
                                          pfl_error *error);

/* Each file as a whole or not at all. */
PFL_NODISCARD pfl_status report_write(const bench_report *report,
                                      const report_paths *paths,
                                      pfl_error *error);

/* Text into a file, as a whole or not at all; NULL: nowhere. */
PFL_NODISCARD pfl_status report_write_text(const base_text *text,
                                           const char *path, pfl_error *error);

#endif

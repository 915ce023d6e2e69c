/* A report into files. */
#include "bench/report_write.h"

#include "base/file.h"

/* Finds out whether a report can be written before anything is measured. */
static pfl_status try_path(const char *path, pfl_error *error) {
  if (!path) return PFL_STATUS_OK;
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  pfl_status status = base_output_end(&output, PFL_STATUS_CANCELLED, NULL);
  (void)status; /* CANCELLED: it leaves no trace */
  return PFL_STATUS_OK;
}

pfl_status report_try_paths(const report_paths *paths, pfl_error *error) {
  PFL_TRY(try_path(paths->json, error));
  PFL_TRY(try_path(paths->html, error));
  return try_path(paths->csv, error);
}

pfl_status report_write_text(const base_text *text, const char *path,
                             pfl_error *error) {
  if (!path) return PFL_STATUS_OK;
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  pfl_status status = base_output_write(&output, base_text_get(text),
                                        (int64_t)text->length, error);
  return base_output_end(&output, status, error);
}

typedef pfl_status report_form(const bench_report *report, base_text *out_text,
                               pfl_error *error);

static pfl_status write_form(const bench_report *report, report_form *form,
                             const char *path, pfl_error *error) {
  if (!path) return PFL_STATUS_OK;
  base_text text = {0};
  pfl_status status = form(report, &text, error);
  if (status == PFL_STATUS_OK) status = report_write_text(&text, path, error);
  base_text_release(&text);
  return status;
}

pfl_status report_write(const bench_report *report, const report_paths *paths,
                        pfl_error *error) {
  PFL_TRY(write_form(report, report_json, paths->json, error));
  PFL_TRY(write_form(report, report_html, paths->html, error));
  return write_form(report, report_csv, paths->csv, error);
}

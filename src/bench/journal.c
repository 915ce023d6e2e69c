/* The journal of a run. */
#include "bench/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/economy_json.h"
#include "bench/fields.h"

enum { JOURNAL_VERSION = 1, JOURNAL_MAX = 512 << 20 };

static pfl_status raise_system(const bench_journal *j, const char *what,
                               pfl_error *error) {
  PFL_RAISE(error, UNAVAILABLE, "the journal %s cannot be %s: %s", j->path,
            what, strerror(errno));
}

/* ---- Writing ----------------------------------------------------------- */

static pfl_status append_line(bench_journal *j, base_text *line,
                              pfl_error *error) {
  base_text_add_string(line, "\n");
  PFL_TRY(base_text_check(line, error));
  const char *at = base_text_get(line);
  for (size_t left = line->length; left;) {
    ssize_t written = write(j->descriptor, at, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return raise_system(j, "written", error);
    at += written;
    left -= (size_t)written;
  }
  return fdatasync(j->descriptor) ? raise_system(j, "written", error)
                                  : PFL_STATUS_OK;
}

static pfl_status append_header(bench_journal *j, const char *identity,
                                const char *start, pfl_error *error) {
  base_text line = {0};
  base_text_format(&line, "{\"journal\":%d,\"identity\":%s,\"start\":\"%s\"}",
                   JOURNAL_VERSION, identity, start);
  pfl_status status = append_line(j, &line, error);
  base_text_release(&line);
  return status;
}

static pfl_status append_resumed(bench_journal *j, pfl_error *error) {
  char now[MACHINE_UTC_SIZE];
  base_text line = {0};
  base_text_format(&line, "{\"resumed\":\"%s\"}", machine_utc(now));
  pfl_status status = append_line(j, &line, error);
  base_text_release(&line);
  return status;
}

pfl_status journal_add(bench_journal *journal, const report_row *row,
                       int side_count, pfl_error *error) {
  base_text line = {0};
  json_writer json = {.text = &line};
  report_json_row(&json, row, side_count);
  pfl_status status = append_line(journal, &line, error);
  base_text_release(&line);
  return status;
}

pfl_status journal_add_estimate(bench_journal *journal,
                                const bench_workload *workload,
                                const char *device,
                                const bench_estimate *estimate,
                                pfl_error *error) {
  base_text line = {0};
  json_writer json = {.text = &line};
  json_begin_object(&json, NULL);
  report_json_workload(&json, workload);
  economy_write_estimate(&json, "estimate", device, estimate);
  json_end(&json);
  pfl_status status = append_line(journal, &line, error);
  base_text_release(&line);
  return status;
}

/* ---- Reading ----------------------------------------------------------- */

/* A value as it would be written, for a message. */
static void describe(const json_value *value, char *out, size_t size) {
  const char *string = json_string(value);
  double number;
  if (string)
    snprintf(out, size, "'%.60s'", string);
  else if (json_double(value, &number))
    snprintf(out, size, "%.9g", number);
  else
    snprintf(out, size, "%s", json_type_name(value));
}

static bool is_same(const json_value *a, const json_value *b) {
  const char *one = json_string(a), *other = json_string(b);
  double x, y;
  if (!a || !b) return false;
  if (one || other) return one && other && !strcmp(one, other);
  if (json_double(a, &x)) return json_double(b, &y) && x == y;
  if (a->type != b->type) return false;
  const json_value *i = json_first(a), *k = json_first(b);
  for (; i && k; i = i->next, k = k->next)
    if (!is_same(i, k)) return false;
  return !i && !k;
}

static pfl_status check_identity(const bench_journal *j,
                                 const json_value *found, const char *identity,
                                 pfl_error *error) {
  static const pfl_allocator allocator = {0};
  json_document wanted;
  pfl_status status = PFL_STATUS_OK;
  PFL_TRY(json_parse(identity, strlen(identity), &allocator, &wanted, error));
  for (const json_value *item = json_first(wanted.root);
       item && status == PFL_STATUS_OK; item = item->next) {
    const json_value *theirs = json_object_get(found, item->key);
    char there[80], here[80];
    if (is_same(item, theirs)) continue;
    describe(theirs, there, sizeof there);
    describe(item, here, sizeof here);
    status = base_error_set(
        error, PFL_STATUS_INVALID_ARGUMENT,
        "the journal %s is of another run: its %s is %s, this one's %s; remove "
        "it to begin anew",
        j->path, item->key, there, here);
  }
  json_release(&wanted);
  return status;
}

static pfl_status read_header(const bench_journal *j, const json_value *line,
                              const char *identity, report_manifest *manifest,
                              pfl_error *error) {
  json_fields f = fields_of(line, "its first line", error);
  fields_int64(&f, "journal", JOURNAL_VERSION, JOURNAL_VERSION);
  fields_string(&f, "start", manifest->start, sizeof manifest->start);
  const json_value *found = fields_object(&f, "identity");
  PFL_TRY(f.status);
  return check_identity(j, found, identity, error);
}

static pfl_status read_line(const bench_journal *j, const json_value *line,
                            bool first, const char *identity,
                            bench_report *report, pfl_error *error) {
  if (first) return read_header(j, line, identity, &report->manifest, error);
  if (json_object_get(line, "resumed")) {
    report->manifest.resumed++;
    return PFL_STATUS_OK;
  }
  if (json_object_get(line, "estimate"))
    return economy_read_line(line, &report->economy, error);
  report_row row;
  PFL_TRY(report_read_row(line, report->side_count, &row, error));
  pfl_status status = report_add_row(report, &row, error);
  report_row_release(&row, report->side_count);
  return status;
}

/* Says of which line of which file a message is. */
static pfl_status name_line(pfl_status status, const bench_journal *j,
                            int64_t line, pfl_error *error) {
  if (status == PFL_STATUS_OK || !error || strstr(error->message, j->path))
    return status;
  char words[PFL_MESSAGE_SIZE];
  snprintf(words, sizeof words, "%s", error->message);
  return base_error_set(error, status, "%.200s:%lld: %s", j->path,
                        (long long)line, words);
}

static pfl_status read_lines(const bench_journal *j, const char *text,
                             size_t length, const char *identity,
                             bench_report *report, pfl_error *error) {
  static const pfl_allocator allocator = {0};
  int64_t number = 0;
  for (const char *at = text; at < text + length;) {
    const char *end = memchr(at, '\n', (size_t)(text + length - at));
    json_document line;
    pfl_status status =
        json_parse(at, (size_t)(end - at), &allocator, &line, error);
    if (status == PFL_STATUS_OK)
      status = read_line(j, line.root, number == 0, identity, report, error);
    json_release(&line);
    number++;
    if (status != PFL_STATUS_OK) return name_line(status, j, number, error);
    at = end + 1;
  }
  return PFL_STATUS_OK;
}

/* All of the file up to the end of its last whole line; the rest is cut off. */
static pfl_status read_text(const bench_journal *j, char **out_text,
                            size_t *out_length, pfl_error *error) {
  struct stat about;
  if (fstat(j->descriptor, &about)) return raise_system(j, "read", error);
  if (about.st_size > JOURNAL_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "the journal %s is too large", j->path);
  size_t size = (size_t)about.st_size, used = 0;
  char *text = *out_text = malloc(size + 1);
  if (!text) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the journal");
  while (used < size) {
    ssize_t got = pread(j->descriptor, text + used, size - used, (off_t)used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return raise_system(j, "read", error);
    used += (size_t)got;
  }
  while (used && text[used - 1] != '\n') used--;
  *out_length = used;
  if (used < size && ftruncate(j->descriptor, (off_t)used))
    return raise_system(j, "written", error);
  return PFL_STATUS_OK;
}

/* ---- Opening ----------------------------------------------------------- */

static pfl_status open_file(bench_journal *j, pfl_error *error) {
  struct stat about;
  j->descriptor =
      open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (j->descriptor < 0) return raise_system(j, "opened", error);
  if (fstat(j->descriptor, &about) || !S_ISREG(about.st_mode))
    PFL_RAISE(error, INVALID_ARGUMENT, "the journal %s is no regular file",
              j->path);
  struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(j->descriptor, F_SETLK, &all))
    PFL_RAISE(error, UNAVAILABLE, "another run has the journal %s", j->path);
  return PFL_STATUS_OK;
}

static pfl_status load(bench_journal *j, const char *identity,
                       bench_report *report, pfl_error *error) {
  char *text = NULL;
  size_t length = 0;
  pfl_status status = read_text(j, &text, &length, error);
  if (status == PFL_STATUS_OK && !length) {
    machine_utc(report->manifest.start);
    status = append_header(j, identity, report->manifest.start, error);
  } else if (status == PFL_STATUS_OK) {
    status = read_lines(j, text, length, identity, report, error);
  }
  free(text);
  return status;
}

pfl_status journal_open(const char *path, const char *identity,
                        bench_report *report, bench_journal *out_journal,
                        pfl_error *error) {
  *out_journal = (bench_journal){path, -1};
  pfl_status status = open_file(out_journal, error);
  if (status == PFL_STATUS_OK)
    status = load(out_journal, identity, report, error);
  if (status != PFL_STATUS_OK) journal_close(out_journal);
  return status;
}

pfl_status journal_resume(bench_journal *journal, bench_report *report,
                          pfl_error *error) {
  report->manifest.resumed++;
  return append_resumed(journal, error);
}

void journal_close(bench_journal *journal) {
  if (journal->descriptor >= 0) close(journal->descriptor);
  journal->descriptor = -1;
}

/* What a search reads and writes: its journal, and tables of tiles. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "output.h"
#include "tune_job.h"

static const pfl_allocator heap;

#define BYTES_MOST ((int64_t)1 << 28)

/* The file's text; empty if there is no file. */
static pfl_status read_if_there(const char *path, base_text *out_text,
                                pfl_error *error) {
  pfl_status status = base_file_load(path, BYTES_MOST, out_text, error);
  return status == PFL_STATUS_NOT_FOUND ? PFL_STATUS_OK : status;
}

/* ---- The journal --------------------------------------------------------- */

/* A line for each candidate: {"program":"1f..","cycles":..,...}. A line that an
 * interruption cut short is as none. */

pfl_status tune_journal_read(tune_job *job, pfl_error *error) {
  const char *path = job->options->journal_path;
  if (!path) return PFL_STATUS_OK;
  return name_option("--journal", read_if_there(path, &job->journal, error),
                     error);
}

static bool take_line(const char *line, size_t length,
                      tune_candidate *candidate) {
  json_document document;
  if (json_parse(line, length, &heap, &document, NULL)) return false;
  const json_value *root = document.root;
  bool good = json_int64(json_object_get(root, "cycles"), &candidate->cycles);
  good &= json_double(json_object_get(root, "time_us"), &candidate->us);
  good &=
      json_int64(json_object_get(root, "vmem_bytes"), &candidate->vmem_bytes);
  good &= json_int64(json_object_get(root, "spill_stores"), &candidate->spills);
  json_release(&document);
  return good && candidate->cycles > 0;
}

bool tune_journal_find(const tune_job *job, tune_candidate *candidate) {
  const char *line = base_text_get(&job->journal);
  size_t program = strlen(candidate->program);
  for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    size_t length = strcspn(line, "\n");
    static const char begin[] = "{\"program\":\"";
    const char *at = line + sizeof begin - 1;
    if (length < sizeof begin + program ||
        strncmp(line, begin, sizeof begin - 1) ||
        strncmp(at, candidate->program, program) || at[program] != '"')
      continue;
    tune_candidate found = *candidate;
    if (!take_line(line, length, &found)) continue;
    *candidate = found;
    return true;
  }
  return false;
}

pfl_status tune_journal_add(tune_job *job, const tune_candidate *candidate,
                            pfl_error *error) {
  const char *path = job->options->journal_path;
  base_text line = {0};
  json_writer json = {.text = &line};
  if (!path) return PFL_STATUS_OK;
  json_begin_object(&json, NULL);
  json_write_string(&json, "program", candidate->program);
  json_write_string(&json, "key", job->key);
  for (int i = 0; i < candidate->tile_count; i++)
    json_write_int64(&json, candidate->tiles[i].name,
                     candidate->tiles[i].value);
  json_write_int64(&json, "cycles", candidate->cycles);
  json_write_double(&json, "time_us", candidate->us);
  json_write_int64(&json, "vmem_bytes", candidate->vmem_bytes);
  json_write_int64(&json, "spill_stores", candidate->spills);
  json_end(&json);
  base_text_add_string(&line, "\n");
  pfl_status status = base_text_check(&line, error);
  FILE *file = status ? NULL : fopen(path, "a");
  if (!status &&
      (!file || fwrite(line.bytes, 1, line.length, file) != line.length ||
       fflush(file) || fsync(fileno(file))))
    status = base_error_set(error, PFL_STATUS_UNKNOWN,
                            "--journal: %.300s cannot be written: %s", path,
                            strerror(errno));
  if (file) fclose(file);
  base_text_release(&line);
  return status;
}

/* ---- The table ----------------------------------------------------------- */

/* A row that gains nothing would only outlive the plan's own rules. */
static void add_row(const tune_job *job, base_text *out) {
  const tune_candidate *best = tune_at(job, job->best);
  if (!tune_gains(job)) return;
  base_text_format(out, "\"%s :", job->key);
  for (int i = 0; i < best->tile_count; i++)
    base_text_format(out, " %s=%" PRId64, best->tiles[i].name,
                     best->tiles[i].value);
  base_text_format(out, " : %" PRId64 "\\n\"\n", best->cycles);
}

/* Whether the line is the row of `key`. */
static bool is_row(const char *line, const char *key) {
  line += strspn(line, " \t\"");
  size_t length = strlen(key);
  return !strncmp(line, key, length) && !strncmp(line + length, " : ", 3);
}

pfl_status tune_table_write(const tune_job *job, pfl_error *error) {
  const char *path = job->options->out;
  base_text before = {0}, after = {0};
  bool written = false;
  if (!path || job->best < 0) return PFL_STATUS_OK;
  pfl_status status = read_if_there(path, &before, error);
  for (const char *line = base_text_get(&before); !status && *line;) {
    size_t length = strcspn(line, "\n");
    length += line[length] == '\n';
    if (!is_row(line, job->key)) {
      base_text_add(&after, line, length);
    } else if (!written) {
      add_row(job, &after);
      written = true;
    }
    line += length;
  }
  if (!written) add_row(job, &after);
  if (!status) status = base_text_check(&after, error);
  if (!status) status = output_write(path, after.bytes, after.length, error);
  base_text_release(&before);
  base_text_release(&after);
  return name_option("--out", status, error);
}

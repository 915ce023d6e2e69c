/* CSV, read strictly. */
#include "bench/csv.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

/* ---- Fields ------------------------------------------------------------ */

/* Reading in place: a field, unquoted, takes no more room than it had. */
typedef struct csv_reader {
  csv_table *table;
  char *at, *end;
  int64_t line;
  int64_t cell_count, cell_capacity, row_capacity;
  pfl_error *error;
} csv_reader;

#define REFUSE(reader, ...)                                                  \
  return refuse_line((reader)->table->name, (reader)->line, (reader)->error, \
                     __VA_ARGS__)

__attribute__((format(printf, 4, 5))) static pfl_status refuse_line(
    const char *name, int64_t line, pfl_error *error, const char *format, ...) {
  char words[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  PFL_RAISE(error, INVALID_ARGUMENT, "%s:%lld: %s", name, (long long)line,
            words);
}

static bool at_line_end(const csv_reader *r) {
  return r->at == r->end || *r->at == '\n' ||
         (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n');
}

/* A field in quotes: what is between them, "" being one quote. */
static pfl_status read_quoted(csv_reader *r, char **out_end) {
  char *to = ++r->at;
  int64_t first = r->line;
  for (char *from = to;; from++) {
    if (from == r->end) {
      r->line = first;
      REFUSE(r, "a quote is not closed");
    }
    if (*from == '"' && (from + 1 == r->end || from[1] != '"')) {
      r->at = from + 1;
      break;
    }
    r->line += *from == '\n';
    *to++ = *from;
    from += *from == '"';
  }
  *out_end = to;
  if (!at_line_end(r) && *r->at != ',')
    REFUSE(r, "after a closing quote there must be a comma or the line's end");
  return PFL_STATUS_OK;
}

static pfl_status read_plain(csv_reader *r, char **out_end) {
  while (!at_line_end(r) && *r->at != ',') {
    if (*r->at == '"') REFUSE(r, "a quote inside a field that has none around");
    r->at++;
  }
  *out_end = r->at;
  return PFL_STATUS_OK;
}

static bool keep_cell(csv_reader *r, const char *cell) {
  if (r->cell_count == r->cell_capacity) {
    int64_t capacity = r->cell_capacity ? 2 * r->cell_capacity : 256;
    const char **cells =
        realloc(r->table->cells, (size_t)capacity * sizeof *r->table->cells);
    if (!cells) return false;
    r->table->cells = cells;
    r->cell_capacity = capacity;
  }
  r->table->cells[r->cell_count++] = cell;
  return true;
}

static bool keep_line(csv_reader *r, int64_t row, int64_t line) {
  if (row >= r->row_capacity) {
    int64_t capacity = r->row_capacity ? 2 * r->row_capacity : 64;
    int64_t *lines = realloc(r->table->lines, (size_t)capacity * sizeof *lines);
    if (!lines) return false;
    r->table->lines = lines;
    r->row_capacity = capacity;
  }
  r->table->lines[row] = line;
  return true;
}

/* One line's fields are added to the cells; *out_count says how many. */
static pfl_status read_row(csv_reader *r, int64_t *out_count) {
  for (*out_count = 1;; ++*out_count) {
    char *end = r->at, *cell = r->at;
    if (r->at < r->end && *r->at == '"') {
      cell++;
      PFL_TRY(read_quoted(r, &end));
    } else {
      PFL_TRY(read_plain(r, &end));
    }
    if (!keep_cell(r, cell))
      PFL_RAISE(r->error, RESOURCE_EXHAUSTED, "no memory for a table");
    bool more = r->at < r->end && *r->at == ',';
    if (!more && r->at < r->end) r->at += *r->at == '\r';
    if (r->at < r->end) r->at++;
    *end = 0; /* over the comma, quote or line break, which are read */
    if (!more) return PFL_STATUS_OK;
  }
}

/* ---- Columns ----------------------------------------------------------- */

static int64_t find_column(const csv_table *table, const char *name) {
  for (int64_t i = 0; i < table->width; i++)
    if (!strcmp(table->columns[i], name)) return i;
  return -1;
}

/* Which place each field of a row goes to, by the first row. */
static pfl_status read_header(csv_reader *r, int64_t *place) {
  csv_table *table = r->table;
  int64_t count;
  char quoted[BASE_QUOTE_SIZE];
  bool *seen = calloc((size_t)table->width + 1, sizeof *seen);
  if (!seen) PFL_RAISE(r->error, RESOURCE_EXHAUSTED, "no memory for a table");
  pfl_status status = read_row(r, &count);
  for (int64_t i = 0; status == PFL_STATUS_OK && i < count; i++) {
    const char *name = table->cells[i];
    int64_t column = find_column(table, name);
    if (column < 0 || seen[column]) {
      status = refuse_line(table->name, 1, r->error, "column %s is %s",
                           base_quote(name, strlen(name), quoted),
                           column < 0 ? "not known" : "there twice");
      break;
    }
    seen[column] = true;
    place[i] = column;
  }
  for (int64_t i = 0; status == PFL_STATUS_OK && i < table->width; i++)
    if (!seen[i])
      status = refuse_line(table->name, 1, r->error, "column %s is missing",
                           table->columns[i]);
  free(seen);
  r->cell_count = 0;
  return status;
}

static pfl_status read_rows(csv_reader *r, const int64_t *place) {
  csv_table *table = r->table;
  int64_t width = table->width, count;
  const char **sorted = malloc((size_t)width * sizeof *sorted);
  if (!sorted) PFL_RAISE(r->error, RESOURCE_EXHAUSTED, "no memory for a table");
  pfl_status status = PFL_STATUS_OK;
  while (status == PFL_STATUS_OK && r->at < r->end) {
    int64_t line = ++r->line;
    status = read_row(r, &count);
    if (status == PFL_STATUS_OK && count != width)
      status =
          refuse_line(table->name, line, r->error, "%lld fields: must be %lld",
                      (long long)count, (long long)width);
    if (status != PFL_STATUS_OK) break;
    const char **row = table->cells + table->rows * width;
    for (int64_t i = 0; i < width; i++) sorted[place[i]] = row[i];
    memcpy(row, sorted, (size_t)width * sizeof *sorted);
    if (!keep_line(r, table->rows++, line))
      status = base_error_set(r->error, PFL_STATUS_RESOURCE_EXHAUSTED,
                              "no memory for a table");
  }
  free(sorted);
  return status;
}

/* ---- The table --------------------------------------------------------- */

/* UTF-8 of printable characters, tabs and line breaks. */
static pfl_status check_bytes(csv_reader *r) {
  for (const char *at = r->at; at < r->end;) {
    size_t length = base_utf8_length(at, (size_t)(r->end - at));
    unsigned char byte = (unsigned char)*at;
    if (!length ||
        (byte < ' ' && byte != '\n' && byte != '\r' && byte != '\t') ||
        byte == 0x7f)
      REFUSE(r, "byte 0x%02x is no text in UTF-8", byte);
    r->line += byte == '\n';
    at += length;
  }
  r->line = 1;
  if (r->at == r->end) REFUSE(r, "the file is empty");
  return PFL_STATUS_OK;
}

static pfl_status parse_text(csv_table *table, int64_t length,
                             pfl_error *error) {
  csv_reader r = {.table = table,
                  .at = table->text,
                  .end = table->text + length,
                  .line = 1,
                  .error = error};
  PFL_TRY(check_bytes(&r));
  int64_t *place = calloc((size_t)length + 1, sizeof *place);
  if (!place) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a table");
  pfl_status status = read_header(&r, place);
  if (status == PFL_STATUS_OK) status = read_rows(&r, place);
  free(place);
  return status;
}

static void set_name(csv_table *table, const char *path) {
  size_t length = strlen(path);
  const char *end =
      length < CSV_NAME_SIZE ? path : path + length - (CSV_NAME_SIZE - 1);
  snprintf(table->name, CSV_NAME_SIZE, "%s", end);
}

/* Takes `text`, malloc's, whose byte after the last may be written. */
static pfl_status take_text(const char *name, char *text, int64_t length,
                            const char *const *columns, csv_table *out_table,
                            pfl_error *error) {
  *out_table = (csv_table){.columns = columns, .text = text};
  set_name(out_table, name);
  uint8_t digest[SHA256_SIZE];
  sha256(text, (size_t)length, digest);
  sha256_hex(digest, out_table->hash);
  while (columns[out_table->width]) out_table->width++;
  pfl_status status = parse_text(out_table, length, error);
  if (status != PFL_STATUS_OK) csv_release(out_table);
  return status;
}

pfl_status csv_parse(const char *name, const char *text, int64_t length,
                     const char *const *columns, csv_table *out_table,
                     pfl_error *error) {
  *out_table = (csv_table){0};
  char *copy = malloc((size_t)length + 1);
  if (!copy) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a table");
  memcpy(copy, text, (size_t)length);
  return take_text(name, copy, length, columns, out_table, error);
}

pfl_status csv_read(const char *path, const char *const *columns,
                    csv_table *out_table, pfl_error *error) {
  base_file file;
  *out_table = (csv_table){0};
  PFL_TRY(base_file_open(path, &file, error));
  pfl_status status = PFL_STATUS_OK;
  char *text = NULL;
  if (file.size > CSV_BYTES_MAX)
    status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                            "%s has %lld bytes: must be at most %d", path,
                            (long long)file.size, CSV_BYTES_MAX);
  else if (!(text = malloc((size_t)file.size + 1)))
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for %s", path);
  else
    status = base_file_read(&file, text, file.size, 0, error);
  base_file_close(&file);
  if (status == PFL_STATUS_OK)
    return take_text(path, text, file.size, columns, out_table, error);
  free(text);
  return status;
}

void csv_release(csv_table *table) {
  free(table->cells);
  free(table->lines);
  free(table->text);
  *table = (csv_table){0};
}

/* ---- Cells ------------------------------------------------------------- */

const char *csv_cell(const csv_table *table, int64_t row, int64_t column) {
  return table->cells[row * table->width + column];
}

pfl_status csv_refuse(const csv_table *table, int64_t row, int64_t column,
                      const char *must_be, pfl_error *error) {
  const char *cell = csv_cell(table, row, column);
  char quoted[BASE_QUOTE_SIZE];
  return refuse_line(table->name, table->lines[row], error,
                     "%s is %s: must be %s", table->columns[column],
                     base_quote(cell, strlen(cell), quoted), must_be);
}

/* Digits, at most one full stop, and an exponent if need be: what strtod takes
 * beyond that (hexadecimal, inf, blanks) is no number of a table. */
static bool is_decimal(const char *text) {
  text += *text == '-';
  size_t digits = strspn(text, "0123456789.eE+-");
  return digits && !text[digits] && *text >= '0' && *text <= '9';
}

pfl_status csv_number(const csv_table *table, int64_t row, int64_t column,
                      double above, double *out_number, pfl_error *error) {
  const char *cell = csv_cell(table, row, column);
  char *end, must_be[64];
  *out_number = NAN;
  if (!*cell) return PFL_STATUS_OK;
  double number = is_decimal(cell) ? base_double_from(cell, &end) : NAN;
  if (isfinite(number) && !*end && number > above) {
    *out_number = number;
    return PFL_STATUS_OK;
  }
  snprintf(must_be, sizeof must_be, "a number above %g, or empty", above);
  return csv_refuse(table, row, column, must_be, error);
}

pfl_status csv_count(const csv_table *table, int64_t row, int64_t column,
                     int64_t *out_count, pfl_error *error) {
  const char *cell = csv_cell(table, row, column);
  size_t digits = strspn(cell, "0123456789");
  *out_count = digits && digits < 10 && !cell[digits] ? atoll(cell) : 0;
  if (*out_count > 0) return PFL_STATUS_OK;
  return csv_refuse(table, row, column, "a whole number, 1 to 999999999",
                    error);
}

pfl_status csv_text(const csv_table *table, int64_t row, int64_t column,
                    const char **out_text, pfl_error *error) {
  *out_text = csv_cell(table, row, column);
  if (**out_text) return PFL_STATUS_OK;
  return csv_refuse(table, row, column, "something", error);
}

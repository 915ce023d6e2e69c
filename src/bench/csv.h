/* CSV from strangers, read strictly (RFC 4180, UTF-8).
 *
 *   static const char *const columns[] = {"sku", "usd_per_hour", NULL};
 *   csv_table table;
 *   PFL_TRY(csv_read("prices.csv", columns, &table, error));
 *   for (int64_t row = 0; row < table.rows; row++)
 *     PFL_TRY(csv_number(&table, row, 1, 0, &price, error));
 *   csv_release(&table);
 *
 * Every message begins with the file and the line: "prices.csv:12: ...". */
#ifndef PFL_BENCH_CSV_H
#define PFL_BENCH_CSV_H

#include <stdint.h>

#include "base/status.h"
#include "pjrt/sha256.h"

#define CSV_BYTES_MAX (16 << 20)

/* A message may be long, and a table's name must leave room for the rest. */
#define CSV_NAME_SIZE 96

typedef struct csv_table {
  char name[CSV_NAME_SIZE];   /* the end of its path */
  const char *const *columns; /* the caller's, in the caller's order */
  int64_t width, rows;
  const char **cells; /* [rows][width], strings within `text` */
  int64_t *lines;     /* [rows]: where each begins, counted from 1 */
  char *text;
  char hash[SHA256_HEX_SIZE]; /* of the file's bytes */
} csv_table;

/* Reads a table whose first row names its columns: each of `columns` (a list
 * that ends in NULL and outlives the table) once, in any order, and no other.
 * INVALID_ARGUMENT: no such table. NOT_FOUND, PERMISSION_DENIED: no such file.
 * On failure *out_table is empty. */
PFL_NODISCARD pfl_status csv_read(const char *path, const char *const *columns,
                                  csv_table *out_table, pfl_error *error);

/* The same from `length` bytes of text, which are copied. */
PFL_NODISCARD pfl_status csv_parse(const char *name, const char *text,
                                   int64_t length, const char *const *columns,
                                   csv_table *out_table, pfl_error *error);
void csv_release(csv_table *table);

const char *csv_cell(const csv_table *table, int64_t row, int64_t column);

/* Raises INVALID_ARGUMENT at a cell: "NAME:LINE: COLUMN is 'X': must be ..." */
pfl_status csv_refuse(const csv_table *table, int64_t row, int64_t column,
                      const char *must_be, pfl_error *error);

/* A decimal number above `above`, finite; an empty cell is NAN. */
PFL_NODISCARD pfl_status csv_number(const csv_table *table, int64_t row,
                                    int64_t column, double above,
                                    double *out_number, pfl_error *error);

/* Whole, 1 to 1e9. */
PFL_NODISCARD pfl_status csv_count(const csv_table *table, int64_t row,
                                   int64_t column, int64_t *out_count,
                                   pfl_error *error);

/* Not empty. */
PFL_NODISCARD pfl_status csv_text(const csv_table *table, int64_t row,
                                  int64_t column, const char **out_text,
                                  pfl_error *error);

#endif

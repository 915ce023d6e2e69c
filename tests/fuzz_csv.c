/* Any bytes either are refused, with the line that is at fault, or are a table
 * that, written again, reads the same. Columns: a, b, c. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "bench/csv.h"
#include "fuzz.h"

bool fuzz_accepted;

static const char *const columns[] = {"a", "b", "c", NULL};

static void write_field(base_text *text, const char *field, const char *end) {
  base_text_add_string(text, "\"");
  for (; *field; field++)
    base_text_add_string(text, *field == '"' ? "\"\"" : (char[]){*field, 0});
  base_text_add_string(text, "\"");
  base_text_add_string(text, end);
}

static base_text write_table(const csv_table *table) {
  base_text text = {0};
  base_text_add_string(&text, "a,b,c\r\n");
  for (int64_t row = 0; row < table->rows; row++)
    for (int i = 0; i < 3; i++)
      write_field(&text, csv_cell(table, row, i), i < 2 ? "," : "\r\n");
  return text;
}

static void need_equal(const csv_table *one, const csv_table *other) {
  FUZZ_NEED(one->rows == other->rows);
  for (int64_t row = 0; row < one->rows; row++)
    for (int i = 0; i < 3; i++)
      FUZZ_NEED(!strcmp(csv_cell(one, row, i), csv_cell(other, row, i)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  csv_table table, again;
  pfl_error error = {0};
  long long lines = 1, line;
  for (size_t i = 0; i < size; i++) lines += bytes[i] == '\n';
  fuzz_accepted = !csv_parse("name", (const char *)bytes, (int64_t)size,
                             columns, &table, &error);
  if (!fuzz_accepted) {
    FUZZ_NEED(!table.text && error.status == PFL_STATUS_INVALID_ARGUMENT);
    FUZZ_NEED(sscanf(error.message, "name:%lld: ", &line) == 1);
    FUZZ_NEED(line >= 1 && line <= lines);
    return 0;
  }
  base_text text = write_table(&table);
  FUZZ_NEED(!csv_parse("name", base_text_get(&text), (int64_t)text.length,
                       columns, &again, &error));
  need_equal(&table, &again);
  for (int64_t row = 0; row < table.rows; row++) {
    double number;
    FUZZ_NEED(table.lines[row] > 1 && table.lines[row] <= lines);
    if (!csv_number(&table, row, 0, 0, &number, &error))
      FUZZ_NEED(!*csv_cell(&table, row, 0) || (number > 0 && !isinf(number)));
  }
  csv_release(&again);
  csv_release(&table);
  base_text_release(&text);
  return 0;
}

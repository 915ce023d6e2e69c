#include "schedule/schedule_model.h"

#include <string.h>

#include "base/file.h"

#define CALIBRATION_BYTES_MAX (1 << 20)
#define NUMBER_MAX 1e6 /* more than any of them can be */

schedule_model schedule_model_default(void) {
  return (schedule_model){
#define MODEL_DEFAULT(name, value, what) .name = value,
      SCHEDULE_MODEL_LIST(MODEL_DEFAULT)
#undef MODEL_DEFAULT
  };
}

typedef struct model_row {
  const char *name;
  size_t offset;
} model_row;

static const model_row rows[] = {
#define MODEL_ROW(name, value, what) {#name, offsetof(schedule_model, name)},
    SCHEDULE_MODEL_LIST(MODEL_ROW)
#undef MODEL_ROW
};
#define ROWS ((int)(sizeof rows / sizeof *rows))

/* Rates and the clock divide; latencies may be nothing. */
static bool divides(const char *name) {
  return strstr(name, "ghz") || strstr(name, "gbs") ||
         strstr(name, "bytes_per_cycle");
}

pfl_status schedule_model_set(schedule_model *model, const char *name,
                              double number, pfl_error *error) {
  for (int i = 0; i < ROWS; i++) {
    if (strcmp(rows[i].name, name)) continue;
    if (!(number >= 0 && number <= NUMBER_MAX) ||
        (number == 0 && divides(name)))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s is %g: must be a number %s and at most %.0f", name, number,
                divides(name) ? "above 0" : ">= 0", NUMBER_MAX);
    memcpy((char *)model + rows[i].offset, &number, sizeof number);
    return PFL_STATUS_OK;
  }
  char quoted[BASE_QUOTE_SIZE];
  PFL_RAISE(error, INVALID_ARGUMENT, "%s is no number of the model",
            base_quote(name, strlen(name), quoted));
}

/* Puts the file before a message about what is in it. */
static pfl_status name_file(const char *path, pfl_status status,
                            pfl_error *error) {
  if (!status || !error) return status;
  pfl_error inner = *error;
  return base_error_set(error, status, "%.200s: %.300s", path, inner.message);
}

static pfl_status take(const json_value *member, const char *path,
                       schedule_model *model, pfl_error *error) {
  double number;
  char quoted[BASE_QUOTE_SIZE];
  if (!json_double(member, &number))
    PFL_RAISE(error, INVALID_ARGUMENT, "%.200s: %s is %s: must be a number",
              path, base_quote(member->key, member->key_length, quoted),
              json_type_name(member));
  return name_file(path, schedule_model_set(model, member->key, number, error),
                   error);
}

static pfl_status take_all(const json_value *root, const char *path,
                           schedule_model *model, pfl_error *error) {
  if (!root || root->type != JSON_OBJECT)
    PFL_RAISE(error, INVALID_ARGUMENT, "%.200s is %s: must be a JSON object",
              path, json_type_name(root));
  schedule_model taken = *model;
  for (const json_value *member = json_first(root); member;
       member = member->next)
    if (strcmp(member->key, "about"))
      PFL_TRY(take(member, path, &taken, error));
  *model = taken;
  return PFL_STATUS_OK;
}

pfl_status schedule_model_read(const char *path, const pfl_allocator *allocator,
                               schedule_model *model, pfl_error *error) {
  base_text text = {.allocator = *allocator};
  json_document document;
  pfl_status status = base_file_load(path, CALIBRATION_BYTES_MAX, &text, error);
  if (!status)
    status = name_file(path,
                       json_parse(base_text_get(&text), text.length, allocator,
                                  &document, error),
                       error);
  base_text_release(&text);
  if (status) return status;
  status = take_all(document.root, path, model, error);
  json_release(&document);
  return status;
}

void schedule_model_write(const schedule_model *model, json_writer *json) {
  for (int i = 0; i < ROWS; i++) {
    double number;
    memcpy(&number, (const char *)model + rows[i].offset, sizeof number);
    json_write_double(json, rows[i].name, number);
  }
}

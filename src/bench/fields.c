/* Members of strangers' JSON objects. */
#include "bench/fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

json_fields fields_of(const json_value *value, const char *place,
                      pfl_error *error) {
  json_fields f = {value, place, error, PFL_STATUS_OK};
  if (!value || value->type != JSON_OBJECT)
    f.status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                              "%s is %s: must be an object", place,
                              json_type_name(value));
  return f;
}

void fields_refuse(json_fields *fields, const char *key, const char *must_be) {
  if (fields->status == PFL_STATUS_OK)
    fields->status =
        base_error_set(fields->error, PFL_STATUS_INVALID_ARGUMENT,
                       "%s: %s must be %s", fields->place, key, must_be);
}

/* The member; NULL, an error being set, if it is not there or not of `type`,
 * which is called `name`. */
static const json_value *get(json_fields *fields, const char *key,
                             json_type type, const char *name) {
  if (fields->status != PFL_STATUS_OK) return NULL;
  const json_value *value = json_object_get(fields->object, key);
  if (value && value->type == type) return value;
  fields->status = base_error_set(
      fields->error, PFL_STATUS_INVALID_ARGUMENT, "%s: %s is %s: must be %s",
      fields->place, key, value ? json_type_name(value) : "missing", name);
  return NULL;
}

static bool is_null(const json_fields *fields, const char *key) {
  const json_value *value = json_object_get(fields->object, key);
  return value && value->type == JSON_NULL;
}

int64_t fields_int64(json_fields *fields, const char *key, int64_t low,
                     int64_t high) {
  char must_be[96];
  const json_value *value = get(fields, key, JSON_INTEGER, "a whole number");
  if (!value) return 0;
  if (value->integer >= low && value->integer <= high) return value->integer;
  snprintf(must_be, sizeof must_be, "a whole number, %lld to %lld",
           (long long)low, (long long)high);
  fields_refuse(fields, key, must_be);
  return 0;
}

double fields_number(json_fields *fields, const char *key, double low,
                     double high) {
  char must_be[96];
  double number;
  if (fields->status != PFL_STATUS_OK) return 0;
  if (is_null(fields, key)) return NAN;
  if (!json_double(json_object_get(fields->object, key), &number)) {
    get(fields, key, JSON_DOUBLE, "a number");
    return 0;
  }
  if (number >= low && number <= high) return number;
  snprintf(must_be, sizeof must_be, "a number, %g to %g", low, high);
  fields_refuse(fields, key, must_be);
  return 0;
}

bool fields_bool(json_fields *fields, const char *key) {
  const json_value *value = get(fields, key, JSON_BOOL, "true or false");
  return value && value->boolean;
}

const char *fields_word(json_fields *fields, const char *key) {
  if (fields->status == PFL_STATUS_OK && is_null(fields, key)) return "";
  const json_value *value = get(fields, key, JSON_STRING, "a string");
  if (!value) return "";
  const char *string = json_string(value);
  if (!string) fields_refuse(fields, key, "a string without NULs");
  return string ? string : "";
}

void fields_string(json_fields *fields, const char *key, char *out,
                   size_t size) {
  const char *string = fields_word(fields, key);
  char must_be[64];
  *out = 0;
  if (strlen(string) < size) {
    strcpy(out, string);
    return;
  }
  snprintf(must_be, sizeof must_be, "shorter than %zu bytes", size);
  fields_refuse(fields, key, must_be);
}

const json_value *fields_object(json_fields *fields, const char *key) {
  return get(fields, key, JSON_OBJECT, "an object");
}

const json_value *fields_array(json_fields *fields, const char *key) {
  return get(fields, key, JSON_ARRAY, "an array");
}

void fields_only(json_fields *fields, const char *const *keys) {
  if (fields->status != PFL_STATUS_OK) return;
  for (const json_value *item = json_first(fields->object); item;
       item = item->next) {
    int i = 0;
    while (keys[i] && strcmp(keys[i], item->key)) i++;
    if (keys[i]) continue;
    char quoted[BASE_QUOTE_SIZE];
    fields->status = base_error_set(
        fields->error, PFL_STATUS_INVALID_ARGUMENT, "%s has no member %s",
        fields->place, base_quote(item->key, item->key_length, quoted));
    return;
  }
}

void fields_printable(char *out, size_t size, const char *words) {
  char quoted[BASE_QUOTE_SIZE];
  base_quote(words, strlen(words), quoted);
  const char *end = strrchr(quoted, '"');
  snprintf(out, size, "%.*s", (int)(end - quoted) - 1, quoted + 1);
}

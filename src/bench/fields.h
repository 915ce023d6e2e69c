/* Members of strangers' JSON objects, read one after the other without looking
 * at each: the first that is not what it must be is remembered, and everything
 * after it is read as zero.
 *
 *   json_fields f = fields_of(value, "manifest", error);
 *   int64_t seed = fields_int64(&f, "seed", 1, INT64_MAX);
 *   fields_string(&f, "suite", suite, sizeof suite);
 *   PFL_TRY(f.status);
 */
#ifndef PFL_BENCH_FIELDS_H
#define PFL_BENCH_FIELDS_H

#include "base/json.h"

typedef struct json_fields {
  const json_value *object;
  const char *place; /* for messages: "manifest"; outlives this */
  pfl_error *error;
  pfl_status status;
} json_fields;

/* INVALID_ARGUMENT at once if it is no object. */
json_fields fields_of(const json_value *value, const char *place,
                      pfl_error *error);

/* A whole number within the bounds. */
int64_t fields_int64(json_fields *fields, const char *key, int64_t low,
                     int64_t high);

/* A number within the bounds; NAN for null. */
double fields_number(json_fields *fields, const char *key, double low,
                     double high);
bool fields_bool(json_fields *fields, const char *key);

/* A string of less than `size` bytes; null is "". */
void fields_string(json_fields *fields, const char *key, char *out,
                   size_t size);

/* The very string, as long as the document lives; null is "". */
const char *fields_word(json_fields *fields, const char *key);

/* NULL, an error being set, if it is no such thing. */
const json_value *fields_object(json_fields *fields, const char *key);
const json_value *fields_array(json_fields *fields, const char *key);

/* That the object has no member but those of `keys`, which ends in NULL. */
void fields_only(json_fields *fields, const char *const *keys);

/* A stranger's words, of any length, fit to be printed: quoted as base_quote
 * has it, without the marks around, cut to `size`. */
void fields_printable(char *out, size_t size, const char *words);

/* Refuses a member: "PLACE: KEY must be ...". */
void fields_refuse(json_fields *fields, const char *key, const char *must_be);

#endif

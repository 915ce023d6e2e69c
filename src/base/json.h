/* JSON, written and read (RFC 8259).
 *
 *   base_text text = {0};
 *   json_writer json = {.text = &text, .pretty = true};
 *   json_begin_object(&json, NULL);
 *   json_write_string(&json, "device", "cpu");
 *   json_begin_array(&json, "times_us");
 *   for (int i = 0; i < runs; i++) json_write_double(&json, NULL, times[i]);
 *   json_end(&json);
 *   json_end(&json);
 *   PFL_TRY(base_text_check(&text, error));
 *
 *   json_document document;
 *   PFL_TRY(json_parse(text, length, &allocator, &document, error));
 *   const char *device =
 *       json_string(json_object_get(document.root, "device"));
 *   const json_value *times = json_object_get(document.root, "times_us");
 *   double sum = 0, time;
 *   for (const json_value *item = json_first(times); item; item = item->next)
 *     if (json_double(item, &time)) sum += time;
 *   json_release(&document);
 */
#ifndef PFL_BASE_JSON_H
#define PFL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "pallas_flash/context.h"

/* Arrays and objects within each other, for the writer and the reader alike. */
#define JSON_DEPTH_MAX 64

/* ---- Writing ------------------------------------------------------------
 *
 * Set `text` and `pretty` (two spaces a level; otherwise no space and no line
 * break at all), the rest zero. `key` names a member of an object and is NULL
 * in an array and for the whole. Memory is the text's affair. A writer writes
 * one value; for JSON lines add "\n" to the text and take a new writer. */
typedef struct json_writer {
  base_text *text;
  bool pretty;
  bool filled;      /* the innermost container has an item */
  int depth;        /* containers begun and not ended */
  uint64_t objects; /* bit i: the container at depth i + 1 is an object */
} json_writer;

void json_begin_object(json_writer *writer, const char *key);
void json_begin_array(json_writer *writer, const char *key);
/* Ends the innermost object or array. */
void json_end(json_writer *writer);

/* NULL is written as null; bytes that are no UTF-8 become U+FFFD. */
void json_write_string(json_writer *writer, const char *key,
                       const char *string);
/* The same for a string that may hold NULs. */
void json_write_bytes(json_writer *writer, const char *key, const char *bytes,
                      size_t length);
void json_write_int64(json_writer *writer, const char *key, int64_t number);
/* In as few digits as read back to the same number; NaN and the infinities,
 * which JSON lacks, as null. */
void json_write_double(json_writer *writer, const char *key, double number);
void json_write_bool(json_writer *writer, const char *key, bool boolean);
void json_write_null(json_writer *writer, const char *key);

/* ---- Reading ----------------------------------------------------------- */

typedef enum json_type {
  JSON_NULL,
  JSON_BOOL,
  JSON_INTEGER, /* written without fraction and exponent, and fits int64_t */
  JSON_DOUBLE,  /* any other number, -0 too */
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
} json_type;

typedef struct json_value json_value;
struct json_value {
  const json_value *next; /* what follows it in its container, or NULL */
  const char *key;        /* of a member, ends in NUL; NULL in an array */
  union {
    bool boolean;
    int64_t integer;
    double number;
    const char *string;              /* ends in NUL, and may hold others */
    const json_value *const *sorted; /* an object's members, by key */
  };
  uint32_t key_length;
  uint32_t length; /* bytes of a string; items of an array or object */
  json_type type;
};

/* Every value lives as long as its document. */
typedef struct json_document {
  const json_value *root;
  pfl_allocator allocator;
} json_document;

/* Reads one value and nothing after it but white space. `text` is copied.
 * Strict: no comments, no trailing commas, UTF-8 without BOM or surrogates,
 * numbers within a double's range, no key twice in one object (readers differ
 * in which one they take). Memory: about 40 bytes a value, and the text.
 * INVALID_ARGUMENT: the message gives the offset of the offending byte and what
 * was expected there. RESOURCE_EXHAUSTED. On failure *out_document is empty. */
PFL_NODISCARD pfl_status json_parse(const char *text, size_t length,
                                    const pfl_allocator *allocator,
                                    json_document *out_document,
                                    pfl_error *error);

void json_release(json_document *document);

/* What follows takes NULL for a value that is not there, so that questions can
 * be put one inside the other and the answer be looked at once. */

/* The first item of an array or object; NULL for an empty one or any other
 * value. `next` leads on, in the order of the text. */
const json_value *json_first(const json_value *value);

/* The member called `key`; NULL if there is none or this is no object. */
const json_value *json_object_get(const json_value *value, const char *key);

/* False, *out unchanged, if the value is of another type. Every number is a
 * double; only a JSON_INTEGER is an int64. */
bool json_bool(const json_value *value, bool *out);
bool json_int64(const json_value *value, int64_t *out);
bool json_double(const json_value *value, double *out);

/* NULL if this is no string, or one with a NUL inside. */
const char *json_string(const json_value *value);

/* "a string", "an array", for messages; "nothing" for NULL. Static storage. */
const char *json_type_name(const json_value *value);

#endif

/* Writes again what the JSON reader has read. */
#ifndef PFL_TESTS_REWRITE_H
#define PFL_TESTS_REWRITE_H

#include <string.h>

#include "base/json.h"

static inline void rewrite_value(json_writer *writer, const json_value *value) {
  const char *key = value->key;
  switch (value->type) {
    case JSON_NULL: json_write_null(writer, key); break;
    case JSON_BOOL: json_write_bool(writer, key, value->boolean); break;
    case JSON_INTEGER: json_write_int64(writer, key, value->integer); break;
    case JSON_DOUBLE: json_write_double(writer, key, value->number); break;
    case JSON_STRING:
      json_write_bytes(writer, key, value->string, value->length);
      break;
    case JSON_ARRAY:
    case JSON_OBJECT:
      if (value->type == JSON_OBJECT)
        json_begin_object(writer, key);
      else
        json_begin_array(writer, key);
      for (const json_value *item = json_first(value); item; item = item->next)
        rewrite_value(writer, item);
      json_end(writer);
  }
}

/* Whether every key ends where its string does; the writer takes no others. */
static inline bool rewrite_possible(const json_value *value) {
  if (value->key && strlen(value->key) != value->key_length) return false;
  for (const json_value *item = json_first(value); item; item = item->next)
    if (!rewrite_possible(item)) return false;
  return true;
}

#endif

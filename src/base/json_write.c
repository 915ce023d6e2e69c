/* The writer of json.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/json.h"

static void write_escaped(base_text *text, unsigned char byte) {
  static const char letters[] = {
      ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
      ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};
  if (letters[byte])
    base_text_add(text, (char[]){'\\', letters[byte]}, 2);
  else
    base_text_format(text, "\\u%04x", byte);
}

static void write_quoted(base_text *text, const char *bytes, size_t length) {
  base_text_add(text, "\"", 1);
  while (length) {
    size_t plain = 0, step = 1;
    while (plain < length &&
           (step = base_utf8_length(bytes + plain, length - plain))) {
      unsigned char byte = (unsigned char)bytes[plain];
      if (byte < 0x20 || byte == '"' || byte == '\\') break;
      plain += step;
    }
    base_text_add(text, bytes, plain);
    bytes += plain;
    length -= plain;
    if (!length) break;
    if (step)
      write_escaped(text, (unsigned char)bytes[0]);
    else
      base_text_add_string(text, "\xef\xbf\xbd"); /* U+FFFD */
    bytes++;
    length--;
  }
  base_text_add(text, "\"", 1);
}

static void break_line(json_writer *writer) {
  if (writer->pretty)
    base_text_format(writer->text, "\n%*s", 2 * writer->depth, "");
}

static bool in_object(const json_writer *writer) {
  return writer->depth && writer->objects >> (writer->depth - 1) & 1;
}

/* What stands before a value: comma, line break, key. */
static void begin_value(json_writer *writer, const char *key) {
  assert(in_object(writer) == (key != NULL));
  assert(writer->depth || !writer->filled);
  if (writer->filled) base_text_add(writer->text, ",", 1);
  writer->filled = true;
  if (writer->depth) break_line(writer);
  if (!key) return;
  write_quoted(writer->text, key, strlen(key));
  base_text_add_string(writer->text, writer->pretty ? ": " : ":");
}

static void begin_container(json_writer *writer, const char *key, bool object) {
  begin_value(writer, key);
  assert(writer->depth < JSON_DEPTH_MAX);
  base_text_add(writer->text, object ? "{" : "[", 1);
  uint64_t bit = (uint64_t)1 << writer->depth++;
  writer->objects = object ? writer->objects | bit : writer->objects & ~bit;
  writer->filled = false;
}

void json_begin_object(json_writer *writer, const char *key) {
  begin_container(writer, key, true);
}

void json_begin_array(json_writer *writer, const char *key) {
  begin_container(writer, key, false);
}

void json_end(json_writer *writer) {
  assert(writer->depth > 0);
  bool object = in_object(writer);
  writer->depth--;
  if (writer->filled) break_line(writer);
  base_text_add(writer->text, object ? "}" : "]", 1);
  writer->filled = true;
}

void json_write_bytes(json_writer *writer, const char *key, const char *bytes,
                      size_t length) {
  begin_value(writer, key);
  write_quoted(writer->text, bytes, length);
}

void json_write_string(json_writer *writer, const char *key,
                       const char *string) {
  if (string)
    json_write_bytes(writer, key, string, strlen(string));
  else
    json_write_null(writer, key);
}

void json_write_int64(json_writer *writer, const char *key, int64_t number) {
  begin_value(writer, key);
  base_text_format(writer->text, "%lld", (long long)number);
}

void json_write_double(json_writer *writer, const char *key, double number) {
  if (!isfinite(number)) {
    json_write_null(writer, key);
    return;
  }
  begin_value(writer, key);
  base_text_add_double(writer->text, number);
}

void json_write_bool(json_writer *writer, const char *key, bool boolean) {
  begin_value(writer, key);
  base_text_add_string(writer->text, boolean ? "true" : "false");
}

void json_write_null(json_writer *writer, const char *key) {
  begin_value(writer, key);
  base_text_add_string(writer->text, "null");
}

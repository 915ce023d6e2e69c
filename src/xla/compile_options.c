/* A CompileOptionsProto, in the wire form of protocol buffers:
 *   3  executable_build_options { 4 num_replicas, 5 num_partitions }
 *   7  env_option_overrides, a map: { 1 key, 2 { 1 string_field } } */
#include <string.h>

#include "xla/program.h"

static void add_varint(base_text *text, uint64_t number) {
  for (; number >= 0x80; number >>= 7) {
    char byte = (char)(number | 0x80);
    base_text_add(text, &byte, 1);
  }
  char last = (char)number;
  base_text_add(text, &last, 1);
}

static void add_integer(base_text *text, int field, uint64_t number) {
  add_varint(text, (uint64_t)field << 3);
  add_varint(text, number);
}

static void add_bytes(base_text *text, int field, const char *bytes,
                      size_t size) {
  add_varint(text, (uint64_t)field << 3 | 2);
  add_varint(text, size);
  base_text_add(text, bytes, size);
}

/* Puts `inner` into a field and empties it. */
static void add_message(base_text *text, int field, base_text *inner) {
  if (inner->failed) text->failed = true;
  add_bytes(text, field, base_text_get(inner), inner->length);
  base_text_release(inner);
}

pfl_status xla_options_write(int replicas, const xla_setting *settings,
                             int setting_count, base_text *out,
                             pfl_error *error) {
  if (replicas < 1 || replicas > XLA_REPLICAS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "replicas is %d: must be 1 to %d",
              replicas, XLA_REPLICAS_MAX);
  base_text build = {.allocator = out->allocator};
  add_integer(&build, 4, (uint64_t)replicas);
  add_integer(&build, 5, 1);
  add_message(out, 3, &build);
  for (int i = 0; i < setting_count; i++) {
    base_text value = {.allocator = out->allocator};
    base_text entry = {.allocator = out->allocator};
    add_bytes(&value, 1, settings[i].value, strlen(settings[i].value));
    add_bytes(&entry, 1, settings[i].name, strlen(settings[i].name));
    add_message(&entry, 2, &value);
    add_message(out, 7, &entry);
  }
  return base_text_check(out, error);
}

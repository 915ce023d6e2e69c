/* A CompileOptionsProto, in the wire form of protocol buffers:
 *   3  executable_build_options { 4 num_replicas, 5 num_partitions,
 *          9 device_assignment { 1 replica_count, 2 computation_count,
 *                                3 computation_devices { 1 replica_device_ids }
 *                              } }
 *   7  env_option_overrides, a map: { 1 key, 2 { 1 string_field } } */
#include <inttypes.h>
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

/* Replica i runs on device i, whose place in the slice is known; without this,
 * XLA numbers replicas around the slice. Field 9. */
static void add_assignment(base_text *build, int replicas) {
  base_text ids = {.allocator = build->allocator};
  base_text devices = {.allocator = build->allocator};
  base_text assignment = {.allocator = build->allocator};
  for (int i = 0; i < replicas; i++) add_varint(&ids, (uint64_t)i);
  add_message(&devices, 1, &ids);
  add_integer(&assignment, 1, (uint64_t)replicas);
  add_integer(&assignment, 2, 1);
  add_message(&assignment, 3, &devices);
  add_message(build, 9, &assignment);
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
  if (replicas > 1) add_assignment(&build, replicas);
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

/* ---- Reading ------------------------------------------------------------ */

typedef struct bytes {
  const uint8_t *at, *end;
} bytes;

/* A field: its number; its value, or what it holds. */
typedef struct field {
  uint64_t number, value;
  bytes content;
  bool is_message;
} field;

static bool take_varint(bytes *from, uint64_t *out) {
  *out = 0;
  for (int shift = 0; shift < 64 && from->at < from->end; shift += 7) {
    uint64_t byte = *from->at++;
    if (shift == 63 && byte > 1) return false;
    *out |= (byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

static bool take_field(bytes *from, field *out) {
  uint64_t key;
  *out = (field){0};
  if (!take_varint(from, &key) || !take_varint(from, &out->value)) return false;
  out->number = key >> 3;
  out->is_message = (key & 7) == 2;
  if ((key & 7) == 0) return true;
  if (!out->is_message || out->value > (uint64_t)(from->end - from->at))
    return false;
  out->content = (bytes){from->at, from->at + out->value};
  from->at += out->value;
  return true;
}

static pfl_status raise_broken(pfl_error *error) {
  PFL_RAISE(error, INVALID_ARGUMENT,
            "the compile options are no CompileOptionsProto");
}

/* That replica i runs on device i, in any encoding: packed ids or one a field.
 */
static pfl_status read_devices(bytes content, pfl_error *error) {
  uint64_t next = 0, id;
  field got;
  while (content.at < content.end) {
    if (!take_field(&content, &got) || got.number != 1)
      return raise_broken(error);
    bytes ids = got.content;
    do {
      id = got.value;
      if (got.is_message && !take_varint(&ids, &id)) return raise_broken(error);
      if (id != next++)
        PFL_RAISE(error, UNIMPLEMENTED,
                  "the compile options put replica %" PRIu64
                  " on device %" PRIu64 ": only on device %" PRIu64 " is known",
                  next - 1, id, next - 1);
    } while (got.is_message && ids.at < ids.end);
  }
  return PFL_STATUS_OK;
}

static pfl_status read_assignment(bytes content, pfl_error *error) {
  field got;
  while (content.at < content.end) {
    if (!take_field(&content, &got) || got.number < 1 || got.number > 3 ||
        got.is_message != (got.number == 3))
      return raise_broken(error);
    if (got.is_message) PFL_TRY(read_devices(got.content, error));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_build(bytes content, uint64_t *replicas,
                             uint64_t *partitions, pfl_error *error) {
  field got;
  while (content.at < content.end) {
    if (!take_field(&content, &got)) return raise_broken(error);
    if (got.is_message && got.number == 9) {
      PFL_TRY(read_assignment(got.content, error));
      continue;
    }
    if (got.is_message || got.number < 4 || got.number > 5)
      PFL_RAISE(
          error, UNIMPLEMENTED,
          "the compile options' executable_build_options have a field %" PRIu64
          ": only num_replicas (4), num_partitions (5) and "
          "device_assignment (9) are known",
          got.number);
    *(got.number == 4 ? replicas : partitions) = got.value;
  }
  return PFL_STATUS_OK;
}

static pfl_status raise_setting(bytes content, pfl_error *error) {
  field name;
  char quoted[BASE_QUOTE_SIZE];
  if (!take_field(&content, &name) || name.number != 1 || !name.is_message)
    return raise_broken(error);
  PFL_RAISE(error, UNIMPLEMENTED, "no setting %s of the compiler is known",
            base_quote((const char *)name.content.at,
                       (size_t)(name.content.end - name.content.at), quoted));
}

pfl_status xla_options_read(const void *options, size_t size, int *out_replicas,
                            pfl_error *error) {
  bytes from = {options, options};
  if (size) from.end += size;
  uint64_t replicas = 1, partitions = 1;
  field got;
  while (from.at < from.end) {
    if (!take_field(&from, &got)) return raise_broken(error);
    if (got.number == 7 && got.is_message)
      return raise_setting(got.content, error);
    if (got.number != 3 || !got.is_message)
      PFL_RAISE(error, UNIMPLEMENTED,
                "the compile options have a field %" PRIu64
                ": only executable_build_options (3) is known",
                got.number);
    PFL_TRY(read_build(got.content, &replicas, &partitions, error));
  }
  if (replicas < 1 || replicas > XLA_REPLICAS_MAX || partitions != 1)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the compile options ask for %" PRIu64 " replicas and %" PRIu64
              " partitions: must be 1 to %d and 1",
              replicas, partitions, XLA_REPLICAS_MAX);
  *out_replicas = (int)replicas;
  return PFL_STATUS_OK;
}

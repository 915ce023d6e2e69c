#include "xla/config_read.h"

#include <string.h>

#include "base/json.h"

typedef struct reader {
  mo_arena *arena;
  xla_call *call;
  xla_memory *result_memories;
  pfl_error *error;
} reader;

static pfl_status raise_member(const reader *r, const char *name,
                               const char *must_be) {
  PFL_RAISE(r->error, INVALID_ARGUMENT, "%s must be %s", name, must_be);
}

/* Whether `names`, each of which a space follows, has the key. */
static bool is_listed(const char *names, const json_value *item) {
  for (const char *end; (end = strchr(names, ' ')); names = end + 1)
    if ((size_t)(end - names) == item->key_length &&
        !memcmp(names, item->key, item->key_length))
      return true;
  return false;
}

/* Every member of the object must be one of `names`. */
static pfl_status check_members(const reader *r, const json_value *object,
                                const char *what, const char *names) {
  if (!object || object->type != JSON_OBJECT)
    return raise_member(r, what, "an object");
  for (const json_value *item = json_first(object); item; item = item->next) {
    char quoted[BASE_QUOTE_SIZE];
    if (!is_listed(names, item))
      PFL_RAISE(r->error, INVALID_ARGUMENT, "%s has %s, which is not known",
                what, base_quote(item->key, item->key_length, quoted));
  }
  return PFL_STATUS_OK;
}

/* An integer of low .. high. */
static pfl_status read_integer(const reader *r, const json_value *object,
                               const char *name, int64_t low, int64_t high,
                               int64_t *out) {
  if (!json_int64(json_object_get(object, name), out))
    return raise_member(r, name, "an integer");
  if (*out < low || *out > high)
    PFL_RAISE(r->error, INVALID_ARGUMENT, "%s is %lld: must be %lld to %lld",
              name, (long long)*out, (long long)low, (long long)high);
  return PFL_STATUS_OK;
}

/* A flag that is either true or not there. */
static pfl_status read_flag(const reader *r, const json_value *object,
                            const char *name, bool *out) {
  *out = false;
  const json_value *value = json_object_get(object, name);
  if (value && (!json_bool(value, out) || !*out))
    return raise_member(r, name, "true, where it is given");
  return PFL_STATUS_OK;
}

/* ---- Body ---------------------------------------------------------------- */

static int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes base64 as RFC 4648 has it, padded and with no bit to spare; false if
 * it is not. `out` has room for 3 bytes of each 4 digits. */
static bool decode_base64(const char *digits, size_t length, char *out,
                          size_t *out_size) {
  size_t padding = 0;
  if (length % 4) return false;
  while (padding < 2 && padding < length && digits[length - 1 - padding] == '=')
    padding++;
  *out_size = length / 4 * 3 - padding;
  for (size_t i = 0; i < length; i += 4) {
    uint32_t group = 0;
    bool last = i + 4 == length;
    for (size_t k = 0; k < 4; k++) {
      bool pad = last && k >= 4 - padding;
      int digit = pad ? 0 : digit_of(digits[i + k]);
      if (digit < 0) return false;
      group = group << 6 | (uint32_t)digit;
    }
    size_t bytes = last ? 3 - padding : 3;
    for (size_t k = 0; k < bytes; k++)
      *out++ = (char)(group >> (16 - 8 * k) & 255);
    if (group & ((1u << (24 - 8 * bytes)) - 1)) return false;
  }
  return true;
}

static pfl_status read_body(const reader *r, const json_value *config) {
  const json_value *body = json_object_get(config, "body");
  if (!body || body->type != JSON_STRING)
    return raise_member(r, "body", "a string");
  char *bytes = mo_arena_take(r->arena, body->length / 4 * 3 + 1);
  if (!bytes)
    PFL_RAISE(r->error, RESOURCE_EXHAUSTED,
              "no memory for a kernel of %u bytes of base64", body->length);
  if (!decode_base64(body->string, body->length, bytes, &r->call->body_size))
    return raise_member(r, "body", "base64 (RFC 4648)");
  r->call->body = bytes;
  return PFL_STATUS_OK;
}

/* ---- Memories, cost, limits ---------------------------------------------- */

static pfl_status read_color(const reader *r, const json_value *item,
                             xla_memory *out) {
  int64_t color;
  PFL_TRY(read_integer(r, item, "color", 0, 4, &color));
  *out = xla_memory_of_color(color);
  return *out ? PFL_STATUS_OK
              : raise_member(r, "color", "0 (HBM), 1 (VMEM) or 4 (SMEM)");
}

/* operand_index is an integer; shape_index a list of one, or not there where
 * there is but one result. */
static pfl_status read_index(const reader *r, const json_value *item,
                             const char *name, int count, int64_t *out) {
  if (strcmp(name, "shape_index"))
    return read_integer(r, item, name, 0, count - 1, out);
  const json_value *list = json_object_get(item, name);
  *out = 0;
  if (!list) return PFL_STATUS_OK;
  if (list->type != JSON_ARRAY || list->length != 1 ||
      !json_int64(json_first(list), out) || *out < 0 || *out >= count)
    return raise_member(r, name, "a list of one number");
  return PFL_STATUS_OK;
}

/* A list of {INDEX, color}, each index once. */
static pfl_status read_colors(const reader *r, const json_value *config,
                              const char *name, const char *index_name,
                              int count, xla_memory *out) {
  const json_value *list = json_object_get(config, name);
  if (!list) return PFL_STATUS_OK;
  if (list->type != JSON_ARRAY || !list->length)
    return raise_member(r, name, "a list, where it is given");
  for (const json_value *item = json_first(list); item; item = item->next) {
    char members[40] = "color ";
    strcat(strcat(members, index_name), " ");
    int64_t index;
    PFL_TRY(check_members(r, item, name, members));
    PFL_TRY(read_index(r, item, index_name, count, &index));
    if (out[index]) return raise_member(r, index_name, "in the list once");
    PFL_TRY(read_color(r, item, &out[index]));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_memories(const reader *r, const json_value *config) {
  xla_call *call = r->call;
  memset(r->result_memories, 0, XLA_LIST_MAX * sizeof *r->result_memories);
  PFL_TRY(read_colors(r, config, "output_memory_space_colors", "shape_index",
                      XLA_LIST_MAX, r->result_memories));
  if (!json_object_get(config, "input_memory_space_colors"))
    return PFL_STATUS_OK;
  xla_memory *memories = mo_arena_array(
      r->arena, (size_t)call->operand_count + 1, sizeof *memories);
  if (!memories)
    PFL_RAISE(r->error, RESOURCE_EXHAUSTED, "no memory for %d operands",
              call->operand_count);
  call->operand_memories = memories;
  return read_colors(r, config, "input_memory_space_colors", "operand_index",
                     call->operand_count, memories);
}

static pfl_status read_cost(const reader *r, const json_value *config) {
  const json_value *cost = json_object_get(config, "cost_estimate");
  xla_cost *out = &r->call->cost;
  if (!cost) return PFL_STATUS_OK;
  PFL_TRY(check_members(
      r, cost, "cost_estimate",
      "flops transcendentals bytes_accessed remote_bytes_transferred "));
  PFL_TRY(read_integer(r, cost, "flops", 0, INT64_MAX, &out->flops));
  PFL_TRY(read_integer(r, cost, "transcendentals", 0, INT64_MAX,
                       &out->transcendentals));
  PFL_TRY(read_integer(r, cost, "bytes_accessed", 0, INT64_MAX,
                       &out->bytes_accessed));
  return read_integer(r, cost, "remote_bytes_transferred", 0, INT64_MAX,
                      &out->remote_bytes_transferred);
}

static pfl_status read_limit(const reader *r, const json_value *root) {
  static const char name[] = "scoped_memory_configs";
  const json_value *list = json_object_get(root, name);
  const json_value *item = json_first(list);
  int64_t ignored;
  if (!list) return PFL_STATUS_OK;
  if (list->type != JSON_ARRAY || list->length != 1)
    return raise_member(r, name, "a list of one");
  PFL_TRY(check_members(r, item, name, "memory_space offset size "));
  PFL_TRY(read_integer(r, item, "memory_space", 1, 1, &ignored));
  PFL_TRY(read_integer(r, item, "offset", 0, 0, &ignored));
  return read_integer(r, item, "size", 1, INT64_MAX,
                      &r->call->vmem_limit_bytes);
}

/* ---- The whole ----------------------------------------------------------- */

static pfl_status read_call(const reader *r, const json_value *config) {
  xla_call *call = r->call;
  bool layout_passes;
  int64_t number;
  PFL_TRY(read_body(r, config));
  PFL_TRY(read_flag(r, config, "has_communication", &call->has_communication));
  if (call->has_communication) {
    PFL_TRY(read_integer(r, config, "collective_id", INT32_MIN, INT32_MAX,
                         &number));
    call->collective_id = (int32_t)number;
  } else if (json_object_get(config, "collective_id")) {
    return raise_member(r, "collective_id", "with has_communication");
  }
  PFL_TRY(
      read_flag(r, config, "disable_bounds_checks", &call->bounds_unchecked));
  PFL_TRY(read_flag(r, config, "disable_semaphore_checks",
                    &call->semaphores_unchecked));
  PFL_TRY(read_cost(r, config));
  PFL_TRY(read_flag(r, config, "needs_layout_passes", &layout_passes));
  if (!layout_passes) return raise_member(r, "needs_layout_passes", "true");
  PFL_TRY(read_integer(r, config, "serialization_format", 1, 1, &number));
  return read_memories(r, config);
}

static pfl_status read_root(const reader *r, const json_value *root) {
  PFL_TRY(check_members(r, root, "it",
                        "custom_call_config scoped_memory_configs "));
  const json_value *config = json_object_get(root, "custom_call_config");
  PFL_TRY(check_members(
      r, config, "custom_call_config",
      "body has_communication collective_id disable_bounds_checks "
      "disable_semaphore_checks "
      "cost_estimate needs_layout_passes serialization_format "
      "input_memory_space_colors output_memory_space_colors "));
  PFL_TRY(read_call(r, config));
  return read_limit(r, root);
}

pfl_status xla_config_read(const char *json, size_t length, mo_arena *arena,
                           xla_call *call, xla_memory *result_memories,
                           pfl_error *error) {
  json_document document;
  const reader r = {arena, call, result_memories, error};
  pfl_error inner;
  pfl_status status =
      json_parse(json, length, &arena->allocator, &document, &inner);
  if (status)
    return base_error_set(error, status, "backend_config is no JSON: %.400s",
                          inner.message);
  status = read_root(&r, document.root);
  json_release(&document);
  return status;
}

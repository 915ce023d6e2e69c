#include "base/safetensors_header.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"

/* The format's dtypes that are none of the library's. */
static const struct {
  const char *name;
  int bits;
} other_dtypes[] = {{"BOOL", 8},        {"U8", 8},         {"I16", 16},
                    {"U16", 16},        {"U32", 32},       {"I64", 64},
                    {"U64", 64},        {"F64", 64},       {"C64", 64},
                    {"F4", 4},          {"F6_E2M3", 6},    {"F6_E3M2", 6},
                    {"F8_E4M3", 8},     {"F8_E5M2", 8},    {"F8_E8M0", 8},
                    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};

/* Where a rule is being checked, for messages. */
typedef struct place {
  const char *path;
  const json_value *member; /* the tensor; NULL: the file as a whole */
  int64_t data_size;
  pfl_error *error;
} place;

/* Raises DATA_LOSS: "PATH: tensor "q": ...". */
__attribute__((format(printf, 2, 3))) static pfl_status refuse(
    const place *at, const char *format, ...) {
  char reason[320], name[BASE_QUOTE_SIZE] = "";
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  if (at->member) base_quote(at->member->key, at->member->key_length, name);
  PFL_RAISE(at->error, DATA_LOSS, "%.200s: %s%s%s%s", at->path,
            at->member ? "tensor " : "", name, at->member ? ": " : "", reason);
}

static pfl_status check_dtype(const place *at, const json_value *dtype,
                              safetensors_tensor *tensor) {
  const char *name = json_string(dtype);
  if (!name || !name[0] || dtype->length >= sizeof tensor->dtype_name)
    return refuse(at, "dtype must be a string of 1 to %zu bytes",
                  sizeof tensor->dtype_name - 1);
  strcpy(tensor->dtype_name, name);
  tensor->dtype = base_dtype_from_file_name(name, dtype->length);
  return PFL_STATUS_OK;
}

static pfl_status check_shape(const place *at, const json_value *shape,
                              safetensors_tensor *tensor) {
  if (shape->type != JSON_ARRAY)
    return refuse(at, "shape must be an array, is %s", json_type_name(shape));
  if (shape->length > SAFETENSORS_RANK_MAX)
    return refuse(at, "shape has %u dimensions; at most %d can be read",
                  shape->length, SAFETENSORS_RANK_MAX);
  for (const json_value *item = json_first(shape); item; item = item->next) {
    int64_t *size = &tensor->shape[tensor->rank++];
    if (!json_int64(item, size) || *size < 0)
      return refuse(at, "shape[%d] must be an integer of 0 to 2^63 - 1",
                    tensor->rank - 1);
  }
  return PFL_STATUS_OK;
}

static pfl_status check_offsets(const place *at, const json_value *offsets,
                                safetensors_entry *entry) {
  const json_value *first = json_first(offsets);
  int64_t begin, end;
  if (offsets->type != JSON_ARRAY || offsets->length != 2 ||
      !json_int64(first, &begin) || !json_int64(first->next, &end) ||
      begin < 0 || end < 0)
    return refuse(at, "data_offsets must be two integers of 0 to 2^63 - 1");
  if (begin > end)
    return refuse(at, "data_offsets [%lld, %lld] must not decrease",
                  (long long)begin, (long long)end);
  if (end > at->data_size)
    return refuse(at,
                  "data_offsets [%lld, %lld] must end within the %lld bytes of "
                  "data that are there",
                  (long long)begin, (long long)end, (long long)at->data_size);
  entry->begin = begin;
  entry->tensor.bytes = end - begin;
  return PFL_STATUS_OK;
}

/* 0 for a dtype that is not the format's. */
static int dtype_bits(const safetensors_tensor *tensor) {
  if (tensor->dtype) return 8 * (int)pfl_dtype_size(tensor->dtype);
  for (size_t i = 0; i < sizeof other_dtypes / sizeof *other_dtypes; i++)
    if (!strcmp(other_dtypes[i].name, tensor->dtype_name))
      return other_dtypes[i].bits;
  return 0;
}

/* dtype and shape against data_offsets. */
static pfl_status check_size(const place *at,
                             const safetensors_tensor *tensor) {
  int64_t elements, bits, element_bits = dtype_bits(tensor);
  if (!base_product(tensor->shape, tensor->rank, &elements) ||
      !base_multiply(elements, base_max(element_bits, 1), &bits))
    return refuse(at, "shape says more than 2^63 - 1 bits");
  if (!element_bits) return PFL_STATUS_OK;
  if (bits % 8)
    return refuse(at, "%lld elements of %s do not fill whole bytes",
                  (long long)elements, tensor->dtype_name);
  if (bits / 8 != tensor->bytes)
    return refuse(at,
                  "%lld elements of %s are %lld bytes, but data_offsets say "
                  "%lld",
                  (long long)elements, tensor->dtype_name, (long long)bits / 8,
                  (long long)tensor->bytes);
  return PFL_STATUS_OK;
}

static pfl_status check_tensor(place at, const json_value *member,
                               safetensors_entry *entry) {
  *entry = (safetensors_entry){.tensor.name = member->key};
  at.member = member;
  if (strlen(member->key) != member->key_length)
    return refuse(&at, "a name must not hold a NUL");
  if (member->type != JSON_OBJECT)
    return refuse(&at, "must be an object, is %s", json_type_name(member));
  const json_value *dtype = json_object_get(member, "dtype"),
                   *shape = json_object_get(member, "shape"),
                   *offsets = json_object_get(member, "data_offsets");
  if (!dtype || !shape || !offsets || member->length != 3)
    return refuse(&at, "must have dtype, shape and data_offsets, nothing else");
  PFL_TRY(check_dtype(&at, dtype, &entry->tensor));
  PFL_TRY(check_shape(&at, shape, &entry->tensor));
  PFL_TRY(check_offsets(&at, offsets, entry));
  return check_size(&at, &entry->tensor);
}

static pfl_status check_metadata(const place *at, const json_value *metadata) {
  if (metadata->type != JSON_OBJECT)
    return refuse(at, "__metadata__ must be an object, is %s",
                  json_type_name(metadata));
  char key[BASE_QUOTE_SIZE];
  for (const json_value *item = json_first(metadata); item; item = item->next)
    if (item->type != JSON_STRING)
      return refuse(at, "__metadata__: %s must be a string, is %s",
                    base_quote(item->key, item->key_length, key),
                    json_type_name(item));
  return PFL_STATUS_OK;
}

/* By place; an empty tensor before one that begins where it stands, and empty
 * ones at one place in the order of the header, in which their names lie. */
static int compare_entries(const void *a, const void *b) {
  const safetensors_entry *left = a, *right = b;
  if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
  if (left->tensor.bytes != right->tensor.bytes)
    return left->tensor.bytes < right->tensor.bytes ? -1 : 1;
  return left->tensor.name < right->tensor.name ? -1 : 1;
}

static pfl_status check_cover(const place *at,
                              const safetensors_header *header) {
  int64_t end = 0;
  char name[BASE_QUOTE_SIZE];
  for (int64_t i = 0; i < header->count; i++) {
    const safetensors_entry *entry = &header->entries[i];
    base_quote(entry->tensor.name, strlen(entry->tensor.name), name);
    if (entry->begin < end)
      return refuse(at,
                    "tensor %s begins at byte %lld of the data, before the "
                    "tensor in front of it ends at %lld",
                    name, (long long)entry->begin, (long long)end);
    if (entry->begin > end)
      return refuse(at,
                    "tensor %s begins at byte %lld of the data, and bytes from "
                    "%lld on belong to none",
                    name, (long long)entry->begin, (long long)end);
    end += entry->tensor.bytes;
  }
  if (end != at->data_size)
    return refuse(at,
                  "the tensors end at byte %lld of the data, which has %lld",
                  (long long)end, (long long)at->data_size);
  return PFL_STATUS_OK;
}

static pfl_status parse_json(const place *at, const char *text, int64_t length,
                             safetensors_header *header) {
  if (!length || text[0] != '{')
    return refuse(at, "the header must begin with '{'");
  pfl_error inner;
  pfl_status status = json_parse(text, (size_t)length, &header->allocator,
                                 &header->json, &inner);
  if (status == PFL_STATUS_INVALID_ARGUMENT)
    return refuse(at, "header: %s", inner.message);
  if (status)
    return base_error_set(at->error, status, "%.200s: %s", at->path,
                          inner.message);
  return PFL_STATUS_OK;
}

static pfl_status check_header(const place *at, safetensors_header *header) {
  const json_value *root = header->json.root;
  header->entries =
      base_allocate(&header->allocator, root->length * sizeof *header->entries);
  if (!header->entries)
    PFL_RAISE(at->error, RESOURCE_EXHAUSTED, "%.200s: no memory for %u tensors",
              at->path, root->length);
  const json_value *metadata = json_object_get(root, "__metadata__");
  if (metadata) PFL_TRY(check_metadata(at, metadata));
  for (const json_value *item = json_first(root); item; item = item->next)
    if (item != metadata)
      PFL_TRY(check_tensor(*at, item, &header->entries[header->count++]));
  qsort(header->entries, (size_t)header->count, sizeof *header->entries,
        compare_entries);
  return check_cover(at, header);
}

pfl_status safetensors_header_parse(const char *path, const char *text,
                                    int64_t length, int64_t data_size,
                                    const pfl_allocator *allocator,
                                    safetensors_header *out_header,
                                    pfl_error *error) {
  *out_header = (safetensors_header){.allocator = *allocator,
                                     .json.allocator = *allocator};
  place at = {.path = path, .data_size = data_size, .error = error};
  pfl_status status = parse_json(&at, text, length, out_header);
  if (!status) status = check_header(&at, out_header);
  if (status) safetensors_header_release(out_header);
  return status;
}

void safetensors_header_release(safetensors_header *header) {
  base_release(&header->allocator, header->entries);
  header->entries = NULL;
  header->count = 0;
  json_release(&header->json);
}

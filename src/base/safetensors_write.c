#include <string.h>

#include "base/dtype.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors_header.h"

enum { PREFIX_SIZE = 8, DATA_ALIGNMENT = 8 };

static bool is_utf8(const char *string) {
  size_t length = strlen(string), step = 1;
  for (; length && step; string += step, length -= step)
    step = base_utf8_length(string, length);
  return !length;
}

/* False if there is no such number, or it does not fit. */
static bool tensor_bytes(const safetensors_tensor *tensor, int64_t *out_bytes) {
  *out_bytes = tensor->bytes;
  if (!tensor->dtype) return tensor->bytes >= 0;
  int64_t size = (int64_t)pfl_dtype_size(tensor->dtype);
  return base_product(tensor->shape, tensor->rank, out_bytes) &&
         base_multiply(*out_bytes, size, out_bytes);
}

/* What the header cannot express; the rest is found in the header itself. */
static pfl_status check_tensor(const char *path,
                               const safetensors_tensor *tensor,
                               int64_t *out_bytes, pfl_error *error) {
  const char *name = tensor->name ? tensor->name : "";
  char quoted[BASE_QUOTE_SIZE];
  base_quote(name, strlen(name), quoted);
  if (!tensor->name || !is_utf8(name) || !strcmp(name, "__metadata__"))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s: tensor %s: a name must be UTF-8 and not __metadata__",
              path, quoted);
  if (tensor->rank < 0 || tensor->rank > SAFETENSORS_RANK_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s: tensor %s: rank is %d; it must be 0 to %d", path, quoted,
              tensor->rank, SAFETENSORS_RANK_MAX);
  if (!tensor_bytes(tensor, out_bytes))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s: tensor %s: its sizes must be >= 0 and its bytes fewer "
              "than 2^63",
              path, quoted);
  if (*out_bytes && !tensor->data)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s: tensor %s: data is NULL; %lld bytes are needed", path,
              quoted, (long long)*out_bytes);
  return PFL_STATUS_OK;
}

static void add_tensor(json_writer *json, const safetensors_tensor *tensor,
                       int64_t begin, int64_t end) {
  const char *dtype =
      tensor->dtype ? base_dtype_file_name(tensor->dtype) : tensor->dtype_name;
  json_begin_object(json, tensor->name);
  json_write_bytes(json, "dtype", dtype,
                   strnlen(dtype, sizeof tensor->dtype_name));
  json_begin_array(json, "shape");
  for (int i = 0; i < tensor->rank; i++)
    json_write_int64(json, NULL, tensor->shape[i]);
  json_end(json);
  json_begin_array(json, "data_offsets");
  json_write_int64(json, NULL, begin);
  json_write_int64(json, NULL, end);
  json_end(json);
  json_end(json);
}

/* The file up to its data: the header's size and the header, padded. */
static pfl_status make_header(const char *path,
                              const safetensors_tensor *tensors, int64_t count,
                              base_text *header, int64_t *out_data_size,
                              pfl_error *error) {
  json_writer json = {.text = header};
  int64_t begin = 0, end = 0, bytes;
  base_text_add(header, (char[PREFIX_SIZE]){0}, PREFIX_SIZE);
  json_begin_object(&json, NULL);
  for (int64_t i = 0; i < count; i++, begin = end) {
    PFL_TRY(check_tensor(path, &tensors[i], &bytes, error));
    if (__builtin_add_overflow(begin, bytes, &end))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%.200s: the tensors' bytes must be fewer than 2^63 together",
                path);
    add_tensor(&json, &tensors[i], begin, end);
  }
  json_end(&json);
  while (header->length % DATA_ALIGNMENT && !header->failed)
    base_text_add(header, " ", 1);
  PFL_TRY(base_text_check(header, error));
  if (header->length - PREFIX_SIZE > SAFETENSORS_HEADER_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s: a header of %zu bytes; at most %d are allowed", path,
              header->length - PREFIX_SIZE, SAFETENSORS_HEADER_MAX);
  for (int i = 0; i < PREFIX_SIZE; i++)
    header->bytes[i] = (char)((header->length - PREFIX_SIZE) >> 8 * i & 0xff);
  *out_data_size = end;
  return PFL_STATUS_OK;
}

/* Holds a header against the reader's rules: among others that no name is
 * there twice, and what the bytes of a dtype not the library's must be. */
static pfl_status check_header(const char *path, const base_text *header,
                               int64_t data_size, pfl_error *error) {
  safetensors_header parsed;
  pfl_error inner;
  pfl_status status = safetensors_header_parse(
      path, header->bytes + PREFIX_SIZE, (int64_t)header->length - PREFIX_SIZE,
      data_size, &header->allocator, &parsed, &inner);
  safetensors_header_release(&parsed);
  if (status == PFL_STATUS_DATA_LOSS) status = PFL_STATUS_INVALID_ARGUMENT;
  return status ? base_error_set(error, status, "%s", inner.message) : status;
}

static pfl_status write_file(const char *path, const base_text *header,
                             const safetensors_tensor *tensors, int64_t count,
                             pfl_error *error) {
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  pfl_status status =
      base_output_write(&output, header->bytes, (int64_t)header->length, error);
  for (int64_t i = 0, bytes; i < count && !status; i++)
    if (tensor_bytes(&tensors[i], &bytes))
      status = base_output_write(&output, tensors[i].data, bytes, error);
  return base_output_end(&output, status, error);
}

pfl_status safetensors_write(const char *path,
                             const safetensors_tensor *tensors, int64_t count,
                             const pfl_allocator *allocator, pfl_error *error) {
  base_text header = {0};
  if (allocator) header.allocator = *allocator;
  int64_t data_size = 0;
  pfl_status status =
      make_header(path, tensors, count, &header, &data_size, error);
  if (!status) status = check_header(path, &header, data_size, error);
  if (!status) status = write_file(path, &header, tensors, count, error);
  base_text_release(&header);
  return status;
}

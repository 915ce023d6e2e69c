#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors_header.h"

enum { PREFIX_SIZE = 8 };

/* Where the bytes come from: a file or memory. */
typedef struct source {
  const char *path;           /* for messages */
  const base_file *file;      /* one of these two, */
  const unsigned char *bytes; /* the other NULL */
  int64_t size;
  pfl_error *error;
} source;

static pfl_status read_at(const source *from, void *out, int64_t size,
                          int64_t offset) {
  if (from->file)
    return base_file_read(from->file, out, size, offset, from->error);
  if (size) memcpy(out, from->bytes + offset, (size_t)size);
  return PFL_STATUS_OK;
}

static pfl_status read_header_size(const source *from, int64_t *out_size) {
  if (from->size < PREFIX_SIZE)
    PFL_RAISE(from->error, DATA_LOSS,
              "%.200s: %lld bytes long; a safetensors file begins with 8 that "
              "give the header's size",
              from->path, (long long)from->size);
  unsigned char prefix[PREFIX_SIZE];
  PFL_TRY(read_at(from, prefix, PREFIX_SIZE, 0));
  uint64_t size = 0;
  for (int i = PREFIX_SIZE - 1; i >= 0; i--) size = size << 8 | prefix[i];
  if (size > SAFETENSORS_HEADER_MAX)
    PFL_RAISE(from->error, DATA_LOSS,
              "%.200s: a header of %llu bytes; at most %d are allowed",
              from->path, (unsigned long long)size, SAFETENSORS_HEADER_MAX);
  *out_size = (int64_t)size;
  if (*out_size > from->size - PREFIX_SIZE)
    PFL_RAISE(from->error, DATA_LOSS,
              "%.200s: a header of %lld bytes, of which %lld are there",
              from->path, (long long)*out_size,
              (long long)from->size - PREFIX_SIZE);
  return PFL_STATUS_OK;
}

static pfl_status read_header(const source *from, int64_t size,
                              const pfl_allocator *allocator,
                              safetensors_header *out_header) {
  char *text = base_allocate(allocator, (size_t)size);
  if (!text)
    PFL_RAISE(from->error, RESOURCE_EXHAUSTED,
              "%.200s: no memory for a header of %lld bytes", from->path,
              (long long)size);
  pfl_status status = read_at(from, text, size, PREFIX_SIZE);
  if (!status)
    status = safetensors_header_parse(from->path, text, size,
                                      from->size - PREFIX_SIZE - size,
                                      allocator, out_header, from->error);
  base_release(allocator, text);
  return status;
}

/* Reads the data, which begins at byte `offset`, to where it will stay:
 *
 *   tensors | data of the first | of the second ... each aligned | names
 */
static pfl_status load(const source *from, const safetensors_header *header,
                       int64_t offset, safetensors_file *file) {
  /* no term is over 2^63, and all but one are under 2^40 */
  uint64_t tensors_size = (uint64_t)base_round_up(
      header->count * (int64_t)sizeof *file->tensors, BASE_ALIGNMENT);
  uint64_t data_size = (uint64_t)(from->size - offset) +
                       (uint64_t)header->count * (BASE_ALIGNMENT - 1);
  uint64_t size = tensors_size + data_size;
  for (int64_t i = 0; i < header->count; i++)
    size += strlen(header->entries[i].tensor.name) + 1;
  char *block = size <= PTRDIFF_MAX
                    ? base_allocate(&file->allocator, (size_t)size)
                    : NULL;
  if (!block)
    PFL_RAISE(from->error, RESOURCE_EXHAUSTED,
              "%.200s: no memory for %llu bytes of tensors", from->path,
              (unsigned long long)size);
  file->tensors = (safetensors_tensor *)block;
  char *data = block + tensors_size, *name = data + data_size;
  for (; file->count < header->count; file->count++) {
    const safetensors_entry *entry = &header->entries[file->count];
    safetensors_tensor *tensor = &file->tensors[file->count];
    *tensor = entry->tensor;
    tensor->name = strcpy(name, entry->tensor.name);
    tensor->data = data;
    PFL_TRY(read_at(from, data, tensor->bytes, offset + entry->begin));
    name += strlen(name) + 1;
    data += base_round_up(tensor->bytes, BASE_ALIGNMENT);
  }
  return PFL_STATUS_OK;
}

static pfl_status read_source(const source *from,
                              const pfl_allocator *allocator,
                              safetensors_file *out_file) {
  *out_file = (safetensors_file){.allocator = *allocator};
  int64_t header_size = 0;
  safetensors_header header;
  PFL_TRY(read_header_size(from, &header_size));
  PFL_TRY(read_header(from, header_size, allocator, &header));
  pfl_status status = load(from, &header, PREFIX_SIZE + header_size, out_file);
  safetensors_header_release(&header);
  if (status) safetensors_release(out_file);
  return status;
}

pfl_status safetensors_read(const char *path, const pfl_allocator *allocator,
                            safetensors_file *out_file, pfl_error *error) {
  *out_file = (safetensors_file){.allocator = *allocator};
  base_file file;
  PFL_TRY(base_file_open(path, &file, error));
  source from = {
      .path = path, .file = &file, .size = file.size, .error = error};
  pfl_status status = read_source(&from, allocator, out_file);
  base_file_close(&file);
  return status;
}

pfl_status safetensors_parse(const void *bytes, size_t size,
                             const pfl_allocator *allocator,
                             safetensors_file *out_file, pfl_error *error) {
  source from = {.path = "safetensors",
                 .bytes = bytes,
                 .size = (int64_t)size,
                 .error = error};
  return read_source(&from, allocator, out_file);
}

void safetensors_release(safetensors_file *file) {
  base_release(&file->allocator, file->tensors);
  file->tensors = NULL;
  file->count = 0;
}

const safetensors_tensor *safetensors_find(const safetensors_file *file,
                                           const char *name) {
  for (int64_t i = 0; i < file->count; i++)
    if (!strcmp(file->tensors[i].name, name)) return &file->tensors[i];
  return NULL;
}

/* The header of a safetensors file, checked by every rule that safetensors.h
 * states: shared by the reader, and by the writer, which holds what it is about
 * to write against the same rules. */
#ifndef PFL_BASE_SAFETENSORS_HEADER_H
#define PFL_BASE_SAFETENSORS_HEADER_H

#include "base/json.h"
#include "base/safetensors.h"

typedef struct safetensors_entry {
  safetensors_tensor tensor; /* without data; the name is the JSON's */
  int64_t begin;             /* of its bytes in the data */
} safetensors_entry;

typedef struct safetensors_header {
  pfl_allocator allocator;
  json_document json;
  safetensors_entry *entries; /* in the order of their bytes */
  int64_t count;
} safetensors_header;

/* Reads the JSON of a file called `path` with `data_size` bytes of data.
 * DATA_LOSS, RESOURCE_EXHAUSTED; on failure *out_header is empty. */
PFL_NODISCARD pfl_status
safetensors_header_parse(const char *path, const char *text, int64_t length,
                         int64_t data_size, const pfl_allocator *allocator,
                         safetensors_header *out_header, pfl_error *error);

void safetensors_header_release(safetensors_header *header);

#endif

/* Reading and writing safetensors files, with no trust in the file.
 *
 *   u64 little endian N | N bytes of JSON | the tensors' bytes
 *   {"__metadata__": {...}, "q": {"dtype": "F32", "shape": [1, 8, 64, 128],
 *    "data_offsets": [begin, end]}, ...}      offsets count from the data's start
 *
 * Checked before anything is used: the header's size against the file's and a
 * limit of 100 MB, the JSON's grammar and nesting, names that repeat, shapes
 * that overflow, and that the tensors' ranges are in the file, are as long as
 * dtype and shape say, and neither overlap nor leave holes.
 * Source: github.com/huggingface/safetensors, README, "Format". */
#ifndef PFL_BASE_SAFETENSORS_H
#define PFL_BASE_SAFETENSORS_H

#include "base/status.h"
#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"

#define SAFETENSORS_RANK_MAX 8

typedef struct safetensors_tensor {
  char *name;           /* UTF-8, NUL-terminated */
  char dtype_name[16];  /* as the file has it, "F64" for instance */
  pfl_dtype dtype;      /* DEFAULT when it is none of the library's */
  int rank;
  int64_t shape[SAFETENSORS_RANK_MAX];
  void *data;           /* aligned to 64 bytes */
  int64_t bytes;
} safetensors_tensor;

/* The file is read into memory whole. */
typedef struct safetensors_file {
  pfl_allocator allocator;
  safetensors_tensor *tensors; /* in the order of their offsets */
  int64_t count;
} safetensors_file;

/* Reads `path`. On failure *out_file is empty and needs no release.
 * NOT_FOUND, PERMISSION_DENIED, DATA_LOSS (the file is not what the format
 * says; the message names the tensor and the rule), RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status safetensors_read(const char *path,
                                          const pfl_allocator *allocator,
                                          safetensors_file *out_file,
                                          pfl_error *error);

/* The same from memory; this is what the fuzz target drives. */
PFL_NODISCARD pfl_status safetensors_parse(const void *bytes, size_t size,
                                           const pfl_allocator *allocator,
                                           safetensors_file *out_file,
                                           pfl_error *error);

void safetensors_release(safetensors_file *file);

/* NULL if there is none of that name. */
const safetensors_tensor *safetensors_find(const safetensors_file *file,
                                           const char *name);

/* Writes `path` as a whole or not at all: to a temporary file beside it,
 * flushed, then renamed over it. `name`, `dtype`, `rank`, `shape` and `data`
 * of each tensor are read. An existing file keeps its content on failure. */
PFL_NODISCARD pfl_status safetensors_write(const char *path,
                                           const safetensors_tensor *tensors,
                                           int64_t count, pfl_error *error);

#endif

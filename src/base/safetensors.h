/* Reading and writing safetensors files, with no trust in the file.
 *
 *   u64 little endian N | N bytes of JSON | the tensors' bytes
 *   {"__metadata__": {...}, "q": {"dtype": "F32", "shape": [1, 8, 64, 128],
 *    "data_offsets": [begin, end]}, ...}      offsets count from the data's
 * start
 *
 * Checked before memory for a tensor is taken or anything is used:
 * - the header's size against the file's and a limit of 100 MB;
 * - the JSON's grammar, nesting and UTF-8, and names that repeat;
 * - that __metadata__, if any, maps strings to strings;
 * - that a tensor has dtype, shape and data_offsets and nothing else (a key
 * this reader does not know might change what the bytes mean), a rank of at
 * most SAFETENSORS_RANK_MAX, integers >= 0, a size that fits, and no NUL in its
 *   name;
 * - that the tensors' ranges are as long as dtype and shape say, and cover the
 *   data without overlap, hole or rest.
 * The format's other dtypes (F64, BOOL, F8_E4M3, ...) are read, as DEFAULT, and
 * their sizes checked. A dtype that is not the format's is read likewise, its
 * size taken from data_offsets: formats grow, and the caller, who wants certain
 * tensors of certain dtypes, refuses better than this reader can.
 * Source: github.com/huggingface/safetensors, README, "Format". */
#ifndef PFL_BASE_SAFETENSORS_H
#define PFL_BASE_SAFETENSORS_H

#include "base/status.h"
#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"

#define SAFETENSORS_RANK_MAX 8
#define SAFETENSORS_HEADER_MAX 100000000
#define SAFETENSORS_DTYPE_SIZE 16

typedef struct safetensors_tensor {
  const char *name;                        /* UTF-8, NUL-terminated */
  char dtype_name[SAFETENSORS_DTYPE_SIZE]; /* as the file has it, "F64" say */
  pfl_dtype dtype; /* DEFAULT when it is none of the library's */
  int rank;
  int64_t shape[SAFETENSORS_RANK_MAX];
  void *data; /* aligned to 64 bytes; never NULL when read */
  int64_t bytes;
} safetensors_tensor;

/* The file's tensors, in memory whole and in one block. */
typedef struct safetensors_file {
  pfl_allocator allocator;
  safetensors_tensor *tensors; /* in the order of their offsets */
  int64_t count;
} safetensors_file;

/* Reads `path`, which must be a regular file: a pipe or a device has no size to
 * hold the header against. On failure *out_file is empty and needs no release.
 * NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (no regular file), DATA_LOSS
 * (the file is not what the format says; the message names the tensor and the
 * rule), RESOURCE_EXHAUSTED. Peak memory: the tensors and, before them, about
 * 40 bytes for each value of the header. */
PFL_NODISCARD pfl_status safetensors_read(const char *path,
                                          const pfl_allocator *allocator,
                                          safetensors_file *out_file,
                                          pfl_error *error);

/* The same from memory, which is copied; what the fuzz target drives. */
PFL_NODISCARD pfl_status safetensors_parse(const void *bytes, size_t size,
                                           const pfl_allocator *allocator,
                                           safetensors_file *out_file,
                                           pfl_error *error);

void safetensors_release(safetensors_file *file);

/* NULL if there is none of that name. */
const safetensors_tensor *safetensors_find(const safetensors_file *file,
                                           const char *name);

/* Writes `path` as a whole or not at all: to a temporary file beside it,
 * flushed, then renamed over it. An existing file keeps its content on failure,
 * a symbolic link its place; what exists and is no regular file is refused.
 * `name`, `dtype`, `rank`, `shape` and `data` of each tensor are read; where
 * `dtype` is DEFAULT, `dtype_name` and `bytes` too. `data` may be NULL where
 * there are no bytes. `allocator` gives memory for the header; NULL: malloc.
 * INVALID_ARGUMENT: tensors that the reader would refuse. NOT_FOUND,
 * PERMISSION_DENIED, RESOURCE_EXHAUSTED (a full disk, for one). */
PFL_NODISCARD pfl_status safetensors_write(const char *path,
                                           const safetensors_tensor *tensors,
                                           int64_t count,
                                           const pfl_allocator *allocator,
                                           pfl_error *error);

#endif

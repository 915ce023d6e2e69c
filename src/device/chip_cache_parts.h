/* What the files of the chips' cache share. */
#ifndef PFL_DEVICE_CHIP_CACHE_PARTS_H
#define PFL_DEVICE_CHIP_CACHE_PARTS_H

#include "device/cache_checks.h"
#include "device/chip_cache.h"

enum { CACHE_PROGRAMS_MAX = 16, CACHE_TENSORS_MAX = 4 };

/* What a program was made for. */
typedef struct cache_program_key {
  kernels_op op;
  bool lse, sinks;
  attention_decode_problem problem;
} cache_program_key;

typedef struct cache_program {
  cache_program_key key; /* the program's request points to it */
  device_program program;
  int64_t used; /* when, by the cache's count */
} cache_program;

struct device_cache {
  const device_slice *slice;
  device_cache_options options;
  int chips;
  int64_t turn;
  device_resident tensors[CACHE_TENSORS_MAX]; /* k, v, k_scale, v_scale */
  int tensor_count;
  cache_program *programs[CACHE_PROGRAMS_MAX];
  int program_count;
  int64_t uses;
};

/* A problem of the cache, with what `decode` says of queries. */
PFL_NODISCARD pfl_status cache_describe(const device_cache *cache,
                                        pfl_decode decode,
                                        const device_cache_rows *rows,
                                        attention_decode_problem *out,
                                        pfl_error *error);
PFL_NODISCARD pfl_status cache_check_rows(const device_cache *cache,
                                          const device_cache_rows *rows,
                                          pfl_error *error);
/* Tokens that a sequence of the call can have. */
int64_t cache_room(const device_cache *cache, const device_cache_rows *rows);
device_table cache_table(const device_cache *cache,
                         const device_cache_rows *rows);
/* What every program is given: lengths, and the table; how many that are. */
int cache_add_rows(const device_cache_rows *rows, const int32_t *lengths,
                   device_tensor *out);
/* Runs a program, made if there is none, on the cache's tensors and those
 * given. */
PFL_NODISCARD pfl_status cache_run(device_cache *cache,
                                   const cache_program_key *key,
                                   const device_tensor *inputs, int input_count,
                                   const device_tensor *outputs,
                                   int output_count, pfl_error *error);

#endif

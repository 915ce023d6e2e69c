/* What the tests of the cache begin with: a small cache and single deeds on it,
 * and caches of every kind. */
#ifndef PFL_TESTS_CACHE_SMALL_H
#define PFL_TESTS_CACHE_SMALL_H

#include "cache_steps.h"

static inline pfl_context *small_context(int threads) {
  return call_context(pfl_isa_best(), threads);
}

static const pfl_cache_options small_options = {.kv_heads = 2,
                                                .head_dim = 5,
                                                .v_head_dim = 3,
                                                .page_length = 4,
                                                .page_count = 40,
                                                .sequence_count = 8};

static inline pfl_sequence small_create(pfl_cache *cache) {
  pfl_sequence name = 0;
  CACHE_OK(pfl_sequence_create(cache, &name, &cache_error));
  return name;
}

/* Appends T random tokens to one sequence of the copy, and expects `status`. */
static inline void small_append(cache_case *c, int which, int64_t T,
                                pfl_status wanted) {
  void *k = plain_numbers(c->Hkv * T * c->D, c->dtype);
  void *v = plain_numbers(c->Hkv * T * c->Dv, c->dtype);
  pfl_cache_append_args args = {.struct_size = sizeof args,
                                .batch = 1,
                                .length = T,
                                .sequences = &c->plain[which].name,
                                .k = k,
                                .v = v};
  pfl_status status = pfl_cache_append(c->cache, &args, &cache_error);
  CHECK(status == wanted, "%s: %s", pfl_status_name(status),
        status ? cache_error.message : "");
  if (!status) plain_append(c, which, 0, T, k, v);
  guarded_release();
}

static inline void small_fork(cache_case *c, int from, int to, int64_t length) {
  CACHE_OK(pfl_sequence_fork(c->cache, c->plain[from].name, length,
                             &c->plain[to].name, &cache_error));
  size_t rows = (size_t)(length * c->Hkv);
  c->plain[to].length = length;
  memcpy(c->plain[to].k, c->plain[from].k, rows * sizeof(plain_row));
  memcpy(c->plain[to].v, c->plain[from].v, rows * sizeof(plain_row));
}

/* Every pairing of dtypes, and pages from one token to more than there are. */
static const pfl_cache_options every_options[] = {{.kv_heads = 2,
                                                   .head_dim = 5,
                                                   .v_head_dim = 3,
                                                   .page_length = 4,
                                                   .page_count = 60,
                                                   .sequence_count = 9},
                                                  {.kv_heads = 1,
                                                   .head_dim = 16,
                                                   .dtype = PFL_DTYPE_BF16,
                                                   .page_length = 16,
                                                   .page_count = 25,
                                                   .sequence_count = 12},
                                                  {.kv_heads = 3,
                                                   .head_dim = 8,
                                                   .dtype = PFL_DTYPE_F16,
                                                   .page_length = 7,
                                                   .page_count = 70,
                                                   .sequence_count = 16},
                                                  {.kv_heads = 2,
                                                   .head_dim = 7,
                                                   .dtype = PFL_DTYPE_F32,
                                                   .cache_dtype = PFL_DTYPE_I8,
                                                   .page_length = 8,
                                                   .page_count = 50,
                                                   .sequence_count = 10},
                                                  {.kv_heads = 2,
                                                   .head_dim = 16,
                                                   .dtype = PFL_DTYPE_BF16,
                                                   .cache_dtype = PFL_DTYPE_I8,
                                                   .page_length = 1,
                                                   .page_count = 300,
                                                   .sequence_count = 6},
                                                  {.kv_heads = 1,
                                                   .head_dim = 3,
                                                   .page_length = 256,
                                                   .page_count = 9,
                                                   .sequence_count = 10}};

#endif

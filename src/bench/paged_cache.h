/* A contiguous cache as pages: the same tokens, in pages that lie in no order,
 * with a table that says where. */
#ifndef PFL_BENCH_PAGED_CACHE_H
#define PFL_BENCH_PAGED_CACHE_H

#include "bench/tensors.h"

typedef struct paged_cache {
  int64_t pages, page, per_sequence; /* pages in all, tokens in each */
  char *k, *v;                       /* [pages, Hkv, page, D] */
  float *k_scale, *v_scale;          /* [pages, Hkv, page]; int8 */
  int32_t *table;                    /* [B, per_sequence] */
} paged_cache;

/* Pages of `page` tokens; what no token fills is all ones. RESOURCE_EXHAUSTED.
 */
PFL_NODISCARD pfl_status paged_cache_create(const bench_tensors *tensors,
                                            int64_t page, uint64_t seed,
                                            paged_cache *out_cache,
                                            pfl_error *error);
/* A zero cache has nothing. */
void paged_cache_release(paged_cache *cache);

#endif

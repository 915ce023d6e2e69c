#include "bench/paged_cache.h"

#include <stdlib.h>
#include <string.h>

/* Fisher and Yates; splitmix64. */
static void shuffle(int32_t *numbers, int64_t count, uint64_t seed) {
  for (int64_t i = count - 1; i > 0; i--) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    int64_t other = (int64_t)((z ^ z >> 31) % ((uint64_t)i + 1));
    int32_t kept = numbers[i];
    numbers[i] = numbers[other];
    numbers[other] = kept;
  }
}

/* One array of the cache, `token_bytes` a head's token; NULL without memory. */
static void *page_array(const paged_cache *c, const bench_workload *w,
                        const char *flat, size_t token_bytes) {
  size_t page_bytes = (size_t)c->page * token_bytes;
  size_t size = (size_t)(c->pages * w->kv_heads) * page_bytes;
  char *out = malloc(size);
  if (!out) return NULL;
  memset(out, 0xff, size);
  for (int64_t b = 0; b < w->batch; b++)
    for (int64_t h = 0; h < w->kv_heads; h++)
      for (int64_t i = 0; i < c->per_sequence; i++) {
        int64_t first = i * c->page;
        int64_t tokens = base_min(c->page, w->kv_length - first);
        int64_t from = (b * w->kv_heads + h) * w->kv_length + first;
        int64_t to = c->table[b * c->per_sequence + i] * w->kv_heads + h;
        memcpy(out + (size_t)to * page_bytes, flat + (size_t)from * token_bytes,
               (size_t)tokens * token_bytes);
      }
  return out;
}

static bool fill(paged_cache *c, const bench_tensors *t, uint64_t seed) {
  const bench_workload *w = &t->workload;
  size_t token = (size_t)w->head_dim * pfl_dtype_size(w->cache_dtype);
  c->table = malloc((size_t)c->pages * sizeof *c->table);
  if (!c->table) return false;
  for (int64_t i = 0; i < c->pages; i++) c->table[i] = (int32_t)i;
  shuffle(c->table, c->pages, seed);
  c->k = page_array(c, w, t->memory, token);
  c->v = page_array(c, w, t->memory + t->v_offset, token);
  if (!c->k || !c->v) return false;
  if (w->cache_dtype != PFL_DTYPE_I8) return true;
  c->k_scale = page_array(c, w, t->memory + t->k_scale_offset, sizeof(float));
  c->v_scale = page_array(c, w, t->memory + t->v_scale_offset, sizeof(float));
  return c->k_scale && c->v_scale;
}

pfl_status paged_cache_create(const bench_tensors *tensors, int64_t page,
                              uint64_t seed, paged_cache *out_cache,
                              pfl_error *error) {
  const bench_workload *w = &tensors->workload;
  int64_t each = base_ceil_div(w->kv_length, page);
  *out_cache = (paged_cache){
      .pages = w->batch * each, .page = page, .per_sequence = each};
  if (fill(out_cache, tensors, seed)) return PFL_STATUS_OK;
  paged_cache_release(out_cache);
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for pages");
}

void paged_cache_release(paged_cache *cache) {
  free(cache->k);
  free(cache->v);
  free(cache->k_scale);
  free(cache->v_scale);
  free(cache->table);
  *cache = (paged_cache){0};
}

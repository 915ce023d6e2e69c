/* The pages of a cache in this machine's memory, and what is done to them: all
 * cores, and nothing that can fail.
 *
 *   k [pages, Hkv, page_length, D], v likewise with Dv; an int8 cache has
 *   scales [pages, Hkv, page_length]. What no token fills is not set. */
#ifndef PFL_CACHE_HOST_PAGES_H
#define PFL_CACHE_HOST_PAGES_H

#include "cache/ledger.h"
#include "cpu/cpu.h"

/* A checked description of a cache. */
typedef struct cache_shape {
  int64_t Hkv, D, Dv;
  pfl_dtype dtype, cache_dtype;
  cache_limits limits;
} cache_shape;

typedef struct host_pages {
  pfl_allocator allocator;
  cache_shape shape;
  int64_t count; /* pages */
  void *k, *v;
  float *k_scale, *v_scale; /* NULL but for int8 */
} host_pages;

/* Bytes of a token of one head, k, v and scales. */
int64_t host_token_bytes(const cache_shape *shape);

/* Bytes of `pages` pages; the shape is checked: they fit. */
int64_t host_pages_bytes(const cache_shape *shape, int64_t pages);

/* RESOURCE_EXHAUSTED; then *out_pages has nothing. */
PFL_NODISCARD pfl_status host_pages_init(const cache_shape *shape,
                                         int64_t count,
                                         const pfl_allocator *allocator,
                                         host_pages *out_pages,
                                         pfl_error *error);
void host_pages_release(host_pages *pages);

/* Writes the tokens of a step that was begun: k [B, Hkv, T, D], v likewise. */
void host_pages_append(host_pages *pages, const cache_ledger *ledger,
                       const cpu_engine *engine, const void *k, const void *v);

/* What an int8 cache keeps of `count` tokens of `width` numbers. */
void host_quantise(const cpu_kernels *kernels, pfl_dtype dtype,
                   const void *from, int64_t width, int64_t count, int8_t *to,
                   float *scales);

/* Sets all pages to zeros. */
void host_pages_clear(host_pages *pages);

/* Copies tokens begin .. begin + length - 1 of a slot; what is NULL is left. */
void host_pages_read(const host_pages *pages, const cache_ledger *ledger,
                     int64_t slot, const pfl_cache_read_args *args);

/* Copies the first `rows` tokens of page `from` to page `to` of other pages of
 * the same shape, whose other tokens become zero. */
void host_pages_copy(const host_pages *source, int64_t from, host_pages *target,
                     int64_t to, int64_t rows);

#endif

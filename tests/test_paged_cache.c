/* A cache in pages: every token is where the table says, and no page is at two
 * places. */
#include "bench/paged_cache.h"
#include "check.h"

static base_threads *pool;

static bench_workload draw(void) {
  static const int64_t pages[] = {1, 16, 64};
  bench_workload w = {.model = "",
                      .layers = 1,
                      .op = BENCH_OP_DECODE,
                      .batch = check_between(1, 3),
                      .kv_heads = check_between(1, 3),
                      .q_length = 1,
                      .kv_length = check_between(1, 200),
                      .head_dim = check_between(1, 9),
                      .dtype = PFL_DTYPE_BF16,
                      .page = pages[check_between(0, 2)]};
  w.q_heads = w.kv_heads;
  w.cache_dtype = check_between(0, 1) ? PFL_DTYPE_I8 : PFL_DTYPE_BF16;
  return w;
}

static void check_token(const bench_tensors *t, const paged_cache *c, int64_t b,
                        int64_t h, int64_t i) {
  const bench_workload *w = &t->workload;
  size_t token = (size_t)w->head_dim * pfl_dtype_size(w->cache_dtype);
  size_t from = (size_t)((b * w->kv_heads + h) * w->kv_length + i);
  int64_t page = c->table[b * c->per_sequence + i / c->page];
  size_t to = (size_t)((page * w->kv_heads + h) * c->page + i % c->page);
  CHECK(!memcmp(c->k + to * token, t->memory + from * token, token) &&
            !memcmp(c->v + to * token, t->memory + t->v_offset + from * token,
                    token),
        "token %lld of head %lld", (long long)i, (long long)h);
  if (!c->k_scale) return;
  CHECK(c->k_scale[to] ==
                ((float *)(void *)(t->memory + t->k_scale_offset))[from] &&
            c->v_scale[to] ==
                ((float *)(void *)(t->memory + t->v_scale_offset))[from],
        "scales of token %lld", (long long)i);
}

static void check_cache(const bench_tensors *t, const paged_cache *c) {
  const bench_workload *w = &t->workload;
  bool *taken = calloc((size_t)c->pages, sizeof *taken);
  CHECK_NEED(taken);
  for (int64_t i = 0; i < c->pages; i++) {
    CHECK_NEED(c->table[i] >= 0 && c->table[i] < c->pages);
    CHECK(!taken[c->table[i]], "page %d is at two places", c->table[i]);
    taken[c->table[i]] = true;
  }
  free(taken);
  for (int64_t b = 0; b < w->batch; b++)
    for (int64_t h = 0; h < w->kv_heads; h++)
      for (int64_t i = 0; i < w->kv_length; i++) check_token(t, c, b, h, i);
}

static void test_tokens(void) {
  for (int i = 0; i < check_cases(60); i++) {
    bench_workload w = draw();
    bench_tensors t;
    paged_cache c;
    int64_t page = w.page;
    w.page = 0;
    CHECK_NEED(!tensors_create(&w, check_random(), 0, pool, &t, NULL));
    CHECK_NEED(!paged_cache_create(&t, page, check_random(), &c, NULL));
    CHECK(!c.k_scale == (w.cache_dtype != PFL_DTYPE_I8), "scales of int8");
    check_cache(&t, &c);
    paged_cache_release(&c);
    tensors_release(&t);
  }
}

int main(void) {
  static const pfl_allocator heap;
  CHECK_NEED(!base_threads_create(&heap, 1, &pool, NULL));
  int failed = CHECK_RUN(test_tokens);
  base_threads_destroy(pool);
  return failed;
}

/* A cache and beside it a plain copy of what it must hold: every sequence's
 * tokens one after the other, in an array of its own, with nothing shared. */
#ifndef PFL_TESTS_CACHE_CASE_H
#define PFL_TESTS_CACHE_CASE_H

#include "call_case.h"
#include "pallas_flash/cache.h"

enum { PLAIN_SEQUENCES = 16, PLAIN_TOKENS = 200 };

/* What a cache keeps of a token, k or v of one head. */
typedef struct plain_row {
  unsigned char bytes[64]; /* of the cache's dtype */
  float scale;             /* of int8 */
} plain_row;

typedef struct plain_sequence {
  pfl_sequence name; /* 0: there is none */
  int64_t length;
  plain_row *k, *v; /* [PLAIN_TOKENS][Hkv] */
} plain_sequence;

typedef struct cache_case {
  pfl_context *context;
  pfl_cache_options options;
  pfl_cache *cache;
  int64_t Hkv, D, Dv;
  pfl_dtype dtype, cache_dtype;
  /* few shapes of calls: each is a program to compile */
  bool few_shapes;
  /* pages of each chip may run out before all have */
  bool spread;
  plain_sequence plain[PLAIN_SEQUENCES];
} cache_case;

static pfl_error cache_error;

/* Without an error, or with the message: OK. */
#define CACHE_OK(call)                               \
  do {                                               \
    pfl_status cache_status_ = (call);               \
    CHECK(!cache_status_, "%s: %s", #call,           \
          cache_status_ ? cache_error.message : ""); \
  } while (0)

static inline cache_case cache_case_make(pfl_context *context,
                                         pfl_cache_options options) {
  cache_case c = {.context = context, .options = options};
  c.options.struct_size = sizeof options;
  c.Hkv = options.kv_heads;
  c.D = options.head_dim;
  c.Dv = options.v_head_dim ? options.v_head_dim : options.head_dim;
  c.dtype = options.dtype ? options.dtype : PFL_DTYPE_F32;
  c.cache_dtype = options.cache_dtype ? options.cache_dtype : c.dtype;
  CHECK_NEED(c.D <= 16 && c.Dv <= 16);
  CACHE_OK(pfl_cache_create(context, &c.options, &c.cache, &cache_error));
  CHECK_NEED(c.cache);
  for (int i = 0; i < PLAIN_SEQUENCES; i++) {
    size_t rows = (size_t)(PLAIN_TOKENS * c.Hkv);
    c.plain[i].k = calloc(rows, sizeof(plain_row));
    c.plain[i].v = calloc(rows, sizeof(plain_row));
    CHECK_NEED(c.plain[i].k && c.plain[i].v);
  }
  return c;
}

static inline void cache_case_free(cache_case *c) {
  pfl_cache_destroy(c->cache);
  for (int i = 0; i < PLAIN_SEQUENCES; i++) {
    free(c->plain[i].k);
    free(c->plain[i].v);
  }
}

static inline int64_t plain_page_length(const cache_case *c) {
  return c->options.page_length ? c->options.page_length : 64;
}

static inline pfl_cache_usage cache_usage(const cache_case *c) {
  pfl_cache_usage usage = {.struct_size = sizeof usage};
  CACHE_OK(pfl_cache_measure(c->cache, &usage, &cache_error));
  return usage;
}

/* ---- Tokens ---------------------------------------------------------------
 */

/* What is kept of `count` numbers of `dtype`. */
static inline void plain_keep(plain_row *row, const void *numbers,
                              int64_t count, pfl_dtype dtype,
                              pfl_dtype cache_dtype) {
  if (cache_dtype != PFL_DTYPE_I8) {
    memcpy(row->bytes, numbers, (size_t)count * pfl_dtype_size(dtype));
    return;
  }
  float most = 0;
  bool finite = true;
  for (int64_t d = 0; d < count; d++) {
    float x = base_element_get(numbers, dtype, d);
    finite &= isfinite(x) != 0;
    if (fabsf(x) > most) most = fabsf(x);
  }
  row->scale = finite ? most / 127.0f : NAN;
  for (int64_t d = 0; d < count; d++) {
    double x = base_element_get(numbers, dtype, d);
    double whole = row->scale > 0 ? (double)rintf((float)x / row->scale) : 0;
    row->bytes[d] = (unsigned char)(int8_t)fmin(127, fmax(-127, whole));
  }
}

/* k or v of a call, [B, Hkv, T, width], random. */
static inline void *plain_numbers(int64_t count, pfl_dtype dtype) {
  double *wide = call_zeros(count);
  call_fill_normal(wide, count, exp(2 * check_normal()));
  void *tensor = call_tensor(wide, count, dtype);
  free(wide);
  return tensor;
}

/* Sequence `which` of the copy grows by the tokens of batch row b. */
static inline void plain_append(cache_case *c, int which, int64_t b, int64_t T,
                                const void *k, const void *v) {
  plain_sequence *s = &c->plain[which];
  size_t size = pfl_dtype_size(c->dtype);
  for (int64_t head = 0; head < c->Hkv; head++)
    for (int64_t t = 0; t < T; t++) {
      size_t row = (size_t)((b * c->Hkv + head) * T + t);
      int64_t at = (s->length + t) * c->Hkv + head;
      plain_keep(&s->k[at], (const char *)k + row * (size_t)c->D * size, c->D,
                 c->dtype, c->cache_dtype);
      plain_keep(&s->v[at], (const char *)v + row * (size_t)c->Dv * size, c->Dv,
                 c->dtype, c->cache_dtype);
    }
  s->length += T;
}

/* ---- Comparison -----------------------------------------------------------
 */

static inline void plain_compare_rows(const cache_case *c,
                                      const plain_sequence *s,
                                      const plain_row *rows, const char *got,
                                      const float *scales, int64_t width) {
  size_t bytes = (size_t)width * pfl_dtype_size(c->cache_dtype);
  for (int64_t t = 0; t < s->length; t++)
    for (int64_t head = 0; head < c->Hkv; head++) {
      const plain_row *want = &rows[t * c->Hkv + head];
      size_t at = (size_t)(head * s->length + t);
      CHECK(!memcmp(got + at * bytes, want->bytes, bytes),
            "token %d of %d, head %d of sequence %llx; %s", (int)t,
            (int)s->length, (int)head, (unsigned long long)s->name, call_text);
      if (scales)
        CHECK(scales[at] == want->scale ||
                  (isnan(scales[at]) && isnan(want->scale)),
              "scale of token %d is %g, not %g; %s", (int)t, scales[at],
              want->scale, call_text);
    }
}

static inline void plain_compare_sequence(const cache_case *c,
                                          const plain_sequence *s) {
  size_t rows = (size_t)(c->Hkv * s->length);
  size_t size = pfl_dtype_size(c->cache_dtype);
  bool scaled = c->cache_dtype == PFL_DTYPE_I8;
  char *k = malloc(rows * (size_t)c->D * size + 1);
  char *v = malloc(rows * (size_t)c->Dv * size + 1);
  float *scales = malloc((2 * rows + 1) * sizeof *scales);
  CHECK_NEED(k && v && scales);
  pfl_cache_read_args args = {.struct_size = sizeof args,
                              .sequence = s->name,
                              .length = s->length,
                              .out_k = k,
                              .out_v = v,
                              .out_k_scale = scaled ? scales : NULL,
                              .out_v_scale = scaled ? scales + rows : NULL};
  CACHE_OK(pfl_cache_read(c->cache, &args, &cache_error));
  plain_compare_rows(c, s, s->k, k, args.out_k_scale, c->D);
  plain_compare_rows(c, s, s->v, v, args.out_v_scale, c->Dv);
  free(k);
  free(v);
  free(scales);
}

/* All that can be asked of the cache is what the copy says. */
static inline void plain_compare(const cache_case *c) {
  int64_t count, sequences = 0;
  pfl_sequence names[PLAIN_SEQUENCES + 1];
  for (int i = 0; i < PLAIN_SEQUENCES; i++) {
    const plain_sequence *s = &c->plain[i];
    int64_t length = -1;
    if (!s->name) continue;
    sequences++;
    CACHE_OK(pfl_sequence_length(c->cache, s->name, &length, &cache_error));
    CHECK(length == s->length, "length %d, not %d; %s", (int)length,
          (int)s->length, call_text);
    if (length == s->length) plain_compare_sequence(c, s);
  }
  CACHE_OK(
      pfl_cache_list(c->cache, PLAIN_SEQUENCES, names, &count, &cache_error));
  CHECK(count == sequences && cache_usage(c).sequence_count == sequences,
        "%d sequences, not %d; %s", (int)count, (int)sequences, call_text);
}

/* ---- Decode of the copy ---------------------------------------------------
 */

/* The copy's sequences of a call, in pages that follow each other. */
typedef struct plain_pages {
  pfl_decode decode;
  pfl_decode_args args;
} plain_pages;

static inline void plain_fill(const cache_case *c, const int *which,
                              plain_pages *p) {
  const pfl_decode *d = &p->decode;
  size_t size = pfl_dtype_size(c->cache_dtype);
  int64_t L = d->page_length, N = d->page_count;
  char *k = guarded_allocate(N * c->Hkv * L * c->D, size);
  char *v = guarded_allocate(N * c->Hkv * L * c->Dv, size);
  float *k_scale = guarded_allocate(N * c->Hkv * L, sizeof(float));
  float *v_scale = guarded_allocate(N * c->Hkv * L, sizeof(float));
  int32_t *lengths = guarded_allocate(d->batch, sizeof *lengths);
  int32_t *table = guarded_allocate(N, sizeof *table);
  for (int64_t i = 0; i < N; i++) table[i] = (int32_t)i;
  for (int64_t b = 0; b < d->batch; b++) {
    const plain_sequence *s = &c->plain[which[b]];
    lengths[b] = (int32_t)s->length;
    for (int64_t t = 0; t < s->length; t++)
      for (int64_t head = 0; head < c->Hkv; head++) {
        int64_t page = b * d->pages_per_sequence + t / L;
        size_t row = (size_t)((page * c->Hkv + head) * L + t % L);
        const plain_row *from_k = &s->k[t * c->Hkv + head];
        const plain_row *from_v = &s->v[t * c->Hkv + head];
        size_t k_bytes = (size_t)c->D * size, v_bytes = (size_t)c->Dv * size;
        memcpy(k + row * k_bytes, from_k->bytes, k_bytes);
        memcpy(v + row * v_bytes, from_v->bytes, v_bytes);
        k_scale[row] = from_k->scale;
        v_scale[row] = from_v->scale;
      }
  }
  bool scaled = c->cache_dtype == PFL_DTYPE_I8;
  p->args = (pfl_decode_args){.struct_size = sizeof p->args,
                              .k = k,
                              .v = v,
                              .k_scale = scaled ? k_scale : NULL,
                              .v_scale = scaled ? v_scale : NULL,
                              .lengths = lengths,
                              .block_table = table};
}

/* What a decode call on the copy gives, in guarded memory. */
static inline void plain_decode(const cache_case *c, const int *which,
                                const pfl_cache_decode_args *args, void *out_o,
                                float *out_lse) {
  plain_pages p = {.decode = {.struct_size = sizeof p.decode,
                              .batch = args->batch,
                              .q_heads = args->q_heads,
                              .kv_heads = c->Hkv,
                              .q_length = args->q_length,
                              .head_dim = c->D,
                              .v_head_dim = c->Dv,
                              .dtype = c->dtype,
                              .cache_dtype = c->cache_dtype,
                              .page_length = plain_page_length(c),
                              .scoring = args->scoring}};
  p.decode.pages_per_sequence =
      (PLAIN_TOKENS + p.decode.page_length - 1) / p.decode.page_length;
  p.decode.page_count = args->batch * p.decode.pages_per_sequence;
  plain_fill(c, which, &p);
  p.args.q = args->q;
  p.args.sinks = args->sinks;
  p.args.out_o = out_o;
  p.args.out_lse = out_lse;
  CACHE_OK(pfl_attention_decode(call_context(pfl_context_isa(c->context), 1),
                                &p.decode, &p.args, &cache_error));
}

#endif

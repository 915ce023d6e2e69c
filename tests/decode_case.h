/* Random decode calls. The tokens of each sequence are drawn first, beside each
 * other, for the reference; then they are put where the call's cache has them,
 * and every slot, page and block_table entry that no token uses is spoilt. */
#ifndef PFL_TESTS_DECODE_CASE_H
#define PFL_TESTS_DECODE_CASE_H

#include "call_case.h"

typedef struct decode_case {
  pfl_decode decode;
  attention_decode_problem problem;
  /* exact, contiguous: q [B Hq T][D], k [B Hkv Smax][D], v, o, lse */
  double *exact_q, *exact_k, *exact_v, *exact_sinks, *exact_o, *exact_lse;
  /* the call's */
  void *q, *k, *v, *o;
  float *k_scale, *v_scale, *sinks, *lse;
  int32_t *lengths, *block_table;
  int64_t rows, tokens; /* B Hq T and B Hkv Smax */
  int64_t turn; /* page i of a sequence has a number that is i modulo this */
  double q_rounding; /* of q's numbers, a share of their row's largest */
  double end;        /* roundings in a row's end */
} decode_case;

typedef struct decode_options {
  call_options call;      /* the mask is the window's: none, or CALL_WINDOW */
  bool int8, paged, full; /* full: no lengths given */
  const int32_t *lengths; /* [B]; NULL: drawn */
  int64_t turn;           /* of pages, see decode_case; 0: 1 */
} decode_options;

static inline decode_options decode_random_options(int round) {
  call_options call = call_random_options(round);
  call.mask = check_between(0, 2) ? CALL_NO_MASK : CALL_WINDOW;
  call.dtype = call_dtypes[round % 3];
  return (decode_options){.call = call,
                          .int8 = round / 3 % 2,
                          .paged = round / 6 % 2,
                          .full = check_between(0, 4) == 0};
}

/* Sizes within a budget that is itself drawn; at most `most_tokens` a
 * sequence. */
static inline pfl_decode decode_draw(const decode_options *options,
                                     double most_cost, int64_t most_tokens) {
  static const int64_t groups[] = {1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 32};
  static const int64_t pages[] = {1,  2,  3,  7,   16,  16,
                                  31, 64, 64, 128, 257, 300};
  double budget = most_cost * exp(-4 * check_uniform()), cost;
  pfl_decode d;
  do {
    int64_t kv_heads = check_between(1, 3), group = PICK(groups);
    int64_t tokens = check_between(1, most_tokens);
    if (check_between(0, 2)) tokens = base_max(1, PICK(call_lengths));
    d = (pfl_decode){
        .struct_size = sizeof d,
        .batch = check_between(1, 3),
        .q_heads = kv_heads * group,
        .kv_heads = kv_heads,
        .q_length = check_between(0, 1) ? 1 : check_between(1, 8),
        .head_dim = call_dim(),
        .v_head_dim = call_dim(),
        .dtype = options->call.dtype,
        .cache_dtype = options->int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT};
    if (options->paged) {
      d.page_length = PICK(pages);
      d.pages_per_sequence = base_ceil_div(tokens, d.page_length);
      d.page_count = d.batch * d.pages_per_sequence + check_between(0, 3);
    } else {
      d.cache_length = tokens;
    }
    if (check_between(0, 1)) d.v_head_dim = d.head_dim;
    cost = (double)(d.batch * d.q_heads * d.q_length * tokens) *
           (double)(d.head_dim + d.v_head_dim);
  } while (cost > budget);
  d.scoring = call_draw_scoring(options->call.mask);
  return d;
}

/* Empty, shorter than T, full, or any. */
static inline int32_t decode_draw_length(const attention_decode_problem *p) {
  switch (check_between(0, 5)) {
    case 0: return 0;
    case 1: return (int32_t)check_between(0, base_min(p->T, p->Smax));
    case 2: return (int32_t)p->Smax;
    default: return (int32_t)check_between(0, p->Smax);
  }
}

/* The next page of `order` that is i modulo the turn; taken. */
static inline int32_t decode_take_page(const decode_case *c, int32_t *order,
                                       int64_t i) {
  for (int64_t k = 0; k < c->problem.page_count; k++)
    if (order[k] >= 0 && order[k] % c->turn == i % c->turn) {
      int32_t page = order[k];
      order[k] = -1;
      return page;
    }
  CHECK_NEED(!"a page is left");
  return -1;
}

/* Pages in any order, each of at most one sequence; what is not used is no page
 * at all. */
static inline void decode_fill_table(decode_case *c) {
  static const int32_t absurd[] = {-1, INT32_MIN, INT32_MAX};
  const attention_decode_problem *p = &c->problem;
  int64_t columns = p->pages_per_sequence;
  int32_t *order = case_allocate(p->page_count, sizeof *order);
  for (int64_t i = 0; i < p->page_count; i++) {
    int64_t other = check_between(0, i);
    order[i] = order[other];
    order[other] = (int32_t)i;
  }
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t i = 0; i < columns; i++) {
      bool used = i * p->page_length < c->lengths[b];
      c->block_table[b * columns + i] =
          used ? decode_take_page(c, order, i) : PICK(absurd);
    }
  free(order);
}

/* Where token `token` of sequence b lies: a row of the cache's
 * [.., Hkv, tokens]. */
static inline int64_t decode_slot(const decode_case *c, int64_t b, int64_t head,
                                  int64_t token) {
  const attention_decode_problem *p = &c->problem;
  if (!p->paged) return (b * p->Hkv + head) * p->Smax + token;
  int64_t page =
      c->block_table[b * p->pages_per_sequence + token / p->page_length];
  return (page * p->Hkv + head) * p->page_length + token % p->page_length;
}

/* One token's numbers rounded to what the cache holds, into the cache. */
static inline void decode_store(double *exact, int64_t width, pfl_dtype dtype,
                                void *cache, float *scales, int64_t slot) {
  if (dtype != PFL_DTYPE_I8) {
    size_t size = pfl_dtype_size(dtype);
    for (int64_t d = 0; d < width; d++) {
      float f = (float)exact[d];
      uint16_t half =
          dtype == PFL_DTYPE_BF16 ? base_f32_to_bf16(f) : base_f32_to_f16(f);
      memcpy((char *)cache + (size_t)(slot * width + d) * size,
             size == 4 ? (void *)&f : (void *)&half, size);
      exact[d] = call_round(exact[d], dtype);
    }
    return;
  }
  double most = 0;
  for (int64_t d = 0; d < width; d++) most = fmax(most, fabs(exact[d]));
  float scale = (float)(most > 0 ? most / 127 : 1);
  scales[slot] = scale;
  for (int64_t d = 0; d < width; d++) {
    double whole = fmin(127, fmax(-128, round(exact[d] / scale)));
    ((int8_t *)cache)[slot * width + d] = (int8_t)whole;
    exact[d] = whole * scale;
  }
}

/* Every token within its sequence's length into the caches, which are 0xff: NaN
 * or, in int8, with NaN for their scales. */
static inline void decode_fill_cache(decode_case *c) {
  const attention_decode_problem *p = &c->problem;
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t head = 0; head < p->Hkv; head++)
      for (int64_t token = 0; token < c->lengths[b]; token++) {
        int64_t slot = decode_slot(c, b, head, token);
        int64_t row = (b * p->Hkv + head) * p->Smax + token;
        decode_store(c->exact_k + row * p->D, p->D, p->cache_dtype, c->k,
                     c->k_scale, slot);
        decode_store(c->exact_v + row * p->Dv, p->Dv, p->cache_dtype, c->v,
                     c->v_scale, slot);
      }
}

static inline void decode_allocate(decode_case *c,
                                   const decode_options *options) {
  const attention_decode_problem *p = &c->problem;
  int64_t slots =
      (p->paged ? p->page_count * p->page_length : p->B * p->Smax) * p->Hkv;
  size_t size = pfl_dtype_size(p->cache_dtype);
  c->rows = p->B * p->Hq * p->T;
  c->tokens = p->B * p->Hkv * p->Smax;
  c->exact_q = call_zeros(c->rows * p->D);
  c->exact_k = call_zeros(c->tokens * p->D);
  c->exact_v = call_zeros(c->tokens * p->Dv);
  c->exact_sinks = options->call.sinks ? call_zeros(p->Hq) : NULL;
  c->exact_o = call_zeros(c->rows * p->Dv);
  c->exact_lse = call_zeros(c->rows);
  c->k = guarded_allocate(slots * p->D, size);
  c->v = guarded_allocate(slots * p->Dv, size);
  if (options->int8) {
    c->k_scale = guarded_allocate(slots, sizeof(float));
    c->v_scale = guarded_allocate(slots, sizeof(float));
  }
  c->lengths = guarded_allocate(p->B, sizeof *c->lengths);
  if (p->paged)
    c->block_table =
        guarded_allocate(p->B * p->pages_per_sequence, sizeof(int32_t));
  c->o = guarded_allocate(c->rows * p->Dv, pfl_dtype_size(p->dtype));
  c->lse = guarded_allocate(c->rows, sizeof *c->lse);
}

static inline void decode_describe(const decode_case *c,
                                   const decode_options *options) {
  const attention_decode_problem *p = &c->problem;
  const pfl_scoring *s = &c->decode.scoring;
  snprintf(call_text, sizeof call_text,
           "decode B=%d Hq=%d Hkv=%d T=%d D=%d Dv=%d Smax=%d page=%d %s/%s "
           "scale=%g softcap=%g window=%d:%lld,%lld pattern=%d scores=%g "
           "sinks=%d lengths=%d,..",
           (int)p->B, (int)p->Hq, (int)p->Hkv, (int)p->T, (int)p->D, (int)p->Dv,
           (int)p->Smax, (int)p->page_length, pfl_dtype_name(p->dtype),
           pfl_dtype_name(p->cache_dtype), p->scale, p->softcap, s->windowed,
           (long long)s->window_left, (long long)s->window_right,
           options->call.pattern, options->call.magnitude, options->call.sinks,
           c->lengths[0]);
}

static inline void decode_run_reference(const decode_case *c) {
  attention_decode_problem contiguous = c->problem;
  contiguous.paged = false;
  CHECK_NEED(reference_decode(
      &contiguous, &(reference_decode_args){.q = c->exact_q,
                                            .k = c->exact_k,
                                            .v = c->exact_v,
                                            .sinks = c->exact_sinks,
                                            .lengths = c->lengths,
                                            .out_o = c->exact_o,
                                            .out_lse = c->exact_lse}));
}

static inline decode_case decode_make(pfl_decode decode,
                                      const decode_options *options) {
  decode_case c = {.decode = decode, .turn = base_max(1, options->turn)};
  CHECK_NEED(!attention_decode_problem_init(&decode, &c.problem, NULL));
  const attention_decode_problem *p = &c.problem;
  decode_allocate(&c, options);
  for (int64_t b = 0; b < p->B; b++)
    c.lengths[b] = options->full      ? (int32_t)p->Smax
                   : options->lengths ? options->lengths[b]
                                      : decode_draw_length(p);
  if (p->paged) decode_fill_table(&c);
  call_fill_scores(c.exact_q, c.rows, c.exact_k, p->B * p->Hkv, p->Smax, p->D,
                   p->scale, &options->call);
  call_fill_normal(c.exact_v, c.tokens * p->Dv, 1);
  c.q = call_tensor(c.exact_q, c.rows * p->D, p->dtype);
  if (options->call.sinks) {
    call_fill_normal(c.exact_sinks, p->Hq, fmin(options->call.magnitude, 60));
    c.sinks = call_tensor(c.exact_sinks, p->Hq, PFL_DTYPE_F32);
  }
  decode_fill_cache(&c);
  decode_describe(&c, options);
  decode_run_reference(&c);
  return c;
}

static inline void decode_free(decode_case *c) {
  double *arrays[] = {c->exact_q,     c->exact_k, c->exact_v,
                      c->exact_sinks, c->exact_o, c->exact_lse};
  guarded_release();
  for (int i = 0; i < COUNT(arrays); i++) free(arrays[i]);
}

/* Calls; o and lse are NaN before. Full caches are given without lengths. */
static inline void decode_call(decode_case *c, pfl_context *context) {
  const attention_decode_problem *p = &c->problem;
  pfl_error error = {PFL_STATUS_OK, ""};
  bool full = true;
  for (int64_t b = 0; b < p->B; b++) full &= c->lengths[b] == p->Smax;
  memset(c->o, 0xff, (size_t)(c->rows * p->Dv) * pfl_dtype_size(p->dtype));
  memset(c->lse, 0xff, (size_t)c->rows * sizeof *c->lse);
  pfl_status status = pfl_attention_decode(
      context, &c->decode,
      &(pfl_decode_args){.struct_size = sizeof(pfl_decode_args),
                         .q = c->q,
                         .k = c->k,
                         .v = c->v,
                         .k_scale = c->k_scale,
                         .v_scale = c->v_scale,
                         .lengths = full ? NULL : c->lengths,
                         .block_table = c->block_table,
                         .sinks = c->sinks,
                         .out_o = c->o,
                         .out_lse = c->lse},
      &error);
  CHECK(status == PFL_STATUS_OK, "%s; %s", error.message, call_text);
}

/* Bounds of o [rows][Dv] and lse [rows]. */
static inline void decode_bounds(const decode_case *c, bool pairs, double *o,
                                 double *lse) {
  const attention_decode_problem *p = &c->problem;
  bound_call bound = {.D = p->D,
                      .Dv = p->Dv,
                      .scale = p->scale,
                      .softcap = p->softcap,
                      .pairs = pairs,
                      .q_rounding = c->q_rounding,
                      .end = c->end};
  int64_t *slots = case_allocate(p->Smax, sizeof *slots);
  double *room = case_allocate(2 * p->Smax, sizeof *room);
  pfl_scoring scoring = c->decode.scoring;
  scoring.causal = 1;
  for (int64_t row = 0; row < c->rows; row++) {
    int64_t head = row / p->T, b = head / p->Hq, length = c->lengths[b];
    int64_t kv_head = b * p->Hkv + head % p->Hq / p->group;
    bound_row r = {.q = c->exact_q + row * p->D,
                   .k = c->exact_k,
                   .v = c->exact_v,
                   .sink = c->sinks ? c->exact_sinks + head % p->Hq : NULL,
                   .slots = slots,
                   .score = room,
                   .error = room + p->Smax};
    for (int64_t token = 0; token < length; token++)
      if (case_sees(&scoring, length - p->T + row % p->T, token))
        slots[r.count++] = kv_head * p->Smax + token;
    bound_forward(&bound, &r, c->exact_o + row * p->Dv, c->exact_lse[row],
                  o + row * p->Dv, lse + row);
  }
  free(slots);
  free(room);
}

/* Whether P may become bf16: a cache of q's own bf16. */
static inline bool decode_pairs(const decode_case *c, pfl_isa isa) {
  return c->problem.cache_dtype == PFL_DTYPE_BF16 &&
         call_pairs(isa, PFL_DTYPE_BF16);
}

static inline void decode_check(const decode_case *c, bool pairs) {
  const attention_decode_problem *p = &c->problem;
  double *o = call_zeros(c->rows * p->Dv), *lse = call_zeros(c->rows);
  decode_bounds(c, pairs, o, lse);
  call_compare("o", c->o, p->dtype, c->exact_o, o, c->rows * p->Dv);
  call_compare("lse", c->lse, PFL_DTYPE_F32, c->exact_lse, lse, c->rows);
  free(o);
  free(lse);
}

#endif

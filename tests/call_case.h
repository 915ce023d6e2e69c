/* Random calls of forward and backward: real tensors in guarded memory, and the
 * exact results of the same numbers by reference.h. */
#ifndef PFL_TESTS_CALL_CASE_H
#define PFL_TESTS_CALL_CASE_H

#include "attention_case.h"
#include "base/dtype.h"
#include "call_bound.h"
#include "cpu/kernels.h"
#include "guarded.h"
#include "pallas_flash/attention.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define PICK(array) ((array)[check_between(0, COUNT(array) - 1)])

/* ---- Contexts: one for each instruction set and number of threads ------- */

enum { CALL_THREADS_MAX = 8 };
static pfl_context *call_contexts[PFL_ISA_AVX512BF16 + 1][CALL_THREADS_MAX + 1];

static inline pfl_context *call_context(pfl_isa isa, int threads) {
  pfl_context **context = &call_contexts[isa][threads];
  pfl_context_options options = {
      .struct_size = sizeof options, .threads = threads, .isa = isa};
  if (!*context) CHECK_NEED(!pfl_context_create(&options, context, NULL));
  return *context;
}

static inline void call_contexts_destroy(void) {
  for (int isa = 0; isa < COUNT(call_contexts); isa++)
    for (int threads = 0; threads <= CALL_THREADS_MAX; threads++) {
      pfl_context_destroy(call_contexts[isa][threads]);
      call_contexts[isa][threads] = NULL;
    }
}

/* Whether P and dS become bf16 in this instruction set's products. */
static inline bool call_pairs(pfl_isa isa, pfl_dtype dtype) {
  return dtype == PFL_DTYPE_BF16 && cpu_kernels_for(isa).product_bf16;
}

/* ---- Numbers and tensors ------------------------------------------------ */

static const pfl_dtype call_dtypes[] = {PFL_DTYPE_F32, PFL_DTYPE_BF16,
                                        PFL_DTYPE_F16};

/* Lengths at and around the edges of panels (64) and of key blocks (64, 96,
 * 192), with primes. */
static const int64_t call_lengths[] = {
    0,  1,  2,   3,   7,   16,  31,  61,  63,  64,  65,  67,  95,
    96, 97, 127, 128, 131, 191, 192, 193, 197, 255, 257, 389, 521};
static const int64_t call_dims[] = {1,   2,   3,   5,   8,   15,  16,  17,  31,
                                    32,  33,  47,  64,  65,  80,  96,  127, 128,
                                    129, 160, 192, 255, 256, 257, 511, 512};

static inline int64_t call_dim(void) {
  return check_between(0, 3) ? PICK(call_dims)
                             : check_between(1, PFL_HEAD_DIM_MAX);
}

/* What `x` is in `dtype`. */
static inline double call_round(double x, pfl_dtype dtype) {
  float f = (float)x;
  if (dtype == PFL_DTYPE_BF16) return base_bf16_to_f32(base_f32_to_bf16(f));
  if (dtype == PFL_DTYPE_F16) return base_f16_to_f32(base_f32_to_f16(f));
  return f;
}

/* `wide`, rounded to `dtype` where it lies, as a tensor in guarded memory. */
static inline void *call_tensor(double *wide, int64_t count, pfl_dtype dtype) {
  void *tensor = guarded_allocate(count, pfl_dtype_size(dtype));
  for (int64_t i = 0; i < count; i++) {
    wide[i] = call_round(wide[i], dtype);
    float f = (float)wide[i];
    if (dtype == PFL_DTYPE_F32)
      ((float *)tensor)[i] = f;
    else
      ((uint16_t *)tensor)[i] =
          dtype == PFL_DTYPE_BF16 ? base_f32_to_bf16(f) : base_f32_to_f16(f);
  }
  return tensor;
}

static inline double *call_zeros(int64_t count) {
  double *array = case_allocate(count, sizeof *array);
  for (int64_t i = 0; i < count; i++) array[i] = 0;
  return array;
}

static inline void call_fill_normal(double *array, int64_t count, double size) {
  for (int64_t i = 0; i < count; i++) array[i] = size * check_normal();
}

/* ---- Comparison --------------------------------------------------------- */

/* What is being called, for messages. */
static char call_text[400];

/* The largest part of its bound that an f32 result has been off by. */
static double call_worst;

/* Each element must be what some number within `bound` of `want` is in the
 * tensor's dtype: rounding keeps order. Bounds may be NULL, for 0. */
static inline void call_compare(const char *name, const void *got,
                                pfl_dtype dtype, const double *want,
                                const double *bound, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    double x = base_element_get(got, dtype, i), room = bound ? bound[i] : 0;
    double low = call_round(want[i] - room, dtype);
    double high = call_round(want[i] + room, dtype);
    CHECK(low <= x && x <= high,
          "%s[%lld] is %.9g, not %.9g: %.3g apart, bound %.3g; %s", name,
          (long long)i, x, want[i], fabs(x - want[i]), room, call_text);
    double off = fabs(x - want[i]) - fmax(0x1p-150, UNIT_F32 * fabs(want[i]));
    if (dtype == PFL_DTYPE_F32 && room > 0 && low <= x && x <= high)
      call_worst = fmax(call_worst, off / room);
  }
}

static inline void call_print_worst(void) {
  printf("f32 results were off by at most %.2f of their bounds\n", call_worst);
}

/* ---- Cases -------------------------------------------------------------- */

/* How scores run over the keys. */
typedef enum call_pattern {
  CALL_NOISE,   /* normal */
  CALL_RISING,  /* the running maximum changes with every block */
  CALL_FALLING, /* the first block has it */
  CALL_PEAK,    /* one key, anywhere */
  CALL_FLIPPED, /* the largest and the smallest beside each other */
  CALL_EQUAL,   /* all keys alike */
  CALL_PATTERNS
} call_pattern;

typedef enum call_mask {
  CALL_NO_MASK,
  CALL_CAUSAL,
  CALL_WINDOW,
  CALL_CAUSAL_WINDOW,
  CALL_SORTED_SEGMENTS,
  CALL_MIXED_SEGMENTS,
  CALL_CAUSAL_SEGMENTS,
  CALL_EVERY_MASK,
  CALL_MASKS
} call_mask;

/* What is drawn at random unless set. */
typedef struct call_options {
  call_mask mask;
  pfl_dtype dtype;
  call_pattern pattern;
  double magnitude; /* of the scores, before softcap */
  bool sinks, d_lse;
} call_options;

typedef struct call_case {
  attention_case exact; /* the numbers, and reference.h's results */
  int64_t rows, keys;   /* B Hq Sq and B Hkv Sk */
  void *q, *k, *v, *d_o;
  float *sinks, *d_lse;
  void *o, *dq, *dk, *dv; /* results; NaN before */
  float *lse, *dsinks;
  double end; /* of bound_call */
} call_case;

static inline call_options call_random_options(int round) {
  static const double magnitudes[] = {1e-6, 1e-2, 1, 1, 8, 60, 1000};
  return (call_options){
      .mask = (call_mask)(round % CALL_MASKS),
      .dtype = call_dtypes[round / CALL_MASKS % 3],
      .pattern =
          (call_pattern)check_between(0, 2 * CALL_PATTERNS - 1) % CALL_PATTERNS,
      .magnitude = PICK(magnitudes),
      .sinks = check_between(0, 2) == 0};
}

static inline void call_draw_window(pfl_scoring *scoring) {
  static const int64_t windows[][2] = {
      {0, 0},  {-1, 0}, {0, -1},   {-1, -1},       {3, 5},
      {63, 0}, {0, 64}, {130, 65}, {10000, 20000}, {-1, 40}};
  const int64_t *window = PICK(windows);
  bool drawn = check_between(0, 3) == 0;
  scoring->windowed = 1;
  scoring->window_left = drawn ? check_between(-1, 200) : window[0];
  scoring->window_right = drawn ? check_between(-1, 200) : window[1];
}

static inline pfl_scoring call_draw_scoring(call_mask mask) {
  static const double scales[] = {0, 0, 0, -0.3, 1e-20, 30};
  pfl_scoring scoring = {.scale = PICK(scales)};
  if (check_between(0, 2) == 0) scoring.softcap = 0.5 + 50 * check_uniform();
  scoring.causal = mask == CALL_CAUSAL || mask == CALL_CAUSAL_WINDOW ||
                   mask == CALL_CAUSAL_SEGMENTS || mask == CALL_EVERY_MASK;
  if (mask == CALL_WINDOW || mask == CALL_CAUSAL_WINDOW ||
      mask == CALL_EVERY_MASK)
    call_draw_window(&scoring);
  return scoring;
}

/* Multiplications of one product. */
static inline double call_cost(const pfl_attention *a) {
  return (double)(a->batch * a->q_heads * a->q_length * a->kv_length) *
         (double)(a->head_dim + a->v_head_dim);
}

/* Any sizes whose cost is within a budget that is itself drawn. */
static inline pfl_attention call_draw_attention(const call_options *options,
                                                double most_cost) {
  static const int64_t groups[] = {1, 1, 2, 3, 4, 8};
  double budget = most_cost * exp(-4 * check_uniform());
  pfl_attention a;
  do {
    int64_t kv_heads = check_between(1, 3), group = PICK(groups);
    a = (pfl_attention){.struct_size = sizeof a,
                        .batch = check_between(1, 3),
                        .q_heads = kv_heads * group,
                        .kv_heads = kv_heads,
                        .q_length = PICK(call_lengths),
                        .kv_length = PICK(call_lengths),
                        .head_dim = call_dim(),
                        .v_head_dim = call_dim(),
                        .dtype = options->dtype};
    if (check_between(0, 1)) a.v_head_dim = a.head_dim;
  } while (call_cost(&a) > budget);
  a.scoring = call_draw_scoring(options->mask);
  return a;
}

/* -1 .. 1 for key j of `keys`. */
static inline double call_pattern_at(call_pattern pattern, int64_t j,
                                     int64_t keys, int64_t peak) {
  double place = keys > 1 ? (double)j / (double)(keys - 1) : 1;
  switch (pattern) {
    case CALL_RISING: return place;
    case CALL_FALLING: return 1 - place;
    case CALL_PEAK: return j == peak;
    case CALL_FLIPPED: return j % 2 ? 1 : -1;
    case CALL_EQUAL: return 1;
    default: return 0;
  }
}

/* Scores of about `magnitude`: normal, or along the pattern and then, where its
 * keys are not all alike, with some noise. */
static inline void call_fill_scores(double *q, int64_t q_rows, double *k,
                                    int64_t kv_heads, int64_t keys, int64_t D,
                                    double scale, const call_options *options) {
  double magnitude = options->magnitude, noise = fmin(magnitude, 2);
  if (options->pattern == CALL_NOISE) noise = magnitude;
  if (options->pattern == CALL_EQUAL) noise = 0;
  double most = options->dtype == PFL_DTYPE_F16 ? 1000 : INFINITY;
  double size = fmin(most, sqrt(noise / (fabs(scale) * sqrt((double)D))));
  double along = fmin(most, sqrt(magnitude / fabs(scale)));
  call_fill_normal(q, q_rows * D, size);
  call_fill_normal(k, kv_heads * keys * D, size);
  if (options->pattern == CALL_NOISE) return;
  for (int64_t i = 0; i < q_rows; i++) q[i * D] = along;
  for (int64_t h = 0; h < kv_heads; h++)
    for (int64_t j = 0, peak = check_between(0, base_max(0, keys - 1));
         j < keys; j++)
      k[(h * keys + j) * D] = copysign(along, scale) *
                              call_pattern_at(options->pattern, j, keys, peak);
}

/* Ids that rise along the keys, and along the queries as the keys at their
 * positions; or any. */
static inline void call_fill_segments(attention_case *c, bool sorted) {
  static const int32_t ids[] = {INT32_MIN, -1, 0, 7, INT32_MAX};
  const attention_problem *p = &c->problem;
  for (int64_t b = 0; b < p->B; b++) {
    int32_t *key_ids = c->kv_segment_ids + b * p->Sk;
    int32_t id = (int32_t)check_between(-3, 3);
    for (int64_t j = 0; j < p->Sk; j++)
      key_ids[j] = sorted ? id += check_between(0, 40) == 0 : PICK(ids);
    for (int64_t i = 0; i < p->Sq; i++) {
      int64_t j = i + p->offset;
      bool matched = sorted && j >= 0 && j < p->Sk;
      c->q_segment_ids[b * p->Sq + i] = matched ? key_ids[j] : PICK(ids);
    }
  }
}

static inline void call_describe(const attention_problem *p,
                                 const pfl_scoring *scoring,
                                 const call_options *options) {
  snprintf(call_text, sizeof call_text,
           "B=%d Hq=%d Hkv=%d Sq=%d Sk=%d D=%d Dv=%d %s scale=%g softcap=%g "
           "causal=%d window=%d:%lld,%lld mask=%d pattern=%d scores=%g "
           "sinks=%d",
           (int)p->B, (int)p->Hq, (int)p->Hkv, (int)p->Sq, (int)p->Sk,
           (int)p->D, (int)p->Dv, pfl_dtype_name(p->dtype), p->scale,
           p->softcap, scoring->causal, scoring->windowed,
           (long long)scoring->window_left, (long long)scoring->window_right,
           options->mask, options->pattern, options->magnitude, options->sinks);
}

/* Puts the numbers of c->exact, and NaN where results go, into new tensors. */
static inline void call_make_tensors(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype);
  c->rows = p->B * p->Hq * p->Sq;
  c->keys = p->B * p->Hkv * p->Sk;
  c->q = call_tensor(c->exact.q, c->rows * p->D, p->dtype);
  c->k = call_tensor(c->exact.k, c->keys * p->D, p->dtype);
  c->v = call_tensor(c->exact.v, c->keys * p->Dv, p->dtype);
  c->d_o = call_tensor(c->exact.d_o, c->rows * p->Dv, p->dtype);
  c->sinks = NULL;
  if (c->exact.sinks)
    c->sinks = call_tensor(c->exact.sinks, p->Hq, PFL_DTYPE_F32);
  c->d_lse = NULL;
  if (c->exact.d_lse)
    c->d_lse = call_tensor(c->exact.d_lse, c->rows, PFL_DTYPE_F32);
  c->o = guarded_allocate(c->rows * p->Dv, size);
  c->lse = guarded_allocate(c->rows, sizeof *c->lse);
  c->dq = guarded_allocate(c->rows * p->D, size);
  c->dk = guarded_allocate(c->keys * p->D, size);
  c->dv = guarded_allocate(c->keys * p->Dv, size);
  c->dsinks = guarded_allocate(p->Hq, sizeof *c->dsinks);
}

static inline call_case call_make(pfl_attention attention,
                                  const call_options *options) {
  bool segments = options->mask >= CALL_SORTED_SEGMENTS;
  bool sorted = options->mask != CALL_MIXED_SEGMENTS;
  call_case c = {.exact =
                     case_of(attention, (segments ? CASE_SEGMENTS : 0) |
                                            (options->sinks ? CASE_SINKS : 0) |
                                            (options->d_lse ? CASE_D_LSE : 0))};
  const attention_problem *p = &c.exact.problem;
  call_fill_scores(c.exact.q, p->B * p->Hq * p->Sq, c.exact.k, p->B * p->Hkv,
                   p->Sk, p->D, p->scale, options);
  call_fill_normal(c.exact.v, p->B * p->Hkv * p->Sk * p->Dv, 1);
  call_fill_normal(c.exact.d_o, p->B * p->Hq * p->Sq * p->Dv, 1);
  if (options->d_lse) call_fill_normal(c.exact.d_lse, p->B * p->Hq * p->Sq, 1);
  if (options->sinks)
    call_fill_normal(c.exact.sinks, p->Hq, fmin(options->magnitude, 60));
  if (segments) call_fill_segments(&c.exact, sorted);
  call_make_tensors(&c);
  call_describe(p, &attention.scoring, options);
  return c;
}

/* The same with dLSE in every other one, for backward. */
static inline call_case call_random_backward(int round, double most_cost) {
  call_options options = call_random_options(round);
  options.d_lse = round % 2 == 1;
  return call_make(call_draw_attention(&options, most_cost), &options);
}

static inline call_case call_random(int round, double most_cost) {
  call_options options = call_random_options(round);
  return call_make(call_draw_attention(&options, most_cost), &options);
}

/* Everything of a case, its guards looked at. */
static inline void call_free(call_case *c) {
  guarded_release();
  case_free(&c->exact);
}

/* ---- Calls -------------------------------------------------------------- */

static inline pfl_forward_args call_forward_args(const call_case *c) {
  return (pfl_forward_args){.struct_size = sizeof(pfl_forward_args),
                            .q = c->q,
                            .k = c->k,
                            .v = c->v,
                            .q_segment_ids = c->exact.q_segment_ids,
                            .kv_segment_ids = c->exact.kv_segment_ids,
                            .sinks = c->sinks,
                            .out_o = c->o,
                            .out_lse = c->lse};
}

static inline pfl_backward_args call_backward_args(const call_case *c) {
  return (pfl_backward_args){.struct_size = sizeof(pfl_backward_args),
                             .q = c->q,
                             .k = c->k,
                             .v = c->v,
                             .o = c->o,
                             .lse = c->lse,
                             .d_o = c->d_o,
                             .q_segment_ids = c->exact.q_segment_ids,
                             .kv_segment_ids = c->exact.kv_segment_ids,
                             .sinks = c->sinks,
                             .out_dq = c->dq,
                             .out_dk = c->dk,
                             .out_dv = c->dv,
                             .out_dsinks = c->sinks ? c->dsinks : NULL,
                             .d_lse = c->d_lse};
}

static inline void call_forward(call_case *c, pfl_context *context) {
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_forward_args args = call_forward_args(c);
  pfl_status status =
      pfl_attention_forward(context, &c->exact.attention, &args, &error);
  CHECK(status == PFL_STATUS_OK, "%s; %s", error.message, call_text);
}

static inline void call_backward(call_case *c, pfl_context *context) {
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_backward_args args = call_backward_args(c);
  pfl_status status =
      pfl_attention_backward(context, &c->exact.attention, &args, &error);
  CHECK(status == PFL_STATUS_OK, "%s; %s", error.message, call_text);
}

/* ---- Bounds ------------------------------------------------------------- */

static inline bound_call call_bound_call(const attention_problem *p,
                                         bool pairs) {
  return (bound_call){.D = p->D,
                      .Dv = p->Dv,
                      .scale = p->scale,
                      .softcap = p->softcap,
                      .pairs = pairs,
                      .query_terms = p->group * p->Sq};
}

/* Row `row` of all B Hq Sq with the keys it sees; `slots` and `room` hold Sk
 * and 2 Sk. */
static inline bound_row call_bound_row(const call_case *c, int64_t row,
                                       int64_t *slots, double *room) {
  const attention_problem *p = &c->exact.problem;
  int64_t head = row / p->Sq, b = head / p->Hq;
  bound_row r = {.q = c->exact.q + row * p->D,
                 .k = c->exact.k,
                 .v = c->exact.v,
                 .sink = c->exact.sinks ? c->exact.sinks + head % p->Hq : NULL,
                 .slots = slots,
                 .score = room,
                 .error = room + p->Sk};
  for (int64_t j = 0; j < p->Sk; j++)
    if (case_row_sees(&c->exact, b, row % p->Sq, j))
      slots[r.count++] = head / p->group * p->Sk + j;
  return r;
}

/* Bounds of O [rows][Dv] and LSE [rows]; the exact ones are there. */
static inline void call_forward_bounds(const call_case *c, bool pairs,
                                       double *o, double *lse) {
  const attention_problem *p = &c->exact.problem;
  bound_call bound = call_bound_call(p, pairs);
  bound.end = c->end;
  int64_t *slots = case_allocate(p->Sk, sizeof *slots);
  double *room = case_allocate(2 * p->Sk, sizeof *room);
  for (int64_t row = 0; row < c->rows; row++) {
    bound_row r = call_bound_row(c, row, slots, room);
    bound_forward(&bound, &r, c->exact.o + row * p->Dv, c->exact.lse[row],
                  o + row * p->Dv, lse + row);
  }
  free(slots);
  free(room);
}

/* o and lse of the case against the exact ones. */
static inline void call_check_forward(const call_case *c, bool pairs) {
  const attention_problem *p = &c->exact.problem;
  double *o = call_zeros(c->rows * p->Dv), *lse = call_zeros(c->rows);
  call_forward_bounds(c, pairs, o, lse);
  call_compare("o", c->o, p->dtype, c->exact.o, o, c->rows * p->Dv);
  call_compare("lse", c->lse, PFL_DTYPE_F32, c->exact.lse, lse, c->rows);
  free(o);
  free(lse);
}

/* Gradients, or their bounds: dq [rows][D], dk [keys][D], dv [keys][Dv],
 * dsinks [Hq]. */
typedef struct call_gradients {
  double *dq, *dk, *dv, *dsinks;
} call_gradients;

static inline void call_gradients_free(call_gradients *g) {
  free(g->dq);
  free(g->dk);
  free(g->dv);
  free(g->dsinks);
}

/* Bounds for the o and lse there are; the exact ones are there. */
static inline call_gradients call_backward_bounds(const call_case *c,
                                                  bool pairs) {
  const attention_problem *p = &c->exact.problem;
  bound_call bound = call_bound_call(p, pairs);
  bound.end = c->end;
  int64_t *slots = case_allocate(p->Sk, sizeof *slots);
  double *room = case_allocate(2 * p->Sk, sizeof *room);
  double *given_o = reference_widen(c->o, p->dtype, c->rows * p->Dv);
  call_gradients sums = {call_zeros(c->rows * p->D), call_zeros(c->keys * p->D),
                         call_zeros(c->keys * p->Dv), call_zeros(p->Hq)};
  for (int64_t row = 0; row < c->rows; row++) {
    bound_row r = call_bound_row(c, row, slots, room);
    bound_gradient g = {c->exact.d_o + row * p->Dv,
                        c->exact.o + row * p->Dv,
                        given_o + row * p->Dv,
                        c->exact.lse[row],
                        c->lse[row],
                        c->exact.d_lse ? c->exact.d_lse[row] : 0};
    bound_backward(&bound, &r, &g, sums.dq + row * p->D, sums.dk, sums.dv,
                   sums.dsinks + row / p->Sq % p->Hq);
  }
  free(given_o);
  free(room);
  free(slots);
  return sums;
}

/* dq, dk, dv, dsinks against the exact ones. */
static inline void call_check_backward(const call_case *c, bool pairs) {
  const attention_problem *p = &c->exact.problem;
  call_gradients bounds = call_backward_bounds(c, pairs);
  call_compare("dq", c->dq, p->dtype, c->exact.dq, bounds.dq, c->rows * p->D);
  call_compare("dk", c->dk, p->dtype, c->exact.dk, bounds.dk, c->keys * p->D);
  call_compare("dv", c->dv, p->dtype, c->exact.dv, bounds.dv, c->keys * p->Dv);
  if (c->sinks)
    call_compare("dsinks", c->dsinks, PFL_DTYPE_F32, c->exact.dsinks,
                 bounds.dsinks, p->Hq);
  call_gradients_free(&bounds);
}

#endif

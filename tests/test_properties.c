/* What attention must satisfy whatever the numbers are, call held against call:
 * where the sums are the same ones, bit by bit; else in f32, within what each
 * call may be off by (docs/numerics.md). */
#include "call_case.h"
#include "decode_case.h"

static pfl_isa draw_isa(void) {
  return (pfl_isa)check_between(PFL_ISA_PORTABLE, pfl_isa_best());
}

static pfl_context *draw_context(void) {
  return call_context(draw_isa(), (int)check_between(1, 4));
}

/* O and LSE of an f32 call, and their bounds. */
typedef struct outcome {
  double *o, *lse, *o_bound, *lse_bound;
} outcome;

static outcome run_forward(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  outcome r = {.o_bound = call_zeros(c->rows * p->Dv),
               .lse_bound = call_zeros(c->rows)};
  call_forward(c, draw_context());
  case_forward(&c->exact);
  call_forward_bounds(c, false, r.o_bound, r.lse_bound);
  r.o = reference_widen(c->o, PFL_DTYPE_F32, c->rows * p->Dv);
  r.lse = reference_widen(c->lse, PFL_DTYPE_F32, c->rows);
  return r;
}

static void outcome_free(outcome *r) {
  double *arrays[] = {r->o, r->lse, r->o_bound, r->lse_bound};
  for (int i = 0; i < COUNT(arrays); i++) free(arrays[i]);
}

/* Two f32 results that are exactly the same number if nothing is rounded. */
static void check_equal(const char *name, int64_t at, double a, double a_bound,
                        double b, double b_bound) {
  double bound = a_bound + b_bound + (fabs(a) + fabs(b)) * UNIT_F32 + 0x1p-149;
  CHECK(a == b || fabs(a - b) <= bound,
        "%s[%d] is %.9g and %.9g: %.3g apart, bound %.3g; %s", name, (int)at, a,
        b, fabs(a - b), bound, call_text);
}

static void check_equal_rows(const outcome *a, int64_t a_row, const outcome *b,
                             int64_t b_row, int64_t Dv) {
  check_equal("lse", a_row, a->lse[a_row], a->lse_bound[a_row], b->lse[b_row],
              b->lse_bound[b_row]);
  for (int64_t d = 0; d < Dv; d++) {
    int64_t i = a_row * Dv + d, j = b_row * Dv + d;
    check_equal("o", i, a->o[i], a->o_bound[i], b->o[j], b->o_bound[j]);
  }
}

static void check_bits(const char *name, const void *a, const void *b,
                       int64_t count, size_t size) {
  CHECK(!memcmp(a, b, (size_t)count * size), "%s differs in some bit; %s", name,
        call_text);
}

/* A part of a call: batch entries, key-value heads with their query heads,
 * queries and keys, each begin .. end - 1. */
typedef struct slice {
  attention_range batch, heads, queries, keys;
} slice;

static slice slice_all(const attention_problem *p) {
  return (slice){{0, p->B}, {0, p->Hkv}, {0, p->Sq}, {0, p->Sk}};
}

static int64_t length_of(attention_range range) {
  return range.end - range.begin;
}

/* Copies rows of [B][heads][length][width]. */
static void copy_slice(double *out, const double *in, int64_t heads,
                       int64_t length, int64_t width, attention_range batch,
                       attention_range head, attention_range rows) {
  for (int64_t b = batch.begin; b < batch.end; b++)
    for (int64_t h = head.begin; h < head.end; h++)
      for (int64_t i = rows.begin * width; i < rows.end * width; i++)
        *out++ = in[(b * heads + h) * length * width + i];
}

/* The call of a part, with its own tensors; no segments, and the mask that
 * `scoring` says. */
static call_case make_slice(const call_case *c, slice s, pfl_scoring scoring) {
  const attention_problem *p = &c->exact.problem;
  pfl_attention a = c->exact.attention;
  attention_range q_heads = {s.heads.begin * p->group, s.heads.end * p->group};
  a.batch = length_of(s.batch);
  a.kv_heads = length_of(s.heads);
  a.q_heads = length_of(q_heads);
  a.q_length = length_of(s.queries);
  a.kv_length = length_of(s.keys);
  a.scoring = scoring;
  call_case part = {.exact = case_of(a, c->sinks ? CASE_SINKS : 0)};
  attention_case *to = &part.exact;
  copy_slice(to->q, c->exact.q, p->Hq, p->Sq, p->D, s.batch, q_heads,
             s.queries);
  copy_slice(to->d_o, c->exact.d_o, p->Hq, p->Sq, p->Dv, s.batch, q_heads,
             s.queries);
  copy_slice(to->k, c->exact.k, p->Hkv, p->Sk, p->D, s.batch, s.heads, s.keys);
  copy_slice(to->v, c->exact.v, p->Hkv, p->Sk, p->Dv, s.batch, s.heads, s.keys);
  for (int64_t h = 0; c->sinks && h < a.q_heads; h++)
    to->sinks[h] = c->exact.sinks[q_heads.begin + h];
  call_make_tensors(&part);
  return part;
}

/* An f32 call with this mask. */
static call_case draw_f32(call_mask mask, double most_cost) {
  call_options options = call_random_options((int)mask);
  options.dtype = PFL_DTYPE_F32;
  return call_make(call_draw_attention(&options, most_cost), &options);
}

/* ---- Keys --------------------------------------------------------------- */

/* Puts row order[j] of each matrix [keys][width] in place j. */
static void permute(double *array, int64_t matrices, const int64_t *order,
                    int64_t keys, int64_t width) {
  int64_t count = keys * width;
  double *old = case_allocate(count, sizeof *old);
  for (; matrices > 0; matrices--, array += count) {
    memcpy(old, array, (size_t)count * sizeof *old);
    for (int64_t i = 0; i < count; i++)
      array[i] = old[order[i / width] * width + i % width];
  }
  free(old);
}

static void test_order_of_keys(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_case c = draw_f32(CALL_NO_MASK, 2e6);
    const attention_problem *p = &c.exact.problem;
    int64_t order[1000], heads = p->B * p->Hkv;
    for (int64_t i = 0; i < p->Sk; i++) {
      int64_t other = check_between(0, i);
      order[i] = order[other];
      order[other] = i;
    }
    outcome before = run_forward(&c);
    permute(c.exact.k, heads, order, p->Sk, p->D);
    permute(c.exact.v, heads, order, p->Sk, p->Dv);
    call_make_tensors(&c);
    outcome after = run_forward(&c);
    for (int64_t row = 0; row < c.rows; row++)
      check_equal_rows(&before, row, &after, row, p->Dv);
    outcome_free(&before);
    outcome_free(&after);
    call_free(&c);
  }
}

/* One more component, 1 in every q and `shift` in every k: o stays and lse
 * moves by shift * scale. */
static void test_shifted_scores(void) {
  static const double shifts[] = {1000, -1000, 30, -0.125};
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_options options = call_random_options(round % 4);
    options.dtype = PFL_DTYPE_F32;
    pfl_attention a = call_draw_attention(&options, 2e6);
    a.scoring.softcap = 0;
    a.scoring.scale = 0.5;
    options.sinks = false;
    call_case c = call_make(a, &options);
    const attention_problem *p = &c.exact.problem;
    double shift = PICK(shifts);
    for (int64_t i = 0; i < c.rows; i++) c.exact.q[i * p->D] = 1;
    for (int64_t j = 0; j < c.keys; j++) c.exact.k[j * p->D] = 0;
    call_make_tensors(&c);
    outcome before = run_forward(&c);
    for (int64_t j = 0; j < c.keys; j++) c.exact.k[j * p->D] = shift;
    call_make_tensors(&c);
    outcome after = run_forward(&c);
    for (int64_t row = 0; row < c.rows; row++) {
      before.lse[row] += shift * p->scale;
      check_equal_rows(&before, row, &after, row, p->Dv);
    }
    outcome_free(&before);
    outcome_free(&after);
    call_free(&c);
  }
}

/* The same row over two halves of the keys, merged by (o, lse). Each weight is
 * off by no more than what both LSE are off by. */
static void check_merged(const outcome *whole, const outcome *half, int64_t row,
                         int64_t Dv) {
  double lse = log(exp(half[0].lse[row] - whole->lse[row]) +
                   exp(half[1].lse[row] - whole->lse[row])) +
               whole->lse[row];
  double lse_bound = half[0].lse_bound[row] + half[1].lse_bound[row] +
                     UNIT_F32 * (fabs(lse) + 1);
  double a = exp(half[0].lse[row] - lse), b = exp(half[1].lse[row] - lse);
  if (whole->lse[row] == -INFINITY) return; /* -inf, and 0, in both halves */
  check_equal("lse", row, whole->lse[row], whole->lse_bound[row], lse,
              lse_bound);
  for (int64_t i = row * Dv; i < (row + 1) * Dv; i++) {
    double first = half[0].o[i], second = half[1].o[i];
    double bound = a * half[0].o_bound[i] + b * half[1].o_bound[i] +
                   (exp(2 * lse_bound) - 1) * (fabs(first) + fabs(second)) +
                   UNIT_F32 * (fabs(first) + fabs(second));
    check_equal("o", i, whole->o[i], whole->o_bound[i], a * first + b * second,
                bound);
  }
}

static void test_split_keys_merge(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_options options = call_random_options(CALL_NO_MASK);
    options.dtype = PFL_DTYPE_F32;
    options.sinks = false;
    call_case c = call_make(call_draw_attention(&options, 2e6), &options);
    const attention_problem *p = &c.exact.problem;
    outcome whole = run_forward(&c), half[2];
    int64_t cut = check_between(0, p->Sk);
    for (int i = 0; i < 2; i++) {
      slice s = slice_all(p);
      s.keys = i ? (attention_range){cut, p->Sk} : (attention_range){0, cut};
      call_case part = make_slice(&c, s, c.exact.attention.scoring);
      half[i] = run_forward(&part);
      case_free(&part.exact);
    }
    for (int64_t row = 0; row < c.rows; row++)
      check_merged(&whole, half, row, p->Dv);
    outcome_free(&whole);
    for (int i = 0; i < 2; i++) outcome_free(&half[i]);
    call_free(&c);
  }
}

/* ---- Masks -------------------------------------------------------------- */

/* A row of a causal or windowed call is that row alone with the keys it sees
 * and no mask. */
static void check_row_alone(const call_case *c, const outcome *whole,
                            int64_t i) {
  const attention_problem *p = &c->exact.problem;
  pfl_scoring open = c->exact.attention.scoring;
  open.causal = open.windowed = 0;
  open.window_left = open.window_right = 0;
  slice s = slice_all(p);
  s.queries = (attention_range){i, i + 1};
  s.keys = (attention_range){0, 0};
  for (int64_t j = p->Sk - 1; j >= 0; j--)
    if (case_row_sees(&c->exact, 0, i, j)) {
      s.keys.begin = j;
      if (!s.keys.end) s.keys.end = j + 1;
    }
  call_case alone = make_slice(c, s, open);
  outcome r = run_forward(&alone);
  for (int64_t head = 0; head < p->B * p->Hq; head++)
    check_equal_rows(whole, head * p->Sq + i, &r, head, p->Dv);
  outcome_free(&r);
  case_free(&alone.exact);
}

static void test_masks_by_rows_alone(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_case c = draw_f32((call_mask)(CALL_CAUSAL + round % 3), 2e6);
    const attention_problem *p = &c.exact.problem;
    outcome whole = run_forward(&c);
    for (int n = 0; n < 8 && p->Sq > 0; n++)
      check_row_alone(&c, &whole, check_between(0, p->Sq - 1));
    outcome_free(&whole);
    call_free(&c);
  }
}

/* Causal is a window that is open to the left and closed to the right. */
static void test_causal_is_a_window(void) {
  int cases = check_cases(20);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random(CALL_CAUSAL, 1e6);
    const attention_problem *p = &c.exact.problem;
    pfl_context *context = draw_context();
    call_forward(&c, context);
    void *o = c.o;
    float *lse = c.lse;
    c.exact.attention.scoring.causal = 0;
    c.exact.attention.scoring.windowed = 1;
    c.exact.attention.scoring.window_left = -1;
    call_make_tensors(&c);
    call_forward(&c, context);
    check_bits("o", o, c.o, c.rows * p->Dv, pfl_dtype_size(p->dtype));
    check_bits("lse", lse, c.lse, c.rows, sizeof *lse);
    call_free(&c);
  }
}

/* ---- Heads and batch ---------------------------------------------------- */

/* Every query head with a key-value head of its own. */
static call_case make_repeated(const call_case *c) {
  const attention_problem *p = &c->exact.problem;
  pfl_attention a = c->exact.attention;
  a.kv_heads = a.q_heads;
  unsigned kinds = (c->sinks ? CASE_SINKS : 0) |
                   (c->exact.q_segment_ids ? CASE_SEGMENTS : 0);
  call_case made = {.exact = case_of(a, kinds)};
  attention_case *to = &made.exact;
  int64_t k_size = p->Sk * p->D, v_size = p->Sk * p->Dv;
  memcpy(to->q, c->exact.q, (size_t)(c->rows * p->D) * sizeof *to->q);
  memcpy(to->d_o, c->exact.d_o, (size_t)(c->rows * p->Dv) * sizeof *to->q);
  for (int64_t h = 0; h < p->B * p->Hq; h++) {
    memcpy(to->k + h * k_size, c->exact.k + h / p->group * k_size,
           (size_t)k_size * sizeof *to->k);
    memcpy(to->v + h * v_size, c->exact.v + h / p->group * v_size,
           (size_t)v_size * sizeof *to->v);
  }
  for (int64_t h = 0; c->sinks && h < p->Hq; h++)
    to->sinks[h] = c->exact.sinks[h];
  for (int64_t i = 0; to->q_segment_ids && i < p->B * p->Sq; i++)
    to->q_segment_ids[i] = c->exact.q_segment_ids[i];
  for (int64_t j = 0; to->q_segment_ids && j < p->B * p->Sk; j++)
    to->kv_segment_ids[j] = c->exact.kv_segment_ids[j];
  call_make_tensors(&made);
  return made;
}

/* The gradient of a shared head is the sum of those of its copies. */
static void check_sums(const char *name, const float *shared,
                       const double *shared_bound, const float *copies,
                       const double *copies_bound, const attention_problem *p,
                       int64_t width) {
  int64_t head_size = p->Sk * width;
  for (int64_t at = 0; at < p->B * p->Hkv * head_size; at++) {
    double sum = 0, bound = 0;
    for (int64_t g = 0; g < p->group; g++) {
      int64_t copy =
          (at / head_size * p->group + g) * head_size + at % head_size;
      sum += copies[copy];
      bound += copies_bound[copy] + UNIT_F32 * fabs(copies[copy]);
    }
    check_equal(name, at, shared[at], shared_bound[at], sum, bound);
  }
}

static void test_groups_are_repeated_heads(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_case c = draw_f32((call_mask)(round % CALL_MASKS), 1e6);
    call_case copies = make_repeated(&c);
    const attention_problem *p = &c.exact.problem;
    pfl_context *context = draw_context();
    call_case *cases_of[] = {&c, &copies};
    call_gradients bounds[2];
    for (int i = 0; i < 2; i++) {
      call_forward(cases_of[i], context);
      call_backward(cases_of[i], context);
      case_forward(&cases_of[i]->exact);
      bounds[i] = call_backward_bounds(cases_of[i], false);
    }
    check_bits("o", c.o, copies.o, c.rows * p->Dv, sizeof(float));
    check_bits("lse", c.lse, copies.lse, c.rows, sizeof(float));
    check_bits("dq", c.dq, copies.dq, c.rows * p->D, sizeof(float));
    check_sums("dk", c.dk, bounds[0].dk, copies.dk, bounds[1].dk, p, p->D);
    check_sums("dv", c.dv, bounds[0].dv, copies.dv, bounds[1].dv, p, p->Dv);
    for (int i = 0; i < 2; i++) call_gradients_free(&bounds[i]);
    case_free(&copies.exact);
    call_free(&c);
  }
}

/* Each batch entry and key-value head alone, bit by bit; dsinks are sums over
 * the batch. */
static void test_batch_and_heads_are_independent(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    call_case c = call_random(round % 4, 1e6);
    const attention_problem *p = &c.exact.problem;
    size_t size = pfl_dtype_size(p->dtype);
    pfl_context *context = draw_context();
    call_forward(&c, context);
    call_backward(&c, context);
    int64_t b = check_between(0, p->B - 1), h = check_between(0, p->Hkv - 1);
    slice s = slice_all(p);
    s.batch = (attention_range){b, b + 1};
    s.heads = (attention_range){h, h + 1};
    call_case part = make_slice(&c, s, c.exact.attention.scoring);
    call_forward(&part, context);
    call_backward(&part, context);
    int64_t row = (b * p->Hq + h * p->group) * p->Sq;
    int64_t key = (b * p->Hkv + h) * p->Sk;
    check_bits("o", (char *)c.o + (size_t)(row * p->Dv) * size, part.o,
               part.rows * p->Dv, size);
    check_bits("lse", c.lse + row, part.lse, part.rows, sizeof(float));
    check_bits("dq", (char *)c.dq + (size_t)(row * p->D) * size, part.dq,
               part.rows * p->D, size);
    check_bits("dk", (char *)c.dk + (size_t)(key * p->D) * size, part.dk,
               part.keys * p->D, size);
    check_bits("dv", (char *)c.dv + (size_t)(key * p->Dv) * size, part.dv,
               part.keys * p->Dv, size);
    case_free(&part.exact);
    call_free(&c);
  }
}

/* ---- Decode ------------------------------------------------------------- */

/* Decode of a full cache is causal forward of its last T positions. */
static void test_decode_is_the_end_of_forward(void) {
  int cases = check_cases(40);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(0);
    options.full = true;
    options.call.dtype = PFL_DTYPE_F32;
    decode_case d = decode_make(decode_draw(&options, 2e6, 700), &options);
    const attention_decode_problem *p = &d.problem;
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = p->B,
                       .q_heads = p->Hq,
                       .kv_heads = p->Hkv,
                       .q_length = p->T,
                       .kv_length = p->Smax,
                       .head_dim = p->D,
                       .v_head_dim = p->Dv,
                       .scoring = d.decode.scoring};
    a.scoring.causal = 1;
    call_case c = {.exact = case_of(a, d.sinks ? CASE_SINKS : 0)};
    size_t size = sizeof(double);
    memcpy(c.exact.q, d.exact_q, (size_t)(d.rows * p->D) * size);
    memcpy(c.exact.k, d.exact_k, (size_t)(d.tokens * p->D) * size);
    memcpy(c.exact.v, d.exact_v, (size_t)(d.tokens * p->Dv) * size);
    if (d.sinks) memcpy(c.exact.sinks, d.exact_sinks, (size_t)p->Hq * size);
    call_make_tensors(&c);
    outcome forward = run_forward(&c);
    decode_call(&d, draw_context());
    outcome decoded = {reference_widen(d.o, PFL_DTYPE_F32, d.rows * p->Dv),
                       reference_widen(d.lse, PFL_DTYPE_F32, d.rows),
                       call_zeros(d.rows * p->Dv), call_zeros(d.rows)};
    decode_bounds(&d, false, decoded.o_bound, decoded.lse_bound);
    for (int64_t row = 0; row < d.rows; row++)
      check_equal_rows(&decoded, row, &forward, row, p->Dv);
    outcome_free(&forward);
    outcome_free(&decoded);
    case_free(&c.exact);
    decode_free(&d);
  }
}

/* ---- Threads ------------------------------------------------------------ */

static const int thread_counts[] = {1, 2, 3, 5, 8};

/* Bit by bit the same for every number of threads. Backward takes whole heads
 * or splits them as the heads divide among the threads: one key-value head, as
 * in every third case, is split for any but one thread. */
static void test_threads_change_no_bit(void) {
  int cases = check_cases(60);
  for (int round = 0; round < cases; round++) {
    call_options options = call_random_options(round);
    pfl_attention a = call_draw_attention(&options, 2e6);
    if (round % 3 == 0) a.batch = a.kv_heads = 1;
    call_case first = call_make(a, &options), c = first;
    const attention_problem *p = &c.exact.problem;
    size_t size = pfl_dtype_size(p->dtype);
    pfl_isa isa = draw_isa();
    for (int i = 0; i < COUNT(thread_counts); i++) {
      if (i > 0) call_make_tensors(&c);
      call_forward(&c, call_context(isa, thread_counts[i]));
      call_backward(&c, call_context(isa, thread_counts[i]));
      if (i == 0) first = c;
      check_bits("o", first.o, c.o, c.rows * p->Dv, size);
      check_bits("lse", first.lse, c.lse, c.rows, sizeof(float));
      check_bits("dq", first.dq, c.dq, c.rows * p->D, size);
      check_bits("dk", first.dk, c.dk, c.keys * p->D, size);
      check_bits("dv", first.dv, c.dv, c.keys * p->Dv, size);
      if (c.sinks)
        check_bits("dsinks", first.dsinks, c.dsinks, p->Hq, sizeof(float));
    }
    call_free(&c);
  }
}

static void test_threads_change_no_bit_of_decode(void) {
  int cases = check_cases(60);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    decode_case c = decode_make(decode_draw(&options, 2e6, 3000), &options);
    const attention_decode_problem *p = &c.problem;
    size_t size = pfl_dtype_size(p->dtype);
    void *o = c.o;
    float *lse = c.lse;
    pfl_isa isa = draw_isa();
    for (int i = 0; i < COUNT(thread_counts); i++) {
      if (i > 0) {
        c.o = guarded_allocate(c.rows * p->Dv, size);
        c.lse = guarded_allocate(c.rows, sizeof *lse);
      }
      decode_call(&c, call_context(isa, thread_counts[i]));
      check_bits("o", o, c.o, c.rows * p->Dv, size);
      check_bits("lse", lse, c.lse, c.rows, sizeof *lse);
    }
    decode_free(&c);
  }
}

int main(void) {
  int failed = CHECK_RUN(
      test_order_of_keys, test_shifted_scores, test_split_keys_merge,
      test_masks_by_rows_alone, test_causal_is_a_window,
      test_groups_are_repeated_heads, test_batch_and_heads_are_independent,
      test_decode_is_the_end_of_forward, test_threads_change_no_bit,
      test_threads_change_no_bit_of_decode);
  call_contexts_destroy();
  return failed;
}

/* What the tests of src/attention share: a status expected, the mask as the
 * public header words it, random problems with fp64 tensors. */
#ifndef PFL_TESTS_ATTENTION_CASE_H
#define PFL_TESTS_ATTENTION_CASE_H

#include "attention/reference.h"
#include "check.h"

/* `status`, with `message` in its message (OK has none, and `message` then says
 * what was done). */
static inline void case_expect(pfl_status got, const pfl_error *error,
                               pfl_status status, const char *message) {
  CHECK(got == status, "%s where %s was due: %s", pfl_status_name(got),
        pfl_status_name(status), message);
  if (got == PFL_STATUS_OK) return;
  CHECK(error->status == got, "the error says %d", (int)error->status);
  CHECK(strstr(error->message, message), "\"%s\" has no \"%s\"", error->message,
        message);
}

/* Whether pallas_flash/attention.h says that a query at `position` sees `key`,
 * segments apart. */
static inline bool case_sees(const pfl_scoring *scoring, int64_t position,
                             int64_t key) {
  if (scoring->causal && key > position) return false;
  if (!scoring->windowed) return true;
  if (scoring->window_left >= 0 && key < position - scoring->window_left)
    return false;
  return scoring->window_right < 0 || key <= position + scoring->window_right;
}

/* What a case has; any of these together. */
enum {
  CASE_CAUSAL = 1,
  CASE_WINDOW = 2,
  CASE_SOFTCAP = 4,
  CASE_SEGMENTS = 8,
  CASE_SINKS = 16,
  CASE_ALL = 31,
  CASE_D_LSE = 32, /* of backward alone */
};

/* Tensors as reference.h takes them; sinks, d_lse and ids are NULL if the case
 * has none. Inputs are multiples of 2^-20 in [-1, 1]. */
typedef struct attention_case {
  pfl_attention attention;
  attention_problem problem;
  double *q, *k, *v, *d_o, *d_lse, *sinks;
  int32_t *q_segment_ids, *kv_segment_ids;
  double *o, *lse, *dq, *dk, *dv, *dsinks;
} attention_case;

static inline void *case_allocate(int64_t count, size_t size) {
  void *array = malloc((size_t)count * size + 1);
  CHECK_NEED(array);
  return array;
}

/* Full of NaN: what is not written shows. */
static inline double *case_output(int64_t count) {
  double *array = case_allocate(count, sizeof *array);
  for (int64_t i = 0; i < count; i++) array[i] = NAN;
  return array;
}

static inline double *case_input(int64_t count) {
  double *array = case_allocate(count, sizeof *array);
  for (int64_t i = 0; i < count; i++)
    array[i] = (double)check_between(-(1 << 20), 1 << 20) * 0x1p-20;
  return array;
}

static inline int32_t *case_ids(int64_t count) {
  int32_t *ids = case_allocate(count, sizeof *ids);
  for (int64_t i = 0; i < count; i++) ids[i] = (int32_t)check_between(0, 2);
  return ids;
}

/* |scale| is in 1/4 .. 1 and softcap in 1 .. 2, so that every feature shows. */
static inline pfl_attention case_attention(unsigned kinds) {
  int64_t kv_heads = check_between(1, 2);
  double sign = check_between(0, 1) ? 1 : -1;
  pfl_scoring scoring = {.scale = sign * (0.25 + 0.75 * check_uniform())};
  if (kinds & CASE_SOFTCAP) scoring.softcap = 1 + check_uniform();
  if (kinds & CASE_CAUSAL) scoring.causal = 1;
  if (kinds & CASE_WINDOW) {
    scoring.windowed = 1;
    scoring.window_left = check_between(-1, 3);
    scoring.window_right = check_between(-1, 3);
  }
  return (pfl_attention){.struct_size = sizeof(pfl_attention),
                         .batch = check_between(1, 2),
                         .q_heads = kv_heads * check_between(1, 3),
                         .kv_heads = kv_heads,
                         .q_length = check_between(1, 6),
                         .kv_length = check_between(0, 7),
                         .head_dim = check_between(1, 10),
                         .v_head_dim = check_between(1, 5),
                         .scoring = scoring};
}

static inline attention_case case_of(pfl_attention attention, unsigned kinds) {
  attention_case c = {.attention = attention};
  CHECK_NEED(!attention_problem_init(&attention, &c.problem, NULL));
  const attention_problem *p = &c.problem;
  int64_t rows = p->B * p->Hq * p->Sq, keys = p->B * p->Hkv * p->Sk;
  c.q = case_input(rows * p->D);
  c.k = case_input(keys * p->D);
  c.v = case_input(keys * p->Dv);
  c.d_o = case_input(rows * p->Dv);
  c.sinks = kinds & CASE_SINKS ? case_input(p->Hq) : NULL;
  c.d_lse = kinds & CASE_D_LSE ? case_input(rows) : NULL;
  if (kinds & CASE_SEGMENTS) {
    c.q_segment_ids = case_ids(p->B * p->Sq);
    c.kv_segment_ids = case_ids(p->B * p->Sk);
  }
  c.o = case_output(rows * p->Dv);
  c.lse = case_output(rows);
  c.dq = case_output(rows * p->D);
  c.dk = case_output(keys * p->D);
  c.dv = case_output(keys * p->Dv);
  c.dsinks = case_output(p->Hq);
  return c;
}

static inline attention_case case_random(unsigned kinds) {
  return case_of(case_attention(kinds), kinds);
}

static inline void case_free(attention_case *c) {
  void *arrays[] = {c->q,     c->k,     c->v,   c->d_o,
                    c->sinks, c->o,     c->lse, c->q_segment_ids,
                    c->dq,    c->dk,    c->dv,  c->kv_segment_ids,
                    c->d_lse, c->dsinks};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
}

/* Writes o and lse. */
static inline void case_forward(const attention_case *c) {
  CHECK_NEED(reference_forward(
      &c->problem,
      &(reference_forward_args){c->q, c->k, c->v, c->sinks, c->q_segment_ids,
                                c->kv_segment_ids, c->o, c->lse}));
}

/* Writes dq, dk, dv, dsinks. */
static inline void case_backward(const attention_case *c) {
  CHECK_NEED(reference_backward(
      &c->problem,
      &(reference_backward_args){c->q, c->k, c->v, c->d_o, c->sinks,
                                 c->q_segment_ids, c->kv_segment_ids, c->dq,
                                 c->dk, c->dv, c->dsinks, c->d_lse}));
}

/* Whether query i of sequence b sees key j. */
static inline bool case_row_sees(const attention_case *c, int64_t b, int64_t i,
                                 int64_t j) {
  const attention_problem *p = &c->problem;
  if (c->q_segment_ids &&
      c->q_segment_ids[b * p->Sq + i] != c->kv_segment_ids[b * p->Sk + j])
    return false;
  return case_sees(&c->attention.scoring, i + p->Sk - p->Sq, j);
}

/* Every element within `tolerance`; infinities alike; no NaN. */
static inline void case_compare(const char *name, const double *got,
                                const double *want, int64_t count,
                                double tolerance) {
  for (int64_t i = 0; i < count; i++)
    CHECK(got[i] == want[i] || fabs(got[i] - want[i]) <= tolerance,
          "%s[%lld] is %.17g, not %.17g: %.3g apart, at most %.3g allowed",
          name, (long long)i, got[i], want[i], fabs(got[i] - want[i]),
          tolerance);
}

/* How far o and lse of a case may be from the exact ones, scores being at most
 * `score` in magnitude and values 1: a score is off by (D + 5) eps of its size
 * (the dot product, scale, softcap), which the exponential doubles for p; sums
 * over the keys add 2 (Sk + 4) eps; lse is of the scores' size. */
static inline double case_tolerance(const attention_problem *p, double score) {
  double terms = 2 * (double)(p->D + 5) * (1 + score) + 2 * (double)(p->Sk + 4);
  return terms * 0x1p-52;
}

#endif

/* The obvious attention in fp64. A row first lists the keys it sees; after that
 * nothing knows of windows, segments or pages. */
#include "attention/reference.h"

#include <math.h>
#include <stdlib.h>

#include "base/dtype.h"

/* What all rows share. Slot n is the n-th vector of k and of v, whatever their
 * shape. */
typedef struct reference_tensors {
  int64_t D, Dv;
  double scale, softcap;
  const double *k, *v;
} reference_tensors;

/* One query of one head. */
typedef struct reference_row {
  const double *q, *sink; /* sink: NULL if there are none */
  int64_t count;  /* keys it sees; the arrays below have an entry for each */
  int64_t *slots; /* the key's */
  double *p;      /* its probability */
  double *slope;  /* d score / d (scale q k): 1 without softcap */
  double *dp;     /* the gradient of p */
  double lse, sink_p;
} reference_row;

/* Room for `keys` keys. */
static bool row_allocate(reference_row *row, int64_t keys) {
  size_t count = (size_t)base_max(1, keys);
  row->slots = malloc(count * sizeof *row->slots);
  row->p = malloc(3 * count * sizeof *row->p);
  if (!row->slots || !row->p) {
    free(row->slots);
    free(row->p);
    return false;
  }
  row->slope = row->p + count;
  row->dp = row->slope + count;
  return true;
}

static void row_free(reference_row *row) {
  free(row->slots);
  free(row->p);
}

/* In lanes, so that the compiler may use vectors without reordering a sum. */
static double dot(const double *a, const double *b, int64_t count) {
  enum { LANES = 8 };
  double lanes[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    for (int lane = 0; lane < LANES; lane++)
      lanes[lane] += a[i + lane] * b[i + lane];
  for (; i < count; i++) sum += a[i] * b[i];
  for (int lane = 0; lane < LANES; lane++) sum += lanes[lane];
  return sum;
}

/* y += factor x */
static void add(double *restrict y, double factor, const double *restrict x,
                int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] += factor * x[i];
}

static void clear(double *array, int64_t count) {
  for (int64_t i = 0; array && i < count; i++) array[i] = 0;
}

static double *at(double *array, int64_t index) {
  return array ? array + index : NULL;
}

/* Puts the scores into p and gives the largest, the sink's included. */
static double score(const reference_tensors *t, reference_row *row) {
  double max = row->sink ? *row->sink : -INFINITY;
  for (int64_t n = 0; n < row->count; n++) {
    double s = t->scale * dot(row->q, t->k + row->slots[n] * t->D, t->D);
    row->slope[n] = 1;
    if (t->softcap > 0) {
      double tangent = tanh(s / t->softcap);
      s = t->softcap * tangent;
      row->slope[n] = 1 - tangent * tangent;
    }
    row->p[n] = s;
    if (s > max) max = s; /* passes over a NaN, which stays in p */
  }
  return max;
}

/* P = softmax(S), the sink in the denominator. A row without keys has none. */
static void softmax(const reference_tensors *t, reference_row *row) {
  row->sink_p = 0;
  row->lse = -INFINITY;
  if (!row->count) return;
  double max = score(t, row);
  if (row->sink) row->sink_p = exp(*row->sink - max);
  double sum = row->sink_p;
  for (int64_t n = 0; n < row->count; n++)
    sum += row->p[n] = exp(row->p[n] - max);
  for (int64_t n = 0; n < row->count; n++) row->p[n] /= sum;
  row->sink_p /= sum;
  row->lse = max + log(sum);
}

/* O = P V */
static void forward_row(const reference_tensors *t, reference_row *row,
                        double *out_o, double *out_lse) {
  softmax(t, row);
  if (out_lse) *out_lse = row->lse;
  if (!out_o) return;
  clear(out_o, t->Dv);
  for (int64_t n = 0; n < row->count; n++)
    add(out_o, row->p[n], t->v + row->slots[n] * t->Dv, t->Dv);
}

/* The keys that query i of head bh, of the B * Hq, sees. */
static void list_keys(const attention_problem *problem, int64_t bh, int64_t i,
                      const int32_t *q_ids, const int32_t *kv_ids,
                      reference_row *row) {
  int64_t b = bh / problem->Hq, Sq = problem->Sq, Sk = problem->Sk;
  int64_t first_slot = bh / problem->group * Sk;
  attention_range keys =
      attention_visible_keys(problem->window, i + problem->offset, Sk);
  row->count = 0;
  for (int64_t j = keys.begin; j < keys.end; j++)
    if (!q_ids || !kv_ids || q_ids[b * Sq + i] == kv_ids[b * Sk + j])
      row->slots[row->count++] = first_slot + j;
}

bool reference_forward(const attention_problem *problem,
                       const reference_forward_args *args) {
  const attention_problem *p = problem;
  reference_tensors t = {p->D, p->Dv, p->scale, p->softcap, args->k, args->v};
  reference_row row = {0};
  if (!row_allocate(&row, p->Sk)) return false;
  for (int64_t bh = 0; bh < p->B * p->Hq; bh++) {
    row.sink = args->sinks ? args->sinks + bh % p->Hq : NULL;
    for (int64_t i = 0; i < p->Sq; i++) {
      int64_t index = bh * p->Sq + i;
      row.q = args->q + index * p->D;
      list_keys(p, bh, i, args->q_segment_ids, args->kv_segment_ids, &row);
      forward_row(&t, &row, at(args->out_o, index * p->Dv),
                  at(args->out_lse, index));
    }
  }
  row_free(&row);
  return true;
}

/* dV = P^T dO, dP = dO V^T, dS = P * (dP - rowsum(P * dP)), dQ = dS K,
 * dK = dS^T Q; the sink's dP is 0, since it has no value. As dLSE/dS is P, dLSE
 * is added to all dP. */
static void backward_row(const reference_tensors *t, reference_row *row,
                         const double *d_o, double d_lse, double *dq,
                         double *dk, double *dv, double *dsink) {
  softmax(t, row);
  double delta = -d_lse;
  for (int64_t n = 0; n < row->count; n++) {
    row->dp[n] = dot(d_o, t->v + row->slots[n] * t->Dv, t->Dv);
    delta += row->p[n] * row->dp[n];
  }
  for (int64_t n = 0; n < row->count; n++) {
    int64_t slot = row->slots[n];
    double ds = row->p[n] * (row->dp[n] - delta) * row->slope[n] * t->scale;
    if (dq) add(dq, ds, t->k + slot * t->D, t->D);
    if (dk) add(dk + slot * t->D, ds, row->q, t->D);
    if (dv) add(dv + slot * t->Dv, row->p[n], d_o, t->Dv);
  }
  if (dsink) *dsink -= row->sink_p * delta;
}

bool reference_backward(const attention_problem *problem,
                        const reference_backward_args *args) {
  const attention_problem *p = problem;
  reference_tensors t = {p->D, p->Dv, p->scale, p->softcap, args->k, args->v};
  reference_row row = {0};
  if (!row_allocate(&row, p->Sk)) return false;
  clear(args->out_dq, p->B * p->Hq * p->Sq * p->D);
  clear(args->out_dk, p->B * p->Hkv * p->Sk * p->D);
  clear(args->out_dv, p->B * p->Hkv * p->Sk * p->Dv);
  clear(args->out_dsinks, p->Hq);
  for (int64_t bh = 0; bh < p->B * p->Hq; bh++) {
    row.sink = args->sinks ? args->sinks + bh % p->Hq : NULL;
    for (int64_t i = 0; i < p->Sq; i++) {
      int64_t index = bh * p->Sq + i;
      row.q = args->q + index * p->D;
      list_keys(p, bh, i, args->q_segment_ids, args->kv_segment_ids, &row);
      backward_row(&t, &row, args->d_o + index * p->Dv,
                   args->d_lse ? args->d_lse[index] : 0,
                   at(args->out_dq, index * p->D), args->out_dk, args->out_dv,
                   at(args->out_dsinks, bh % p->Hq));
    }
  }
  row_free(&row);
  return true;
}

/* The keys that query i of head bh, of the B * Hq, sees in the cache. */
static void list_cache_keys(const attention_decode_problem *problem, int64_t bh,
                            int64_t i, const int32_t *lengths,
                            const int32_t *block_table, reference_row *row) {
  const attention_decode_problem *p = problem;
  int64_t b = bh / p->Hq, kv_head = bh % p->Hq / p->group;
  int64_t length = lengths ? lengths[b] : p->Smax;
  attention_range keys =
      attention_visible_keys(p->window, length - p->T + i, length);
  row->count = 0;
  for (int64_t j = keys.begin; j < keys.end; j++) {
    int64_t block = b, block_length = p->Smax;
    if (p->paged) {
      block_length = p->page_length;
      block = block_table[b * p->pages_per_sequence + j / block_length];
    }
    row->slots[row->count++] =
        (block * p->Hkv + kv_head) * block_length + j % block_length;
  }
}

bool reference_decode(const attention_decode_problem *problem,
                      const reference_decode_args *args) {
  const attention_decode_problem *p = problem;
  reference_tensors t = {p->D, p->Dv, p->scale, p->softcap, args->k, args->v};
  reference_row row = {0};
  if (!row_allocate(&row, p->Smax)) return false;
  for (int64_t bh = 0; bh < p->B * p->Hq; bh++) {
    row.sink = args->sinks ? args->sinks + bh % p->Hq : NULL;
    for (int64_t i = 0; i < p->T; i++) {
      int64_t index = bh * p->T + i;
      row.q = args->q + index * p->D;
      list_cache_keys(p, bh, i, args->lengths, args->block_table, &row);
      forward_row(&t, &row, at(args->out_o, index * p->Dv),
                  at(args->out_lse, index));
    }
  }
  row_free(&row);
  return true;
}

double *reference_widen(const void *array, pfl_dtype dtype, int64_t count) {
  double *wide = malloc((size_t)base_max(1, count) * sizeof *wide);
  for (int64_t i = 0; wide && i < count; i++)
    wide[i] = base_element_get(array, dtype, i);
  return wide;
}

/* How far a result of the CPU kernels may be from the exact one, derived in
 * docs/numerics.md from the arithmetic alone and computed from a call's own
 * data, element by element. The bounds are for the f32 number before it is
 * rounded to the tensor's dtype; call_compare (call_case.h) sees to that. */
#ifndef PFL_TESTS_CALL_BOUND_H
#define PFL_TESTS_CALL_BOUND_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Half the distance from 1 to the next number: f32 24 bits, bf16 8 bits. */
#define UNIT_F32 0x1p-24
#define UNIT_BF16 0x1p-8

/* What a weight or a term may lose by being below the normal numbers of f32,
 * 2^-126, times what it is multiplied by, which is below 2^16. */
#define UNDERFLOW_F32 0x1p-110

/* A call's sizes and arithmetic. */
typedef struct bound_call {
  int64_t D, Dv;
  double scale, softcap;
  bool pairs;          /* P and dS are rounded to bf16 for their products */
  int64_t query_terms; /* terms in the sums of dK and dV */
  double q_rounding;   /* of q's numbers, a share of their row's largest */
  double end; /* roundings of f32 in a row's end, which double has none of */
} bound_call;

/* A query row and the keys it sees: slot n is row slots[n] of k and of v. */
typedef struct bound_row {
  const double *q, *k, *v, *sink; /* sink: NULL if there is none */
  const int64_t *slots;
  int64_t count;
  double *score, *error; /* [count] each, room */
} bound_row;

/* Scores of a row into row->score, their errors (absolute, in natural units)
 * into row->error; gives the largest score. */
static inline double bound_scores(const bound_call *c, const bound_row *row) {
  double most = -INFINITY;
  for (int64_t n = 0; n < row->count; n++) {
    const double *k = row->k + row->slots[n] * c->D;
    double dot = 0, size = 0, keys = 0, largest = 0;
    for (int64_t d = 0; d < c->D; d++) {
      dot += row->q[d] * k[d];
      size += fabs(row->q[d] * k[d]);
      keys += fabs(k[d]);
      largest = fmax(largest, fabs(row->q[d]));
    }
    double s = c->scale * dot;
    double error = fabs(c->scale) * (size * (double)(c->D + 6) * UNIT_F32 +
                                     largest * c->q_rounding * keys);
    if (c->softcap > 0) {
      s = c->softcap * tanh(s / c->softcap);
      error += 10 * fabs(s) * UNIT_F32;
    }
    row->score[n] = s;
    row->error[n] = error + UNDERFLOW_F32;
    if (s > most) most = s;
  }
  return most;
}

/* Bounds of a row of O and of its LSE, given both exactly. */
static inline void bound_forward(const bound_call *c, const bound_row *row,
                                 const double *o, double lse, double *out_o,
                                 double *out_lse) {
  double most = bound_scores(c, row);
  double rescales = (double)(row->count / 64 + 2);
  double sums = ((double)row->count + rescales + 4) * UNIT_F32;
  double sink = row->sink ? exp(*row->sink - lse) : 0;
  double end = c->end * UNIT_F32;
  double sink_factor = exp(row->sink ? end * fabs(*row->sink) : 0);
  double least_sum = sink / sink_factor, most_sum = sink * sink_factor;
  for (int64_t d = 0; d < c->Dv; d++)
    out_o[d] = sink * (sink_factor - 1) * fabs(o[d]);
  *out_lse = 0;
  if (row->count == 0) {
    for (int64_t d = 0; d < c->Dv; d++) out_o[d] = 0;
    return;
  }
  for (int64_t n = 0; n < row->count; n++) {
    double p = exp(row->score[n] - lse);
    double exponent = row->error[n] + UNIT_F32 * (most - row->score[n]) +
                      (6 + 5 * rescales) * UNIT_F32;
    double factor = exp(exponent);
    least_sum += p / factor;
    most_sum += p * factor;
    double change = p * (factor - 1) + UNDERFLOW_F32;
    double relative =
        2 * sums + 2 * end + 3 * UNIT_F32 + (c->pairs ? UNIT_BF16 : 0);
    const double *v = row->v + row->slots[n] * c->Dv;
    for (int64_t d = 0; d < c->Dv; d++)
      out_o[d] +=
          change * fabs(v[d] - o[d]) + relative * p * factor * fabs(v[d]);
  }
  for (int64_t d = 0; d < c->Dv; d++)
    out_o[d] = out_o[d] / least_sum + UNDERFLOW_F32;
  *out_lse = fmax(log(most_sum), -log(least_sum)) + sums + 4 * UNIT_F32 +
             end * (fabs(lse) + log((double)row->count + 1));
}

/* What backward was given for a row and what is exact. */
typedef struct bound_gradient {
  const double *d_o, *o, *given_o;
  double lse, given_lse, d_lse;
} bound_gradient;

/* Sum of |a| |b|. */
static inline double bound_sizes(const double *a, const double *b,
                                 int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += fabs(a[i] * b[i]);
  return sum;
}

static inline double bound_dot(const double *a, const double *b,
                               int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

/* Adds what a row brings to the bounds of dq (its own row), dk, dv (whole
 * tensors) and dsink. */
static inline void bound_backward(const bound_call *c, const bound_row *row,
                                  const bound_gradient *g, double *dq,
                                  double *dk, double *dv, double *dsink) {
  double dots = (double)(c->Dv + 3) * UNIT_F32;
  double narrowing = c->pairs ? UNIT_BF16 : 0;
  double key_sums = narrowing + (double)(row->count + 4) * UNIT_F32;
  double query_sums = narrowing + (double)(c->query_terms + 4) * UNIT_F32;
  double lse_error = fabs(g->given_lse - g->lse);
  double delta = bound_dot(g->d_o, g->o, c->Dv) - g->d_lse;
  double delta_error = dots * bound_sizes(g->d_o, g->given_o, c->Dv) +
                       UNIT_F32 * (fabs(g->d_lse) + fabs(delta));
  if (row->count == 0) return;
  for (int64_t d = 0; d < c->Dv; d++)
    delta_error += fabs(g->d_o[d] * (g->given_o[d] - g->o[d]));
  bound_scores(c, row);
  for (int64_t n = 0; n < row->count; n++) {
    const double *k = row->k + row->slots[n] * c->D;
    const double *v = row->v + row->slots[n] * c->Dv;
    double s = row->score[n], p = exp(s - g->lse) + UNDERFLOW_F32;
    double factor = exp(row->error[n] + lse_error +
                        (fabs(s - g->lse) + fabs(g->given_lse) + 6) * UNIT_F32);
    double change = fabs(bound_dot(g->d_o, v, c->Dv) - delta);
    double change_error =
        dots * bound_sizes(g->d_o, v, c->Dv) + delta_error + change * UNIT_F32;
    double slope = 1, slope_error = 0;
    if (c->softcap > 0) {
      double tangent = s / c->softcap;
      double off = row->error[n] / c->softcap + 3 * UNIT_F32;
      slope = 1 - tangent * tangent;
      slope_error = 2 * fabs(tangent) * off + off * off + 2 * UNIT_F32;
    }
    double ds = fabs(c->scale) * p * change * slope;
    double ds_error = fabs(c->scale) * p * factor * (1 + 5 * UNIT_F32) *
                          (change + change_error) * (slope + slope_error) -
                      ds + UNDERFLOW_F32;
    double to_query = ds_error + key_sums * (ds + ds_error);
    double to_key = ds_error + query_sums * (ds + ds_error);
    double to_value = p * (factor * (1 + query_sums) - 1) + UNDERFLOW_F32;
    for (int64_t d = 0; d < c->D; d++) {
      dq[d] += to_query * fabs(k[d]);
      dk[row->slots[n] * c->D + d] += to_key * fabs(row->q[d]);
    }
    for (int64_t d = 0; d < c->Dv; d++)
      dv[row->slots[n] * c->Dv + d] += to_value * fabs(g->d_o[d]);
  }
  if (!row->sink) return;
  double apart = fabs(g->lse - *row->sink);
  double p = exp(*row->sink - g->lse), room = fabs(delta) + delta_error;
  *dsink += p * (exp(lse_error) * room - fabs(delta) + UNIT_F32 * fabs(delta));
  if (c->end == 0) return;
  /* Sink and LSE are brought to units of log2 each for itself. */
  double roundings =
      (double)c->query_terms + 10 + fabs(g->lse) + fabs(*row->sink) + 2 * apart;
  *dsink += p * room * (exp(roundings * UNIT_F32) - 1) + UNDERFLOW_F32;
}

#endif

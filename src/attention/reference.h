/* The obvious attention: fp64, one row at a time, the scores of a row stored.
 * Everything else is held against it.
 *
 * Tensors are as in pallas_flash/attention.h, but every float one is an array
 * of double; int8 caches are given dequantised. Outputs may be NULL where they
 * are not wanted. Memory: a few rows, taken with malloc; false if there is
 * none. No checks: the problem comes from attention_problem_init. */
#ifndef PFL_ATTENTION_REFERENCE_H
#define PFL_ATTENTION_REFERENCE_H

#include "attention/problem.h"

typedef struct reference_forward_args {
  const double *q, *k, *v, *sinks; /* sinks may be NULL */
  const int32_t *q_segment_ids, *kv_segment_ids;
  double *out_o, *out_lse;
} reference_forward_args;

bool reference_forward(const attention_problem *problem,
                       const reference_forward_args *args);

/* o and lse are computed anew: they are the reference's own. */
typedef struct reference_backward_args {
  const double *q, *k, *v, *d_o, *sinks;
  const int32_t *q_segment_ids, *kv_segment_ids;
  double *out_dq, *out_dk, *out_dv, *out_dsinks;
  const double *d_lse; /* NULL: 0 */
} reference_backward_args;

bool reference_backward(const attention_problem *problem,
                        const reference_backward_args *args);

typedef struct reference_decode_args {
  const double *q, *k, *v, *sinks; /* k, v: contiguous or pages, as problem */
  const int32_t *lengths, *block_table;
  double *out_o, *out_lse;
} reference_decode_args;

bool reference_decode(const attention_decode_problem *problem,
                      const reference_decode_args *args);

/* count elements of `dtype` as double; NULL if there is no memory. The caller
 * frees it. */
double *reference_widen(const void *array, pfl_dtype dtype, int64_t count);

#endif

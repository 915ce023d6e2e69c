/* The gate before a time counts: outputs held against fp64.
 *
 * Computing all of it in fp64 would take longer than the benchmark, so a
 * stated sample is checked: of forward GATE_ROWS rows of every head, the first
 * and the last among them; of backward all of one head's gradients; of decode
 * one query head of every key-value head. The choice depends on the workload
 * only, so that every row of the report answers to the same rows.
 *
 * Tolerance. q, k, v and dO are independent normal numbers by construction, so
 * that a rounding error e made in each term of a sum over p_j v_j is expected
 * to grow like sqrt(sum p_j^2) e, not like the sum itself (Higham and Mary
 * 2019, SIAM J. Sci. Comput. 41(5): rounding errors as independent, mean 0).
 * That root is at hand: it is the root mean square of the row of O for sums
 * over keys (O, dQ), of dV for sums over queries (dK, dV). With
 *   u    unit roundoff of the row's dtype: 2^-24, bf16 2^-9, f16 2^-11,
 *   u32  2^-24, of the sums, which are in f32 whatever the dtype,
 *   n    roundings to the dtype before the sum, 1 forward (P), 3 backward
 *        (P, dS, and O in rowsum(dO * O)),
 *   D    head_dim, for the sum of a score, S the length summed over,
 *   16   for the few roundings of a score below 8 and of its exponential,
 * an element may be wrong by
 *   u max|row| + 6 rms (n u + u32 (sqrt D + sqrt S + 16)):
 * its own rounding, and six times the expected error of its sum. A sum of
 * bounded independent errors exceeds six times its expectation with a
 * probability below 2 exp(-18) = 3e-8 (Hoeffding). */
#ifndef PFL_BENCH_GATE_H
#define PFL_BENCH_GATE_H

#include "bench/tensors.h"

#define GATE_ROWS 16
#define GATE_TEXT_SIZE 80

/* Rows of one output to check, with what they should be. */
typedef struct gate_output {
  int64_t count;
  int64_t *rows;    /* [count], counted over heads and length */
  double *expected; /* [count][head_dim] */
  double *allowed;  /* [count]: the tolerance */
} gate_output;

typedef struct bench_gate {
  int64_t width; /* head_dim */
  int output_count;
  gate_output outputs[BENCH_OUTPUTS_MAX];
  char sample[GATE_TEXT_SIZE]; /* what is checked, in words */
} bench_gate;

/* Computes the expected rows with the pool's threads. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status gate_create(const bench_tensors *tensors,
                                     base_threads *threads,
                                     bench_gate *out_gate, pfl_error *error);
void gate_release(bench_gate *gate);

typedef struct gate_verdict {
  double error; /* the largest |output - expected|; NAN if one is NaN */
  double
      relative; /* the largest of |output - expected| / tolerance, likewise */
  bool passed;  /* relative <= 1 */
} gate_verdict;

/* Output i of the workload is at outputs[i], elements of `dtype`. */
gate_verdict gate_check(const bench_gate *gate, const void *const *outputs,
                        pfl_dtype dtype);

#endif

/* The inner loops of attention on a CPU, one table of functions for each
 * instruction set: portable C first, then each newer set takes over what it
 * does better (kernels_portable.c, kernels_avx2.c, ...).
 *
 * Contract of every function here: no allocation, no libc but memcpy and
 * memset, no state; safe from any thread; pointers need only their element's
 * alignment; nothing outside the stated ranges is read or written.
 *
 * Scores are worked on transposed. A panel is up to 64 query rows; the scores
 * of a block of keys against it are S^T [keys][64], a row for each key, so that
 * a vector holds 16 (or 8) queries: the running maximum, the sum and LSE are
 * then vectors too, nothing is ever reduced across a vector, and K and V are
 * read in the layout they have. Scores are in units of log2, so that exp2
 * gives the weights. */
#ifndef PFL_CPU_KERNELS_H
#define PFL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"

/* Query rows of a panel, whatever the vector's width. */
#define CPU_PANEL 64

/* Padding of rows: a multiple of every vector's lanes. */
#define CPU_LANES_MAX 16

/* A 4-byte element of an operand: an f32, or two bf16 of a tensor that need not
 * be aligned to 4. */
typedef float __attribute__((may_alias, aligned(1))) cpu_element;
typedef uint32_t __attribute__((may_alias, aligned(1))) cpu_word;

/* C [m][n]: C = rescale C + alpha A B, summed over p of 0 .. k - 1, where
 *   A(i, p) = a[i * a_row + p * a_step],  B(p, j) = b[p * b_row + j],
 *   C(i, j) = c[i * c_row + j], and C counts as 0 unless keep is set.
 * n is a multiple of CPU_LANES_MAX. Elements of A and B are 4 bytes: f32, or
 * two bf16 that lie beside each other in k. */
typedef struct cpu_product {
  int64_t m, n, k;
  const void *a;
  int64_t a_row, a_step;
  const void *b;
  int64_t b_row;
  float *c;
  int64_t c_row;
  float alpha;
  bool keep;
  const float *rescale; /* [n], with keep only; NULL: 1 */
} cpu_product;

/* One step of the online softmax on S^T [keys][64], in place:
 *   m' = max(m, max over keys), p = exp2(s - m'), rescale = exp2(m - m'),
 *   l' = l rescale + sum of p.
 * A key that a query does not see has s = -inf; m is finite from the start. */
typedef struct cpu_softmax {
  float *scores;
  int64_t keys;
  float *m, *l, *rescale; /* [64] each */
} cpu_softmax;

/* From S^T and dP^T [keys][64], in place, the weights and their gradient:
 *   P = exp2(S - lse),  dS = P (dP - delta) (1 - (S inv_cap)^2) scale.
 * Products in bf16 want, instead of f32, rows of 64 bf16 in the place of P and
 * dS (row stride 32 words), and dS once more with keys paired: word [j][i] of
 * ds_pairs holds dS of keys 2j and 2j + 1 (0 if there is none). */
typedef struct cpu_gradient {
  float *scores, *d_weights;
  uint32_t *ds_pairs; /* [ceil(keys / 2)][64]; bf16 only */
  int64_t keys;
  const float *lse, *delta; /* [64]; lse in log2 units, +inf for empty rows */
  float inv_cap;            /* 1 / (softcap log2 e); 0: no softcap */
  float scale;
} cpu_gradient;

/* Rows of a cache against a few query rows.
 *   scores:     s[r * s_row + j] = alpha q[r] . x[j]
 *   accumulate: acc[r * acc_row + d] += sum over j of s[r * s_row + j] x[j][d]
 * q and acc rows are f32, padded with zeros to a multiple of CPU_LANES_MAX, and
 * where x is bf16, q holds bf16 values; x row j is at x + j * width elements of
 * its own dtype. */
typedef struct cpu_rows {
  const void *x;
  const void *ahead; /* prefetched in step with x, and never read: what comes
                        STREAM_AHEAD bytes or so later; NULL: nothing */
  int64_t rows, width;
  float *q_or_acc;
  int64_t q_rows, q_row;
  float *s;
  int64_t s_row;
  float alpha;
} cpu_rows;

/* The dtypes that a cache, and any other tensor, may come in. X(NAME, name). */
#define CPU_DTYPES(X) X(F32, f32) X(BF16, bf16) X(F16, f16) X(I8, i8)

typedef struct cpu_kernels {
  pfl_isa isa;
  int64_t key_block; /* keys of a block, a multiple of 2 */
  void (*product_f32)(const cpu_product *);
  void (*product_bf16)(
      const cpu_product *); /* NULL: bf16 is widened to f32,
                               and the other _bf16 are unused */
  /* out[c * out_row + r] = in[r * in_row + c] */
  void (*transpose)(cpu_word *out, int64_t out_row, const cpu_word *in,
                    int64_t in_row, int64_t rows, int64_t columns);
  /* s = softcap log2e tanh(s), cap_log2 = softcap log2 e; count a multiple of
   * CPU_LANES_MAX. */
  void (*softcap)(float *s, int64_t count, float cap_log2);
  /* S^T row j, column i stays if begin[i] <= j < end[i], else it is -inf. */
  void (*mask)(float *scores, int64_t keys, const int32_t *begin,
               const int32_t *end);
  /* and if key_ids[j] == ids[i]. */
  void (*mask_segments)(float *scores, int64_t keys, const int32_t *key_ids,
                        const int32_t *ids);
  void (*softmax_f32)(const cpu_softmax *);
  void (*softmax_bf16)(const cpu_softmax *); /* P becomes bf16, keys paired:
                                                word [j][i], keys 2j, 2j + 1 */
  void (*gradient_f32)(const cpu_gradient *);
  void (*gradient_bf16)(const cpu_gradient *);
  /* out[i] holds a[i] below b[i]; b NULL: zeros. */
  void (*interleave)(uint32_t *out, const uint16_t *a, const uint16_t *b,
                     int64_t count);
  void (*widen[8])(float *out, const void *in, int64_t count);  /* by dtype */
  void (*narrow[8])(void *out, const float *in, int64_t count); /* by dtype */
  float (*dot)(const float *a, const float *b, int64_t count);
  /* x[i] = exp2(x[i] - m'); returns the sum; count a multiple of
   * CPU_LANES_MAX. *m becomes m' = max(*m, max x). */
  float (*softmax_row)(float *x, int64_t count, float *m);
  void (*scores[8])(const cpu_rows *);     /* by dtype of x */
  void (*accumulate[8])(const cpu_rows *); /* by dtype of x */
} cpu_kernels;

/* The table for an instruction set this CPU has (cpu_isa_best() or older). */
cpu_kernels cpu_kernels_for(pfl_isa isa);

/* The newest set that this CPU has and this build has kernels for. */
pfl_isa cpu_isa_best(void);

/* Each takes over the functions that its set does better. */
void cpu_kernels_init_portable(cpu_kernels *kernels);
void cpu_kernels_init_avx2(cpu_kernels *kernels);
void cpu_kernels_init_avx512(cpu_kernels *kernels);
void cpu_kernels_init_avx512bf16(cpu_kernels *kernels);

#endif

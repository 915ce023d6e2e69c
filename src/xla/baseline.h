/* Attention as anybody would write it for XLA - a product, a softmax, a product
 * - in StableHLO that any PJRT plugin compiles: what a device does without a
 * kernel of its own. The whole matrix of scores is in the program, in f32; what
 * becomes of it is the compiler's affair.
 *
 * Arguments have the shapes and names of files: q [B, Hq, Sq, D], k and v
 * [B, Hkv, Sk, D] of the cache's dtype, k_scale and v_scale [B, Hkv, Sk] in f32
 * of an int8 cache, sinks [Hq] in f32; backward also o and do (of q's shape)
 * and lse [B, Hq, Sq] in f32. Results are o, or dq, dk and dv, of q's dtype. */
#ifndef PFL_XLA_BASELINE_H
#define PFL_XLA_BASELINE_H

#include <stdbool.h>

#include "base/text.h"
#include "pallas_flash/dtype.h"

#define XLA_BASELINE_TENSORS 8

/* Every query sees at least one key. */
typedef struct xla_baseline {
  bool backward;
  int64_t batch, q_heads, kv_heads, q_length, kv_length, head_dim;
  bool causal;           /* aligned to the bottom right */
  int64_t window;        /* keys that a query sees, its own included; 0: none */
  double scale, softcap; /* softcap 0: none */
  bool sinks;
  pfl_dtype dtype, cache_dtype; /* the same, or I8 of the cache */
} xla_baseline;

/* What the program takes and gives, in its order. */
typedef struct xla_baseline_names {
  const char *arguments[XLA_BASELINE_TENSORS];
  const char *results[3];
  int argument_count, result_count;
} xla_baseline_names;

void xla_baseline_name(const xla_baseline *baseline,
                       xla_baseline_names *out_names);

/* Bytes of one matrix of scores, of which a plain program may hold some. */
double xla_baseline_score_bytes(const xla_baseline *baseline);

/* INVALID_ARGUMENT: sizes that are none, or query heads that key-value heads do
 * not divide. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status xla_baseline_write(const xla_baseline *baseline,
                                            base_text *out, pfl_error *error);

#endif

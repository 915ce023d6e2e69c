/* Attention: forward, backward, decode.
 *
 *   S = scale Q K^T,   P = softmax(mask(softcap(S))),   O = P V
 *
 * by the tiled online softmax of FlashAttention-2 (Dao, 2023, arXiv 2307.08691,
 * algorithms 1 and 2) and the split-KV decode of FlashDecoding (Dao, Haziza,
 * Massa, Sizov, 2023); the score matrix is never stored.
 *
 * Tensors are dense and row-major, the last index innermost, at any address
 * that is a multiple of the element's size. Sums are kept in f32 whatever the
 * dtype.
 *
 * Where the context has chips, tensors are in this machine's memory all the
 * same: a call takes them there and back (pallas_flash/cache.h has a cache that
 * stays). Beside what each call says it can then fail with INVALID_ARGUMENT or
 * UNIMPLEMENTED: there is no kernel for the problem, of f16 for one; NOT_FOUND,
 * DEADLINE_EXCEEDED, INTERNAL: no compiler, or it does not answer, or it died;
 * and with what the device answers. Outputs are untouched then too. A problem
 * without queries or without keys needs no chip. SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_ATTENTION_H
#define PALLAS_FLASH_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"
#include "pallas_flash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Largest head_dim and v_head_dim. */
#define PFL_HEAD_DIM_MAX 512

/* How scores are made and which key a query sees. All zero is the default:
 * scale 1/sqrt(head_dim), no softcap, every query sees every key.
 *
 * Queries are the last positions: query i of Sq stands at i + Sk - Sq, so that
 * causal is aligned to the bottom right. Query position p sees key j when
 *   j <= p                                       if causal, and
 *   p - window_left <= j <= p + window_right     if windowed,
 * where -1 for a side of the window leaves that side open. */
typedef struct pfl_scoring {
  double scale;   /* finite as an f32; 0: 1/sqrt(head_dim) */
  double softcap; /* 0: none; else s becomes softcap * tanh(s / softcap), and
                     it is > 0 and normal as an f32 */
  int32_t causal; /* 0 or 1 */
  int32_t windowed; /* 0 or 1; at 0 the two widths must be 0 */
  int64_t window_left;  /* keys, >= -1 */
  int64_t window_right; /* keys, >= -1 */
} pfl_scoring;

/* One attention problem. Every length and count may be 0 except head_dim. */
typedef struct pfl_attention {
  size_t struct_size; /* sizeof(pfl_attention) */
  int64_t batch;      /* B */
  int64_t q_heads;    /* Hq, a multiple of Hkv */
  int64_t kv_heads;   /* Hkv; Hkv < Hq is GQA, Hkv = 1 MQA: query head h reads
                         key-value head h / (Hq / Hkv) */
  int64_t q_length;   /* Sq */
  int64_t kv_length;  /* Sk */
  int64_t head_dim;   /* D, 1..PFL_HEAD_DIM_MAX */
  int64_t v_head_dim; /* Dv, likewise; 0: D */
  pfl_dtype dtype;    /* of q, k, v, o and their gradients: F32, BF16 or F16;
                         DEFAULT is F32 */
  pfl_scoring scoring;
} pfl_attention;

/* Tensors of a forward call. Inputs and outputs must not overlap.
 *
 * Segment ids restrict a query to the keys of its own id; both or neither.
 * A sink is a score that a head adds to the softmax's denominator and to no
 * value (natural units, neither scaled nor capped).
 * A row that sees no key gives o = 0 and lse = -inf, with a sink or without. */
typedef struct pfl_forward_args {
  size_t struct_size; /* sizeof(pfl_forward_args) */
  const void *q;      /* [B, Hq, Sq, D] */
  const void *k;      /* [B, Hkv, Sk, D] */
  const void *v;      /* [B, Hkv, Sk, Dv] */
  const int32_t *q_segment_ids;  /* [B, Sq], or NULL */
  const int32_t *kv_segment_ids; /* [B, Sk], or NULL */
  const float *sinks;            /* [Hq], or NULL */
  void *out_o;                   /* [B, Hq, Sq, Dv] */
  float *out_lse; /* [B, Hq, Sq], natural logarithm of the softmax's
                     denominator, sink included; NULL: not wanted */
} pfl_forward_args;

/* O = attention(Q, K, V).
 * Memory beyond the tensors: O(threads * tile), kept in the context for the
 * next call; see docs/memory.md.
 * The result does not depend on the number of threads.
 * INVALID_ARGUMENT: a size, a number or a pointer that does not fit, named in
 * the message. RESOURCE_EXHAUSTED: no memory. On failure the outputs are
 * untouched. */
PFL_API PFL_NODISCARD pfl_status pfl_attention_forward(
    pfl_context *context, const pfl_attention *attention,
    const pfl_forward_args *args, pfl_error *out_error);

/* Tensors of a backward call: what forward read and wrote, the gradient of its
 * output, and where the gradients go. Inputs and outputs must not overlap. */
typedef struct pfl_backward_args {
  size_t struct_size; /* sizeof(pfl_backward_args) */
  const void *q;      /* [B, Hq, Sq, D] */
  const void *k;      /* [B, Hkv, Sk, D] */
  const void *v;      /* [B, Hkv, Sk, Dv] */
  const void *o;      /* [B, Hq, Sq, Dv], as forward gave it */
  const float *lse;   /* [B, Hq, Sq], as forward gave it */
  const void *d_o;    /* [B, Hq, Sq, Dv] */
  const int32_t *q_segment_ids;  /* as given to forward */
  const int32_t *kv_segment_ids; /* as given to forward */
  const float *sinks;            /* as given to forward */
  void *out_dq;      /* [B, Hq, Sq, D] */
  void *out_dk;      /* [B, Hkv, Sk, D], summed over the query heads that share it */
  void *out_dv;      /* [B, Hkv, Sk, Dv], likewise */
  float *out_dsinks; /* [Hq], summed over batch and rows; NULL: not wanted, and
                        NULL it must be without sinks */
  const float *d_lse; /* [B, Hq, Sq], the gradient of out_lse, as those need it
                         who merge parts by their lse; NULL: all 0. That of a
                         row that sees no key is not looked at */
} pfl_backward_args;

/* (dQ, dK, dV, dsinks) = gradient of sum(O * dO) + sum(lse * dlse), P
 * recomputed from lse (FlashAttention-2, algorithm 2; dlse is taken from its D).
 * Bit for bit the same for every number of threads. Memory as docs/memory.md
 * states. Errors as forward's. */
PFL_API PFL_NODISCARD pfl_status pfl_attention_backward(
    pfl_context *context, const pfl_attention *attention,
    const pfl_backward_args *args, pfl_error *out_error);

/* One decode problem: T new positions a sequence against a cache that already
 * holds them. The cache is contiguous (cache_length > 0) or paged
 * (page_length > 0), never both. */
typedef struct pfl_decode {
  size_t struct_size; /* sizeof(pfl_decode) */
  int64_t batch;      /* B */
  int64_t q_heads;    /* Hq, a multiple of Hkv */
  int64_t kv_heads;   /* Hkv */
  int64_t q_length;   /* T >= 1: the queries are the last T positions, and see
                         each other causally whether or not causal is set */
  int64_t head_dim;   /* D, 1..PFL_HEAD_DIM_MAX */
  int64_t v_head_dim; /* Dv, likewise; 0: D */
  int64_t cache_length; /* Smax, contiguous cache: token slots a sequence has */
  int64_t page_count;   /* N, paged cache: pages in all */
  int64_t page_length;  /* tokens a page holds */
  int64_t pages_per_sequence; /* columns of block_table */
  pfl_dtype dtype;       /* of q and o: F32, BF16 or F16; DEFAULT is F32 */
  pfl_dtype cache_dtype; /* of k and v: dtype, or I8; DEFAULT is dtype */
  pfl_scoring scoring;   /* window_right has no effect: decode is causal */
} pfl_decode;

/* Tensors of a decode call. Inputs and outputs must not overlap. */
typedef struct pfl_decode_args {
  size_t struct_size; /* sizeof(pfl_decode_args) */
  const void *q;      /* [B, Hq, T, D] */
  const void *k;      /* [B, Hkv, Smax, D], or pages [N, Hkv, page_length, D] */
  const void *v;      /* [B, Hkv, Smax, Dv], or [N, Hkv, page_length, Dv] */
  const float *k_scale; /* I8 cache: k[token] is k_scale * integer;
                           [B, Hkv, Smax], or [N, Hkv, page_length]; else NULL */
  const float *v_scale; /* likewise */
  const int32_t *lengths;     /* [B], tokens in the cache, the T new ones
                                 included; NULL: every cache is full */
  const int32_t *block_table; /* paged: [B, pages_per_sequence], the page that
                                 holds tokens i * page_length and on; entries
                                 past lengths[b] are not read */
  const float *sinks; /* [Hq], or NULL */
  void *out_o;        /* [B, Hq, T, Dv] */
  float *out_lse;     /* [B, Hq, T], or NULL */
} pfl_decode_args;

/* O = attention of the last T positions over each sequence's cache, split over
 * heads and over ranges of the cache, the parts merged exactly by (m, l, o).
 * The result does not depend on the number of threads. Memory: O(threads *
 * tile) and the parts, at most 64 a sequence and key-value head.
 * INVALID_ARGUMENT and RESOURCE_EXHAUSTED as forward's; OUT_OF_RANGE: a length
 * beyond the cache, or a block_table entry that is no page. On failure the
 * outputs are untouched. */
PFL_API PFL_NODISCARD pfl_status pfl_attention_decode(
    pfl_context *context, const pfl_decode *decode, const pfl_decode_args *args,
    pfl_error *out_error);

#ifdef __cplusplus
}
#endif
#endif

/* The key-value cache of one layer: many sequences, their tokens in pages.
 *
 *   pfl_cache_options options = {.struct_size = sizeof options, .kv_heads = 8,
 *                                .head_dim = 128, .dtype = PFL_DTYPE_BF16,
 *                                .page_count = 4096, .sequence_count = 64};
 *   pfl_cache_create(context, &options, &cache, &error);
 *   pfl_sequence_create(cache, &sequence, &error);
 *   pfl_cache_append(cache, &prompt, &error);  the prompt's k and v
 *   for (;;)
 *     pfl_cache_decode(cache, &step, &error);  a token more, and attention
 *
 * A model has one cache for each layer. The same calls on each leave the same
 * lengths and use the same pages, and one of them fails only if all do (memory
 * apart), so that a step is decided at the first layer.
 *
 * Memory is taken when a cache is made: page_count pages, whether used or not.
 * Afterwards only the workspace of its context may grow (docs/memory.md), and
 * saving takes memory.
 *
 * Where the context has chips, the pages lie in their memory, spread over them;
 * tokens are appended in place, and only q and o travel. pfl_cache_read, save
 * and load take all pages through this machine's memory. Calls can then also
 * fail as those of pallas_flash/attention.h; if the device itself fails at an
 * append, the tokens are lost, and every later call that needs them says so
 * (FAILED_PRECONDITION).
 *
 * A call that fails leaves the cache as it was, and its outputs untouched. What
 * a call computes does not depend on the number of threads, on the pages that
 * happened to be free, or on what the other sequences hold.
 *
 * Threads: a call on a cache is a call on its context: any thread may make it,
 * and they run one after the other. SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_CACHE_H
#define PALLAS_FLASH_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "pallas_flash/attention.h"
#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"
#include "pallas_flash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opaque. */
typedef struct pfl_cache pfl_cache;

/* A sequence of a cache: a name, never a pointer. 0 is none; a cache gives no
 * name twice in its first 2^32 - 1 sequences, so that one which was destroyed
 * is told from those that there are. A name means nothing to another cache,
 * which refuses it unless it has given the same one. */
typedef uint64_t pfl_sequence;

/* What a cache holds and how much. Sizes that may be 0 say what 0 means. */
typedef struct pfl_cache_options {
  size_t struct_size;     /* sizeof(pfl_cache_options) */
  int64_t kv_heads;       /* Hkv, at least 1 */
  int64_t head_dim;       /* D, 1..PFL_HEAD_DIM_MAX */
  int64_t v_head_dim;     /* Dv, likewise; 0: D */
  pfl_dtype dtype;        /* of k, v, q and o: F32, BF16 or F16; DEFAULT: F32 */
  pfl_dtype cache_dtype;  /* of what is kept: dtype, or I8 with a scale for each
                             token and head; DEFAULT: dtype */
  int64_t page_length;    /* tokens of a page; 0: 64 */
  int64_t page_count;     /* pages in all, at least 1 */
  int64_t sequence_count; /* sequences at the same time, at least 1 */
  int64_t sequence_length; /* tokens of one sequence at most; 0: as many as the
                              pages hold. The table of pages takes 4 bytes for
                              each sequence and page of this length. */
} pfl_cache_options;

/* Makes an empty cache in the memory of `context`, which must outlive it. On
 * success *out_cache is the caller's, given back with pfl_cache_destroy.
 * INVALID_ARGUMENT: a size or dtype that does not fit, named in the message.
 * RESOURCE_EXHAUSTED: no memory. */
PFL_API PFL_NODISCARD pfl_status
pfl_cache_create(pfl_context *context, const pfl_cache_options *options,
                 pfl_cache **out_cache, pfl_error *out_error);

/* Gives back everything. NULL is allowed. No call on the cache may be running.
 */
PFL_API void pfl_cache_destroy(pfl_cache *cache);

/* ---- Sequences -----------------------------------------------------------
 * NOT_FOUND, of every call below: `sequence` is none of this cache's. */

/* An empty sequence. RESOURCE_EXHAUSTED: there are sequence_count. */
PFL_API PFL_NODISCARD pfl_status pfl_sequence_create(pfl_cache *cache,
                                                     pfl_sequence *out_sequence,
                                                     pfl_error *out_error);

/* A sequence that begins with the first `length` tokens of another. Their pages
 * are shared, not copied: a page is in use as long as one sequence has it, and
 * one that several have is copied by whoever is about to write to it.
 * OUT_OF_RANGE: the other has fewer tokens. RESOURCE_EXHAUSTED: as above. */
PFL_API PFL_NODISCARD pfl_status pfl_sequence_fork(pfl_cache *cache,
                                                   pfl_sequence sequence,
                                                   int64_t length,
                                                   pfl_sequence *out_sequence,
                                                   pfl_error *out_error);

/* Drops the tokens from `length` on, which a speculation got wrong, say; 0
 * drops all. OUT_OF_RANGE: `length` is negative or more than there are. */
PFL_API PFL_NODISCARD pfl_status pfl_sequence_truncate(pfl_cache *cache,
                                                       pfl_sequence sequence,
                                                       int64_t length,
                                                       pfl_error *out_error);

/* Drops the sequence; its name is no longer valid. */
PFL_API PFL_NODISCARD pfl_status pfl_sequence_destroy(pfl_cache *cache,
                                                      pfl_sequence sequence,
                                                      pfl_error *out_error);

/* Tokens of a sequence. */
PFL_API PFL_NODISCARD pfl_status pfl_sequence_length(pfl_cache *cache,
                                                     pfl_sequence sequence,
                                                     int64_t *out_length,
                                                     pfl_error *out_error);

/* Drops all sequences of a cache. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_clear(pfl_cache *cache,
                                                 pfl_error *out_error);

/* What is in use. */
typedef struct pfl_cache_usage {
  size_t struct_size;      /* sizeof(pfl_cache_usage), set by the caller */
  int64_t sequence_count;  /* sequences there are */
  int64_t sequence_room;   /* and that there may be */
  int64_t page_count;      /* pages in use; a shared one counts once */
  int64_t page_room;       /* and that there are */
  int64_t page_length;     /* tokens of a page */
  int64_t sequence_length; /* tokens of one sequence at most */
  int64_t bytes;           /* of k, v and scales, used or not */
} pfl_cache_usage;

PFL_API PFL_NODISCARD pfl_status pfl_cache_measure(pfl_cache *cache,
                                                   pfl_cache_usage *out_usage,
                                                   pfl_error *out_error);

/* The names of the sequences, in no order that means anything. *out_count is
 * their number, of which the first `capacity` are written. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_list(pfl_cache *cache,
                                                int64_t capacity,
                                                pfl_sequence *out_sequences,
                                                int64_t *out_count,
                                                pfl_error *out_error);

/* ---- Tokens -------------------------------------------------------------- */

/* T tokens more for each of B sequences, all different. */
typedef struct pfl_cache_append_args {
  size_t struct_size;            /* sizeof(pfl_cache_append_args) */
  int64_t batch;                 /* B */
  int64_t length;                /* T */
  const pfl_sequence *sequences; /* [B] */
  const void *k;                 /* [B, Hkv, T, D], dtype */
  const void *v;                 /* [B, Hkv, T, Dv], dtype */
} pfl_cache_append_args;

/* Copies k and v to the ends of the sequences. An int8 cache keeps, of each
 * token and head, scale = max |x| / 127 in f32 and round(x / scale), to
 * nearest, ties to even; a token with a NaN or an infinity gets the scale NaN.
 * INVALID_ARGUMENT: a pointer or number that does not fit, a sequence twice.
 * OUT_OF_RANGE: a sequence would be longer than sequence_length.
 * RESOURCE_EXHAUSTED: there are not as many free pages as this takes. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_append(
    pfl_cache *cache, const pfl_cache_append_args *args, pfl_error *out_error);

/* Attention of the last T positions of each of B sequences, all different. */
typedef struct pfl_cache_decode_args {
  size_t struct_size; /* sizeof(pfl_cache_decode_args) */
  int64_t batch;      /* B */
  int64_t q_heads;    /* Hq, a multiple of Hkv */
  int64_t q_length;   /* T >= 1 */
  pfl_scoring scoring;
  const pfl_sequence *sequences; /* [B]; their lengths may differ */
  const void *q;                 /* [B, Hq, T, D], dtype */
  const void *k;      /* [B, Hkv, T, D]: tokens that are appended first, as by
                         pfl_cache_append, or NULL: they are in the cache already */
  const void *v;      /* [B, Hkv, T, Dv], likewise; both or neither */
  const float *sinks; /* [Hq], or NULL */
  void *out_o;        /* [B, Hq, T, Dv], dtype */
  float *out_lse;     /* [B, Hq, T], or NULL */
} pfl_cache_decode_args;

/* As pfl_attention_decode on the sequences' tokens, with the same bits as that
 * gives on pages of this length. Where k and v are given, and anything fails,
 * they are not appended either. INVALID_ARGUMENT as of pfl_attention_decode;
 * otherwise as of pfl_cache_append. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_decode(
    pfl_cache *cache, const pfl_cache_decode_args *args, pfl_error *out_error);

/* Tokens as they are kept. */
typedef struct pfl_cache_read_args {
  size_t struct_size; /* sizeof(pfl_cache_read_args) */
  pfl_sequence sequence;
  int64_t begin;      /* the first token */
  int64_t length;     /* T */
  void *out_k;        /* [Hkv, T, D], cache_dtype; NULL: not wanted */
  void *out_v;        /* [Hkv, T, Dv], likewise */
  float *out_k_scale; /* [Hkv, T], of an int8 cache; NULL: not wanted */
  float *out_v_scale; /* likewise */
} pfl_cache_read_args;

/* Copies tokens out of the cache. OUT_OF_RANGE: the sequence has not all of
 * them. INVALID_ARGUMENT: a pointer that does not fit, scales of a cache that
 * has none. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_read(pfl_cache *cache,
                                                const pfl_cache_read_args *args,
                                                pfl_error *out_error);

/* ---- Files --------------------------------------------------------------- */

/* Writes all sequences to a safetensors file, whole or not at all; what was at
 * `path` stays until then. The same cache gives the same bytes. Takes memory
 * for the pages in use, once more. docs/cache.md has the tensors.
 * NOT_FOUND: no such directory. PERMISSION_DENIED. RESOURCE_EXHAUSTED: no
 * memory, or no room on the disk. */
PFL_API PFL_NODISCARD pfl_status pfl_cache_save(pfl_cache *cache,
                                                const char *path,
                                                pfl_error *out_error);

/* Makes a cache, as pfl_cache_create does, with the sequences of a file, which
 * keep their names. The file is not trusted: everything in it is held against
 * `options` and against itself before it is used.
 * NOT_FOUND, PERMISSION_DENIED: the file. DATA_LOSS: it is no cache, or a
 * damaged one; the message names tensor and rule. FAILED_PRECONDITION: a cache
 * of other heads, head_dim, dtype or page_length than `options` say, or with
 * more pages, more or longer sequences than they allow. Otherwise as
 * pfl_cache_create. */
PFL_API PFL_NODISCARD pfl_status
pfl_cache_load(pfl_context *context, const pfl_cache_options *options,
               const char *path, pfl_cache **out_cache, pfl_error *out_error);

#ifdef __cplusplus
}
#endif
#endif

/* A KV cache in the memory of the chips: tokens are appended in place, decode
 * reads them where they are, and nothing else of it moves.
 *
 *   device_cache_options options = {.kv_heads = 8, .head_dim = 128,
 *                                   .dtype = PFL_DTYPE_BF16,
 *                                   .page_length = 64, .page_count = 1024};
 *   device_cache *cache;
 *   PFL_TRY(device_cache_create(&slice, &options, &cache, error));
 *   status = device_cache_append(cache, &append, error);
 *   status = device_cache_decode(cache, &decode, error);
 *   device_cache_destroy(cache);
 *
 * Which sequences there are, how long they are and which pages are whose is the
 * caller's to know: it gives lengths and tables with each call. A table's page
 * numbers are the caller's own; where pages are spread over chips
 * (device_cache_page_turn), page i of a sequence must have a number that is i
 * modulo that.
 *
 * Numbers and tables are checked before anything is launched: after INVALID_
 * ARGUMENT or OUT_OF_RANGE the cache is as it was. After any other failure of
 * an append it is lost, and every call says so (FAILED_PRECONDITION).
 *
 * Threads: one call at a time. */
#ifndef PFL_DEVICE_CHIP_CACHE_H
#define PFL_DEVICE_CHIP_CACHE_H

#include "device/resident.h"

typedef struct device_cache device_cache;

/* All zero is the default where it says so. */
typedef struct device_cache_options {
  int64_t kv_heads, head_dim;
  int64_t v_head_dim;      /* 0: head_dim */
  pfl_dtype dtype;         /* of q and o: BF16 or F32 */
  pfl_dtype cache_dtype;   /* DEFAULT: dtype; or I8, with scales */
  int64_t page_length;     /* pages: tokens of one; 0: contiguous */
  int64_t page_count;      /* pages: in all */
  int64_t batch;           /* contiguous: sequences */
  int64_t sequence_length; /* contiguous: tokens of one */
  int chips;               /* 1 or 4; 0: 1 */
  bool by_tokens; /* spread over chips by tokens, or pages, even where heads
                     divide */
} device_cache_options;

/* Empty: all zeros. INVALID_ARGUMENT: what there is no kernel for.
 * RESOURCE_EXHAUSTED. What the plugin answers. */
PFL_NODISCARD pfl_status device_cache_create(
    const device_slice *slice, const device_cache_options *options,
    device_cache **out_cache, pfl_error *error);
void device_cache_destroy(device_cache *cache); /* NULL is allowed */

/* What page i of a sequence must be modulo; 1: any page will do. */
int64_t device_cache_page_turn(const device_cache *cache);

/* The sequences of a call. Without pages, `batch` is the cache's own. */
typedef struct device_cache_rows {
  int64_t batch;          /* B */
  const int32_t *lengths; /* [B]: tokens before the call */
  const int32_t *table;   /* pages: [B, columns]; entries that no token is in
                             are not looked at */
  int64_t columns;
} device_cache_rows;

/* T tokens more for each sequence. */
typedef struct device_cache_append_args {
  device_cache_rows rows;
  int64_t tokens;        /* T */
  const int32_t *counts; /* [B]: how many of them are the sequence's, the first;
                            NULL: all */
  const void *k;         /* [B, Hkv, T, D], cache_dtype */
  const void *v;         /* [B, Hkv, T, Dv] */
  const float *k_scale;  /* [B, Hkv, T], of int8 */
  const float *v_scale;
  const int32_t *sources; /* pages: [B]: the page that the one of the sequence's
                             next token is to be a copy of, first: a page that
                             several had, say; -1 or NULL: none */
} device_cache_append_args;

/* Any T is made of calls that there are programs for. OUT_OF_RANGE: a length
 * that is none, a sequence that would be longer than the cache or its row of
 * the table has room for, an entry of the table that is no page, two sequences
 * that would write to one page; the message names the entry. */
PFL_NODISCARD pfl_status
device_cache_append(device_cache *cache, const device_cache_append_args *args,
                    pfl_error *error);

/* Attention of the last T of `lengths` positions. */
typedef struct device_cache_decode_args {
  device_cache_rows rows;
  int64_t q_heads, q_length; /* Hq, T */
  pfl_scoring scoring;
  const void *q;      /* [B, Hq, T, D], dtype */
  const float *sinks; /* [Hq]; NULL: none */
  void *out_o;        /* [B, Hq, T, Dv] */
  float *out_lse;     /* [B, Hq, T]; NULL: not wanted */
} device_cache_decode_args;

PFL_NODISCARD pfl_status
device_cache_decode(device_cache *cache, const device_cache_decode_args *args,
                    pfl_error *error);

/* All of it as it lies in files: k [N, Hkv, page, D], or [B, Hkv, Smax, D]; v;
 * k_scale, v_scale [N, Hkv, page] or [B, Hkv, Smax]. */
typedef struct device_cache_content {
  void *k, *v;
  float *k_scale, *v_scale; /* of int8 */
} device_cache_content;

PFL_NODISCARD pfl_status device_cache_read(const device_cache *cache,
                                           const device_cache_content *content,
                                           pfl_error *error);
PFL_NODISCARD pfl_status device_cache_write(device_cache *cache,
                                            const device_cache_content *content,
                                            pfl_error *error);

#endif

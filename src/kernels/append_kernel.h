/* The append kernel while it is written: its plan, and what its parts share. */
#ifndef PFL_KERNELS_APPEND_KERNEL_H
#define PFL_KERNELS_APPEND_KERNEL_H

#include "kernels/decode_kernel.h"

enum { APPEND_SLOTS_MAX = 8, APPEND_LISTED_MAX = 1 << 16 };

/* What is written at a time, of all heads of a chip: a granule of K and of V,
 * or the scales of some tokens. */
typedef enum append_kind { APPEND_ROWS, APPEND_SCALES } append_kind;

typedef struct append_plan {
  decode_plan cache; /* how it lies; T is the tokens that may come at once */
  int64_t block[2];  /* tokens of a block, by its kind */
  int64_t window;    /* new tokens that are brought for a block of rows */
  bool joined;       /* all of them: then the heads' lie as one list, [1, Hkv T]
                        in place of [Hkv, T], which XLA would turn for small T */
  int64_t lanes[2];  /* of a new token's row, of K and V */
  int64_t all_scales; /* lanes of a sequence's new scales */
  int64_t slots;      /* blocks in VMEM, a power of two */
  int64_t listed;     /* blocks that a call can write */
  int64_t vmem_bytes;
} append_plan;

PFL_NODISCARD pfl_status append_plan_make(const kernels_request *request,
                                          const kernels_chip *chip,
                                          append_plan *out_plan,
                                          pfl_error *error);
void append_plan_describe(const append_plan *plan, kernels_program *program);

typedef struct append_kernel {
  mo_builder *b;
  const append_plan *plan;
  decode_kernel cache;     /* of the cache, k, v, scales as they are written */
  mo_value *counts;        /* [B]: new tokens of each sequence */
  mo_value *sources;       /* [B], of pages: what is copied first */
  mo_value *news[2];       /* [B, Hkv, T, lanes], or joined, k and v */
  mo_value *new_scales[2]; /* [B, Hkv, 1, all_scales] */
  mo_value *counts_smem, *sources_smem;
  mo_value *list;      /* [2, listed] in SMEM: sequences, numbers of blocks */
  mo_value *blocks[2]; /* VMEM [slots, Hkv, rows of a granule, width] */
  mo_value *come[2];   /* [slots, Hkv, window, lanes], or joined */
  mo_value *staged[2]; /* [lanes / 128, rows, 128]: a word each element, a
                          granule's rows on both sides of what came */
  mo_value *scale_blocks[2];  /* [slots, Hkv, 1, lanes of a block of scales] */
  mo_value *scales_come[2];   /* [slots, Hkv, 1, all_scales] */
  mo_value *fetched, *stored; /* semaphores, [slots] */
  mo_value *counts_arrived, *sources_arrived;
} append_kernel;

/* A sequence's tokens before, and after; within the cache whatever is given. */
typedef struct append_span {
  mo_value *length, *end;
} append_span;
append_span append_span_of(const append_kernel *k, mo_value *sequence);

/* A block with new tokens. */
typedef struct append_item {
  append_kind kind;
  mo_value *sequence, *number; /* of its blocks on this chip */
  mo_value *low, *high; /* its tokens low .. high - 1 are new; either may be
                           beyond it */
  mo_value *length;     /* of the sequence, before */
  mo_value *whole;      /* i1: all are new */
  mo_value *slot;
} append_item;

/* Heads and rows of what comes. */
static inline int64_t append_heads(const append_plan *plan) {
  return plan->joined ? 1 : plan->cache.Hkv;
}
static inline int64_t append_rows(const append_plan *plan, int64_t tokens) {
  return plan->joined ? plan->cache.Hkv * tokens : tokens;
}

/* The position of a chip's local token. */
mo_value *append_position(const append_kernel *k, mo_value *local);

/* The copies of an item (append_copies.c): of what is new and, if not all is,
 * of the block as it is; and of the block back. Started, or waited for. */
void append_fetch(const append_kernel *k, const append_item *item, bool wait);
void append_store(const append_kernel *k, const append_item *item, bool wait);
/* Copies the pages that are to be copies of others. */
void append_copy_pages(const append_kernel *k);
/* The new token that is the first of those brought for a block of rows. */
mo_value *append_window(const append_kernel *k, const append_item *item);

/* Puts what is new into the block (append_merge.c). */
void append_merge(const append_kernel *k, const append_item *item);

#endif

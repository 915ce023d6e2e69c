/* The parts of the forward kernel: what they share while it is written. */
#ifndef PFL_KERNELS_FORWARD_KERNEL_H
#define PFL_KERNELS_FORWARD_KERNEL_H

#include "kernels/flash_plan.h"

typedef struct forward {
  mo_builder *b;
  const attention_problem *problem;
  const forward_plan *plan;
  mo_value *zero, *one;
  mo_value *q, *k, *v, *o;      /* windows [1, 1, rows or keys, width] */
  mo_value *lse;                /* window [1, 1, 1, block_q], or NULL */
  mo_value *q_ids, *kv_ids;     /* windows [1, 1, n], or NULL */
  mo_value *sinks;              /* [Hq] in SMEM, or NULL */
  mo_value *m, *l, *acc;        /* the state, of the block's rows: see reset */
  mo_value *row_ids;            /* q_ids as a column [block_q, 128] */
  mo_value *id_ranges;          /* SMEM: chunks' least ids, then their most */
  mo_value *least_id, *most_id; /* f32, of the block's rows */
  mo_value *position;           /* of the block's first query, i32 */
} forward;

typedef enum masking { MASK_NONE, MASK_BAND, MASK_POSITION } masking;

/* Rows of the block and keys that they meet. */
typedef struct forward_tile {
  int64_t row, rows;
  mo_value *key; /* the first */
  int64_t keys;
  masking mask;
  int64_t ahead; /* BAND: position of the first row less the first key */
} forward_tile;

/* ---- forward_tile.c: the algorithm ----------------------------------------
 */

/* Makes the state that of rows which have met no key. */
void forward_reset(const forward *f, int64_t row, int64_t rows);

/* Lets rows meet keys. */
void forward_attend(const forward *f, const forward_tile *tile);

/* Writes O and LSE of rows, and resets their state for the next block. */
void forward_finish(const forward *f, int64_t row, int64_t rows);

/* ---- forward_walk.c: which keys a block of queries meets ------------------
 */

void forward_walk(const forward *f);

/* ---- forward_segments.c ---------------------------------------------------
 */

/* Makes row_ids and the ranges of ids, at the first step that needs them. */
void forward_segments_begin(forward *f);

/* Whether chunks first .. first + count - 1 may hold an id of the block's rows:
 * an i1. */
mo_value *forward_segments_meet(const forward *f, mo_value *first,
                                int64_t count);

#endif

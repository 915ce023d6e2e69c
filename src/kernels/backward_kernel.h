/* The parts of the backward kernel: what they share while it is written. */
#ifndef PFL_KERNELS_BACKWARD_KERNEL_H
#define PFL_KERNELS_BACKWARD_KERNEL_H

#include "kernels/backward_plan.h"
#include "kernels/sequences.h"

typedef struct backward {
  mo_builder *b;
  const attention_problem *problem;
  const backward_plan *plan;
  mo_value *zero, *one;
  /* windows: of the query head, whole; of the step's block of keys */
  sequence q, d_o, o;
  mo_value *lse, *d_lse; /* [1, 1, 1, rows]; d_lse may be NULL */
  sequence k, v;
  sequence dq, dk, dv;
  mo_value *q_ids, *kv_ids; /* [1, 1, rows], [1, 1, block_k], or NULL */
  mo_value *sinks, *dsinks; /* [Hq] in SMEM, [1, Hq], or NULL */
  /* f32 sums: dQ of the head [rows, D], dK and dV of the block or, where
   * several query heads add to them, of all keys */
  sequence dq_sum, dk_sum, dv_sum;
  sequence k_rows, v_rows; /* k, v as they go through the MXU, if swapped */
  mo_value *row_lse, *row_delta; /* rows [1, rows]: log2 LSE, and
                                    rowsum(dO O) less dLSE */
  mo_value *key_ids;             /* kv_ids as a column [block_k, 128] */
  mo_value *step;                /* of the head, i32 */
  mo_value *key;                 /* the first of the step's block, i32 */
  mo_value *sum_key;             /* where the block begins in dk_sum */
} backward;

typedef enum masking { MASK_NONE, MASK_BAND, MASK_POSITION } masking;

/* Keys of the block and queries that they meet. */
typedef struct backward_tile {
  int64_t key, keys; /* the first, within the block */
  mo_value *row;     /* the first */
  int64_t rows;
  masking mask;
  int64_t ahead; /* BAND: position of the first row less the first key */
  bool first;    /* dK and dV of these keys begin here: there is no sum yet */
} backward_tile;

/* S^T and dP^T of a tile, [keys, rows]. */
typedef struct backward_scores {
  mo_value *s, *dp;
} backward_scores;

/* As forward_queue. */
typedef struct backward_queue {
  backward_tile tiles[FORWARD_AHEAD_MAX + 1];
  backward_scores scores[FORWARD_AHEAD_MAX + 1];
  int count;
} backward_queue;

/* ---- backward_tile.c: the algorithm ---------------------------------------
 */

/* Lets keys meet queries, at once or after some tiles more: adds to dQ, dK and
 * dV. */
void backward_meet(const backward *f, backward_queue *queue,
                   const backward_tile *tile);
void backward_flush(const backward *f, backward_queue *queue);

/* ---- backward_ends.c: before and after ------------------------------------
 */

/* Clears the sums before the first tile of all, and puts k and v where they go
 * through the MXU from. */
void backward_begin(const backward *f);

/* Makes row_lse and row_delta of rows, and adds to dsinks; their O lies at
 * o_row of its window. */
void backward_begin_rows(const backward *f, mo_value *row, mo_value *o_row,
                         int64_t rows);

/* Writes dQ of rows, and clears their sums for the next head. */
void backward_finish_rows(const backward *f, mo_value *row, int64_t rows);

/* Writes dK and dV of the block and clears their sums, if this query head is
 * the last to add to them. */
void backward_finish_keys(const backward *f);

/* ---- backward_walk.c: which queries a block of keys meets -----------------
 */

void backward_walk(const backward *f);

#endif

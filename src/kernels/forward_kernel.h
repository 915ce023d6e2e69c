/* The parts of the forward kernel: what they share while it is written. */
#ifndef PFL_KERNELS_FORWARD_KERNEL_H
#define PFL_KERNELS_FORWARD_KERNEL_H

#include "kernels/flash_plan.h"
#include "kernels/sequences.h"

typedef struct forward {
  mo_builder *b;
  const attention_problem *problem;
  const forward_plan *plan;
  mo_value *zero, *one;
  sequence q, k, v, o;      /* windows: the block's rows, or all keys */
  mo_value *lse;            /* window [1, 1, 1, block_q], or NULL */
  mo_value *q_ids, *kv_ids; /* windows [1, 1, n], or NULL */
  mo_value *sinks;          /* [Hq] in SMEM, or NULL */
  sequence q_rows; /* q as it goes through the MXU, [block_q, D], if swapped */
  mo_value *m, *l; /* the state, of the block's rows: see reset */
  sequence acc;
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
  bool last;     /* the rows are finished after it */
} forward_tile;

/* Tiles whose scores are made before those of the tile before are used: what
 * the scheduler needs to keep the MXU busy where products are narrow. */
typedef struct forward_queue {
  forward_tile tiles[FORWARD_AHEAD_MAX + 1];
  mo_value *scores[FORWARD_AHEAD_MAX + 1];
  int count;
} forward_queue;

/* ---- forward_tile.c: the algorithm ----------------------------------------
 */

/* Makes the state that of rows which have met no key. */
void forward_reset(const forward *f, int64_t row, int64_t rows);

/* Puts q where it goes through the MXU from. */
void forward_begin(const forward *f);

/* Lets rows meet keys: at once, or after some tiles more. */
void forward_attend(const forward *f, forward_queue *queue,
                    const forward_tile *tile);
void forward_flush(const forward *f, forward_queue *queue);

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

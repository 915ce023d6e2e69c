/* The parts of the backward kernel: what they share while it is written. */
#ifndef PFL_KERNELS_BACKWARD_KERNEL_H
#define PFL_KERNELS_BACKWARD_KERNEL_H

#include "kernels/backward_plan.h"
#include "kernels/segments.h"
#include "kernels/sequences.h"

typedef struct backward {
  mo_builder *b;
  const attention_problem *problem;
  const backward_plan *plan;
  mo_value *zero, *one;
  /* windows: of the panel's queries; of the step's block of keys */
  sequence q, d_o, o;
  mo_value *lse, *d_lse; /* [1, 1, 1, panel]; d_lse may be NULL */
  sequence k, v;
  sequence dq, dk, dv;
  mo_value *q_ids, *kv_ids; /* [1, 1, panel], [1, 1, block_k], or NULL */
  mo_value *sinks, *dsinks; /* [Hq] in SMEM, [1, Hq], or NULL */
  /* f32 sums: dQ of the panel [panel, D], dK and dV of the block or, where
   * several query heads add to them in VMEM, of all keys */
  sequence dq_sum, dk_sum, dv_sum;
  sequence k_rows, v_rows; /* k, v as they go through the MXU, if swapped */
  mo_value *row_lse, *row_delta; /* rows [1, panel]: log2 LSE, and
                                    rowsum(dO O) less dLSE */
  mo_value *key_ids;             /* kv_ids as a column [block_k, 128] */
  mo_value *id_ranges; /* SMEM: chunks of queries' least ids, then their most */
  segment_range ids;   /* of the block's keys */
  /* sums that wait in HBM: see backward_sums.c */
  mo_value *dk_away, *dv_away;   /* [blocks, ..] in HBM */
  mo_value *dk_slots, *dv_slots; /* [2, ..] in VMEM */
  mo_value *turns;        /* [2] in SMEM: the block that leaves a slot, or -1 */
  mo_value *came, *left;  /* semaphores, [2] */
  mo_value *turn, *slot;  /* steps so far; turn mod 2 */
  mo_value *later, *last; /* this visit of the block is not the first; is the
                             last: i1 */
  mo_value *panel, *step; /* of the head, of the panel: i32 */
  mo_value *active;       /* the panel has so many steps, i1; NULL: it has */
  mo_value *block;        /* of keys */
  mo_value *key;          /* the first of the block */
  mo_value *first_row;    /* of the panel, within the head */
  mo_value *rows_end;     /* of the panel: of what the walk wants */
  mo_value *sum_key;      /* where the block begins in dk_sum */
} backward;

/* Axes of the grid: a single panel has none. */
static inline int backward_panel_axis(const backward_plan *plan) {
  return plan->panels > 1 ? 2 : -1;
}

static inline int backward_step_axis(const backward_plan *plan) {
  return plan->panels > 1 ? 3 : 2;
}

typedef enum masking { MASK_NONE, MASK_BAND, MASK_POSITION } masking;

/* Keys of the block and queries that they meet. */
typedef struct backward_tile {
  int64_t key, keys; /* the first, within the block */
  mo_value *row;     /* the first, within the panel */
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

/* At the first step of all, clears the sums. */
void backward_begin(const backward *f);

/* Makes Q and dO of queries, and K and V of keys, that there are not 0: what
 * lies beyond a tensor's end may be NaN. */
void backward_clear_tails(const backward *f);

/* Puts k and v where they go through the MXU from. */
void backward_turn_keys(const backward *f);

/* At a panel's first step: begins all its rows, unless the walk does. */
void backward_begin_panel(const backward *f);
/* At its last: every dQ is complete. */
void backward_finish_panel(const backward *f);

/* Makes row_lse and row_delta of rows, and adds to dsinks; their O lies at
 * o_row of its window. */
void backward_begin_rows(const backward *f, mo_value *row, mo_value *o_row,
                         int64_t rows);

/* How many of the panel's rows from `row` on there are; NULL: as many as one
 * asks for. */
mo_value *backward_existing_rows(const backward *f, mo_value *row);

/* ---- backward_sums.c: dK and dV -------------------------------------------
 */

/* The operands, and what is said of them; the memory. */
void backward_sums_declare(backward *f);
void backward_sums_tensors(const attention_problem *problem,
                           const backward_plan *plan, kernels_kernel *kernel);
void backward_sums_scratch(backward *f);

/* At the first step of all. */
void backward_sums_clear(const backward *f);

/* Asks for what earlier visits of the block have made. */
void backward_sums_fetch(backward *f);

/* Writes dK and dV of the block, or puts their sums away, and makes the step's
 * own 0. */
void backward_sums_finish(const backward *f);

/* At the last step of all, waits for what is under way. */
void backward_sums_settle(const backward *f);

/* ---- backward_blocks.c: which keys a panel meets --------------------------
 */

/* The step's block, and what its visit is. */
void backward_blocks_begin(backward *f);

sequence backward_key_window(backward *f, int64_t width);
sequence backward_sum_window(backward *f, int64_t width); /* dK, dV */
sequence backward_o_window(backward *f);
mo_value *backward_key_ids_window(backward *f);

/* ---- backward_segments.c --------------------------------------------------
 */

/* The ranges of ids of chunks of queries, at a panel's first step; key_ids, and
 * the range of the block's. */
void backward_segments_begin_rows(const backward *f);
void backward_segments_begin_keys(backward *f);

/* Whether chunks first .. first + count - 1 may hold an id of the block's: an
 * i1. */
mo_value *backward_segments_meet(const backward *f, mo_value *first,
                                 int64_t count);

/* ---- backward_walk.c: which queries a block of keys meets -----------------
 */

/* With plan->descending it begins the panel's rows. */
void backward_walk(const backward *f);

#endif

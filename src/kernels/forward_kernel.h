/* The parts of the forward kernel: what they share while it is written. */
#ifndef PFL_KERNELS_FORWARD_KERNEL_H
#define PFL_KERNELS_FORWARD_KERNEL_H

#include "kernels/flash_plan.h"
#include "kernels/segments.h"
#include "kernels/sequences.h"

typedef struct forward {
  mo_builder *b;
  const attention_problem *problem;
  const forward_plan *plan;
  mo_value *zero, *one;
  sequence q, k, v, o;     /* windows: the block's rows, or all keys */
  mo_value *shift;         /* where key 0 would lie in k and v; NULL: at 0 */
  mo_value *k_hbm, *v_hbm; /* streamed: K and V of all heads */
  sequence k_tail, v_tail; /* streamed: windows, the keys after whole chunks */
  mo_value *k_came, *v_came; /* semaphores of the two slots */
  mo_value *jobs; /* SMEM: how many segments there were before this step */
  mo_value *lse;  /* window [1, 1, 1, block_q], or NULL */
  mo_value *q_ids, *kv_ids; /* windows [1, 1, n], or NULL */
  mo_value *sinks;          /* [Hq] in SMEM, or NULL */
  sequence q_rows; /* q as it goes through the MXU, [block_q, D], if swapped */
  mo_value *m, *l; /* the state, of the block's rows: see reset */
  sequence acc;
  mo_value *row_ids;   /* q_ids as a column [block_q, 128] */
  mo_value *id_ranges; /* SMEM: chunks' least ids, then their most */
  segment_range ids;   /* of the block's rows */
  mo_value *position;  /* of the block's first query, i32 */
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
  int ahead;
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

/* Chunks: [some, every) and [every_end, some_end) are seen by some row of a
 * block, [every, every_end) by all rows, in full. */
typedef struct forward_span {
  mo_value *some, *every, *every_end, *some_end;
} forward_span;

/* Of the block whose first query stands at `position`. */
forward_span forward_span_of(const forward *f, mo_value *position);

/* What the block's step does with its span's chunks from `low` up to `high`;
 * NULL: no end. */
void forward_walk_span(const forward *f, forward_span span, mo_value *low,
                       mo_value *high);

/* One chunk, masked by position. */
void forward_walk_chunk(const forward *f, mo_value *chunk);

void forward_walk(const forward *f);

/* ---- forward_stream.c: K and V that come while they are used --------------
 */

/* Starts the first copy, before the first step. */
void forward_stream_begin(const forward *f);

/* Walks the segments of the block's span. */
void forward_stream_walk(const forward *f);

/* For a block whose keys are one segment: gives what finds it in VMEM, when it
 * is there. */
forward forward_stream_one(const forward *f);

/* The keys after the last whole chunk, if the block sees them. */
void forward_stream_tail(const forward *f, forward_span span);

/* ---- forward_segments.c ---------------------------------------------------
 */

/* Makes row_ids and the ranges of ids, at the first step that needs them. */
void forward_segments_begin(forward *f);

/* Whether chunks first .. first + count - 1 may hold an id of the block's rows:
 * an i1. */
mo_value *forward_segments_meet(const forward *f, mo_value *first,
                                int64_t count);

#endif

/* Which queries a block of keys meets, and in what order.
 *
 *   full      bodies of whole chunks of queries
 *   causal    blocks of keys come last first, so that a block is the first that
 *             the queries at its own positions meet: their delta is made here,
 *             and that block's O is all that is needed of O. The triangle of
 *             those positions by tiles of queries, then bodies over the queries
 *             behind. The last step of a head is its longest, and hides the
 *             coming of the next head's Q and dO.
 *   position  anything else: chunks are masked by what their positions are at
 *             run time, unless every query of them sees every key
 *
 * A chunk is block_q queries; a body of a loop takes `unroll` of them. */
#include "kernels/backward_kernel.h"

static mo_value *row_of(const backward *f, mo_value *chunk) {
  mo_builder *b = f->b;
  mo_value *row = mo_mul(b, chunk, mo_i32(b, (double)f->plan->block_q));
  return mo_multiple(b, row, (int)f->plan->block_q);
}

/* x / block_q, down or up, of numbers of at least 0. */
static mo_value *chunk_of(const backward *f, mo_value *x, bool up) {
  mo_builder *b = f->b;
  if (up) x = mo_add(b, x, mo_i32(b, (double)f->plan->block_q - 1));
  return mo_div(b, x, mo_i32(b, (double)f->plan->block_q));
}

static void meet_chunks(const backward *f, mo_value *first, int64_t count,
                        masking mask) {
  mo_builder *b = f->b;
  backward_queue queue = {.count = 0};
  for (int64_t i = 0; i < count; i++) {
    mo_value *chunk = mo_add(b, first, mo_i32(b, (double)i));
    for (int64_t key = 0; key < f->plan->block_k; key += f->plan->part)
      backward_meet(f, &queue,
                    &(backward_tile){.key = key,
                                     .keys = f->plan->part,
                                     .row = row_of(f, chunk),
                                     .rows = f->plan->block_q,
                                     .mask = mask});
  }
  backward_flush(f, &queue);
}

/* Chunks first .. end - 1, `unroll` in a body. Gives the first left over. */
static mo_value *walk_bodies(const backward *f, mo_value *first, mo_value *end,
                             int64_t unroll) {
  mo_builder *b = f->b;
  mo_value *size = mo_i32(b, (double)unroll);
  mo_value *left = mo_max(b, mo_sub(b, end, first), f->zero);
  mo_value *bodies = mo_div(b, left, size);
  mo_value *body = mo_for(b, f->zero, bodies, f->one, MO_NONE)[0];
  meet_chunks(f, mo_add(b, first, mo_mul(b, body, size)), unroll, MASK_NONE);
  mo_end(b, MO_NONE);
  return mo_add(b, first, mo_mul(b, bodies, size));
}

static void walk_seen(const backward *f, mo_value *first, mo_value *end) {
  for (int64_t unroll = f->plan->unroll; unroll >= 1; unroll /= 2)
    first = walk_bodies(f, first, end, unroll);
}

static void walk_masked(const backward *f, mo_value *first, mo_value *end) {
  mo_builder *b = f->b;
  mo_value *chunk = mo_for(b, first, end, f->one, MO_NONE)[0];
  meet_chunks(f, chunk, 1, MASK_POSITION);
  mo_end(b, MO_NONE);
}

/* For all rows of the head, `size` at a time. */
static mo_value *each_rows(const backward *f, int64_t size) {
  mo_builder *b = f->b;
  mo_value *count = mo_i32(b, (double)(f->plan->rows / size));
  mo_value *row = mo_for(b, f->zero, count, f->one, MO_NONE)[0];
  row = mo_mul(b, row, mo_i32(b, (double)size));
  return mo_multiple(b, row, (int)size);
}

static void begin_rows(const backward *f) {
  mo_builder *b = f->b;
  mo_if(b, mo_eq(b, f->step, f->zero));
  mo_value *row = each_rows(f, f->plan->end_rows);
  backward_begin_rows(f, row, row, f->plan->end_rows);
  mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
}

/* After the last block of keys every dQ is complete. */
static void finish_rows(const backward *f) {
  mo_builder *b = f->b;
  mo_if(b, mo_eq(b, f->step, mo_i32(b, (double)f->plan->k_blocks - 1)));
  mo_value *row = each_rows(f, f->plan->end_rows);
  backward_finish_rows(f, row, f->plan->end_rows);
  mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
}

static void walk_full(const backward *f) {
  mo_builder *b = f->b;
  mo_value *chunks = mo_i32(b, (double)(f->plan->rows / f->plan->block_q));
  begin_rows(f);
  walk_seen(f, f->zero, chunks);
  finish_rows(f);
}

/* ---- Causal ---------------------------------------------------------------
 */

static void walk_triangle(const backward *f) {
  mo_builder *b = f->b;
  int64_t tile = f->plan->tile, block = f->plan->block_k;
  backward_queue queue = {.count = 0};
  for (int64_t row = block - tile; row >= 0; row -= tile) {
    mo_value *at = mo_add(b, f->key, mo_i32(b, (double)row));
    at = mo_multiple(b, at, (int)tile);
    backward_begin_rows(f, at, mo_i32(b, (double)row), tile);
    bool first = f->plan->fresh && row + tile == block;
    backward_meet(f, &queue,
                  &(backward_tile){.keys = row + tile,
                                   .row = at,
                                   .rows = tile,
                                   .mask = MASK_BAND,
                                   .ahead = row,
                                   .first = first});
  }
  backward_flush(f, &queue);
}

static void walk_causal(const backward *f) {
  mo_builder *b = f->b;
  int64_t rows = f->plan->rows / f->plan->block_q;
  walk_triangle(f);
  mo_value *end = mo_add(b, f->key, mo_i32(b, (double)f->plan->block_k));
  mo_value *first = chunk_of(f, end, false);
  walk_seen(f, first, mo_i32(b, (double)rows));
  finish_rows(f);
}

/* ---- By position ----------------------------------------------------------
 */

static mo_value *clamp(const backward *f, mo_value *x) {
  mo_builder *b = f->b;
  return mo_min(b, mo_max(b, x, f->zero), mo_i32(b, (double)f->problem->Sq));
}

/* Chunks of which some row sees some key, and those of which all see all. */
static void walk_position(const backward *f) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  /* the rows at the positions of the block's first and last key */
  mo_value *first = mo_sub(b, f->key, mo_i32(b, (double)f->problem->offset));
  mo_value *last = mo_add(b, first, mo_i32(b, (double)f->plan->block_k - 1));
  mo_value *rows = mo_i32(b, (double)f->problem->Sq);
  mo_value *some = f->zero, *every = f->zero, *every_end = rows,
           *some_end = rows;
  if (window.right != ATTENTION_OPEN) {
    mo_value *right = mo_i32(b, (double)window.right);
    some = clamp(f, mo_sub(b, first, right));
    every = clamp(f, mo_sub(b, last, right));
  }
  if (window.left != ATTENTION_OPEN) {
    mo_value *beyond = mo_i32(b, (double)window.left + 1);
    every_end = clamp(f, mo_add(b, first, beyond));
    some_end = clamp(f, mo_add(b, last, beyond));
  }
  some = chunk_of(f, some, false);
  every = chunk_of(f, every, true);
  every_end = chunk_of(f, every_end, false);
  some_end = chunk_of(f, some_end, true);
  begin_rows(f);
  walk_masked(f, some, mo_min(b, every, some_end));
  walk_seen(f, every, every_end);
  walk_masked(f, mo_max(b, every, every_end), some_end);
  finish_rows(f);
}

void backward_walk(const backward *f) {
  switch (f->plan->walk) {
    case BACKWARD_FULL: walk_full(f); return;
    case BACKWARD_CAUSAL: walk_causal(f); return;
    case BACKWARD_POSITION: walk_position(f); return;
  }
}

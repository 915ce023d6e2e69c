/* Which queries of a panel a block of keys meets, and in what order.
 *
 *   full      bodies of whole chunks of queries
 *   band      a window that ends: where it does, by tiles of queries, each with
 *             the keys that some query of it sees; between them, bodies.
 *
 *                queries ->
 *                      |x                 xxxx
 *                keys  |xx  -- bodies --  xxx
 *                of a  |xxx               xx
 *                block |xxxx              x
 *                      own positions      the window's left end, if it has one
 *
 *   position  anything else: chunks are masked by what their positions are at
 *             run time, unless every query of them sees every key
 *
 * Where no query sees ahead, blocks of keys come last first, so that a block is
 * the first that the queries at its own positions meet: their delta is made
 * there, and that block's O is all that is needed of O. The last step of a head
 * is its longest then, and hides the coming of the next head's Q and dO.
 *
 * A chunk is block_q queries; a body of a loop takes `unroll` of them. Rows are
 * those of the panel. */
#include "kernels/backward_kernel.h"
#include "kernels/columns.h"

static mo_value *number(const backward *f, int64_t x) {
  return mo_i32(f->b, (double)x);
}

static mo_value *row_of(const backward *f, mo_value *chunk, int64_t size) {
  mo_builder *b = f->b;
  mo_value *row = mo_mul(b, chunk, number(f, size));
  return mo_multiple(b, row, (int)size);
}

/* x / block_q, down or up, of numbers of at least 0. */
static mo_value *chunk_of(const backward *f, mo_value *x, bool up) {
  mo_builder *b = f->b;
  if (up) x = mo_add(b, x, number(f, f->plan->block_q - 1));
  return mo_div(b, x, number(f, f->plan->block_q));
}

/* Within the panel. */
static mo_value *clamp(const backward *f, mo_value *row) {
  mo_builder *b = f->b;
  return mo_min(b, mo_max(b, row, f->zero), f->rows_end);
}

/* The row at the position of the block's first key: any number. */
static mo_value *own_row(const backward *f) {
  mo_builder *b = f->b;
  mo_value *first = mo_add(b, f->first_row, number(f, f->problem->offset));
  return mo_sub(b, f->key, first);
}

/* ---- Chunks ---------------------------------------------------------------
 */

/* All keys of the block, part by part. */
static void meet_rows(const backward *f, backward_queue *queue, mo_value *row,
                      int64_t rows, masking mask) {
  for (int64_t key = 0; key < f->plan->block_k; key += f->plan->part)
    backward_meet(f, queue,
                  &(backward_tile){.key = key,
                                   .keys = f->plan->part,
                                   .row = row,
                                   .rows = rows,
                                   .mask = mask});
}

/* Skipped where no segment id allows them. */
static void meet_chunks(const backward *f, mo_value *first, int64_t count,
                        masking mask) {
  mo_builder *b = f->b;
  backward_queue queue = {.count = 0};
  if (f->kv_ids) mo_if(b, backward_segments_meet(f, first, count));
  for (int64_t i = 0; i < count; i++) {
    mo_value *chunk = mo_add(b, first, number(f, i));
    mo_value *row = row_of(f, chunk, f->plan->block_q);
    meet_rows(f, &queue, row, f->plan->block_q, mask);
  }
  backward_flush(f, &queue);
  if (f->kv_ids) mo_end(b, MO_NONE);
}

/* Chunks first .. end - 1, `unroll` in a body. Gives the first left over. */
static mo_value *walk_bodies(const backward *f, mo_value *first, mo_value *end,
                             int64_t unroll) {
  mo_builder *b = f->b;
  mo_value *size = number(f, unroll);
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

/* ---- Full -----------------------------------------------------------------
 */

static void walk_full(const backward *f) {
  walk_seen(f, f->zero, chunk_of(f, f->rows_end, true));
}

/* ---- Band -----------------------------------------------------------------
 * Distances are from the row at the block's first key. */

/* The keys that a tile of rows at a distance sees. */
static backward_tile band_tile(const backward *f, int64_t distance) {
  const attention_window window = f->problem->window;
  int64_t tile = f->plan->tile, block = f->plan->block_k;
  int64_t first = 0, end = block;
  if (window.left != ATTENTION_OPEN)
    first = base_max(0, distance - window.left) / LANES * LANES;
  if (window.right < block)
    end = base_min(block, base_round_up(distance + tile + window.right, LANES));
  return (backward_tile){.key = first,
                         .keys = end - first,
                         .rows = tile,
                         .mask = MASK_BAND,
                         .ahead = distance - first};
}

/* Tiles at distances first .. end - 1, the last first: it sees most keys. */
static void walk_tiles(const backward *f, mo_value *own, int64_t first,
                       int64_t end) {
  mo_builder *b = f->b;
  int64_t tile = f->plan->tile;
  backward_queue queue = {.count = 0};
  for (int64_t at = end - tile; at >= first; at -= tile) {
    backward_tile t = band_tile(f, at);
    t.row = mo_multiple(b, mo_add(b, own, number(f, at)), (int)tile);
    t.first = f->plan->fresh && at + tile == end;
    if (f->plan->descending && at >= 0 && at < f->plan->block_k)
      backward_begin_rows(f, t.row, number(f, at), tile);
    if (t.keys > 0) backward_meet(f, &queue, &t);
  }
  backward_flush(f, &queue);
}

/* The rows of the panel at distances first .. end - 1, masked. */
static void walk_tiles_masked(const backward *f, mo_value *own, int64_t first,
                              int64_t end) {
  mo_builder *b = f->b;
  int64_t tile = f->plan->tile;
  backward_queue queue = {.count = 0};
  mo_value *from = clamp(f, mo_add(b, own, number(f, first)));
  mo_value *to = clamp(f, mo_add(b, own, number(f, end)));
  from = mo_div(b, from, number(f, tile));
  to = mo_div(b, to, number(f, tile));
  mo_value *at = mo_for(b, from, to, f->one, MO_NONE)[0];
  meet_rows(f, &queue, row_of(f, at, tile), tile, MASK_POSITION);
  backward_flush(f, &queue);
  mo_end(b, MO_NONE);
}

/* By tiles if the panel has all of these rows. */
static void walk_end(const backward *f, mo_value *own, int64_t first,
                     int64_t end) {
  mo_builder *b = f->b;
  if (first >= end) return;
  mo_value *from = mo_add(b, own, number(f, first));
  mo_value *to = mo_add(b, own, number(f, end));
  mo_value *within = mo_ge(b, from, f->zero);
  mo_if(b, mo_and(b, within, mo_le(b, to, f->rows_end)));
  walk_tiles(f, own, first, end);
  mo_else(b, MO_NONE);
  walk_tiles_masked(f, own, first, end);
  mo_end(b, MO_NONE);
}

/* The rows at the block's own positions: the panel has all of them, or none. */
static void walk_own(const backward *f, mo_value *own, int64_t first,
                     int64_t end) {
  mo_builder *b = f->b;
  bool sure = f->plan->panels == 1 && f->problem->offset == 0;
  if (first >= end) return;
  if (!sure) {
    mo_value *behind = mo_lt(b, own, f->rows_end);
    mo_if(b, mo_and(b, mo_ge(b, own, f->zero), behind));
  }
  walk_tiles(f, own, first, end);
  if (!sure) mo_end(b, MO_NONE);
}

static void walk_ends(const backward *f, mo_value *own, int64_t first,
                      int64_t end) {
  int64_t block = f->plan->block_k;
  walk_end(f, own, first, base_min(end, 0));
  walk_own(f, own, base_max(first, 0), base_min(end, block));
  walk_end(f, own, base_max(first, block), end);
}

/* Bodies over the rows that see all keys, and the two ends. */
static void walk_band_of(const backward *f, mo_value *own) {
  mo_builder *b = f->b;
  const backward_plan *plan = f->plan;
  const backward_band band = plan->band;
  if (band.seen >= band.seen_end) {
    walk_ends(f, own, band.begin, band.end);
    return;
  }
  walk_ends(f, own, band.begin, band.seen);
  mo_value *first = clamp(f, mo_add(b, own, number(f, band.seen)));
  mo_value *last = f->rows_end;
  if (f->problem->window.left != ATTENTION_OPEN)
    last = clamp(f, mo_add(b, own, number(f, band.seen_end)));
  first = chunk_of(f, first, false);
  walk_seen(f, first, chunk_of(f, last, false));
  walk_ends(f, own, band.seen_end, band.end);
}

/* Rows that see ahead would see keys that there are not. */
static void walk_band(const backward *f) {
  mo_builder *b = f->b;
  const backward_plan *plan = f->plan;
  bool ragged = f->problem->window.right > 0 && f->problem->Sk % plan->block_k;
  mo_value *own = mo_multiple(b, own_row(f), (int)plan->block_k);
  if (ragged) {
    mo_if(b, mo_eq(b, f->block, number(f, plan->k_blocks - 1)));
    walk_tiles_masked(f, own, plan->band.begin, plan->block_k);
    mo_else(b, MO_NONE);
  }
  walk_band_of(f, own);
  if (ragged) mo_end(b, MO_NONE);
}

/* ---- By position ----------------------------------------------------------
 */

/* Chunks of which some row sees some key, and those of which all see all. */
static void walk_position(const backward *f) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  /* the rows at the positions of the block's first and last key */
  mo_value *first = own_row(f);
  mo_value *last = mo_add(b, first, number(f, f->plan->block_k - 1));
  mo_value *some = f->zero, *every = f->zero, *every_end = f->rows_end,
           *some_end = f->rows_end;
  if (window.right != ATTENTION_OPEN) {
    mo_value *right = number(f, window.right);
    some = clamp(f, mo_sub(b, first, right));
    every = clamp(f, mo_sub(b, last, right));
  }
  if (window.left != ATTENTION_OPEN) {
    mo_value *beyond = number(f, window.left + 1);
    every_end = clamp(f, mo_add(b, first, beyond));
    some_end = clamp(f, mo_add(b, last, beyond));
  }
  some = chunk_of(f, some, false);
  every = chunk_of(f, every, true);
  every_end = chunk_of(f, every_end, false);
  some_end = chunk_of(f, some_end, true);
  if (f->problem->Sk % f->plan->block_k) { /* its end is to be hidden */
    mo_value *ragged = mo_eq(b, f->block, number(f, f->plan->k_blocks - 1));
    every = mo_select(b, ragged, some_end, every);
  }
  walk_masked(f, some, mo_min(b, every, some_end));
  walk_seen(f, every, every_end);
  walk_masked(f, mo_max(b, every, every_end), some_end);
}

void backward_walk(const backward *f) {
  switch (f->plan->walk) {
    case BACKWARD_FULL: walk_full(f); return;
    case BACKWARD_BAND: walk_band(f); return;
    case BACKWARD_POSITION: walk_position(f); return;
  }
}

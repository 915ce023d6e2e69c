/* Which keys a block of queries meets, and in what order.
 *
 *   full      bodies of whole chunks
 *   causal    bodies up to the block's own position, then the triangle by tiles
 *             of rows, each as wide as its last row sees:
 *
 *                 |--- bodies ---|xx
 *                 |--- bodies ---|xxxx
 *                 |--- bodies ---|xxxxxx
 *
 *   band      a narrow window, by tiles of rows: all that a tile sees at once
 *
 *                 xxxxxx
 *                   xxxxxx
 *                     xxxxxx
 *
 *   position  anything else: chunks that some row does not see are masked by
 *             what their positions are at run time
 *
 * A chunk is block_k keys; a body of a loop takes `unroll` of them, as many as
 * hide the MXU's filling and draining, about 220 cycles a body. */
#include "base/memory.h"
#include "kernels/forward_kernel.h"

/* The key that chunk `chunk` begins with. */
static mo_value *key_of(const forward *f, mo_value *chunk) {
  mo_builder *b = f->b;
  mo_value *key = mo_mul(b, chunk, mo_i32(b, (double)f->plan->block_k));
  return mo_multiple(b, key, (int)f->plan->block_k);
}

/* x / block_k, down or up, of numbers of at least 0. */
static mo_value *chunk_of(const forward *f, mo_value *x, bool up) {
  mo_builder *b = f->b;
  if (up) x = mo_add(b, x, mo_i32(b, (double)f->plan->block_k - 1));
  return mo_div(b, x, mo_i32(b, (double)f->plan->block_k));
}

/* Chunks first .. first + count - 1, in one straight line; skipped where no
 * segment id allows them. */
static void meet_chunks(const forward *f, mo_value *first, int64_t count,
                        masking mask) {
  mo_builder *b = f->b;
  if (f->kv_ids) mo_if(b, forward_segments_meet(f, first, count));
  forward_queue queue = {.ahead = f->plan->ahead};
  for (int64_t i = 0; i < count; i++) {
    mo_value *chunk = mo_add(b, first, mo_i32(b, (double)i));
    for (int64_t row = 0; row < f->plan->block_q; row += f->plan->rows)
      forward_attend(f, &queue,
                     &(forward_tile){.row = row,
                                     .rows = f->plan->rows,
                                     .key = key_of(f, chunk),
                                     .keys = f->plan->block_k,
                                     .mask = mask});
  }
  forward_flush(f, &queue);
  if (f->kv_ids) mo_end(b, MO_NONE);
}

/* Chunks first .. end - 1, `unroll` in a body. Gives the first left over. */
static mo_value *walk_bodies(const forward *f, mo_value *first, mo_value *end,
                             int64_t unroll) {
  mo_builder *b = f->b;
  mo_value *size = mo_i32(b, (double)unroll);
  mo_value *left = mo_max(b, mo_sub(b, end, first), f->zero);
  mo_value *bodies = mo_div(b, left, size);
  mo_value *body = mo_for(b, f->zero, bodies, f->one, MO_NONE)[0];
  mo_value *chunk = mo_add(b, first, mo_mul(b, body, size));
  meet_chunks(f, chunk, unroll, MASK_NONE);
  mo_end(b, MO_NONE);
  return mo_add(b, first, mo_mul(b, bodies, size));
}

/* Where all spans are whole bodies, nothing is left over. */
static void walk_seen(const forward *f, mo_value *first, mo_value *end) {
  const forward_plan *plan = f->plan;
  int64_t all = plan->segment ? plan->segment : plan->keys;
  bool whole = plan->walk == FORWARD_FULL && plan->keys % all == 0 &&
               all % (plan->unroll * plan->block_k) == 0;
  int64_t least = whole ? plan->unroll : 1;
  for (int64_t unroll = plan->unroll; unroll >= least; unroll /= 2)
    first = walk_bodies(f, first, end, unroll);
}

void forward_walk_chunk(const forward *f, mo_value *chunk) {
  meet_chunks(f, chunk, 1, MASK_POSITION);
}

static void walk_masked(const forward *f, mo_value *first, mo_value *end) {
  mo_builder *b = f->b;
  mo_value *chunk = mo_for(b, first, end, f->one, MO_NONE)[0];
  forward_walk_chunk(f, chunk);
  mo_end(b, MO_NONE);
}

static void finish_all(const forward *f) {
  for (int64_t row = 0; row < f->plan->block_q; row += f->plan->tile)
    forward_finish(f, row, f->plan->tile);
}

/* ---- Full -----------------------------------------------------------------
 */

static void walk_full(const forward *f) {
  mo_builder *b = f->b;
  int64_t chunks = f->plan->keys / f->plan->block_k;
  walk_seen(f, f->zero, mo_i32(b, (double)chunks));
  finish_all(f);
}

/* ---- Causal and band ------------------------------------------------------
 */

/* Widest first: the last to leave the MXU is then the narrowest, and the rows
 * before are finished meanwhile. Scores are made a tile early: tiles are too
 * small to hide what comes between their products. */
static void walk_causal(const forward *f) {
  int64_t tile = f->plan->tile;
  forward_queue queue = {.ahead = base_max(f->plan->ahead, 1)};
  walk_seen(f, f->zero, chunk_of(f, f->position, false));
  for (int64_t row = f->plan->block_q - tile; row >= 0; row -= tile)
    forward_attend(f, &queue,
                   &(forward_tile){.row = row,
                                   .rows = tile,
                                   .key = f->position,
                                   .keys = row + tile,
                                   .mask = MASK_BAND,
                                   .ahead = row,
                                   .last = true});
  forward_flush(f, &queue);
}

static void walk_band(const forward *f) {
  mo_builder *b = f->b;
  int64_t tile = f->plan->tile, before = f->plan->band_before;
  forward_queue queue = {.ahead = f->plan->ahead};
  for (int64_t row = 0; row < f->plan->block_q; row += tile) {
    mo_value *key = mo_add(b, f->position, mo_i32(b, (double)(row - before)));
    forward_attend(f, &queue,
                   &(forward_tile){.row = row,
                                   .rows = tile,
                                   .key = mo_multiple(b, key, f->plan->align),
                                   .keys = f->plan->band_keys,
                                   .mask = MASK_BAND,
                                   .ahead = before,
                                   .last = true});
  }
  forward_flush(f, &queue);
}

/* ---- By position ----------------------------------------------------------
 */

static mo_value *clamp(const forward *f, mo_value *x) {
  mo_builder *b = f->b;
  return mo_min(b, mo_max(b, x, f->zero), mo_i32(b, (double)f->problem->Sk));
}

forward_span forward_span_of(const forward *f, mo_value *position) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  mo_value *last = mo_i32(b, (double)f->plan->block_q - 1);
  mo_value *keys = mo_i32(b, (double)f->problem->Sk);
  mo_value *some = f->zero, *every = f->zero;
  mo_value *every_end = keys, *some_end = keys;
  last = mo_add(b, position, last);
  if (window.left != ATTENTION_OPEN) {
    mo_value *left = mo_i32(b, (double)window.left);
    some = clamp(f, mo_sub(b, position, left));
    every = clamp(f, mo_sub(b, last, left));
  }
  if (window.right != ATTENTION_OPEN) {
    mo_value *beyond = mo_i32(b, (double)window.right + 1);
    every_end = clamp(f, mo_add(b, position, beyond));
    some_end = clamp(f, mo_add(b, last, beyond));
  }
  forward_span span;
  span.some = chunk_of(f, some, false);
  span.every = chunk_of(f, every, true);
  span.every_end = chunk_of(f, every_end, false);
  span.some_end = chunk_of(f, some_end, true);
  return span;
}

/* x, no further than a bound, if there is one. */
static mo_value *least(const forward *f, mo_value *x, mo_value *bound) {
  return bound ? mo_min(f->b, x, bound) : x;
}

static mo_value *most(const forward *f, mo_value *x, mo_value *bound) {
  return bound ? mo_max(f->b, x, bound) : x;
}

/* What is masked on the right of a span: keys that some rows do not see, and
 * those that nobody does, if they are not streamed. */
static bool is_masked_right(const forward *f) {
  const forward_plan *plan = f->plan;
  return f->problem->window.right != ATTENTION_OPEN ||
         (!plan->segment && plan->keys != f->problem->Sk);
}

void forward_walk_span(const forward *f, forward_span span, mo_value *low,
                       mo_value *high) {
  mo_builder *b = f->b;
  if (f->problem->window.left != ATTENTION_OPEN) {
    mo_value *end = mo_min(b, span.every, span.some_end);
    mo_value *first = most(f, span.some, low);
    walk_masked(f, first, least(f, end, high));
  }
  mo_value *every = most(f, span.every, low);
  walk_seen(f, every, least(f, span.every_end, high));
  if (!is_masked_right(f)) return;
  mo_value *first = mo_max(b, span.every, span.every_end);
  first = most(f, first, low);
  walk_masked(f, first, least(f, span.some_end, high));
}

static void walk_position(const forward *f) {
  forward_span span = forward_span_of(f, f->position);
  mo_value *end = NULL;
  if (f->plan->segment)
    end = chunk_of(f, mo_i32(f->b, (double)f->plan->streamed), false);
  forward_walk_span(f, span, NULL, end);
  forward_stream_tail(f, span);
  finish_all(f);
}

/* Only some blocks have a band whose keys all exist. Those before it whose rows
 * the window's left end does not reach are as causal ones; what other blocks
 * there are is masked by position. */
static void walk_band_or_ends(const forward *f) {
  mo_builder *b = f->b;
  const forward_plan *plan = f->plan;
  mo_value *before = mo_i32(b, (double)plan->band_before);
  mo_value *last = mo_i32(b, (double)plan->band_last);
  mo_value *exists =
      mo_and(b, mo_ge(b, f->position, before), mo_le(b, f->position, last));
  if (!plan->band_causal && !plan->band_position) {
    walk_band(f);
    return;
  }
  mo_if(b, exists);
  walk_band(f);
  mo_else(b, MO_NONE);
  if (plan->band_causal && plan->band_position) {
    int64_t most = f->problem->window.left - plan->block_q + 1;
    mo_if(b, mo_le(b, f->position, mo_i32(b, (double)most)));
  }
  if (plan->band_causal) walk_causal(f);
  if (plan->band_causal && plan->band_position) mo_else(b, MO_NONE);
  if (plan->band_position) walk_position(f);
  if (plan->band_causal && plan->band_position) mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
}

static void walk_streamed(const forward *f) {
  if (f->plan->walk == FORWARD_BAND) {
    forward in = forward_stream_one(f);
    walk_band_or_ends(&in);
    return;
  }
  forward_stream_walk(f);
  finish_all(f);
}

void forward_walk(const forward *f) {
  if (f->plan->segment) {
    walk_streamed(f);
    return;
  }
  switch (f->plan->walk) {
    case FORWARD_FULL: walk_full(f); return;
    case FORWARD_CAUSAL: walk_causal(f); return;
    case FORWARD_BAND: walk_band_or_ends(f); return;
    case FORWARD_POSITION: walk_position(f); return;
  }
}

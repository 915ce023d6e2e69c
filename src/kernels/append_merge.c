/* What is new goes into a block. A tile of memory is 8 rows of 32-bit words, in
 * which rows of narrower elements stand side by side, and tokens of narrow rows
 * beside those:
 *
 *   bf16, D = 64   word row r   token 4r  | token 4r + 1    low halves
 *                               token 4r+2| token 4r + 3    high halves
 *
 * A new token may come to stand at any of these places. So what came is laid
 * out with a word an element and a row a token; there every row can be the
 * first that is loaded, and the tokens of one place are rows some apart. They
 * become words by shifts alone: the bits of a token never change, nor do those
 * of its neighbours. */
#include "base/memory.h"
#include "kernels/append_kernel.h"

enum { WORD_ROWS = 8, LANES = 128 };

static int bits_of(const append_kernel *k) {
  return mo_element_bits(kernels_element(k->cache.plan->cache_dtype));
}

static mo_value *full(const append_kernel *k, double number) {
  return mo_full(k->b, MO_I32, MO_SHAPE(WORD_ROWS, LANES), number);
}

/* An element a word: bf16 in its upper half, int8 with its sign. */
static mo_value *widened(const append_kernel *k, mo_value *x) {
  mo_builder *b = k->b;
  if (k->cache.plan->scaled) return mo_cast(b, x, MO_I32);
  return mo_bitcast(b, mo_cast(b, x, MO_F32), MO_I32);
}

/* Lays out what came for a head, or joined for all. */
static void stage(const append_kernel *k, const append_item *item,
                  mo_value *head, bool values) {
  mo_builder *b = k->b;
  const append_plan *plan = k->plan;
  int64_t rows = append_rows(plan, plan->window);
  mo_value *zero = mo_i32(b, 0);
  mo_value *at = decode_number(&k->cache, plan->block[APPEND_ROWS]);
  for (int64_t i = 0; i < plan->lanes[values] / LANES; i++) {
    mo_value *lane = decode_number(&k->cache, i * LANES);
    mo_value *x =
        mo_load(b, k->come[values], MO_VALUES(item->slot, head, zero, lane),
                MO_SHAPE(rows, LANES));
    mo_store(b, widened(k, x), k->staged[values],
             MO_VALUES(decode_number(&k->cache, i), at, zero));
  }
}

/* Of elements that are widened, those of row `i` of their words. */
static mo_value *in_word(const append_kernel *k, mo_value *x, int i) {
  mo_builder *b = k->b;
  int bits = bits_of(k);
  if (bits == 32) return x;
  if (bits == 16 && i == 1) return mo_and(b, x, full(k, -65536));
  if (bits == 16) return mo_and(b, mo_shr(b, x, full(k, 16)), full(k, 65535));
  return mo_shl(b, mo_and(b, x, full(k, 255)), full(k, 8 * i));
}

/* Words of a granule whose first token is row `first` of what is staged, from
 * lane `lane` of the cache's rows on. */
static mo_value *words_of(const append_kernel *k, bool values, mo_value *first,
                          int64_t lane) {
  mo_builder *b = k->b;
  int64_t pack = k->cache.plan->pack, rows = 32 / bits_of(k);
  int64_t apart = rows * pack;
  mo_shape shape = MO_SHAPE(WORD_ROWS, LANES);
  mo_value *words = NULL;
  for (int i = 0; i < apart; i++) {
    mo_value *at = decode_plus(&k->cache, first, i);
    mo_values where =
        MO_VALUES(decode_number(&k->cache, lane / LANES), at, mo_i32(b, 0));
    mo_value *x = apart == 1 ? mo_load(b, k->staged[values], where, shape)
                             : mo_load_strided(b, k->staged[values], where,
                                               shape, MO_SHAPE(1, apart, 1));
    x = in_word(k, x, i / (int)pack);
    int64_t place = i % pack * k->cache.plan->D; /* of lanes; zeros elsewhere */
    if (place) x = mo_rotate(b, x, mo_i32(b, (double)place), 1);
    words = words ? mo_or(b, words, x) : x;
  }
  return words;
}

static void merge_rows_of(const append_kernel *k, const append_item *item,
                          mo_value *head, bool values, mo_value *first,
                          mo_value *bits) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->cache.plan;
  int64_t width = values ? plan->v_width : plan->width;
  mo_value *zero = mo_i32(b, 0);
  mo_value *block = mo_ref_bitcast(b, k->blocks[values], MO_I32);
  mo_shape shape = MO_SHAPE(WORD_ROWS, LANES);
  mo_value *all = mo_eq(b, bits, full(k, -1));
  for (int64_t lane = 0; lane < width; lane += LANES) {
    mo_value *words = words_of(k, values, first, lane);
    mo_values at =
        MO_VALUES(item->slot, head, zero, decode_number(&k->cache, lane));
    mo_value *old = mo_load(b, block, at, shape);
    old = mo_and(b, old, mo_xor(b, bits, full(k, -1)));
    mo_value *both = mo_or(b, old, mo_and(b, words, bits));
    mo_store(b, mo_select(b, all, words, both), block, at);
  }
}

static void merge_rows(const append_kernel *k, const append_item *item) {
  mo_builder *b = k->b;
  const append_plan *plan = k->plan;
  int64_t tokens = plan->block[APPEND_ROWS];
  mo_value *base = decode_times(&k->cache, item->number, tokens);
  mo_value *first = mo_sub(b, append_position(k, base), item->length);
  first = mo_sub(b, first, append_window(k, item));
  first = decode_plus(&k->cache, first, tokens);
  mo_value *bits = decode_seen_bits(&k->cache, MO_SHAPE(WORD_ROWS, LANES),
                                    item->low, item->high);
  mo_value *zero = mo_i32(b, 0);
  for (int v = 0; plan->joined && v < 2; v++) stage(k, item, zero, v);
  mo_value *head = mo_for(b, zero, decode_number(&k->cache, plan->cache.Hkv),
                          mo_i32(b, 1), MO_NONE)[0];
  if (plan->joined)
    first = mo_add(b, first, decode_times(&k->cache, head, plan->window));
  for (int v = 0; v < 2; v++) {
    if (!plan->joined) stage(k, item, head, v);
    merge_rows_of(k, item, head, v, first, bits);
  }
  mo_end(b, MO_NONE);
}

/* ---- Scales ---------------------------------------------------------------
 * Of a block's lanes those in one turn of the chips are consecutive tokens:
 * lane l is new scale `shift` + l. */

/* Row `row` of 128 of a head's new scales, in every sublane; of the first or
 * last one where there is none. */
static mo_value *new_scales(const append_kernel *k, const append_item *item,
                            mo_value *head, bool values, mo_value *row) {
  mo_builder *b = k->b;
  int64_t last = k->plan->all_scales / LANES - 1;
  mo_value *zero = mo_i32(b, 0);
  row = mo_max(b, mo_min(b, row, decode_number(&k->cache, last)), zero);
  mo_value *at = mo_multiple(b, decode_times(&k->cache, row, LANES), LANES);
  mo_value *x =
      mo_load(b, k->scales_come[values], MO_VALUES(item->slot, head, zero, at),
              MO_SHAPE(1, LANES));
  return mo_broadcast(b, x, MO_SHAPE(WORD_ROWS, LANES));
}

static mo_value *shifted(const append_kernel *k, const append_item *item,
                         mo_value *head, bool values, mo_value *shift) {
  mo_builder *b = k->b;
  mo_value *row = decode_over(&k->cache, shift, LANES);
  mo_value *rest = mo_and(b, shift, mo_i32(b, LANES - 1));
  mo_value *room = mo_sub(b, mo_i32(b, LANES), rest);
  mo_value *back = mo_and(b, room, mo_i32(b, LANES - 1));
  mo_value *x = mo_rotate(b, new_scales(k, item, head, values, row), back, 1);
  if (k->plan->all_scales == LANES) return x; /* the others are not new */
  row = decode_plus(&k->cache, row, 1);
  mo_value *y = mo_rotate(b, new_scales(k, item, head, values, row), back, 1);
  mo_shape shape = MO_SHAPE(WORD_ROWS, LANES);
  mo_value *lane = mo_iota(b, shape, 1);
  return mo_select(b, mo_lt(b, lane, mo_broadcast(b, room, shape)), x, y);
}

/* `old` with the new scales of lanes at .. at + count - 1, the first of which
 * is the block's token `token`. */
static mo_value *with_scales(const append_kernel *k, const append_item *item,
                             mo_value *head, bool values, mo_value *old,
                             int64_t at, int64_t count, int64_t token) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(WORD_ROWS, LANES);
  mo_value *lane = mo_iota(b, shape, 1);
  mo_value *base =
      decode_times(&k->cache, item->number, k->plan->block[APPEND_SCALES]);
  mo_value *local = decode_plus(&k->cache, base, token);
  mo_value *shift = mo_sub(b, append_position(k, local), item->length);
  shift = decode_plus(&k->cache, shift, -at);
  mo_value *x = shifted(k, item, head, values, shift);
  mo_value *low = decode_plus(&k->cache, item->low, at - token);
  mo_value *high = decode_plus(&k->cache, item->high, at - token);
  low = mo_max(b, low, decode_number(&k->cache, at));
  high = mo_min(b, high, decode_number(&k->cache, at + count));
  mo_value *is = mo_ge(b, lane, mo_broadcast(b, low, shape));
  is = mo_and(b, is, mo_lt(b, lane, mo_broadcast(b, high, shape)));
  return mo_select(b, is, x, old);
}

/* A turn of the chips at a time; or once more for each time that the scales of
 * a page of few tokens stand there. */
static mo_value *merged_scales(const append_kernel *k, const append_item *item,
                               mo_value *head, bool values, mo_value *old) {
  const append_plan *plan = k->plan;
  int64_t tokens = plan->block[APPEND_SCALES], turn = tokens;
  if (plan->cache.chips > 1) turn = base_min(plan->cache.unit, tokens);
  for (int64_t at = 0; at < LANES; at += turn)
    old = with_scales(k, item, head, values, old, at, turn, at % tokens);
  return old;
}

static void merge_scales(const append_kernel *k, const append_item *item) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0);
  mo_value *head = mo_for(b, zero, decode_number(&k->cache, k->plan->cache.Hkv),
                          mo_i32(b, 1), MO_NONE)[0];
  for (int v = 0; v < 2; v++) {
    mo_values at = MO_VALUES(item->slot, head, zero, zero);
    mo_value *old = mo_load(b, k->scale_blocks[v], at, MO_SHAPE(1, LANES));
    old = mo_broadcast(b, old, MO_SHAPE(WORD_ROWS, LANES));
    mo_value *x = merged_scales(k, item, head, v, old);
    mo_store(b, mo_part(b, x, MO_SHAPE(0, 0), MO_SHAPE(1, LANES)),
             k->scale_blocks[v], at);
  }
  mo_end(b, MO_NONE);
}

void append_merge(const append_kernel *k, const append_item *item) {
  if (item->kind == APPEND_SCALES)
    merge_scales(k, item);
  else
    merge_rows(k, item);
}

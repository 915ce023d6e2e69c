/* The scalar side of decode: which tokens of which sequences a chip has, and
 * the copies that bring them.
 *
 * Tokens are spread in turns of `unit`: with U = unit and n chips, token x is
 * on chip (x / U) mod n, and there it is number x / (U n) U + x mod U. So what
 * a chip has of the first x tokens is a prefix of its own, and a mask over
 * positions is one over local numbers. */
#include "kernels/decode_kernel.h"

/* The rows of `entries`. */
enum { SEQUENCE, LENGTH, BEGIN, END, TILES, MARKS };
/* The columns of a row of `cursors`. */
enum { ENTRY, GROUP, TILE, NUMBER };

mo_value *decode_plus(const decode_kernel *k, mo_value *x, int64_t number) {
  return number ? mo_add(k->b, x, decode_number(k, number)) : x;
}

mo_value *decode_times(const decode_kernel *k, mo_value *x, int64_t number) {
  return number != 1 ? mo_mul(k->b, x, decode_number(k, number)) : x;
}

int decode_log(int64_t power) {
  int log = 0;
  while ((int64_t)1 << log < power) log++;
  return log;
}

mo_value *decode_over(const decode_kernel *k, mo_value *x, int64_t power) {
  return power > 1 ? mo_shr(k->b, x, decode_number(k, decode_log(power))) : x;
}

/* ---- Whose tokens ---------------------------------------------------------
 */

/* `number` in the shape of x. */
static mo_value *like(const decode_kernel *k, const mo_value *x,
                      mo_value *number) {
  if (!x || x->type->kind == MO_TYPE_SCALAR) return number;
  return mo_broadcast(k->b, number,
                      ((mo_shape){x->type->rank, x->type->shape}));
}

/* Tokens of a chip, whose first turn begins at token `mine`. */
static mo_value *count_from(const decode_kernel *k, mo_value *x,
                            mo_value *mine) {
  mo_builder *b = k->b;
  int64_t unit = k->plan->unit, turn = unit * k->plan->chips;
  mo_value *zero = like(k, x, decode_number(k, 0));
  mine = like(k, x, mine);
  mo_value *all = like(k, x, decode_number(k, unit));
  mo_value *turns =
      mo_shr(b, x, like(k, x, decode_number(k, decode_log(turn))));
  mo_value *rest = mo_and(b, x, like(k, x, decode_number(k, turn - 1)));
  rest = mo_max(b, mo_min(b, mo_sub(b, rest, mine), all), zero);
  return mo_add(b, mo_mul(b, turns, all), rest);
}

mo_value *decode_local_count(const decode_kernel *k, mo_value *x) {
  if (k->plan->chips == 1) return x;
  return count_from(k, x, decode_times(k, k->chip, k->plan->unit));
}

/* The same of a chip that is known: the first has most, the last least. */
static mo_value *count_on(const decode_kernel *k, mo_value *x, int64_t chip) {
  if (k->plan->chips == 1) return x;
  return count_from(k, x, decode_number(k, chip * k->plan->unit));
}

static void entry_set(const decode_kernel *k, int row, mo_value *index,
                      mo_value *x) {
  mo_set(k->b, x, k->entries, MO_VALUES(decode_number(k, row), index));
}

static mo_value *entry_part(const decode_kernel *k, int row, mo_value *index) {
  return mo_get(k->b, k->entries, MO_VALUES(decode_number(k, row), index));
}

decode_entry decode_entry_get(const decode_kernel *k, mo_value *index) {
  return (decode_entry){
      .sequence = entry_part(k, SEQUENCE, index),
      .length = entry_part(k, LENGTH, index),
      .begin = entry_part(k, BEGIN, index),
      .end = entry_part(k, END, index),
      .tiles = entry_part(k, TILES, index),
      .marks = k->plan->segment ? entry_part(k, MARKS, index) : NULL};
}

/* Down to a multiple of a power of two. */
static mo_value *floor_to(const decode_kernel *k, mo_value *x, int64_t power) {
  return mo_and(k->b, x, decode_number(k, -power));
}

/* The first local token that the sequence's first query sees, down to where a
 * copy can begin, and within the cache. */
static mo_value *begin_of(const decode_kernel *k, mo_value *length) {
  const decode_plan *plan = k->plan;
  if (plan->left >= plan->Smax) return decode_number(k, 0);
  mo_value *first = decode_plus(k, length, -(plan->T + plan->left));
  first = mo_max(k->b, first, decode_number(k, 0));
  int64_t multiple = plan->page     ? plan->page
                     : plan->scaled ? 128
                                    : plan->granule;
  mo_value *begin = floor_to(k, decode_local_count(k, first), multiple);
  return mo_min(k->b, begin, decode_number(k, plan->local - multiple));
}

static void list_part(const decode_kernel *k, mo_value *index,
                      mo_value *sequence, mo_value *length, mo_value *begin,
                      mo_value *end) {
  const decode_plan *plan = k->plan;
  mo_value *tokens = decode_plus(k, mo_sub(k->b, end, begin), plan->tile - 1);
  mo_value *tiles = mo_div(k->b, tokens, decode_number(k, plan->tile));
  entry_set(k, SEQUENCE, index, sequence);
  entry_set(k, LENGTH, index, length);
  entry_set(k, BEGIN, index, begin);
  entry_set(k, END, index, end);
  entry_set(k, TILES, index, mo_max(k->b, tiles, decode_number(k, 1)));
}

/* Segments `first` .. `last` - 1 of a sequence; the next entry's index. */
static mo_value *list_segments(const decode_kernel *k, mo_value *index,
                               mo_value *sequence, mo_value *length,
                               mo_value *first, mo_value *last) {
  mo_builder *b = k->b;
  int64_t segment = k->plan->segment;
  mo_value *window = begin_of(k, length);
  mo_value *tokens = decode_local_count(k, length);
  mo_value **in = mo_for(b, first, last, mo_i32(b, 1), MO_VALUES(index));
  mo_value *s = in[0], *at = in[1];
  mo_value *begin = decode_times(k, s, segment);
  mo_value *end = mo_min(b, tokens, decode_plus(k, begin, segment));
  begin = mo_max(b, begin, window);
  list_part(k, at, sequence, length, begin, mo_max(b, end, begin));
  mo_value *is_first = mo_cast(b, mo_eq(b, s, first), MO_I32);
  mo_value *is_last = mo_cast(b, mo_eq(b, decode_plus(k, s, 1), last), MO_I32);
  is_last = decode_times(k, is_last, DECODE_LAST);
  entry_set(k, MARKS, at, mo_or(b, is_first, is_last));
  return mo_end(b, MO_VALUES(decode_plus(k, at, 1)))[0];
}

/* A sequence's entry, or its segments', as many on all chips; the next one's
 * index. */
static mo_value *list_entry(const decode_kernel *k, mo_value *index,
                            mo_value *sequence, mo_value *length) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  if (!plan->segment) {
    mo_value *begin = begin_of(k, length);
    mo_value *end = decode_local_count(k, length);
    list_part(k, index, sequence, length, begin, end);
    return NULL;
  }
  mo_value *first = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_value *segment = decode_number(k, plan->segment);
  if (plan->left < plan->Smax) {
    mo_value *seen = decode_plus(k, length, -(plan->T + plan->left));
    seen = mo_max(b, seen, first);
    first = mo_div(b, count_on(k, seen, plan->chips - 1), segment);
  }
  mo_value *most = decode_plus(k, count_on(k, length, 0), plan->segment - 1);
  mo_value *last = mo_div(b, most, segment);
  last = mo_max(b, last, mo_add(b, first, one));
  return list_segments(k, index, sequence, length, first, last);
}

static mo_value *length_of(const decode_kernel *k, mo_value *sequence) {
  mo_value *length = mo_get(k->b, k->lengths_smem, MO_VALUES(sequence));
  length = mo_min(k->b, length, decode_number(k, k->plan->Smax));
  return mo_max(k->b, length, decode_number(k, 0));
}

/* Where an entry is listed for a sequence; the index of the next. */
static mo_value *next_entry(const decode_kernel *k, mo_value *index,
                            mo_value *sequence, mo_value *length) {
  mo_value *next = list_entry(k, index, sequence, length);
  return next ? next : decode_plus(k, index, 1);
}

mo_value *decode_list_entries(const decode_kernel *k,
                              mo_value **out_sequences) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  bool counts = k->plan->segment;
  mo_value *first = list_entry(k, zero, zero, length_of(k, zero));
  *out_sequences = one;
  if (!first) first = one;
  if (k->plan->B == 1) return first;
  mo_value *carried[] = {first, one};
  mo_values init = {1 + counts, carried};
  mo_value **in = mo_for(b, one, decode_number(k, k->plan->B), one, init);
  mo_value *sequence = in[0], *count = in[1], *sequences = in[1 + counts];
  mo_value *length = length_of(k, sequence);
  mo_if(b, mo_gt(b, length, zero));
  mo_value *more[2] = {next_entry(k, count, sequence, length)};
  if (counts) more[1] = mo_add(b, sequences, one);
  mo_else(b, ((mo_values){1 + counts, more}));
  mo_copy(b, k->zeros, mo_sub_ref(b, k->out_o, MO_VALUES(sequence)),
          k->zeros_stored);
  mo_value *same[] = {count, sequences};
  mo_value **out = mo_end(b, ((mo_values){1 + counts, same}));
  mo_value *both[] = {out[0], out[counts]};
  out = mo_end(b, ((mo_values){1 + counts, both}));
  *out_sequences = out[counts];
  return out[0];
}

void decode_wait_zeros(const decode_kernel *k, mo_value *sequences) {
  mo_builder *b = k->b;
  if (k->plan->B == 1) return;
  mo_value *zero = mo_i32(b, 0);
  mo_for(b, sequences, decode_number(k, k->plan->B), mo_i32(b, 1), MO_NONE);
  mo_wait_copy(b, k->zeros, mo_sub_ref(b, k->out_o, MO_VALUES(zero)),
               k->zeros_stored);
  mo_end(b, MO_NONE);
}

/* ---- Copies ---------------------------------------------------------------
 */

/* The tokens that tile t of an entry has, and where they begin: what is left of
 * the sequence, in whole granules. The eager first tile is as large as it can
 * be. */
typedef struct extent {
  mo_value *token, *tokens;
} extent;

static extent extent_of(const decode_kernel *k, const decode_entry *entry,
                        mo_value *t, mo_value *number) {
  const decode_plan *plan = k->plan;
  mo_builder *b = k->b;
  int64_t most = base_min(plan->tile, plan->local);
  mo_value *token = mo_add(b, entry->begin, decode_times(k, t, plan->tile));
  mo_value *rest = mo_sub(b, entry->end, token);
  rest = floor_to(k, decode_plus(k, rest, plan->granule - 1), plan->granule);
  rest = mo_min(b, rest, decode_number(k, most));
  rest = mo_max(b, rest, decode_number(k, plan->granule));
  if (plan->eager)
    rest = mo_select(b, mo_eq(b, number, mo_i32(b, 0)), decode_number(k, most),
                     rest);
  return (extent){token, rest};
}

static mo_value *slot_of(const decode_kernel *k, mo_value *number) {
  return mo_and(k->b, number, decode_number(k, k->plan->ring - 1));
}

/* Tokens as rows of the cache. */
static mo_value *rows_of(const decode_kernel *k, mo_value *tokens) {
  const decode_plan *plan = k->plan;
  return mo_multiple(k->b, decode_over(k, tokens, plan->pack),
                     (int)(plan->granule / plan->pack));
}

/* The first rows of a slot, and what says that they are there. */
static mo_value *place_of(const decode_kernel *k, bool values, mo_value *slot,
                          mo_value *rows, mo_value **out_arrived) {
  const decode_plan *plan = k->plan;
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0);
  int64_t width = values ? plan->v_width : plan->width;
  *out_arrived =
      mo_sub_ref(b, values ? k->v_arrived : k->k_arrived, MO_VALUES(slot));
  return mo_slice_sized(
      b, values ? k->v_ring : k->k_ring, MO_VALUES(slot, zero, zero, zero),
      MO_SHAPE(1, plan->heads, MO_DYNAMIC, width), MO_VALUES(rows));
}

static void copy_tile(const decode_kernel *k, bool values,
                      const decode_entry *entry, mo_value *group, mo_value *t,
                      mo_value *number) {
  const decode_plan *plan = k->plan;
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0), *arrived, *slot = slot_of(k, number);
  extent at = extent_of(k, entry, t, number);
  if (plan->page) {
    decode_copy_pages(k, values, entry, group, at.token, at.tokens, slot);
    return;
  }
  mo_value *head = decode_times(k, group, plan->heads);
  mo_value *rows = rows_of(k, at.tokens);
  int64_t width = values ? plan->v_width : plan->width;
  mo_value *from = mo_slice_sized(
      b, values ? k->v : k->k,
      MO_VALUES(entry->sequence, head, rows_of(k, at.token), zero),
      MO_SHAPE(1, plan->heads, MO_DYNAMIC, width), MO_VALUES(rows));
  mo_value *to = place_of(k, values, slot, rows, &arrived);
  mo_copy(b, from, to, arrived);
}

void decode_await(const decode_kernel *k, bool values,
                  const decode_entry *entry, mo_value *t, mo_value *number) {
  mo_value *arrived, *slot = slot_of(k, number);
  extent at = extent_of(k, entry, t, number);
  mo_value *to = place_of(k, values, slot, rows_of(k, at.tokens), &arrived);
  mo_wait_received(k->b, to, arrived);
  decode_await_page_scales(k, values, slot, at.tokens);
}

/* ---- Asking for tiles -----------------------------------------------------
 * K and V have a cursor each, that walks entries, in them groups of heads, in
 * them tiles. */

static mo_value *cursor(const decode_kernel *k, bool values, int column) {
  return mo_get(k->b, k->cursors,
                MO_VALUES(decode_number(k, values), decode_number(k, column)));
}

static void cursor_set(const decode_kernel *k, bool values, int column,
                       mo_value *x) {
  mo_set(k->b, x, k->cursors,
         MO_VALUES(decode_number(k, values), decode_number(k, column)));
}

void decode_next_job(const decode_kernel *k, mo_value **entry, mo_value **group,
                     mo_value *carry) {
  mo_builder *b = k->b;
  mo_value *next = mo_add(b, *group, carry);
  mo_value *wraps =
      mo_ge(b, next, decode_number(k, k->plan->Hkv / k->plan->heads));
  *entry = mo_add(b, *entry, mo_cast(b, wraps, MO_I32));
  *group = mo_select(b, wraps, mo_i32(b, 0), next);
}

/* The cursor at (entry, group, tile), one tile on. */
static void advance(const decode_kernel *k, bool values, mo_value *entry,
                    mo_value *group, mo_value *tile, mo_value *tiles) {
  mo_builder *b = k->b;
  tile = decode_plus(k, tile, 1);
  mo_value *wraps = mo_ge(b, tile, tiles);
  decode_next_job(k, &entry, &group, mo_cast(b, wraps, MO_I32));
  cursor_set(k, values, ENTRY, entry);
  cursor_set(k, values, GROUP, group);
  cursor_set(k, values, TILE, mo_select(b, wraps, mo_i32(b, 0), tile));
}

void decode_fetch(const decode_kernel *k, bool values, mo_value *entries) {
  mo_builder *b = k->b;
  mo_value *index = cursor(k, values, ENTRY);
  mo_if(b, mo_lt(b, index, entries));
  mo_value *number = cursor(k, values, NUMBER);
  decode_entry entry = decode_entry_get(k, index);
  mo_value *group = cursor(k, values, GROUP), *tile = cursor(k, values, TILE);
  copy_tile(k, values, &entry, group, tile, number);
  advance(k, values, index, group, tile, entry.tiles);
  cursor_set(k, values, NUMBER, decode_plus(k, number, 1));
  mo_end(b, MO_NONE);
}

void decode_fetch_eager(const decode_kernel *k) {
  mo_value *zero = mo_i32(k->b, 0);
  const decode_entry first = {.sequence = zero, .begin = zero, .end = zero};
  for (int values = 0; k->plan->eager && values < 2; values++)
    copy_tile(k, values, &first, zero, zero, zero);
}

void decode_fetch_begin(const decode_kernel *k, mo_value *entries) {
  mo_value *zero = mo_i32(k->b, 0), *one = mo_i32(k->b, 1);
  for (int values = 0; values < 2; values++) {
    for (int column = ENTRY; column <= NUMBER; column++)
      cursor_set(k, values, column, zero);
    if (!k->plan->eager) continue;
    advance(k, values, zero, zero, zero, entry_part(k, TILES, zero));
    cursor_set(k, values, NUMBER, one);
  }
  mo_for(k->b, decode_number(k, k->plan->eager),
         decode_number(k, k->plan->ring - 1), one, MO_NONE);
  for (int values = 0; values < 2; values++) decode_fetch(k, values, entries);
  mo_end(k->b, MO_NONE);
}

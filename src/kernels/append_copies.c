/* The copies of the append kernel. A block is a slice of the cache that begins
 * and ends between tiles of memory; what is new to it comes as it was given, a
 * few rows more than the block has. */
#include "kernels/append_kernel.h"

static void copy(const append_kernel *k, mo_value *from, mo_value *to,
                 mo_value *semaphores, mo_value *slot, bool wait) {
  mo_builder *b = k->b;
  mo_value *done = mo_sub_ref(b, semaphores, MO_VALUES(slot));
  if (wait)
    mo_wait_copy(b, from, to, done);
  else
    mo_copy(b, from, to, done);
}

/* Slot `slot` of [slots, Hkv, rows, lanes]. */
static mo_value *slot_of(const append_kernel *k, mo_value *ref,
                         mo_value *slot) {
  mo_value *zero = mo_i32(k->b, 0);
  const int64_t *shape = ref ? ref->type->shape : (const int64_t[4]){0};
  return mo_slice(k->b, ref, MO_VALUES(slot, zero, zero, zero),
                  MO_SHAPE(1, shape[1], shape[2], shape[3]));
}

/* Where a block lies in K or V, or in their scales. */
static mo_value *place_of(const append_kernel *k, const append_item *item,
                          bool values) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  const decode_plan *plan = cache->plan;
  bool scales = item->kind == APPEND_SCALES;
  int64_t tokens = k->plan->block[item->kind];
  int64_t pack = scales ? 1 : plan->pack, step = tokens / pack;
  mo_value *first = item->sequence, *at = item->number, *zero = mo_i32(b, 0);
  if (plan->page) {
    int64_t blocks = plan->page / tokens;
    mo_value *page = decode_over(cache, at, blocks);
    first = decode_page_at(cache, item->sequence, page);
    at = mo_and(b, at, decode_number(cache, blocks - 1));
  }
  at = mo_multiple(b, decode_times(cache, at, step), (int)step);
  if (scales) {
    mo_value *ref = cache->scales[values];
    if (plan->page && plan->page <= 128) at = zero;
    return mo_slice(b, ref, MO_VALUES(first, zero, zero, at),
                    MO_SHAPE(1, plan->Hkv, 1, 128));
  }
  return mo_slice(
      b, values ? cache->v : cache->k, MO_VALUES(first, zero, at, zero),
      MO_SHAPE(1, plan->Hkv, step, values ? plan->v_width : plan->width));
}

mo_value *append_window(const append_kernel *k, const append_item *item) {
  mo_builder *b = k->b;
  const append_plan *plan = k->plan;
  const decode_kernel *cache = &k->cache;
  if (plan->joined) return mo_i32(b, 0);
  int64_t tile = plan->window - plan->block[APPEND_ROWS];
  mo_value *base = decode_times(cache, item->number, plan->block[APPEND_ROWS]);
  mo_value *first = mo_sub(b, append_position(k, base), item->length);
  first = mo_and(b, first, decode_number(cache, -tile));
  first = mo_max(b, first, mo_i32(b, 0));
  int64_t last = plan->cache.T - plan->window;
  return mo_multiple(b, mo_min(b, first, decode_number(cache, last)),
                     (int)tile);
}

static mo_value *news_of(const append_kernel *k, const append_item *item,
                         bool values) {
  mo_builder *b = k->b;
  const append_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  if (item->kind == APPEND_SCALES)
    return mo_slice(b, k->new_scales[values],
                    MO_VALUES(item->sequence, zero, zero, zero),
                    MO_SHAPE(1, plan->cache.Hkv, 1, plan->all_scales));
  mo_value *first = append_window(k, item);
  return mo_slice(
      b, k->news[values], MO_VALUES(item->sequence, zero, first, zero),
      MO_SHAPE(1, append_heads(plan), append_rows(plan, plan->window),
               plan->lanes[values]));
}

static mo_value *block_of(const append_kernel *k, const append_item *item,
                          bool values) {
  bool scales = item->kind == APPEND_SCALES;
  return slot_of(k, scales ? k->scale_blocks[values] : k->blocks[values],
                 item->slot);
}

void append_fetch(const append_kernel *k, const append_item *item, bool wait) {
  mo_builder *b = k->b;
  bool scales = item->kind == APPEND_SCALES;
  for (int v = 0; v < 2; v++) {
    mo_value *from = news_of(k, item, v);
    mo_value *to =
        slot_of(k, scales ? k->scales_come[v] : k->come[v], item->slot);
    copy(k, from, to, k->fetched, item->slot, wait);
  }
  mo_if(b, mo_xor(b, item->whole, mo_bool(b, true)));
  for (int v = 0; v < 2; v++) {
    mo_value *from = place_of(k, item, v);
    copy(k, from, block_of(k, item, v), k->fetched, item->slot, wait);
  }
  mo_end(b, MO_NONE);
}

void append_store(const append_kernel *k, const append_item *item, bool wait) {
  for (int v = 0; v < 2; v++) {
    mo_value *from = block_of(k, item, v);
    copy(k, from, place_of(k, item, v), k->stored, item->slot, wait);
  }
}

/* ---- Whole pages ----------------------------------------------------------
 * A page that several sequences have is another's before one of them writes to
 * it. All are on their way at once. */

static void copy_page(const append_kernel *k, mo_value *ref, mo_value *from,
                      mo_value *to, bool wait) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0);
  if (!ref) return;
  const int64_t *shape = ref->type->shape;
  mo_shape page = MO_SHAPE(1, shape[1], shape[2], shape[3]);
  mo_value *source = mo_slice(b, ref, MO_VALUES(from, zero, zero, zero), page);
  mo_value *target = mo_slice(b, ref, MO_VALUES(to, zero, zero, zero), page);
  copy(k, source, target, k->fetched, zero, wait);
}

/* The page of the next token, if this chip has it and it is to be a copy. */
static void copy_page_of(const append_kernel *k, mo_value *sequence,
                         bool wait) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  const decode_plan *plan = cache->plan;
  append_span new = append_span_of(k, sequence);
  mo_value *source = mo_get(b, k->sources_smem, MO_VALUES(sequence));
  mo_value *page = decode_over(cache, new.length, plan->page);
  mo_value *wanted =
      mo_and(b, mo_ge(b, source, mo_i32(b, 0)), mo_gt(b, new.end, new.length));
  if (plan->chips > 1) {
    mo_value *chip = mo_and(b, page, decode_number(cache, plan->chips - 1));
    wanted = mo_and(b, wanted, mo_eq(b, chip, cache->chip));
  }
  mo_if(b, wanted);
  mo_value *from = decode_over(cache, source, plan->chips);
  mo_value *to =
      decode_page_at(cache, sequence, decode_over(cache, page, plan->chips));
  copy_page(k, cache->k, from, to, wait);
  copy_page(k, cache->v, from, to, wait);
  for (int v = 0; v < 2; v++) copy_page(k, cache->scales[v], from, to, wait);
  mo_end(b, MO_NONE);
}

void append_copy_pages(const append_kernel *k) {
  mo_builder *b = k->b;
  for (int wait = 0; wait < 2; wait++) {
    mo_value *batch = decode_number(&k->cache, k->plan->cache.B);
    mo_value *sequence =
        mo_for(b, mo_i32(b, 0), batch, mo_i32(b, 1), MO_NONE)[0];
    copy_page_of(k, sequence, wait);
    mo_end(b, MO_NONE);
  }
}

/* A paged cache: a tile is brought page by page, to the places that it would
 * have in a contiguous one. Nothing after that knows of pages.
 *
 * The page of a sequence's tokens i page .. (i + 1) page - 1 lies on chip i mod
 * n; its number modulo the n chips is that as well, and divided by them it is
 * its place there. A page's heads lie beside each other, so that one copy takes
 * those of a job. */
#include "kernels/decode_kernel.h"

enum { UNROLL = 8 };

mo_value *decode_page_at(const decode_kernel *k, mo_value *sequence,
                         mo_value *i) {
  const decode_plan *plan = k->plan;
  mo_value *row = decode_times(k, sequence, plan->pages);
  mo_value *page = mo_get(k->b, k->table_smem, MO_VALUES(mo_add(k->b, row, i)));
  return decode_over(k, page, plan->chips);
}

/* The copy of `rows` rows of a page to row `to` of a slot. */
static void copy_page(const decode_kernel *k, bool values, mo_value *page,
                      mo_value *group, mo_value *rows, mo_value *slot,
                      mo_value *to) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  mo_value *head = decode_times(k, group, plan->heads);
  int64_t whole = plan->page / plan->pack;
  mo_shape shape = MO_SHAPE(1, plan->heads, rows ? MO_DYNAMIC : whole,
                            values ? plan->v_width : plan->width);
  mo_value *sizes[] = {rows};
  mo_values size = {rows ? 1 : 0, sizes};
  mo_value *from = mo_slice_sized(
      b, values ? k->v : k->k, MO_VALUES(page, head, zero, zero), shape, size);
  mo_value *target =
      mo_slice_sized(b, values ? k->v_ring : k->k_ring,
                     MO_VALUES(slot, zero, to, zero), shape, size);
  mo_value *arrived = values ? k->v_arrived : k->k_arrived;
  mo_copy(b, from, target, mo_sub_ref(b, arrived, MO_VALUES(slot)));
  if (plan->scaled) decode_copy_page_scales(k, values, page, group, slot, to);
}

/* Whole pages begin .. end - 1 of those from local page `first` on, `unroll` at
 * a time: the scalar unit then works on several addresses at once. */
static void copy_whole(const decode_kernel *k, bool values,
                       const decode_entry *entry, mo_value *group,
                       mo_value *first, mo_value *slot, mo_value *begin,
                       mo_value *end, int unroll) {
  mo_builder *b = k->b;
  int64_t rows = k->plan->page / k->plan->pack;
  mo_value *i = mo_for(b, begin, end, decode_number(k, unroll), MO_NONE)[0];
  for (int j = 0; j < unroll; j++) {
    mo_value *at = decode_plus(k, i, j);
    mo_value *page = decode_page_at(k, entry->sequence, mo_add(b, first, at));
    mo_value *to = mo_multiple(b, decode_times(k, at, rows), (int)rows);
    copy_page(k, values, page, group, NULL, slot, to);
  }
  mo_end(b, MO_NONE);
}

static void copy_pages(const decode_kernel *k, bool values,
                       const decode_entry *entry, mo_value *group,
                       mo_value *token, mo_value *tokens, mo_value *slot) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t whole = plan->page / plan->pack;
  mo_value *zero = mo_i32(b, 0);
  mo_value *first = decode_over(k, token, plan->page);
  mo_value *full = decode_over(k, tokens, plan->page), *done = zero;
  if (plan->tile / plan->page >= UNROLL) {
    done = mo_and(b, full, decode_number(k, -UNROLL));
    copy_whole(k, values, entry, group, first, slot, zero, done, UNROLL);
  }
  copy_whole(k, values, entry, group, first, slot, done, full, 1);
  if (plan->granule == plan->page) return;
  mo_value *rest = mo_and(b, tokens, decode_number(k, plan->page - 1));
  mo_if(b, mo_gt(b, rest, zero));
  mo_value *page = decode_page_at(k, entry->sequence, mo_add(b, first, full));
  mo_value *to = mo_multiple(b, decode_times(k, full, whole), (int)whole);
  rest = mo_multiple(b, decode_over(k, rest, plan->pack),
                     (int)(plan->granule / plan->pack));
  copy_page(k, values, page, group, rest, slot, to);
  mo_end(b, MO_NONE);
}

void decode_copy_pages(const decode_kernel *k, bool values,
                       const decode_entry *entry, mo_value *group,
                       mo_value *token, mo_value *tokens, mo_value *slot) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  mo_if(b, mo_lt(b, token, entry->end));
  copy_pages(k, values, entry, group, token, tokens, slot);
  mo_else(b, MO_NONE);
  /* a chip without tokens brings a granule all the same: of any page */
  mo_value *rows = plan->granule == plan->page
                       ? NULL
                       : decode_number(k, plan->granule / plan->pack);
  copy_page(k, values, zero, group, rows, slot, zero);
  mo_end(b, MO_NONE);
}

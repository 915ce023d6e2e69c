#include "kernels/masks.h"

#include "base/memory.h"
#include "kernels/columns.h"

static mo_shape shape_of(const mo_value *x) {
  return x ? (mo_shape){x->type->rank, x->type->shape} : MO_RANK_0;
}

static mo_value *hide(mo_builder *b, mask_form form, mo_value *seen,
                      mo_value *tile) {
  mo_value *unseen = mo_full(b, MO_F32, shape_of(tile), form.hidden);
  return seen ? mo_select(b, seen, tile, unseen) : tile;
}

static mo_value *both(mo_builder *b, mo_value *x, mo_value *y) {
  return x && y ? mo_and(b, x, y) : x ? x : y;
}

/* c - r, of a part whose first key is `first` of its tile. */
static mo_value *beyond(mo_builder *b, mask_form form, mo_shape part,
                        int64_t first) {
  mo_value *keys = mo_iota(b, part, form.key_dimension);
  mo_value *apart = mo_sub(b, keys, mo_iota(b, part, 1 - form.key_dimension));
  return first ? mo_add(b, apart, mo_full(b, MO_I32, part, (double)first))
               : apart;
}

/* Keys first .. end - 1 of the tile. */
static mo_value *part_of(mo_builder *b, mask_form form, mo_value *tile,
                         int64_t first, int64_t end) {
  int64_t offsets[2] = {0, 0};
  int64_t sizes[2] = {tile->type->shape[0], tile->type->shape[1]};
  offsets[form.key_dimension] = first;
  sizes[form.key_dimension] = end - first;
  mo_shape from = {2, offsets}, size = {2, sizes};
  return mo_part(b, tile, from, size);
}

static mo_value *masked_part(mo_builder *b, mask_form form, mo_value *tile,
                             int64_t first, int64_t end,
                             attention_window window, int64_t ahead) {
  mo_value *part = part_of(b, form, tile, first, end), *seen = NULL;
  mo_shape shape = shape_of(part);
  if (window.left != ATTENTION_OPEN) {
    double least = (double)(ahead - window.left);
    seen = mo_ge(b, beyond(b, form, shape, first),
                 mo_full(b, MO_I32, shape, least));
  }
  if (window.right != ATTENTION_OPEN) {
    double most = (double)(ahead + window.right);
    seen = both(b, seen,
                mo_le(b, beyond(b, form, shape, first),
                      mo_full(b, MO_I32, shape, most)));
  }
  return hide(b, form, seen, part);
}

static int64_t clamp(int64_t x, int64_t most) {
  return base_min(base_max(x, 0), most);
}

mo_value *masks_by_band(mo_builder *b, mask_form form, mo_value *tile,
                        attention_window window, int64_t ahead) {
  if (!tile) return NULL;
  int64_t rows = tile->type->shape[1 - form.key_dimension];
  int64_t keys = tile->type->shape[form.key_dimension];
  int64_t left = 0, right = keys;
  if (window.left != ATTENTION_OPEN)
    left = clamp(base_round_up(ahead - window.left + rows - 1, LANES), keys);
  if (window.right != ATTENTION_OPEN)
    right = clamp((ahead + window.right + 1) / LANES * LANES, keys);
  if (left > right) return masked_part(b, form, tile, 0, keys, window, ahead);
  const attention_window to_left = {window.left, ATTENTION_OPEN};
  const attention_window to_right = {ATTENTION_OPEN, window.right};
  mo_value *parts[3];
  int count = 0;
  if (left)
    parts[count++] = masked_part(b, form, tile, 0, left, to_left, ahead);
  if (left < right) parts[count++] = part_of(b, form, tile, left, right);
  if (right < keys)
    parts[count++] = masked_part(b, form, tile, right, keys, to_right, ahead);
  return count == 1 ? parts[0]
                    : mo_concatenate(b, ((mo_values){count, parts}),
                                     form.key_dimension);
}

mo_value *masks_by_position(mo_builder *b, mask_form form, mo_value *tile,
                            attention_window window, mo_value *ahead,
                            mo_value *keys) {
  mo_shape shape = shape_of(tile);
  mo_value *seen = NULL;
  if (window.left != ATTENTION_OPEN) {
    mo_value *least = mo_sub(b, ahead, mo_i32(b, (double)window.left));
    least = mo_broadcast(b, least, shape);
    seen = mo_ge(b, beyond(b, form, shape, 0), least);
  }
  if (window.right != ATTENTION_OPEN) {
    mo_value *most = mo_add(b, ahead, mo_i32(b, (double)window.right));
    most = mo_broadcast(b, most, shape);
    seen = both(b, seen, mo_le(b, beyond(b, form, shape, 0), most));
  }
  if (keys) {
    mo_value *key = mo_iota(b, shape, form.key_dimension);
    seen = both(b, seen, mo_lt(b, key, mo_broadcast(b, keys, shape)));
  }
  return hide(b, form, seen, tile);
}

mo_value *masks_by_segment(mo_builder *b, mask_form form, mo_value *tile,
                           mo_value *column, mo_value *row) {
  if (!tile) return NULL;
  column = columns_spread(b, column, tile->type->shape[1]);
  row = mo_broadcast(b, row, shape_of(tile));
  return hide(b, form, mo_eq(b, column, row), tile);
}

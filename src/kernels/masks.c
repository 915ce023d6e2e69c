#include "kernels/masks.h"

#include <math.h>

#include "base/memory.h"
#include "kernels/columns.h"

static mo_shape shape_of(const mo_value *x) {
  return x ? (mo_shape){x->type->rank, x->type->shape} : MO_RANK_0;
}

static mo_value *hide(mo_builder *b, mo_value *seen, mo_value *scores) {
  mo_value *unseen = mo_full(b, MO_F32, shape_of(scores), -INFINITY);
  return seen ? mo_select(b, seen, scores, unseen) : scores;
}

static mo_value *both(mo_builder *b, mo_value *x, mo_value *y) {
  return x && y ? mo_and(b, x, y) : x ? x : y;
}

/* c - r of the columns from `first` on. */
static mo_value *beyond(mo_builder *b, mo_shape tile, int64_t first) {
  mo_value *apart = mo_sub(b, mo_iota(b, tile, 1), mo_iota(b, tile, 0));
  return first ? mo_add(b, apart, mo_full(b, MO_I32, tile, (double)first))
               : apart;
}

/* Columns `first` .. end - 1 of the scores, masked. */
static mo_value *mask_columns(mo_builder *b, mo_value *scores, int64_t first,
                              int64_t end, attention_window window,
                              int64_t ahead) {
  mo_shape tile = MO_SHAPE(scores->type->shape[0], end - first);
  mo_value *part = mo_part(b, scores, MO_SHAPE(0, first), tile), *seen = NULL;
  if (window.left != ATTENTION_OPEN) {
    double least = (double)(ahead - window.left);
    seen = mo_ge(b, beyond(b, tile, first), mo_full(b, MO_I32, tile, least));
  }
  if (window.right != ATTENTION_OPEN) {
    double most = (double)(ahead + window.right);
    seen =
        both(b, seen,
             mo_le(b, beyond(b, tile, first), mo_full(b, MO_I32, tile, most)));
  }
  return hide(b, seen, part);
}

static int64_t clamp(int64_t x, int64_t most) {
  return base_min(base_max(x, 0), most);
}

mo_value *masks_by_band(mo_builder *b, mo_value *scores,
                        attention_window window, int64_t ahead) {
  if (!scores) return NULL;
  int64_t rows = scores->type->shape[0], keys = scores->type->shape[1];
  int64_t left = 0, right = keys;
  if (window.left != ATTENTION_OPEN)
    left = clamp(base_round_up(ahead - window.left + rows - 1, LANES), keys);
  if (window.right != ATTENTION_OPEN)
    right = clamp((ahead + window.right + 1) / LANES * LANES, keys);
  const attention_window to_left = {window.left, ATTENTION_OPEN};
  const attention_window to_right = {ATTENTION_OPEN, window.right};
  if (left > right) return mask_columns(b, scores, 0, keys, window, ahead);
  mo_value *parts[3];
  int count = 0;
  if (left) parts[count++] = mask_columns(b, scores, 0, left, to_left, ahead);
  if (left < right)
    parts[count++] =
        mo_part(b, scores, MO_SHAPE(0, left), MO_SHAPE(rows, right - left));
  if (right < keys)
    parts[count++] = mask_columns(b, scores, right, keys, to_right, ahead);
  return count == 1 ? parts[0]
                    : mo_concatenate(b, ((mo_values){count, parts}), 1);
}

mo_value *masks_by_position(mo_builder *b, mo_value *scores,
                            attention_window window, mo_value *ahead,
                            mo_value *columns) {
  mo_shape tile = shape_of(scores);
  mo_value *seen = NULL;
  if (window.left != ATTENTION_OPEN) {
    mo_value *least = mo_sub(b, ahead, mo_i32(b, (double)window.left));
    seen = mo_ge(b, beyond(b, tile, 0), mo_broadcast(b, least, tile));
  }
  if (window.right != ATTENTION_OPEN) {
    mo_value *most = mo_add(b, ahead, mo_i32(b, (double)window.right));
    most = mo_broadcast(b, most, tile);
    seen = both(b, seen, mo_le(b, beyond(b, tile, 0), most));
  }
  if (columns) {
    mo_value *count = mo_broadcast(b, columns, tile);
    seen = both(b, seen, mo_lt(b, mo_iota(b, tile, 1), count));
  }
  return hide(b, seen, scores);
}

mo_value *masks_by_segment(mo_builder *b, mo_value *scores, mo_value *row_ids,
                           mo_value *key_ids) {
  if (!scores) return NULL;
  mo_value *ids = columns_spread(b, row_ids, scores->type->shape[1]);
  key_ids = mo_broadcast(b, key_ids, shape_of(scores));
  return hide(b, mo_eq(b, ids, key_ids), scores);
}

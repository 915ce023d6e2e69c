#include "kernels/columns.h"

#include "base/memory.h"

static int64_t rows_of(const mo_value *x) { return x ? x->type->shape[0] : 0; }

static int64_t width_of(const mo_value *x) { return x ? x->type->shape[1] : 0; }

/* Columns from `first` on. */
static mo_value *part_of(mo_builder *b, mo_value *x, int64_t first,
                         int64_t count) {
  return mo_part(b, x, MO_SHAPE(0, first), MO_SHAPE(rows_of(x), count));
}

mo_value *columns_spread(mo_builder *b, mo_value *column, int64_t width) {
  mo_value *parts[MO_CARRIED_MAX];
  int count = 0;
  for (int64_t left = width; left > 0; left -= LANES)
    parts[count++] = left < LANES ? part_of(b, column, 0, left) : column;
  return count == 1 ? parts[0]
                    : mo_concatenate(b, ((mo_values){count, parts}), 1);
}

mo_value *columns_fold(mo_builder *b, mo_value *x) {
  mo_value *sum = part_of(b, x, 0, LANES);
  for (int64_t at = LANES; at < width_of(x); at += LANES)
    sum = mo_add(b, sum, part_of(b, x, at, LANES));
  return sum;
}

mo_value *columns_make(mo_builder *b, mo_value *x) {
  return mo_broadcast(b, x, MO_SHAPE(rows_of(x), LANES));
}

mo_value *columns_invert(mo_builder *b, mo_value *x) {
  mo_value *r = mo_reciprocal_approx(b, x);
  mo_value *two = mo_full(b, MO_F32, MO_SHAPE(rows_of(x), width_of(x)), 2);
  return mo_mul(b, r, mo_sub(b, two, mo_mul(b, x, r)));
}

mo_value *columns_clip(mo_builder *b, mo_value *row, mo_value *count,
                       double otherwise) {
  if (!row || !count) return row;
  mo_shape shape = {row->type->rank, row->type->shape};
  mo_value *there =
      mo_lt(b, mo_iota(b, shape, 1), mo_broadcast(b, count, shape));
  return mo_select(b, there, row,
                   mo_full(b, row->type->element, shape, otherwise));
}

/* A square of 128 rows holds row i's number at [i, i], among others; with all
 * but the diagonal at 0, the sum over its rows is the row. */
mo_value *columns_to_row(mo_builder *b, mo_value *column) {
  mo_shape square = MO_SHAPE(LANES, LANES);
  mo_value *diagonal = mo_eq(b, mo_iota(b, square, 0), mo_iota(b, square, 1));
  mo_value *parts[MO_CARRIED_MAX];
  int count = 0;
  for (int64_t at = 0; at < rows_of(column); at += LANES) {
    mo_value *part = mo_part(b, column, MO_SHAPE(at, 0), square);
    part = mo_select(b, diagonal, part, mo_full(b, MO_F32, square, 0));
    parts[count++] = mo_reduce(b, MO_SUM, part, 0);
  }
  return count == 1 ? parts[0]
                    : mo_concatenate(b, ((mo_values){count, parts}), 1);
}

mo_value *columns_from_row(mo_builder *b, mo_value *row) {
  mo_shape square = MO_SHAPE(LANES, LANES);
  mo_value *parts[MO_CARRIED_MAX];
  int count = 0;
  for (int64_t at = 0; at < width_of(row); at += LANES) {
    mo_value *part = mo_part(b, row, MO_SHAPE(0, at), MO_SHAPE(1, LANES));
    part = mo_broadcast(b, part, square);
    parts[count++] = mo_transpose(b, part, MO_SHAPE(1, 0));
  }
  return count == 1 ? parts[0]
                    : mo_concatenate(b, ((mo_values){count, parts}), 0);
}

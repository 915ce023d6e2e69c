/* Who sees whom in a tile of scores [rows, keys], row r of it standing at
 * position p + r and its column c being key j + c. `ahead` is p - j: row r sees
 * column c where ahead - left <= c - r <= ahead + right. */
#ifndef PFL_KERNELS_MASKS_H
#define PFL_KERNELS_MASKS_H

#include "attention/problem.h"
#include "mosaic/builder.h"

/* Scores where they are seen, elsewhere -inf; by an `ahead` that is known now.
 * Columns that every row sees are left alone. */
mo_value *masks_by_band(mo_builder *b, mo_value *scores,
                        attention_window window, int64_t ahead);

/* By an i32 of the kernel; of columns, the first `columns` exist, NULL: all. */
mo_value *masks_by_position(mo_builder *b, mo_value *scores,
                            attention_window window, mo_value *ahead,
                            mo_value *columns);

/* By segment ids: of rows, a column [rows, 128]; of keys, a row [1, keys]. */
mo_value *masks_by_segment(mo_builder *b, mo_value *scores, mo_value *row_ids,
                           mo_value *key_ids);

#endif

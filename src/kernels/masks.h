/* Who sees whom in a tile of scores, [rows, keys] or [keys, rows]: its query r
 * stands at position p + r, its key c is key j + c. `ahead` is p - j: query r
 * sees key c where ahead - left <= c - r <= ahead + right. */
#ifndef PFL_KERNELS_MASKS_H
#define PFL_KERNELS_MASKS_H

#include "attention/problem.h"
#include "mosaic/builder.h"

typedef struct mask_form {
  int key_dimension; /* 1: [rows, keys], 0: [keys, rows] */
  double hidden;     /* what takes the place of a tile's element unseen */
} mask_form;

/* By an `ahead` that is known now. Keys that every query sees are left alone.
 */
mo_value *masks_by_band(mo_builder *b, mask_form form, mo_value *tile,
                        attention_window window, int64_t ahead);

/* By an i32 of the kernel; of the tile's keys the first `keys` exist, NULL:
 * all. */
mo_value *masks_by_position(mo_builder *b, mask_form form, mo_value *tile,
                            attention_window window, mo_value *ahead,
                            mo_value *keys);

/* By segment ids: a column [n, 128] for the first dimension, a row [1, n] for
 * the second. */
mo_value *masks_by_segment(mo_builder *b, mask_form form, mo_value *tile,
                           mo_value *column, mo_value *row);

#endif

/* Numbers of rows, in the two forms that the TPU's vectors make cheap, and how
 * one becomes the other. A vector register is 8 sublanes by 128 lanes.
 *
 *   a column   [rows, 128], every lane of a row the same: what is done row by
 *              row to a tile [rows, n]
 *   a row      [1, rows], a row's number in the lane of its index: how LSE lies
 *              in memory, and what is done column by column to a tile */
#ifndef PFL_KERNELS_COLUMNS_H
#define PFL_KERNELS_COLUMNS_H

#include "mosaic/builder.h"

enum { LANES = 128, SUBLANES = 8 };

/* A column [rows, 128] beside a tile of `width` columns: [rows, width]. */
mo_value *columns_spread(mo_builder *b, mo_value *column, int64_t width);

/* [rows, n] to [rows, 128], whose row sums are the same; n a multiple of 128.
 * Adds whole registers: the sum across lanes is left for the end. */
mo_value *columns_fold(mo_builder *b, mo_value *x);

/* [rows, 1] to a column. */
mo_value *columns_make(mo_builder *b, mo_value *x);

/* 1 / x to about 2^-23, x > 0: the unit's 12 bits and a step of Newton's, a
 * third of the ops of a division. NaN for 0 and infinity. */
mo_value *columns_invert(mo_builder *b, mo_value *x);

/* A row with `otherwise` from its element `count` on, count an i32; NULL: the
 * row as it is. What lies beyond a tensor's end is not to decide anything. */
mo_value *columns_clip(mo_builder *b, mo_value *row, mo_value *count,
                       double otherwise);

/* A column [rows, 128] of f32 to a row [1, rows]; rows a multiple of 128. */
mo_value *columns_to_row(mo_builder *b, mo_value *column);

/* And back; of 32 bits of any type. */
mo_value *columns_from_row(mo_builder *b, mo_value *row);

#endif

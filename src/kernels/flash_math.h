/* What the flash kernels compute alike. */
#ifndef PFL_KERNELS_FLASH_MATH_H
#define PFL_KERNELS_FLASH_MATH_H

#include "attention/problem.h"
#include "mosaic/builder.h"

#define FLASH_LOG2_E 1.4426950408889634
#define FLASH_LN_2 0.6931471805599453

/* x times a number; f32. */
mo_value *flash_times(mo_builder *b, mo_value *x, double factor);

/* Scores of Q K^T: scaled, capped, in units of log2. *out_capped is the tanh of
 * the softcap, if there is one; it may be NULL. */
mo_value *flash_scores(mo_builder *b, const attention_problem *problem,
                       mo_value *qk, mo_value **out_capped);

#endif

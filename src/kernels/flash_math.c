#include "kernels/flash_math.h"

mo_value *flash_times(mo_builder *b, mo_value *x, double factor) {
  if (!x) return NULL;
  mo_shape shape = {x->type->rank, x->type->shape};
  return mo_mul(b, x, mo_full(b, MO_F32, shape, factor));
}

mo_value *flash_scores(mo_builder *b, const attention_problem *problem,
                       mo_value *qk, mo_value **out_capped) {
  double cap = problem->softcap;
  if (cap == 0) return flash_times(b, qk, problem->scale * FLASH_LOG2_E);
  mo_value *capped = mo_tanh(b, flash_times(b, qk, problem->scale / cap));
  if (out_capped) *out_capped = capped;
  return flash_times(b, capped, cap * FLASH_LOG2_E);
}

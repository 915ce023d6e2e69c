/* What a problem costs: FLOPs, pairs, bytes. Doubles, since the products of
 * sizes that each fit need not. */
#include "attention/problem.h"

double attention_forward_flops(const attention_problem *problem) {
  const attention_problem *p = problem;
  double pairs = (double)p->B * (double)p->Hq * (double)p->Sq * (double)p->Sk;
  double flops = pairs * 2 * (double)(p->D + p->Dv);
  return p->window.right == 0 ? flops / 2 : flops;
}

double attention_backward_flops(const attention_problem *problem) {
  return 2.5 * attention_forward_flops(problem);
}

double attention_visible_pairs(const attention_problem *problem) {
  double pairs = 0;
  for (int64_t i = 0; i < problem->Sq; i++) {
    attention_range keys = attention_visible_keys(
        problem->window, i + problem->offset, problem->Sk);
    pairs += (double)base_max(0, keys.end - keys.begin);
  }
  return pairs;
}

double attention_seen_flops(const attention_problem *problem) {
  const attention_problem *p = problem;
  bool left = p->window.left != ATTENTION_OPEN;
  bool right = p->window.right != ATTENTION_OPEN && p->window.right != 0;
  if (!left && !right) return attention_forward_flops(p);
  return (double)p->B * (double)p->Hq * attention_visible_pairs(p) * 2 *
         (double)(p->D + p->Dv);
}

double attention_decode_bytes(const attention_decode_problem *problem,
                              const int32_t *lengths) {
  const attention_decode_problem *p = problem;
  double tokens = (double)p->B * (double)p->Smax;
  if (lengths) {
    tokens = 0;
    for (int64_t b = 0; b < p->B; b++) tokens += lengths[b];
  }
  size_t scales = p->cache_dtype == PFL_DTYPE_I8 ? 2 * sizeof(float) : 0;
  size_t token_bytes =
      (size_t)(p->D + p->Dv) * pfl_dtype_size(p->cache_dtype) + scales;
  return tokens * (double)p->Hkv * (double)token_bytes;
}

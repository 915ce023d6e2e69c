/* exp2 and tanh on vectors, over vector_avx2.h or vector_avx512.h, which is
 * included before. The coefficients are minimax ones (Remez exchange, relative
 * error). */
#ifndef PFL_CPU_VECTOR_MATH_H
#define PFL_CPU_VECTOR_MATH_H

/* 2^x with a relative error of at most 2 ulp (2.4e-7) where the result is
 * normal, for x up to 127; 0 for x < -150, -inf included; exactly 1 at 0; NaN
 * for NaN. 2^x = 2^n 2^f with n = round(x); the polynomial's own error is
 * 2.6e-9. */
static inline vf vf_exp2(vf x) {
  x = vf_min(vf_set(VF_EXP2_HIGH), vf_max(vf_set(VF_EXP2_LOW), x));
  vf n = vf_round(x), f = vf_sub(x, n);
  vf p = vf_set(0.0001559467816f);
  p = vf_fma(p, f, vf_set(0.00134066439f));
  p = vf_fma(p, f, vf_set(0.009617692973f));
  p = vf_fma(p, f, vf_set(0.05550310551f));
  p = vf_fma(p, f, vf_set(0.2402265278f));
  p = vf_fma(p, f, vf_set(0.693147215f));
  p = vf_fma(p, f, vf_set(1.0f));
  return vf_scale(p, n);
}

/* tanh with a relative error of at most 4 ulp. Near 0 an odd polynomial, whose
 * error is 4.4e-9, since 1 - 2 / (e^2x + 1) cancels there. */
static inline vf vf_tanh(vf x) {
  vf size = vf_abs(x), square = vf_mul(x, x);
  vf p = vf_set(-0.005704987764f);
  p = vf_fma(p, square, vf_set(0.02063908793f));
  p = vf_fma(p, square, vf_set(-0.05373971529f));
  p = vf_fma(p, square, vf_set(0.133314422f));
  p = vf_fma(p, square, vf_set(-0.3333328194f));
  vf small = vf_fma(vf_mul(p, square), x, x);
  vf twice_log2e = vf_set(2.885390082f); /* tanh is 1 in f32 beyond 9.1 */
  vf e = vf_exp2(vf_mul(vf_min(vf_set(10), size), twice_log2e));
  vf large = vf_sub(vf_set(1), vf_div(vf_set(2), vf_add(e, vf_set(1))));
  return vf_select_less(size, vf_set(0.625f), small, vf_copysign(large, x));
}

#endif

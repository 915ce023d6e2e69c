/* The loops of lanes.h. Before including it define LANES_TABLE, the table's
 * name. The polynomials of exp and log are those of Cody and Waite (Software
 * Manual for the Elementary Functions, 1980) in spirit: a reduced argument, a
 * Taylor or minimax polynomial, and a power of two. */
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "sim/lanes.h"

#if defined(__clang__)
/* fmodf and the like are no vector code */
#pragma clang diagnostic ignored "-Wpass-failed"
#define LANES_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define LANES_LOOP _Pragma("GCC ivdep")
#endif

/* Memory is looked at as floats here and as integers there. */
typedef float __attribute__((may_alias)) lane_f32;
typedef int32_t __attribute__((may_alias)) lane_i32;
typedef uint32_t __attribute__((may_alias)) lane_u32;
typedef uint16_t __attribute__((may_alias)) lane_u16;
typedef int16_t __attribute__((may_alias)) lane_i16;

#define INLINE static inline __attribute__((always_inline))

/* ---- Mathematics ------------------------------------------------------------
 * Straight-line, so that the loops become vectors. */

/* Adding this rounds to a whole number, which then stands in the low bits. */
#define LANE_MAGIC 12582912.f /* 3 * 2^22 */

/* p 2^n for the whole number n = round - LANE_MAGIC, |n| <= 252, in two steps
 * so that neither factor leaves the normal range. */
INLINE float lane_scale(float p, float round) {
  int32_t n = (int32_t)(base_f32_bits(round) - base_f32_bits(LANE_MAGIC));
  int32_t half = n >> 1;
  float s = base_f32_from_bits((uint32_t)(half + 127) << 23);
  float t = base_f32_from_bits((uint32_t)(n - half + 127) << 23);
  return p * s * t;
}

/* e^r for |r| <= ln 2 / 2: the Taylor polynomial, error below 2^-27. */
INLINE float lane_exp_part(float r) {
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  return p * r + 1.f;
}

INLINE float lane_exp2(float x) {
  float y = x < -160.f ? -160.f : x;
  y = y > 160.f ? 160.f : y;
  float round = y + LANE_MAGIC;
  return lane_scale(lane_exp_part((y - (round - LANE_MAGIC)) * 0.693147181f),
                    round);
}

INLINE float lane_exp(float x) {
  float y = x < -110.f ? -110.f : x;
  y = y > 100.f ? 100.f : y;
  float round = y * 1.44269504f + LANE_MAGIC, n = round - LANE_MAGIC;
  /* ln 2 in two parts, the first short enough that n times it is exact */
  float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
  return lane_scale(lane_exp_part(r), round);
}

/* x = 2^e (1 + f) with 1 + f in [sqrt 1/2, sqrt 2]; returns log(1 + f). */
INLINE float lane_log_part(float x, float *out_e) {
  int small = x < 1.17549435e-38f;
  float y = small ? x * 33554432.f : x;
  uint32_t bits = base_f32_bits(y);
  uint32_t up = bits + (0x3f800000u - 0x3f3504f3u);
  float e = (float)((int32_t)(up >> 23) - 127) - (small ? 25.f : 0.f);
  float f = base_f32_from_bits((up & 0x7fffffu) + 0x3f3504f3u) - 1.f;
  /* log(1 + f) = 2 atanh(s), s = f / (2 + f): |s| <= 0.1716 */
  float s = f / (2.f + f), z = s * s;
  float p = 2.f / 9;
  p = p * z + 2.f / 7;
  p = p * z + 2.f / 5;
  p = p * z + 2.f / 3;
  *out_e = e;
  /* f - s (f - s^2 p): exact where f is small */
  return f - s * (f - z * p);
}

INLINE float lane_log_end(float x, float log) {
  float y = x == 0.f ? -INFINITY : log;
  y = x < 0.f ? NAN : y;
  return x == INFINITY || x != x ? x : y;
}

INLINE float lane_log(float x) {
  float e, part = lane_log_part(x, &e);
  return lane_log_end(x, e * 0.693359375f + (part - e * 2.12194440e-4f));
}

INLINE float lane_log2(float x) {
  float e, part = lane_log_part(x, &e);
  return lane_log_end(x, e + part * 1.44269504f);
}

INLINE float lane_tanh(float x) {
  float a = fabsf(x);
  float big = 1.f - 2.f / (lane_exp(2.f * a) + 1.f);
  float z = x * x; /* for |x| < 0.625, Cephes' polynomial */
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float little = x + x * z * p;
  float signed_big = x < 0.f ? -big : big;
  return a < 0.625f ? little : x != x ? x : signed_big;
}

/* To 12 bits of mantissa: what an approximate result may be off by. */
INLINE float lane_cut(float x) {
  uint32_t bits = base_f32_bits(x);
  uint32_t cut = bits & 0xfffff000u;
  return base_f32_from_bits(x != x ? bits : cut);
}

INLINE int32_t lane_ctpop(uint32_t x) {
  x -= x >> 1 & 0x55555555u;
  x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
  return (int32_t)(((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
}

INLINE int32_t lane_ctlz(uint32_t x) {
  x |= x >> 1;
  x |= x >> 2;
  x |= x >> 4;
  x |= x >> 8;
  x |= x >> 16;
  return 32 - lane_ctpop(x);
}

/* ---- Loops --------------------------------------------------------------- */

#define UNARY(name, T, U, result)                                     \
  static void loop_##name(void *out, const void *in, int64_t count) { \
    T *o = out;                                                       \
    const U *x = in;                                                  \
    LANES_LOOP for (int64_t i = 0; i < count; i++) {                  \
      U a = x[i];                                                     \
      o[i] = (T)(result);                                             \
    }                                                                 \
  }

#define BINARY_LOOP(A, B, result)                  \
  LANES_LOOP for (int64_t i = 0; i < count; i++) { \
    __typeof__(*x) a = A, b = B;                   \
    (void)b;                                       \
    o[i] = result;                                 \
  }
#define BINARY(name, T, U, result)                                     \
  static void loop_##name(void *out, const void *lhs, const void *rhs, \
                          int64_t count, int steps) {                  \
    T *o = out;                                                        \
    const U *x = lhs, *y = rhs;                                        \
    if (steps == (SIM_STEP_A | SIM_STEP_B)) {                          \
      BINARY_LOOP(x[i], y[i], result)                                  \
    } else if (steps == SIM_STEP_A) {                                  \
      U one = *y;                                                      \
      BINARY_LOOP(x[i], one, result)                                   \
    } else if (steps == SIM_STEP_B) {                                  \
      U one = *x;                                                      \
      BINARY_LOOP(one, y[i], result)                                   \
    } else {                                                           \
      U one = *x, other = *y;                                          \
      BINARY_LOOP(one, other, result)                                  \
    }                                                                  \
  }

#define LOOP(name, result) UNARY(name, lane_f32, lane_f32, result)
SIM_UNARY_F32(LOOP)
#undef LOOP
#define LOOP(name, result) UNARY(name, lane_i32, lane_i32, result)
SIM_UNARY_I32(LOOP)
#undef LOOP
#define LOOP(name, result) BINARY(name, lane_f32, lane_f32, result)
SIM_BINARY_F32(LOOP)
#undef LOOP
#define LOOP(name, result) BINARY(name, lane_i32, lane_i32, result)
SIM_BINARY_I32(LOOP)
#undef LOOP
#define LOOP(name, result) BINARY(cmpf_##name, uint8_t, lane_f32, result)
SIM_COMPARE_F32(LOOP)
#undef LOOP
#define LOOP(name, result) BINARY(cmpi_##name, uint8_t, lane_i32, result)
SIM_COMPARE_I32(LOOP)
#undef LOOP

#define SELECT(name, T)                                                     \
  static void name(void *out, const uint8_t *mask, const void *lhs,         \
                   const void *rhs, int64_t count, int steps) {             \
    T *o = out;                                                             \
    const T *x = lhs, *y = rhs;                                             \
    if (steps == (SIM_STEP_A | SIM_STEP_B)) {                               \
      LANES_LOOP for (int64_t i = 0; i < count; i++) {                      \
        T a = x[i], b = y[i];                                               \
        o[i] = mask[i] ? a : b;                                             \
      }                                                                     \
      return;                                                               \
    }                                                                       \
    int64_t p = steps & SIM_STEP_A ? 1 : 0, q = steps & SIM_STEP_B ? 1 : 0; \
    T one = *x, other = *y;                                                 \
    if (p) {                                                                \
      LANES_LOOP for (int64_t i = 0; i < count; i++) {                      \
        T a = x[i];                                                         \
        o[i] = mask[i] ? a : other;                                         \
      }                                                                     \
    } else if (q) {                                                         \
      LANES_LOOP for (int64_t i = 0; i < count; i++) {                      \
        T b = y[i];                                                         \
        o[i] = mask[i] ? one : b;                                           \
      }                                                                     \
    } else {                                                                \
      LANES_LOOP for (int64_t i = 0; i < count; i++) o[i] =                 \
          mask[i] ? one : other;                                            \
    }                                                                       \
  }
SELECT(select4, lane_u32)
SELECT(select2, lane_u16)
SELECT(select1, uint8_t)

/* 16 running results, so that they make vectors, and then one of them. The
 * first element starts them all where `keep` is not neutral on zero. */
#define REDUCE(name, T, combine)                                        \
  static void name(T *out, const T *in, int64_t count, int64_t width) { \
    for (int64_t r = 0; r < count; r++, in += width) {                  \
      const T *x = in;                                                  \
      T sums[16], total;                                                \
      int64_t i = 0;                                                    \
      if (width >= 16) {                                                \
        for (int k = 0; k < 16; k++) sums[k] = x[k];                    \
        for (i = 16; i + 16 <= width; i += 16)                          \
          for (int k = 0; k < 16; k++) {                                \
            T a = sums[k], b = x[i + k];                                \
            sums[k] = combine;                                          \
          }                                                             \
        total = sums[0];                                                \
        for (int k = 1; k < 16; k++) {                                  \
          T a = total, b = sums[k];                                     \
          total = combine;                                              \
        }                                                               \
      } else {                                                          \
        total = x[i++];                                                 \
      }                                                                 \
      for (; i < width; i++) {                                          \
        T a = total, b = x[i];                                          \
        total = combine;                                                \
      }                                                                 \
      out[r] = total;                                                   \
    }                                                                   \
  }
#define REDUCTION(name, combine) REDUCE(reduce_##name##_f32, float, combine)
REDUCTION(add, a + b)
REDUCTION(mul, a *b)
REDUCTION(maximumf, ((a > b) | (a != a)) ? a : b)
REDUCTION(minimumf, ((a < b) | (a != a)) ? a : b)
#undef REDUCTION
#define REDUCTION(name, combine) REDUCE(reduce_##name##_i32, int32_t, combine)
REDUCTION(add, (int32_t)((uint32_t)a + (uint32_t)b))
REDUCTION(mul, (int32_t)((uint32_t)a *(uint32_t)b))
REDUCTION(maxsi, a > b ? a : b)
REDUCTION(minsi, a < b ? a : b)
REDUCTION(and, a &b)
REDUCTION(or, a | b)
REDUCTION(xor, a ^ b)
#undef REDUCTION

/* ---- Conversions --------------------------------------------------------- */

INLINE uint16_t lane_to_bf16(float a) {
  uint32_t bits = base_f32_bits(a);
  uint32_t up = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (uint16_t)(a != a ? bits >> 16 | 0x40 : up);
}

/* Towards zero within [-2^31, 2^31 - 1]; 2147483520 is the largest f32 of
 * these. */
INLINE int32_t lane_to_i32(float a) {
  float low = a < -2147483648.f ? -2147483648.f : a;
  float in = low > 2147483520.f ? 2147483520.f : low;
  int32_t cut = (int32_t)(in != in ? 0.f : in);
  return a >= 2147483648.f ? INT32_MAX : cut;
}

INLINE uint32_t lane_to_u32(float a) {
  double in = a > 0.f ? (double)a : 0.; /* NaN too */
  return in >= 4294967295. ? UINT32_MAX : (uint32_t)(int64_t)in;
}

UNARY(f32_to_bf16, lane_u16, lane_f32, lane_to_bf16(a))
UNARY(bf16_to_f32, lane_f32, lane_u16, base_f32_from_bits((uint32_t)a << 16))
UNARY(f32_to_f16, lane_u16, lane_f32, base_f32_to_f16(a))
UNARY(f16_to_f32, lane_f32, lane_u16, base_f16_to_f32(a))
UNARY(i32_to_f32, lane_f32, lane_i32, (float)a)
UNARY(u32_to_f32, lane_f32, lane_u32, (float)a)
UNARY(f32_to_i32, lane_i32, lane_f32, lane_to_i32(a))
UNARY(f32_to_u32, lane_u32, lane_f32, lane_to_u32(a))
UNARY(i8_to_i32, lane_i32, int8_t, a)
UNARY(u8_to_i32, lane_i32, uint8_t, a)
UNARY(i16_to_i32, lane_i32, lane_i16, a)
UNARY(u16_to_i32, lane_i32, lane_u16, a)
UNARY(i32_to_i8, uint8_t, lane_i32, a)
UNARY(i32_to_i16, lane_u16, lane_i32, a)
UNARY(i32_to_i1, uint8_t, lane_i32, a & 1)
UNARY(weird, uint8_t, lane_f32, !(fabsf(a) < INFINITY))
UNARY(round_bf16, lane_f32, lane_f32,
      base_f32_from_bits((uint32_t)lane_to_bf16(a) << 16))

/* ---- The table ----------------------------------------------------------- */

const sim_lanes LANES_TABLE = {
#define LOOP(name, result) .name = loop_##name,
    SIM_UNARY_F32(LOOP) SIM_UNARY_I32(LOOP) SIM_BINARY_F32(LOOP)
        SIM_BINARY_I32(LOOP)
#undef LOOP
#define LOOP(name, result) loop_cmpf_##name,
            .cmpf = {SIM_COMPARE_F32(LOOP)},
#undef LOOP
#define LOOP(name, result) loop_cmpi_##name,
    .cmpi = {SIM_COMPARE_I32(LOOP)},
#undef LOOP
#define LOOP(name, loop) .reduce_##name##_f32 = reduce_##name##_f32,
    SIM_REDUCE_F32(LOOP)
#undef LOOP
#define LOOP(name, loop) .reduce_##name##_i32 = reduce_##name##_i32,
        SIM_REDUCE_I32(LOOP)
#undef LOOP
            .select4 = select4,
    .select2 = select2,
    .select1 = select1,
    .f32_to_bf16 = loop_f32_to_bf16,
    .bf16_to_f32 = loop_bf16_to_f32,
    .f32_to_f16 = loop_f32_to_f16,
    .f16_to_f32 = loop_f16_to_f32,
    .i32_to_f32 = loop_i32_to_f32,
    .u32_to_f32 = loop_u32_to_f32,
    .f32_to_i32 = loop_f32_to_i32,
    .f32_to_u32 = loop_f32_to_u32,
    .i8_to_i32 = loop_i8_to_i32,
    .u8_to_i32 = loop_u8_to_i32,
    .i16_to_i32 = loop_i16_to_i32,
    .u16_to_i32 = loop_u16_to_i32,
    .i32_to_i8 = loop_i32_to_i8,
    .i32_to_i16 = loop_i32_to_i16,
    .i32_to_i1 = loop_i32_to_i1,
    .round_bf16 = loop_round_bf16,
    .weird = loop_weird,
};

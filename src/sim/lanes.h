/* Loops over the elements of vectors, one table of functions for each
 * instruction set: the same text, lanes_template.h, that the compiler makes
 * vectors of.
 *
 * Elements are of 32 bits here, f32 or i32, or the bytes 0 and 1 of i1; others
 * are widened to these, strip by strip (elements.c). Where operands and result
 * have elements of one size, the result may be one of the operands. No
 * allocation, no state; pointers are aligned to their elements. */
#ifndef PFL_SIM_LANES_H
#define PFL_SIM_LANES_H

#include <stdint.h>

/* Whether an operand moves on with the result or is one element for all. */
enum { SIM_STEP_A = 1, SIM_STEP_B = 2 };

/* X(name, result from a and b) */
#define SIM_BINARY_F32(X)                   \
  X(addf, a + b)                            \
  X(subf, a - b)                            \
  X(mulf, a *b)                             \
  X(divf, a / b)                            \
  X(maximumf, ((a > b) | (a != a)) ? a : b) \
  X(minimumf, ((a < b) | (a != a)) ? a : b) \
  X(remf, fmodf(a, b))                      \
  X(powf, powf(a, b))

/* Divisions by zero give -1, as the chip's do not trap. */
#define SIM_BINARY_I32(X)                                            \
  X(addi, (int32_t)((uint32_t)a + (uint32_t)b))                      \
  X(subi, (int32_t)((uint32_t)a - (uint32_t)b))                      \
  X(muli, (int32_t)((uint32_t)a * (uint32_t)b))                      \
  X(divsi, !b ? -1 : b == -1 ? (int32_t)(0 - (uint32_t)a) : a / b)   \
  X(divui, !b ? -1 : (int32_t)((uint32_t)a / (uint32_t)b))           \
  X(remsi, !b ? a : b == -1 ? 0 : a % b)                             \
  X(remui, !b ? a : (int32_t)((uint32_t)a % (uint32_t)b))            \
  X(maxsi, a > b ? a : b)                                            \
  X(minsi, a < b ? a : b)                                            \
  X(andi, a &b)                                                      \
  X(ori, a | b)                                                      \
  X(xori, a ^ b)                                                     \
  X(shli, (uint32_t)b > 31 ? 0 : (int32_t)((uint32_t)a << (b & 31))) \
  X(shrsi, a >> ((uint32_t)b > 31 ? 31 : b))                         \
  X(shrui, (uint32_t)b > 31 ? 0 : (int32_t)((uint32_t)a >> (b & 31)))

/* In the order of arith.cmpf's predicates, and of arith.cmpi's. */
#define SIM_COMPARE_F32(X)     \
  X(false, (a != a) & 0)       \
  X(oeq, a == b)               \
  X(ogt, a > b)                \
  X(oge, a >= b)               \
  X(olt, a < b)                \
  X(ole, a <= b)               \
  X(one, (a < b) | (a > b))    \
  X(ord, (a == a) & (b == b))  \
  X(ueq, !((a < b) | (a > b))) \
  X(ugt, !(a <= b))            \
  X(uge, !(a < b))             \
  X(ult, !(a >= b))            \
  X(ule, !(a > b))             \
  X(une, a != b)               \
  X(uno, (a != a) | (b != b))  \
  X(true, (a == a) | 1)

#define SIM_COMPARE_I32(X)           \
  X(eq, a == b)                      \
  X(ne, a != b)                      \
  X(slt, a < b)                      \
  X(sle, a <= b)                     \
  X(sgt, a > b)                      \
  X(sge, a >= b)                     \
  X(ult, (uint32_t)a < (uint32_t)b)  \
  X(ule, (uint32_t)a <= (uint32_t)b) \
  X(ugt, (uint32_t)a > (uint32_t)b)  \
  X(uge, (uint32_t)a >= (uint32_t)b)

/* X(name, result from a) */
#define SIM_UNARY_F32(X)                  \
  X(negf, -a)                             \
  X(absf, fabsf(a))                       \
  X(exp, lane_exp(a))                     \
  X(exp2, lane_exp2(a))                   \
  X(log, lane_log(a))                     \
  X(log2, lane_log2(a))                   \
  X(log1p, log1pf(a))                     \
  X(tanh, lane_tanh(a))                   \
  X(sqrt, sqrtf(a))                       \
  X(rsqrt, 1.f / sqrtf(a))                \
  X(sin, sinf(a))                         \
  X(cos, cosf(a))                         \
  X(erf, erff(a))                         \
  X(floor, floorf(a))                     \
  X(ceil, ceilf(a))                       \
  X(round, roundf(a))                     \
  X(roundeven, rintf(a))                  \
  X(reciprocal, 1.f / a)                  \
  X(reciprocal_approx, lane_cut(1.f / a)) \
  X(logistic, 1.f / (1.f + lane_exp(-a)))

#define SIM_UNARY_I32(X)                               \
  X(absi, a < 0 ? (int32_t)(0 - (uint32_t)a) : a)      \
  X(negi, (int32_t)(0 - (uint32_t)a))                  \
  X(clamp8, a<-128 ? -128 : a> 127 ? 127 : a)          \
  X(clamp16, a<-32768 ? -32768 : a> 32767 ? 32767 : a) \
  X(ctpop, lane_ctpop((uint32_t)a))                    \
  X(ctlz, lane_ctlz((uint32_t)a))

typedef void sim_unary_fn(void *out, const void *a, int64_t count);
typedef void sim_binary_fn(void *out, const void *a, const void *b,
                           int64_t count, int steps);

/* How elements of a vector are combined into one. */
#define SIM_REDUCE_F32(X) \
  X(add, addf) X(mul, mulf) X(maximumf, maximumf) X(minimumf, minimumf)
#define SIM_REDUCE_I32(X) \
  X(add, addi)            \
  X(mul, muli)            \
  X(maxsi, maxsi) X(minsi, minsi) X(and, andi) X(or, ori) X(xor, xori)

typedef struct sim_lanes {
#define SIM_MEMBER(name, result) sim_unary_fn *name;
  SIM_UNARY_F32(SIM_MEMBER)
  SIM_UNARY_I32(SIM_MEMBER)
#undef SIM_MEMBER
#define SIM_MEMBER(name, result) sim_binary_fn *name;
  SIM_BINARY_F32(SIM_MEMBER)
  SIM_BINARY_I32(SIM_MEMBER)
#undef SIM_MEMBER
  sim_binary_fn *cmpf[16], *cmpi[10]; /* to bytes, by predicate */
  /* out[i] = mask[i] ? a[i] : b[i], elements of 4, 2 or 1 bytes */
  void (*select4)(void *out, const uint8_t *mask, const void *a, const void *b,
                  int64_t count, int steps);
  void (*select2)(void *out, const uint8_t *mask, const void *a, const void *b,
                  int64_t count, int steps);
  void (*select1)(void *out, const uint8_t *mask, const void *a, const void *b,
                  int64_t count, int steps);
  /* out[i] = all of a[i * width ...] combined; a has count * width elements */
#define SIM_MEMBER(name, loop)                                           \
  void (*reduce_##name##_f32)(float *out, const float *a, int64_t count, \
                              int64_t width);
  SIM_REDUCE_F32(SIM_MEMBER)
#undef SIM_MEMBER
#define SIM_MEMBER(name, loop)                                                \
  void (*reduce_##name##_i32)(int32_t * out, const int32_t *a, int64_t count, \
                              int64_t width);
  SIM_REDUCE_I32(SIM_MEMBER)
#undef SIM_MEMBER
  /* Between element types. Floats become integers towards zero, or to nearest
   * even, as near as their range allows, NaN 0; floats narrow to nearest even.
   */
  sim_unary_fn *f32_to_bf16, *bf16_to_f32, *f32_to_f16, *f16_to_f32;
  sim_unary_fn *i32_to_f32, *u32_to_f32, *f32_to_i32, *f32_to_u32;
  sim_unary_fn *i8_to_i32, *u8_to_i32, *i16_to_i32, *u16_to_i32;
  sim_unary_fn *i32_to_i8, *i32_to_i16, *i32_to_i1;
  sim_unary_fn *round_bf16; /* f32 to the nearest bf16, as f32 */
  sim_unary_fn *weird;      /* f32 to bytes: infinite or NaN */
} sim_lanes;

/* Loops for the best instruction set that this CPU has. */
const sim_lanes *sim_lanes_best(void);

extern const sim_lanes sim_lanes_portable;
extern const sim_lanes sim_lanes_avx2;
extern const sim_lanes sim_lanes_avx512;

#endif

/* The ops of the simulated chip one by one, each in a kernel of its own, held
 * against plain C: elementwise ops over every element type, and what moves,
 * reduces, loads and stores elements, over random shapes. */
#include <math.h>

#include "sim_case.h"

/* ---- Elements ------------------------------------------------------------ */

static double get(const void *array, mo_element element, int64_t i) {
  switch (element) {
    case MO_F32: return ((const float *)array)[i];
    case MO_BF16: return base_bf16_to_f32(((const uint16_t *)array)[i]);
    case MO_F16: return base_f16_to_f32(((const uint16_t *)array)[i]);
    case MO_I8: return ((const int8_t *)array)[i];
    case MO_I16: return ((const int16_t *)array)[i];
    default: return ((const int32_t *)array)[i];
  }
}

/* As the nearest of that type; integers wrap. */
static void put(void *array, mo_element element, int64_t i, double x) {
  switch (element) {
    case MO_F32: ((float *)array)[i] = (float)x; break;
    case MO_BF16: ((uint16_t *)array)[i] = base_f32_to_bf16((float)x); break;
    case MO_F16: ((uint16_t *)array)[i] = base_f32_to_f16((float)x); break;
    case MO_I8: ((int8_t *)array)[i] = (int8_t)(int64_t)x; break;
    case MO_I16: ((int16_t *)array)[i] = (int16_t)(int64_t)x; break;
    default: ((int32_t *)array)[i] = (int32_t)(int64_t)x; break;
  }
}

static bool is_float(mo_element element) {
  return mo_element_family(element) == MO_FAMILY_FLOAT;
}

static const double special_floats[] = {
    0, -0.0, 1, -1, 0.5, 2.5, -3.5, INFINITY, -INFINITY, NAN, 1e-30, 1e30};
static const double special_integers[] = {
    0, 1, -1, 2, 31, -8, 127, -128, 32767, -32768, 2147483647, -2147483648.0};

/* Some special, the others small. */
static double any(mo_element element) {
  bool special = check_between(0, 3) == 0;
  if (is_float(element))
    return special ? special_floats[check_between(0, 11)] : 4 * check_normal();
  double most = ldexp(1, mo_element_bits(element) - 1);
  double x = special ? special_integers[check_between(0, 11)]
                     : (double)check_between(-100, 100);
  return x >= most || x < -most ? 3 : x;
}

static void fill(void *array, mo_element element, int64_t count) {
  for (int64_t i = 0; i < count; i++) put(array, element, i, any(element));
}

static bool same(double a, double b) { return a == b || (a != a && b != b); }

/* ---- Elementwise --------------------------------------------------------- */

enum { ROWS = 32, COLUMNS = 128, COUNT = ROWS * COLUMNS };

/* The op that is being tried. */
static struct {
  mo_op_id id;
  mo_element in, out;
  int inputs;
  int64_t predicate; /* of a comparison, or -1 */
  bool approx;
  const char *rounding;
  bool scalar; /* the second operand is one for all */
} op;

static void build_op(mo_builder *b) {
  mo_shape shape = MO_SHAPE(ROWS, COLUMNS);
  bool compares = op.predicate >= 0;
  mo_kernel(b, "op", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, op.in, shape);
  mo_value *y = mo_operand(b, MO_VMEM, op.in, shape);
  mo_value *z = mo_operand(b, MO_VMEM, op.out, shape);
  mo_value *v = mo_load_all(b, x), *w = mo_load_all(b, y);
  if (op.scalar) w = mo_full(b, op.in, shape, 3);
  mo_named_attr attrs[2];
  int count = 0;
  if (compares)
    attrs[count++] = (mo_named_attr){
        "predicate", mo_attr_integer(b->module, MO_I64, op.predicate)};
  if (op.approx)
    attrs[count++] = (mo_named_attr){
        "approx", mo_attr_simple(b->module, MO_ATTR_BOOL, 1, NULL)};
  if (op.rounding)
    attrs[count++] = (mo_named_attr){
        "rounding_mode", mo_attr_text(b->module, MO_ATTR_TEXT, op.rounding,
                                      strlen(op.rounding))};
  const mo_type *type = mo_vector_type(b, compares ? MO_I1 : op.out, shape);
  mo_value *result =
      mo_build(b, op.id, op.inputs == 2 ? MO_VALUES(v, w) : MO_VALUES(v), type,
               count, attrs);
  if (compares)
    result = mo_build(b, MO_ARITH_EXTUI, MO_VALUES(result),
                      mo_vector_type(b, op.out, shape), 0, NULL);
  mo_store_all(b, result, z);
  mo_kernel_end(b);
}

typedef double unary_fn(double x);
typedef double binary_fn(double x, double y);

/* `ulps`: how many units of the last place of the result type, relative; -1:
 * none, and not even there where the reference has no number. */
static void try_op(const char *name, unary_fn *unary, binary_fn *binary,
                   double ulps) {
  sim_case c;
  sim_case_begin(&c, build_op, 1);
  void *x = sim_case_operand(&c, op.in, MO_SHAPE(ROWS, COLUMNS));
  void *y = sim_case_operand(&c, op.in, MO_SHAPE(ROWS, COLUMNS));
  void *z = sim_case_result(&c, op.out, MO_SHAPE(ROWS, COLUMNS));
  fill(x, op.in, COUNT);
  fill(y, op.in, COUNT);
  sim_options options = {.hostile = true, .seed = check_random()};
  pfl_status status = sim_case_run(&c, &options);
  CHECK(!status, "%s: %s", name, c.error.message);
  double unit = op.out == MO_F32    ? 0x1p-24
                : op.out == MO_F16  ? 0x1p-11
                : op.out == MO_BF16 ? 0x1p-8
                                    : 0;
  for (int i = 0; !status && i < COUNT; i++) {
    double a = get(x, op.in, i), b = op.scalar ? 3 : get(y, op.in, i);
    double exact = unary ? unary(a) : binary(a, b), want;
    char rounded[8];
    put(rounded, op.out, 0, exact);
    want = is_float(op.out) ? get(rounded, op.out, 0) : exact;
    double got = get(z, op.out, i);
    double error = fabs(got - want), bound = ulps * unit * fabs(want);
    /* what underflows may be 0, what overflows infinite */
    if (is_float(op.out) && fabs(exact) < 1e-37) bound += 1e-37;
    CHECK(same(got, want) || error <= bound,
          "%s of %s: %.9g, %.9g: %.9g, not %.9g", name, mo_element_name(op.in),
          a, b, got, want);
  }
  sim_case_end(&c);
}

#define UNARY_REFERENCES(X)     \
  X(ARITH_NEGF, -x, 0)          \
  X(MATH_EXP, exp(x), 4)        \
  X(MATH_EXP2, exp2(x), 4)      \
  X(MATH_LOG, log(x), 4)        \
  X(MATH_LOG2, log2(x), 4)      \
  X(MATH_LOG1P, log1p(x), 4)    \
  X(MATH_TANH, tanh(x), 4)      \
  X(MATH_SQRT, sqrt(x), 1)      \
  X(MATH_RSQRT, 1 / sqrt(x), 4) \
  X(MATH_ABSF, fabs(x), 0)      \
  X(MATH_SIN, sin(x), 4)        \
  X(MATH_COS, cos(x), 4)        \
  X(MATH_ERF, erf(x), 4)        \
  X(MATH_FLOOR, floor(x), 0)    \
  X(MATH_CEIL, ceil(x), 0)      \
  X(MATH_ROUND, round(x), 0)    \
  X(MATH_ROUNDEVEN, rint(x), 0) \
  X(TPU_LOGISTIC, 1 / (1 + exp(-x)), 8)
#define DEFINE(id, result, ulps) \
  static double ref_##id(double x) { return result; }
UNARY_REFERENCES(DEFINE)
#undef DEFINE

static void test_unary(void) {
  static const mo_element elements[] = {MO_F32, MO_BF16, MO_F16};
  for (int e = 0; e < 3; e++) {
    op.in = op.out = elements[e];
    op.inputs = 1;
    op.predicate = -1;
#define TRY(ID, result, ulps) \
  op.id = MO_##ID;            \
  try_op(#ID, ref_##ID, NULL, ulps + (e ? 1 : 0));
    UNARY_REFERENCES(TRY)
#undef TRY
  }
}

static double ref_reciprocal(double x) { return 1 / x; }

static void test_reciprocal(void) {
  op.in = op.out = MO_F32;
  op.id = MO_TPU_RECIPROCAL;
  op.inputs = 1;
  op.predicate = -1;
  try_op("reciprocal", ref_reciprocal, NULL, 1);
  op.approx = true;
  try_op("reciprocal, approximate", ref_reciprocal, NULL, 0x1p13);
  op.approx = false;
}

static double wrapped(double x) {
  int bits = mo_element_bits(op.out);
  int64_t mask = ((int64_t)1 << bits) - 1, low = (int64_t)x & mask;
  return (double)(low >> (bits - 1) ? low - mask - 1 : low);
}

static uint64_t unsign(double x) {
  return (uint64_t)(int64_t)x & (((uint64_t)1 << mo_element_bits(op.in)) - 1);
}

static double larger(double x, double y) {
  return x != x || y != y ? NAN : x > y ? x : y;
}
static double smaller(double x, double y) {
  return x != x || y != y ? NAN : x < y ? x : y;
}
static double shifted(double x, double y, int way) {
  uint64_t by = unsign(y), bits = (uint64_t)mo_element_bits(op.in);
  if (way < 0)
    return wrapped(by >= bits ? 0
                              : (double)(int64_t)((uint64_t)(int64_t)x << by));
  if (way == 0) return (double)((int64_t)x >> (by >= bits ? bits - 1 : by));
  return wrapped(by >= bits ? 0 : (double)(unsign(x) >> by));
}

#define FLOAT_REFERENCES(X)        \
  X(ARITH_ADDF, x + y)             \
  X(ARITH_SUBF, x - y)             \
  X(ARITH_MULF, x *y)              \
  X(ARITH_DIVF, x / y)             \
  X(ARITH_REMF, fmod(x, y))        \
  X(ARITH_MAXIMUMF, larger(x, y))  \
  X(ARITH_MINIMUMF, smaller(x, y)) \
  X(MATH_POWF, pow(x, y))
/* Divided by zero, nothing is promised: -1, and the dividend as remainder. */
#define INTEGER_REFERENCES(X)                                                  \
  X(ARITH_ADDI, wrapped(x + y))                                                \
  X(ARITH_SUBI, wrapped(x - y))                                                \
  X(ARITH_MULI, wrapped((double)(int64_t)((uint64_t)(int64_t)x *               \
                                          (uint64_t)(int64_t)y % 4294967296))) \
  X(ARITH_DIVSI, wrapped(y == 0 ? -1 : trunc(x / y)))                          \
  X(ARITH_DIVUI, wrapped(unsign(y) ? (double)(unsign(x) / unsign(y)) : -1))    \
  X(ARITH_REMSI, y == 0 ? x : fmod(x, y))                                      \
  X(ARITH_REMUI, wrapped(unsign(y) ? (double)(unsign(x) % unsign(y)) : x))     \
  X(ARITH_MAXSI, x > y ? x : y)                                                \
  X(ARITH_MINSI, x < y ? x : y)                                                \
  X(ARITH_ANDI, (double)((int64_t)x & (int64_t)y))                             \
  X(ARITH_ORI, (double)((int64_t)x | (int64_t)y))                              \
  X(ARITH_XORI, (double)((int64_t)x ^ (int64_t)y))                             \
  X(ARITH_SHLI, shifted(x, y, -1))                                             \
  X(ARITH_SHRSI, shifted(x, y, 0))                                             \
  X(ARITH_SHRUI, shifted(x, y, 1))
#define DEFINE(id, result) \
  static double ref_##id(double x, double y) { return result; }
FLOAT_REFERENCES(DEFINE)
INTEGER_REFERENCES(DEFINE)
#undef DEFINE

static void test_binary(void) {
  static const mo_element floats[] = {MO_F32, MO_BF16, MO_F16};
  static const mo_element integers[] = {MO_I32, MO_I16, MO_I8};
  op.inputs = 2;
  op.predicate = -1;
  for (int e = 0; e < 6; e++) {
    op.scalar = e >= 3;
    op.in = op.out = floats[e % 3];
#define TRY(ID, result) \
  op.id = MO_##ID;      \
  try_op(#ID, NULL, ref_##ID, MO_##ID == MO_MATH_POWF ? 4 : 1);
    FLOAT_REFERENCES(TRY)
#undef TRY
    op.in = op.out = integers[e % 3];
#define TRY(ID, result) \
  op.id = MO_##ID;      \
  try_op(#ID, NULL, ref_##ID, 0);
    INTEGER_REFERENCES(TRY)
#undef TRY
  }
  op.scalar = false;
}

/* ---- Comparisons, casts -------------------------------------------------- */

static double ref_cmpf(double x, double y) {
  bool unordered = x != x || y != y;
  int64_t p = op.predicate & 7;
  bool less = x<y, more = x> y, equal = x == y;
  bool holds = (p & 1 && equal) || (p & 2 && more) || (p & 4 && less);
  /* 0 false 1 oeq .. 7 ord, and with 8 or unordered: 8 ueq .. 15 true */
  switch (op.predicate) {
    case 0: return 0;
    case 15: return 1;
    case 7: return !unordered;
    case 14: return unordered;
    default: break;
  }
  if (op.predicate < 8) return holds;
  p = op.predicate - 7; /* 8 ueq is oeq or unordered, and so on */
  holds = (p & 1 && equal) || (p & 2 && more) || (p & 4 && less);
  return unordered || holds;
}

static double ref_cmpi(double x, double y) {
  uint64_t u = unsign(x), v = unsign(y);
  switch (op.predicate) {
    case 0: return x == y;
    case 1: return x != y;
    case 2: return x < y;
    case 3: return x <= y;
    case 4: return x > y;
    case 5: return x >= y;
    case 6: return u < v;
    case 7: return u <= v;
    case 8: return u > v;
    default: return u >= v;
  }
}

static void test_compare(void) {
  static const mo_element floats[] = {MO_F32, MO_BF16};
  static const mo_element integers[] = {MO_I32, MO_I8};
  op.out = MO_I32;
  op.inputs = 2;
  for (int e = 0; e < 2; e++)
    for (op.predicate = 0; op.predicate < 16; op.predicate++) {
      op.id = MO_ARITH_CMPF;
      op.in = floats[e];
      try_op("cmpf", NULL, ref_cmpf, 0);
      op.id = MO_ARITH_CMPI;
      op.in = integers[e];
      if (op.predicate < 10) try_op("cmpi", NULL, ref_cmpi, 0);
    }
}

static double ref_same(double x) { return x; }
static double ref_unsigned(double x) { return (double)unsign(x); }
static double ref_low(double x) { return wrapped(x); }
static double limited(double x) {
  double most = ldexp(1, mo_element_bits(op.out) - 1);
  return x != x ? 0 : x < -most ? -most : x > most - 1 ? most - 1 : x;
}
static double ref_trunc(double x) { return limited(trunc(x)); }
static double ref_nearest(double x) { return limited(rint(x)); }

static void try_cast(mo_op_id id, mo_element in, mo_element out, unary_fn *ref,
                     const char *rounding) {
  op.id = id;
  op.in = in;
  op.out = out;
  op.inputs = 1;
  op.predicate = -1;
  op.rounding = rounding;
  try_op(mo_op_info_of(id)->name, ref, NULL, 0);
  op.rounding = NULL;
}

static void test_casts(void) {
  static const char nearest[] = "#tpu.rounding_mode<to_nearest_even>";
  static const char zero[] = "#tpu.rounding_mode<toward_zero>";
  try_cast(MO_ARITH_EXTF, MO_BF16, MO_F32, ref_same, NULL);
  try_cast(MO_ARITH_EXTF, MO_F16, MO_F32, ref_same, NULL);
  try_cast(MO_ARITH_TRUNCF, MO_F32, MO_BF16, ref_same, NULL);
  try_cast(MO_ARITH_TRUNCF, MO_F32, MO_F16, ref_same, NULL);
  try_cast(MO_ARITH_EXTSI, MO_I8, MO_I32, ref_same, NULL);
  try_cast(MO_ARITH_EXTSI, MO_I16, MO_I32, ref_same, NULL);
  try_cast(MO_ARITH_EXTUI, MO_I8, MO_I32, ref_unsigned, NULL);
  try_cast(MO_ARITH_EXTUI, MO_I8, MO_I16, ref_unsigned, NULL);
  try_cast(MO_ARITH_TRUNCI, MO_I32, MO_I8, ref_low, NULL);
  try_cast(MO_ARITH_TRUNCI, MO_I32, MO_I16, ref_low, NULL);
  try_cast(MO_ARITH_SITOFP, MO_I32, MO_F32, ref_same, NULL);
  try_cast(MO_ARITH_SITOFP, MO_I8, MO_BF16, ref_same, NULL);
  try_cast(MO_ARITH_UITOFP, MO_I32, MO_F32, ref_unsigned, NULL);
  try_cast(MO_ARITH_FPTOSI, MO_F32, MO_I32, ref_trunc, NULL);
  try_cast(MO_ARITH_FPTOSI, MO_F32, MO_I8, ref_trunc, NULL);
  try_cast(MO_ARITH_FPTOSI, MO_BF16, MO_I32, ref_trunc, NULL);
  try_cast(MO_TPU_FPTOSI, MO_F32, MO_I32, ref_nearest, nearest);
  try_cast(MO_TPU_FPTOSI, MO_F32, MO_I32, ref_trunc, zero);
  try_cast(MO_TPU_SITOFP, MO_I32, MO_F32, ref_same, nearest);
  try_cast(MO_TPU_TRUNCF, MO_F32, MO_BF16, ref_same, nearest);
  try_cast(MO_TPU_EXTF, MO_BF16, MO_F32, ref_same, NULL);
}

int main(void) {
  return CHECK_RUN(test_unary, test_reciprocal, test_binary, test_compare,
                   test_casts);
}

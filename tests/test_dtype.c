/* Conversions between f32, f16 and bf16: every value, every midpoint, against
 * the formats' own definitions in double. */
#include <stdbool.h>

#include "base/dtype.h"
#include "check.h"

/* A 16-bit float format: sign, exponent, `fraction_bits`. */
typedef struct format {
  const char *name;
  int fraction_bits, bias;
  uint16_t infinity; /* the bits of +inf */
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
} format;

static const format formats[] = {
    {"f16", 10, 15, 0x7c00, base_f16_to_f32, base_f32_to_f16},
    {"bf16", 7, 127, 0x7f80, base_bf16_to_f32, base_f32_to_bf16},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* What the bits mean, by IEEE 754, infinity and beyond continuing as if the
 * largest exponent were an ordinary one (exact in double). */
static double meaning(const format *f, uint16_t bits) {
  int exponent = (bits & 0x7fff) >> f->fraction_bits;
  int fraction = bits & ((1 << f->fraction_bits) - 1);
  if (exponent)
    fraction += 1 << f->fraction_bits;
  else
    exponent = 1;
  double value = ldexp(fraction, exponent - f->bias - f->fraction_bits);
  return bits & 0x8000 ? -value : value;
}

static bool is_nan(const format *f, uint16_t bits) {
  return (bits & 0x7fff) > f->infinity;
}

static void test_every_value_widens_and_returns(void) {
  for (int i = 0; i < FORMATS; i++)
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
      const format *f = &formats[i];
      float wide = f->widen((uint16_t)bits);
      uint16_t back = f->narrow(wide);
      CHECK(!signbit(wide) == !(bits & 0x8000), "%s %04x: sign", f->name, bits);
      if (is_nan(f, (uint16_t)bits)) {
        CHECK(isnan(wide) && is_nan(f, back), "%s %04x is NaN, not %g, %04x",
              f->name, bits, wide, back);
        CHECK((bits & 0x8000) == (back & 0x8000), "%s %04x: sign of a NaN",
              f->name, bits);
        continue;
      }
      CHECK(back == bits, "%s %04x came back as %04x", f->name, bits, back);
      if ((bits & 0x7fff) == f->infinity)
        CHECK(isinf(wide), "%s %04x is %g", f->name, bits, wide);
      else
        CHECK(wide == meaning(f, (uint16_t)bits), "%s %04x is %g, not %g",
              f->name, bits, wide, meaning(f, (uint16_t)bits));
    }
}

/* Neighbours low < high: their midpoint goes to the even one, the f32 values
 * beside the midpoint to the nearer one. The last neighbours are the largest
 * finite value and what would follow it, which is infinity. */
static void check_midpoint(const format *f, uint16_t low, float sign) {
  uint16_t high = low + 1, sign_bit = sign < 0 ? 0x8000 : 0;
  double exact = (meaning(f, low) + meaning(f, high)) / 2;
  float middle = (float)exact;
  CHECK(middle == exact, "%s %04x: the midpoint is no f32", f->name, low);
  uint16_t even = low & 1 ? high : low;
  uint16_t at = f->narrow(sign * middle),
           below = f->narrow(sign * nextafterf(middle, 0)),
           above = f->narrow(sign * nextafterf(middle, INFINITY));
  CHECK(at == (even | sign_bit), "%s %g: %04x, not %04x", f->name,
        sign * middle, at, even);
  CHECK(below == (low | sign_bit), "%s below %g: %04x, not %04x", f->name,
        sign * middle, below, low);
  CHECK(above == (high | sign_bit), "%s above %g: %04x, not %04x", f->name,
        sign * middle, above, high);
}

static void test_midpoints_go_to_even(void) {
  for (int i = 0; i < FORMATS; i++)
    for (uint16_t low = 0; low < formats[i].infinity; low++) {
      check_midpoint(&formats[i], low, 1);
      check_midpoint(&formats[i], low, -1);
    }
}

/* Any f32: no 16-bit value beside the result is nearer. */
static void test_random_values_go_to_nearest(void) {
  for (int round = 0; round < 2000000; round++) {
    float value = base_f32_from_bits((uint32_t)check_random() & 0x7fffffff);
    const format *f = &formats[round % FORMATS];
    uint16_t bits = f->narrow(value);
    if (isnan(value)) {
      CHECK(is_nan(f, bits), "%s of NaN is %04x", f->name, bits);
      continue;
    }
    CHECK(bits <= f->infinity, "%s of %g is %04x", f->name, value, bits);
    if (value > meaning(f, f->infinity)) {
      CHECK(bits == f->infinity, "%s of %g is %04x", f->name, value, bits);
      continue;
    }
    double error = fabs(meaning(f, bits) - value);
    CHECK(error <= fabs(meaning(f, bits + 1) - value), "%s of %g is %04x",
          f->name, value, bits);
    if (bits)
      CHECK(error <= fabs(meaning(f, bits - 1) - value), "%s of %g is %04x",
            f->name, value, bits);
  }
}

static void test_extremes(void) {
  CHECK(base_f32_to_f16(65504) == 0x7bff, "the largest f16");
  CHECK(base_f32_to_f16(65519.996f) == 0x7bff, "rounds down to the largest");
  CHECK(base_f32_to_f16(65520) == 0x7c00, "rounds up to infinity");
  CHECK(base_f32_to_f16(-3e38f) == 0xfc00, "far beyond f16");
  CHECK(base_f32_to_f16(0x1p-149f) == 0, "the smallest f32");
  CHECK(base_f32_to_f16(-0x1p-149f) == 0x8000, "its negative keeps the sign");
  CHECK(base_f32_to_f16(0x1p-24f) == 1, "the smallest f16");
  CHECK(base_f32_to_bf16(3.4028235e38f) == 0x7f80, "FLT_MAX rounds up");
  CHECK(base_f32_to_bf16(0x1p-133f) == 1, "the smallest bf16");
  CHECK(base_f32_bits(base_f16_to_f32(0x7c01)) == 0x7fc02000,
        "a signalling NaN becomes a quiet one, as F16C has it");
  for (int i = 0; i < FORMATS; i++)
    CHECK(
        is_nan(&formats[i], formats[i].narrow(base_f32_from_bits(0x7f800001))),
        "%s: a NaN whose upper bits are clear", formats[i].name);
}

static void test_element_get(void) {
  float f32[] = {0, -1.5f};
  uint16_t bf16[] = {0, 0xbfc0}, f16[] = {0, 0xbe00};
  int8_t i8[] = {0, -128};
  int32_t i32[] = {0, -70000};
  CHECK(base_element_get(f32, PFL_DTYPE_F32, 1) == -1.5f, "f32");
  CHECK(base_element_get(bf16, PFL_DTYPE_BF16, 1) == -1.5f, "bf16");
  CHECK(base_element_get(f16, PFL_DTYPE_F16, 1) == -1.5f, "f16");
  CHECK(base_element_get(i8, PFL_DTYPE_I8, 1) == -128, "i8");
  CHECK(base_element_get(i32, PFL_DTYPE_I32, 1) == -70000, "i32");
}

static void check_names(pfl_dtype dtype, size_t bytes, const char *file_name,
                        const char *name) {
  CHECK(pfl_dtype_size(dtype) == bytes, "%s", name);
  CHECK(!strcmp(pfl_dtype_name(dtype), name), "%s", pfl_dtype_name(dtype));
  CHECK(!strcmp(base_dtype_file_name(dtype), file_name), "%s", name);
  CHECK(base_dtype_from_name(name) == dtype, "%s", name);
  size_t length = strlen(file_name);
  CHECK(base_dtype_from_file_name(file_name, length) == dtype, "%s", file_name);
  CHECK(base_dtype_from_file_name(file_name, length - 1) != dtype, "cut short");
}

static void test_names(void) {
  check_names(PFL_DTYPE_F32, 4, "F32", "f32");
  check_names(PFL_DTYPE_BF16, 2, "BF16", "bf16");
  check_names(PFL_DTYPE_F16, 2, "F16", "f16");
  check_names(PFL_DTYPE_I8, 1, "I8", "int8");
  check_names(PFL_DTYPE_I32, 4, "I32", "int32");
  const int none[] = {PFL_DTYPE_DEFAULT, 6, 1000, -1};
  for (int i = 0; i < 4; i++) {
    CHECK(pfl_dtype_size((pfl_dtype)none[i]) == 0, "%d", none[i]);
    CHECK(!strcmp(pfl_dtype_name((pfl_dtype)none[i]), "unknown"), "%d",
          none[i]);
  }
  CHECK(base_dtype_from_name("F64") == PFL_DTYPE_DEFAULT, "no dtype of ours");
  CHECK(base_dtype_from_file_name("", 0) == PFL_DTYPE_DEFAULT, "no name");
}

int main(void) {
  return CHECK_RUN(test_every_value_widens_and_returns,
                   test_midpoints_go_to_even, test_random_values_go_to_nearest,
                   test_extremes, test_element_get, test_names);
}

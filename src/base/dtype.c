#include "base/dtype.h"

#include <assert.h>
#include <math.h>

static const struct {
  size_t size;
  const char *file_name, *name;
} dtypes[] = {
    [PFL_DTYPE_DEFAULT] = {0, "", "unknown"},
#define ROW(name, bytes, file_name, option)                                    \
  [PFL_DTYPE_##name] = {bytes, file_name, option},
    PFL_DTYPE_LIST(ROW)
#undef ROW
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof *dtypes };

static unsigned checked(pfl_dtype dtype) {
  return (unsigned)dtype < DTYPE_COUNT ? (unsigned)dtype : PFL_DTYPE_DEFAULT;
}

size_t pfl_dtype_size(pfl_dtype dtype) { return dtypes[checked(dtype)].size; }

const char *pfl_dtype_name(pfl_dtype dtype) {
  return dtypes[checked(dtype)].name;
}

const char *base_dtype_file_name(pfl_dtype dtype) {
  return dtypes[checked(dtype)].file_name;
}

pfl_dtype base_dtype_from_file_name(const char *name, size_t length) {
  for (int i = 1; i < DTYPE_COUNT; i++)
    if (strlen(dtypes[i].file_name) == length &&
        !memcmp(dtypes[i].file_name, name, length))
      return (pfl_dtype)i;
  return PFL_DTYPE_DEFAULT;
}

pfl_dtype base_dtype_from_name(const char *name) {
  for (int i = 1; i < DTYPE_COUNT; i++)
    if (!strcmp(dtypes[i].name, name)) return (pfl_dtype)i;
  return PFL_DTYPE_DEFAULT;
}

float base_f16_to_f32(uint16_t value) {
  uint32_t sign = (uint32_t)(value & 0x8000) << 16;
  uint32_t exponent = (value >> 10) & 0x1f, fraction = value & 0x3ff;
  if (exponent == 0x1f) /* infinity, or a NaN made quiet as hardware does */
    return base_f32_from_bits(sign | 0x7f800000 | fraction << 13 |
                              (fraction ? 0x400000 : 0));
  if (exponent)
    return base_f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float tiny = (float)fraction * 0x1p-24f;
  return sign ? -tiny : tiny;
}

uint16_t base_f32_to_f16(float value) {
  uint32_t bits = base_f32_bits(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return sign | 0x7c00; /* >= 65520 */
  if (magnitude < 0x38800000) { /* below 2^-14: a multiple of 2^-24 */
    float scaled = base_f32_from_bits(magnitude) * 0x1p24f;
    return (uint16_t)(sign | (uint16_t)lrintf(scaled));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000) >> 13));
}

float base_element_get(const void *array, pfl_dtype dtype, int64_t index) {
  switch (dtype) {
    case PFL_DTYPE_F32: return ((const float *)array)[index];
    case PFL_DTYPE_BF16:
      return base_bf16_to_f32(((const uint16_t *)array)[index]);
    case PFL_DTYPE_F16:
      return base_f16_to_f32(((const uint16_t *)array)[index]);
    case PFL_DTYPE_I8: return ((const int8_t *)array)[index];
    case PFL_DTYPE_I32: return (float)((const int32_t *)array)[index];
    case PFL_DTYPE_DEFAULT: break;
  }
  assert(!"a dtype");
  return NAN;
}

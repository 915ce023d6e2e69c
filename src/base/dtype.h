/* Conversions of single elements; the kernels have their own for many. */
#ifndef PFL_BASE_DTYPE_H
#define PFL_BASE_DTYPE_H

#include <stdint.h>
#include <string.h>

#include "pallas_flash/dtype.h"

static inline uint32_t base_f32_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float base_f32_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float base_bf16_to_f32(uint16_t value) {
  return base_f32_from_bits((uint32_t)value << 16);
}

/* To nearest, ties to even; a NaN stays a (quiet) NaN. */
static inline uint16_t base_f32_to_bf16(float value) {
  uint32_t bits = base_f32_bits(value);
  if (value != value) return (uint16_t)((bits >> 16) | 0x40);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float base_f16_to_f32(uint16_t value);

/* To nearest, ties to even; overflow gives infinity. */
uint16_t base_f32_to_f16(float value);

/* Element `index` of an array of `dtype` (a float or integer type) as f32. */
float base_element_get(const void *array, pfl_dtype dtype, int64_t index);

/* The dtype whose name in a safetensors header this is; DEFAULT if none. */
pfl_dtype base_dtype_from_file_name(const char *name, size_t length);

const char *base_dtype_file_name(pfl_dtype dtype);

/* The dtype whose name in options this is ("bf16"); DEFAULT if none. */
pfl_dtype base_dtype_from_name(const char *name);

#endif

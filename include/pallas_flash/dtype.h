/* Element types of tensors. SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_DTYPE_H
#define PALLAS_FLASH_DTYPE_H

#include <stddef.h>

#include "pallas_flash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, bytes of an element, name in a safetensors header, name in options).
 * bf16 is the upper half of an f32; f16 is IEEE 754 binary16. Little endian. */
#define PFL_DTYPE_LIST(X)                                                      \
  X(F32, 4, "F32", "f32")                                                      \
  X(BF16, 2, "BF16", "bf16")                                                   \
  X(F16, 2, "F16", "f16")                                                      \
  X(I8, 1, "I8", "int8")                                                       \
  X(I32, 4, "I32", "int32")

/* DEFAULT, zero, is what each descriptor says it is. */
typedef enum pfl_dtype {
  PFL_DTYPE_DEFAULT = 0,
#define PFL_DTYPE_ENUM(name, bytes, file_name, option) PFL_DTYPE_##name,
  PFL_DTYPE_LIST(PFL_DTYPE_ENUM)
#undef PFL_DTYPE_ENUM
} pfl_dtype;

/* Bytes of one element; 0 for a number that is no dtype. Any thread. */
PFL_API size_t pfl_dtype_size(pfl_dtype dtype);

/* The name used in options and messages, "bf16" for instance; "unknown" for a
 * number that is no dtype. Static storage, never NULL. Any thread. */
PFL_API const char *pfl_dtype_name(pfl_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif

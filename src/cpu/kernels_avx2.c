/* The kernels for AVX2, FMA and F16C. */
#include "cpu/vector_avx2.h"

#include "cpu/vector_kernels.h"

void cpu_kernels_init_avx2(cpu_kernels *kernels) {
  set_vector_kernels(kernels);
  kernels->product_bf16 = NULL; /* widening is faster than emulation */
  kernels->key_block = 96;
}

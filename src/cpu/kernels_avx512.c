/* The kernels for AVX-512 F, BW, DQ and VL. */
#include "cpu/vector_avx512.h"

#include "cpu/vector_kernels.h"

void cpu_kernels_init_avx512(cpu_kernels *kernels) {
  set_vector_kernels(kernels);
  kernels->product_bf16 = NULL; /* widening is faster than emulation */
  kernels->key_block = 192;
}

/* Which kernels this CPU can run. */
#include "cpu/kernels.h"

pfl_isa cpu_isa_best(void) {
#if defined(__x86_64__)
  /* F16C is older than AVX2, and not a name that every compiler knows */
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return PFL_ISA_PORTABLE;
  if (!__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return PFL_ISA_AVX2;
  if (!__builtin_cpu_supports("avx512bf16")) return PFL_ISA_AVX512;
  return PFL_ISA_AVX512BF16;
#else
  return PFL_ISA_PORTABLE;
#endif
}

cpu_kernels cpu_kernels_for(pfl_isa isa) {
  cpu_kernels kernels = {0};
  cpu_kernels_init_portable(&kernels);
#if defined(__x86_64__)
  if (isa >= PFL_ISA_AVX2) cpu_kernels_init_avx2(&kernels);
  if (isa >= PFL_ISA_AVX512) cpu_kernels_init_avx512(&kernels);
  if (isa >= PFL_ISA_AVX512BF16) cpu_kernels_init_avx512bf16(&kernels);
#endif
  kernels.isa = isa;
  return kernels;
}

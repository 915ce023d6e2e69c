/* The context: a device, worker threads, instruction set, memory.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PALLAS_FLASH_CONTEXT_H
#define PALLAS_FLASH_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "pallas_flash/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CPU kernels by instruction set, oldest first: each needs those before it.
 * X(NAME, name in PFLASH_ISA and in options). */
#define PFL_ISA_LIST(X)                                                        \
  X(PORTABLE, "portable")                                                      \
  X(AVX2, "avx2")                                                              \
  X(AVX512, "avx512")                                                          \
  X(AVX512BF16, "avx512bf16")

/* AUTO is the newest that this CPU has, or what the environment variable
 * PFLASH_ISA names. AVX2 includes FMA and F16C; AVX512 is F, BW, DQ and VL. */
typedef enum pfl_isa {
  PFL_ISA_AUTO = 0,
#define PFL_ISA_ENUM(name, option) PFL_ISA_##name,
  PFL_ISA_LIST(PFL_ISA_ENUM)
#undef PFL_ISA_ENUM
} pfl_isa;

/* Where the library gets memory. Both functions or neither; neither means
 * malloc and free. They may be called from any thread that calls the library,
 * not from its workers. `allocate` returns NULL when it cannot, and memory
 * aligned as malloc's otherwise. */
typedef struct pfl_allocator {
  void *(*allocate)(void *user, size_t bytes);
  void (*release)(void *user, void *memory);
  void *user;
} pfl_allocator;

/* Devices by the names that options have for them. X(NAME, name). SIM is a
 * simulated 2x2 slice of TPU v5e chips, for tests: exact and slow. */
#define PFL_DEVICE_LIST(X)                                                     \
  X(CPU, "cpu")                                                                \
  X(SIM, "sim")                                                                \
  X(TPU, "tpu")

/* Where a context's calls run; CPU, zero, is the default. */
typedef enum pfl_device {
#define PFL_DEVICE_ENUM(name, option) PFL_DEVICE_##name,
  PFL_DEVICE_LIST(PFL_DEVICE_ENUM)
#undef PFL_DEVICE_ENUM
} pfl_device;

/* All zero is the default, but for struct_size. The rule for every struct that
 * carries one: it is sizeof the struct as this header declares it. A program
 * compiled with a newer header may give a larger one, as long as all that this
 * library does not know of is zero; a smaller one is refused. */
typedef struct pfl_context_options {
  size_t struct_size;      /* sizeof(pfl_context_options) */
  int32_t threads;         /* 0: every CPU the process may run on; at most 1024 */
  pfl_isa isa;             /* an older one than the CPU's newest may be asked for */
  pfl_allocator allocator; /* copied; `user` must outlive the context */
  pfl_device device;
  int32_t chips;      /* SIM, TPU: chips that share a call; 0: all of them, or one
                         where the problem cannot be shared */
  const char *plugin; /* SIM, TPU: path of the PJRT plugin, copied. NULL: of SIM,
                         PFLASH_SIM_PLUGIN or libpflash_sim.so beside the program
                         or library; of TPU, PFLASH_PJRT_PLUGIN or libtpu.so where
                         Python or the system have it */
} pfl_context_options;

/* Opaque. Calls on one context from several threads are safe and run one after
 * the other; contexts are independent of each other. */
typedef struct pfl_context pfl_context;

/* Makes a context; it starts threads - 1 workers, which sleep between calls.
 * `options` may be NULL for the defaults. On success *out_context is owned by
 * the caller and released with pfl_context_destroy.
 *
 * A TPU belongs to one process, and to one context of it, at a time. A call on
 * chips compiles a program for its problem when it meets it first, which takes
 * seconds, in a process of its own: pflash-compiler, which is PFLASH_COMPILER or
 * beside the program or library. Programs are kept on disk, in PFLASH_CACHE or
 * the user's cache directory, and the last 64 of them in the context.
 *
 * INVALID_ARGUMENT: a number out of range, half an allocator, a PFLASH_ISA that
 * names no instruction set, chips or a plugin for the CPU. UNAVAILABLE: an
 * instruction set this CPU lacks, no TPU. NOT_FOUND: no plugin. UNIMPLEMENTED: a
 * device that there are no kernels for. RESOURCE_EXHAUSTED: no memory or no
 * threads. What the plugin answers. */
PFL_API PFL_NODISCARD pfl_status
pfl_context_create(const pfl_context_options *options, pfl_context **out_context,
                   pfl_error *out_error);

/* Ends the workers and releases everything. NULL is allowed. No call on the
 * context may be running. */
PFL_API void pfl_context_destroy(pfl_context *context);

/* Threads a call uses, the caller's own included. Any thread. */
PFL_API int32_t pfl_context_threads(const pfl_context *context);

/* The instruction set chosen, never AUTO. Any thread. */
PFL_API pfl_isa pfl_context_isa(const pfl_context *context);

/* The device. Any thread. */
PFL_API pfl_device pfl_context_device(const pfl_context *context);

/* Chips that share a call where it can be shared; 0 on the CPU. Any thread. */
PFL_API int32_t pfl_context_chips(const pfl_context *context);

/* "tpu" for instance; "unknown" for a number that is none. Static storage, never
 * NULL. Any thread. */
PFL_API const char *pfl_device_name(pfl_device device);

/* The newest instruction set of this CPU that the library has kernels for. */
PFL_API pfl_isa pfl_isa_best(void);

/* "avx512" for instance; "auto" for AUTO, "unknown" for a number that is none.
 * Static storage, never NULL. Any thread. */
PFL_API const char *pfl_isa_name(pfl_isa isa);

/* The library's version, "0.1.0" for instance. Static storage. Any thread. */
PFL_API const char *pfl_version(void);

#ifdef __cplusplus
}
#endif
#endif

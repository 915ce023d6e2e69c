/* Attention on the CPU: what the public calls come down to.
 *
 * Each operation has a function that tells how many bytes of workspace it
 * needs and one that does it; the second cannot fail. Problems and arguments
 * have been checked (attention/problem.h). No result depends on the number of
 * threads: tasks, blocks and the order of sums follow from the problem. */
#ifndef PFL_CPU_CPU_H
#define PFL_CPU_CPU_H

#include "attention/problem.h"
#include "base/threads.h"
#include "cpu/kernels.h"

typedef struct cpu_engine {
  cpu_kernels kernels;
  base_threads *threads;
} cpu_engine;

/* Bytes; SIZE_MAX if there cannot be as many. */
size_t cpu_forward_workspace(const cpu_engine *engine,
                             const attention_problem *problem);
void cpu_forward(const cpu_engine *engine, const attention_problem *problem,
                 const pfl_forward_args *args, void *workspace);

size_t cpu_backward_workspace(const cpu_engine *engine,
                              const attention_problem *problem);
void cpu_backward(const cpu_engine *engine, const attention_problem *problem,
                  const pfl_backward_args *args, void *workspace);

size_t cpu_decode_workspace(const cpu_engine *engine,
                            const attention_decode_problem *problem);
void cpu_decode(const cpu_engine *engine,
                const attention_decode_problem *problem,
                const pfl_decode_args *args, void *workspace);

#endif

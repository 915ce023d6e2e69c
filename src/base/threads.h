/* A pool of workers that shares out numbered tasks. */
#ifndef PFL_BASE_THREADS_H
#define PFL_BASE_THREADS_H

#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

#define BASE_THREADS_MAX 1024

typedef struct base_threads base_threads;

/* Task `task` on worker `worker` (0 is the calling thread). It must not fail,
 * allocate or call the pool. */
typedef void base_task_fn(void *argument, int64_t task, int32_t worker);

/* Starts count - 1 workers. Ends in RESOURCE_EXHAUSTED without a trace if one
 * cannot be started. */
PFL_NODISCARD pfl_status base_threads_create(const pfl_allocator *allocator,
                                             int32_t count,
                                             base_threads **out_threads,
                                             pfl_error *error);
void base_threads_destroy(base_threads *threads);

int32_t base_threads_count(const base_threads *threads);

/* Runs tasks 0 .. tasks - 1, each once, taken in rising order by whichever
 * worker is free, and returns when all are done. One run at a time. */
void base_threads_run(base_threads *threads, int64_t tasks, base_task_fn *run,
                      void *argument);

/* CPUs this process may run on, at least 1. */
int32_t base_cpu_count(void);

#endif

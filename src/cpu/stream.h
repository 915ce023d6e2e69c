/* Prefetching a stream that a kernel reads once. Rows that are taken several at
 * once, or in strips, make no pattern that a hardware prefetcher follows, so
 * the kernel asks for what comes later line after line, a little with every
 * step: that keeps memory as busy as plain reading would. */
#ifndef PFL_CPU_STREAM_H
#define PFL_CPU_STREAM_H

#include <stdint.h>

/* Far enough to cover memory's latency (8 KiB at 40 GB/s are 200 ns), near
 * enough to stay in L1. */
#define STREAM_AHEAD 8192

typedef struct cpu_stream {
  uintptr_t at; /* an address, as it may lie behind what there is, or be NULL */
  int64_t step; /* bytes asked for at a step: whole lines */
} cpu_stream;

/* The `bytes` bytes from `start` on, asked for in `steps` steps; NULL: none. */
static inline cpu_stream cpu_stream_init(const void *start, int64_t bytes,
                                         int64_t steps) {
  return (cpu_stream){(uintptr_t)start,
                      start ? (bytes / steps + 63) / 64 * 64 : 0};
}

/* Asks for `bytes` bytes at once: the first, for which steps would be too late.
 */
static inline void cpu_stream_begin(const void *start, int64_t bytes) {
  const char *at = (const char *)start;
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i);
}

static inline void cpu_stream_step(cpu_stream *stream) {
  for (int64_t i = 0; i < stream->step; i += 64)
    __builtin_prefetch((const void *)(stream->at + (uintptr_t)i));
  stream->at += (uintptr_t)stream->step;
}

#endif

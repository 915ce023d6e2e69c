/* The rows that are measured, as data. */
#ifndef PFL_BENCH_WORKLOADS_H
#define PFL_BENCH_WORKLOADS_H

#include "attention/problem.h"
#include "bench/bench.h"
#include "bench/limits.h"

/* X(NAME, name in reports and in the peers' protocol). */
#define BENCH_OP_LIST(X)  \
  X(FORWARD, "forward")   \
  X(BACKWARD, "backward") \
  X(DECODE, "decode")

typedef enum bench_op {
#define BENCH_OP_ENUM(name, text) BENCH_OP_##name,
  BENCH_OP_LIST(BENCH_OP_ENUM)
#undef BENCH_OP_ENUM
} bench_op;

/* Batch is 1. Decode has one query position and a full, contiguous cache. */
typedef struct bench_workload {
  bench_op op;
  int64_t q_heads, kv_heads, q_length, kv_length, head_dim;
  bool causal;
  pfl_dtype dtype;       /* of q and o, and of all else but the cache */
  pfl_dtype cache_dtype; /* of k and v; dtype unless decode's is int8 */
  unsigned suites;       /* bit s: it is in suite s of BENCH_SUITE_LIST */
} bench_workload;

/* How long a row of a suite is measured: until `min_runs` and `min_seconds`
 * are both reached, or `max_seconds` have passed. The warm-up before it is at
 * least one run and `warm_seconds`. */
typedef struct bench_effort {
  int64_t min_runs;
  double min_seconds, max_seconds, warm_seconds;
  double block_seconds; /* how long one subject goes on before the next */
  int64_t ring_bytes;   /* that decode walks over, at least */
} bench_effort;

typedef enum bench_suite {
#define BENCH_SUITE_ENUM(name, text, what) BENCH_SUITE_##name,
  BENCH_SUITE_LIST(BENCH_SUITE_ENUM)
#undef BENCH_SUITE_ENUM
      BENCH_SUITE_COUNT
} bench_suite;

const char *bench_suite_name(bench_suite suite);
/* BENCH_SUITE_COUNT if there is none of that name. */
bench_suite bench_suite_find(const char *name);
bench_effort bench_suite_effort(bench_suite suite);

/* The n-th workload of a suite, counted from 0; NULL after the last. */
const bench_workload *bench_workload_get(bench_suite suite, int64_t n);

const char *bench_op_name(bench_op op);

/* "forward causal 2048", "decode 8192": unique together with the dtype. */
#define BENCH_TITLE_SIZE 48
const char *bench_workload_title(const bench_workload *workload,
                                 char buffer[BENCH_TITLE_SIZE]);

/* The dtype as a row is called by: the cache's. */
const char *bench_workload_dtype(const bench_workload *workload);

/* The descriptors of the library's calls. */
pfl_attention bench_workload_attention(const bench_workload *workload);
pfl_decode bench_workload_decode(const bench_workload *workload);

/* Work of one run: FLOPs (causal counts half, backward 2.5 forwards), or for
 * decode the bytes of the cache. */
double bench_workload_work(const bench_workload *workload);

/* What bounds it: for decode reading, for bf16 the bf16 products where the CPU
 * has them, else f32 multiply-adds. */
bench_limit bench_workload_limit(const bench_workload *workload, bool has_dot);

#endif

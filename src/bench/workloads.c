/* The rows that are measured, as data. */
#include "bench/workloads.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
  QUICK = 1u << BENCH_SUITE_QUICK,
  CPU = 1u << BENCH_SUITE_CPU,
  SMOKE = 1u << BENCH_SUITE_SMOKE,
};

#define DENSE(op, length, causal, dtype, suites)                         \
  {                                                                      \
    BENCH_OP_##op, 8, 8, length, length, 128, causal, PFL_DTYPE_##dtype, \
        PFL_DTYPE_##dtype, suites                                        \
  }
#define CACHE(length, dtype, cache_dtype, suites)                     \
  {                                                                   \
    BENCH_OP_DECODE, 32, 8, 1, length, 128, false, PFL_DTYPE_##dtype, \
        PFL_DTYPE_##cache_dtype, suites                               \
  }

static const bench_workload workloads[] = {
    DENSE(FORWARD, 2048, false, F32, QUICK | CPU),
    DENSE(FORWARD, 2048, false, BF16, QUICK | CPU),
    DENSE(FORWARD, 2048, false, F16, CPU),
    DENSE(FORWARD, 2048, true, F32, QUICK | CPU),
    DENSE(FORWARD, 2048, true, BF16, CPU),
    DENSE(FORWARD, 2048, true, F16, CPU),
    DENSE(BACKWARD, 2048, false, F32, CPU),
    DENSE(BACKWARD, 2048, false, BF16, CPU),
    DENSE(BACKWARD, 2048, true, F32, QUICK | CPU),
    DENSE(BACKWARD, 2048, true, BF16, QUICK | CPU),
    CACHE(8192, F32, F32, QUICK | CPU),
    CACHE(8192, BF16, BF16, QUICK | CPU),
    CACHE(8192, BF16, I8, QUICK | CPU),
    CACHE(32768, F32, F32, CPU),
    CACHE(32768, BF16, BF16, CPU),
    CACHE(32768, BF16, I8, CPU),
    DENSE(FORWARD, 96, true, F32, SMOKE),
    DENSE(FORWARD, 96, false, F16, SMOKE),
    DENSE(BACKWARD, 96, true, BF16, SMOKE),
    CACHE(300, F32, F32, SMOKE),
    CACHE(300, BF16, I8, SMOKE),
};
enum { WORKLOAD_COUNT = sizeof workloads / sizeof *workloads };

static const bench_effort efforts[BENCH_SUITE_COUNT] = {
    [BENCH_SUITE_QUICK] = {7, 1, 12, 0.1, 0.05, 256 << 20},
    [BENCH_SUITE_CPU] = {10, 3, 60, 0.5, 0.05, 256 << 20},
    [BENCH_SUITE_SMOKE] = {6, 0, 1, 0, 0, 0},
};

bench_effort bench_suite_effort(bench_suite suite) { return efforts[suite]; }

const char *bench_suite_name(bench_suite suite) {
  static const char *const names[] = {
#define BENCH_SUITE_NAME(name, text, what) text,
      BENCH_SUITE_LIST(BENCH_SUITE_NAME)
#undef BENCH_SUITE_NAME
  };
  return names[suite];
}

bench_suite bench_suite_find(const char *name) {
  int suite = 0;
  while (suite < BENCH_SUITE_COUNT &&
         strcmp(bench_suite_name((bench_suite)suite), name))
    suite++;
  return (bench_suite)suite;
}

const bench_workload *bench_workload_get(bench_suite suite, int64_t n) {
  for (int i = 0; i < WORKLOAD_COUNT; i++)
    if (workloads[i].suites >> suite & 1 && n-- == 0) return &workloads[i];
  return NULL;
}

const char *bench_op_name(bench_op op) {
  static const char *const names[] = {
#define BENCH_OP_NAME(name, text) text,
      BENCH_OP_LIST(BENCH_OP_NAME)
#undef BENCH_OP_NAME
  };
  return names[op];
}

const char *bench_workload_title(const bench_workload *workload,
                                 char buffer[BENCH_TITLE_SIZE]) {
  const char *mask = workload->op == BENCH_OP_DECODE ? ""
                     : workload->causal              ? " causal"
                                                     : " full";
  snprintf(buffer, BENCH_TITLE_SIZE, "%s%s %lld", bench_op_name(workload->op),
           mask, (long long)workload->kv_length);
  return buffer;
}

const char *bench_workload_dtype(const bench_workload *workload) {
  return pfl_dtype_name(workload->cache_dtype);
}

pfl_attention bench_workload_attention(const bench_workload *workload) {
  return (pfl_attention){
      .struct_size = sizeof(pfl_attention),
      .batch = 1,
      .q_heads = workload->q_heads,
      .kv_heads = workload->kv_heads,
      .q_length = workload->q_length,
      .kv_length = workload->kv_length,
      .head_dim = workload->head_dim,
      .dtype = workload->dtype,
      .scoring = {.causal = workload->causal},
  };
}

pfl_decode bench_workload_decode(const bench_workload *workload) {
  return (pfl_decode){
      .struct_size = sizeof(pfl_decode),
      .batch = 1,
      .q_heads = workload->q_heads,
      .kv_heads = workload->kv_heads,
      .q_length = workload->q_length,
      .head_dim = workload->head_dim,
      .cache_length = workload->kv_length,
      .dtype = workload->dtype,
      .cache_dtype = workload->cache_dtype,
  };
}

double bench_workload_work(const bench_workload *workload) {
  pfl_status status;
  if (workload->op == BENCH_OP_DECODE) {
    pfl_decode decode = bench_workload_decode(workload);
    attention_decode_problem problem;
    status = attention_decode_problem_init(&decode, &problem, NULL);
    assert(status == PFL_STATUS_OK);
    return attention_decode_bytes(&problem, NULL);
  }
  pfl_attention attention = bench_workload_attention(workload);
  attention_problem problem;
  status = attention_problem_init(&attention, &problem, NULL);
  assert(status == PFL_STATUS_OK);
  (void)status;
  return workload->op == BENCH_OP_FORWARD ? attention_forward_flops(&problem)
                                          : attention_backward_flops(&problem);
}

bench_limit bench_workload_limit(const bench_workload *workload, bool has_dot) {
  if (workload->op == BENCH_OP_DECODE) return BENCH_LIMIT_READ;
  return workload->dtype == PFL_DTYPE_BF16 && has_dot ? BENCH_LIMIT_DOT
                                                      : BENCH_LIMIT_FMA;
}

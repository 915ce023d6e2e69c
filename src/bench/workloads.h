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

/* The shapes of models' attention, a row a kind of layer: those that alternate
 * between a window and none are two rows. X(NAME, name in reports, layers of
 * that kind, query heads, key-value heads, head dimension, window, softcap,
 * whether its heads have sinks). Batch 1; the keys of a window are counted with
 * the query's own. */
#define BENCH_MODEL_LIST(X)                                         \
  X(LLAMA2_7B, "llama-2-7b", 32, 32, 32, 128, 0, 0, false)          \
  X(LLAMA3_8B, "llama-3-8b", 32, 32, 8, 128, 0, 0, false)           \
  X(GEMMA2_9B, "gemma-2-9b", 21, 16, 8, 256, 0, 50, false)          \
  X(GEMMA2_9B_LOCAL, "gemma-2-9b", 21, 16, 8, 256, 4096, 50, false) \
  X(MISTRAL_7B, "mistral-7b", 32, 32, 8, 128, 4096, 0, false)       \
  X(QWEN3_8B, "qwen3-8b", 36, 32, 8, 128, 0, 0, false)              \
  X(GPT_OSS_20B, "gpt-oss-20b", 12, 64, 8, 64, 0, 0, true)          \
  X(GPT_OSS_20B_LOCAL, "gpt-oss-20b", 12, 64, 8, 64, 128, 0, true)

/* One attention call of one layer. Decode has one query position and a full,
 * contiguous cache. */
typedef struct bench_workload {
  const char
      *model;     /* a name of BENCH_MODEL_LIST; "": nobody's in particular */
  int64_t layers; /* of this kind that the model has; 1 without a model */
  bench_op op;
  int64_t batch, q_heads, kv_heads, q_length, kv_length, head_dim;
  bool causal;
  int64_t window; /* keys that a query sees, its own included; 0: no window */
  double softcap; /* 0: none */
  bool sinks;
  pfl_dtype dtype;       /* of q and o, and of all else but the cache */
  pfl_dtype cache_dtype; /* of k and v; dtype unless decode's is int8 */
  unsigned suites;       /* bit s: it is in suite s of BENCH_SUITE_LIST */
  int64_t page;          /* tokens a page of the cache has; 0: contiguous. Only
                            of what is predicted or simulated */
} bench_workload;

/* How long a row of a suite is measured: until `min_runs` and `min_seconds`
 * are both reached, or `max_seconds` have passed. The warm-up before it is at
 * least one run and `warm_seconds`. */
typedef struct bench_effort {
  int64_t min_runs;
  double min_seconds, max_seconds, warm_seconds;
  double block_seconds; /* how long one subject goes on before the next */
  double half_width;    /* of the mean's 95 % interval, in parts of it: runs go
                           on until it is reached (rule 40); 0: not asked */
  int64_t ring_bytes;   /* that decode walks over, at least */
  bool smoke;           /* too short to say anything (rule 27) */
  double least_seconds; /* that a timed region lasts: shorter runs are timed
                           some at a time (rule 23). Found on the machine */
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

/* The n-th workload of a suite, counted from 0; false after the last. */
bool bench_workload_get(bench_suite suite, int64_t n,
                        bench_workload *out_workload);
int64_t bench_workload_count(bench_suite suite);

const char *bench_op_name(bench_op op);
bool bench_op_find(const char *name, bench_op *out_op);

/* "forward causal 2048", "decode w4096 8192 x16" (window, length, batch):
 * unique together with the model and the dtype. */
#define BENCH_TITLE_SIZE 96
const char *bench_workload_title(const bench_workload *workload,
                                 char buffer[BENCH_TITLE_SIZE]);

/* The model, if any, the title and the dtype: unique. */
#define BENCH_NAME_SIZE 160
const char *bench_workload_name(const bench_workload *workload,
                                char buffer[BENCH_NAME_SIZE]);

/* The name of BENCH_MODEL_LIST, as static storage, or ""; NULL: no such model.
 */
const char *bench_model_find(const char *name);

/* Whether two workloads are the same, suites apart. */
bool bench_workload_equal(const bench_workload *a, const bench_workload *b);

/* The dtype as a row is called by: the cache's. */
const char *bench_workload_dtype(const bench_workload *workload);

/* The descriptors of the library's calls. */
pfl_attention bench_workload_attention(const bench_workload *workload);
pfl_decode bench_workload_decode(const bench_workload *workload);

/* FLOPs of one run by the field's convention: 4 B Hq Sq Sk D forward, half of
 * it when causal, only the pairs within it where there is a window, and 2.5
 * times that backward; of decode 4 B Hq Sk D. */
double bench_workload_flops(const bench_workload *workload);

/* Bytes that one run must move between memory and the processor at least: each
 * input read once, each output written once. */
double bench_workload_bytes(const bench_workload *workload);

/* Bytes of all tensors with one copy of the cache. */
double bench_workload_footprint(const bench_workload *workload);

/* Tokens that one run advances by: B Sq; for decode B. */
double bench_workload_tokens(const bench_workload *workload);

/* What a row's rate counts: FLOPs, or for decode the bytes of the cache. */
double bench_workload_work(const bench_workload *workload);

/* What bounds it: for decode reading, for bf16 the bf16 products where the CPU
 * has them, else f32 multiply-adds. */
bench_limit bench_workload_limit(const bench_workload *workload, bool has_dot);

#endif

/* The rows that are measured, as data. */
#include "bench/workloads.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
  QUICK = 1u << BENCH_SUITE_QUICK,
  CPU = 1u << BENCH_SUITE_CPU,
  KERNEL = 1u << BENCH_SUITE_KERNEL,
  TRAINING = 1u << BENCH_SUITE_TRAINING,
  DECODE = 1u << BENCH_SUITE_DECODE,
  FULL = 1u << BENCH_SUITE_FULL,
  SMOKE = 1u << BENCH_SUITE_SMOKE,
};

/* ---- Models ------------------------------------------------------------ */

typedef enum model_row {
#define MODEL_ENUM(id, ...) MODEL_##id,
  BENCH_MODEL_LIST(MODEL_ENUM)
#undef MODEL_ENUM
      MODEL_COUNT
} model_row;

typedef struct model_shape {
  const char *name;
  int64_t layers, q_heads, kv_heads, head_dim, window;
  double softcap;
  bool sinks;
} model_shape;

static const model_shape models[] = {
#define MODEL_SHAPE(id, ...) {__VA_ARGS__},
    BENCH_MODEL_LIST(MODEL_SHAPE)
#undef MODEL_SHAPE
};

const char *bench_model_find(const char *name) {
  if (!*name) return "";
  for (int i = 0; i < MODEL_COUNT; i++)
    if (!strcmp(models[i].name, name)) return models[i].name;
  return NULL;
}

/* ---- Suites ------------------------------------------------------------ */

/* Nobody's shapes, in which implementations are compared. */
#define DENSE(op, length, causal, dtype, suites)                             \
  {                                                                          \
    "", 1, BENCH_OP_##op, 1, 8, 8, length, length, 128, causal, 0, 0, false, \
        PFL_DTYPE_##dtype, PFL_DTYPE_##dtype, suites                         \
  }
#define CACHE(length, dtype, cache_dtype, suites)                         \
  {                                                                       \
    "", 1, BENCH_OP_DECODE, 1, 32, 8, 1, length, 128, false, 0, 0, false, \
        PFL_DTYPE_##dtype, PFL_DTYPE_##cache_dtype, suites                \
  }

static const bench_workload shapes[] = {
    DENSE(FORWARD, 2048, false, F32, QUICK | CPU | FULL),
    DENSE(FORWARD, 2048, false, BF16, QUICK | CPU | FULL),
    DENSE(FORWARD, 2048, false, F16, CPU | FULL),
    DENSE(FORWARD, 2048, true, F32, QUICK | CPU | FULL),
    DENSE(FORWARD, 2048, true, BF16, CPU | FULL),
    DENSE(FORWARD, 2048, true, F16, CPU | FULL),
    DENSE(BACKWARD, 2048, false, F32, CPU | FULL),
    DENSE(BACKWARD, 2048, false, BF16, CPU | FULL),
    DENSE(BACKWARD, 2048, true, F32, QUICK | CPU | FULL),
    DENSE(BACKWARD, 2048, true, BF16, QUICK | CPU | FULL),
    CACHE(8192, F32, F32, QUICK | CPU | FULL),
    CACHE(8192, BF16, BF16, QUICK | CPU | FULL),
    CACHE(8192, BF16, I8, QUICK | CPU | FULL),
    CACHE(32768, F32, F32, CPU | FULL),
    CACHE(32768, BF16, BF16, CPU | FULL),
    CACHE(32768, BF16, I8, CPU | FULL),
    DENSE(FORWARD, 96, true, F32, SMOKE),
    DENSE(FORWARD, 96, false, F16, SMOKE),
    DENSE(BACKWARD, 96, true, BF16, SMOKE),
    CACHE(300, F32, F32, SMOKE),
    CACHE(300, BF16, I8, SMOKE),
};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes };

/* Models' shapes: what is done with each row of BENCH_MODEL_LIST, or with one
 * (`only`, 1 + its place), in bf16. Causal, as models are. */
static const struct plan {
  bench_op op;
  int64_t length, batch;
  bool int8_cache;
  int only;
  unsigned suites;
} plans[] = {
    {BENCH_OP_FORWARD, 4096, 1, false, 1 + MODEL_LLAMA3_8B, QUICK},
    {BENCH_OP_DECODE, 8192, 8, false, 1 + MODEL_LLAMA3_8B, QUICK},
    {BENCH_OP_FORWARD, 4096, 1, false, 0, KERNEL | TRAINING | FULL},
    {BENCH_OP_BACKWARD, 4096, 1, false, 0, KERNEL | TRAINING | FULL},
    {BENCH_OP_FORWARD, 8192, 1, false, 0, TRAINING | FULL},
    {BENCH_OP_BACKWARD, 8192, 1, false, 0, TRAINING | FULL},
    {BENCH_OP_DECODE, 8192, 1, false, 0, KERNEL | DECODE | FULL},
    {BENCH_OP_DECODE, 2048, 1, false, 0, DECODE | FULL},
    {BENCH_OP_DECODE, 2048, 16, false, 0, DECODE | FULL},
    {BENCH_OP_DECODE, 8192, 16, false, 0, DECODE | FULL},
    {BENCH_OP_DECODE, 32768, 1, false, 0, DECODE | FULL},
    {BENCH_OP_DECODE, 8192, 16, true, 0, DECODE | FULL},
    {BENCH_OP_FORWARD, 136, 1, false, 1 + MODEL_GPT_OSS_20B_LOCAL, SMOKE},
    {BENCH_OP_DECODE, 200, 2, true, 1 + MODEL_GPT_OSS_20B_LOCAL, SMOKE},
};
enum { PLAN_COUNT = sizeof plans / sizeof *plans };

/* A window as long as the context is none: such a row is that of the model's
 * other layers, which count it with theirs. */
static bool is_repeated(const struct plan *plan, int model) {
  const model_shape *m = &models[model];
  return model > 0 && m->window >= plan->length &&
         !strcmp(models[model - 1].name, m->name);
}

static bench_workload apply(const struct plan *plan, int model) {
  const model_shape *m = &models[model];
  bool decode = plan->op == BENCH_OP_DECODE;
  bool with_next = model + 1 < MODEL_COUNT && is_repeated(plan, model + 1);
  return (bench_workload){
      .model = m->name,
      .layers = m->layers + (with_next ? m[1].layers : 0),
      .op = plan->op,
      .batch = plan->batch,
      .q_heads = m->q_heads,
      .kv_heads = m->kv_heads,
      .q_length = decode ? 1 : plan->length,
      .kv_length = plan->length,
      .head_dim = m->head_dim,
      .causal = !decode,
      .window = m->window < plan->length ? m->window : 0,
      .softcap = m->softcap,
      .sinks = m->sinks,
      .dtype = PFL_DTYPE_BF16,
      .cache_dtype = plan->int8_cache ? PFL_DTYPE_I8 : PFL_DTYPE_BF16,
      .suites = plan->suites,
  };
}

bool bench_workload_get(bench_suite suite, int64_t n,
                        bench_workload *out_workload) {
  for (int i = 0; i < SHAPE_COUNT; i++)
    if (shapes[i].suites >> suite & 1 && n-- == 0) {
      *out_workload = shapes[i];
      return true;
    }
  for (int model = 0; model < MODEL_COUNT; model++)
    for (int i = 0; i < PLAN_COUNT; i++) {
      const struct plan *plan = &plans[i];
      bool named = !plan->only || plan->only == 1 + model;
      if (!named || !(plan->suites >> suite & 1) || is_repeated(plan, model))
        continue;
      if (n-- > 0) continue;
      *out_workload = apply(plan, model);
      return true;
    }
  return false;
}

int64_t bench_workload_count(bench_suite suite) {
  bench_workload workload;
  int64_t count = 0;
  while (bench_workload_get(suite, count, &workload)) count++;
  return count;
}

static const bench_effort efforts[BENCH_SUITE_COUNT] = {
    [BENCH_SUITE_QUICK] = {7, 1, 12, 0.1, 0.05, 0, 256 << 20, false, 0},
    [BENCH_SUITE_CPU] = {10, 3, 60, 0.5, 0.05, 0, 256 << 20, false, 0},
    [BENCH_SUITE_KERNEL] = {10, 3, 30, 3, 0.05, 0.025, 256 << 20, false, 0},
    [BENCH_SUITE_TRAINING] = {10, 3, 60, 3, 0.05, 0.025, 256 << 20, false, 0},
    [BENCH_SUITE_DECODE] = {10, 3, 30, 3, 0.05, 0.025, 256 << 20, false, 0},
    [BENCH_SUITE_FULL] = {10, 3, 60, 3, 0.05, 0.025, 256 << 20, false, 0},
    [BENCH_SUITE_SMOKE] = {6, 0, 30, 0, 0, 0, 0, true, 0},
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

const char *bench_op_name(bench_op op) {
  static const char *const names[] = {
#define BENCH_OP_NAME(name, text) text,
      BENCH_OP_LIST(BENCH_OP_NAME)
#undef BENCH_OP_NAME
  };
  return names[op];
}

bool bench_op_find(const char *name, bench_op *out_op) {
  static const bench_op ops[] = {
#define BENCH_OP_ROW(name, text) BENCH_OP_##name,
      BENCH_OP_LIST(BENCH_OP_ROW)
#undef BENCH_OP_ROW
  };
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    *out_op = ops[i];
    if (!strcmp(bench_op_name(ops[i]), name)) return true;
  }
  return false;
}

/* ---- One of them ------------------------------------------------------- */

const char *bench_workload_title(const bench_workload *workload,
                                 char buffer[BENCH_TITLE_SIZE]) {
  const bench_workload *w = workload;
  char window[24] = "", batch[24] = "", page[24] = "";
  const char *mask = w->op == BENCH_OP_DECODE || *w->model ? ""
                     : w->causal                           ? " causal"
                                                           : " full";
  if (w->window)
    snprintf(window, sizeof window, " w%lld", (long long)w->window);
  if (w->batch > 1)
    snprintf(batch, sizeof batch, " x%lld", (long long)w->batch);
  if (w->page) snprintf(page, sizeof page, " page %lld", (long long)w->page);
  snprintf(buffer, BENCH_TITLE_SIZE, "%s%s%s %lld%s%s", bench_op_name(w->op),
           mask, window, (long long)w->kv_length, batch, page);
  return buffer;
}

const char *bench_workload_name(const bench_workload *workload,
                                char buffer[BENCH_NAME_SIZE]) {
  char title[BENCH_TITLE_SIZE];
  snprintf(buffer, BENCH_NAME_SIZE, "%s%s%s %s", workload->model,
           *workload->model ? " " : "", bench_workload_title(workload, title),
           bench_workload_dtype(workload));
  return buffer;
}

const char *bench_workload_dtype(const bench_workload *workload) {
  return pfl_dtype_name(workload->cache_dtype);
}

bool bench_workload_equal(const bench_workload *a, const bench_workload *b) {
  return !strcmp(a->model, b->model) && a->layers == b->layers &&
         a->op == b->op && a->batch == b->batch && a->q_heads == b->q_heads &&
         a->kv_heads == b->kv_heads && a->q_length == b->q_length &&
         a->kv_length == b->kv_length && a->head_dim == b->head_dim &&
         a->causal == b->causal && a->window == b->window &&
         a->softcap == b->softcap && a->sinks == b->sinks &&
         a->dtype == b->dtype && a->cache_dtype == b->cache_dtype &&
         a->page == b->page;
}

static pfl_scoring scoring_of(const bench_workload *w) {
  return (pfl_scoring){
      .softcap = w->softcap,
      .causal = w->causal,
      .windowed = w->window > 0,
      .window_left = w->window ? w->window - 1 : 0,
      .window_right = w->window ? -1 : 0,
  };
}

pfl_attention bench_workload_attention(const bench_workload *workload) {
  return (pfl_attention){
      .struct_size = sizeof(pfl_attention),
      .batch = workload->batch,
      .q_heads = workload->q_heads,
      .kv_heads = workload->kv_heads,
      .q_length = workload->q_length,
      .kv_length = workload->kv_length,
      .head_dim = workload->head_dim,
      .dtype = workload->dtype,
      .scoring = scoring_of(workload),
  };
}

pfl_decode bench_workload_decode(const bench_workload *workload) {
  int64_t pages =
      workload->page ? base_ceil_div(workload->kv_length, workload->page) : 0;
  return (pfl_decode){
      .struct_size = sizeof(pfl_decode),
      .batch = workload->batch,
      .q_heads = workload->q_heads,
      .kv_heads = workload->kv_heads,
      .q_length = workload->q_length,
      .head_dim = workload->head_dim,
      .cache_length = workload->page ? 0 : workload->kv_length,
      .page_count = workload->batch * pages,
      .page_length = workload->page,
      .pages_per_sequence = pages,
      .dtype = workload->dtype,
      .cache_dtype = workload->cache_dtype,
      .scoring = scoring_of(workload),
  };
}

/* ---- What it costs ----------------------------------------------------- */

double bench_workload_flops(const bench_workload *workload) {
  const bench_workload *w = workload;
  pfl_attention attention = bench_workload_attention(w);
  attention_problem problem;
  pfl_status status = attention_problem_init(&attention, &problem, NULL);
  assert(status == PFL_STATUS_OK);
  (void)status;
  if (!w->window)
    return w->op == BENCH_OP_BACKWARD ? attention_backward_flops(&problem)
                                      : attention_forward_flops(&problem);
  double heads = (double)w->batch * (double)w->q_heads;
  double flops =
      4 * heads * attention_visible_pairs(&problem) * (double)w->head_dim;
  return w->op == BENCH_OP_BACKWARD ? 2.5 * flops : flops;
}

/* Of a cache, or of k and v, scales included; within the window, or all. */
static double cache_bytes(const bench_workload *w, bool within) {
  bench_workload seen = *w;
  if (within && w->op == BENCH_OP_DECODE && w->window)
    seen.kv_length = w->window;
  pfl_decode decode = bench_workload_decode(&seen);
  attention_decode_problem problem;
  pfl_status status = attention_decode_problem_init(&decode, &problem, NULL);
  assert(status == PFL_STATUS_OK);
  (void)status;
  return attention_decode_bytes(&problem, NULL);
}

/* q and o, k and v; backward also do, dq, dk and dv. lse is left out: 2 / D of
 * q at most. */
static double tensor_bytes(const bench_workload *w, bool within) {
  double q_rows = bench_workload_tokens(w) * (double)w->q_heads;
  double q_bytes =
      q_rows * (double)w->head_dim * (double)pfl_dtype_size(w->dtype);
  double bytes = 2 * q_bytes + cache_bytes(w, within);
  return w->op == BENCH_OP_BACKWARD ? 2 * bytes : bytes;
}

double bench_workload_bytes(const bench_workload *workload) {
  return tensor_bytes(workload, true);
}

double bench_workload_footprint(const bench_workload *workload) {
  return tensor_bytes(workload, false);
}

double bench_workload_tokens(const bench_workload *workload) {
  return (double)workload->batch * (double)workload->q_length;
}

double bench_workload_work(const bench_workload *workload) {
  return workload->op == BENCH_OP_DECODE ? cache_bytes(workload, true)
                                         : bench_workload_flops(workload);
}

bench_limit bench_workload_limit(const bench_workload *workload, bool has_dot) {
  if (workload->op == BENCH_OP_DECODE) return BENCH_LIMIT_READ;
  return workload->dtype == PFL_DTYPE_BF16 && has_dot ? BENCH_LIMIT_DOT
                                                      : BENCH_LIMIT_FMA;
}

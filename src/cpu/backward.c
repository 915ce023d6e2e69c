/* Backward (FlashAttention-2, algorithm 2): P is recomputed from LSE.
 *
 * For a block of keys and a panel of queries
 *   S^T = K Q^T, dP^T = V dO^T, P = exp(S - LSE), dS = P (dP - delta)
 *   dV += P^T dO,   dK += dS^T Q,   dQ += dS K     delta = rowsum(dO O) - dLSE
 *
 * Every sum is taken in the same order however the work is shared out: dK and
 * dV of a key over query heads, then panels; dQ of a query over key blocks. So
 * the two plans below give the same bits, and the number of threads may choose:
 *
 *   whole heads    a task is a key-value head; five products a tile
 *   split heads    a task is a block of keys (dK, dV), then a panel of queries
 *                  (dQ); seven products a tile, but as many tasks as one likes
 */
#include "cpu/carve.h"
#include "cpu/cpu.h"
#include "cpu/panel.h"

#include <math.h>

#define LOG2E 1.4426950408889634

typedef struct backward_job {
  const cpu_engine *engine;
  const attention_problem *problem;
  const pfl_backward_args *args;
  cpu_call call;
  bool whole_heads;
  int64_t key_block, key_blocks, panels; /* of one head */
  int64_t width, v_width;                /* D and Dv, padded */
  float *delta;                          /* [B, Hq, Sq] */
  char *scratch;                         /* of all workers */
  size_t scratch_bytes;                  /* of one */
} backward_job;

/* One worker's memory. A gradient is summed in f32: in the output itself where
 * that is f32 without padding, else here and narrowed at the end. */
typedef struct backward_scratch {
  float *scores, *d_weights; /* [key_block][64] */
  uint32_t *ds_pairs;        /* [key_block / 2][64] */
  float *k_along, *v_along, *k_across;
  float *q_turned, *do_turned, *q_across, *do_across, *row_room;
  float *dq, *dk, *dv; /* whole heads: of a head; split: of a panel, a block */
} backward_scratch;

/* A block of keys, and a panel of queries, in the forms the products need. */
typedef struct key_tile {
  int64_t first, count;
  cpu_operand k_along, v_along, k_across;
} key_tile;

typedef struct query_tile {
  int64_t first, count;
  cpu_operand q_turned, do_turned, q_across, do_across;
  cpu_view view;
  float lse[CPU_PANEL], delta[CPU_PANEL];
} query_tile;

static bool sums_in_place(const backward_job *job, int64_t width) {
  return job->problem->dtype == PFL_DTYPE_F32 && width % CPU_LANES_MAX == 0;
}

static backward_scratch carve(const backward_job *job, cpu_carver *carver) {
  const attention_problem *p = job->problem;
  int64_t keys = job->key_block, wide = base_max(p->D, p->Dv);
  int64_t dq_rows = job->whole_heads ? p->Sq : CPU_PANEL;
  int64_t dk_rows = job->whole_heads ? p->Sk : keys;
  int64_t k_room = cpu_operand_room(keys, p->D);
  int64_t row_room = cpu_operand_room(CPU_PANEL, wide);
  if (sums_in_place(job, p->D)) dq_rows = 0;
  return (backward_scratch){
      .scores = cpu_carve_floats(carver, keys * CPU_PANEL),
      .d_weights = cpu_carve_floats(carver, keys * CPU_PANEL),
      .ds_pairs = cpu_carve(carver, keys / 2 * CPU_PANEL, sizeof(uint32_t)),
      .k_along = cpu_carve_floats(carver, k_room),
      .v_along = cpu_carve_floats(carver, cpu_operand_room(keys, p->Dv)),
      .k_across = cpu_carve_floats(carver, k_room),
      .q_turned = cpu_carve_floats(carver, p->D * CPU_PANEL),
      .do_turned = cpu_carve_floats(carver, p->Dv * CPU_PANEL),
      .q_across = cpu_carve_floats(carver, row_room),
      .do_across = cpu_carve_floats(carver, row_room),
      .row_room = cpu_carve_floats(carver, row_room),
      .dq = cpu_carve_floats(carver, dq_rows * job->width),
      .dk = cpu_carve_floats(
          carver, sums_in_place(job, p->D) ? 0 : dk_rows * job->width),
      .dv = cpu_carve_floats(
          carver, sums_in_place(job, p->Dv) ? 0 : dk_rows * job->v_width),
  };
}

static backward_scratch scratch_of(const backward_job *job, int32_t worker) {
  cpu_carver carver = {job->scratch + job->scratch_bytes * (size_t)worker, 0};
  return carve(job, &carver);
}

/* Row `row` of a tensor [rows][width] of the problem's dtype. */
static const void *row_at(const backward_job *job, const void *tensor,
                          int64_t row, int64_t width) {
  size_t bytes = pfl_dtype_size(job->problem->dtype);
  return (const char *)tensor + (size_t)(row * width) * bytes;
}

static cpu_source rows_of(const backward_job *job, const void *tensor,
                          int64_t row, int64_t rows, int64_t width) {
  return (cpu_source){
      .kernels = job->call.kernels,
      .pairs = job->call.pairs,
      .dtype = job->problem->dtype,
      .data = row_at(job, tensor, row, width),
      .rows = rows,
      .width = width,
  };
}

static key_tile load_keys(const backward_job *job, const backward_scratch *s,
                          int64_t kv_head, int64_t block) {
  const attention_problem *p = job->problem;
  key_tile tile = {.first = block * job->key_block};
  tile.count = base_min(job->key_block, p->Sk - tile.first);
  int64_t row = kv_head * p->Sk + tile.first;
  cpu_source k = rows_of(job, job->args->k, row, tile.count, p->D);
  cpu_source v = rows_of(job, job->args->v, row, tile.count, p->Dv);
  tile.k_along = cpu_operand_along(&k, s->k_along);
  tile.v_along = cpu_operand_along(&v, s->v_along);
  tile.k_across = cpu_operand_across(&k, s->k_across);
  return tile;
}

/* The view of a panel alone: enough to know which blocks of keys it meets. */
static query_tile view_queries(const backward_job *job, int64_t head,
                               int64_t panel) {
  const attention_problem *p = job->problem;
  const pfl_backward_args *args = job->args;
  query_tile tile = {.first = panel * CPU_PANEL};
  tile.count = base_min(CPU_PANEL, p->Sq - tile.first);
  int64_t b = head / p->Hq;
  cpu_view_queries(
      &tile.view, p, tile.first, tile.count,
      args->q_segment_ids ? args->q_segment_ids + b * p->Sq : NULL,
      args->kv_segment_ids ? args->kv_segment_ids + b * p->Sk : NULL);
  return tile;
}

static void load_queries(const backward_job *job, const backward_scratch *s,
                         int64_t head, query_tile *tile) {
  const attention_problem *p = job->problem;
  int64_t row = head * p->Sq + tile->first;
  cpu_source q = rows_of(job, job->args->q, row, tile->count, p->D);
  cpu_source d_o = rows_of(job, job->args->d_o, row, tile->count, p->Dv);
  tile->q_turned = cpu_operand_transposed(&q, s->q_turned, s->row_room);
  tile->do_turned = cpu_operand_transposed(&d_o, s->do_turned, s->row_room);
  tile->q_across = cpu_operand_across(&q, s->q_across);
  tile->do_across = cpu_operand_across(&d_o, s->do_across);
  for (int64_t i = 0; i < CPU_PANEL; i++) {
    float lse = i < tile->count ? job->args->lse[row + i] : -INFINITY;
    /* +inf makes P of a row that sees no key, or is none, 0 */
    tile->lse[i] = lse == -INFINITY ? INFINITY : (float)(lse * LOG2E);
    tile->delta[i] = i < tile->count ? job->delta[row + i] : 0;
  }
}

/* P and dS of one tile, left in s->scores and s->d_weights. */
static void weights(const backward_job *job, const backward_scratch *s,
                    const key_tile *keys, const query_tile *queries) {
  const cpu_call *call = &job->call;
  const cpu_kernels *kernels = call->kernels;
  cpu_scores(call, &queries->view, keys->k_along, queries->q_turned,
             queries->count, keys->first, keys->count, s->scores);
  cpu_product product = {
      .m = keys->count, /* dP^T = V dO^T */
      .n = base_round_up(queries->count, CPU_LANES_MAX),
      .k = cpu_operand_words(call->pairs, call->Dv),
      .a = keys->v_along.data,
      .a_row = keys->v_along.row,
      .a_step = 1,
      .b = queries->do_turned.data,
      .b_row = queries->do_turned.row,
      .c = s->d_weights,
      .c_row = CPU_PANEL,
      .alpha = 1,
  };
  cpu_multiply(call, &product);
  cpu_gradient gradient = {
      .scores = s->scores,
      .d_weights = s->d_weights,
      .ds_pairs = s->ds_pairs,
      .keys = keys->count,
      .lse = queries->lse,
      .delta = queries->delta,
      .inv_cap = call->cap_log2 > 0 ? 1 / call->cap_log2 : 0,
      .scale = (float)job->problem->scale,
  };
  (call->pairs ? kernels->gradient_bf16 : kernels->gradient_f32)(&gradient);
}

/* sum [keys][width] += W^T X for W = P or dS, X = dO or Q. */
static void add_to_keys(const backward_job *job, const float *w, cpu_operand x,
                        const key_tile *keys, const query_tile *queries,
                        int64_t width, float *sum) {
  const cpu_call *call = &job->call;
  cpu_product product = {
      .m = keys->count,
      .n = width,
      .k = cpu_operand_words(call->pairs, queries->count),
      .a = w,
      .a_row = cpu_operand_words(call->pairs, CPU_PANEL),
      .a_step = 1,
      .b = x.data,
      .b_row = x.row,
      .c = sum,
      .c_row = width,
      .alpha = 1,
      .keep = true,
  };
  cpu_multiply(call, &product);
}

/* dQ [queries][D] += dS K. */
static void add_to_queries(const backward_job *job, const backward_scratch *s,
                           const key_tile *keys, const query_tile *queries,
                           float *sum) {
  const cpu_call *call = &job->call;
  cpu_product product = {
      .m = queries->count,
      .n = job->width,
      .k = cpu_operand_words(call->pairs, keys->count),
      .a = call->pairs ? (const void *)s->ds_pairs : s->d_weights,
      .a_row = 1,
      .a_step = CPU_PANEL,
      .b = keys->k_across.data,
      .b_row = keys->k_across.row,
      .c = sum,
      .c_row = job->width,
      .alpha = 1,
      .keep = true,
  };
  cpu_multiply(call, &product);
}

/* Sums of `rows` rows, from `row` of `out` on: zeroed before they are taken,
 * and afterwards put where they belong. `room` is theirs unless they are taken
 * in place. */
static float *begin_sums(const backward_job *job, void *out, int64_t row,
                         int64_t rows, int64_t width, float *room) {
  float *sums = sums_in_place(job, width) ? (float *)out + row * width : room;
  int64_t padded = base_round_up(width, CPU_LANES_MAX);
  for (int64_t i = 0; i < rows * padded; i++) sums[i] = 0;
  return sums;
}

static void end_sums(const backward_job *job, void *out, int64_t row,
                     int64_t rows, int64_t width, const float *sums) {
  if (sums_in_place(job, width)) return;
  int64_t padded = base_round_up(width, CPU_LANES_MAX);
  for (int64_t r = 0; r < rows; r++)
    job->call.kernels->narrow[job->problem->dtype](
        (void *)row_at(job, out, row + r, width), sums + r * padded, width);
}

/* delta = rowsum(dO O) - dLSE of one panel's rows. */
static void run_delta(void *argument, int64_t task, int32_t worker) {
  const backward_job *job = argument;
  const attention_problem *p = job->problem;
  const cpu_kernels *kernels = job->call.kernels;
  const float *lse = job->args->lse, *d_lse = job->args->d_lse;
  backward_scratch s = scratch_of(job, worker);
  int64_t row = task / job->panels * p->Sq + task % job->panels * CPU_PANEL;
  int64_t end = base_min(row + CPU_PANEL, (task / job->panels + 1) * p->Sq);
  for (; row < end; row++) {
    kernels->widen[p->dtype](s.q_across, row_at(job, job->args->o, row, p->Dv),
                             p->Dv);
    kernels->widen[p->dtype](s.do_across,
                             row_at(job, job->args->d_o, row, p->Dv), p->Dv);
    job->delta[row] = kernels->dot(s.q_across, s.do_across, p->Dv);
    if (d_lse && lse[row] != -INFINITY) job->delta[row] -= d_lse[row];
  }
}

/* Whole heads: everything of one key-value head. */
static void run_head(void *argument, int64_t kv_head, int32_t worker) {
  const backward_job *job = argument;
  const attention_problem *p = job->problem;
  const pfl_backward_args *args = job->args;
  backward_scratch s = scratch_of(job, worker);
  int64_t k_row = kv_head * p->Sk;
  float *dk = begin_sums(job, args->out_dk, k_row, p->Sk, p->D, s.dk);
  float *dv = begin_sums(job, args->out_dv, k_row, p->Sk, p->Dv, s.dv);
  for (int64_t head = kv_head * p->group; head < (kv_head + 1) * p->group;
       head++) {
    int64_t q_row = head * p->Sq;
    float *dq = begin_sums(job, args->out_dq, q_row, p->Sq, p->D, s.dq);
    for (int64_t block = 0; block < job->key_blocks; block++) {
      key_tile keys = load_keys(job, &s, kv_head, block);
      for (int64_t panel = 0; panel < job->panels; panel++) {
        query_tile queries = view_queries(job, head, panel);
        if (!cpu_view_sees(&queries.view, keys.first, keys.count)) continue;
        load_queries(job, &s, head, &queries);
        weights(job, &s, &keys, &queries);
        add_to_keys(job, s.scores, queries.do_across, &keys, &queries,
                    job->v_width, dv + keys.first * job->v_width);
        add_to_keys(job, s.d_weights, queries.q_across, &keys, &queries,
                    job->width, dk + keys.first * job->width);
        add_to_queries(job, &s, &keys, &queries,
                       dq + queries.first * job->width);
      }
    }
    end_sums(job, args->out_dq, q_row, p->Sq, p->D, dq);
  }
  end_sums(job, args->out_dk, k_row, p->Sk, p->D, dk);
  end_sums(job, args->out_dv, k_row, p->Sk, p->Dv, dv);
}

/* Split heads: dK and dV of one block of keys. */
static void run_keys(void *argument, int64_t task, int32_t worker) {
  const backward_job *job = argument;
  const attention_problem *p = job->problem;
  const pfl_backward_args *args = job->args;
  backward_scratch s = scratch_of(job, worker);
  int64_t kv_head = task / job->key_blocks;
  key_tile keys = load_keys(job, &s, kv_head, task % job->key_blocks);
  int64_t row = kv_head * p->Sk + keys.first;
  float *dk = begin_sums(job, args->out_dk, row, keys.count, p->D, s.dk);
  float *dv = begin_sums(job, args->out_dv, row, keys.count, p->Dv, s.dv);
  for (int64_t i = 0; i < p->group * job->panels; i++) {
    int64_t head = kv_head * p->group + i / job->panels;
    query_tile queries = view_queries(job, head, i % job->panels);
    if (!cpu_view_sees(&queries.view, keys.first, keys.count)) continue;
    load_queries(job, &s, head, &queries);
    weights(job, &s, &keys, &queries);
    add_to_keys(job, s.scores, queries.do_across, &keys, &queries, job->v_width,
                dv);
    add_to_keys(job, s.d_weights, queries.q_across, &keys, &queries, job->width,
                dk);
  }
  end_sums(job, args->out_dk, row, keys.count, p->D, dk);
  end_sums(job, args->out_dv, row, keys.count, p->Dv, dv);
}

/* Split heads: dQ of one panel. */
static void run_queries(void *argument, int64_t task, int32_t worker) {
  const backward_job *job = argument;
  const attention_problem *p = job->problem;
  const pfl_backward_args *args = job->args;
  backward_scratch s = scratch_of(job, worker);
  int64_t head = task / job->panels;
  query_tile queries = view_queries(job, head, task % job->panels);
  load_queries(job, &s, head, &queries);
  int64_t row = head * p->Sq + queries.first;
  float *dq = begin_sums(job, args->out_dq, row, queries.count, p->D, s.dq);
  for (int64_t block = 0; block < job->key_blocks; block++) {
    int64_t first = block * job->key_block;
    int64_t count = base_min(job->key_block, p->Sk - first);
    if (!cpu_view_sees(&queries.view, first, count)) continue;
    key_tile keys = load_keys(job, &s, head / p->group, block);
    weights(job, &s, &keys, &queries);
    add_to_queries(job, &s, &keys, &queries, dq);
  }
  end_sums(job, args->out_dq, row, queries.count, p->D, dq);
}

/* dsink = - sum over rows of exp(sink - LSE) delta, for one head. */
static void run_sink(void *argument, int64_t head, int32_t worker) {
  const backward_job *job = argument;
  const attention_problem *p = job->problem;
  (void)worker;
  double sum = 0;
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t i = 0; i < p->Sq; i++) {
      int64_t row = (b * p->Hq + head) * p->Sq + i;
      double lse = job->args->lse[row];
      if (lse != -INFINITY)
        sum -= exp(job->args->sinks[head] - lse) * job->delta[row];
    }
  job->args->out_dsinks[head] = (float)sum;
}

/* Whole heads cost 5 products a tile, but the last round of heads may leave
 * threads idle; split heads cost 7 and keep all of them busy. */
static bool prefers_whole_heads(const cpu_engine *engine,
                                const attention_problem *p) {
  double heads = (double)p->B * (double)p->Hkv;
  double threads = base_threads_count(engine->threads);
  return 5 * ceil(heads / threads) <= 7 * heads / threads;
}

static backward_job job_of(const cpu_engine *engine,
                           const attention_problem *p) {
  backward_job job = {
      .engine = engine,
      .problem = p,
      .call = cpu_call_init(&engine->kernels, p->dtype, p->D, p->Dv, p->scale,
                            p->softcap),
      .whole_heads = prefers_whole_heads(engine, p),
      .key_block = engine->kernels.key_block,
      .key_blocks = base_ceil_div(p->Sk, engine->kernels.key_block),
      .panels = base_ceil_div(p->Sq, CPU_PANEL),
      .width = base_round_up(p->D, CPU_LANES_MAX),
      .v_width = base_round_up(p->Dv, CPU_LANES_MAX),
  };
  cpu_carver carver = {NULL, 0};
  carve(&job, &carver);
  job.scratch_bytes = carver.used;
  return job;
}

static bool is_empty(const attention_problem *p) {
  return p->B == 0 || p->Hq == 0 || (p->Sq == 0 && p->Sk == 0);
}

static char *carve_workspace(backward_job *job, cpu_carver *carver) {
  const attention_problem *p = job->problem;
  job->delta = cpu_carve_floats(carver, p->Sq == 0 ? 0 : p->B * p->Hq * p->Sq);
  return cpu_carve(carver, base_threads_count(job->engine->threads),
                   job->scratch_bytes);
}

size_t cpu_backward_workspace(const cpu_engine *engine,
                              const attention_problem *problem) {
  if (is_empty(problem)) return 0;
  backward_job job = job_of(engine, problem);
  cpu_carver carver = {NULL, 0};
  carve_workspace(&job, &carver);
  return carver.used;
}

void cpu_backward(const cpu_engine *engine, const attention_problem *problem,
                  const pfl_backward_args *args, void *workspace) {
  for (int64_t h = 0; args->out_dsinks && h < problem->Hq; h++)
    args->out_dsinks[h] = 0;
  if (is_empty(problem)) return;
  backward_job job = job_of(engine, problem);
  job.args = args;
  cpu_carver carver = {workspace, 0};
  job.scratch = carve_workspace(&job, &carver);
  base_threads *threads = engine->threads;
  int64_t heads = problem->B * problem->Hq;
  int64_t kv_heads = problem->B * problem->Hkv;
  base_threads_run(threads, heads * job.panels, run_delta, &job);
  if (job.whole_heads) {
    base_threads_run(threads, kv_heads, run_head, &job);
  } else {
    base_threads_run(threads, kv_heads * job.key_blocks, run_keys, &job);
    base_threads_run(threads, heads * job.panels, run_queries, &job);
  }
  if (args->out_dsinks) base_threads_run(threads, problem->Hq, run_sink, &job);
}

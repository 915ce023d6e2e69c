/* Decode (FlashDecoding): the cache of a key-value head is cut into parts, each
 * part a task that leaves (m, l, O) for the query rows; a second round of tasks
 * merges the parts exactly. How the cache is cut depends on the problem alone.
 *
 * The query rows of a key-value head are the heads of its group times the T
 * positions: row r = g T + t, which is how q and o lie in memory. A few rows
 * are bound by reading the cache and go through `scores` and `accumulate`,
 * which read it once in its own dtype; many rows go through the panels of
 * forward. */
#include "cpu/carve.h"
#include "cpu/cpu.h"
#include "cpu/panel.h"
#include "cpu/stream.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
  FEW_ROWS = 8,       /* up to these, reading the cache is what takes time */
  PART_LEAST = 1024,  /* tokens: below, a part costs more than it spreads */
  TASKS_ENOUGH = 128, /* parts of all sequences and heads, about */
  PARTS_MOST = 64,    /* of one sequence and head */
  ROW_BLOCK = 512     /* tokens whose scores are held at a time */
};

typedef struct decode_job {
  const cpu_engine *engine;
  const attention_decode_problem *problem;
  const pfl_decode_args *args;
  cpu_call call;
  int64_t rows;    /* of a key-value head: group T */
  int64_t width;   /* D, padded */
  int64_t v_width; /* Dv, padded */
  int64_t parts, part_length;
  float *m, *l, *o; /* [B Hkv][parts][rows], o with [v_width] */
  char *scratch;
  size_t scratch_bytes;
} decode_job;

typedef struct decode_scratch {
  /* few rows */
  float *q, *scores; /* [rows][width], [rows][ROW_BLOCK] */
  /* many rows */
  cpu_panel panel;
  float *panel_scores, *k_room, *v_room, *row_room, *panel_out;
  char *k_rows, *v_rows; /* a block gathered from pages */
  float *k_scale, *v_scale;
} decode_scratch;

/* One part of one sequence and key-value head. */
typedef struct decode_part {
  int64_t b, kv_head, length;
  int64_t begin, end; /* tokens */
  float *m, *l, *o;
} decode_part;

/* Tokens that lie beside each other in the cache. */
typedef struct cache_run {
  int64_t count;
  const void *k, *v;
  const float *k_scale, *v_scale;
} cache_run;

static bool is_few(const decode_job *job) { return job->rows <= FEW_ROWS; }

static decode_scratch carve(const decode_job *job, cpu_carver *carver) {
  const attention_decode_problem *p = job->problem;
  decode_scratch s = {0};
  if (is_few(job)) {
    s.q = cpu_carve_floats(carver, job->rows * job->width);
    s.scores = cpu_carve_floats(carver, job->rows * ROW_BLOCK);
    return s;
  }
  int64_t keys = job->call.kernels->key_block;
  cpu_panel_carve(&s.panel, &job->call, carver);
  s.panel_scores = cpu_carve_floats(carver, keys * CPU_PANEL);
  s.k_room = cpu_carve_floats(carver, cpu_operand_room(keys, p->D));
  s.v_room = cpu_carve_floats(carver, cpu_operand_room(keys, p->Dv));
  s.row_room = cpu_carve_floats(carver, cpu_operand_room(CPU_PANEL, p->D));
  s.panel_out = cpu_carve_floats(carver, CPU_PANEL * p->Dv);
  s.k_rows = cpu_carve(carver, keys * p->D, sizeof(float));
  s.v_rows = cpu_carve(carver, keys * p->Dv, sizeof(float));
  s.k_scale = cpu_carve_floats(carver, keys);
  s.v_scale = cpu_carve_floats(carver, keys);
  return s;
}

/* The tokens from `token` on, up to `end`, that one piece of memory holds. */
static cache_run run_at(const decode_job *job, const decode_part *part,
                        int64_t token, int64_t end) {
  const attention_decode_problem *p = job->problem;
  const pfl_decode_args *args = job->args;
  int64_t row, held = end - token; /* row of [.., Hkv, tokens] */
  if (p->paged) {
    int64_t page = args->block_table[part->b * p->pages_per_sequence +
                                     token / p->page_length];
    int64_t within = token % p->page_length;
    row = (page * p->Hkv + part->kv_head) * p->page_length + within;
    held = base_min(held, p->page_length - within);
  } else {
    row = (part->b * p->Hkv + part->kv_head) * p->Smax + token;
  }
  size_t size = pfl_dtype_size(p->cache_dtype);
  return (cache_run){
      .count = held,
      .k = (const char *)args->k + (size_t)(row * p->D) * size,
      .v = (const char *)args->v + (size_t)(row * p->Dv) * size,
      .k_scale = args->k_scale ? args->k_scale + row : NULL,
      .v_scale = args->v_scale ? args->v_scale + row : NULL,
  };
}

static const char *rows_of(const cache_run *run, bool values) {
  return values ? run->v : run->k;
}

static int64_t row_bytes(const decode_job *job, bool values) {
  const attention_decode_problem *p = job->problem;
  return (values ? p->Dv : p->D) * (int64_t)pfl_dtype_size(p->cache_dtype);
}

/* What to prefetch while the run at `token` is read: as far ahead as a stream
 * asks, in pages the same rows of a later one. */
static const void *ahead_of(const decode_job *job, const decode_part *part,
                            const cache_run *run, int64_t token, bool values) {
  const attention_decode_problem *p = job->problem;
  if (!p->paged) return rows_of(run, values) + STREAM_AHEAD;
  int64_t page_bytes = p->page_length * row_bytes(job, values);
  token += base_ceil_div(STREAM_AHEAD, page_bytes) * p->page_length;
  if (token >= part->end) return NULL;
  cache_run later = run_at(job, part, token, part->end);
  return rows_of(&later, values);
}

/* Prefetches what a stream from `token` on reads before its own asking helps.
 */
static void ask_first(const decode_job *job, const decode_part *part,
                      int64_t token, bool values) {
  cache_run run;
  int64_t bytes, left = STREAM_AHEAD;
  for (; left > 0 && token < part->end; token += run.count, left -= bytes) {
    run = run_at(job, part, token, part->end);
    bytes = base_min(left, run.count * row_bytes(job, values));
    cpu_stream_begin(rows_of(&run, values), bytes);
  }
}

/* The tokens that query row r sees. */
static attention_range visible_to(const decode_job *job,
                                  const decode_part *part, int64_t r) {
  const attention_decode_problem *p = job->problem;
  int64_t position = part->length - p->T + r % p->T;
  return attention_visible_keys(p->window, position, part->length);
}

static const void *query_rows(const decode_job *job, const decode_part *part,
                              int64_t r) {
  const attention_decode_problem *p = job->problem;
  int64_t row = (part->b * p->Hkv + part->kv_head) * job->rows + r;
  return (const char *)job->args->q +
         (size_t)(row * p->D) * pfl_dtype_size(p->dtype);
}

/* --- few rows --- */

/* Scores of tokens begin .. end - 1, which one block of scratch holds. */
static void score_block(const decode_job *job, const decode_part *part,
                        const decode_scratch *s, int64_t begin, int64_t end) {
  const attention_decode_problem *p = job->problem;
  const cpu_kernels *kernels = job->call.kernels;
  cache_run run;
  for (int64_t token = begin; token < end; token += run.count) {
    run = run_at(job, part, token, end);
    cpu_rows rows = {
        .x = run.k,
        .ahead = ahead_of(job, part, &run, token, false),
        .rows = run.count,
        .width = p->D,
        .q_or_acc = s->q,
        .q_rows = job->rows,
        .q_row = job->width,
        .s = s->scores + (token - begin),
        .s_row = ROW_BLOCK,
        .alpha = job->call.alpha,
    };
    kernels->scores[p->cache_dtype](&rows);
    for (int64_t r = 0; run.k_scale && r < job->rows; r++)
      for (int64_t j = 0; j < run.count; j++)
        rows.s[r * ROW_BLOCK + j] *= run.k_scale[j];
  }
}

/* Scores of row r become weights; hidden tokens, and those that only fill the
 * last vector, weigh nothing. The sums so far are rescaled. */
static void weigh_row(const decode_job *job, const decode_part *part,
                      const decode_scratch *s, int64_t r, int64_t begin,
                      int64_t end) {
  const cpu_kernels *kernels = job->call.kernels;
  float *scores = s->scores + r * ROW_BLOCK;
  int64_t count = end - begin, padded = base_round_up(count, CPU_LANES_MAX);
  attention_range visible = visible_to(job, part, r);
  if (job->call.cap_log2 > 0) {
    memset(scores + count, 0, (size_t)(padded - count) * sizeof *scores);
    kernels->softcap(scores, padded, job->call.cap_log2);
  }
  int64_t first = base_min(base_max(visible.begin - begin, 0), padded);
  int64_t last = base_min(base_max(visible.end - begin, first), count);
  for (int64_t j = 0; j < first; j++) scores[j] = -INFINITY;
  for (int64_t j = last; j < padded; j++) scores[j] = -INFINITY;
  float before = part->m[r];
  float sum = kernels->softmax_row(scores, padded, &part->m[r]);
  float rescale = exp2f(before - part->m[r]);
  part->l[r] = part->l[r] * rescale + sum;
  if (rescale != 1)
    for (int64_t d = 0; d < job->v_width; d++)
      part->o[r * job->v_width + d] *= rescale;
}

static void add_values(const decode_job *job, const decode_part *part,
                       const decode_scratch *s, int64_t begin, int64_t end) {
  const attention_decode_problem *p = job->problem;
  cache_run run;
  for (int64_t token = begin; token < end; token += run.count) {
    run = run_at(job, part, token, end);
    float *weights = s->scores + (token - begin);
    for (int64_t r = 0; run.v_scale && r < job->rows; r++)
      for (int64_t j = 0; j < run.count; j++)
        weights[r * ROW_BLOCK + j] *= run.v_scale[j];
    cpu_rows rows = {
        .x = run.v,
        .ahead = ahead_of(job, part, &run, token, true),
        .rows = run.count,
        .width = p->Dv,
        .q_or_acc = part->o,
        .q_rows = job->rows,
        .q_row = job->v_width,
        .s = weights,
        .s_row = ROW_BLOCK,
    };
    job->call.kernels->accumulate[p->cache_dtype](&rows);
  }
}

static void run_few_rows(const decode_job *job, const decode_part *part,
                         const decode_scratch *s) {
  const attention_decode_problem *p = job->problem;
  ask_first(job, part, part->begin, false);
  for (int64_t r = 0; r < job->rows; r++) {
    float *q = s->q + r * job->width;
    job->call.kernels->widen[p->dtype](q, query_rows(job, part, r), p->D);
    for (int64_t d = p->D; d < job->width; d++) q[d] = 0;
    part->m[r] = -FLT_MAX; /* finite, so that m - m' is never NaN */
    part->l[r] = 0;
  }
  memset(part->o, 0, (size_t)(job->rows * job->v_width) * sizeof *part->o);
  for (int64_t token = part->begin; token < part->end; token += ROW_BLOCK) {
    int64_t end = base_min(part->end, token + ROW_BLOCK);
    score_block(job, part, s, token, end);
    ask_first(job, part, token, true); /* arrives while the rows are weighed */
    for (int64_t r = 0; r < job->rows; r++)
      weigh_row(job, part, s, r, token, end);
    add_values(job, part, s, token, end);
  }
}

/* --- many rows --- */

/* Tokens begin .. end - 1 as one run, gathered where pages scatter them. */
static cache_run gather(const decode_job *job, const decode_part *part,
                        const decode_scratch *s, int64_t begin, int64_t end) {
  const attention_decode_problem *p = job->problem;
  cache_run run = run_at(job, part, begin, end);
  if (run.count == end - begin) return run;
  size_t size = pfl_dtype_size(p->cache_dtype);
  for (int64_t token = begin; token < end; token += run.count) {
    run = run_at(job, part, token, end);
    int64_t at = token - begin;
    size_t count = (size_t)run.count;
    memcpy(s->k_rows + (size_t)(at * p->D) * size, run.k,
           count * (size_t)p->D * size);
    memcpy(s->v_rows + (size_t)(at * p->Dv) * size, run.v,
           count * (size_t)p->Dv * size);
    if (!run.k_scale) continue;
    memcpy(s->k_scale + at, run.k_scale, count * sizeof(float));
    memcpy(s->v_scale + at, run.v_scale, count * sizeof(float));
  }
  bool scaled = run.k_scale != NULL;
  return (cache_run){end - begin, s->k_rows, s->v_rows,
                     scaled ? s->k_scale : NULL, scaled ? s->v_scale : NULL};
}

static void run_panel(const decode_job *job, const decode_part *part,
                      decode_scratch *s, int64_t first, int64_t rows) {
  const attention_decode_problem *p = job->problem;
  cpu_panel *panel = &s->panel;
  attention_range ranges[CPU_PANEL];
  for (int64_t i = 0; i < rows; i++)
    ranges[i] = visible_to(job, part, first + i);
  cpu_view_init(&panel->view, ranges, rows, NULL, NULL);
  cpu_source source = {.kernels = job->call.kernels,
                       .pairs = job->call.pairs,
                       .dtype = p->dtype,
                       .data = query_rows(job, part, first),
                       .rows = rows,
                       .width = p->D};
  cpu_panel_start(panel, &source, s->row_room);
  source.dtype = p->cache_dtype;
  int64_t block = job->call.kernels->key_block;
  for (int64_t key = part->begin; key < part->end; key += block) {
    int64_t keys = base_min(block, part->end - key);
    if (!cpu_view_sees(&panel->view, key, keys)) continue;
    cache_run run = gather(job, part, s, key, key + keys);
    source.rows = keys;
    source.data = run.k, source.row_scale = run.k_scale, source.width = p->D;
    cpu_operand k = cpu_operand_along(&source, s->k_room);
    source.data = run.v, source.row_scale = run.v_scale, source.width = p->Dv;
    cpu_operand v = cpu_operand_across(&source, s->v_room);
    cpu_panel_step(panel, &job->call, k, v, key, keys, s->panel_scores);
  }
}

static void run_many_rows(const decode_job *job, const decode_part *part,
                          decode_scratch *s) {
  const attention_decode_problem *p = job->problem;
  for (int64_t first = 0; first < job->rows; first += CPU_PANEL) {
    int64_t rows = base_min(CPU_PANEL, job->rows - first);
    run_panel(job, part, s, first, rows);
    memcpy(part->m + first, s->panel.m, (size_t)rows * sizeof(float));
    memcpy(part->l + first, s->panel.l, (size_t)rows * sizeof(float));
    cpu_panel_unscaled(&s->panel, &job->call, s->panel_out);
    for (int64_t r = 0; r < rows; r++)
      memcpy(part->o + (first + r) * job->v_width, s->panel_out + r * p->Dv,
             (size_t)p->Dv * sizeof(float));
  }
}

/* --- both --- */

static int64_t length_of(const decode_job *job, int64_t b) {
  return job->args->lengths ? job->args->lengths[b] : job->problem->Smax;
}

/* The part of task `task`; empty where no row sees any of its tokens. */
static decode_part part_of(const decode_job *job, int64_t task) {
  const attention_decode_problem *p = job->problem;
  int64_t head = task / job->parts, number = task % job->parts;
  decode_part part = {
      .b = head / p->Hkv,
      .kv_head = head % p->Hkv,
      .begin = number * job->part_length,
      .m = job->m + task * job->rows,
      .l = job->l + task * job->rows,
      .o = job->o + task * job->rows * job->v_width,
  };
  part.length = length_of(job, part.b);
  part.end = base_min(part.length, part.begin + job->part_length);
  /* the first position's window opens first, the last one closes last */
  part.begin = base_max(part.begin, visible_to(job, &part, 0).begin);
  return part;
}

static void run_part(void *argument, int64_t task, int32_t worker) {
  const decode_job *job = argument;
  decode_part part = part_of(job, task);
  if (part.begin >= part.end) return;
  cpu_carver carver = {job->scratch + job->scratch_bytes * (size_t)worker, 0};
  decode_scratch s = carve(job, &carver);
  if (is_few(job))
    run_few_rows(job, &part, &s);
  else
    run_many_rows(job, &part, &s);
}

/* Row r of all parts: with M the largest m, O = sum of 2^(m - M) O_part and
 * l likewise. The first part that is not empty takes the sum. */
static void merge_row(const decode_job *job, int64_t first_task, int64_t r,
                      const float *sink, char *out, float *out_lse) {
  const attention_decode_problem *p = job->problem;
  float m = -FLT_MAX, l = 0;
  float *sum = NULL;
  for (int64_t i = 0; i < job->parts; i++) {
    decode_part part = part_of(job, first_task + i);
    if (part.begin < part.end) m = part.m[r] > m ? part.m[r] : m;
  }
  for (int64_t i = 0; i < job->parts; i++) {
    decode_part part = part_of(job, first_task + i);
    if (part.begin >= part.end) continue;
    float *o = part.o + r * job->v_width, weight = exp2f(part.m[r] - m);
    l += part.l[r] * weight;
    for (int64_t d = 0; d < p->Dv; d++)
      o[d] = part.l[r] == 0 ? 0 : o[d] * weight;
    for (int64_t d = 0; sum && d < p->Dv; d++) sum[d] += o[d];
    if (!sum) sum = o;
  }
  float lse, factor = cpu_row_finish(m, l, sink, &lse);
  if (out_lse) *out_lse = lse;
  if (l == 0) { /* zeros are zeros in every dtype */
    memset(out, 0, (size_t)p->Dv * pfl_dtype_size(p->dtype));
    return;
  }
  for (int64_t d = 0; d < p->Dv; d++) sum[d] *= factor;
  job->call.kernels->narrow[p->dtype](out, sum, p->Dv);
}

static void run_merge(void *argument, int64_t head, int32_t worker) {
  const decode_job *job = argument;
  const attention_decode_problem *p = job->problem;
  const pfl_decode_args *args = job->args;
  (void)worker;
  for (int64_t r = 0; r < job->rows; r++) {
    int64_t row = head * job->rows + r;
    int64_t q_head = head % p->Hkv * p->group + r / p->T;
    merge_row(
        job, head * job->parts, r, args->sinks ? args->sinks + q_head : NULL,
        (char *)args->out_o + (size_t)(row * p->Dv) * pfl_dtype_size(p->dtype),
        args->out_lse ? args->out_lse + row : NULL);
  }
}

/* Parts for a longest sequence of `longest` tokens. */
static void choose_parts(decode_job *job, int64_t longest) {
  int64_t heads = base_max(1, job->problem->B * job->problem->Hkv);
  int64_t wanted = base_min(PARTS_MOST, base_ceil_div(TASKS_ENOUGH, heads));
  job->parts =
      base_max(1, base_min(wanted, base_ceil_div(longest, PART_LEAST)));
  job->part_length =
      base_round_up(base_max(1, base_ceil_div(longest, job->parts)), ROW_BLOCK);
}

static decode_job job_of(const cpu_engine *engine,
                         const attention_decode_problem *p) {
  pfl_dtype product = p->cache_dtype == p->dtype ? p->dtype : PFL_DTYPE_F32;
  return (decode_job){
      .engine = engine,
      .problem = p,
      .call = cpu_call_init(&engine->kernels, product, p->D, p->Dv, p->scale,
                            p->softcap),
      .rows = p->group * p->T,
      .width = base_round_up(p->D, CPU_LANES_MAX),
      .v_width = base_round_up(p->Dv, CPU_LANES_MAX),
  };
}

static void carve_workspace(decode_job *job, cpu_carver *carver) {
  const attention_decode_problem *p = job->problem;
  cpu_carver measure = {NULL, 0};
  carve(job, &measure);
  job->scratch_bytes = measure.used;
  int64_t rows = 0;
  if (p->B && p->Hkv) rows = p->B * p->Hkv * job->parts * job->rows;
  job->m = cpu_carve_floats(carver, rows);
  job->l = cpu_carve_floats(carver, rows);
  job->o = cpu_carve_floats(carver, rows * job->v_width);
  job->scratch = cpu_carve(carver, base_threads_count(job->engine->threads),
                           job->scratch_bytes);
}

size_t cpu_decode_workspace(const cpu_engine *engine,
                            const attention_decode_problem *problem) {
  decode_job job = job_of(engine, problem);
  choose_parts(&job, problem->Smax);
  cpu_carver carver = {NULL, 0};
  carve_workspace(&job, &carver);
  return carver.used;
}

void cpu_decode(const cpu_engine *engine,
                const attention_decode_problem *problem,
                const pfl_decode_args *args, void *workspace) {
  if (problem->B == 0 || problem->Hkv == 0) return;
  decode_job job = job_of(engine, problem);
  job.args = args;
  int64_t longest = 0;
  for (int64_t b = 0; b < problem->B; b++)
    longest = base_max(longest, length_of(&job, b));
  choose_parts(&job, longest); /* no more parts than there is workspace for */
  cpu_carver carver = {workspace, 0};
  carve_workspace(&job, &carver);
  int64_t heads = problem->B * problem->Hkv;
  base_threads_run(engine->threads, heads * job.parts, run_part, &job);
  base_threads_run(engine->threads, heads, run_merge, &job);
}

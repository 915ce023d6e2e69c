/* Forward (FlashAttention-2, algorithm 1): a task is up to four panels of one
 * query head, worked on side by side so that a block of K and V, brought into
 * L2 once, serves 256 queries. */
#include "cpu/carve.h"
#include "cpu/cpu.h"
#include "cpu/panel.h"

enum { PANELS = 4, TASK_QUERIES = PANELS * CPU_PANEL };

typedef struct forward_scratch {
  cpu_panel panels[PANELS];
  float *scores;          /* [key_block][64] */
  float *k_room, *v_room; /* a block of each */
  float *row_room;        /* a panel of Q or of O */
} forward_scratch;

typedef struct forward_job {
  const cpu_engine *engine;
  const attention_problem *problem;
  const pfl_forward_args *args;
  cpu_call call;
  char *workspace;
  size_t scratch_bytes; /* one worker's */
  int64_t tasks_per_head;
} forward_job;

static forward_scratch carve(const cpu_call *call, cpu_carver *carver) {
  forward_scratch s;
  int64_t keys = call->kernels->key_block;
  for (int i = 0; i < PANELS; i++) cpu_panel_carve(&s.panels[i], call, carver);
  s.scores = cpu_carve_floats(carver, keys * CPU_PANEL);
  s.k_room = cpu_carve_floats(carver, cpu_operand_room(keys, call->D));
  s.v_room = cpu_carve_floats(carver, cpu_operand_room(keys, call->Dv));
  s.row_room = cpu_carve_floats(
      carver, cpu_operand_room(CPU_PANEL, base_max(call->D, call->Dv)));
  return s;
}

/* Rows first .. first + rows - 1 of matrix `matrix` of a tensor
 * [matrices][length][width]. */
static cpu_source rows_of(const forward_job *job, const void *tensor,
                          int64_t matrix, int64_t length, int64_t width,
                          int64_t first, int64_t rows) {
  size_t bytes = pfl_dtype_size(job->problem->dtype);
  return (cpu_source){
      .kernels = job->call.kernels,
      .pairs = job->call.pairs,
      .dtype = job->problem->dtype,
      .data = (const char *)tensor +
              (size_t)((matrix * length + first) * width) * bytes,
      .rows = rows,
      .width = width,
  };
}

/* The panels of queries first .. end - 1 of head `head` of all B Hq. */
static int start_panels(const forward_job *job, forward_scratch *s,
                        int64_t head, int64_t first, int64_t end) {
  const attention_problem *p = job->problem;
  const pfl_forward_args *args = job->args;
  int64_t b = head / p->Hq;
  const int32_t *ids =
      args->q_segment_ids ? args->q_segment_ids + b * p->Sq : NULL;
  const int32_t *key_ids =
      args->kv_segment_ids ? args->kv_segment_ids + b * p->Sk : NULL;
  int count = 0;
  for (int64_t i = first; i < end; i += CPU_PANEL, count++) {
    cpu_source q = rows_of(job, args->q, head, p->Sq, p->D, i,
                           base_min(CPU_PANEL, end - i));
    cpu_view_queries(&s->panels[count].view, p, i, q.rows, ids, key_ids);
    cpu_panel_start(&s->panels[count], &q, s->row_room);
  }
  return count;
}

static void finish_panels(const forward_job *job, forward_scratch *s, int count,
                          int64_t head, int64_t first) {
  const attention_problem *p = job->problem;
  const pfl_forward_args *args = job->args;
  float sinks[CPU_PANEL];
  if (args->sinks)
    for (int i = 0; i < CPU_PANEL; i++) sinks[i] = args->sinks[head % p->Hq];
  for (int i = 0; i < count; i++, first += CPU_PANEL) {
    cpu_panel *panel = &s->panels[i];
    int64_t row = head * p->Sq + first;
    cpu_panel_finish(panel, &job->call, args->sinks ? sinks : NULL, s->row_room,
                     args->out_lse ? args->out_lse + row : NULL);
    char *out =
        (char *)args->out_o + (size_t)(row * p->Dv) * pfl_dtype_size(p->dtype);
    job->call.kernels->narrow[p->dtype](out, s->row_room, panel->rows * p->Dv);
  }
}

/* One block of K and V against every panel that sees any of it. */
static void visit_block(const forward_job *job, forward_scratch *s, int count,
                        int64_t kv_head, int64_t key, int64_t keys) {
  const attention_problem *p = job->problem;
  cpu_operand k = {0}, v = {0};
  for (int i = 0; i < count; i++) {
    if (!cpu_view_sees(&s->panels[i].view, key, keys)) continue;
    if (!k.data) {
      cpu_source rows =
          rows_of(job, job->args->k, kv_head, p->Sk, p->D, key, keys);
      k = cpu_operand_along(&rows, s->k_room);
      rows = rows_of(job, job->args->v, kv_head, p->Sk, p->Dv, key, keys);
      v = cpu_operand_across(&rows, s->v_room);
    }
    cpu_panel *panel = &s->panels[i];
    /* of a block that ends in hidden keys, only the part that is seen */
    int64_t seen = base_min(keys, panel->view.some_end - key);
    cpu_panel_step(panel, &job->call, k, v, key, seen, s->scores);
  }
}

static void run_task(void *argument, int64_t task, int32_t worker) {
  const forward_job *job = argument;
  const attention_problem *p = job->problem;
  cpu_carver carver = {job->workspace + job->scratch_bytes * (size_t)worker, 0};
  forward_scratch s = carve(&job->call, &carver);
  /* from the last queries to the first: where causal, the longest come first
   * and the threads end level */
  int64_t head = task / job->tasks_per_head;
  int64_t part = job->tasks_per_head - 1 - task % job->tasks_per_head;
  int64_t first = part * TASK_QUERIES;
  int64_t end = base_min(p->Sq, first + TASK_QUERIES);
  int count = start_panels(job, &s, head, first, end);
  int64_t begin = p->Sk, last = 0;
  for (int i = 0; i < count; i++) {
    begin = base_min(begin, s.panels[i].view.some_begin);
    last = base_max(last, s.panels[i].view.some_end);
  }
  int64_t block = job->call.kernels->key_block;
  for (int64_t key = begin / block * block; key < last; key += block)
    visit_block(job, &s, count, head / p->group, key,
                base_min(block, p->Sk - key));
  finish_panels(job, &s, count, head, first);
}

static cpu_call call_of(const cpu_engine *engine, const attention_problem *p) {
  return cpu_call_init(&engine->kernels, p->dtype, p->D, p->Dv, p->scale,
                       p->softcap);
}

static size_t scratch_bytes(const cpu_call *call) {
  cpu_carver carver = {NULL, 0};
  carve(call, &carver);
  return carver.used;
}

size_t cpu_forward_workspace(const cpu_engine *engine,
                             const attention_problem *problem) {
  cpu_call call = call_of(engine, problem);
  return scratch_bytes(&call) * (size_t)base_threads_count(engine->threads);
}

void cpu_forward(const cpu_engine *engine, const attention_problem *problem,
                 const pfl_forward_args *args, void *workspace) {
  if (problem->Sq == 0) return; /* B Hq need not even be a number then */
  forward_job job = {
      .engine = engine,
      .problem = problem,
      .args = args,
      .call = call_of(engine, problem),
      .workspace = workspace,
      .tasks_per_head = base_ceil_div(problem->Sq, TASK_QUERIES),
  };
  job.scratch_bytes = scratch_bytes(&job.call);
  base_threads_run(engine->threads,
                   problem->B * problem->Hq * job.tasks_per_head, run_task,
                   &job);
}

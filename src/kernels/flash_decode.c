/* FlashDecoding (Dao, Haziza, Massa, Sizov, 2023) on one chip or four: one
 * launch reads each token of K and V once, at the speed of memory.
 *
 *   HBM of this chip             VMEM
 *   K [B, Hkv, S, D] ──copies──> ring of tiles ──> S = scale Q K^T ─┐
 *                                                                   v
 *                                                  scores of two jobs, m
 *                                                                   v
 *   V [B, Hkv, S, Dv] ─copies──> ring of tiles ──> O = sum exp2(S - m) V
 *                                                                   v
 *   o [B, Hkv, G T, Dv] <─────── divided <── merged with the other chips'
 *
 * A job is a sequence and a group of its key-value heads. While the values of
 * one job are weighed, the scores of the next are made, so that the maximum of
 * a job is known, exactly, before the first exp2: nothing is ever rescaled, and
 * the MXU always has two independent products. Copies of tiles run ring - 1
 * ahead, over the ends of jobs and sequences. Only tokens that a sequence has,
 * and that the window lets through, are read.
 *
 *   step 0   scores of job 0
 *   step 1   values of job 0, scores of job 1
 *   ...
 *   step n   values of job n - 1                 (n jobs)
 *
 * Four chips: each has every fourth turn of tokens (decode_cache.c), and parts
 * are exchanged while the next jobs run (decode_merge.c). */
#include <math.h>

#include "kernels/columns.h"
#include "kernels/decode_kernel.h"
#include "kernels/writers.h"

/* ---- Jobs -----------------------------------------------------------------
 */

/* The entry and the group that a job has; beyond the last one, those of the
 * last entry and no tiles. */
static decode_job job_at(const decode_kernel *k, mo_value *number,
                         mo_value *index, mo_value *group, mo_value *entries) {
  mo_builder *b = k->b;
  mo_value *last = decode_plus(k, entries, -1);
  decode_job job = {.number = number, .index = index, .group = group};
  job.entry = decode_entry_get(k, mo_min(b, index, last));
  job.tiles =
      mo_select(b, mo_le(b, index, last), job.entry.tiles, mo_i32(b, 0));
  return job;
}

/* What a step carries on from tile to tile. */
typedef struct decode_step {
  decode_job scored, weighed;
  decode_limits limits;
  mo_value *k_number, *v_number; /* of the first tiles of K and V */
  mo_value *entries;
  decode_state state;                 /* of the job weighed */
  mo_value *next_m[DECODE_HEADS_MAX]; /* of the job scored, a maximum a lane */
} decode_step;

/* The values that loops carry, as an array. */
static mo_values carried(const decode_kernel *k, decode_step *step,
                         mo_value **room) {
  int n = 0;
  for (int64_t h = 0; h < k->plan->heads; h++) {
    room[n++] = step->next_m[h];
    room[n++] = step->state.l[h];
    room[n++] = step->state.acc[h];
  }
  return (mo_values){n, room};
}

static void take(const decode_kernel *k, decode_step *step, mo_value **from) {
  for (int64_t h = 0; h < k->plan->heads; h++) {
    step->next_m[h] = from[3 * h];
    step->state.l[h] = from[3 * h + 1];
    step->state.acc[h] = from[3 * h + 2];
  }
}

/* Tiles first .. last - 1: scores, values or both. */
static void run_tiles(const decode_kernel *k, decode_step *step,
                      mo_value *first, mo_value *last, bool scores,
                      bool values) {
  mo_builder *b = k->b;
  mo_value *room[3 * DECODE_HEADS_MAX];
  mo_value **in = mo_for(b, first, last, mo_i32(b, 1), carried(k, step, room));
  mo_value *t = in[0], *k_number = mo_add(b, step->k_number, t);
  mo_value *v_number = mo_add(b, step->v_number, t);
  take(k, step, in + 1);
  if (values) decode_fetch(k, true, step->entries);
  if (scores) decode_fetch(k, false, step->entries);
  if (scores) decode_await(k, false, &step->scored.entry, t, k_number);
  if (values) decode_await(k, true, &step->weighed.entry, t, v_number);
  if (scores) decode_clear_unseen(k, false, &step->scored, t, k_number);
  if (values) decode_clear_unseen(k, true, &step->weighed, t, v_number);
  if (values) decode_weigh(k, &step->weighed, t, v_number, &step->state);
  if (scores)
    decode_score(k, &step->scored, &step->limits, t, k_number, step->next_m);
  take(k, step, mo_end(b, carried(k, step, room)));
}

static void start_step(const decode_kernel *k, decode_step *step) {
  mo_builder *b = k->b;
  int64_t rows = k->plan->rows_all;
  for (int64_t h = 0; h < k->plan->heads; h++) {
    step->next_m[h] = mo_full(b, MO_F32, MO_SHAPE(rows, 128), DECODE_LEAST);
    step->state.l[h] = mo_full(b, MO_F32, MO_SHAPE(rows, 128), 0);
    step->state.acc[h] =
        mo_full(b, MO_F32, MO_SHAPE(rows, k->plan->v_width), 0);
  }
  step->limits = decode_limits_of(k, &step->scored.entry);
}

/* Of a segment: whether it is the first or last, and the number of the result
 * that it is a part of. */
static void remember_marks(const decode_kernel *k, const decode_job *job) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  if (!k->plan->segment) return;
  mo_value *slot = mo_and(b, job->number, decode_number(k, k->plan->slots - 1));
  mo_value *count = mo_get(b, k->results, MO_VALUES(zero));
  mo_set(b, job->entry.marks, k->marks, MO_VALUES(zero, slot));
  mo_set(b, count, k->marks, MO_VALUES(one, slot));
  mo_value *last = decode_over(k, job->entry.marks, DECODE_LAST);
  mo_set(b, mo_add(b, count, last), k->results, MO_VALUES(zero));
}

/* Where a job's results go. */
static void remember_place(const decode_kernel *k, const decode_job *job) {
  mo_builder *b = k->b;
  remember_marks(k, job);
  mo_value *place = decode_times(k, job->entry.sequence, k->plan->Hkv);
  place = mo_add(b, place, decode_times(k, job->group, k->plan->heads));
  mo_set(
      b, place, k->places,
      MO_VALUES(mo_and(b, job->number, decode_number(k, k->plan->slots - 1))));
}

/* What a step leaves to the next: where K and V are, the next job, what must be
 * known of the job that was scored, and its maxima. */
enum { K_NUMBER, V_NUMBER, INDEX, GROUP, LENGTH, BEGIN, END, TILES, MAXIMA };

static mo_values left(const decode_kernel *k, const decode_step *step,
                      const decode_job *next, mo_value **room) {
  mo_builder *b = k->b;
  const decode_job *job = &step->scored;
  room[K_NUMBER] = mo_add(b, step->k_number, job->tiles);
  room[V_NUMBER] = mo_add(b, step->v_number, step->weighed.tiles);
  room[INDEX] = next->index;
  room[GROUP] = next->group;
  room[LENGTH] = job->entry.length;
  room[BEGIN] = job->entry.begin;
  room[END] = job->entry.end;
  room[TILES] = job->tiles;
  for (int64_t h = 0; h < k->plan->heads; h++)
    room[MAXIMA + h] = step->next_m[h];
  return (mo_values){MAXIMA + (int)k->plan->heads, room};
}

static decode_step step_of(const decode_kernel *k, mo_value **in,
                           mo_value *entries) {
  mo_value *number = in[0], *before = decode_plus(k, number, -1);
  mo_value **from = in + 1;
  decode_step step = {
      .scored = job_at(k, number, from[INDEX], from[GROUP], entries),
      .weighed = {.number = before,
                  .tiles = from[TILES],
                  .entry = {.length = from[LENGTH],
                            .begin = from[BEGIN],
                            .end = from[END]}},
      .k_number = from[K_NUMBER],
      .v_number = from[V_NUMBER],
      .entries = entries};
  for (int64_t h = 0; h < k->plan->heads; h++)
    step.state.m[h] = from[MAXIMA + h];
  return step;
}

/* Ends the tiles of a step: across the lanes goes what the next one begins
 * with, the maxima and the next job's queries, both at once. */
static decode_job prepare_next(const decode_kernel *k, decode_step *step) {
  mo_builder *b = k->b;
  decode_job next = step->scored;
  decode_next_job(k, &next.index, &next.group, mo_i32(b, 1));
  mo_value *last = decode_plus(k, step->entries, -1);
  next.entry = decode_entry_get(k, mo_min(b, next.index, last));
  for (int64_t h = 0; h < k->plan->heads; h++)
    step->next_m[h] = columns_make(b, mo_reduce(b, MO_MAX, step->next_m[h], 1));
  decode_prepare_job(k, &next);
  return next;
}

/* All steps: one job is scored, the one before weighed, those before it
 * settled. */
static void run_steps(const decode_kernel *k, mo_value *entries,
                      mo_value *jobs) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0), *room[MAXIMA + DECODE_HEADS_MAX];
  for (int i = 0; i < MAXIMA; i++) room[i] = zero;
  for (int64_t h = 0; h < plan->heads; h++)
    room[MAXIMA + h] =
        mo_full(b, MO_F32, MO_SHAPE(plan->rows_all, 128), DECODE_LEAST);
  mo_values first = {MAXIMA + (int)plan->heads, room};
  decode_prepare_all(k);
  decode_prepare_job(k,
                     &(decode_job){.group = zero, .entry = {.sequence = zero}});
  mo_value **in = mo_for(b, zero, decode_plus(k, jobs, 1 + 2 * plan->lag),
                         mo_i32(b, 1), first);
  decode_step step = step_of(k, in, entries);
  mo_value *scored = step.scored.tiles, *weighed = step.weighed.tiles;
  mo_value *both = mo_min(b, scored, weighed);
  start_step(k, &step);
  decode_await_scales(k, &step.scored, entries);
  run_tiles(k, &step, zero, both, true, true);
  run_tiles(k, &step, both, weighed, false, true);
  run_tiles(k, &step, both, scored, true, false);
  const decode_job next = prepare_next(k, &step);
  decode_settle(k, &step.state, step.scored.number, jobs);
  remember_place(k, &step.scored);
  mo_end(b, left(k, &step, &next, room));
}

/* ---- The kernel -----------------------------------------------------------
 */

static void fill(const decode_kernel *k, mo_value *ref, double number) {
  if (!ref) return;
  mo_shape shape = {ref->type->rank, ref->type->shape};
  mo_store_all(k->b, mo_full(k->b, ref->type->element, shape, number), ref);
}

/* Copies may leave rows of a slot as they were, and a product takes them all.
 * Zeros do for int8, which nothing clears later; the eager copies are of whole
 * tiles, or of all that there is. */
static void fill_rings(const decode_kernel *k) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  if (!plan->scaled) return;
  mo_value *zero = mo_i32(b, 0);
  mo_value *slot =
      mo_for(b, decode_number(k, plan->eager), decode_number(k, plan->ring),
             mo_i32(b, 1), MO_NONE)[0];
  for (int64_t h = 0; h < plan->heads; h++)
    mo_store(b, mo_full(b, MO_I8, MO_SHAPE(plan->tile, plan->v_width), 0),
             k->v_ring, MO_VALUES(slot, decode_number(k, h), zero, zero));
  mo_end(b, MO_NONE);
  int64_t rest = plan->tile - base_min(plan->tile, plan->local);
  for (int64_t h = 0; rest && plan->eager && h < plan->heads; h++)
    mo_store(b, mo_full(b, MO_I8, MO_SHAPE(rest, plan->v_width), 0), k->v_ring,
             MO_VALUES(zero, decode_number(k, h), decode_number(k, plan->local),
                       zero));
}

static void write_body(decode_kernel *k) {
  mo_builder *b = k->b;
  if (k->plan->chips > 1) {
    k->chip = mo_device_id(b);
    k->barrier = mo_barrier_semaphore(b);
  }
  mo_copy(b, k->lengths, k->lengths_smem, k->lengths_arrived);
  if (k->table) mo_copy(b, k->table, k->table_smem, k->table_arrived);
  mo_copy(b, k->q, k->q_all, k->q_arrived);
  decode_fetch_scales_eager(k);
  decode_fetch_eager(k);
  if (k->sinks) mo_copy(b, k->sinks, k->sinks_smem, k->sinks_arrived);
  decode_greet(k);
  fill_rings(k);
  fill(k, k->zeros, 0);
  fill(k, k->q_wide, 0);
  fill(k, k->lse_all, -INFINITY);
  mo_wait_copy(b, k->lengths, k->lengths_smem, k->lengths_arrived);
  mo_value *sequences, *entries = decode_list_entries(k, &sequences);
  if (k->results) mo_set(b, mo_i32(b, 0), k->results, MO_VALUES(mo_i32(b, 0)));
  if (k->table) mo_wait_copy(b, k->table, k->table_smem, k->table_arrived);
  mo_value *jobs = decode_times(k, entries, k->plan->Hkv / k->plan->heads);
  decode_fetch_scales_begin(k, entries);
  decode_fetch_begin(k, entries);
  mo_wait_copy(b, k->q, k->q_all, k->q_arrived);
  if (k->sinks) mo_wait_copy(b, k->sinks, k->sinks_smem, k->sinks_arrived);
  run_steps(k, entries, jobs);
  if (k->plan->segment)
    jobs = decode_times(k, sequences, k->plan->Hkv / k->plan->heads);
  decode_finish(k, jobs);
  decode_wait_zeros(k, k->plan->segment ? sequences : entries);
}

static void count_costs(const decode_plan *plan, kernels_kernel *kernel) {
  int64_t heads = plan->B * plan->Hkv, tokens = plan->local;
  int64_t pairs = heads * plan->rows * tokens;
  int64_t size = mo_element_bits(kernels_element(plan->cache_dtype)) / 8;
  kernel->flops = 2 * pairs * (plan->D + plan->Dv);
  kernel->transcendentals = pairs;
  kernel->bytes_accessed = heads * tokens * (plan->D + plan->Dv) * size;
  if (plan->chips > 1)
    kernel->remote_bytes = 2 * heads * plan->rows * (256 + plan->Dv) * 4;
}

pfl_status kernels_decode_write(const kernels_request *request,
                                const kernels_chip *chip,
                                const pfl_allocator *allocator,
                                kernels_program *program, pfl_error *error) {
  decode_plan plan;
  PFL_TRY(decode_plan_make(request, chip, &plan, error));
  program->name = "decode";
  program->chips = plan.over;
  decode_plan_describe(&plan, request, program);
  kernels_kernel *kernel = &program->kernels[0];
  *kernel = (kernels_kernel){
      .name = "flash_decode",
      .communicates = plan.chips > 1,
      .bounds_unchecked = true,
      .semaphores_unchecked = true,
      .vmem_limit_bytes = chip->vmem_bytes - chip->vmem_bytes / 16};
  mo_builder b;
  mo_begin(&b, allocator);
  mo_kernel(&b, kernel->name, NULL);
  decode_kernel k = {.b = &b, .plan = &plan};
  decode_declare(&k, kernel);
  write_body(&k);
  mo_kernel_end(&b);
  PFL_TRY(mo_finish(&b, &kernel->module, error));
  program->kernel_count = 1;
  count_costs(&plan, kernel);
  return PFL_STATUS_OK;
}

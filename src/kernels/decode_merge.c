/* What becomes of a job's softmax: its copies are merged, then those of the
 * four chips, and the sum is divided.
 *
 * Two parts (m, l, O) over different tokens are merged exactly:
 *   M = max(m, m'),  L = l 2^(m - M) + l' 2^(m' - M),  O likewise.
 * Both neighbours compute that from the same bits with the same operations, in
 * an order that does not matter: all chips end with the same.
 *
 *   2 --x-- 3     a part goes along x first, and what came of it along y: never
 *   |       |     across the diagonal, which a v5e may not route
 *   y       y
 *   |       |
 *   0 --x-- 1
 *
 * Parts travel while later jobs are worked on; a part has `lag` steps for its
 * way to a neighbour. In step i
 *   job i - 1            is sent along x
 *   job i - 1 - lag      has arrived, is merged and sent along y
 *   job i - 1 - 2 lag    has arrived, is merged, divided and stored
 *
 * A job's slot is that of the job 2 lag + 2 later, or of a later one. The
 * neighbour has taken the old part out before it gets the new one: what has
 * arrived from there when we send along x is of job i - 2 - lag, sent after
 * that of job i - 3 - 2 lag had been taken out; along y likewise. Where not
 * every job sends, those that do have slots in turn, and lie no closer. */
#include <math.h>

#include "kernels/columns.h"
#include "kernels/decode_kernel.h"

#define LN_2 0.6931471805599453

enum { X, Y };

/* ---- Parts ----------------------------------------------------------------
 */

static decode_part merged(const decode_kernel *k, decode_part x,
                          decode_part y) {
  mo_builder *b = k->b;
  int64_t lanes = k->plan->Dv;
  decode_part sum = {.m = mo_max(b, x.m, y.m)};
  mo_value *of_x = mo_exp2(b, mo_sub(b, x.m, sum.m));
  mo_value *of_y = mo_exp2(b, mo_sub(b, y.m, sum.m));
  sum.l = mo_add(b, mo_mul(b, x.l, of_x), mo_mul(b, y.l, of_y));
  sum.o = mo_add(b, mo_mul(b, x.o, columns_spread(b, of_x, lanes)),
                 mo_mul(b, y.o, columns_spread(b, of_y, lanes)));
  return sum;
}

/* One head's part: the copies of its rows, merged. */
static decode_part part_of(const decode_kernel *k, const decode_state *state,
                           int64_t h) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t rows = plan->rows;
  decode_part all = {NULL, NULL, NULL};
  for (int64_t p = 0; p < plan->pack; p++) {
    mo_shape at = MO_SHAPE(p * rows, 0), lanes = MO_SHAPE(rows, 128);
    decode_part one = {
        mo_part(b, state->m[h], at, lanes), mo_part(b, state->l[h], at, lanes),
        mo_part(b, state->acc[h], MO_SHAPE(p * rows, p * plan->Dv),
                MO_SHAPE(rows, plan->Dv))};
    all = p ? merged(k, all, one) : one;
  }
  return all;
}

/* ---- Results --------------------------------------------------------------
 */

static mo_value *slot_of(const decode_kernel *k, mo_value *job, int64_t slots) {
  return mo_and(k->b, job, decode_number(k, slots - 1));
}

/* The [rows, 128] vector of equal lanes as a row [1, rows] of `lse_all`. */
static void store_lse(const decode_kernel *k, mo_value *lse, mo_value *row) {
  mo_builder *b = k->b;
  for (int64_t first = 0; first < k->plan->rows; first += 128) {
    int64_t rows = base_min(128, k->plan->rows - first);
    mo_shape shape = MO_SHAPE(rows, 128);
    mo_value *part = mo_part(b, lse, MO_SHAPE(first, 0), shape);
    mo_value *diagonal = mo_eq(b, mo_iota(b, shape, 0), mo_iota(b, shape, 1));
    part = mo_select(b, diagonal, part, mo_full(b, MO_F32, shape, -INFINITY));
    part = mo_reduce(b, MO_MAX, part, 0);
    mo_store(b, mo_part(b, part, MO_SHAPE(0, 0), MO_SHAPE(1, rows)), k->lse_all,
             MO_VALUES(row, decode_number(k, first)));
  }
}

/* The sink of each row of head b Hkv + head, in units of log2: [rows, 128]. */
static mo_value *sinks_of(const decode_kernel *k, mo_value *row) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows, 128);
  mo_value *head = mo_rem(b, row, decode_number(k, plan->Hkv));
  mo_value *first = decode_times(k, head, plan->G), *sinks = NULL;
  for (int64_t g = 0; g < plan->G; g++) {
    mo_value *sink =
        mo_get(b, k->sinks_smem, MO_VALUES(decode_plus(k, first, g)));
    sink = mo_broadcast(b, sink, shape);
    mo_value *later = mo_ge(b, mo_iota(b, shape, 0),
                            mo_full(b, MO_I32, shape, (double)(g * plan->T)));
    sinks = g ? mo_select(b, later, sink, sinks) : sink;
  }
  return mo_mul(b, sinks, mo_full(b, MO_F32, shape, 1 / LN_2));
}

/* A sink is a key without a value. */
static decode_part with_sink(const decode_kernel *k, decode_part part,
                             mo_value *row) {
  mo_shape column = MO_SHAPE(k->plan->rows, 128);
  mo_shape values = MO_SHAPE(k->plan->rows, k->plan->Dv);
  if (!k->plan->sinks) return part;
  decode_part sink = {.m = sinks_of(k, row),
                      .l = mo_full(k->b, MO_F32, column, 1),
                      .o = mo_full(k->b, MO_F32, values, 0)};
  return merged(k, part, sink);
}

/* O / l and log(l) of one head; nothing seen gives 0 and -inf. */
static mo_value *divided(const decode_kernel *k, decode_part part,
                         mo_value *row) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(k->plan->rows, 128);
  mo_value *zero = mo_full(b, MO_F32, shape, 0);
  mo_value *seen = mo_gt(b, part.l, zero);
  part = with_sink(k, part, row);
  if (k->out_lse) {
    mo_value *lse = mo_mul(b, mo_add(b, part.m, mo_log2(b, part.l)),
                           mo_full(b, MO_F32, shape, LN_2));
    store_lse(k, mo_select(b, seen, lse, mo_full(b, MO_F32, shape, -INFINITY)),
              row);
  }
  mo_value *one_over = mo_select(b, seen, mo_reciprocal(b, part.l), zero);
  return mo_mul(b, part.o, columns_spread(b, one_over, k->plan->Dv));
}

static void copy_result(const decode_kernel *k, mo_value *slot, mo_value *place,
                        bool wait) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0), *heads = decode_number(k, plan->Hkv);
  mo_value *from = mo_sub_ref(b, k->o_slots, MO_VALUES(slot));
  mo_value *to = mo_slice(
      b, k->out_o,
      MO_VALUES(mo_div(b, place, heads), mo_rem(b, place, heads), zero, zero),
      MO_SHAPE(1, plan->heads, plan->rows, plan->Dv));
  to = mo_ref_squeeze(b, to, MO_SHAPE(plan->heads, plan->rows, plan->Dv));
  mo_value *stored = mo_sub_ref(b, k->o_stored, MO_VALUES(slot));
  if (wait)
    mo_wait_copy(b, from, to, stored);
  else
    mo_copy(b, from, to, stored);
}

/* Of a job that is a segment: its marks, or the number of its result. */
static mo_value *mark_of(const decode_kernel *k, mo_value *job, int row) {
  mo_value *slot = slot_of(k, job, k->plan->slots);
  return mo_get(k->b, k->marks, MO_VALUES(mo_i32(k->b, row), slot));
}

/* Stores job's result; the slot's last one, two results ago, has left. */
static void store_result(const decode_kernel *k, const decode_part *parts,
                         mo_value *job) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0), *number = job;
  mo_value *place =
      mo_get(b, k->places, MO_VALUES(slot_of(k, job, k->plan->slots)));
  if (plan->segment) number = mark_of(k, job, 1);
  mo_value *slot = slot_of(k, number, 2);
  mo_if(b, mo_ge(b, number, mo_i32(b, 2)));
  copy_result(k, slot, zero, true);
  mo_end(b, MO_NONE);
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *o = divided(k, parts[h], decode_plus(k, place, h));
    mo_store(b, mo_cast(b, o, kernels_element(plan->dtype)), k->o_slots,
             MO_VALUES(slot, decode_number(k, h), zero, zero));
  }
  copy_result(k, slot, place, false);
}

void decode_finish(const decode_kernel *k, mo_value *results) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  if (k->out_lse) mo_copy(b, k->lse_all, k->out_lse, k->lse_stored);
  mo_value *last = mo_sub(b, results, one);
  copy_result(k, slot_of(k, last, 2), zero, true);
  mo_if(b, mo_gt(b, results, one));
  copy_result(k, slot_of(k, results, 2), zero, true);
  mo_end(b, MO_NONE);
  if (k->out_lse) mo_wait_copy(b, k->lse_all, k->out_lse, k->lse_stored);
}

/* ---- Exchange -------------------------------------------------------------
 */

static mo_value *neighbour(const decode_kernel *k, int axis) {
  return mo_xor(k->b, k->chip, decode_number(k, 1 << axis));
}

void decode_greet(const decode_kernel *k) {
  if (k->plan->chips == 1) return;
  for (int axis = X; axis <= Y; axis++)
    mo_signal(k->b, k->barrier, mo_i32(k->b, 1), neighbour(k, axis));
}

/* m, l and O of a slot, side by side. */
static decode_part load_part(const decode_kernel *k, mo_value *slots,
                             mo_value *slot, int64_t h) {
  mo_builder *b = k->b;
  int64_t rows = k->plan->rows;
  mo_value *part[3];
  for (int i = 0; i < 3; i++)
    part[i] = mo_load(
        b, slots,
        MO_VALUES(slot, decode_number(k, h), mo_i32(b, 0), mo_i32(b, i * 128)),
        MO_SHAPE(rows, i < 2 ? 128 : k->plan->Dv));
  return (decode_part){part[0], part[1], part[2]};
}

static void store_part(const decode_kernel *k, decode_part part,
                       mo_value *slots, mo_value *slot, int64_t h) {
  mo_builder *b = k->b;
  mo_value *all[] = {part.m, part.l, part.o};
  for (int i = 0; i < 3; i++)
    mo_store(
        b, all[i], slots,
        MO_VALUES(slot, decode_number(k, h), mo_i32(b, 0), mo_i32(b, i * 128)));
}

static void send(const decode_kernel *k, int axis, mo_value *slot) {
  mo_builder *b = k->b;
  mo_value *at[] = {slot};
  mo_values where = {1, at};
  mo_send(b, mo_sub_ref(b, k->part[axis], where),
          mo_sub_ref(b, k->other[axis], where),
          mo_sub_ref(b, k->sent[axis], where),
          mo_sub_ref(b, k->received[axis], where), neighbour(k, axis));
}

/* Waits until a slot's part has left and the neighbour's is there. */
static void receive(const decode_kernel *k, int axis, mo_value *slot) {
  mo_builder *b = k->b;
  mo_value *at[] = {slot};
  mo_values where = {1, at};
  mo_wait_sent(b, mo_sub_ref(b, k->part[axis], where),
               mo_sub_ref(b, k->sent[axis], where));
  mo_wait_received(b, mo_sub_ref(b, k->other[axis], where),
                   mo_sub_ref(b, k->received[axis], where));
}

static mo_value *has_job(const decode_kernel *k, mo_value *job,
                         mo_value *jobs) {
  mo_builder *b = k->b;
  return mo_and(b, mo_ge(b, job, mo_i32(b, 0)), mo_lt(b, job, jobs));
}

/* Both neighbours are in the kernel, and their memory is ready to be written.
 */
static void await_greetings(const decode_kernel *k, mo_value *job) {
  mo_builder *b = k->b;
  mo_if(b, mo_eq(b, job, mo_i32(b, 0)));
  mo_wait(b, k->barrier, mo_i32(b, 2));
  mo_end(b, MO_NONE);
}

static void merge_arrived(const decode_kernel *k, int axis, mo_value *slot,
                          decode_part *out_parts) {
  receive(k, axis, slot);
  for (int64_t h = 0; h < k->plan->heads; h++) {
    decode_part ours = load_part(k, k->part[axis], slot, h);
    out_parts[h] = merged(k, ours, load_part(k, k->other[axis], slot, h));
  }
}

/* The job that a stage is at, `lags` lags behind the first; ended by mo_end. */
static mo_value *begin_stage(const decode_kernel *k, mo_value *step,
                             mo_value *jobs, int lags) {
  mo_value *job = decode_plus(k, step, -1 - lags * k->plan->lag);
  mo_if(k->b, has_job(k, job, jobs));
  return job;
}

/* Of segments, what only the last one has to do; ended by end_last. */
static void begin_last(const decode_kernel *k, mo_value *job) {
  mo_builder *b = k->b;
  if (k->plan->segment)
    mo_if(b, mo_ge(b, mark_of(k, job, 0), mo_i32(b, DECODE_LAST)));
}

static void end_last(const decode_kernel *k) {
  if (k->plan->segment) mo_end(k->b, MO_NONE);
}

/* Of what goes along an axis. Segments but the last send nothing, and slots are
 * taken by those that do, in turn. */
static mo_value *part_slot(const decode_kernel *k, mo_value *job) {
  if (k->plan->segment) job = mark_of(k, job, 1);
  return slot_of(k, job, k->plan->slots);
}

/* A segment's part with those of the segments before it. */
static void add_held(const decode_kernel *k, decode_part *parts,
                     mo_value *job) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  if (!plan->segment) return;
  mo_value *place =
      mo_get(b, k->places, MO_VALUES(slot_of(k, job, plan->slots)));
  mo_value *head = mo_rem(b, place, decode_number(k, plan->Hkv));
  mo_value *first = mo_and(b, mark_of(k, job, 0), mo_i32(b, DECODE_FIRST));
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *at = decode_plus(k, head, h);
    mo_if(b, mo_eq(b, first, mo_i32(b, 0)));
    decode_part all = load_part(k, k->held, at, 0);
    all = merged(k, all, parts[h]);
    mo_else(b, MO_VALUES(all.m, all.l, all.o));
    mo_value **out = mo_end(b, MO_VALUES(parts[h].m, parts[h].l, parts[h].o));
    parts[h] = (decode_part){out[0], out[1], out[2]};
    store_part(k, parts[h], k->held, at, 0);
  }
}

static void send_parts(const decode_kernel *k, int axis,
                       const decode_part *parts, mo_value *slot) {
  for (int64_t h = 0; h < k->plan->heads; h++)
    store_part(k, parts[h], k->part[axis], slot, h);
  send(k, axis, slot);
}

void decode_settle(const decode_kernel *k, const decode_state *state,
                   mo_value *step, mo_value *jobs) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  decode_part parts[DECODE_HEADS_MAX];
  mo_value *job = begin_stage(k, step, jobs, 0);
  for (int64_t h = 0; h < plan->heads; h++) parts[h] = part_of(k, state, h);
  add_held(k, parts, job);
  if (plan->chips == 1) {
    begin_last(k, job);
    store_result(k, parts, job);
    end_last(k);
    mo_end(b, MO_NONE);
    return;
  }
  await_greetings(k, job);
  begin_last(k, job);
  send_parts(k, X, parts, part_slot(k, job));
  end_last(k);
  mo_end(b, MO_NONE);

  job = begin_stage(k, step, jobs, 1);
  begin_last(k, job);
  merge_arrived(k, X, part_slot(k, job), parts);
  send_parts(k, Y, parts, part_slot(k, job));
  end_last(k);
  mo_end(b, MO_NONE);

  job = begin_stage(k, step, jobs, 2);
  begin_last(k, job);
  merge_arrived(k, Y, part_slot(k, job), parts);
  store_result(k, parts, job);
  end_last(k);
  mo_end(b, MO_NONE);
}

/* The scales of an int8 cache, a number a token: a job's are brought at once,
 * two jobs ahead, and multiply columns of its scores and weights. So int8 goes
 * through the MXU as it is, made bf16, exactly.
 *
 * The first job's are asked for, where they are not many, before anything is
 * known of the lengths: all that there is room for.
 *
 * Ahead of the scores: slots by the number of the job mod 4
 *   step n    job n is scored with slot n, job n - 1 weighed with slot n - 1,
 *             n + 1 and n + 2 are on their way */
#include "kernels/decode_kernel.h"

enum { AHEAD = 2 };

static mo_value *slot_of(const decode_kernel *k, mo_value *job) {
  return mo_and(k->b, job, decode_number(k, DECODE_SCALE_SLOTS - 1));
}

enum { EAGER_MOST = 8192 };

static bool eager(const decode_plan *plan) {
  return plan->scaled && plan->eager && plan->local <= EAGER_MOST;
}

/* The part of a job's sequence that some query sees, in whole registers. */
static void copy_scales(const decode_kernel *k, const decode_job *job,
                        bool wait) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0), *slot = slot_of(k, job->number);
  mo_value *count = mo_sub(b, job->entry.end, job->entry.begin);
  count = mo_and(b, decode_plus(k, count, 127), decode_number(k, -128));
  count = mo_max(b, count, decode_number(k, 128));
  if (eager(plan))
    count = mo_select(b, mo_eq(b, job->number, zero),
                      decode_number(k, plan->local), count);
  count = mo_multiple(b, count, 128);
  mo_value *begin = mo_multiple(b, job->entry.begin, 128);
  mo_value *head = decode_times(k, job->group, plan->heads);
  mo_shape shape = MO_SHAPE(1, plan->heads, 1, MO_DYNAMIC);
  mo_values from = MO_VALUES(job->entry.sequence, head, zero, begin);
  mo_values to = MO_VALUES(slot, zero, zero, zero);
  mo_value *arrived = mo_sub_ref(b, k->scales_arrived, MO_VALUES(slot));
  for (int values = 0; values < 2; values++) {
    mo_value *source =
        mo_slice_sized(b, k->scales[values], from, shape, MO_VALUES(count));
    mo_value *target =
        mo_slice_sized(b, k->scale_slots[values], to, shape, MO_VALUES(count));
    if (wait)
      mo_wait_copy(b, source, target, arrived);
    else
      mo_copy(b, source, target, arrived);
  }
}

void decode_fetch_scales_eager(const decode_kernel *k) {
  mo_value *zero = mo_i32(k->b, 0);
  const decode_job first = {
      .number = zero,
      .group = zero,
      .entry = {.sequence = zero, .begin = zero, .end = zero}};
  if (eager(k->plan)) copy_scales(k, &first, false);
}

/* Asks for those of job `number`, where the cursor stands. */
static void fetch(const decode_kernel *k, mo_value *number, mo_value *entries) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_value *index = mo_get(b, k->scale_cursor, MO_VALUES(zero));
  mo_value *group = mo_get(b, k->scale_cursor, MO_VALUES(one));
  mo_if(b, mo_lt(b, index, entries));
  decode_job job = {
      .number = number, .entry = decode_entry_get(k, index), .group = group};
  copy_scales(k, &job, false);
  decode_next_job(k, &index, &group, one);
  mo_set(b, index, k->scale_cursor, MO_VALUES(zero));
  mo_set(b, group, k->scale_cursor, MO_VALUES(one));
  mo_end(b, MO_NONE);
}

void decode_fetch_scales_begin(const decode_kernel *k, mo_value *entries) {
  mo_builder *b = k->b;
  if (!k->plan->scaled) return;
  int first = eager(k->plan);
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_value *index = zero, *group = zero;
  if (first) decode_next_job(k, &index, &group, one);
  mo_set(b, index, k->scale_cursor, MO_VALUES(zero));
  mo_set(b, group, k->scale_cursor, MO_VALUES(one));
  for (int i = first; i < AHEAD; i++) fetch(k, decode_number(k, i), entries);
}

void decode_await_scales(const decode_kernel *k, const decode_job *job,
                         mo_value *entries) {
  mo_builder *b = k->b;
  if (!k->plan->scaled) return;
  fetch(k, decode_plus(k, job->number, AHEAD), entries);
  mo_if(b, mo_gt(b, job->tiles, mo_i32(b, 0)));
  copy_scales(k, job, true);
  mo_end(b, MO_NONE);
}

mo_value *decode_scales_of(const decode_kernel *k, bool values,
                           const decode_job *job, int64_t head,
                           mo_value *column) {
  mo_builder *b = k->b;
  mo_value *row =
      mo_load(b, k->scale_slots[values],
              MO_VALUES(slot_of(k, job->number), decode_number(k, head),
                        mo_i32(b, 0), mo_multiple(b, column, 128)),
              MO_SHAPE(1, 128));
  return mo_broadcast(b, row, MO_SHAPE(k->plan->rows_all, 128));
}

/* Scales of V that no query sees become 0: what is there may be NaN. Integers
 * are never more than numbers. */
void decode_clear_scales(const decode_kernel *k, const decode_job *job,
                         mo_value *t, mo_value *block, mo_value *low,
                         mo_value *high) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(1, 128);
  mo_value *token = mo_add(b, mo_iota(b, shape, 1),
                           mo_broadcast(b, decode_times(k, block, 128), shape));
  mo_value *seen = mo_lt(b, token, mo_broadcast(b, high, shape));
  if (low) seen = mo_and(b, seen, mo_ge(b, token, mo_broadcast(b, low, shape)));
  mo_value *column =
      mo_add(b, decode_times(k, t, k->plan->tile), decode_times(k, block, 128));
  for (int64_t h = 0; h < k->plan->heads; h++) {
    mo_values at = MO_VALUES(slot_of(k, job->number), decode_number(k, h),
                             mo_i32(b, 0), mo_multiple(b, column, 128));
    mo_value *old = mo_load(b, k->scale_slots[true], at, shape);
    mo_store(b, mo_select(b, seen, old, mo_full(b, MO_F32, shape, 0)),
             k->scale_slots[true], at);
  }
}

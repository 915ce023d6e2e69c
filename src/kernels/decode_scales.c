/* The scales of an int8 cache, a number a token: a job's are brought at once,
 * two jobs ahead, and multiply columns of its scores and weights. So int8 goes
 * through the MXU as it is, made bf16, exactly.
 *
 * The first job's are asked for, where they are not many, before anything is
 * known of the lengths: all that there is room for.
 *
 * With pages they come with the tile that they belong to, a page at a time.
 *
 * Ahead of the scores: slots by the number of the job mod 4
 *   step n    job n is scored with slot n, job n - 1 weighed with slot n - 1,
 *             n + 1 and n + 2 are on their way */
#include "base/memory.h"
#include "kernels/decode_kernel.h"

enum { AHEAD = 2 };

static mo_value *slot_of(const decode_kernel *k, mo_value *job) {
  return mo_and(k->b, job, decode_number(k, DECODE_SCALE_SLOTS - 1));
}

/* Lanes that a page's take. */
static int64_t lanes_of(const decode_plan *plan) {
  return base_round_up(plan->page, 128);
}

/* Pages whose tokens fill 128 lanes together, and which have as many each; 1
 * where there are none such. */
static int64_t sharing(const decode_plan *plan) {
  return plan->page && plan->page < 128 ? 128 / plan->page : 1;
}

enum { EAGER_MOST = 8192 };

static bool eager(const decode_plan *plan) {
  return plan->scaled && plan->eager && !plan->segment &&
         plan->local <= EAGER_MOST;
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
  if (!k->plan->scaled || k->plan->page) return;
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
  if (!k->plan->scaled || k->plan->page) return;
  fetch(k, decode_plus(k, job->number, AHEAD), entries);
  mo_if(b, mo_gt(b, job->tiles, mo_i32(b, 0)));
  copy_scales(k, job, true);
  mo_end(b, MO_NONE);
}

/* ---- Of pages -------------------------------------------------------------
 */

/* Lanes `first` .. of a slot, as many as `pages` pages take. */
static mo_value *page_lanes(const decode_kernel *k, bool values, mo_value *slot,
                            mo_value *first, mo_value *pages) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  int64_t lanes = lanes_of(plan);
  mo_values at = MO_VALUES(slot, zero, zero, first);
  if (!pages)
    return mo_slice(b, k->scale_slots[values], at,
                    MO_SHAPE(1, plan->heads, 1, lanes));
  pages = mo_multiple(b, decode_times(k, pages, lanes), (int)lanes);
  return mo_slice_sized(b, k->scale_slots[values], at,
                        MO_SHAPE(1, plan->heads, 1, MO_DYNAMIC),
                        MO_VALUES(pages));
}

void decode_copy_page_scales(const decode_kernel *k, bool values,
                             mo_value *page, mo_value *group, mo_value *slot,
                             mo_value *row) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  int64_t lanes = lanes_of(plan);
  mo_value *head = decode_times(k, group, plan->heads);
  mo_value *from =
      mo_slice(b, k->scales[values], MO_VALUES(page, head, zero, zero),
               MO_SHAPE(1, plan->heads, 1, lanes));
  mo_value *at =
      mo_multiple(b, decode_times(k, row, lanes / plan->page), (int)lanes);
  mo_value *arrived =
      mo_sub_ref(b, values ? k->v_arrived : k->k_arrived, MO_VALUES(slot));
  mo_copy(b, from, page_lanes(k, values, slot, at, NULL), arrived);
}

void decode_await_page_scales(const decode_kernel *k, bool values,
                              mo_value *slot, mo_value *tokens) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  if (!plan->scaled || !plan->page) return;
  mo_value *pages =
      decode_over(k, decode_plus(k, tokens, plan->page - 1), plan->page);
  mo_value *arrived =
      mo_sub_ref(b, values ? k->v_arrived : k->k_arrived, MO_VALUES(slot));
  mo_value *all = page_lanes(k, values, slot, mo_i32(b, 0), pages);
  mo_wait_received(b, all, arrived);
}

/* ---- Of a tile's tokens ---------------------------------------------------
 */

/* Where the scales of 128 tokens of tile t begin, the first of which is number
 * `first` of the tile's; of those of the page that is number `part` among them.
 */
static mo_values place_of(const decode_kernel *k, mo_value **room,
                          const decode_tile *tile, int64_t head,
                          mo_value *first, int64_t part) {
  const decode_plan *plan = k->plan;
  if (plan->page) {
    room[0] = mo_and(k->b, tile->number, decode_number(k, plan->ring - 1));
    first = decode_plus(k, decode_times(k, first, sharing(plan)), part * 128);
  } else {
    room[0] = slot_of(k, tile->job->number);
    first = mo_add(k->b, decode_times(k, tile->t, plan->tile), first);
  }
  room[1] = decode_number(k, head);
  room[2] = mo_i32(k->b, 0);
  room[3] = mo_multiple(k->b, first, 128);
  return (mo_values){4, room};
}

mo_value *decode_scales_of(const decode_kernel *k, bool values,
                           const decode_tile *tile, int64_t head,
                           int64_t column) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(1, 128);
  mo_value *room[4], *row = NULL;
  for (int64_t i = 0; i < sharing(k->plan); i++) {
    mo_values at = place_of(k, room, tile, head, decode_number(k, column), i);
    mo_value *x = mo_load(b, k->scale_slots[values], at, shape);
    if (!i) {
      row = x;
      continue;
    }
    mo_value *first = mo_full(b, MO_I32, shape, (double)(i * k->plan->page));
    row = mo_select(b, mo_ge(b, mo_iota(b, shape, 1), first), x, row);
  }
  return mo_broadcast(b, row, MO_SHAPE(k->plan->rows_all, 128));
}

/* Those of the page that is number `part`, of 128 tokens from `first` on. */
static void clear_part(const decode_kernel *k, mo_values at, mo_value *first,
                       int64_t part, mo_value *low, mo_value *high) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(1, 128);
  int64_t tokens = 128 / sharing(k->plan);
  mo_value *lane = mo_iota(b, shape, 1);
  if (tokens < 128)
    lane = mo_and(b, lane, mo_full(b, MO_I32, shape, (double)(tokens - 1)));
  first = decode_plus(k, first, part * tokens);
  mo_value *token = mo_add(b, lane, mo_broadcast(b, first, shape));
  mo_value *seen = mo_lt(b, token, mo_broadcast(b, high, shape));
  if (low) seen = mo_and(b, seen, mo_ge(b, token, mo_broadcast(b, low, shape)));
  mo_value *old = mo_load(b, k->scale_slots[true], at, shape);
  mo_store(b, mo_select(b, seen, old, mo_full(b, MO_F32, shape, 0)),
           k->scale_slots[true], at);
}

/* Scales of V that no query sees become 0: what is there may be NaN. Integers
 * are never more than numbers. */
void decode_clear_scales(const decode_kernel *k, const decode_tile *tile,
                         mo_value *block, mo_value *low, mo_value *high) {
  mo_value *first = decode_times(k, block, 128), *room[4];
  for (int64_t h = 0; h < k->plan->heads; h++)
    for (int64_t i = 0; i < sharing(k->plan); i++) {
      mo_values at = place_of(k, room, tile, h, first, i);
      clear_part(k, at, first, i, low, high);
    }
}

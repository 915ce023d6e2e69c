/* K and V of a head that VMEM has no room for come in segments, by two copies
 * of which one is under way while the other is used:
 *
 *     HBM    K, V  |  segment 0  |  segment 1  |  segment 2  | tail
 *                         |             |             |         |
 *     VMEM             slot 0        slot 1        slot 0     windows
 *
 * A job is a segment of a block's span; jobs run on over blocks and heads, so
 * that the next one's copy is always under way. A segment begins with a whole
 * chunk, where the span begins or the segment before ended, but the last ones
 * of a head are moved to end with the head's last whole chunk: all copies are
 * of one size. Keys after that chunk come as windows.
 *
 * The state of a block stays where it is, so what is done to a chunk does not
 * know of segments: `shift` says where they lie. */
#include "kernels/forward_kernel.h"

/* Where a job's keys are from. */
typedef struct job {
  mo_value *batch, *head; /* of the queries */
  mo_value *chunk;        /* the first */
} job;

static int64_t chunks_of(const forward *f, int64_t keys) {
  return keys / f->plan->block_k;
}

/* ---- Copies ---------------------------------------------------------------
 */

static mo_value *slot_of(const forward *f, mo_value *number) {
  return mo_and(f->b, number, f->one);
}

/* A slot of K's or V's memory. */
static mo_value *slot_ref(const forward *f, const sequence *s, mo_value *slot) {
  mo_builder *b = f->b;
  int64_t sizes[2], size = f->plan->segment;
  mo_shape shape = sequence_shape(s, size, sizes);
  mo_value *first = mo_mul(b, slot, mo_i32(b, (double)size));
  first = mo_multiple(b, first, (int)f->plan->block_k);
  return s->swapped ? mo_slice(b, s->ref, MO_VALUES(f->zero, first), shape)
                    : mo_slice(b, s->ref, MO_VALUES(first, f->zero), shape);
}

/* The job's keys of K or V in HBM. */
static mo_value *source_of(const forward *f, const sequence *s, mo_value *hbm,
                           const job *from) {
  mo_builder *b = f->b;
  int64_t sizes[4] = {1, 1};
  mo_shape shape = sequence_shape(s, f->plan->segment, sizes + 2);
  mo_value *group = mo_i32(b, (double)f->problem->group);
  mo_value *head = mo_div(b, from->head, group);
  mo_value *key = mo_mul(b, from->chunk, mo_i32(b, (double)f->plan->block_k));
  key = mo_multiple(b, key, (int)f->plan->block_k);
  mo_values at = s->swapped ? MO_VALUES(from->batch, head, f->zero, key)
                            : MO_VALUES(from->batch, head, key, f->zero);
  mo_value *part = mo_slice(b, hbm, at, ((mo_shape){4, sizes}));
  return mo_ref_squeeze(b, part, shape);
}

static void start(const forward *f, const job *from, mo_value *number) {
  mo_builder *b = f->b;
  mo_value *slot = slot_of(f, number);
  mo_value *k = source_of(f, &f->k, f->k_hbm, from);
  mo_value *k_slot = slot_ref(f, &f->k, slot);
  mo_copy(b, k, k_slot, mo_sub_ref(b, f->k_came, MO_VALUES(slot)));
  mo_value *v = source_of(f, &f->v, f->v_hbm, from);
  mo_value *v_slot = slot_ref(f, &f->v, slot);
  mo_copy(b, v, v_slot, mo_sub_ref(b, f->v_came, MO_VALUES(slot)));
}

static void await(const forward *f, mo_value *number) {
  mo_builder *b = f->b;
  mo_value *slot = slot_of(f, number);
  mo_value *k = slot_ref(f, &f->k, slot), *v = slot_ref(f, &f->v, slot);
  mo_wait_received(b, k, mo_sub_ref(b, f->k_came, MO_VALUES(slot)));
  mo_wait_received(b, v, mo_sub_ref(b, f->v_came, MO_VALUES(slot)));
}

/* ---- Which ----------------------------------------------------------------
 */

/* The first chunk that a block's segments are counted from. */
static mo_value *origin_of(const forward *f, mo_value *position) {
  mo_builder *b = f->b;
  const forward_plan *plan = f->plan;
  if (plan->walk != FORWARD_BAND)
    return mo_min(b, forward_span_of(f, position).some,
                  mo_i32(b, (double)chunks_of(f, plan->streamed)));
  mo_value *before = mo_i32(b, (double)plan->band_before);
  mo_value *key = mo_max(b, mo_sub(b, position, before), f->zero);
  return mo_div(b, key, mo_i32(b, (double)plan->block_k));
}

/* The first chunk that the segment from `chunk` on has in VMEM. */
static mo_value *begin_of(const forward *f, mo_value *chunk) {
  int64_t last = chunks_of(f, f->plan->streamed - f->plan->segment);
  return mo_min(f->b, chunk, mo_i32(f->b, (double)last));
}

/* How many segments there are from `origin` on: at least one, so that every
 * block has a job. */
static mo_value *count_of(const forward *f, mo_value *origin,
                          forward_span span) {
  mo_builder *b = f->b;
  int64_t size = chunks_of(f, f->plan->segment);
  mo_value *all = mo_i32(b, (double)chunks_of(f, f->plan->streamed));
  mo_value *left = mo_sub(b, mo_min(b, span.some_end, all), origin);
  left = mo_max(b, left, f->one);
  left = mo_add(b, left, mo_i32(b, (double)size - 1));
  return mo_div(b, left, mo_i32(b, (double)size));
}

/* The first job of the step after this. *out_any: whether there is one. */
static job next_step(const forward *f, mo_value **out_any) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_value *row = mo_i32(b, (double)f->plan->block_q);
  mo_value *block = mo_add(b, mo_grid_index(b, 2), f->one);
  mo_value *wraps = mo_ge(b, block, mo_i32(b, (double)f->plan->q_blocks));
  mo_value *position = mo_add(b, f->position, row);
  position = mo_select(b, wraps, mo_i32(b, (double)p->offset), position);
  mo_value *carry = mo_cast(b, wraps, MO_I32);
  mo_value *head = mo_add(b, mo_grid_index(b, 1), carry);
  wraps = mo_ge(b, head, mo_i32(b, (double)p->Hq));
  head = mo_select(b, wraps, f->zero, head);
  carry = mo_cast(b, wraps, MO_I32);
  job next = {.batch = mo_add(b, mo_grid_index(b, 0), carry), .head = head};
  next.chunk = begin_of(f, origin_of(f, position));
  *out_any = mo_lt(b, next.batch, mo_i32(b, (double)p->B));
  return next;
}

/* ---- Segments -------------------------------------------------------------
 */

void forward_stream_begin(const forward *f) {
  mo_builder *b = f->b;
  if (!f->plan->segment) return;
  mo_value *first = mo_i32(b, (double)f->problem->offset);
  job from = {.batch = f->zero, .head = f->zero};
  from.chunk = begin_of(f, origin_of(f, first));
  mo_set(b, f->zero, f->jobs, MO_VALUES(f->zero));
  start(f, &from, f->zero);
}

/* Waits for job `number`, whose first chunk is `chunk`; before its keys are
 * used, the copy after it, of the step's `next` chunk or of the next step's
 * first job, is asked for. Its slot is free: job `number` - 1 is done. */
static forward enter(const forward *f, mo_value *number, mo_value *chunk,
                     mo_value *next, mo_value *is_last) {
  mo_builder *b = f->b;
  mo_value *any;
  job after = next_step(f, &any);
  if (next) {
    mo_value *here = begin_of(f, next);
    after.chunk = mo_select(b, is_last, after.chunk, here);
    after.head = mo_select(b, is_last, after.head, mo_grid_index(b, 1));
    after.batch = mo_select(b, is_last, after.batch, mo_grid_index(b, 0));
    any = mo_lt(b, after.batch, mo_i32(b, (double)f->problem->B));
  }
  await(f, number);
  mo_if(b, any);
  start(f, &after, mo_add(b, number, f->one));
  mo_end(b, MO_NONE);
  forward in = *f;
  mo_value *size = mo_i32(b, (double)f->plan->segment);
  mo_value *key = begin_of(f, chunk);
  key = mo_mul(b, key, mo_i32(b, (double)f->plan->block_k));
  in.shift = mo_sub(b, mo_mul(b, slot_of(f, number), size), key);
  return in;
}

void forward_stream_walk(const forward *f) {
  mo_builder *b = f->b;
  mo_value *size = mo_i32(b, (double)chunks_of(f, f->plan->segment));
  mo_value *all = mo_i32(b, (double)chunks_of(f, f->plan->streamed));
  forward_span span = forward_span_of(f, f->position);
  mo_value *origin = mo_min(b, span.some, all);
  mo_value *count = count_of(f, origin, span);
  mo_value *before = mo_get(b, f->jobs, MO_VALUES(f->zero));
  mo_value *segment = mo_for(b, f->zero, count, f->one, MO_NONE)[0];
  mo_value *chunk = mo_add(b, origin, mo_mul(b, segment, size));
  mo_value *end = mo_add(b, chunk, size);
  mo_value *is_last = mo_ge(b, mo_add(b, segment, f->one), count);
  mo_value *number = mo_add(b, before, segment);
  forward in = enter(f, number, chunk, end, is_last);
  forward_walk_span(&in, span, chunk, mo_min(b, end, all));
  mo_end(b, MO_NONE);
  mo_set(b, mo_add(b, before, count), f->jobs, MO_VALUES(f->zero));
  forward_stream_tail(f, span);
}

forward forward_stream_one(const forward *f) {
  mo_builder *b = f->b;
  mo_value *before = mo_get(b, f->jobs, MO_VALUES(f->zero));
  mo_value *origin = origin_of(f, f->position);
  mo_set(b, mo_add(b, before, f->one), f->jobs, MO_VALUES(f->zero));
  return enter(f, before, origin, NULL, NULL);
}

void forward_stream_tail(const forward *f, forward_span span) {
  mo_builder *b = f->b;
  if (!f->k_tail.ref) return;
  mo_value *all = mo_i32(b, (double)chunks_of(f, f->plan->streamed));
  forward at_tail = *f;
  at_tail.k = f->k_tail;
  at_tail.v = f->v_tail;
  at_tail.shift = mo_i32(b, -(double)f->plan->streamed);
  mo_if(b, mo_gt(b, span.some_end, all));
  forward_walk_chunk(&at_tail, all);
  mo_end(b, MO_NONE);
}

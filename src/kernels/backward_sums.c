/* What becomes of a step's dK and dV.
 *
 * Where a block's queries come in several panels, or several heads share it and
 * VMEM has no room for sums of all keys, the sums wait in HBM, [block_k, D] and
 * [block_k, Dv] of f32 a block:
 *
 *   visit         1           2            ..  last
 *   begins        -           read         ..  read
 *   ends          write       add, write   ..  add, dK and dV
 *
 * A visit's read has the whole step to come, and its write the step after: two
 * slots in turn. A write is waited for when its slot is wanted again, or when
 * what it writes is read. Visits come in one order, so
 * that the sums are the same each time. */
#include "kernels/backward_kernel.h"
#include "kernels/flash_math.h"

static mo_value *word(const backward *f, int64_t index) {
  return mo_i32(f->b, (double)index);
}

/* Where a sum waits in HBM, and its slot in VMEM. */
typedef struct sum_places {
  mo_value *away, *slot;
} sum_places;

static const sequence *own_of(const backward *f, bool values) {
  return values ? &f->dv_sum : &f->dk_sum;
}

static sum_places places_of(const backward *f, bool values, mo_value *slot) {
  mo_builder *b = f->b;
  mo_value *away = values ? f->dv_away : f->dk_away;
  mo_value *slots = values ? f->dv_slots : f->dk_slots;
  away = mo_sub_ref(b, away, MO_VALUES(f->block));
  slots = mo_sub_ref(b, slots, MO_VALUES(slot));
  return (sum_places){away, slots};
}

/* dK and dV count on one semaphore. */
static mo_value *semaphore_of(const backward *f, mo_value *all,
                              mo_value *slot) {
  return mo_sub_ref(f->b, all, MO_VALUES(slot));
}

/* Waits for the writes from a slot, if there are any on their way. */
static void settle(const backward *f, mo_value *slot) {
  mo_builder *b = f->b;
  mo_value *leaving = mo_get(b, f->turns, MO_VALUES(slot));
  mo_if(b, mo_ge(b, leaving, f->zero));
  mo_value *left = semaphore_of(f, f->left, slot);
  for (int values = 0; values < 2; values++) {
    sum_places at = places_of(f, values, slot);
    mo_wait_copy(b, at.slot, at.away, left);
  }
  mo_set(b, word(f, -1), f->turns, MO_VALUES(slot));
  mo_end(b, MO_NONE);
}

static mo_value *other(const backward *f, mo_value *slot) {
  return mo_sub(f->b, f->one, slot);
}

void backward_sums_declare(backward *f) {
  mo_builder *b = f->b;
  int64_t blocks = f->plan->k_blocks, keys = f->plan->block_k;
  int64_t k[3] = {blocks}, v[3] = {blocks};
  if (f->plan->sums != BACKWARD_SUMS_HBM) return;
  mo_shape k_sizes = sequence_shape(&f->dk, keys, k + 1);
  mo_shape v_sizes = sequence_shape(&f->dv, keys, v + 1);
  k_sizes = (mo_shape){3, k}, v_sizes = (mo_shape){3, v};
  f->dk_away = mo_operand(b, MO_HBM, MO_F32, k_sizes);
  f->dv_away = mo_operand(b, MO_HBM, MO_F32, v_sizes);
}

void backward_sums_tensors(const attention_problem *p,
                           const backward_plan *plan, kernels_kernel *kernel) {
  if (plan->sums != BACKWARD_SUMS_HBM) return;
  const char *const names[] = {"dk_sums", "dv_sums"};
  for (int values = 0; values < 2; values++) {
    int64_t width = values ? p->Dv : p->D, shape[3] = {plan->k_blocks};
    sequence s = {.width = width, .swapped = sequence_swaps(width)};
    sequence_shape(&s, plan->block_k, shape + 1);
    kernels_tensor *tensor = kernels_output_add(
        kernel, names[values], PFL_DTYPE_F32, (mo_shape){3, shape});
    tensor->internal = tensor->pinned = true;
  }
}

void backward_sums_scratch(backward *f) {
  mo_builder *b = f->b;
  int64_t keys = f->plan->block_k, k[3] = {2}, v[3] = {2};
  if (f->plan->sums != BACKWARD_SUMS_HBM) return;
  sequence_shape(&f->dk, keys, k + 1);
  sequence_shape(&f->dv, keys, v + 1);
  mo_shape k_slots = {3, k}, v_slots = {3, v};
  f->dk_slots = mo_scratch(b, MO_VMEM, MO_F32, k_slots);
  f->dv_slots = mo_scratch(b, MO_VMEM, MO_F32, v_slots);
  f->turns = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2));
  f->came = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  f->left = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
}

/* ---- The way through HBM --------------------------------------------------
 */

void backward_sums_clear(const backward *f) {
  mo_builder *b = f->b;
  if (f->plan->sums != BACKWARD_SUMS_HBM) return;
  mo_set(b, word(f, -1), f->turns, MO_VALUES(f->zero));
  mo_set(b, word(f, -1), f->turns, MO_VALUES(f->one));
}

void backward_sums_fetch(backward *f) {
  mo_builder *b = f->b;
  if (f->plan->sums != BACKWARD_SUMS_HBM) return;
  f->slot = mo_and(b, f->turn, f->one);
  settle(f, f->slot);
  mo_if(b, f->later);
  mo_value *before = other(f, f->slot);
  mo_value *leaving = mo_get(b, f->turns, MO_VALUES(before));
  mo_if(b, mo_eq(b, leaving, f->block));
  settle(f, before);
  mo_end(b, MO_NONE);
  mo_value *came = semaphore_of(f, f->came, f->slot);
  for (int values = 0; values < 2; values++) {
    sum_places at = places_of(f, values, f->slot);
    mo_copy(b, at.away, at.slot, came);
  }
  mo_end(b, MO_NONE);
}

/* Adds what came to the step's own sums. */
static void add_fetched(const backward *f) {
  mo_builder *b = f->b;
  int64_t keys = f->plan->block_k;
  mo_if(b, f->later);
  mo_value *came = semaphore_of(f, f->came, f->slot);
  for (int values = 0; values < 2; values++) {
    sum_places at = places_of(f, values, f->slot);
    mo_wait_copy(b, at.away, at.slot, came);
  }
  for (int values = 0; values < 2; values++) {
    const sequence *own = own_of(f, values);
    sequence slot = *own;
    slot.ref = places_of(f, values, f->slot).slot;
    mo_value *x = sequence_load(b, &slot, f->zero, keys, NULL);
    x = mo_add(b, x, sequence_load(b, own, f->zero, keys, NULL));
    sequence_store(b, own, x, f->zero);
  }
  mo_end(b, MO_NONE);
}

static void put_away(const backward *f) {
  mo_builder *b = f->b;
  mo_value *left = semaphore_of(f, f->left, f->slot);
  for (int values = 0; values < 2; values++) {
    sum_places at = places_of(f, values, f->slot);
    const sequence *own = own_of(f, values);
    sequence slot = *own;
    slot.ref = at.slot;
    mo_value *x = sequence_load(b, own, f->zero, f->plan->block_k, NULL);
    sequence_store(b, &slot, x, f->zero);
    mo_copy(b, at.slot, at.away, left);
  }
  mo_set(b, f->block, f->turns, MO_VALUES(f->slot));
}

/* ---- The end of a step ----------------------------------------------------
 */

static void write_out(const backward *f) {
  mo_builder *b = f->b;
  for (int values = 0; values < 2; values++) {
    const sequence *sum = own_of(f, values);
    double factor = values ? 1 : f->problem->scale;
    mo_value *x = sequence_load(b, sum, f->sum_key, f->plan->block_k, NULL);
    if (factor != 1) x = flash_times(b, x, factor);
    sequence_store(b, values ? &f->dv : &f->dk, x, f->zero);
  }
}

static void clear_own(const backward *f) {
  mo_builder *b = f->b;
  int64_t sizes[2];
  for (int values = 0; values < 2; values++) {
    const sequence *sum = own_of(f, values);
    mo_shape shape = sequence_shape(sum, f->plan->block_k, sizes);
    sequence_store(b, sum, mo_full(b, MO_F32, shape, 0), f->sum_key);
  }
}

static void finish_in_vmem(const backward *f) {
  mo_builder *b = f->b;
  int64_t group = f->problem->group;
  mo_value *member = mo_rem(b, mo_grid_index(b, 1), word(f, group));
  if (group > 1) mo_if(b, mo_eq(b, member, word(f, group - 1)));
  write_out(f);
  if (!f->plan->fresh) clear_own(f);
  if (group > 1) mo_end(b, MO_NONE);
}

void backward_sums_finish(const backward *f) {
  mo_builder *b = f->b;
  if (f->plan->sums != BACKWARD_SUMS_HBM) {
    finish_in_vmem(f);
    return;
  }
  add_fetched(f);
  mo_if(b, f->last);
  write_out(f);
  mo_else(b, MO_NONE);
  put_away(f);
  mo_end(b, MO_NONE);
  clear_own(f);
}

void backward_sums_settle(const backward *f) {
  mo_builder *b = f->b;
  if (f->plan->sums != BACKWARD_SUMS_HBM) return;
  mo_value *slot = mo_and(b, f->turn, f->one);
  settle(f, slot);
  settle(f, other(f, slot));
}

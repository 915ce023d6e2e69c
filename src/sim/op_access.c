/* Loads and stores: vectors of VMEM, scalars of SMEM. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/contents.h"
#include "sim/race.h"
#include "sim/taint.h"

typedef struct access {
  sim_slot value, ref, mask; /* mask.kind NOTHING: none */
  int32_t rank, bytes;
  sim_slot indices[SIM_RANK_MAX];
  int64_t sizes[SIM_RANK_MAX], steps[SIM_RANK_MAX];
  bool strided;
  sim_binary_fn *add; /* to what is there, or NULL */
} access;

/* "[0, 128, 0]" */
static const char *list(char text[96], const int64_t *numbers, int count) {
  int length = snprintf(text, 96, "[");
  for (int i = 0; i < count && length < 80; i++)
    length += snprintf(text + length, (size_t)(96 - length), "%s%lld",
                       i ? ", " : "", (long long)numbers[i]);
  snprintf(text + length, (size_t)(96 - length), "]");
  return text;
}

/* The window that is accessed. False after a hazard. */
static bool window(sim_chip *chip, const sim_inst *inst, const access *x,
                   sim_view *out) {
  const sim_view *ref = &chip->views[x->ref.index];
  int64_t at[SIM_RANK_MAX];
  for (int i = 0; i < x->rank; i++) {
    sim_decides(chip, inst, x->indices[i]);
    at[i] = chip->scalars[x->indices[i].index].i;
  }
  int dim = sim_view_part(ref, at, x->sizes, x->strided ? x->steps : NULL, out);
  if (dim < 0) return true;
  char first[96], size[96], whole[96];
  sim_hazard_stop(chip, SIM_HAZARD_BOUNDS, inst,
                  "%s at %s of %s, which is %s, in dimension %d",
                  list(size, x->sizes, x->rank), list(first, at, x->rank),
                  ref->memory->plan->name, list(whole, ref->sizes, x->rank),
                  dim);
  return false;
}

static const sim_inst *run_load(sim_chip *chip, const sim_inst *inst) {
  const access *x = inst->data;
  sim_view box;
  if (!window(chip, inst, x, &box)) return NULL;
  sim_access(chip, inst, &box, false);
  sim_copy copy = sim_view_copy(&box, true);
  sim_copy_run(&copy, sim_data(chip, x->value), box.memory->bytes + box.offset,
               sim_view_unit(&box));
  if (sim_view_written(&box)) {
    sim_set_taint(chip, x->value, 0);
  } else {
    sim_view_read_marks(&box, chip->shadows[x->value.index]);
    sim_set_taint(
        chip, x->value,
        box.memory->taint ? box.memory->taint : (uint32_t)inst->site + 1);
  }
  if (!x->mask.kind) return inst + 1;
  /* what the mask leaves out is nothing that one may use */
  const uint8_t *mask = sim_data(chip, x->mask);
  uint8_t *tainted = sim_taint_bytes(chip, x->value);
  bool any = sim_taint(chip, x->value) != 0;
  for (int64_t i = 0; i < x->value.count; i++)
    if (!mask[i]) tainted[i] = any = true;
  if (any && !sim_taint(chip, x->value))
    sim_set_taint(chip, x->value, (uint32_t)inst->site + 1);
  return inst + 1;
}

/* What is stored: the value, or what it makes of what is there. */
static const char *stored(sim_chip *chip, const access *x,
                          const sim_view *box) {
  const char *value = sim_data(chip, x->value);
  if (!x->add && !x->mask.kind) return value;
  char *there = chip->product, *sum = there + x->value.count * x->bytes;
  sim_copy copy = sim_view_copy(box, true);
  sim_copy_run(&copy, there, box->memory->bytes + box->offset,
               sim_view_unit(box));
  if (x->add) {
    x->add(sum, there, value, x->value.count, SIM_STEP_A | SIM_STEP_B);
    value = sum;
  }
  if (!x->mask.kind) return value;
  const uint8_t *mask = sim_data(chip, x->mask);
  int steps = SIM_STEP_A | SIM_STEP_B;
  if (x->bytes == 4)
    chip->lanes->select4(there, mask, value, there, x->value.count, steps);
  else if (x->bytes == 2)
    chip->lanes->select2(there, mask, value, there, x->value.count, steps);
  else
    chip->lanes->select1(there, mask, value, there, x->value.count, steps);
  return there;
}

/* What is then known of the bytes: the value's taint, put together with what
 * was there before where a mask or a sum leaves some of it. */
static void mark_stored(sim_chip *chip, const access *x, const sim_view *box) {
  uint32_t taint = sim_taint(chip, x->value);
  bool partly = x->add || x->mask.kind;
  if (!taint && (!partly || sim_view_written(box))) {
    sim_view_mark(box, SIM_WRITTEN);
    return;
  }
  uint8_t *marks = chip->product;
  int64_t count = x->value.count;
  const uint8_t *tainted = chip->shadows[x->value.index];
  for (int64_t i = 0; i < count; i++)
    marks[i] = taint && tainted[i] ? SIM_TAINTED : SIM_WRITTEN;
  if (partly && box->memory->unwritten) {
    const uint8_t *mask = x->mask.kind ? sim_data(chip, x->mask) : NULL;
    uint8_t *before = marks + count;
    sim_view_read_marks(box, before);
    for (int64_t i = 0; i < count; i++)
      if (mask && !mask[i])
        marks[i] = before[i];
      else if (x->add && before[i])
        marks[i] = SIM_TAINTED;
  }
  sim_view_write_marks(box, marks);
  if (taint) box->memory->taint = taint;
}

static const sim_inst *run_store(sim_chip *chip, const sim_inst *inst) {
  const access *x = inst->data;
  sim_view box;
  if (!window(chip, inst, x, &box)) return NULL;
  if (x->mask.kind && sim_taint(chip, x->mask)) {
    char place[SIM_PLACE_SIZE];
    sim_hazard_add(
        chip, SIM_HAZARD_UNWRITTEN, inst->site,
        "masked by what %s read where nothing was written",
        sim_place(chip->program, (int32_t)sim_taint(chip, x->mask) - 1, place));
  }
  sim_access(chip, inst, &box, true);
  const char *from = stored(chip, x, &box);
  sim_copy copy = sim_view_copy(&box, false);
  sim_copy_run(&copy, box.memory->bytes + box.offset, from,
               sim_view_unit(&box));
  mark_stored(chip, x, &box);
  return inst + 1;
}

/* ---- Scalars ------------------------------------------------------------- */

static const sim_inst *run_get(sim_chip *chip, const sim_inst *inst) {
  const access *x = inst->data;
  sim_view box;
  if (!window(chip, inst, x, &box)) return NULL;
  sim_access(chip, inst, &box, false);
  const uint8_t *from = box.memory->bytes + box.offset;
  sim_scalar *s = &chip->scalars[x->value.index];
  s->i = 0;
  memcpy(s->bytes, from, (size_t)x->bytes);
  switch (x->value.element) {
    case MO_I8: s->i = (int8_t)s->bytes[0]; break;
    case MO_I16: s->i = (int16_t)(uint16_t)s->i; break;
    case MO_I32:
    case MO_SI32: s->i = (int32_t)(uint32_t)s->i; break;
    default: break;
  }
  s->taint = sim_view_written(&box) ? 0
             : box.memory->taint    ? box.memory->taint
                                    : (uint32_t)inst->site + 1;
  return inst + 1;
}

static const sim_inst *run_set(sim_chip *chip, const sim_inst *inst) {
  const access *x = inst->data;
  sim_view box;
  if (!window(chip, inst, x, &box)) return NULL;
  sim_access(chip, inst, &box, true);
  const sim_scalar *s = &chip->scalars[x->value.index];
  memcpy(box.memory->bytes + box.offset, s->bytes, (size_t)x->bytes);
  sim_view_mark(&box, s->taint ? SIM_TAINTED : SIM_WRITTEN);
  if (s->taint) box.memory->taint = s->taint;
  return inst + 1;
}

/* ---- Binding ------------------------------------------------------------- */

static pfl_status bind_indices(sim_build *b, const mo_op *op, access *x) {
  mo_group indices = mo_op_group(op, "indices");
  if (indices.count > SIM_RANK_MAX)
    return sim_unknown(b, op, "more than %d dimensions", SIM_RANK_MAX);
  x->rank = indices.count;
  for (int i = 0; i < indices.count; i++)
    x->indices[i] = sim_use(b, indices.values[i]);
  return PFL_STATUS_OK;
}

static pfl_status bind_scalar(sim_build *b, const mo_op *op) {
  bool loads = op->info->id == MO_MEMREF_LOAD;
  access x = {.ref = sim_use(b, mo_op_operand(op, "memref"))};
  PFL_TRY(bind_indices(b, op, &x));
  for (int i = 0; i < x.rank; i++) x.sizes[i] = 1;
  x.value = loads ? sim_define(b, op->results[0])
                  : sim_use(b, mo_op_operand(op, "value"));
  x.bytes = sim_element_bytes(x.value.element);
  sim_emit(b, op, loads ? run_get : run_set, &x);
  return PFL_STATUS_OK;
}

static pfl_status set_add(sim_build *b, const mo_op *op, access *x) {
  const sim_lanes *l = sim_lanes_best();
  const mo_attr *add = mo_op_get(op, "add");
  if (!add || !add->integer) return PFL_STATUS_OK;
  x->add = x->value.element == MO_F32   ? l->addf
           : x->value.element == MO_I32 ? l->addi
                                        : NULL;
  if (x->add) return PFL_STATUS_OK;
  return sim_unknown(b, op, "adding %s to memory",
                     mo_element_name((mo_element)x->value.element));
}

pfl_status sim_bind_access(sim_build *b, const mo_op *op) {
  mo_op_id id = op->info->id;
  if (id == MO_MEMREF_LOAD || id == MO_MEMREF_STORE) return bind_scalar(b, op);
  bool loads = id == MO_VECTOR_LOAD || id == MO_TPU_VECTOR_LOAD ||
               id == MO_TPU_STRIDED_LOAD;
  const mo_value *mask = mo_op_operand(op, "mask");
  const mo_attr *strides = mo_op_get(op, "strides");
  const mo_type *type = (loads ? op->results : op->operands)[0]->type;
  access x = {.ref = sim_use(b, mo_op_operand(op, "base"))};
  PFL_TRY(bind_indices(b, op, &x));
  for (int i = 0; i < type->rank; i++) x.sizes[i] = type->shape[i];
  x.strided = strides && strides->count == type->rank;
  for (int i = 0; x.strided && i < type->rank; i++)
    x.steps[i] = strides->numbers[i];
  if (mask) x.mask = sim_use_vector(b, mask);
  x.value = loads ? sim_define(b, op->results[0])
                  : sim_use_vector(b, mo_op_operand(op, "valueToStore"));
  x.bytes = sim_element_bytes(x.value.element);
  if (!loads) PFL_TRY(set_add(b, op, &x));
  /* stored() and mark_stored() */
  if (!loads)
    b->program->product_bytes =
        base_max(b->program->product_bytes, 2 * x.value.count * x.bytes);
  /* three loads or one store of 4 KiB a cycle */
  sim_cost(b, SIM_UNIT_VECTOR, (double)(x.value.count * x.bytes),
           loads ? 3 * 4096 : 4096);
  sim_emit(b, op, loads ? run_load : run_store, &x);
  return PFL_STATUS_OK;
}

/* Integers in registers, of 64 bits whatever their width; and constants. */
#include "sim/build.h"
#include "sim/chip.h"

typedef struct integers {
  sim_slot out, a, b;
  mo_op_id id;
  int32_t predicate;
  int32_t bits;
} integers;

static int64_t wrap(int64_t x, int bits) {
  if (bits == 64) return x;
  if (bits == 1) return x & 1;
  return (int64_t)((uint64_t)x << (64 - bits)) >> (64 - bits);
}

static uint64_t unsign(int64_t x, int bits) {
  return bits == 64 ? (uint64_t)x : (uint64_t)x & ((1ull << bits) - 1);
}

static int64_t divide(const integers *x, int64_t a, int64_t b) {
  uint64_t u = unsign(a, x->bits), v = unsign(b, x->bits);
  switch (x->id) {
    case MO_ARITH_DIVSI: return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    case MO_ARITH_REMSI: return b == -1 ? 0 : a % b;
    case MO_ARITH_DIVUI: return (int64_t)(u / v);
    default: return (int64_t)(u % v);
  }
}

static int64_t shift(const integers *x, int64_t a, int64_t b) {
  uint64_t by = unsign(b, x->bits);
  if (by >= (uint64_t)x->bits) return x->id == MO_ARITH_SHRSI && a < 0 ? -1 : 0;
  switch (x->id) {
    case MO_ARITH_SHLI: return (int64_t)((uint64_t)a << by);
    case MO_ARITH_SHRSI: return a >> by;
    default: return (int64_t)(unsign(a, x->bits) >> by);
  }
}

static bool compare(const integers *x, int64_t a, int64_t b) {
  uint64_t u = unsign(a, x->bits), v = unsign(b, x->bits);
  switch (x->predicate) {
    case 0: return a == b;
    case 1: return a != b;
    case 2: return a < b;
    case 3: return a <= b;
    case 4: return a > b;
    case 5: return a >= b;
    case 6: return u < v;
    case 7: return u <= v;
    case 8: return u > v;
    default: return u >= v;
  }
}

static int64_t combine(const integers *x, int64_t a, int64_t b) {
  switch (x->id) {
    case MO_ARITH_ADDI: return (int64_t)((uint64_t)a + (uint64_t)b);
    case MO_ARITH_SUBI: return (int64_t)((uint64_t)a - (uint64_t)b);
    case MO_ARITH_MULI: return (int64_t)((uint64_t)a * (uint64_t)b);
    case MO_ARITH_MAXSI: return a > b ? a : b;
    case MO_ARITH_MINSI: return a < b ? a : b;
    case MO_ARITH_ANDI: return a & b;
    case MO_ARITH_ORI: return a | b;
    case MO_ARITH_XORI: return a ^ b;
    case MO_ARITH_CMPI: return compare(x, a, b);
    case MO_ARITH_SHLI:
    case MO_ARITH_SHRSI:
    case MO_ARITH_SHRUI: return shift(x, a, b);
    default: return divide(x, a, b);
  }
}

static const sim_inst *run_integers(sim_chip *chip, const sim_inst *inst) {
  const integers *x = inst->data;
  sim_scalar a = chip->scalars[x->a.index], b = chip->scalars[x->b.index];
  sim_scalar *out = &chip->scalars[x->out.index];
  bool divides = x->id == MO_ARITH_DIVSI || x->id == MO_ARITH_DIVUI ||
                 x->id == MO_ARITH_REMSI || x->id == MO_ARITH_REMUI;
  out->taint = a.taint ? a.taint : b.taint;
  if (divides && b.i == 0) {
    sim_hazard_add(chip, SIM_HAZARD_DIVISION, inst->site, "%lld by zero",
                   (long long)a.i);
    out->i = -1;
    return inst + 1;
  }
  int64_t result = combine(x, a.i, b.i);
  out->i = x->id == MO_ARITH_CMPI ? result : wrap(result, x->bits);
  return inst + 1;
}

pfl_status sim_bind_integers(sim_build *b, const mo_op *op) {
  const mo_attr *predicate = mo_op_get(op, "predicate");
  integers x = {.a = sim_use(b, op->operands[0]),
                .b = sim_use(b, op->operands[1]),
                .id = op->info->id};
  x.bits = mo_element_bits((mo_element)x.a.element);
  if (predicate) x.predicate = (int32_t)predicate->integer;
  x.out = sim_define_splat(b, op->results[0]);
  sim_emit(b, op, run_integers, &x);
  return PFL_STATUS_OK;
}

/* ---- Constants ----------------------------------------------------------- */

pfl_status sim_bind_constant(sim_build *b, const mo_op *op) {
  const mo_attr *value = mo_op_get(op, "value");
  mo_element element = op->results[0]->type->element;
  if (value->kind == MO_ATTR_SPLAT && value->count == 1)
    value = value->items[0];
  if (value->kind != MO_ATTR_INTEGER && value->kind != MO_ATTR_FLOAT &&
      value->kind != MO_ATTR_BOOL)
    return sim_unknown(b, op, "a constant of different elements");
  if (!sim_element_bytes(element))
    return sim_unknown(b, op, "elements of %s here", mo_element_name(element));
  sim_slot slot = sim_define_splat(b, op->results[0]);
  if (b->program->arena.failed) return PFL_STATUS_OK;
  sim_scalar *s = &b->scalars[slot.index];
  s->i = value->integer;
  if (mo_element_family(element) == MO_FAMILY_INTEGER)
    s->i = wrap(s->i, mo_element_bits(element));
  return PFL_STATUS_OK;
}

/* What the scalar side computes: 32 bits, two's complement, IEEE single. */
#include <string.h>

#include "schedule/timed_chip.h"

static inline int32_t as_signed(chip_value value) {
  return (int32_t)(uint32_t)value;
}

static float as_float(chip_value value) {
  uint32_t bits = (uint32_t)value;
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static chip_value from_float(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

static chip_value lower(chip_value a, chip_value b) { return a < b ? a : b; }

chip_value timed_evaluate(chip *c, const vliw_value *value) {
  chip_frame *frame = timed_top(c);
  chip_value sum = value->constant;
  for (int i = 0; i < 2; i++) {
    int16_t number = value->registers[i];
    if (number < 0) continue;
    if (number < VLIW_VECTORS && frame->names[number] != value->names[i])
      timed_warn(c, SCHEDULE_WARNING_NAME);
    int slot =
        number < VLIW_VECTORS ? number : number - VLIW_OPERANDS + VLIW_VECTORS;
    chip_value part = frame->values[slot];
    if (!timed_known(part)) return part;
    sum += part;
  }
  if (value->symbol >= 0) sum += timed_symbol(c, frame->program, value->symbol);
  return (chip_value)(uint32_t)sum;
}

/* ---- Arithmetic ---------------------------------------------------------- */

static chip_value compute_float(vliw_action action, float a, float b) {
  switch (action) {
    case VLIW_ADD: return from_float(a + b);
    case VLIW_SUB: return from_float(a - b);
    case VLIW_MUL: return from_float(a * b);
    case VLIW_MAX: return from_float(a > b ? a : b);
    case VLIW_MIN: return from_float(a < b ? a : b);
    default: return CHIP_UNSET;
  }
}

static chip_value shift_signed(chip_value a, chip_value b) {
  int amount = b > 31 ? 31 : (int)b;
  return (uint32_t)(as_signed(a) < 0 ? ~(~(uint32_t)a >> amount)
                                     : (uint32_t)a >> amount);
}

static chip_value extreme(chip_value a, chip_value b, bool is_signed,
                          bool largest) {
  bool above = is_signed ? as_signed(a) > as_signed(b) : a > b;
  return above == largest ? a : b;
}

static chip_value leading_zeros(chip_value a) {
  chip_value count = 0;
  while (count < 32 && !(a >> (31 - count) & 1)) count++;
  return count;
}

static chip_value compute_whole(vliw_action action, bool is_signed,
                                chip_value a, chip_value b) {
  switch (action) {
    case VLIW_ADD: return (uint32_t)(a + b);
    case VLIW_SUB: return (uint32_t)(a - b);
    case VLIW_MUL: return (uint32_t)((uint32_t)a * (uint64_t)b);
    case VLIW_MULHI: return (chip_value)((uint64_t)a * (uint64_t)b >> 32);
    case VLIW_DIV: return b ? a / b : 0;
    case VLIW_REM: return b ? a % b : 0;
    case VLIW_MAX: return extreme(a, b, is_signed, true);
    case VLIW_MIN: return extreme(a, b, is_signed, false);
    case VLIW_AND: return a & b;
    case VLIW_OR: return a | b;
    case VLIW_XOR: return a ^ b;
    case VLIW_SHIFT_LEFT: return b > 31 ? 0 : (uint32_t)((uint64_t)a << b);
    case VLIW_SHIFT_RIGHT: return b > 31 ? 0 : a >> b;
    case VLIW_SHIFT_SIGNED: return shift_signed(a, b);
    default: return CHIP_UNSET;
  }
}

/* ---- Comparisons and predicates ------------------------------------------ */

static bool compare_order(vliw_comparison comparison, int order) {
  switch (comparison) {
    case VLIW_EQ: return order == 0;
    case VLIW_NE: return order != 0;
    case VLIW_LT: return order < 0;
    case VLIW_LE: return order <= 0;
    case VLIW_GT: return order > 0;
    default: return order >= 0;
  }
}

static chip_value compare(const vliw_instruction *instruction, chip_value a,
                          chip_value b) {
  vliw_comparison comparison = (vliw_comparison)instruction->comparison;
  if (instruction->type == VLIW_F32) {
    float x = as_float(a), y = as_float(b);
    if (x != x || y != y) return comparison == VLIW_NE;
    return compare_order(comparison, (x > y) - (x < y));
  }
  if (instruction->type == VLIW_S32) {
    int32_t x = as_signed(a), y = as_signed(b);
    return compare_order(comparison, (x > y) - (x < y));
  }
  return compare_order(comparison, (a > b) - (a < b));
}

/* Of two operands one alone may decide: true in an OR, false in an AND. */
static chip_value decide(chip_value a, chip_value b, chip_value deciding) {
  if (a == deciding || b == deciding) return deciding;
  return timed_known(a) && timed_known(b) ? !deciding : lower(a, b);
}

static chip_value negate(chip_value a) { return timed_known(a) ? !a : a; }

static chip_value combine(vliw_action action, chip_value a, chip_value b) {
  if (timed_known(a)) a = a != 0;
  if (timed_known(b)) b = b != 0;
  switch (action) {
    case VLIW_PRED_OR: return decide(a, b, 1);
    case VLIW_PRED_NOR: return negate(decide(a, b, 1));
    case VLIW_PRED_AND: return decide(a, b, 0);
    case VLIW_PRED_NAND: return negate(decide(a, b, 0));
    default: /* XOR */
      return timed_known(a) && timed_known(b) ? a != b : lower(a, b);
  }
}

static chip_value select_value(const chip_value a[3]) {
  if (!timed_known(a[0])) return a[1] == a[2] ? a[1] : a[0];
  return a[0] ? a[1] : a[2];
}

chip_value timed_compute(const vliw_instruction *instruction,
                         const chip_value a[3]) {
  vliw_action action = (vliw_action)instruction->action;
  switch (action) {
    case VLIW_MOVE:
    case VLIW_ALIAS: return a[0];
    case VLIW_PRED_MOVE: return timed_known(a[0]) ? a[0] != 0 : a[0];
    case VLIW_PRED_NOT: return negate(a[0]);
    case VLIW_SELECT: return select_value(a);
    case VLIW_PRED_OR:
    case VLIW_PRED_NOR:
    case VLIW_PRED_AND:
    case VLIW_PRED_NAND:
    case VLIW_PRED_XOR: return combine(action, a[0], a[1]);
    case VLIW_LEADING_ZEROS:
      return timed_known(a[0]) ? leading_zeros(a[0]) : a[0];
    default: break;
  }
  if (!timed_known(a[0]) || !timed_known(a[1])) {
    bool zeroed = action == VLIW_AND ||
                  (action == VLIW_MUL && instruction->type != VLIW_F32);
    return zeroed && (a[0] == 0 || a[1] == 0) ? 0 : lower(a[0], a[1]);
  }
  if (action == VLIW_COMPARE) return compare(instruction, a[0], a[1]);
  if (instruction->type == VLIW_F32 && action <= VLIW_MIN)
    return compute_float(action, as_float(a[0]), as_float(a[1]));
  return compute_whole(action, instruction->type == VLIW_S32, a[0], a[1]);
}

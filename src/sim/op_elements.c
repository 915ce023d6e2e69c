/* Elementwise ops: arithmetic, comparisons, selections, casts, mathematics. A
 * scalar is a vector of one element that lies in a register. */
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/share.h"
#include "sim/taint.h"

enum { STRIP = 512, CHAIN_MAX = 5 };

/* Elements a cycle: four vector units of 8 x 128, one for transcendentals. */
enum { VALU = 4096, EUP = 1024 };

/* out = last(...first(in)): elements are widened, worked on and narrowed strip
 * by strip. */
typedef struct chain {
  sim_slot out, in;
  int32_t count, in_bytes, out_bytes;
  sim_unary_fn *steps[CHAIN_MAX];
} chain;

typedef struct binary {
  sim_slot out, a, b;
  sim_binary_fn *loop;
  sim_unary_fn *widen, *narrow; /* NULL: not needed */
  int32_t in_bytes, out_bytes;
} binary;

typedef struct selection {
  sim_slot out, mask, a, b;
  int32_t bytes;
} selection;

static int64_t count_of(sim_slot slot) {
  return slot.kind == SIM_VECTOR ? slot.count : 1;
}

/* Brings what a loop left in a register to a register's form. */
static void settle(sim_chip *chip, sim_slot out) {
  if (out.kind == SIM_VECTOR) return;
  sim_scalar *s = &chip->scalars[out.index];
  switch (out.element) {
    case MO_I1: s->i = s->bytes[0] & 1; break;
    case MO_I8: s->i = (int8_t)s->bytes[0]; break;
    case MO_I16: s->i = (int16_t)(uint16_t)s->i; break;
    case MO_I32:
    case MO_SI32: s->i = (int32_t)(uint32_t)s->i; break;
    default: break;
  }
}

/* ---- One operand --------------------------------------------------------- */

/* What a range of elements is worked out from. */
typedef struct job {
  const void *op;
  char *out;
  const char *a, *b, *mask;
  const sim_lanes *lanes;
} job;

enum { GRAIN = 1 << 16 }; /* elements that are worth another thread */

static void chain_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  const chain *x = j->op;
  char *out = j->out + first * x->out_bytes;
  const char *in = j->a + first * x->in_bytes;
  if (x->count == 1) x->steps[0](out, in, end - first);
  for (int64_t i = 0; x->count > 1 && i < end - first; i += STRIP) {
    uint32_t strips[2][STRIP];
    int64_t n = base_min(STRIP, end - first - i);
    const void *from = in + i * x->in_bytes;
    for (int s = 0; s < x->count; s++) {
      void *to = s == x->count - 1 ? (void *)(out + i * x->out_bytes)
                                   : (void *)strips[s & 1];
      x->steps[s](to, from, n);
      from = to;
    }
  }
}

static const sim_inst *run_chain(sim_chip *chip, const sim_inst *inst) {
  const chain *x = inst->data;
  job j = {.op = x, .out = sim_data(chip, x->out), .a = sim_data(chip, x->in)};
  int64_t count = count_of(x->out);
  if (x->count == 0)
    memmove(j.out, j.a, (size_t)(count * x->out_bytes));
  else
    sim_share(chip, count, GRAIN, chain_range, &j);
  settle(chip, x->out);
  sim_taint_elements(chip, x->out, 1, &x->in);
  return inst + 1;
}

/* ---- Two operands -------------------------------------------------------- */

static int steps_of(sim_slot a, sim_slot b) {
  return (sim_step(a) ? SIM_STEP_A : 0) | (sim_step(b) ? SIM_STEP_B : 0);
}

/* Where element i of an operand is, which is one for all if it has no step. */
static const char *place(const char *operand, sim_slot slot, int64_t i,
                         int bytes) {
  return operand + (sim_step(slot) ? i * bytes : 0);
}

static void binary_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  const binary *x = j->op;
  x->loop(j->out + first * x->out_bytes, place(j->a, x->a, first, x->in_bytes),
          place(j->b, x->b, first, x->in_bytes), end - first,
          steps_of(x->a, x->b));
}

static void strips_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  const binary *x = j->op;
  uint32_t a[STRIP], b[STRIP], to[STRIP];
  for (int64_t i = first; i < end; i += STRIP) {
    int64_t n = base_min(STRIP, end - i);
    const void *p = place(j->a, x->a, i, x->in_bytes);
    const void *q = place(j->b, x->b, i, x->in_bytes);
    if (x->widen) {
      x->widen(a, p, sim_step(x->a) ? n : 1);
      x->widen(b, q, sim_step(x->b) ? n : 1);
      p = a;
      q = b;
    }
    char *o = j->out + i * x->out_bytes;
    x->loop(x->narrow ? (void *)to : o, p, q, n, steps_of(x->a, x->b));
    if (x->narrow) x->narrow(o, to, n);
  }
}

static const sim_inst *run_binary(sim_chip *chip, const sim_inst *inst) {
  const binary *x = inst->data;
  job j = {.op = x,
           .out = sim_data(chip, x->out),
           .a = sim_data(chip, x->a),
           .b = sim_data(chip, x->b)};
  sim_share(chip, count_of(x->out), GRAIN,
            x->widen || x->narrow ? strips_range : binary_range, &j);
  settle(chip, x->out);
  sim_taint_elements(chip, x->out, 2, &x->a);
  return inst + 1;
}

/* ---- Selection ----------------------------------------------------------- */

static void taint_selection(sim_chip *chip, const selection *x) {
  uint32_t mask = sim_taint(chip, x->mask), a = sim_taint(chip, x->a),
           b = sim_taint(chip, x->b);
  if (!(mask | a | b)) {
    sim_set_taint(chip, x->out, 0);
    return;
  }
  if (mask) { /* what was chosen says what was not written */
    sim_taint_elements(chip, x->out, 3, &x->mask);
    return;
  }
  const uint8_t *chosen = sim_data(chip, x->mask);
  if (x->mask.kind != SIM_VECTOR || x->out.kind != SIM_VECTOR) {
    sim_taint_elements(chip, x->out, 1, chosen[0] ? &x->a : &x->b);
    return;
  }
  uint8_t *to = chip->shadows[x->out.index];
  for (int64_t i = 0; i < x->out.count; i++) {
    sim_slot from = chosen[i] ? x->a : x->b;
    uint32_t taint = chosen[i] ? a : b;
    to[i] = taint && (from.kind != SIM_VECTOR || chip->shadows[from.index][i]);
  }
  sim_set_taint(chip, x->out, a ? a : b);
}

static void selection_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  const selection *x = j->op;
  void *out = j->out + first * x->bytes;
  const uint8_t *mask = (const uint8_t *)j->mask + first;
  const void *a = place(j->a, x->a, first, x->bytes);
  const void *b = place(j->b, x->b, first, x->bytes);
  int steps = steps_of(x->a, x->b);
  if (x->bytes == 4)
    j->lanes->select4(out, mask, a, b, end - first, steps);
  else if (x->bytes == 2)
    j->lanes->select2(out, mask, a, b, end - first, steps);
  else
    j->lanes->select1(out, mask, a, b, end - first, steps);
}

static const sim_inst *run_selection(sim_chip *chip, const sim_inst *inst) {
  const selection *x = inst->data;
  job j = {.op = x,
           .out = sim_data(chip, x->out),
           .a = sim_data(chip, x->a),
           .b = sim_data(chip, x->b),
           .mask = sim_data(chip, x->mask),
           .lanes = chip->lanes};
  taint_selection(chip, x);
  if (x->out.kind == SIM_VECTOR)
    sim_share(chip, x->out.count, GRAIN, selection_range, &j);
  else
    chip->scalars[x->out.index].i =
        ((const sim_scalar *)(const void *)(j.mask[0] ? j.a : j.b))->i;
  return inst + 1;
}

/* One condition for whole vectors, which were made so. */
static const sim_inst *run_choice(sim_chip *chip, const sim_inst *inst) {
  const selection *x = inst->data;
  taint_selection(chip, x);
  const uint8_t *mask = sim_data(chip, x->mask);
  memcpy(sim_data(chip, x->out), sim_data(chip, mask[0] ? x->a : x->b),
         (size_t)(x->out.count * x->bytes));
  return inst + 1;
}

/* ---- Fill ---------------------------------------------------------------- */

typedef struct fill {
  sim_slot out, in;
  int32_t bytes;
} fill;

static const sim_inst *run_fill(sim_chip *chip, const sim_inst *inst) {
  const fill *x = inst->data;
  sim_copy copy = {1, {x->out.count}, {1}, {0}};
  sim_copy_run(&copy, sim_data(chip, x->out), sim_data(chip, x->in), x->bytes);
  uint32_t taint = sim_taint(chip, x->in);
  if (taint)
    sim_taint_all(chip, x->out, taint);
  else
    sim_set_taint(chip, x->out, 0);
  return inst + 1;
}

void sim_bind_fill(sim_build *b, const mo_op *op, sim_slot to, sim_slot from) {
  fill x = {to, from, sim_element_bytes(to.element)};
  sim_emit(b, op, run_fill, &x);
}

/* ---- Binding ------------------------------------------------------------- */

static bool is_integer(int element) {
  return mo_element_family((mo_element)element) == MO_FAMILY_INTEGER;
}

/* To 32 bits. False if there is no such element. */
static bool widener(const sim_lanes *l, int element, bool sign,
                    sim_unary_fn **out) {
  *out = NULL;
  switch (element) {
    case MO_F32:
    case MO_I32:
    case MO_SI32: return true;
    case MO_BF16: *out = l->bf16_to_f32; return true;
    case MO_F16: *out = l->f16_to_f32; return true;
    case MO_I1: *out = l->u8_to_i32; return true;
    case MO_I8: *out = sign ? l->i8_to_i32 : l->u8_to_i32; return true;
    case MO_I16: *out = sign ? l->i16_to_i32 : l->u16_to_i32; return true;
    default: return false;
  }
}

static sim_unary_fn *narrower(const sim_lanes *l, int element) {
  switch (element) {
    case MO_BF16: return l->f32_to_bf16;
    case MO_F16: return l->f32_to_f16;
    case MO_I1: return l->i32_to_i1;
    case MO_I8: return l->i32_to_i8;
    case MO_I16: return l->i32_to_i16;
    default: return NULL;
  }
}

static sim_binary_fn *binary_of(const sim_lanes *l, mo_op_id id,
                                int64_t predicate) {
  switch (id) {
#define CASE(ID, name) \
  case MO_##ID: return l->name;
    CASE(ARITH_ADDF, addf)
    CASE(ARITH_SUBF, subf)
    CASE(ARITH_MULF, mulf)
    CASE(ARITH_DIVF, divf)
    CASE(ARITH_REMF, remf)
    CASE(ARITH_MAXIMUMF, maximumf)
    CASE(ARITH_MINIMUMF, minimumf)
    CASE(MATH_POWF, powf)
    CASE(ARITH_ADDI, addi)
    CASE(ARITH_SUBI, subi)
    CASE(ARITH_MULI, muli)
    CASE(ARITH_DIVSI, divsi)
    CASE(ARITH_DIVUI, divui)
    CASE(ARITH_REMSI, remsi)
    CASE(ARITH_REMUI, remui)
    CASE(ARITH_MAXSI, maxsi)
    CASE(ARITH_MINSI, minsi)
    CASE(ARITH_ANDI, andi)
    CASE(ARITH_ORI, ori)
    CASE(ARITH_XORI, xori)
    CASE(ARITH_SHLI, shli)
    CASE(ARITH_SHRSI, shrsi)
    CASE(ARITH_SHRUI, shrui)
    CASE(ARITH_CMPF, cmpf[predicate])
    CASE(ARITH_CMPI, cmpi[predicate])
#undef CASE
    default: return NULL;
  }
}

static sim_unary_fn *unary_of(const sim_lanes *l, const mo_op *op) {
  const mo_attr *approx = mo_op_get(op, "approx");
  switch (op->info->id) {
#define CASE(ID, name) \
  case MO_##ID: return l->name;
    CASE(ARITH_NEGF, negf)
    CASE(MATH_EXP, exp)
    CASE(MATH_EXP2, exp2)
    CASE(MATH_LOG, log)
    CASE(MATH_LOG2, log2)
    CASE(MATH_LOG1P, log1p)
    CASE(MATH_TANH, tanh)
    CASE(MATH_SQRT, sqrt)
    CASE(MATH_RSQRT, rsqrt)
    CASE(MATH_ABSF, absf)
    CASE(MATH_ABSI, absi)
    CASE(MATH_SIN, sin)
    CASE(MATH_COS, cos)
    CASE(MATH_ERF, erf)
    CASE(MATH_FLOOR, floor)
    CASE(MATH_CEIL, ceil)
    CASE(MATH_ROUND, round)
    CASE(MATH_ROUNDEVEN, roundeven)
    CASE(MATH_CTPOP, ctpop)
    CASE(MATH_CTLZ, ctlz)
    CASE(TPU_LOGISTIC, logistic)
    CASE(TPU_WEIRD, weird)
#undef CASE
    case MO_TPU_RECIPROCAL:
      return approx && approx->integer ? l->reciprocal_approx : l->reciprocal;
    default: return NULL;
  }
}

/* The result of an elementwise op: a register if all operands are in some. */
static sim_slot define(sim_build *b, const mo_value *value, int count,
                       const sim_slot *in) {
  sim_slot over = in[0];
  bool one = true;
  for (int i = 0; i < count; i++) {
    if (in[i].kind != SIM_VECTOR) continue;
    if (one) over = in[i];
    one = false;
  }
  return one ? sim_define_splat(b, value) : sim_define_over(b, value, over);
}

static pfl_status no_element(sim_build *b, const mo_op *op, int element) {
  return sim_unknown(b, op, "elements of %s here",
                     mo_element_name((mo_element)element));
}

static bool is_transcendental(mo_op_id id) {
  switch (id) {
    case MO_MATH_ABSF:
    case MO_MATH_ABSI:
    case MO_ARITH_NEGF: return false;
    case MO_TPU_RECIPROCAL:
    case MO_TPU_LOGISTIC: return true;
    default: return id >= MO_MATH_EXP && id <= MO_MATH_POWF;
  }
}

static pfl_status bind_chain(sim_build *b, const mo_op *op, chain *x) {
  x->out = define(b, op->results[0], 1, &x->in);
  x->in_bytes = sim_element_bytes(x->in.element);
  x->out_bytes = sim_element_bytes(x->out.element);
  if (x->out.kind == SIM_VECTOR)
    sim_cost(b, SIM_UNIT_VECTOR, (double)x->out.count,
             is_transcendental(op->info->id) ? EUP : VALU);
  sim_emit(b, op, run_chain, x);
  return PFL_STATUS_OK;
}

static void add_step(chain *x, sim_unary_fn *step) {
  if (step) x->steps[x->count++] = step;
}

static pfl_status bind_unary(sim_build *b, const mo_op *op,
                             sim_unary_fn *loop) {
  const sim_lanes *l = sim_lanes_best();
  chain x = {.in = sim_use(b, op->operands[0])};
  sim_unary_fn *widen;
  bool narrow = op->info->id != MO_TPU_WEIRD;
  /* a narrow integer counts its bits, no more */
  bool sign = op->info->id == MO_MATH_ABSI;
  if (!widener(l, x.in.element, sign, &widen) ||
      (widen && op->info->id == MO_MATH_CTLZ))
    return no_element(b, op, x.in.element);
  add_step(&x, widen);
  add_step(&x, loop);
  if (narrow) add_step(&x, narrower(l, x.in.element));
  return bind_chain(b, op, &x);
}

static bool is_unsigned(const mo_op *op, int64_t predicate) {
  mo_op_id id = op->info->id;
  return id == MO_ARITH_DIVUI || id == MO_ARITH_REMUI || id == MO_ARITH_SHRUI ||
         (id == MO_ARITH_CMPI && predicate >= 6);
}

static pfl_status bind_binary(sim_build *b, const mo_op *op) {
  const sim_lanes *l = sim_lanes_best();
  const mo_attr *attr = mo_op_get(op, "predicate");
  int64_t predicate = attr ? attr->integer : 0;
  binary x = {.a = sim_use(b, op->operands[0]),
              .b = sim_use(b, op->operands[1]),
              .loop = binary_of(l, op->info->id, predicate)};
  bool compares = op->info->rule == MO_KIND_COMPARE;
  if (!widener(l, x.a.element, !is_unsigned(op, predicate), &x.widen))
    return no_element(b, op, x.a.element);
  if (!compares) x.narrow = narrower(l, x.a.element);
  sim_slot in[2] = {x.a, x.b};
  /* a result of another width must not lie over an operand */
  x.out = compares && (x.a.kind == SIM_VECTOR || x.b.kind == SIM_VECTOR)
              ? sim_define(b, op->results[0])
              : define(b, op->results[0], 2, in);
  x.in_bytes = sim_element_bytes(x.a.element);
  x.out_bytes = sim_element_bytes(x.out.element);
  if (x.out.kind == SIM_VECTOR)
    sim_cost(b, SIM_UNIT_VECTOR, (double)x.out.count, VALU);
  sim_emit(b, op, run_binary, &x);
  return PFL_STATUS_OK;
}

static pfl_status bind_selection(sim_build *b, const mo_op *op) {
  selection x = {.mask = sim_use(b, op->operands[0])};
  bool vector = op->results[0]->type->kind == MO_TYPE_VECTOR;
  if (op->results[0]->type->kind == MO_TYPE_MEMREF)
    return sim_unknown(b, op, "a choice between references");
  if (vector && x.mask.kind != SIM_VECTOR) {
    x.a = sim_use_vector(b, op->operands[1]);
    x.b = sim_use_vector(b, op->operands[2]);
    x.out = sim_define(b, op->results[0]);
    x.bytes = sim_element_bytes(x.out.element);
    sim_cost(b, SIM_UNIT_VECTOR, (double)x.out.count, VALU);
    sim_emit(b, op, run_choice, &x);
    return PFL_STATUS_OK;
  }
  x.a = sim_use(b, op->operands[1]);
  x.b = sim_use(b, op->operands[2]);
  x.out = vector ? sim_define(b, op->results[0])
                 : sim_define_splat(b, op->results[0]);
  x.bytes = sim_element_bytes(x.out.element);
  if (vector) sim_cost(b, SIM_UNIT_VECTOR, (double)x.out.count, VALU);
  sim_emit(b, op, run_selection, &x);
  return PFL_STATUS_OK;
}

/* ---- Casts --------------------------------------------------------------- */

static bool rounds_to_nearest(const mo_op *op) {
  int length;
  const char *mode = mo_attr_word(mo_op_get(op, "rounding_mode"),
                                  "tpu.rounding_mode", &length);
  return mode && length == 15 && !strncmp(mode, "to_nearest_even", 15);
}

static void add_to_integer(chain *x, const sim_lanes *l, const mo_op *op,
                           int to) {
  if (op->info->id == MO_ARITH_FPTOUI) {
    add_step(x, l->f32_to_u32);
  } else {
    if (rounds_to_nearest(op)) add_step(x, l->roundeven);
    add_step(x, l->f32_to_i32);
    if (to == MO_I8) add_step(x, l->clamp8);
    if (to == MO_I16) add_step(x, l->clamp16);
  }
  add_step(x, narrower(l, to));
}

static pfl_status bind_cast(sim_build *b, const mo_op *op) {
  const sim_lanes *l = sim_lanes_best();
  mo_op_id id = op->info->id;
  int from = op->operands[0]->type->element, to = op->results[0]->type->element;
  chain x = {.in = sim_use(b, op->operands[0])};
  bool sign = id != MO_ARITH_EXTUI && id != MO_ARITH_UITOFP;
  bool index = from == MO_INDEX || to == MO_INDEX;
  sim_unary_fn *widen, *unused;
  if (index && op->results[0]->type->kind == MO_TYPE_SCALAR) {
    if (!is_integer(from) || !is_integer(to)) return no_element(b, op, to);
    return bind_chain(b, op, &x); /* registers are of 64 bits anyway */
  }
  if (id == MO_ARITH_BITCAST) {
    if (x.in.kind == SIM_VECTOR) {
      x.in.element = (uint8_t)to;
      sim_define_as(b, op->results[0], x.in);
      return PFL_STATUS_OK;
    }
    return bind_chain(b, op, &x);
  }
  if (!widener(l, from, sign, &widen) || !widener(l, to, true, &unused))
    return no_element(b, op, widener(l, from, sign, &widen) ? to : from);
  add_step(&x, widen);
  if (from == MO_I1 && sign) add_step(&x, l->negi);
  if (is_integer(from) && is_integer(to))
    add_step(&x, narrower(l, to));
  else if (is_integer(to))
    add_to_integer(&x, l, op, to);
  else {
    if (is_integer(from))
      add_step(&x, sign || from != MO_I32 ? l->i32_to_f32 : l->u32_to_f32);
    add_step(&x, narrower(l, to));
  }
  return bind_chain(b, op, &x);
}

pfl_status sim_bind_elementwise(sim_build *b, const mo_op *op) {
  const sim_lanes *l = sim_lanes_best();
  if (op->info->id == MO_ARITH_SELECT) return bind_selection(b, op);
  sim_unary_fn *unary = unary_of(l, op);
  if (unary) return bind_unary(b, op, unary);
  if (op->info->rule == MO_KIND_CAST) return bind_cast(b, op);
  sim_slot lhs = b->slots[op->operands[0]->id];
  sim_slot rhs = b->slots[op->operands[1]->id];
  if (is_integer(lhs.element) && !sim_step(lhs) && !sim_step(rhs))
    return sim_bind_integers(b, op);
  return bind_binary(b, op);
}

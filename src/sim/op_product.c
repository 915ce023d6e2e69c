/* Matrix products, as the MXU makes them: operands of bf16, or f32 rounded to
 * it unless the precision is fp32, summed in f32; int8 summed in i32.
 *
 * Both operands become f32. The right one is packed into panels of 16 columns,
 * k rows each, that the kernels of src/cpu stream; int8 products of up to
 * K_BLOCK terms are exact in f32 and are added up in i32. */
#include <string.h>

#include "base/memory.h"
#include "sim/build.h"
#include "sim/share.h"
#include "sim/taint.h"

enum {
  PANEL = CPU_LANES_MAX,
  K_BLOCK = 512, /* rows of a panel: 32 KiB; 512 * 127^2 < 2^24 */
  M_BLOCK = 192  /* rows of the left operand that stay in L2 meanwhile */
};

/* An operand: how its elements are laid out, in elements. */
typedef struct side {
  sim_slot slot;
  sim_unary_fn *widen[2]; /* to f32, one after the other */
  bool copy;              /* it is gathered first, to [batch][kept][k] */
  sim_copy gather;
  int64_t batch, keep, step; /* strides, after that */
} side;

typedef struct product {
  sim_slot out, acc;
  side lhs, rhs;
  int64_t batches, m, n, k;
  bool integer, keep;
  int64_t a_at, b_at, panels_at; /* in the scratch, in floats */
} product;

/* ---- Running ------------------------------------------------------------- */

/* Rows p .. p + depth - 1 of b, for one of the batch. */
typedef struct job {
  const product *op;
  const cpu_kernels *kernels;
  const float *a, *b;
  float *panels;
  char *out;
  int64_t p, depth;
} job;

typedef struct widening {
  const side *op;
  const char *from;
  float *to;
  int bytes;
} widening;

static void widen_range(const void *argument, int64_t first, int64_t end) {
  const widening *x = argument;
  const void *from = x->from + first * x->bytes;
  float *to = x->to + first;
  for (int i = 0; i < 2 && x->op->widen[i]; i++) {
    x->op->widen[i](to, from, end - first);
    from = to;
  }
}

/* The operand as f32: where it is, or in scratch. */
static const float *widened(sim_chip *chip, const side *x, float *scratch) {
  const void *from = sim_data(chip, x->slot);
  int64_t count = x->slot.count;
  if (x->widen[0]) {
    widening w = {x, from, scratch,
                  sim_element_bytes((mo_element)x->slot.element)};
    sim_share(chip, count, 1 << 16, widen_range, &w);
    from = scratch;
  }
  if (!x->copy) return from;
  float *to = scratch + base_round_up(count, PANEL);
  sim_copy_run(&x->gather, to, from, 4);
  return to;
}

/* Panel `number`: its 16 columns. */
static void pack_panel(const job *j, int64_t number) {
  const product *x = j->op;
  int64_t columns = base_min(PANEL, x->n - number * PANEL);
  float *panel = j->panels + number * PANEL * j->depth;
  const float *from = j->b + j->p * x->rhs.step + number * PANEL * x->rhs.keep;
  if (columns < PANEL) memset(panel, 0, (size_t)(j->depth * PANEL) * 4);
  if (x->rhs.step == 1)
    j->kernels->transpose((cpu_word *)panel, PANEL, (const cpu_word *)from,
                          x->rhs.keep, columns, j->depth);
  else if (x->rhs.keep == 1 && columns == PANEL)
    for (int64_t i = 0; i < j->depth; i++)
      memcpy(panel + i * PANEL, from + i * x->rhs.step, PANEL * 4);
  else
    for (int64_t i = 0; i < j->depth; i++)
      for (int64_t c = 0; c < columns; c++)
        panel[i * PANEL + c] = from[i * x->rhs.step + c * x->rhs.keep];
}

static void pack_range(const void *argument, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) pack_panel(argument, i);
}

/* Adds a block's product, which stands in c with rows of PANEL, to out. */
static void add_block(const product *x, void *out, const float *c, int64_t rows,
                      int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      float part = c[i * PANEL + j];
      if (x->integer)
        ((int32_t *)out)[i * x->n + j] =
            (int32_t)((uint32_t)((int32_t *)out)[i * x->n + j] +
                      (uint32_t)(int32_t)part);
      else
        ((float *)out)[i * x->n + j] += part;
    }
}

/* Rows i .. i + rows - 1 of out, at column `column`, against its panel. */
static void multiply(const job *j, int64_t i, int64_t rows, int64_t column) {
  const product *x = j->op;
  float c[M_BLOCK * PANEL];
  int64_t columns = base_min(PANEL, x->n - column);
  bool direct = columns == PANEL && !x->integer;
  bool fresh = !x->keep && j->p == 0;
  void *to = j->out + (i * x->n + column) * 4;
  j->kernels->product_f32(
      &(cpu_product){.m = rows,
                     .n = PANEL,
                     .k = j->depth,
                     .a = j->a + i * x->lhs.keep + j->p * x->lhs.step,
                     .a_row = x->lhs.keep,
                     .a_step = x->lhs.step,
                     .b = j->panels + column * j->depth,
                     .b_row = PANEL,
                     .c = direct ? to : c,
                     .c_row = direct ? x->n : PANEL,
                     .alpha = 1,
                     .keep = direct && !fresh});
  if (!direct) add_block(x, to, c, rows, columns);
}

/* Of the blocks of M_BLOCK rows. */
static void multiply_range(const void *argument, int64_t first, int64_t end) {
  const job *j = argument;
  for (int64_t i = first * M_BLOCK; i < end * M_BLOCK && i < j->op->m;
       i += M_BLOCK)
    for (int64_t column = 0; column < j->op->n; column += PANEL)
      multiply(j, i, base_min(M_BLOCK, j->op->m - i), column);
}

static void taint_product(sim_chip *chip, const product *x);

static const sim_inst *run_product(sim_chip *chip, const sim_inst *inst) {
  const product *x = inst->data;
  float *scratch = chip->product;
  const float *a = widened(chip, &x->lhs, scratch + x->a_at);
  const float *b = widened(chip, &x->rhs, scratch + x->b_at);
  char *out = sim_data(chip, x->out);
  const void *acc = sim_data(chip, x->acc);
  sim_copy all = {1, {x->out.count}, {1}, {sim_step(x->acc)}};
  /* blocks that are not written whole are added to */
  if (x->keep || x->integer || x->n % PANEL)
    if (acc != out) sim_copy_run(&all, out, acc, 4);
  for (int64_t e = 0; e < x->batches; e++)
    for (int64_t p = 0; p < x->k; p += K_BLOCK) {
      job j = {.op = x,
               .kernels = chip->kernels,
               .a = a + e * x->lhs.batch,
               .b = b + e * x->rhs.batch,
               .panels = scratch + x->panels_at,
               .out = out + e * x->m * x->n * 4,
               .p = p,
               .depth = base_min(K_BLOCK, x->k - p)};
      sim_share(chip, base_ceil_div(x->n, PANEL), 8, pack_range, &j);
      sim_share(chip, base_ceil_div(x->m, M_BLOCK), 1, multiply_range, &j);
    }
  chip->statistics.matmul_flops += 2 * x->batches * x->m * x->n * x->k;
  taint_product(chip, x);
  return inst + 1;
}

/* Whether any of the k elements of a row or column is tainted. */
static bool any_tainted(const uint8_t *from, const side *x, int64_t at,
                        int64_t k) {
  for (int64_t p = 0; p < k; p++)
    if (from[at + p * x->step]) return true;
  return false;
}

/* Marks row i (or column) of batch e of the result. */
static void taint_side(sim_chip *chip, const product *x, const side *s,
                       uint8_t *to) {
  bool left = s == &x->lhs;
  const uint8_t *from = chip->shadows[s->slot.index];
  int64_t lines = left ? x->m : x->n, others = left ? x->n : x->m;
  for (int64_t e = 0; e < x->batches; e++)
    for (int64_t i = 0; i < lines; i++) {
      if (!any_tainted(from, s, e * s->batch + i * s->keep, x->k)) continue;
      for (int64_t j = 0; j < others; j++)
        to[e * x->m * x->n + (left ? i * x->n + j : j * x->n + i)] = 1;
    }
}

static void taint_product(sim_chip *chip, const product *x) {
  uint32_t lhs = sim_taint(chip, x->lhs.slot),
           rhs = sim_taint(chip, x->rhs.slot);
  sim_taint_elements(chip, x->out, 1, &x->acc);
  if (!(lhs | rhs)) return;
  if ((lhs && x->lhs.copy) || (rhs && x->rhs.copy)) {
    sim_taint_all(chip, x->out, lhs ? lhs : rhs);
    return;
  }
  uint8_t *to = sim_taint_bytes(chip, x->out);
  if (lhs) taint_side(chip, x, &x->lhs, to);
  if (rhs) taint_side(chip, x, &x->rhs, to);
  chip->taints[x->out.index] = lhs ? lhs : rhs;
}

/* ---- Binding ------------------------------------------------------------- */

static bool set_widening(side *x, bool exact) {
  const sim_lanes *l = sim_lanes_best();
  switch (x->slot.element) {
    case MO_BF16: x->widen[0] = l->bf16_to_f32; return true;
    case MO_F16: x->widen[0] = l->f16_to_f32; return true;
    case MO_F32: x->widen[0] = exact ? NULL : l->round_bf16; return true;
    case MO_I8:
      x->widen[0] = l->i8_to_i32;
      x->widen[1] = l->i32_to_f32;
      return true;
    default: return false;
  }
}

/* Strides of a side: one of the batch, of what it keeps, of what it contracts;
 * or, where several dimensions are no single one, a copy that makes them so. */
static void set_strides(side *x, const mo_type *type, int contract,
                        const int *keep, int keeps, const int *batch,
                        int batches) {
  int64_t strides[SIM_RANK_MAX], kept = 1, k = type->shape[contract];
  sim_dense(type->rank, type->shape, strides);
  if (keeps == 1 && batches <= 1) {
    x->batch = batches ? strides[batch[0]] : 0;
    x->keep = strides[keep[0]];
    x->step = strides[contract];
    return;
  }
  sim_copy *g = &x->gather;
  for (int i = 0; i < batches + keeps; i++) {
    int dim = i < batches ? batch[i] : keep[i - batches];
    if (i >= batches) kept *= type->shape[dim];
    g->sizes[i] = type->shape[dim];
    g->from[i] = strides[dim];
  }
  g->rank = batches + keeps + 1;
  g->sizes[g->rank - 1] = k;
  g->from[g->rank - 1] = strides[contract];
  sim_dense(g->rank, g->sizes, g->to);
  sim_copy_merge(g);
  x->copy = true;
  x->batch = kept * k;
  x->keep = k;
  x->step = 1;
}

/* The result's dimensions are the batch, what lhs keeps, what rhs keeps. */
static bool is_in_order(const mo_dot *dot) {
  const int *n = dot->counts, *out = dot->output;
  for (int i = 0; i < n[5]; i++, out += 2)
    if (out[0] || out[1] != dot->lhs_batch[i]) return false;
  for (int i = 0; i < n[2]; i++, out += 2)
    if (out[0] || out[1] != dot->lhs_keep[i]) return false;
  for (int i = 0; i < n[3]; i++, out += 2)
    if (!out[0] || out[1] != dot->rhs_keep[i]) return false;
  return true;
}

static bool is_exact(const mo_op *op) {
  int length;
  const char *word = mo_attr_word(mo_op_get(op, "precision"),
                                  "tpu.contract_precision", &length);
  return word && length == 4 && !strncmp(word, "fp32", 4);
}

static bool is_true(const mo_op *op, const char *name) {
  const mo_attr *attr = mo_op_get(op, name);
  return attr && attr->integer;
}

/* A constant of zeros, which need not be added to. */
static bool is_zero(const mo_value *value) {
  const mo_op *op = value->op;
  if (op && op->info->id == MO_VECTOR_BROADCAST)
    return is_zero(op->operands[0]);
  if (!op || op->info->id != MO_ARITH_CONSTANT) return false;
  const mo_attr *attr = mo_op_get(op, "value");
  if (attr->kind == MO_ATTR_SPLAT) attr = attr->items[0];
  return attr->integer == 0;
}

static int64_t count_of(const mo_type *type, const int *dims, int count) {
  int64_t all = 1;
  for (int i = 0; i < count; i++) all *= type->shape[dims[i]];
  return all;
}

/* Places in the scratch, in floats. */
static void set_scratch(sim_build *b, product *x) {
  int64_t at = 0;
  x->a_at = at;
  at += base_round_up(x->lhs.slot.count, PANEL) * (x->lhs.copy ? 2 : 1);
  x->b_at = at;
  at += base_round_up(x->rhs.slot.count, PANEL) * (x->rhs.copy ? 2 : 1);
  x->panels_at = at;
  at += base_round_up(x->n, PANEL) * base_min(K_BLOCK, x->k);
  int64_t bytes = base_round_up(at, PANEL) * 4;
  b->program->product_bytes = base_max(b->program->product_bytes, bytes);
}

pfl_status sim_bind_product(sim_build *b, const mo_op *op) {
  static const mo_dot plain = {.lhs_contract = {1},
                               .rhs_keep = {1},
                               .output = {0, 0, 1, 1},
                               .counts = {1, 1, 1, 1, 4, 0, 0}};
  const mo_type *lhs = op->operands[0]->type, *rhs = op->operands[1]->type;
  const mo_attr *numbers = mo_op_get(op, "dimension_numbers");
  mo_dot dot = plain;
  if (numbers && !mo_attr_dot(numbers, &dot))
    return sim_unknown(b, op, "these dimension_numbers");
  if (lhs->rank > SIM_RANK_MAX || rhs->rank > SIM_RANK_MAX ||
      !is_in_order(&dot) || is_true(op, "transpose_lhs") ||
      is_true(op, "transpose_rhs"))
    return sim_unknown(b, op, "dimensions in this order");
  const int *n = dot.counts;
  product x = {.k = lhs->shape[dot.lhs_contract[0]],
               .m = count_of(lhs, dot.lhs_keep, n[2]),
               .n = count_of(rhs, dot.rhs_keep, n[3]),
               .batches = count_of(lhs, dot.lhs_batch, n[5])};
  sim_slot acc = b->slots[op->operands[2]->id];
  x.lhs.slot = sim_use_vector(b, op->operands[0]);
  x.rhs.slot = sim_use_vector(b, op->operands[1]);
  x.acc = sim_use(b, op->operands[2]);
  x.integer = acc.element == MO_I32;
  if (!set_widening(&x.lhs, is_exact(op)) ||
      !set_widening(&x.rhs, is_exact(op)) ||
      x.integer != (lhs->element == MO_I8) ||
      x.integer != (rhs->element == MO_I8))
    return sim_unknown(b, op, "%s by %s to %s", lhs->text, rhs->text,
                       op->operands[2]->type->text);
  set_strides(&x.lhs, lhs, dot.lhs_contract[0], dot.lhs_keep, n[2],
              dot.lhs_batch, n[5]);
  set_strides(&x.rhs, rhs, dot.rhs_contract[0], dot.rhs_keep, n[3],
              dot.rhs_batch, n[5]);
  x.keep = !is_zero(op->operands[2]);
  set_scratch(b, &x);
  x.out = sim_define_over(b, op->results[0], x.acc);
  /* four MXUs of 128 x 128; f32 takes six products of bf16, int8 half of one */
  double products = (double)x.batches * (double)x.m * (double)x.n * (double)x.k;
  bool six = lhs->element == MO_F32 && is_exact(op);
  sim_cost(b, SIM_UNIT_MATRIX, products,
           x.integer ? 131072
           : six     ? 10923
                     : 65536);
  sim_emit(b, op, run_product, &x);
  return PFL_STATUS_OK;
}

/* Flash attention forward: FlashAttention-2 (Dao, 2023), algorithm 1.
 *
 *   grid (B, Hq, blocks of queries)      K and V of a head lie whole in VMEM
 *
 *      keys ->          |------ seen by every row ------|- by some -|
 *      block of         |  unroll x block_k at a time   |  triangle |
 *      queries          |                               |  or masks |
 *
 *   for each step of keys:   S = c Q K^T          c = scale log2 e
 *                            m' = max(m, max S)   a column [block_q, 128]
 *                            a = 2^(m - m')
 *                            P = 2^(S - m')
 *                            l = a l + P          128 partial sums a row
 *                            O = a O + P V        not yet divided
 *   at the end:              O = O / sum l,  LSE = (m + log2 sum l) ln 2
 *
 * Rows that see no key: m stays finite (LOWEST) and S is -inf, so that P is 0
 * and never NaN. docs/kernels.md has the cycle account. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "kernels/columns.h"
#include "kernels/flash_plan.h"
#include "kernels/writers.h"

#define LOG2_E 1.4426950408889634
#define LN_2 0.6931471805599453
#define LOWEST ((double)-FLT_MAX)

typedef enum masking {
  ALL,      /* every row sees every key */
  TRIANGLE, /* row r of the tile sees key r of the last keys, and those before
             */
  BY_POSITION
} masking;

typedef struct forward {
  mo_builder *b;
  const attention_problem *problem;
  const forward_plan *plan;
  mo_value *zero, *one;
  mo_value *q, *k, *v, *o, *lse; /* windows; o, lse of the step's block */
  mo_value *m, *l, *acc;         /* state, of the block's rows */
  mo_value *position;            /* of the block's first query, i32 */
} forward;

/* Rows of a window [1, 1, n, width]. */
static mo_value *load_rows(const forward *f, mo_value *window, mo_value *row,
                           int64_t rows) {
  mo_builder *b = f->b;
  return mo_load(b, window, MO_VALUES(f->zero, f->zero, row, f->zero),
                 MO_SHAPE(rows, window->type->shape[3]));
}

static mo_value *load_state(const forward *f, mo_value *state, int64_t row,
                            int64_t rows) {
  mo_builder *b = f->b;
  return mo_load(b, state, MO_VALUES(mo_i32(b, row), f->zero),
                 MO_SHAPE(rows, state->type->shape[1]));
}

static void store_state(const forward *f, mo_value *x, mo_value *state,
                        int64_t row) {
  mo_builder *b = f->b;
  mo_store(b, x, state, MO_VALUES(mo_i32(b, row), f->zero));
}

/* ---- Masks ---------------------------------------------------------------
 */

static mo_value *all_of(const forward *f, mo_value *x, mo_value *y) {
  return x && y ? mo_and(f->b, x, y) : x ? x : y;
}

/* Who sees whom of rows from `row` and keys from `key`: with r and c their
 * indices in the tile, c - r lies between two numbers, and the key exists.
 * NULL: everybody. */
static mo_value *visible(const forward *f, int64_t row, mo_value *key,
                         mo_shape tile) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_value *seen = NULL, *c = mo_iota(b, tile, 1);
  mo_value *beyond = mo_sub(b, c, mo_iota(b, tile, 0));
  mo_value *shift = mo_sub(b, mo_add(b, f->position, mo_i32(b, row)), key);
  if (p->window.right != ATTENTION_OPEN) {
    mo_value *most = mo_add(b, shift, mo_i32(b, p->window.right));
    seen = all_of(f, seen, mo_le(b, beyond, mo_broadcast(b, most, tile)));
  }
  if (p->window.left != ATTENTION_OPEN) {
    mo_value *least = mo_sub(b, shift, mo_i32(b, p->window.left));
    seen = all_of(f, seen, mo_ge(b, beyond, mo_broadcast(b, least, tile)));
  }
  if (p->Sk % f->plan->block_k) {
    mo_value *there = mo_sub(b, mo_i32(b, p->Sk), key);
    seen = all_of(f, seen, mo_lt(b, c, mo_broadcast(b, there, tile)));
  }
  return seen;
}

/* S where it is seen, elsewhere -inf. */
static mo_value *mask_scores(const forward *f, mo_value *s, masking mask,
                             int64_t row, mo_value *key, int64_t rows,
                             int64_t keys) {
  mo_builder *b = f->b;
  mo_shape whole = MO_SHAPE(rows, keys), square = MO_SHAPE(rows, rows);
  if (mask == BY_POSITION) {
    mo_value *seen = visible(f, row, key, whole);
    return seen ? mo_select(b, seen, s, mo_full(b, MO_F32, whole, -INFINITY))
                : s;
  }
  if (mask == ALL) return s;
  mo_value *seen = mo_le(b, mo_iota(b, square, 1), mo_iota(b, square, 0));
  mo_value *last = mo_part(b, s, MO_SHAPE(0, keys - rows), square);
  last = mo_select(b, seen, last, mo_full(b, MO_F32, square, -INFINITY));
  if (keys == rows) return last;
  mo_value *before = mo_part(b, s, MO_SHAPE(0, 0), MO_SHAPE(rows, keys - rows));
  return mo_concatenate(b, MO_VALUES(before, last), 1);
}

/* V with zeros for keys that do not exist: what lies there may be NaN, and a
 * weight of 0 does not make that 0. */
static mo_value *mask_values(const forward *f, mo_value *v, mo_value *key,
                             int64_t keys) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_shape tile = MO_SHAPE(keys, p->Dv);
  mo_value *there = mo_sub(b, mo_i32(b, p->Sk), key);
  there = mo_lt(b, mo_iota(b, tile, 0), mo_broadcast(b, there, tile));
  v = mo_select(b, there, mo_cast(b, v, MO_F32), mo_full(b, MO_F32, tile, 0));
  return mo_cast(b, v, kernels_element(p->dtype));
}

/* ---- The step -------------------------------------------------------------
 */

/* Rows of the block meet keys from `key` on. */
static void attend(const forward *f, int64_t row, int64_t rows, mo_value *key,
                   int64_t keys, masking mask) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_shape tile = MO_SHAPE(rows, keys), out = MO_SHAPE(rows, p->Dv);
  mo_value *q = load_rows(f, f->q, mo_i32(b, row), rows);
  mo_value *k = load_rows(f, f->k, key, keys);
  mo_value *v = load_rows(f, f->v, key, keys);
  if (mask != ALL && p->Sk % f->plan->block_k) v = mask_values(f, v, key, keys);

  mo_value *s = mo_matmul(b, MO_NT, q, k, mo_full(b, MO_F32, tile, 0));
  s = mo_mul(b, s, mo_full(b, MO_F32, tile, p->scale * LOG2_E));
  s = mask_scores(f, s, mask, row, key, rows, keys);

  mo_value *m0 = load_state(f, f->m, row, rows);
  mo_value *m = mo_max(b, m0, columns_make(b, mo_reduce(b, MO_MAX, s, 1)));
  mo_value *a = mo_exp2(b, mo_sub(b, m0, m));
  mo_value *e = mo_exp2(b, mo_sub(b, s, columns_spread(b, m, keys)));
  mo_value *l = mo_mul(b, load_state(f, f->l, row, rows), a);
  store_state(f, m, f->m, row);
  store_state(f, mo_add(b, l, columns_fold(b, e)), f->l, row);

  mo_value *pv = mo_matmul(b, MO_NN, mo_cast(b, e, kernels_element(p->dtype)),
                           v, mo_full(b, MO_F32, out, 0));
  mo_value *acc = load_state(f, f->acc, row, rows);
  acc = mo_mul(b, acc, columns_spread(b, a, p->Dv));
  store_state(f, mo_add(b, acc, pv), f->acc, row);
}

static void begin(const forward *f) {
  mo_builder *b = f->b;
  int64_t rows = f->plan->block_q;
  mo_store_all(b, mo_full(b, MO_F32, MO_SHAPE(rows, LANES), LOWEST), f->m);
  mo_store_all(b, mo_full(b, MO_F32, MO_SHAPE(rows, LANES), 0), f->l);
  mo_store_all(b, mo_full(b, MO_F32, MO_SHAPE(rows, f->problem->Dv), 0),
               f->acc);
}

/* O and LSE of some rows from their state. */
static void finish(const forward *f, int64_t row, int64_t rows) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_shape column = MO_SHAPE(rows, LANES);
  mo_value *m = load_state(f, f->m, row, rows);
  mo_value *l = mo_reduce(b, MO_SUM, load_state(f, f->l, row, rows), 1);
  l = columns_make(b, l);
  mo_value *none = mo_full(b, MO_F32, column, 0);
  mo_value *r = mo_div(b, mo_full(b, MO_F32, column, 1), l);
  r = mo_select(b, mo_gt(b, l, none), r, none);
  mo_value *o = load_state(f, f->acc, row, rows);
  o = mo_mul(b, o, columns_spread(b, r, p->Dv));
  mo_store(b, mo_cast(b, o, kernels_element(p->dtype)), f->o,
           MO_VALUES(f->zero, f->zero, mo_i32(b, row), f->zero));
  if (!f->lse) return;
  mo_value *lse = mo_add(b, m, mo_log2(b, l));
  lse = mo_mul(b, lse, mo_full(b, MO_F32, column, LN_2));
  mo_store(b, columns_to_row(b, lse), f->lse,
           MO_VALUES(f->zero, f->zero, f->zero, mo_i32(b, row)));
}

/* ---- Walking the keys -----------------------------------------------------
 */

/* The key that chunk `chunk` begins with. */
static mo_value *key_of(const forward *f, mo_value *chunk) {
  mo_builder *b = f->b;
  mo_value *key = mo_mul(b, chunk, mo_i32(b, f->plan->block_k));
  return mo_multiple(b, key, (int)f->plan->block_k);
}

/* Chunks first .. end - 1, `unroll` in a body. Gives the first left over. */
static mo_value *walk_bodies(const forward *f, mo_value *first, mo_value *end,
                             int64_t unroll) {
  mo_builder *b = f->b;
  mo_value *size = mo_i32(b, unroll);
  mo_value *bodies = mo_div(b, mo_max(b, mo_sub(b, end, first), f->zero), size);
  mo_value *body = mo_for(b, f->zero, bodies, f->one, MO_NONE)[0];
  mo_value *chunk = mo_add(b, first, mo_mul(b, body, size));
  for (int64_t i = 0; i < unroll; i++)
    attend(f, 0, f->plan->block_q, key_of(f, mo_add(b, chunk, mo_i32(b, i))),
           f->plan->block_k, ALL);
  mo_end(b, MO_NONE);
  return mo_add(b, first, mo_mul(b, bodies, size));
}

static void walk_seen(const forward *f, mo_value *first, mo_value *end) {
  for (int64_t unroll = f->plan->unroll; unroll >= 1; unroll /= 2)
    first = walk_bodies(f, first, end, unroll);
}

static void walk_masked(const forward *f, mo_value *first, mo_value *end) {
  mo_builder *b = f->b;
  mo_value *chunk = mo_for(b, first, end, f->one, MO_NONE)[0];
  attend(f, 0, f->plan->block_q, key_of(f, chunk), f->plan->block_k,
         BY_POSITION);
  mo_end(b, MO_NONE);
}

/* The diagonal, by tiles of rows; what lies beyond it is not computed. */
static void walk_triangle(const forward *f) {
  int64_t tile = f->plan->tile;
  for (int64_t row = 0; row < f->plan->block_q; row += tile)
    attend(f, row, tile, f->position, row + tile, TRIANGLE);
}

/* x / block_k, down or up, of numbers of at least 0. */
static mo_value *chunk_of(const forward *f, mo_value *x, bool up) {
  mo_builder *b = f->b;
  if (up) x = mo_add(b, x, mo_i32(b, f->plan->block_k - 1));
  return mo_div(b, x, mo_i32(b, f->plan->block_k));
}

static mo_value *clamp(const forward *f, mo_value *x) {
  mo_builder *b = f->b;
  return mo_min(b, mo_max(b, x, f->zero), mo_i32(b, f->problem->Sk));
}

/* Chunks that some row of the block sees, and those that all rows see in full:
 * [some, every) masked, [every, every_end) not, [every_end, some_end) masked.
 */
static void walk_by_position(const forward *f) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  mo_value *last = mo_add(b, f->position, mo_i32(b, f->plan->block_q - 1));
  mo_value *some = f->zero, *every = f->zero, *keys = mo_i32(b, f->problem->Sk);
  mo_value *every_end = keys, *some_end = keys;
  if (window.left != ATTENTION_OPEN) {
    mo_value *left = mo_i32(b, window.left);
    some = clamp(f, mo_sub(b, f->position, left));
    every = clamp(f, mo_sub(b, last, left));
  }
  if (window.right != ATTENTION_OPEN) {
    mo_value *beyond = mo_i32(b, window.right + 1);
    every_end = clamp(f, mo_add(b, f->position, beyond));
    some_end = clamp(f, mo_add(b, last, beyond));
  }
  some = chunk_of(f, some, false);
  every = chunk_of(f, every, true);
  every_end = chunk_of(f, every_end, false);
  some_end = chunk_of(f, some_end, true);
  walk_masked(f, some, mo_min(b, every, some_end));
  walk_seen(f, every, every_end);
  walk_masked(f, mo_max(b, every, every_end), some_end);
}

/* ---- The kernel -----------------------------------------------------------
 */

/* K and V of the key-value head that a query head reads. */
static void map_kv(mo_builder *b, const mo_map_arguments *arguments,
                   const void *user, mo_value **out_block) {
  const attention_problem *p = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = mo_div(b, arguments->grid[1], mo_i32(b, p->group));
  out_block[2] = out_block[3] = mo_i32(b, 0);
}

static void add_arguments(forward *f, bool lse) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const forward_plan *plan = f->plan;
  mo_element element = kernels_element(p->dtype);
  mo_map block = MO_MAP(0, 1, 2, -1), head = MO_MAP_BY(map_kv, p);
  f->q = mo_window(b, element, MO_SHAPE(1, 1, plan->block_q, p->D), block);
  f->k = mo_window(b, element, MO_SHAPE(1, 1, plan->keys, p->D), head);
  f->v = mo_window(b, element, MO_SHAPE(1, 1, plan->keys, p->Dv), head);
  f->o = mo_window(b, element, MO_SHAPE(1, 1, plan->block_q, p->Dv), block);
  if (lse)
    f->lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->block_q),
                       MO_MAP(0, 1, -1, 2));
  f->m = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(plan->block_q, LANES));
  f->l = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(plan->block_q, LANES));
  f->acc = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(plan->block_q, p->Dv));
}

static void write_kernel(forward *f, bool lse) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const forward_plan *plan = f->plan;
  mo_kernel(b, "flash_forward",
            &(mo_grid){3, {p->B, p->Hq, plan->q_blocks}, {false}});
  add_arguments(f, lse);
  f->zero = mo_i32(b, 0);
  f->one = mo_i32(b, 1);
  mo_value *row = mo_mul(b, mo_grid_index(b, 2), mo_i32(b, plan->block_q));
  f->position = mo_add(b, row, mo_i32(b, p->offset));
  begin(f);
  if (plan->triangle) {
    f->position = mo_multiple(b, f->position, (int)plan->block_k);
    walk_seen(f, f->zero, chunk_of(f, f->position, false));
    walk_triangle(f);
  } else {
    walk_by_position(f);
  }
  for (int64_t at = 0; at < plan->block_q; at += plan->tile)
    finish(f, at, plan->tile);
  mo_kernel_end(b);
}

/* ---- The program ----------------------------------------------------------
 */

static void add_kernel(const kernels_request *request, const forward_plan *plan,
                       mo_module *module, kernels_program *program) {
  const attention_problem *p = request->problem;
  kernels_kernel *kernel = &program->kernels[program->kernel_count++];
  double pairs = attention_visible_pairs(p) * (double)(p->B * p->Hq);
  int64_t size = (int64_t)pfl_dtype_size(p->dtype), width = p->D + p->Dv;
  kernel->name = "flash_forward";
  kernel->module = module;
  kernel->flops = (int64_t)(2 * pairs * (double)width);
  kernel->transcendentals = (int64_t)pairs;
  kernel->bytes_accessed =
      p->B * (p->Hq * p->Sq + p->Hkv * p->Sk) * width * size;
  kernel->vmem_limit_bytes = plan->vmem_bytes;
  kernels_input_add(kernel, "q", p->dtype, MO_SHAPE(p->B, p->Hq, p->Sq, p->D));
  kernels_input_add(kernel, "k", p->dtype, MO_SHAPE(p->B, p->Hkv, p->Sk, p->D));
  kernels_input_add(kernel, "v", p->dtype,
                    MO_SHAPE(p->B, p->Hkv, p->Sk, p->Dv));
  for (int i = 0; i < kernel->input_count; i++) kernel->inputs[i].pinned = true;
  kernels_output_add(kernel, "o", p->dtype,
                     MO_SHAPE(p->B, p->Hq, p->Sq, p->Dv));
  if (request->lse)
    kernels_output_add(kernel, "lse", PFL_DTYPE_F32,
                       MO_SHAPE(p->B, p->Hq, 1, p->Sq));
  program->name = "flash_forward";
  kernels_tile_add(program, "block_q", plan->block_q);
  kernels_tile_add(program, "block_k", plan->block_k);
  kernels_tile_add(program, "unroll", plan->unroll);
  kernels_tile_add(program, "tile", plan->tile);
  snprintf(program->plan, sizeof program->plan,
           "%lld queries a step, %lld x %lld keys a body, K and V in VMEM",
           (long long)plan->block_q, (long long)plan->unroll,
           (long long)plan->block_k);
}

pfl_status kernels_forward_write(const kernels_request *request,
                                 const kernels_chip *chip,
                                 const pfl_allocator *allocator,
                                 kernels_program *program, pfl_error *error) {
  forward_plan plan;
  PFL_TRY(forward_plan_make(request, chip, &plan, error));
  mo_builder b;
  mo_module *module;
  mo_begin(&b, allocator);
  forward f = {.b = &b, .problem = request->problem, .plan = &plan};
  write_kernel(&f, request->lse);
  PFL_TRY(mo_finish(&b, &module, error));
  add_kernel(request, &plan, module, program);
  return PFL_STATUS_OK;
}

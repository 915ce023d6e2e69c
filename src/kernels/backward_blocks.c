/* Which blocks of keys the panels of a head meet, at run time; and the windows
 * of the grid that follow from it.
 *
 * A panel meets the blocks that some query of it sees, in one run:
 *
 *            blocks of keys
 *            0 1 2 3 4 5 6 7
 *   panel 0  x x x                      a causal window; panels of 2 blocks
 *   panel 1    x x x x
 *   panel 2        x x x x x            x without a further x below it: the
 *                                       block's last visit, which writes dK, dV
 *
 * The first panel takes what blocks there are before, the last those after it,
 * so that every block is visited, and dK and dV of those that nobody sees are
 * written as well. */
#include "kernels/backward_kernel.h"

static mo_value *number(const backward *f, int64_t x) {
  return mo_i32(f->b, (double)x);
}

/* The block of the key at `position`, or the nearest. */
static mo_value *block_at(const backward *f, mo_value *position) {
  mo_builder *b = f->b;
  position = mo_max(b, position, number(f, 0));
  mo_value *block = mo_div(b, position, number(f, f->plan->block_k));
  return mo_min(b, block, number(f, f->plan->k_blocks - 1));
}

/* The position of a panel's first query, and `further`. */
static mo_value *position_of(const backward *f, mo_value *panel,
                             int64_t further) {
  mo_builder *b = f->b;
  mo_value *row = mo_mul(b, panel, number(f, f->plan->panel));
  return mo_add(b, row, number(f, f->problem->offset + further));
}

/* The first block that a panel meets; behind the last panel: behind them. */
static mo_value *first_of(const backward *f, mo_value *panel) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  mo_value *first = number(f, 0), *end = number(f, f->plan->k_blocks);
  if (window.left != ATTENTION_OPEN) {
    first = block_at(f, position_of(f, panel, -window.left));
    mo_value *begins = mo_eq(b, panel, number(f, 0));
    first = mo_select(b, begins, number(f, 0), first);
  }
  mo_value *behind = mo_eq(b, panel, number(f, f->plan->panels));
  return mo_select(b, behind, end, first);
}

/* The last block that a panel meets; before the first panel: -1. */
static mo_value *last_of(const backward *f, mo_value *panel) {
  mo_builder *b = f->b;
  const attention_window window = f->problem->window;
  mo_value *last = number(f, f->plan->k_blocks - 1), *most = last;
  if (window.right != ATTENTION_OPEN) {
    last = position_of(f, panel, f->plan->panel - 1 + window.right);
    last = block_at(f, last);
    mo_value *ends = mo_eq(b, panel, number(f, f->plan->panels - 1));
    last = mo_select(b, ends, most, last);
  }
  mo_value *before = mo_lt(b, panel, number(f, 0));
  return mo_select(b, before, number(f, -1), last);
}

static mo_value *block_of(const backward *f, mo_value *panel, mo_value *step) {
  mo_builder *b = f->b;
  bool only = f->plan->panels == 1;
  if (!f->plan->descending) {
    if (only) return step;
    mo_value *block = mo_add(b, first_of(f, panel), step);
    return mo_min(b, block, last_of(f, panel));
  }
  if (only) return mo_sub(b, number(f, f->plan->k_blocks - 1), step);
  mo_value *block = mo_sub(b, last_of(f, panel), step);
  return mo_max(b, block, first_of(f, panel));
}

void backward_blocks_begin(backward *f) {
  mo_builder *b = f->b;
  const backward_plan *plan = f->plan;
  int64_t group = f->problem->group;
  f->block = block_of(f, f->panel, f->step);
  if (plan->panels > 1) {
    mo_value *apart = mo_sub(b, last_of(f, f->panel), first_of(f, f->panel));
    f->active = mo_le(b, f->step, apart);
  }
  if (plan->sums != BACKWARD_SUMS_HBM) return;
  mo_value *member = mo_rem(b, mo_grid_index(b, 1), number(f, group));
  mo_value *before = mo_sub(b, f->panel, f->one);
  mo_value *after = mo_add(b, f->panel, f->one);
  f->later = mo_le(b, f->block, last_of(f, before));
  f->last = mo_lt(b, f->block, first_of(f, after));
  mo_value *follows = mo_gt(b, member, f->zero);
  mo_value *ends = mo_eq(b, member, number(f, group - 1));
  f->later = mo_or(b, f->later, follows);
  f->last = mo_and(b, f->last, ends);
}

/* ---- Windows --------------------------------------------------------------
 */

static mo_value *panel_of(const backward *f,
                          const mo_map_arguments *arguments) {
  int axis = backward_panel_axis(f->plan);
  return axis < 0 ? number(f, 0) : arguments->grid[axis];
}

static mo_value *block_at_step(const backward *f,
                               const mo_map_arguments *arguments) {
  mo_value *step = arguments->grid[backward_step_axis(f->plan)];
  return block_of(f, panel_of(f, arguments), step);
}

static mo_value *kv_head_of(const backward *f, mo_value *head) {
  return mo_div(f->b, head, number(f, f->problem->group));
}

static void exchange(mo_value **block) {
  mo_value *position = block[2];
  block[2] = block[3];
  block[3] = position;
}

static void map_kv(mo_builder *b, const mo_map_arguments *arguments,
                   const void *user, mo_value **out_block) {
  const backward *f = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = kv_head_of(f, arguments->grid[1]);
  out_block[2] = block_at_step(f, arguments);
  out_block[3] = mo_i32(b, 0);
}

/* The same of swapped windows. */
static void map_kv_swapped(mo_builder *b, const mo_map_arguments *arguments,
                           const void *user, mo_value **out_block) {
  map_kv(b, arguments, user, out_block);
  exchange(out_block);
}

static void map_key_ids(mo_builder *b, const mo_map_arguments *arguments,
                        const void *user, mo_value **out_block) {
  const backward *f = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = mo_i32(b, 0);
  out_block[2] = block_at_step(f, arguments);
}

/* O of a block's own positions; before the panel there is none. */
static void map_o(mo_builder *b, const mo_map_arguments *arguments,
                  const void *user, mo_value **out_block) {
  const backward *f = user;
  const backward_plan *plan = f->plan;
  out_block[0] = arguments->grid[0];
  out_block[1] = arguments->grid[1];
  out_block[2] = panel_of(f, arguments);
  out_block[3] = mo_i32(b, 0);
  if (plan->descending) {
    mo_value *own = block_at_step(f, arguments);
    int64_t offset = f->problem->offset / plan->block_k;
    mo_value *panel = number(f, plan->panel / plan->block_k);
    panel = mo_mul(b, out_block[2], panel);
    if (offset) own = mo_sub(b, own, number(f, offset));
    if (offset || plan->panels > 1) own = mo_max(b, own, panel);
    out_block[2] = own;
  }
  if (sequence_swaps(f->problem->Dv)) exchange(out_block);
}

/* Of blocks that come last first, the first that is written. */
static int64_t first_written(const backward *f) {
  for (int64_t panel = 1; panel < f->plan->panels; panel++) {
    attention_range blocks = backward_plan_blocks(f->problem, f->plan, panel);
    if (blocks.begin > 0) return blocks.begin - 1;
  }
  return f->plan->k_blocks - 1;
}

/* dK and dV stay at the block that was written last, or that is to be written
 * first: a window goes to HBM when its block changes. */
static void map_kv_sum(mo_builder *b, const mo_map_arguments *arguments,
                       const void *user, mo_value **out_block) {
  const backward *f = user;
  int64_t group = f->problem->group;
  mo_value *zero = mo_i32(b, 0);
  map_kv(b, arguments, user, out_block);
  mo_value *first = zero;
  if (f->plan->descending) first = number(f, first_written(f));
  if (f->plan->panels > 1) {
    mo_value *end = mo_add(b, panel_of(f, arguments), number(f, 1));
    end = first_of(f, end);
    mo_value *block = mo_min(b, out_block[2], mo_sub(b, end, number(f, 1)));
    out_block[2] = mo_select(b, mo_eq(b, end, zero), first, block);
  }
  if (group == 1) return;
  mo_value *member = mo_rem(b, arguments->grid[1], number(f, group));
  mo_value *last = mo_eq(b, member, number(f, group - 1));
  out_block[2] = mo_select(b, last, out_block[2], first);
}

static void map_kv_sum_swapped(mo_builder *b, const mo_map_arguments *arguments,
                               const void *user, mo_value **out_block) {
  map_kv_sum(b, arguments, user, out_block);
  exchange(out_block);
}

static sequence key_window(backward *f, int64_t width, mo_map_fn *map,
                           mo_map_fn *map_swapped) {
  mo_element element = kernels_element(f->problem->dtype);
  mo_map_fn *fn = sequence_swaps(width) ? map_swapped : map;
  return sequence_window(f->b, element, f->plan->block_k, width,
                         MO_MAP_BY(fn, f));
}

sequence backward_key_window(backward *f, int64_t width) {
  return key_window(f, width, map_kv, map_kv_swapped);
}

sequence backward_sum_window(backward *f, int64_t width) {
  return key_window(f, width, map_kv_sum, map_kv_sum_swapped);
}

sequence backward_o_window(backward *f) {
  mo_element element = kernels_element(f->problem->dtype);
  return sequence_window(f->b, element, f->plan->o_rows, f->problem->Dv,
                         MO_MAP_BY(map_o, f));
}

mo_value *backward_key_ids_window(backward *f) {
  return mo_window(f->b, MO_I32, MO_SHAPE(1, 1, f->plan->block_k),
                   MO_MAP_BY(map_key_ids, f));
}

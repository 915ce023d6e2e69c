/* Kernels with one mistake each, which the simulator must find and name; and
 * the same kernels without it, in which it must find nothing, whatever the
 * seed. */
#include "mosaic_kernels.h"
#include "sim_case.h"
#include "sim_flash.h"

/* What is wrong with the kernel being built; NONE: nothing. */
typedef enum mistake {
  NONE,
  WAIT_DROPPED,
  WAIT_TOO_LATE,
  SLOT_TOO_EARLY,
  SOURCE_TOO_EARLY,
  TWO_WRITERS,
  COUNT_TOO_HIGH,
  COUNT_TOO_LOW,
  BYTES_TOO_FEW,
  BARRIER_DROPPED,
  CREDIT_DROPPED,
  DIAGONAL,
  OFF_THE_END,
  UNALIGNED,
  UNWRITTEN,
  NO_MULTIPLE,
  TOO_LARGE,
  TOO_MANY_SCALARS,
  BY_ZERO,
  STEP_OF_ZERO,
  OPERAND_WRITTEN,
  MINIMUM
} mistake;
static mistake wrong;

/* Runs it under many seeds, hostile and not. With `kind` it must be found in
 * each of them and name an op of this file; with -1 nothing must be. */
static void expect(void (*build)(mo_builder *), int chips,
                   void (*tensors)(sim_case *), int kind) {
  int cases = check_cases(20);
  for (int turn = 0; turn < cases; turn++) {
    sim_case c;
    sim_case_begin(&c, build, chips);
    tensors(&c);
    sim_case_randomize(&c, 1);
    sim_options options = {.hostile = turn > 0,
                           .seed = check_random() >> 16,
                           .step_limit = 1000000};
    pfl_status status = sim_case_run(&c, &options);
    bool fine = kind < 0 ? !status && !c.report.hazard_count
                         : status == PFL_STATUS_FAILED_PRECONDITION &&
                               sim_case_found(&c, (sim_hazard_kind)kind);
    CHECK(fine, "mistake %d, seed %llu: %s", wrong,
          (unsigned long long)options.seed, c.error.message);
    if (!fine) sim_case_print(&c);
    for (int i = 0; kind >= 0 && i < c.report.hazard_count; i++) {
      const sim_hazard *hazard = &c.report.hazards[i];
      if ((int)hazard->kind != kind || !hazard->op) continue;
      CHECK(hazard->file && strstr(hazard->file, "_sim_hazards.c"),
            "a place in this file, not %s", hazard->file);
      CHECK(strstr(c.error.message, "seed"), "%s", c.error.message);
    }
    sim_case_end(&c);
  }
}

/* ---- One chip ------------------------------------------------------------ */

static mo_value *at(mo_builder *b, mo_value *ref, mo_value *i) {
  return mo_sub_ref(b, ref, MO_VALUES(i));
}

/* y = 2 x by a ring of two slots in, and one out by hand. */
static void build_ring(mo_builder *b) {
  mo_kernel(b, "ring", NULL);
  mo_value *x = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(8, 16, 128));
  mo_value *y = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(8, 16, 128));
  mo_value *ring = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(2, 16, 128));
  mo_value *out = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(2, 16, 128));
  mo_value *came =
      mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  mo_value *left =
      mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1), *count = mo_i32(b, 8);
  mo_value *two = mo_full(b, MO_F32, MO_SHAPE(16, 128), 2);
  mo_copy(b, at(b, x, zero), at(b, ring, zero), at(b, came, zero));
  mo_value *t = mo_for(b, zero, count, one, MO_NONE)[0];
  mo_value *next = mo_add(b, t, one);
  mo_value *slot = mo_and(b, t, one), *other = mo_and(b, next, one);
  if (wrong == SLOT_TOO_EARLY) other = slot;
  mo_if(b, mo_lt(b, next, count));
  mo_copy(b, at(b, x, next), at(b, ring, other), at(b, came, other));
  mo_end(b, MO_NONE);
  if (wrong != WAIT_DROPPED && wrong != WAIT_TOO_LATE)
    mo_wait_copy(b, at(b, x, t), at(b, ring, slot), at(b, came, slot));
  mo_value *tile =
      mo_load(b, ring, MO_VALUES(slot, zero, zero), MO_SHAPE(16, 128));
  if (wrong == WAIT_TOO_LATE)
    mo_wait_copy(b, at(b, x, t), at(b, ring, slot), at(b, came, slot));
  mo_if(b, mo_gt(b, t, one));
  if (wrong != SOURCE_TOO_EARLY)
    mo_wait_copy(b, at(b, out, slot), at(b, y, t), at(b, left, slot));
  mo_end(b, MO_NONE);
  mo_store(b, mo_mul(b, tile, two), out, MO_VALUES(slot, zero, zero));
  mo_value *to = wrong == TWO_WRITERS ? zero : t;
  mo_copy(b, at(b, out, slot), at(b, y, to), at(b, left, slot));
  if (wrong == SOURCE_TOO_EARLY) {
    mo_if(b, mo_gt(b, t, one));
    mo_wait_copy(b, at(b, out, slot), at(b, y, t), at(b, left, slot));
    mo_end(b, MO_NONE);
  }
  mo_end(b, MO_NONE);
  mo_wait_copy(b, at(b, out, zero), at(b, y, zero), at(b, left, zero));
  mo_wait_copy(b, at(b, out, one), at(b, y, one), at(b, left, one));
  mo_kernel_end(b);
}

static void ring_tensors(sim_case *c) {
  sim_case_operand(c, MO_F32, MO_SHAPE(8, 16, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(8, 16, 128));
}

static void test_ring(void) {
  wrong = NONE;
  expect(build_ring, 1, ring_tensors, -1);
  wrong = WAIT_DROPPED;
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_EARLY_READ);
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_SEMAPHORE);
  wrong = WAIT_TOO_LATE;
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_EARLY_READ);
  wrong = SLOT_TOO_EARLY;
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_EARLY_READ);
  wrong = SOURCE_TOO_EARLY;
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_EARLY_WRITE);
  wrong = TWO_WRITERS;
  expect(build_ring, 1, ring_tensors, SIM_HAZARD_RACE);
}

/* A copy out of what may be off the end, cut tiles or be unwritten. */
static void build_part(mo_builder *b) {
  mo_kernel(b, "part", NULL);
  mo_value *x = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(64, 128));
  mo_value *y = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(16, 128));
  mo_value *part = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(16, 128));
  mo_value *done = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_RANK_0);
  mo_value *n = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2));
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_set(b,
         mo_i32(b, wrong == OFF_THE_END ? 56
                   : wrong == UNALIGNED ? 4
                                        : 8),
         n, MO_VALUES(zero));
  mo_value *row = mo_get(b, n, MO_VALUES(wrong == UNWRITTEN ? one : zero));
  if (wrong == NO_MULTIPLE) row = mo_multiple(b, row, 16);
  mo_value *from = mo_slice(b, x, MO_VALUES(row, zero), MO_SHAPE(16, 128));
  mo_copy(b, from, part, done);
  mo_value *whole = mo_slice(b, part, MO_VALUES(zero, zero), MO_SHAPE(8, 128));
  mo_wait_copy(b, from, wrong == BYTES_TOO_FEW ? whole : part, done);
  if (wrong == BY_ZERO)
    mo_set(b, mo_div(b, row, mo_sub(b, row, mo_get(b, n, MO_VALUES(zero)))), n,
           MO_VALUES(zero));
  if (wrong == STEP_OF_ZERO) {
    mo_for(b, zero, one, zero, MO_NONE);
    mo_end(b, MO_NONE);
  }
  if (wrong == OPERAND_WRITTEN) {
    mo_copy(b, part, from, done);
    mo_wait_copy(b, part, from, done);
  }
  mo_copy(b, part, y, done);
  mo_wait_copy(b, part, y, done);
  mo_kernel_end(b);
}

static void part_tensors(sim_case *c) {
  sim_case_operand(c, MO_F32, MO_SHAPE(64, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(16, 128));
}

static void test_part(void) {
  wrong = NONE;
  expect(build_part, 1, part_tensors, -1);
  wrong = OFF_THE_END;
  expect(build_part, 1, part_tensors, SIM_HAZARD_BOUNDS);
  wrong = UNALIGNED;
  expect(build_part, 1, part_tensors, SIM_HAZARD_ALIGNMENT);
  wrong = NO_MULTIPLE;
  expect(build_part, 1, part_tensors, SIM_HAZARD_ALIGNMENT);
  wrong = UNWRITTEN;
  expect(build_part, 1, part_tensors, SIM_HAZARD_UNWRITTEN);
  wrong = BYTES_TOO_FEW;
  expect(build_part, 1, part_tensors, SIM_HAZARD_SEMAPHORE);
  wrong = BY_ZERO;
  expect(build_part, 1, part_tensors, SIM_HAZARD_DIVISION);
  wrong = OPERAND_WRITTEN;
  expect(build_part, 1, part_tensors, SIM_HAZARD_OPERAND);
  wrong = STEP_OF_ZERO;
  expect(build_part, 1, part_tensors, SIM_HAZARD_ENDLESS);
}

/* ---- Windows, unwritten memory, capacity --------------------------------- */

static void shifted(mo_builder *b, const mo_map_arguments *a, const void *user,
                    mo_value **out_block) {
  (void)user;
  out_block[0] =
      wrong == OFF_THE_END ? mo_add(b, a->grid[0], mo_i32(b, 1)) : a->grid[0];
  out_block[1] = mo_i32(b, 0);
}

/* Sums of 16 rows at a time, of 40: the last block is half beyond the edge. */
static void build_sums(mo_builder *b) {
  mo_kernel(b, "sums", &(mo_grid){1, {3}, {false}});
  mo_shape block = MO_SHAPE(16, 128);
  mo_value *x = mo_window(b, MO_F32, block, MO_MAP_BY(shifted, NULL));
  mo_value *y = mo_window(b, MO_F32, MO_SHAPE(8, 128), MO_MAP(-1, -1));
  mo_value *sum = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(1, 128));
  int64_t large = wrong == TOO_LARGE ? 32768 : 8;
  mo_value *more = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(large, 128));
  int64_t many = wrong == TOO_MANY_SCALARS ? 300000 : 8;
  mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(many));
  (void)more;
  mo_value *t = mo_grid_index(b, 0), *zero = mo_i32(b, 0);
  if (wrong != UNWRITTEN) {
    mo_if(b, mo_eq(b, t, zero));
    mo_store_all(b, mo_full(b, MO_F32, MO_SHAPE(1, 128), 0), sum);
    mo_end(b, MO_NONE);
  }
  mo_value *rows = mo_add(b, mo_iota(b, block, 0),
                          mo_broadcast(b, mo_mul(b, t, mo_i32(b, 16)), block));
  mo_value *v = mo_load_all(b, x);
  if (wrong != WAIT_DROPPED) /* here: the mask of what is beyond the edge */
    v = mo_select(b, mo_lt(b, rows, mo_full(b, MO_I32, block, 40)), v,
                  mo_full(b, MO_F32, block, 0));
  mo_store_all(b, mo_add(b, mo_load_all(b, sum), mo_reduce(b, MO_SUM, v, 0)),
               sum);
  mo_if(b, mo_eq(b, t, mo_i32(b, 2)));
  mo_store_all(b, mo_broadcast(b, mo_load_all(b, sum), MO_SHAPE(8, 128)), y);
  mo_end(b, MO_NONE);
  mo_kernel_end(b);
}

static void sums_tensors(sim_case *c) {
  sim_case_operand(c, MO_F32, MO_SHAPE(40, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(8, 128));
}

/* y = x + x, 16 of 40 rows at a time: what is beyond the edge is worked on, and
 * goes nowhere. */
static void build_edge(mo_builder *b) {
  mo_kernel(b, "edge", &(mo_grid){1, {3}, {true}});
  mo_value *x = mo_window(b, MO_F32, MO_SHAPE(16, 128), MO_MAP(0, -1));
  mo_value *y = mo_window(b, MO_F32, MO_SHAPE(16, 128), MO_MAP(0, -1));
  mo_value *v = mo_load_all(b, x);
  mo_store_all(b, mo_add(b, v, v), y);
  mo_kernel_end(b);
}

static void edge_tensors(sim_case *c) {
  sim_case_operand(c, MO_F32, MO_SHAPE(40, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(40, 128));
}

static void test_sums(void) {
  wrong = NONE;
  expect(build_edge, 1, edge_tensors, -1);
  expect(build_sums, 1, sums_tensors, -1);
  wrong = OFF_THE_END;
  expect(build_sums, 1, sums_tensors, SIM_HAZARD_BOUNDS);
  wrong = UNWRITTEN;
  expect(build_sums, 1, sums_tensors, SIM_HAZARD_UNWRITTEN);
  wrong = WAIT_DROPPED;
  expect(build_sums, 1, sums_tensors, SIM_HAZARD_UNWRITTEN);
  wrong = TOO_LARGE;
  expect(build_sums, 1, sums_tensors, SIM_HAZARD_CAPACITY);
  wrong = TOO_MANY_SCALARS;
  expect(build_sums, 1, sums_tensors, SIM_HAZARD_CAPACITY);
}

/* The result takes the operand's place; a step reads what the one before it, or
 * none, leaves there. */
static void before(mo_builder *b, const mo_map_arguments *a, const void *user,
                   mo_value **out_block) {
  (void)user;
  mo_value *zero = mo_i32(b, 0);
  out_block[0] = wrong == SLOT_TOO_EARLY
                     ? mo_max(b, mo_sub(b, a->grid[0], mo_i32(b, 1)), zero)
                     : a->grid[0];
  out_block[1] = zero;
}

static void build_in_place(mo_builder *b) {
  mo_kernel(b, "in_place", &(mo_grid){1, {6}, {false}});
  mo_shape block = MO_SHAPE(8, 128);
  mo_value *x = mo_window(b, MO_F32, block, MO_MAP_BY(before, NULL));
  mo_value *y = mo_window(b, MO_F32, block, MO_MAP(0, -1));
  mo_value *v = mo_load_all(b, x);
  mo_store_all(b, mo_add(b, v, v), y);
  mo_kernel_end(b);
}

static void in_place_tensors(sim_case *c) {
  static const sim_alias alias = {0, 0};
  sim_case_operand(c, MO_F32, MO_SHAPE(48, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(48, 128));
  c->kernel.aliases = &alias;
  c->kernel.alias_count = 1;
}

static void test_in_place(void) {
  wrong = NONE;
  expect(build_in_place, 1, in_place_tensors, -1);
  wrong = SLOT_TOO_EARLY;
  expect(build_in_place, 1, in_place_tensors, SIM_HAZARD_RACE);
}

/* ---- Chips --------------------------------------------------------------- */

/* Each chip sends a neighbour eight tiles through one slot; credits say when it
 * is free again. y is the sum of what came. */
static void build_credits(mo_builder *b) {
  mo_kernel(b, "credits", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 8, 128));
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *slot = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *sent = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_RANK_0);
  mo_value *came = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_RANK_0);
  mo_value *credit = mo_scratch(b, MO_SEMAPHORE_MEM, MO_SEMAPHORE, MO_RANK_0);
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1), *count = mo_i32(b, 8);
  mo_value *bits = mo_i32(b, wrong == DIAGONAL ? 3 : 2);
  mo_value *peer = mo_xor(b, mo_device_id(b), bits);
  mo_value *barrier = mo_barrier_semaphore(b);
  if (wrong != BARRIER_DROPPED) {
    mo_signal(b, barrier, wrong == COUNT_TOO_HIGH ? mo_i32(b, 2) : one, peer);
    mo_wait(b, barrier, wrong == COUNT_TOO_LOW ? mo_i32(b, 2) : one);
  }
  mo_value *t = mo_for(b, zero, count, one, MO_NONE)[0];
  mo_if(b, mo_gt(b, t, zero));
  if (wrong != CREDIT_DROPPED) mo_wait(b, credit, one);
  mo_end(b, MO_NONE);
  mo_send(b, at(b, x, t), slot, sent, came, peer);
  mo_wait_sent(b, at(b, x, t), sent);
  mo_wait_received(b, slot, came);
  mo_value *v = mo_load_all(b, slot);
  mo_if(b, mo_gt(b, t, zero));
  mo_store_all(b, mo_add(b, mo_load_all(b, y), v), y);
  mo_else(b, MO_NONE);
  mo_store_all(b, v, y);
  mo_end(b, MO_NONE);
  mo_if(b, mo_lt(b, t, mo_i32(b, 7)));
  if (wrong != CREDIT_DROPPED) mo_signal(b, credit, one, peer);
  mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
  mo_kernel_end(b);
}

static void credits_tensors(sim_case *c) {
  sim_case_operand(c, MO_F32, MO_SHAPE(8, 8, 128));
  sim_case_result(c, MO_F32, MO_SHAPE(8, 128));
}

static void test_credits(void) {
  wrong = NONE;
  expect(build_credits, 4, credits_tensors, -1);
  wrong = CREDIT_DROPPED;
  expect(build_credits, 4, credits_tensors, SIM_HAZARD_RACE);
  wrong = BARRIER_DROPPED;
  expect(build_credits, 4, credits_tensors, SIM_HAZARD_RACE);
  wrong = DIAGONAL;
  expect(build_credits, 4, credits_tensors, SIM_HAZARD_ROUTE);
  wrong = COUNT_TOO_HIGH;
  expect(build_credits, 4, credits_tensors, SIM_HAZARD_SEMAPHORE);
  wrong = COUNT_TOO_LOW;
  expect(build_credits, 4, credits_tensors, SIM_HAZARD_DEADLOCK);
}

/* ---- Numbers ------------------------------------------------------------- */

static void build_large_scores(mo_builder *b) { build_flash_of(b, 1, 1024); }

/* The largest difference from fp64 of some elements. */
static double flash_error(bool minimum) {
  sim_case c;
  flash_minimum = minimum;
  sim_case_begin(&c, build_large_scores, 1);
  flash_minimum = false;
  mo_shape shape = MO_SHAPE(1, 1024, 128);
  uint16_t *q = sim_case_operand(&c, MO_BF16, shape);
  uint16_t *k = sim_case_operand(&c, MO_BF16, shape);
  uint16_t *v = sim_case_operand(&c, MO_BF16, shape);
  uint16_t *o = sim_case_result(&c, MO_BF16, shape);
  sim_case_randomize(&c, 8); /* scores of +-700 */
  sim_options options = {.hostile = true, .seed = check_random()};
  CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
  double worst = 0;
  for (int turn = 0; turn < 40; turn++) {
    int64_t i = check_between(0, 1023), d = check_between(0, 127);
    double got = base_bf16_to_f32(o[i * 128 + d]);
    double want = flash_reference(q, k, v, i, d);
    double error = fabs(got - want);
    if (!(error <= worst)) worst = error;
  }
  sim_case_end(&c);
  return worst;
}

static void test_large_scores(void) {
  double error = flash_error(false), other = flash_error(true);
  /* p and o in bf16, |v| up to 40 */
  CHECK(error <= 40 * 2 * 0x1p-8, "%g", error);
  CHECK(!(other <= 40 * 2 * 0x1p-8), "a minimum for a maximum: %g", other);
}

int main(void) {
  return CHECK_RUN(test_ring, test_part, test_sums, test_in_place, test_credits,
                   test_large_scores);
}

/* Kernels that the tests of src/mosaic build: written out as
 * tests/golden/mosaic has them, and compiled by the real compiler where there
 * is one. */
#ifndef PFL_TESTS_MOSAIC_KERNELS_H
#define PFL_TESTS_MOSAIC_KERNELS_H

#include "mosaic/builder.h"

/* c = a + b, whole in VMEM. */
static inline void build_vector_add(mo_builder *b) {
  mo_kernel(b, "vector_add", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *z = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_store_all(b, mo_add(b, mo_load_all(b, x), mo_load_all(b, y)), z);
  mo_kernel_end(b);
}

/* [1024, 512] = [1024, 1024] [512, 1024]^T in bf16, blocks of 256 x 256 x 512,
 * summed in f32 scratch over the last axis of the grid. */
static inline void build_matmul(mo_builder *b) {
  mo_kernel(b, "matmul", &(mo_grid){3, {4, 2, 2}, {true, true, false}});
  mo_value *k = mo_grid_index(b, 2);
  mo_value *lhs = mo_window(b, MO_BF16, MO_SHAPE(256, 512), MO_MAP(0, 2));
  mo_value *rhs = mo_window(b, MO_BF16, MO_SHAPE(256, 512), MO_MAP(1, 2));
  mo_value *out = mo_window(b, MO_BF16, MO_SHAPE(256, 256), MO_MAP(0, 1));
  mo_value *acc = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(256, 256));
  mo_if(b, mo_eq(b, k, mo_i32(b, 0)));
  mo_store_all(b, mo_full(b, MO_F32, MO_SHAPE(256, 256), 0), acc);
  mo_end(b, MO_NONE);
  mo_store_all(b,
               mo_matmul(b, MO_NT, mo_load_all(b, lhs), mo_load_all(b, rhs),
                         mo_load_all(b, acc)),
               acc);
  mo_if(b, mo_eq(b, k, mo_i32(b, 1)));
  mo_store_all(b, mo_cast(b, mo_load_all(b, acc), MO_BF16), out);
  mo_end(b, MO_NONE);
  mo_kernel_end(b);
}

/* y = 2 x, 16 tiles of [64, 128] in HBM through a ring of two in VMEM: the copy
 * of the next tile runs while one is worked on. */
static inline void build_double_buffer(mo_builder *b) {
  mo_kernel(b, "double_buffer", NULL);
  mo_value *x = mo_operand(b, MO_ANY, MO_F32, MO_SHAPE(16, 64, 128));
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(16, 64, 128));
  mo_value *ring = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(2, 64, 128));
  mo_value *arrived =
      mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1), *tiles = mo_i32(b, 16);
  mo_copy(b, mo_sub_ref(b, x, MO_VALUES(zero)),
          mo_sub_ref(b, ring, MO_VALUES(zero)),
          mo_sub_ref(b, arrived, MO_VALUES(zero)));
  mo_value *t = mo_for(b, zero, tiles, one, MO_NONE)[0];
  mo_value *next = mo_add(b, t, one);
  mo_value *slot = mo_and(b, t, one), *other = mo_and(b, next, one);
  mo_if(b, mo_lt(b, next, tiles));
  mo_copy(b, mo_sub_ref(b, x, MO_VALUES(next)),
          mo_sub_ref(b, ring, MO_VALUES(other)),
          mo_sub_ref(b, arrived, MO_VALUES(other)));
  mo_end(b, MO_NONE);
  mo_wait_copy(b, mo_sub_ref(b, x, MO_VALUES(t)),
               mo_sub_ref(b, ring, MO_VALUES(slot)),
               mo_sub_ref(b, arrived, MO_VALUES(slot)));
  mo_value *tile =
      mo_load(b, ring, MO_VALUES(slot, zero, zero), MO_SHAPE(64, 128));
  mo_value *two = mo_full(b, MO_F32, MO_SHAPE(64, 128), 2);
  mo_store(b, mo_mul(b, tile, two), y, MO_VALUES(t, zero, zero));
  mo_end(b, MO_NONE);
  mo_kernel_end(b);
}

/* Each chip sends x to the neighbour whose number differs in bit 0, and gives
 * x + what it got. Both must be in the kernel before either sends. */
static inline void build_exchange(mo_builder *b) {
  mo_kernel(b, "exchange", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *got = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *sent = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_RANK_0);
  mo_value *received =
      mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_RANK_0);
  mo_value *one = mo_i32(b, 1);
  mo_value *neighbour = mo_xor(b, mo_device_id(b), one);
  mo_value *barrier = mo_barrier_semaphore(b);
  mo_signal(b, barrier, one, neighbour);
  mo_wait(b, barrier, one);
  mo_send(b, x, got, sent, received, neighbour);
  mo_wait_sent(b, x, sent);
  mo_wait_received(b, got, received);
  mo_store_all(b, mo_add(b, mo_load_all(b, x), mo_load_all(b, got)), y);
  mo_kernel_end(b);
}

/* The block of the table that a grid step's entry names. */
static inline void map_by_table(mo_builder *b, const mo_map_arguments *a,
                                const void *user, mo_value **out_block) {
  (void)user;
  out_block[0] = mo_get(b, a->prefetch[0], MO_VALUES(a->grid[0]));
  out_block[1] = mo_i32(b, 0);
}

/* Rows of x by a prefetched table, through most of what has a name in
 * builder.h: softmax of 64 x 256 tiles, and then some. */
static inline void build_medley(mo_builder *b) {
  mo_kernel(b, "medley", &(mo_grid){1, {8}, {false}});
  mo_value *table = mo_prefetch(b, MO_I32, MO_SHAPE(8));
  mo_value *x =
      mo_window(b, MO_F32, MO_SHAPE(64, 256), MO_MAP_BY(map_by_table, NULL));
  mo_value *w = mo_window(b, MO_BF16, MO_SHAPE(256, 256), MO_MAP(-1, -1));
  mo_value *y = mo_window(b, MO_F32, MO_SHAPE(64, 256), MO_MAP(0, -1));
  mo_value *counts = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(4));
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_shape tile = MO_SHAPE(64, 256);
  mo_trace_start(b, "softmax");
  mo_value *s = mo_load_all(b, x);
  mo_value *row = mo_iota(b, tile, 0), *column = mo_iota(b, tile, 1);
  mo_value *seen = mo_le(b, column, row);
  mo_value *low = mo_broadcast(b, mo_f32(b, -1e30), tile);
  s = mo_select(b, seen, s, low);
  mo_value *m = mo_reduce(b, MO_MAX, s, 1);
  mo_value *p = mo_exp2(b, mo_sub(b, s, mo_broadcast(b, m, tile)));
  mo_value *l = mo_reduce(b, MO_SUM, p, 1);
  p = mo_mul(b, p, mo_broadcast(b, mo_reciprocal_approx(b, l), tile));
  mo_trace_stop(b);
  mo_value **in = mo_for(b, zero, mo_i32(b, 3), one, MO_VALUES(p, zero));
  mo_value *q = mo_matmul(b, MO_NN, mo_cast(b, in[1], MO_BF16),
                          mo_load_all(b, w), mo_full(b, MO_F32, tile, 0));
  mo_value **out = mo_end(b, MO_VALUES(mo_tanh(b, q), mo_add(b, in[2], one)));
  mo_set(b, out[1], counts, MO_VALUES(one));
  mo_value *first = mo_get(b, table, MO_VALUES(mo_grid_index(b, 0)));
  mo_if(b, mo_gt(b, first, mo_i32(b, 4)));
  mo_value *left = mo_part(b, out[0], MO_SHAPE(0, 0), MO_SHAPE(64, 128));
  mo_value *right = mo_part(b, out[0], MO_SHAPE(0, 128), MO_SHAPE(64, 128));
  mo_else(b, MO_VALUES(mo_concatenate(b, MO_VALUES(right, left), 1)));
  mo_value *bits = mo_bitcast(b, out[0], MO_I32);
  bits = mo_and(b, bits, mo_full(b, MO_I32, tile, -65536));
  mo_value *chosen = mo_end(b, MO_VALUES(mo_bitcast(b, bits, MO_F32)))[0];
  chosen = mo_rotate(b, chosen, mo_multiple(b, first, 1), 1);
  mo_value *turned = mo_transpose(b, chosen, MO_SHAPE(1, 0));
  chosen = mo_add(b, chosen, mo_transpose(b, turned, MO_SHAPE(1, 0)));
  mo_store_all(b, chosen, y);
  mo_value *half = mo_part(b, chosen, MO_SHAPE(0, 0), MO_SHAPE(8, 256));
  mo_store(b, half, y, MO_VALUES(mo_i32(b, 8), zero));
  mo_value *mask = mo_lt(b, mo_iota(b, MO_SHAPE(8, 256), 1),
                         mo_full(b, MO_I32, MO_SHAPE(8, 256), 77));
  mo_store_masked(b, half, y, MO_VALUES(zero, zero), mask);
  mo_kernel_end(b);
}

typedef struct mosaic_kernel {
  const char *name;
  void (*build)(mo_builder *b);
  int version; /* the oldest that carries it */
} mosaic_kernel;

static const mosaic_kernel mosaic_kernels[] = {
    {"vector_add", build_vector_add, 3},
    {"matmul", build_matmul, 3},
    {"double_buffer", build_double_buffer, 3},
    {"exchange", build_exchange, 3},
    {"medley", build_medley, 3},
};
enum { MOSAIC_KERNELS = sizeof mosaic_kernels / sizeof *mosaic_kernels };

#endif

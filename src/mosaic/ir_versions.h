/* How the serialized versions of the ops differ from the newest: one table,
 * which the translation and docs/mosaic.md read. */
#ifndef PFL_MOSAIC_IR_VERSIONS_H
#define PFL_MOSAIC_IR_VERSIONS_H

/* ADDED_ATTR     the attribute came, with `number` as what it was before
 * ADDED_SEGMENT  operandSegmentSizes became `number` long
 * SEGMENTS       operandSegmentSizes came; before, the last `number` groups
 * were empty MADE_LIST      `old`, an i32, became `attr`, an array of them */
#define MO_CHANGE_KINDS(X) \
  X(ADDED_ATTR) X(ADDED_SEGMENT) X(SEGMENTS) X(MADE_LIST)

/* X(since, op, kind, attr, old, number); newest first, so that they apply in
 * order on the way down. */
#define MO_CHANGE_LIST(X)                                           \
  X(15, TPU_REINTERPRET_CAST, SEGMENTS, NULL, NULL, 1)              \
  X(14, TPU_ENQUEUE_DMA, ADDED_SEGMENT, NULL, NULL, 7)              \
  X(14, TPU_SEM_SIGNAL, ADDED_SEGMENT, NULL, NULL, 5)               \
  X(13, TPU_MATMUL, ADDED_ATTR, "transpose_lhs_hint", NULL, 0)      \
  X(8, TPU_ENQUEUE_DMA, ADDED_ATTR, "strict_ordering", NULL, 0)     \
  X(8, TPU_WAIT_DMA2, ADDED_ATTR, "strict_ordering", NULL, 0)       \
  X(7, TPU_WAIT_DMA2, SEGMENTS, NULL, NULL, 2)                      \
  X(6, TPU_IOTA, MADE_LIST, "dimensions", "dimension", 0)           \
  X(5, TPU_DYNAMIC_GATHER, MADE_LIST, "dimensions", "dimension", 0) \
  X(4, TPU_ENQUEUE_DMA, ADDED_ATTR, "priority", NULL, 0)

#endif

/* How the backward kernel cuts a problem. */
#ifndef PFL_KERNELS_BACKWARD_PLAN_H
#define PFL_KERNELS_BACKWARD_PLAN_H

#include "kernels/flash_plan.h"

/* X(NAME, words): see backward_walk.c */
#define BACKWARD_WALK_LIST(X)                     \
  X(FULL, "full")                                 \
  X(CAUSAL, "causal, the diagonal as a triangle") \
  X(POSITION, "masked by position where it must be")

typedef enum backward_walk_kind {
#define BACKWARD_WALK_ENUM(name, words) BACKWARD_##name,
  BACKWARD_WALK_LIST(BACKWARD_WALK_ENUM)
#undef BACKWARD_WALK_ENUM
} backward_walk_kind;

typedef struct backward_plan {
  int64_t block_k; /* keys that a step of the grid works on */
  int64_t part;    /* keys of them that meet queries at a time */
  int64_t block_q; /* queries that they meet at a time */
  int64_t unroll;  /* times that, in one body of the loop; a power of two */
  int ahead;       /* tiles whose scores are made early: see forward_queue */
  int64_t tile;    /* queries that meet the diagonal at once */
  int64_t k_blocks;
  int64_t rows;     /* Sq up to whole chunks, as Q and dO lie in VMEM */
  int64_t o_rows;   /* of O that a step has: those of the head, or causal: of
                       the block's positions */
  int64_t end_rows; /* that are begun and finished at a time */
  bool fresh;       /* a block's first tile needs no sums of dK and dV */
  backward_walk_kind walk;
  int64_t vmem_bytes;
} backward_plan;

/* As forward_plan_make. */
PFL_NODISCARD pfl_status backward_plan_make(const kernels_request *request,
                                            const kernels_chip *chip,
                                            backward_plan *out_plan,
                                            pfl_error *error);
void backward_plan_tell(const backward_plan *plan, kernels_program *program);

#endif

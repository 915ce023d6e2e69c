/* How the backward kernel cuts a problem. */
#ifndef PFL_KERNELS_BACKWARD_PLAN_H
#define PFL_KERNELS_BACKWARD_PLAN_H

#include "kernels/flash_plan.h"

/* X(NAME, words): see backward_walk.c */
#define BACKWARD_WALK_LIST(X)                      \
  X(FULL, "full")                                  \
  X(BAND, "by tiles where the causal window ends") \
  X(POSITION, "masked by position where it must be")

typedef enum backward_walk_kind {
#define BACKWARD_WALK_ENUM(name, words) BACKWARD_##name,
  BACKWARD_WALK_LIST(BACKWARD_WALK_ENUM)
#undef BACKWARD_WALK_ENUM
} backward_walk_kind;

/* Where dK and dV of a block of keys are between the steps that add to them. X(
 * NAME, words) */
#define BACKWARD_SUMS_LIST(X)                     \
  X(STEP, "one step makes a block's dK and dV")   \
  X(VMEM, "dK and dV of all keys summed in VMEM") \
  X(HBM, "sums of dK and dV wait in HBM")

typedef enum backward_sums {
#define BACKWARD_SUMS_ENUM(name, words) BACKWARD_SUMS_##name,
  BACKWARD_SUMS_LIST(BACKWARD_SUMS_ENUM)
#undef BACKWARD_SUMS_ENUM
} backward_sums;

/* BAND: rows that see keys of a block, by their distance from the row at the
 * block's first key. From `seen` to `seen_end` they see all of them, if that is
 * the greater; of a window open to the left both ends are one past those that
 * its right end hides keys from. Whole tiles. */
typedef struct backward_band {
  int64_t begin, seen, seen_end, end;
} backward_band;

typedef struct backward_plan {
  int64_t block_k; /* keys that a step of the grid works on */
  int64_t part;    /* keys of them that meet queries at a time */
  int64_t block_q; /* queries that they meet at a time */
  int64_t unroll;  /* times that, in one body of the loop; a power of two */
  int ahead;       /* tiles whose scores are made early: see forward_queue */
  int64_t tile;    /* queries that meet a window's end at once */
  int64_t k_blocks;
  int64_t rows;  /* Sq up to what the walk wants */
  int64_t panel; /* queries of a head that lie in VMEM together */
  int64_t panels;
  int64_t steps;    /* of a panel: the most blocks of keys that one meets */
  int64_t o_rows;   /* of O that a step has: those of the panel, or of the
                       block's own positions */
  int64_t end_rows; /* that are begun and finished at a time */
  bool descending;  /* blocks of keys come last first */
  bool fresh;       /* a block's first tile needs no sums of dK and dV */
  backward_walk_kind walk;
  backward_band band;
  backward_sums sums;
  int64_t vmem_bytes;
} backward_plan;

/* As forward_plan_make. */
PFL_NODISCARD pfl_status backward_plan_make(const kernels_request *request,
                                            const kernels_chip *chip,
                                            backward_plan *out_plan,
                                            pfl_error *error);
void backward_plan_tell(const backward_plan *plan, kernels_program *program);

/* The blocks of keys that a panel meets; panels in turn meet all blocks. */
attention_range backward_plan_blocks(const attention_problem *problem,
                                     const backward_plan *plan, int64_t panel);

#endif

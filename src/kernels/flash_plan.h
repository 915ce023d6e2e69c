/* How the flash kernels cut a problem. */
#ifndef PFL_KERNELS_FLASH_PLAN_H
#define PFL_KERNELS_FLASH_PLAN_H

#include "kernels/tpu_program.h"

/* Rows that lie in one tile of memory, of the narrowest dtype. */
enum { SUBLANES_MOST = 16 };

/* Tiles whose scores may wait. */
enum { FORWARD_AHEAD_MAX = 3 };

/* X(NAME, words): see forward_walk.c */
#define FORWARD_WALK_LIST(X)                      \
  X(FULL, "full")                                 \
  X(CAUSAL, "causal, the diagonal as a triangle") \
  X(BAND, "a band, whole for a tile of rows")     \
  X(POSITION, "masked by position where it must be")

typedef enum forward_walk_kind {
#define FORWARD_WALK_ENUM(name, words) FORWARD_##name,
  FORWARD_WALK_LIST(FORWARD_WALK_ENUM)
#undef FORWARD_WALK_ENUM
} forward_walk_kind;

typedef struct forward_plan {
  int64_t block_q; /* queries that a step of the grid works on */
  int64_t block_k; /* keys of a chunk, which they meet at a time */
  int64_t unroll;  /* chunks in one body of the loop; a power of two */
  int64_t rows;    /* of the block, that meet a chunk at once */
  int ahead;       /* tiles whose scores are made early: see forward_queue */
  int64_t tile;    /* rows that meet the diagonal, and are finished, at once */
  int64_t q_blocks;
  int64_t keys; /* Sk up to whole chunks; so K and V lie in VMEM, if they fit */
  /* Keys that a segment has, of which two are in VMEM; 0: all are, at once. */
  int64_t segment;
  int64_t streamed; /* keys that segments bring: the whole chunks of Sk */
  forward_walk_kind walk;
  int align; /* what a band's or triangle's first key is a multiple of */
  int64_t band_before, band_keys; /* BAND: keys before a tile, and in all */
  int64_t band_last; /* the last position of a block whose band exists */
  bool band_causal; /* there are blocks that the window's left does not reach */
  bool band_position; /* and others that have no band */
  bool blind;         /* some row may see no key */
  int64_t vmem_bytes;
} forward_plan;

/* INVALID_ARGUMENT: the request is not one that the kernel serves, or its tiles
 * do not fit; the message names what would. */
PFL_NODISCARD pfl_status forward_plan_make(const kernels_request *request,
                                           const kernels_chip *chip,
                                           forward_plan *out_plan,
                                           pfl_error *error);

/* Writes tiles and words of a plan to its program. */
void forward_plan_tell(const forward_plan *plan, kernels_program *program);

/* ---- Shared with backward_plan.c ------------------------------------------
 */

PFL_NODISCARD pfl_status
flash_plan_check_problem(const attention_problem *problem, pfl_error *error);
/* `block`: what `tile` must divide. */
PFL_NODISCARD pfl_status flash_plan_check_tiles(int64_t block_q,
                                                int64_t block_k, int64_t unroll,
                                                int64_t tile, int64_t block,
                                                pfl_error *error);

#endif

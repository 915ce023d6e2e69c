/* Windows: blocks of tensors that come to VMEM and go back step by step, two
 * buffers each, as Mosaic's pipeline has them:
 *
 *   step i begins:  what step i - 2 left is written back at the latest
 *                   what step i - 1 left may be written back from now on
 *                   what step i + 1 reads may be fetched from now on
 *   step i + 1:     ... and is there at the latest
 *
 * A hostile chip takes the first moment for some fetches, and the last for some
 * of what is written back; others take them where the steps meet. */
#ifndef PFL_SIM_WINDOW_H
#define PFL_SIM_WINDOW_H

#include "sim/chip.h"

/* Where a window is. Blocks are given by their first elements. */
struct sim_window_state {
  int64_t block[SIM_RANK_MAX]; /* of this step */
  int64_t next[SIM_RANK_MAX];  /* of the step to come, if there is one */
  int64_t late[SIM_RANK_MAX];  /* in the other buffer, not yet written back */
  int buffer;                  /* in use: 0 or 1 */
  bool filled;                 /* the buffer in use is that of `block` */
  bool ahead;                  /* the other one is that of `next` */
  bool is_late;
  bool is_coming; /* of a trace: its next block, there at ready_us */
  double ready_us;
  int64_t before[SIM_RANK_MAX]; /* what the step before left, late or not */
  bool left_before;
};

/* Takes all windows to step chip->step. False after a hazard. */
bool sim_windows_move(sim_chip *chip, const sim_inst *inst);
/* Writes back what is left after the last step. */
bool sim_windows_finish(sim_chip *chip, const sim_inst *inst);

#endif

/* Chips as the slice sees them: set up, run, taken down. */
#ifndef PFL_SIM_SETUP_H
#define PFL_SIM_SETUP_H

#include "sim/chip.h"

/* A larger block is given back after a run. */
#define SIM_KEPT_BYTES ((int64_t)64 << 20)

void sim_block_release(sim_block *block, const pfl_allocator *allocator);

/* chip's program, options, number, chips, lanes, kernels, random, ops_left,
 * blocks and arena.allocator are set, the rest zero. */
PFL_NODISCARD pfl_status sim_chip_set_up(sim_chip *chip, const sim_run *run,
                                         pfl_error *error);
void sim_chip_take_down(sim_chip *chip);

/* Runs on until the chip waits, pauses, ends or fails. */
void sim_chip_run(sim_chip *chip);

/* After the end: results are brought home, and looked at with what is left. */
void sim_chip_finish(sim_chip *chip);

/* Whole operands to the chip, or whole results back. */
void sim_chip_transfer(sim_chip *chip, bool back);

#endif

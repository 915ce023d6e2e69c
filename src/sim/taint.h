/* Taint: what was read where nothing was written, and what comes of it. As long
 * as it decides nothing and is no result, it may be read and be worked on: the
 * padding of blocks is. A vector that has some is marked, and then a byte for
 * each element says which. */
#ifndef PFL_SIM_TAINT_H
#define PFL_SIM_TAINT_H

#include "sim/chip.h"

/* out's elements from those at the same places of the operands. */
void sim_taint_elements(sim_chip *chip, sim_slot out, int count,
                        const sim_slot *in);

/* The bytes of a vector's elements, all zero if it was not tainted before. */
uint8_t *sim_taint_bytes(sim_chip *chip, sim_slot slot);

/* All of it. */
void sim_taint_all(sim_chip *chip, sim_slot out, uint32_t taint);

/* A scalar that decides something: whether it is sound. If not, notes the
 * hazard, once. */
bool sim_decides(sim_chip *chip, const sim_inst *inst, sim_slot slot);

#endif

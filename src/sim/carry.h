/* Between chips: messages, which one thread carries while all chips stand. */
#ifndef PFL_SIM_CARRY_H
#define PFL_SIM_CARRY_H

#include "sim/dma.h"

/* A message on its way. */
typedef struct sim_parcel {
  sim_message message;
  struct sim_parcel *next;
} sim_parcel;

/* Set chips, count, allocator, hostile and random, the rest zero. */
typedef struct sim_carrier {
  sim_chip *chips;
  int count;
  const pfl_allocator *allocator;
  bool hostile;
  uint64_t random;
  sim_parcel *parcels;
  sim_dma *flying; /* remote DMAs that somebody is not yet sure of */
  bool more;       /* a chip can go on */
} sim_carrier;

/* Takes what the chips have sent, delivers some of it, and lets chips go on;
 * finds that none ever will. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status sim_carry(sim_carrier *carrier, pfl_error *error);

/* Gives back what is still on its way. */
void sim_carry_end(sim_carrier *carrier);

#endif

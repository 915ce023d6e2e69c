/* DMAs and semaphores of a chip.
 *
 * A DMA moves its bytes at some time between its start and the wait that counts
 * it: which, the seed says. Until a wait makes sure that it is over, its source
 * and its target are claimed. A wait for `n` of a semaphore is sure of what
 * must have happened whichever signals made up the `n`: see sim_settle. */
#ifndef PFL_SIM_DMA_H
#define PFL_SIM_DMA_H

#include "sim/chip.h"

struct sim_dma {
  sim_dma *next; /* of the free or the pending ones */
  int32_t site;  /* of its start */
  int from_chip, to_chip;
  sim_view from, to;
  int32_t sent, received; /* semaphores; sent is -1 of a local one */
  int64_t bytes;
  sim_clock clock; /* of its start */
  bool departed, arrived;
  /* epochs of chips by which they were sure that it has read, has written; 0:
   * not yet */
  uint32_t read_known[SIM_CHIPS_MAX], write_known[SIM_CHIPS_MAX];
  sim_claim reads, writes;
  bool claims_source, claims_target;
  double sent_us, came_us; /* of a trace */
  char *staged;            /* bytes on the way between chips, and their taint */
};

/* Starts a local DMA, or puts a remote one into the outbox. False after a
 * hazard: no room for more. */
bool sim_dma_start(sim_chip *chip, const sim_inst *inst, const sim_view *from,
                   const sim_view *to, int32_t sent, int32_t received,
                   int target);
/* Something is sent to a chip that may not have begun. */
void sim_check_begun(sim_chip *chip, int32_t site, int target);
/* Moves the bytes of a local one, and counts them. */
void sim_dma_run(sim_chip *chip, sim_dma *dma);
/* The chip is sure that it is over: its claims on the chip's memory end. */
void sim_dma_known(sim_chip *chip, sim_dma *dma);
/* Gives it back if nobody claims anything for it any more. */
void sim_dma_release(sim_chip *chip, sim_dma *dma);
/* All local ones that are pending. */
void sim_dma_run_all(sim_chip *chip);

/* Tells a semaphore of what is on its way to it. False if there is no room. */
bool sim_semaphore_announce(sim_chip *chip, sim_semaphore *semaphore,
                            int64_t amount, const sim_clock *clock,
                            sim_dma *dma, double us);

/* Takes `amount`; NULL and SIM_WAITING if it is not there yet. */
const sim_inst *sim_semaphore_wait(sim_chip *chip, const sim_inst *inst,
                                   int32_t semaphore, int64_t amount);
int64_t sim_semaphore_read(sim_chip *chip, int32_t semaphore);

/* A chance for others to go on first, and for DMAs to end. Returns `next`, or
 * NULL and SIM_PAUSED. */
const sim_inst *sim_pause(sim_chip *chip, const sim_inst *next);

/* At the end of a memory's life: its semaphores are zero. */
void sim_check_left(sim_chip *chip, int32_t site, sim_memory *memory);

/* "semaphore 2 of scratch 5" */
#define SIM_SEMAPHORE_NAME 80
const char *sim_semaphore_name(const sim_chip *chip, int32_t semaphore,
                               char text[SIM_SEMAPHORE_NAME]);

uint64_t sim_random(sim_chip *chip);

#endif

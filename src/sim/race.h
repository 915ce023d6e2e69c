/* Who may touch what when: the accesses of cores and DMAs to memory, held
 * against each other by what their chips can know of each other's time.
 *
 * Cores share no memory, so in every race there is a DMA. A memory keeps the
 * claims of DMAs that its chip is not sure to be over; each access is held
 * against them. Where other chips' DMAs may write, it also keeps a history of
 * accesses, which such a DMA is held against when it is announced. */
#ifndef PFL_SIM_RACE_H
#define PFL_SIM_RACE_H

#include "sim/dma.h"

enum { SIM_HISTORY_MAX = 256 };

typedef struct sim_past {
  sim_view view;
  uint32_t epoch; /* of the memory's chip */
  int32_t site;
  bool writes;
} sim_past;

/* The latest accesses, a ring. */
struct sim_history {
  int64_t count;
  sim_past past[SIM_HISTORY_MAX];
};

/* The core reads or writes `view`. */
void sim_access(sim_chip *chip, const sim_inst *inst, const sim_view *view,
                bool writes);

/* A DMA is to read or write: it is held against the claims of others, and gets
 * one. `chip` is that of the memory. */
void sim_claim_add(sim_chip *chip, sim_dma *dma, bool writes);
void sim_claim_end(sim_chip *chip, sim_dma *dma, bool writes);

/* A DMA of another chip will write here: it is held against the past. */
void sim_claim_past(sim_chip *chip, const sim_dma *dma);

#endif

/* Times of a trace: a rough model, to see what overlaps and what waits. A
 * chip's core does one thing after the other; its DMAs share one queue to HBM;
 * each link to a neighbour is a queue. docs/simulator.md has the numbers. */
#ifndef PFL_SIM_TIMELINE_H
#define PFL_SIM_TIMELINE_H

#include <stdint.h>

#include "sim/slice.h"

typedef struct sim_chip sim_chip;
typedef struct sim_dma sim_dma;
typedef struct sim_inst sim_inst;

enum { SIM_SCOPES_MAX = 16 };

typedef struct sim_timeline {
  double now_us;
  double dma_free_us, link_free_us[SIM_CHIPS_MAX];
  double step_us;       /* when the grid's step began */
  double work_us;       /* when the work that is going on began */
  const sim_inst *work; /* its first instruction, or NULL */
  int scopes;           /* open ones, and how they began */
  struct {
    const char *name;
    int32_t site;
    double begin_us;
  } scope[SIM_SCOPES_MAX];
} sim_timeline;

/* All do nothing, and give 0, where nobody traces. */

/* The instruction was executed. */
void sim_time_inst(sim_chip *chip, const sim_inst *inst);
/* Bytes begin to go between HBM and the chip: when they are there. */
double sim_time_transfer(sim_chip *chip, int32_t site, int64_t bytes);
/* A DMA begins: sets its sent_us and came_us. */
void sim_time_dma(sim_chip *chip, sim_dma *dma);
/* When a signal that is given now is there. */
double sim_time_signal(const sim_chip *chip, int target);
/* The core waits until then. */
void sim_time_wait(sim_chip *chip, int32_t site, double until_us);

void sim_time_step(sim_chip *chip, int32_t site);
void sim_time_scope_begin(sim_chip *chip, int32_t site, const char *name);
void sim_time_scope_end(sim_chip *chip);
/* The last work ends. */
void sim_time_end(sim_chip *chip);

#endif

/* A chip at work: registers, memories, semaphores, DMAs under way.
 *
 * A chip runs on one host thread at a time and touches nothing of another's.
 * What goes to another chip waits in the outbox until all chips have stopped;
 * then one thread carries it over (slice.c). So a run is the same whatever the
 * threads do. Nothing here allocates while a chip runs. */
#ifndef PFL_SIM_CHIP_H
#define PFL_SIM_CHIP_H

#include "base/threads.h"
#include "cpu/kernels.h"
#include "sim/code.h"
#include "sim/lanes.h"
#include "sim/timeline.h"
#include "sim/view.h"

typedef struct sim_dma sim_dma;
typedef struct sim_history sim_history;

/* What each chip had done when something happened: event e of chip c is known
 * to whoever has epoch[c] >= e. */
typedef struct sim_clock {
  uint32_t epoch[SIM_CHIPS_MAX];
} sim_clock;

/* ---- Memory -------------------------------------------------------------- */

/* An access of a DMA to a memory, until the chip that owns the memory knows
 * that it is over. */
typedef struct sim_claim {
  struct sim_claim *next;
  sim_dma *dma;
  bool writes;
} sim_claim;

struct sim_memory {
  const sim_memory_plan *plan;
  uint8_t *bytes;
  uint64_t *written; /* a bit a byte; NULL: all is */
  uint64_t *stored;  /* likewise, tainted or not */
  int64_t unwritten; /* bytes */
  uint32_t taint;    /* the site + 1 that last stored what was not written */
  int number;        /* among the chip's */
  int chip;
  sim_claim *claims;
  sim_history *history; /* where other chips may write, or NULL */
};

/* ---- Semaphores ---------------------------------------------------------- */

/* One addition to a semaphore, that has come or is on its way. */
typedef struct sim_signal {
  struct sim_signal *next;
  int64_t amount;
  sim_clock clock; /* of who gave it */
  sim_dma *dma;    /* whose end it tells, or NULL */
  double us;       /* of a trace: when it has come */
} sim_signal;

typedef struct sim_semaphore {
  int64_t value;       /* has come and was not taken */
  sim_signal *signals; /* come or on their way, that are not surely taken */
  int64_t given;       /* their amounts together */
  int64_t taken;       /* of these; less than 0: known ones were more */
  int memory, index;   /* the memory that it is of, and where in it */
} sim_semaphore;

/* ---- The chip ------------------------------------------------------------ */

typedef enum sim_state {
  SIM_RUNNING,
  SIM_WAITING, /* for a semaphore */
  SIM_PAUSED,  /* others may go on first */
  SIM_ENDED,
  SIM_FAILED /* a hazard that it cannot go on from */
} sim_state;

/* What a chip sends to another. */
typedef struct sim_message {
  int target;
  int32_t semaphore, site;
  int64_t amount; /* of a signal */
  sim_clock clock;
  sim_dma *dma; /* or NULL: a signal */
  double us;    /* of a trace: when it arrives */
} sim_message;

enum {
  SIM_DMAS_MAX = 4096,    /* under way, of one chip */
  SIM_SIGNALS_MAX = 8192, /* not settled, of one chip */
  SIM_OUTBOX_MAX = 1024
};

typedef struct sim_window_state sim_window_state; /* window.h */

/* Large memory that a slice keeps from run to run. */
enum { SIM_BLOCKS = 7 };

typedef struct sim_block {
  void *memory;
  int64_t bytes;
} sim_block;

struct sim_chip {
  const sim_program *program;
  const sim_lanes *lanes;
  const cpu_kernels *kernels;
  const sim_options *options;
  base_threads *threads; /* for what is large, or NULL: others use them */
  int number, chips;
  sim_state state;
  const sim_inst *pc;
  sim_scalar *scalars;
  uint8_t **vectors; /* pointers into the arena */
  uint32_t *taints;  /* of vectors: 0, or the site + 1 that read it */
  uint8_t **shadows; /* of tainted ones: a byte an element, 0 if it is not */
  sim_view *views;
  sim_memory *memories;
  sim_semaphore *semaphores;
  void *product;                /* scratch of matmul */
  int64_t step, steps;          /* of the grid */
  bool backwards[SIM_RANK_MAX]; /* along parallel axes of the grid */
  sim_window_state *windows;
  sim_dma *dmas;      /* SIM_DMAS_MAX, of which the first have been used */
  sim_dma *free_dmas; /* and given back */
  int used_dmas, used_signals;
  sim_dma *pending; /* local ones that have moved nothing yet */
  sim_signal *signals, *free_signals;
  sim_message *outbox;
  int outbox_count;
  int32_t waits_for; /* the semaphore, while SIM_WAITING */
  int64_t waits_amount;
  uint32_t pause_odds; /* in 1024ths, of letting others go on first */
  int polls;           /* semaphores read since others went on */
  uint64_t random;
  int64_t ops_left;
  mo_arena arena;    /* of what a run needs */
  sim_block *blocks; /* and what is too large for it */
  sim_clock clock;
  sim_timeline time;
  sim_statistics statistics;
  sim_hazard hazards[SIM_HAZARDS_MAX];
  int32_t hazard_sites[SIM_HAZARDS_MAX];
  int hazard_count;
  bool more_hazards;
};

static inline void *sim_data(const sim_chip *chip, sim_slot slot) {
  return slot.kind == SIM_VECTOR ? (void *)chip->vectors[slot.index]
                                 : (void *)&chip->scalars[slot.index];
}

static inline uint32_t sim_taint(const sim_chip *chip, sim_slot slot) {
  return slot.kind == SIM_VECTOR ? chip->taints[slot.index]
                                 : chip->scalars[slot.index].taint;
}

static inline void sim_set_taint(sim_chip *chip, sim_slot slot,
                                 uint32_t taint) {
  if (slot.kind == SIM_VECTOR)
    chip->taints[slot.index] = taint;
  else
    chip->scalars[slot.index].taint = taint;
}

/* Whether a vector operand moves on with the result. */
static inline int sim_step(sim_slot slot) { return slot.kind == SIM_VECTOR; }

/* ---- Hazards (hazard.c) -------------------------------------------------- */

/* Notes a hazard at the op of `site` (-1: none). */
__attribute__((format(printf, 4, 5))) void sim_hazard_add(sim_chip *chip,
                                                          sim_hazard_kind kind,
                                                          int32_t site,
                                                          const char *format,
                                                          ...);

/* The same for one that the chip cannot go on from: returns NULL, for the
 * instruction to return. */
__attribute__((format(printf, 4, 5))) const sim_inst *sim_hazard_stop(
    sim_chip *chip, sim_hazard_kind kind, const sim_inst *inst,
    const char *format, ...);

/* "vector.load at attention.c:12", in `text`. */
#define SIM_PLACE_SIZE 160
const char *sim_place(const sim_program *program, int32_t site,
                      char text[SIM_PLACE_SIZE]);

#endif

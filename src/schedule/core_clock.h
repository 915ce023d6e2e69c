/* The clockwork of one core: when each bundle issues, and what it waited for.
 *
 * Issue is in order, a bundle a cycle at most. A bundle waits for the registers
 * that it reads and for the heads of the result queues that it pops; the matrix
 * units, the cross-lane units and the transcendental unit work behind it. */
#ifndef PFL_SCHEDULE_CORE_CLOCK_H
#define PFL_SCHEDULE_CORE_CLOCK_H

#include "schedule/schedule_model.h"
#include "schedule/schedule_program.h"

/* Where a cycle goes. */
#define SCHEDULE_CAUSE_LIST(X)                          \
  X(ISSUE, "issue", "a bundle issues")                  \
  X(MXU, "mxu", "waits for a matrix unit's result")     \
  X(XLU, "xlu", "waits for a cross-lane unit's result") \
  X(EUP, "eup", "waits for a transcendental's result")  \
  X(VECTOR, "vector", "waits for a vector register")    \
  X(SCALAR, "scalar", "waits for a scalar register")    \
  X(DMA, "dma", "waits for a DMA")                      \
  X(SEMAPHORE, "semaphore", "waits for a semaphore, or another chip")

typedef enum schedule_cause {
#define SCHEDULE_CAUSE_ENUM(name, word, what) SCHEDULE_CAUSE_##name,
  SCHEDULE_CAUSE_LIST(SCHEDULE_CAUSE_ENUM)
#undef SCHEDULE_CAUSE_ENUM
      SCHEDULE_CAUSES
} schedule_cause;

const char *schedule_cause_name(schedule_cause cause);
const char *schedule_cause_meaning(schedule_cause cause);

#define CORE_QUEUE 1024 /* results in flight; more than any unit holds */

/* Times at which results are there, first in first out. What is pushed beyond
 * its size pushes out the oldest, which are there long since. */
typedef struct core_queue {
  int64_t times[CORE_QUEUE];
  uint32_t head, tail;
} core_queue;

typedef struct core_mxu {
  int64_t free, port_free, weights; /* times: unit, weight port, new weights */
  core_queue results;
} core_mxu;

typedef struct core_xlu {
  int64_t free;
  int pushes; /* of the transpose that is open */
  core_queue results, transposed;
} core_xlu;

typedef struct core_clock {
  int64_t now; /* the cycle in which the next bundle may issue */
  int64_t ready[VLIW_REGISTERS + 1];
  core_mxu mxus[VLIW_MXUS];
  core_xlu xlus[VLIW_XLUS];
  core_queue eup, scalars;
  int64_t mxu_busy[VLIW_MXUS]; /* cycles worked */
  int mxu_latency[VLIW_MXUS], int8_lead;
  int push[2], push_latency[2]; /* plain, transposed */
  int xlu_latency[VLIW_XLUS];
  int xlu, transpose_latency, eup_latency, scalar_latency;
} core_clock;

void core_clock_start(core_clock *core, const schedule_model *model);

/* Issues a bundle: `now` moves past it. Cycles that it waited are added to
 * stalls[the cause]. */
void core_clock_issue(core_clock *core, const schedule_program *program,
                      const vliw_bundle *bundle,
                      int64_t stalls[SCHEDULE_CAUSES]);

#endif

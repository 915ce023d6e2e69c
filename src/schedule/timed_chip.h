/* One chip while it executes: clock, scalar memory, sync flags, DMAs. */
#ifndef PFL_SCHEDULE_TIMED_CHIP_H
#define PFL_SCHEDULE_TIMED_CHIP_H

#include "base/memory.h"
#include "schedule/schedule_run.h"

/* ---- Scalar values ------------------------------------------------------- */

/* A 32-bit value, 0 to 2^32 - 1, or below 0 what keeps it from being known. Of
 * two unknown operands the lower decides what the result is unknown for. */
typedef int64_t chip_value;

#define CHIP_UNSET (-1)    /* never written; or an instruction not known */
#define CHIP_VECTOR (-2)   /* out of the vector side */
#define CHIP_OPERAND (-16) /* minus i: the contents of operand i */

static inline bool timed_known(chip_value value) { return value >= 0; }

/* ---- Memory -------------------------------------------------------------- */

#define CHIP_FRAMES 4             /* programs within each other */
#define CHIP_SMEM_FRAME (1 << 20) /* words that each has for its own */
#define CHIP_SMEM_WORDS (CHIP_SMEM_FRAME * CHIP_FRAMES)
#define CHIP_PAGE 1024 /* words that come into being together */
#define CHIP_PAGES (CHIP_SMEM_WORDS / CHIP_PAGE)
#define CHIP_FLAGS (1 << 14)
#define CHIP_FLAGS_SCOPED 512 /* where those of a program's own begin */
#define CHIP_FLAGS_FRAME 3968
#define CHIP_EVENTS_MAX (1 << 20)

/* An operand in memory, with what is known of its contents. */
typedef struct chip_region {
  schedule_space space;
  int64_t start, size; /* in 32 bytes; in words for SMEM */
  int64_t operand;
  const uint32_t *words;
  int64_t count;
} chip_region;

/* What will be added to a sync flag. */
typedef struct chip_event {
  double time;
  int64_t amount;
  bool unsized; /* as much as is waited for; `time`: when it can begin */
  double bytes_per_amount; /* what that adds to the traffic */
  schedule_traffic *traffic;
  int32_t next;
} chip_event;

typedef struct chip_flag {
  int64_t count;
  int32_t first, last; /* events in the order of time; -1: none */
} chip_flag;

typedef struct chip_frame {
  const schedule_program *program;
  int profile;              /* index */
  int64_t pc;               /* the bundle to come */
  int64_t jump_at, jump_to; /* a branch's delay slots end there; -1: none */
  int64_t started;          /* the cycle in which it was called */
  chip_value *values;       /* registers below VLIW_VECTORS, then operands */
  uint32_t *names;          /* what each register holds */
  chip_value popped[8];     /* sync flags read and not yet taken */
  uint32_t pop_head, pop_tail;
} chip_frame;

typedef enum chip_state { CHIP_RUNS, CHIP_SYNCS, CHIP_DONE } chip_state;

typedef struct chip_slice chip_slice;

typedef struct chip {
  chip_slice *slice;
  int index; /* in the slice; the number the program knows it by */
  int place; /* x + 2 y */
  core_clock core;
  chip_state state;
  double hbm_free; /* when the HBM queue is */
  int64_t **smem;  /* pages of values, each plus CHIP_BIAS: 0 and pages that
                      are not there were never written */
  chip_flag *flags;
  base_text events; /* chip_event */
  int32_t free_event;
  base_text regions; /* chip_region */
  chip_frame frames[CHIP_FRAMES];
  int depth;
  int64_t core_since; /* cycle at which the core span begins that is open */
} chip;

#define CHIP_BIAS ((int64_t)1 << 16)

/* All chips of a run. */
struct chip_slice {
  const schedule_request *request;
  const pfl_allocator *allocator;
  schedule_result *result;
  chip chips[SCHEDULE_CHIPS_MAX];
  int count;
  double link_free[SCHEDULE_CHIPS_MAX][SCHEDULE_CHIPS_MAX];
  int64_t cycle_limit;
  pfl_error *error;
};

/* ---- timed_chip.c
 * ---------------------------------------------------------------
 */

PFL_NODISCARD pfl_status timed_create(chip_slice *slice, int index);
void timed_destroy(chip *chip);

/* Starts a program: `arguments` (may be NULL) are its operands as the caller
 * hands them over. */
PFL_NODISCARD pfl_status timed_enter(chip *chip,
                                     const schedule_program *program,
                                     const chip_value *arguments, int count);
void timed_leave(chip *chip);

static inline chip_frame *timed_top(chip *c) {
  return &c->frames[c->depth - 1];
}

/* The profile of the program that runs. */
schedule_profile *timed_profile(chip *chip);

/* An address in memory: the allocation's, in the running program. */
chip_value timed_symbol(const chip *chip, const schedule_program *program,
                        int32_t symbol);

chip_value timed_smem_load(const chip *chip, chip_value address);
void timed_smem_store(chip *chip, chip_value address, chip_value value);

/* Notes it once for each bundle. */
void timed_warn(chip *chip, schedule_warning_kind kind);
void timed_span(chip *chip, const schedule_span *span);

/* "NAME: bundle 0x1c", for messages. */
const char *timed_where(const chip *chip, char buffer[160]);

/* ---- timed_flags.c ------------------------------------------------------- */

/* Will add `event` to the flag. */
PFL_NODISCARD pfl_status timed_flag_expect(chip *chip, int64_t flag,
                                           const chip_event *event);

/* The time at which the flag fulfils the comparison, as far as is known now;
 * INFINITY if nothing known brings it about. */
double timed_flag_when(chip *chip, int64_t flag, vliw_comparison comparison,
                       int64_t amount);

/* The flag at `time`: what came until then is in it. */
int64_t timed_flag_at(chip *chip, int64_t flag, double time);

/* ---- timed_dma.c --------------------------------------------------------- */

/* Starts the DMA of the running bundle, now. */
PFL_NODISCARD pfl_status timed_dma(chip *chip, const vliw_dma *dma);

/* Adds to a flag of another chip; arrives later. */
PFL_NODISCARD pfl_status timed_signal(chip *chip, chip_value address,
                                      chip_value amount);

/* ---- scalar_unit.c ------------------------------------------------------- */

/* What an operand comes to. */
chip_value timed_evaluate(chip *chip, const vliw_value *value);

/* The result of an instruction that only computes. */
chip_value timed_compute(const vliw_instruction *instruction,
                         const chip_value arguments[3]);

/* ---- timed_run.c --------------------------------------------------------- */

/* Runs until a bundle that concerns the world outside the core (CHIP_SYNCS),
 * which is issued but not executed, or the end (CHIP_DONE). */
PFL_NODISCARD pfl_status timed_advance(chip *chip);

/* When that bundle can execute; INFINITY: it waits for what nobody sent. */
double timed_when(chip *chip);

/* Executes it at that time. */
PFL_NODISCARD pfl_status timed_sync(chip *chip, double time);

#endif

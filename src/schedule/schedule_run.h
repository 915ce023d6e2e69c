/* Executing compiled kernels without their chip: the scalar side exactly, the
 * vector side by the clock.
 *
 *   schedule_request request = {.programs = &kernel, .program_count = 1,
 *                               .model = schedule_model_default()};
 *   schedule_result result;
 *   PFL_TRY(schedule_run(&request, &allocator, &result, error));
 *   printf("%lld cycles\n", (long long)result.cycles);
 *   schedule_result_release(&result, &allocator);
 *
 * What the scalars come to decides what is executed: trip counts, skipped
 * blocks, the sizes of DMAs. Contents of operands that a kernel reads into its
 * scalar side (lengths, page tables) are inputs. */
#ifndef PFL_SCHEDULE_RUN_H
#define PFL_SCHEDULE_RUN_H

#include "schedule/core_clock.h"
#include "schedule/schedule_model.h"
#include "schedule/schedule_program.h"

#define SCHEDULE_CHIPS_MAX 4
/* Of a run that names none: two thirds of a second of a v5e's time. */
#define SCHEDULE_CYCLE_LIMIT 1000000000

/* The contents of one operand, as they lie in its memory. */
typedef struct schedule_input {
  int64_t operand; /* its index */
  const uint32_t *words;
  int64_t count;
  const char *program; /* the start of its name; NULL: of any but a top one */
} schedule_input;

/* A name by which a program is called too. */
typedef struct schedule_alias {
  const char *name;
  const schedule_program *program;
} schedule_alias;

typedef struct schedule_request {
  /* [0] is executed; calls find the others by name. */
  const schedule_program *const *programs;
  int64_t program_count;
  const schedule_alias *aliases;
  int64_t alias_count;
  const schedule_input *inputs; /* of every program but a top one */
  int64_t input_count;
  int chips;           /* 1, or 4: a 2x2 slice that runs it jointly; 0: 1 */
  int64_t cycle_limit; /* 0: SCHEDULE_CYCLE_LIMIT */
  int64_t span_limit;  /* spans to keep for a trace */
  schedule_model model;
} schedule_request;

/* What moved, by where from and where to. */
typedef struct schedule_traffic {
  int64_t count, bytes;
} schedule_traffic;

/* One program on one chip: what each of its bundles took. */
typedef struct schedule_profile {
  const schedule_program *program;
  int chip;
  int64_t calls;
  int64_t cycles;                     /* with the programs that it calls */
  int64_t causes[SCHEDULE_CAUSES];    /* without them */
  uint64_t *counts;                   /* by bundle: times executed */
  int64_t (*stalls)[SCHEDULE_CAUSES]; /* by bundle; ISSUE stays 0 */
  int64_t mxu_busy[VLIW_MXUS];
  schedule_traffic traffic[SCHEDULE_SPACES][SCHEDULE_SPACES];
  schedule_traffic remote; /* to other chips; not in `traffic` */
} schedule_profile;

/* Something that took its time, for a trace. */
#define SCHEDULE_SPAN_LIST(X) \
  X(PROGRAM, "program")       \
  X(CORE, "core")             \
  X(WAIT, "wait")             \
  X(HBM, "hbm")               \
  X(LOCAL, "local dma")       \
  X(LINK, "link")

typedef enum schedule_span_kind {
#define SCHEDULE_SPAN_ENUM(name, word) SCHEDULE_SPAN_##name,
  SCHEDULE_SPAN_LIST(SCHEDULE_SPAN_ENUM)
#undef SCHEDULE_SPAN_ENUM
      SCHEDULE_SPAN_KINDS
} schedule_span_kind;

typedef struct schedule_span {
  schedule_span_kind kind;
  int chip, to_chip;
  schedule_space from, to;
  const schedule_program *program;
  int64_t bundle; /* that started it */
  int64_t bytes;
  int64_t start, end; /* cycles */
} schedule_span;

/* Something that a reader of the numbers must know. */
#define SCHEDULE_WARNING_LIST(X)                                            \
  X(BRANCH, "branches on what is not known here: not taken")                \
  X(PREDICATE, "executes under a predicate that is not known")              \
  X(STORE, "stores to an SMEM address that is not known")                   \
  X(FLAG, "uses a sync flag that is not known")                             \
  X(SIZE, "moves as many bytes as is not known: as many as are waited for") \
  X(WAIT, "waits for what never comes: taken as come")                      \
  X(CALL, "calls what has no listing here")                                 \
  X(HALT, "halts the chip: a check of the kernel failed")                   \
  X(UNKNOWN, "is not interpreted")                                          \
  X(NAME, "reads a register that holds another value than it says")         \
  X(REMOTE, "sends to a chip that is not there")

typedef enum schedule_warning_kind {
#define SCHEDULE_WARNING_ENUM(name, what) SCHEDULE_WARNING_##name,
  SCHEDULE_WARNING_LIST(SCHEDULE_WARNING_ENUM)
#undef SCHEDULE_WARNING_ENUM
      SCHEDULE_WARNINGS
} schedule_warning_kind;

typedef struct schedule_warning {
  schedule_warning_kind kind;
  const schedule_program *program;
  int64_t bundle;
  int64_t count;
} schedule_warning;

const char *schedule_warning_text(schedule_warning_kind kind);

typedef struct schedule_result {
  int64_t cycles; /* until the last chip is done */
  int chips;
  schedule_profile *profiles; /* program by program, chip by chip in each */
  int64_t profile_count;
  schedule_warning *warnings;
  int64_t warning_count;
  schedule_span *spans;
  int64_t span_count;
  int64_t spans_dropped;
  base_text lists[2]; /* the memory of the last two */
} schedule_result;

/* INVALID_ARGUMENT: a scalar input that decides is missing, or too short.
 * FAILED_PRECONDITION: chips that wait for each other.
 * DEADLINE_EXCEEDED: the cycle limit. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status schedule_run(const schedule_request *request,
                                      const pfl_allocator *allocator,
                                      schedule_result *out_result,
                                      pfl_error *error);

void schedule_result_release(schedule_result *result,
                             const pfl_allocator *allocator);

#endif

/* The simulated slice: up to four v5e chips on a 2 x 2 mesh that execute Mosaic
 * modules in memory.
 *
 *   sim_kernel kernel = {.module = module,
 *                        .operands = (sim_tensor[]){q, k, v}, .operand_count =
 * 3, .results = (sim_tensor[]){o}, .result_count = 1};
 *   PFL_TRY(sim_program_create(&kernel, &allocator, &program, error));
 *   PFL_TRY(sim_slice_create(&options, &allocator, &slice, error));
 *   sim_run run = {.chips = 1, .operands = {(void *[]){q, k, v}},
 *                  .results = {(void *[]){o}}};
 *   PFL_TRY(sim_slice_run(slice, program, &run, &report, error));
 *
 * The chips are hostile if asked: memory starts poisoned, DMAs end as early or
 * as late as the rules allow, chips get ahead of each other, all chosen by the
 * seed. The same seed gives the same run whatever the number of host threads.
 * What a kernel does that a real chip need not put up with is a hazard;
 * docs/simulator.md has the list and the model. Hazards are looked for in every
 * run, hostile or not. */
#ifndef PFL_SIM_SLICE_H
#define PFL_SIM_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "mosaic/ir.h"
#include "pallas_flash/context.h"

#define SIM_CHIPS_MAX 4

/* ---- Programs ------------------------------------------------------------ */

/* An array of HBM: row-major, the last dimension innermost, without padding. An
 * i1 or an i4 takes a byte. */
typedef struct sim_tensor {
  mo_element element;
  int rank; /* 0 .. MO_RANK_MAX */
  const int64_t *shape;
} sim_tensor;

/* A result that takes the place of an operand, by their numbers. */
typedef struct sim_alias {
  int result;
  int operand;
} sim_alias;

/* A call of a kernel, its buffers apart. Operands are the prefetched scalars,
 * then the others; with results they are the arguments of the kernel's
 * function between grid indices and scratch. */
typedef struct sim_kernel {
  const mo_module *module;
  const sim_tensor *operands;
  int operand_count;
  const sim_tensor *results;
  int result_count;
  const sim_alias *aliases;
  int alias_count;
  bool has_communication;   /* it may use its barrier semaphore */
  int32_t collective_id;    /* which one that is */
  int64_t vmem_limit_bytes; /* 0: 16 MiB, the compiler's default on a v5e */
} sim_kernel;

/* A kernel made ready to run: immutable, and independent of the module, whose
 * places in source files it copies. Any number of runs may share it. */
typedef struct sim_program sim_program;

/* UNIMPLEMENTED: an op, type or attribute that this machine does not know; the
 * message names it and where it was written. INVALID_ARGUMENT: the module
 * breaks a rule (mo_verify), or the tensors do not fit its arguments.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status sim_program_create(const sim_kernel *kernel,
                                            const pfl_allocator *allocator,
                                            sim_program **out_program,
                                            pfl_error *error);
void sim_program_destroy(sim_program *program);

/* ---- Hazards ------------------------------------------------------------- */

/* X(NAME, name, what it is) */
#define SIM_HAZARD_LIST(X)                                                    \
  X(UNWRITTEN, "unwritten", "what was never written decides or is a result")  \
  X(EARLY_READ, "early read", "a DMA's destination is read before the wait")  \
  X(EARLY_WRITE, "early write",                                               \
    "a DMA's source or destination is written before the wait")               \
  X(RACE, "race", "two DMAs, or chips, write, or write and read, unordered")  \
  X(BOUNDS, "bounds", "an index, slice or window off the end")                \
  X(CAPACITY, "capacity", "more memory than there is")                        \
  X(DEADLOCK, "deadlock", "everybody waits")                                  \
  X(SEMAPHORE, "semaphore", "a semaphore not zero at the end, or below zero") \
  X(ROUTE, "route", "a remote DMA that a v5e cannot route")                   \
  X(ALIGNMENT, "alignment",                                                   \
    "a slice that cuts tiles, a multiple that is none")                       \
  X(OPERAND, "operand",                                                       \
    "an operand is written that no result takes the place of")                \
  X(DIVISION, "division", "an integer divided by zero")                       \
  X(ENDLESS, "endless", "more steps than the limit")

typedef enum sim_hazard_kind {
#define SIM_HAZARD_ENUM(name, text, meaning) SIM_HAZARD_##name,
  SIM_HAZARD_LIST(SIM_HAZARD_ENUM)
#undef SIM_HAZARD_ENUM
      SIM_HAZARD_COUNT
} sim_hazard_kind;

const char *sim_hazard_name(sim_hazard_kind kind);

#define SIM_HAZARD_TEXT 320
#define SIM_HAZARDS_MAX 64

/* Strings are the program's. */
typedef struct sim_hazard {
  sim_hazard_kind kind;
  int chip;
  const char *op;   /* "tpu.enqueue_dma"; NULL where no op is to blame */
  const char *file; /* of the kernel, or NULL */
  int line;
  int64_t times; /* how often it was met at this op */
  char text[SIM_HAZARD_TEXT];
} sim_hazard;

/* Summed over chips. Counted, not timed. */
typedef struct sim_statistics {
  int64_t steps;        /* of grids */
  int64_t ops;          /* executed */
  int64_t matmul_flops; /* 2 m n k */
  int64_t window_bytes; /* moved between HBM and windows */
  int64_t dmas;         /* that the kernel started itself */
  int64_t dma_bytes;    /* they moved */
  int64_t remote_dmas;  /* of these, to another chip */
  int64_t remote_bytes;
  int64_t signals, waits;
  int64_t unwritten_bytes; /* of results, that nothing was stored to */
  int64_t vmem_bytes;      /* the largest of any chip, padded to tiles */
  int64_t smem_bytes;
} sim_statistics;

/* "bounds: vector.load at attention.c:12, chip 0: ...", cut to `size`. Returns
 * `text`. */
const char *sim_hazard_text(const sim_hazard *hazard, char *text, size_t size);

typedef struct sim_report {
  sim_statistics statistics;
  int hazard_count; /* kept; at most one an op and kind */
  bool more_hazards;
  sim_hazard hazards[SIM_HAZARDS_MAX];
} sim_report;

/* ---- Runs ---------------------------------------------------------------- */

/* What a trace is told: a span on one of a chip's tracks. The times are a rough
 * model's (docs/simulator.md), the order and the overlap those of the run. */
typedef enum sim_track {
  SIM_TRACK_CORE,
  SIM_TRACK_DMA,
  SIM_TRACK_LINK
} sim_track;

typedef struct sim_span {
  int chip;
  sim_track track;
  int peer;         /* of LINK: the chip at the other end */
  const char *name; /* of an op, a trace scope or a wait; the program's */
  const char *file;
  int line;
  double begin_us, end_us;
  int64_t bytes;
} sim_span;

typedef void sim_trace_fn(void *user, const sim_span *span);

/* All zero is the default. */
typedef struct sim_options {
  int chips;   /* of the slice, 1 .. 4; 0: 4 */
  int threads; /* of the host; 0: every CPU. Chips share them, one chip alone
                  has all */
  bool hostile;
  uint64_t seed;
  int64_t step_limit;  /* ops a chip may execute in a run; 0: 2^40 */
  sim_trace_fn *trace; /* called by one thread at a time; NULL: none */
  void *trace_user;
} sim_options;

/* Chips with their memory, and the host's threads. A slice runs one program at
 * a time; slices are independent. */
typedef struct sim_slice sim_slice;

PFL_NODISCARD pfl_status sim_slice_create(const sim_options *options,
                                          const pfl_allocator *allocator,
                                          sim_slice **out_slice,
                                          pfl_error *error);
void sim_slice_destroy(sim_slice *slice);

/* Takes another seed, hostility or trace for the runs to come; chips and
 * threads must be what they were. */
void sim_slice_set(sim_slice *slice, const sim_options *options);

/* Each chip 0 .. chips - 1 runs the program on its own buffers: operands[chip]
 * and results[chip] hold a pointer a tensor, of any alignment. Operands are
 * read alone, but for one whose alias has the same pointer as result; where it
 * has another, the operand's bytes are copied there first. */
typedef struct sim_run {
  int chips; /* 1 .. those of the slice */
  void *const *operands[SIM_CHIPS_MAX];
  void *const *results[SIM_CHIPS_MAX];
} sim_run;

/* Runs to completion. *out_report (may be NULL) is filled whatever the status.
 * FAILED_PRECONDITION: a hazard; the message is the first one, op and kernel
 * line included, with the seed, and the results are not to be used.
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status sim_slice_run(sim_slice *slice,
                                       const sim_program *program,
                                       const sim_run *run,
                                       sim_report *out_report,
                                       pfl_error *error);

#endif

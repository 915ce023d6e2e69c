/* A kernel made ready to run: a flat list of instructions, each a function and
 * its data, with every operand, shape and jump resolved beforehand.
 *
 * Values live in three files: scalars in registers, vectors in one arena whose
 * places are shared out by liveness, references as views. A vector all of whose
 * elements are one scalar is a splat and stays in the scalar's register. */
#ifndef PFL_SIM_CODE_H
#define PFL_SIM_CODE_H

#include "mosaic/arena.h"
#include "mosaic/ir.h"
#include "sim/slice.h"
#include "sim/strided.h"

typedef struct sim_chip sim_chip;
typedef struct sim_inst sim_inst;

/* Returns what comes next: inst + 1, a jump's target, or NULL if the chip
 * stops for now: its state says why, and its pc where to go on. */
typedef const sim_inst *sim_run_fn(sim_chip *chip, const sim_inst *inst);

/* What does the work, in a trace. */
typedef enum sim_unit {
  SIM_UNIT_SCALAR,
  SIM_UNIT_VECTOR,
  SIM_UNIT_MATRIX
} sim_unit;

struct sim_inst {
  sim_run_fn *run;
  const void *data;
  int32_t site; /* of the op, for messages */
  int32_t to;   /* of a jump: how many instructions on, or back */
  float cycles; /* that it takes, roughly */
  int32_t unit; /* sim_unit */
};

typedef struct sim_site {
  const char *op, *file;
  int line;
} sim_site;

typedef enum sim_kind {
  SIM_NOTHING,
  SIM_SCALAR,
  SIM_SPLAT,
  SIM_VECTOR,
  SIM_VIEW
} sim_kind;

/* Where a value is. */
typedef struct sim_slot {
  uint8_t kind, element;
  int32_t index; /* of a register, a vector or a view */
  int64_t count; /* elements; 1 of a scalar */
} sim_slot;

/* A register. An element lies in its first bytes as in memory; integers are
 * sign-extended to 64 bits. */
typedef struct sim_scalar {
  union {
    int64_t i;
    float f;
    uint8_t bytes[8];
  };
  uint32_t
      taint; /* 0, or the site + 1 that read it where nothing was written */
} sim_scalar;

/* ---- Memory -------------------------------------------------------------- */

typedef enum sim_origin {
  SIM_FROM_OPERAND, /* the caller's bytes */
  SIM_FROM_RESULT,
  SIM_OWN,
  SIM_BARRIER /* the semaphore of the collective_id */
} sim_origin;

/* A piece of memory that each chip has. */
typedef struct sim_memory_plan {
  char name[48]; /* "scratch 2", for messages */
  sim_origin origin;
  int tensor; /* of FROM_OPERAND, FROM_RESULT: its number */
  mo_space space;
  mo_element element;
  int element_bytes; /* 0 of semaphores */
  int rank;
  int64_t shape[SIM_RANK_MAX];
  int64_t bytes;
  int64_t at;         /* of OWN: its place in the chip's block */
  int64_t written_at; /* its bits' place, in words, or -1: always written */
  int64_t semaphores, semaphore_at;
  bool remote; /* another chip may write to it */
} sim_memory_plan;

/* A window: what of a tensor in HBM is brought, or taken back, each step. */
typedef struct sim_window {
  int memory;     /* of HBM */
  int buffers[2]; /* memories; the same one where there is only one */
  int view;       /* of the kernel's argument */
  bool result;
  bool once;    /* brought once, before the first step */
  bool element; /* the map gives elements, not blocks */
  int rank;
  int64_t block[SIM_RANK_MAX];
  int32_t map;                  /* its first instruction */
  int32_t blocks[SIM_RANK_MAX]; /* registers that the map fills */
} sim_window;

/* A whole operand that is copied to VMEM or SMEM before, or back after. */
typedef struct sim_transfer {
  int hbm, chip; /* memories */
  bool back;
} sim_transfer;

/* A view that a run begins with: all of a memory. */
typedef struct sim_whole {
  int view, memory;
} sim_whole;

struct sim_program {
  mo_arena arena;
  sim_kernel kernel; /* its lists copied; module is NULL */
  const sim_inst *code;
  int code_count;
  sim_site *sites;
  int site_count;
  const sim_scalar *scalars; /* what registers hold at first */
  int scalar_count;
  const int64_t *vectors; /* places in the arena, bytes */
  int vector_count;
  int64_t arena_bytes;
  int view_count;
  sim_memory_plan *memories;
  int memory_count;
  int64_t block_bytes, written_words, semaphore_count;
  int barrier; /* its memory, or -1 */
  sim_window *windows;
  int window_count;
  const sim_transfer *transfers;
  int transfer_count;
  const sim_whole *wholes;
  int whole_count;
  int grid_rank;
  int64_t grid[SIM_RANK_MAX];
  bool parallel[SIM_RANK_MAX];
  int32_t grid_registers[SIM_RANK_MAX]; /* of the body */
  int32_t body;                         /* its first instruction */
  int64_t vmem_bytes, smem_bytes;       /* padded to tiles */
  int64_t product_bytes;                /* scratch of the largest product */
};

/* Bytes of an element in memory; 0 of semaphores. */
int sim_element_bytes(mo_element element);

#endif

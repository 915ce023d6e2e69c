/* A compiled TPU kernel as its final listing tells it, held so that it can be
 * executed: bundles, each with what it costs the core and what its scalar side
 * does.
 *
 *   schedule_program *program;
 *   PFL_TRY(schedule_program_read(path, &allocator, &program, error));
 *   ...
 *   schedule_program_destroy(program);
 *
 * The listing is libtpu's `*-final_bundles.txt`. Two files of the same dump are
 * read too where they lie beside it: the slots that each bundle uses
 * (`*-final_hlo-static-per-bundle-utilization.txt`) and the addresses of the
 * allocations (`*-post-delay-converter.txt`). A program does not change once it
 * is read; any number of threads may run it. */
#ifndef PFL_SCHEDULE_PROGRAM_H
#define PFL_SCHEDULE_PROGRAM_H

#include "base/text.h"
#include "schedule/vliw_ops.h"

/* The registers of a v5e core, in one numbering. */
enum {
  VLIW_SCALARS = 0,     /* s0 .. s31, 32 bits */
  VLIW_PREDICATES = 32, /* p0 .. p15, of the scalar side */
  VLIW_VECTORS = 48,    /* v0 .. v63, 8 x 128 x 32 bits */
  VLIW_MASKS = 112,     /* vm0 .. vm15 */
  VLIW_REGISTERS = 128,
  VLIW_OPERANDS = 128, /* and on: the kernel's operands, which are constants */
  VLIW_MXUS = 4,
  VLIW_XLUS = 3
};

/* Where SMEM spills go that no file places: after all else, in words. */
#define SCHEDULE_SPILLS (1u << 19)

/* The columns of the utilisation file, and how many slots a bundle has of each.
 * FILL and SPILL slots are counted in VLOAD and VSTORE too. */
#define SCHEDULE_UNIT_LIST(X)        \
  X(MATMUL, "matmul", 4)             \
  X(MATPUSH, "matpush", 4)           \
  X(XLU, "xlu", 3)                   \
  X(VALU, "valu", 4)                 \
  X(VPOP, "vpop", 2)                 \
  X(EUP, "eup", 1)                   \
  X(VLOAD, "vload", 3)               \
  X(VLOAD_FILL, "vload_fill", 3)     \
  X(VSTORE, "vstore", 1)             \
  X(VSTORE_SPILL, "vstore_spill", 1) \
  X(SALU, "salu", 2)

typedef enum schedule_unit {
#define SCHEDULE_UNIT_ENUM(name, word, slots) SCHEDULE_UNIT_##name,
  SCHEDULE_UNIT_LIST(SCHEDULE_UNIT_ENUM)
#undef SCHEDULE_UNIT_ENUM
      SCHEDULE_UNITS
} schedule_unit;

const char *schedule_unit_name(schedule_unit unit);
int schedule_unit_slots(schedule_unit unit);

typedef enum schedule_space {
  SCHEDULE_NOWHERE,
  SCHEDULE_HBM,   /* addressed in 512 bytes; in 32 where a DMA is told */
  SCHEDULE_VMEM,  /* likewise */
  SCHEDULE_SMEM,  /* words of 4 bytes */
  SCHEDULE_SFLAG, /* sync flags, by number */
  SCHEDULE_SPACES
} schedule_space;

/* A scalar operand: the sum of up to two registers, an allocation's address
 * and a constant. */
typedef struct vliw_value {
  int16_t registers[2]; /* -1: none */
  int32_t symbol;       /* index of an allocation; -1: none */
  uint32_t constant;
  uint32_t names[2]; /* what the listing says each register holds */
} vliw_value;

/* One slot of the scalar side, or one that moves data or waits. */
typedef struct vliw_instruction {
  uint8_t action;      /* vliw_action */
  uint8_t comparison;  /* of COMPARE and WAIT: vliw_comparison */
  uint8_t type;        /* vliw_type of the operands */
  bool negated;        /* executes if the predicate is false */
  bool remote;         /* of FLAG_ADD: a chip's flag, not ours */
  bool transfer;       /* of WAIT: for a DMA, not for a semaphore; of
                          POP_SCALAR: a sync flag, not a vector's */
  int16_t predicate;   /* register; -1: always */
  int16_t destination; /* register; -1: none */
  uint32_t predicate_name, destination_name;
  uint32_t extra; /* region of BRANCH; index of a dma or call */
  int argument_count;
  vliw_value arguments[3];
} vliw_instruction;

typedef enum vliw_comparison {
  VLIW_EQ,
  VLIW_NE,
  VLIW_LT,
  VLIW_LE,
  VLIW_GT,
  VLIW_GE
} vliw_comparison;

typedef enum vliw_type { VLIW_U32, VLIW_S32, VLIW_F32 } vliw_type;

typedef struct vliw_dma {
  schedule_space from, to;
  bool general; /* addressed by an override: another chip, perhaps */
  vliw_value source, destination, size; /* size in 32 bytes */
  vliw_value flag, source_flag, target; /* registers -1, symbol -1: none */
} vliw_dma;

typedef struct vliw_call {
  const char *callee; /* the HLO that is called, "" if the listing hides it */
  uint32_t arguments; /* where its own begin */
  int argument_count;
} vliw_call;

/* What a slot does to the core's clockwork. */
typedef enum vliw_effect_kind {
  VLIW_WRITES, /* nothing but its register */
  VLIW_MATMULS,
  VLIW_PUSHES,
  VLIW_POPS_MXU,
  VLIW_POPS_XLU,
  VLIW_POPS_TRANSPOSE,
  VLIW_POPS_EUP,
  VLIW_POPS_SCALAR,
  VLIW_STARTS_EUP,
  VLIW_STARTS_SCALAR, /* a vector's value on its way to the scalar side */
  VLIW_STARTS_XLU,
  VLIW_TRANSPOSE_START,
  VLIW_TRANSPOSE_MORE,
  VLIW_TRANSPOSE_END
} vliw_effect_kind;

typedef struct vliw_effect {
  uint8_t kind;
  uint8_t unit;        /* which MXU or XLU */
  uint8_t cycles;      /* of a matmul: that it keeps its MXU */
  uint8_t results;     /* of a matmul: registers that come of it */
  uint8_t latency;     /* until `destination` may be used */
  uint8_t destination; /* register; VLIW_REGISTERS: none */
  bool alternate;      /* a matmul that takes new weights; a transposed push */
} vliw_effect;

/* A place in the kernel's source. */
typedef struct vliw_line {
  int32_t file; /* index into files */
  int32_t line;
} vliw_line;

typedef struct vliw_bundle {
  uint32_t effects, reads, instructions, lines; /* where its own begin */
  uint16_t effect_count, read_count, instruction_count, line_count;
  uint16_t delay; /* cycles that it adds */
  bool pops;      /* waits for results of the MXU, XLU or EUP */
  bool syncs;     /* moves data, waits, calls or touches sync flags */
} vliw_bundle;

/* A slot count by name: what the vector side executes. */
typedef struct schedule_operand {
  int64_t index;
  schedule_space space; /* NOWHERE: a scalar, handed over as it is */
  char type[8];         /* "bf16" */
  char shape[64];       /* "8,4096,128" */
  int64_t bytes;        /* without padding */
  bool output;
} schedule_operand;

typedef struct schedule_symbol {
  char *name; /* "#allocation7" */
  schedule_space space;
  bool absolute;    /* the same place in every kernel */
  bool spill;       /* of registers, by the compiler */
  bool placed;      /* a file tells the address; otherwise it is ours */
  uint32_t address; /* in the space's unit */
  int64_t size;     /* bytes; 0: unknown */
  char *tag;        /* what the compiler says of it, or "" */
} schedule_symbol;

typedef struct schedule_unknown {
  char *name;
  int64_t count;
} schedule_unknown;

/* The arrays of a program. */
typedef enum schedule_list {
  SCHEDULE_LIST_BUNDLES,
  SCHEDULE_LIST_EFFECTS,
  SCHEDULE_LIST_READS,
  SCHEDULE_LIST_INSTRUCTIONS,
  SCHEDULE_LIST_DMAS,
  SCHEDULE_LIST_CALLS,
  SCHEDULE_LIST_ARGUMENTS, /* vliw_value, of calls */
  SCHEDULE_LIST_LINES,
  SCHEDULE_LIST_FILES,
  SCHEDULE_LIST_REGIONS,
  SCHEDULE_LIST_OPERANDS,
  SCHEDULE_LIST_SYMBOLS,
  SCHEDULE_LIST_SLOTS,
  SCHEDULE_LIST_UNKNOWN,
  SCHEDULE_LIST_STRINGS, /* char *, all that was kept */
  SCHEDULE_LISTS
} schedule_list;

typedef struct schedule_program {
  pfl_allocator allocator;
  char *path, *name; /* name: "flash_forward.1" */
  bool top;          /* the program around the kernels */

  vliw_bundle *bundles;
  int64_t bundle_count;
  vliw_effect *effects;
  int64_t effect_count;
  uint8_t *reads; /* registers that a bundle waits for */
  int64_t read_count;
  vliw_instruction *instructions;
  int64_t instruction_count;
  vliw_dma *dmas;
  int64_t dma_count;
  vliw_call *calls;
  vliw_value *call_arguments;
  int64_t call_argument_count;
  int64_t call_count;
  vliw_line *lines;
  int64_t line_count;
  char **files;
  int64_t file_count;
  int64_t *regions; /* bundle where region i starts; -1: nowhere */
  int64_t region_count;
  schedule_operand *operands;
  int64_t operand_count;
  schedule_symbol *symbols;
  int64_t symbol_count;

  uint8_t (*slots)[SCHEDULE_UNITS]; /* by bundle; NULL: no utilisation file */
  bool placed;                      /* the symbols' addresses are real */
  int64_t vmem_bytes, smem_bytes;   /* scoped, where `placed` */

  /* Instructions that are not in vliw_ops.h, and how often they stand there. */
  schedule_unknown *unknown;
  int64_t unknown_count;

  base_text lists[SCHEDULE_LISTS]; /* the memory of all that */
} schedule_program;

/* NOT_FOUND; INVALID_ARGUMENT says where the listing is no listing of a v5e,
 * is cut short or contradicts itself; RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status schedule_program_read(const char *path,
                                               const pfl_allocator *allocator,
                                               schedule_program **out_program,
                                               pfl_error *error);

/* The same from memory: `utilization` and `allocations` may be NULL. */
typedef struct schedule_texts {
  const char *path; /* for messages, and for the name */
  const char *listing, *utilization, *allocations;
  size_t listing_length, utilization_length, allocations_length;
} schedule_texts;

PFL_NODISCARD pfl_status schedule_program_parse(const schedule_texts *texts,
                                                const pfl_allocator *allocator,
                                                schedule_program **out_program,
                                                pfl_error *error);

void schedule_program_destroy(schedule_program *program);

#endif

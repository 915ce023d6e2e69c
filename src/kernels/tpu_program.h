/* TPU programs for attention problems: kernels written with mosaic/builder.h,
 * and what whoever compiles or runs them must know of their tensors.
 *
 *   kernels_request request = {.op = KERNELS_FORWARD, .problem = &problem,
 *                              .target = "v5e:2x2", .lse = true};
 *   kernels_program program;
 *   PFL_TRY(kernels_write(&request, &allocator, &program, error));
 *   ...                                          xla/lower.h makes XLA's of it
 *   kernels_program_release(&program);
 *
 * Tensors go by the names they have in files: q k v o lse do dlse dq dk dv
 * q_segment_ids kv_segment_ids sinks dsinks k_scale v_scale lengths
 * block_table; of append also new_k new_v new_k_scale new_v_scale counts. */
#ifndef PFL_KERNELS_TPU_PROGRAM_H
#define PFL_KERNELS_TPU_PROGRAM_H

#include "attention/problem.h"
#include "mosaic/builder.h"

enum {
  KERNELS_RANK_MAX = 8,
  KERNELS_TENSORS_MAX = 16, /* inputs, or outputs, of one kernel */
  KERNELS_MAX = 4,          /* kernels of a program */
  KERNELS_TILES_MAX = 8
};

/* ---- Chips ----------------------------------------------------------------
 */

/* What a plan goes by. */
typedef struct kernels_chip {
  const char *name;   /* "v5e", as topologies begin with it */
  int64_t vmem_bytes; /* of one core */
  int64_t smem_bytes;
  int mxu_size; /* 128: it multiplies by 128 x 128 */
  bool mxu_int8;
} kernels_chip;

extern const kernels_chip kernels_chips[];
extern const int kernels_chip_count;

/* A topology, "v5e:2x2", taken apart: its chip and how many there are.
 * INVALID_ARGUMENT names what there is. */
PFL_NODISCARD pfl_status kernels_target_find(const char *target,
                                             const kernels_chip **out_chip,
                                             int *out_chips, pfl_error *error);

/* ---- What is asked for -----------------------------------------------------
 */

/* X(NAME, word) */
#define KERNELS_OP_LIST(X) \
  X(FORWARD, "forward")    \
  X(BACKWARD, "backward")  \
  X(DECODE, "decode")      \
  X(APPEND, "append")

typedef enum kernels_op {
#define KERNELS_OP_ENUM(name, word) KERNELS_##name,
  KERNELS_OP_LIST(KERNELS_OP_ENUM)
#undef KERNELS_OP_ENUM
} kernels_op;

/* A number that a plan chose, or that somebody chose for it: "block_q", 512. */
typedef struct kernels_tile {
  const char *name;
  int64_t value;
} kernels_tile;

/* All zero is the default, but for op, the problem and target. */
typedef struct kernels_request {
  kernels_op op;
  const attention_problem *problem;       /* of forward and backward */
  const attention_decode_problem *decode; /* of decode and append */
  bool lse;                               /* forward, decode: wanted */
  bool segment_ids;                       /* forward, backward: given */
  bool sinks; /* given; backward then gives dsinks */
  bool d_lse; /* backward: given */
  const char *target;
  int chips;                 /* that share the work; 0: 1 */
  const kernels_tile *tiles; /* of the plan, chosen by the caller */
  int tile_count;
  /* Without tiles: a table of tuned ones (tuned_tiles.h) that goes before the
   * built-in one; NULL: none. */
  const char *tuned;
  bool untuned; /* by the plan's own rules */
} kernels_request;

/* ---- What is given ---------------------------------------------------------
 */

/* How a tensor is spread over chips: blocks of `unit` along a dimension of the
 * whole tensor, as files have it, go to the chips in turn; what is left over is
 * padding, never read and undefined. */
typedef struct kernels_split {
  bool split; /* else every chip has it whole */
  int dimension;
  int64_t unit;
} kernels_split;

/* On one chip. It has the elements of the tensor of that name in row-major
 * order, in a shape that may take dimensions together or apart, and may have
 * room for more: padding, at the end. Swapped, it has the tensor's shape but
 * that the last two dimensions have changed places. With rows of its own, its
 * last dimension holds one of the tensor's rows, which is shorter, and zeros.
 */
typedef struct kernels_tensor {
  const char *name;
  pfl_dtype dtype;
  int rank;
  int64_t shape[KERNELS_RANK_MAX];
  kernels_split split;
  int64_t row;   /* elements of the tensor's rows, which are padded; 0: not */
  bool repeats;  /* the row fills the last dimension, not zeros */
  bool swapped;  /* then it is not split, nor are its rows padded */
  bool pinned;   /* in HBM, XLA may not bring it to VMEM or make it there */
  bool internal; /* output: for the kernels after this one alone */
  bool in_place; /* output: takes the memory of the input of the same name,
                    which is gone then; the kernel writes some of it */
} kernels_tensor;

/* An input is the output of that name of an earlier kernel, or an argument of
 * the program. */
typedef struct kernels_kernel {
  const char *name;
  mo_module *module;
  kernels_tensor inputs[KERNELS_TENSORS_MAX], outputs[KERNELS_TENSORS_MAX];
  int input_count, output_count;
  int64_t flops, transcendentals; /* what XLA's scheduler is told */
  int64_t bytes_accessed, remote_bytes;
  int64_t vmem_limit_bytes;  /* 0: the compiler's default */
  bool communicates;         /* with other chips; collective id 0 */
  bool bounds_unchecked;     /* DMAs are in bounds: do not check at run time */
  bool semaphores_unchecked; /* they end at 0: do not check at run time */
} kernels_kernel;

typedef struct kernels_program {
  const char *name;
  int chips;
  kernels_kernel kernels[KERNELS_MAX];
  int kernel_count;
  kernels_tile tiles[KERNELS_TILES_MAX]; /* of its plan */
  int tile_count;
  char plan[256]; /* in words, for people */
  bool located;   /* to be written with the lines of source that ops are from:
                     set by whoever wants a simulator to name them */
} kernels_program;

/* Plans and writes. INVALID_ARGUMENT: a chip, number of chips, dtype or size
 * that is not supported (the message has the nearest that is), or tiles that
 * do not fit. RESOURCE_EXHAUSTED: no memory. On failure *out_program is empty.
 */
PFL_NODISCARD pfl_status kernels_write(const kernels_request *request,
                                       const pfl_allocator *allocator,
                                       kernels_program *out_program,
                                       pfl_error *error);
void kernels_program_release(kernels_program *program);

/* ---- Shared by the kernels -------------------------------------------------
 */

/* The tile called `name` of the request, or `otherwise`. */
int64_t kernels_tile_of(const kernels_request *request, const char *name,
                        int64_t otherwise);
void kernels_tile_add(kernels_program *program, const char *name,
                      int64_t value);

/* Adds to the lists of inputs or outputs; gives it, for what more there is to
 * say of it. */
kernels_tensor *kernels_input_add(kernels_kernel *kernel, const char *name,
                                  pfl_dtype dtype, mo_shape shape);
kernels_tensor *kernels_output_add(kernels_kernel *kernel, const char *name,
                                   pfl_dtype dtype, mo_shape shape);

mo_element kernels_element(pfl_dtype dtype);

#endif

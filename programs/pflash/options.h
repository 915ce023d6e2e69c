/* The options: one table, which the parser, --help and the manual read. */
#ifndef PFLASH_OPTIONS_H
#define PFLASH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commands.h"

/* X(NAME, name on the command line). */
#define OP_LIST(X)        \
  X(FORWARD, "forward")   \
  X(BACKWARD, "backward") \
  X(DECODE, "decode")

typedef enum op {
  OP_NONE,
#define OP_ENUM(name, word) OP_##name,
  OP_LIST(OP_ENUM)
#undef OP_ENUM
} op;

const char *op_name(op which);

/* X(NAME, name on the command line, what it is). The benchmark has the first
 * two. */
#define ON_LIST(X)                                 \
  X(CPU, "cpu", "this machine's CPU")              \
  X(SIM, "sim", "a v5e:2x2, simulated on the CPU") \
  X(TPU, "tpu", "the TPU of this machine, through libtpu")

typedef enum on_device {
  ON_NONE,
#define ON_ENUM(name, word, what) ON_##name,
  ON_LIST(ON_ENUM)
#undef ON_ENUM
} on_device;

/* The device asked for: CPU, if none was. */
struct cli_options;
on_device device_of(const struct cli_options *options);
const char *device_name(on_device which);

/* X(NAME, name on the command line, what it is). */
#define EMIT_LIST(X)                                            \
  X(MOSAIC, "mosaic", "the kernels, as text")                   \
  X(STABLEHLO, "stablehlo", "the program around them, as text") \
  X(EXECUTABLE, "executable", "what a PJRT plugin can load")    \
  X(LISTING, "listing", "a directory with the compiler's dumps")

typedef enum emit {
  EMIT_NONE,
#define EMIT_ENUM(name, word, what) EMIT_##name,
  EMIT_LIST(EMIT_ENUM)
#undef EMIT_ENUM
} emit;

const char *emit_name(emit which);

/* Numbers that help tells. */
#define PEERS_MAX 16 /* of one benchmark */
#define GIVEN_MAX 8  /* prices */
#define BENCH_WORDS 3 /* of `pflash bench compare A.json B.json` */
#define TILES_MAX 8  /* of a plan */
#define CHIPS_MAX 4  /* that one program runs on */
#define TIMEOUT_MAX 86400
#define INPUTS_MAX 16  /* of a schedule */
#define TUNINGS_MAX 16 /* of its model */

enum { SHAPE_MAX = 7 };

typedef struct cli_tile {
  char name[32];
  int64_t value;
} cli_tile;

/* A number of the cycle model. */
typedef struct cli_tuning {
  char name[40];
  double value;
} cli_tuning;

/* What was asked for. All zero: nothing was. A choice is 1 + its place in its
 * list, as the enums op, pfl_isa, pfl_dtype and page_style are; the strings are
 * argv's. */
typedef struct cli_options {
  bool help, version;
  int manual;
  int op, device, isa;
  const char *in, *out;
  bool causal, windowed;
  int64_t window_left, window_right;
  double softcap, scale;
  int threads;
  bool json;
  int64_t shape[SHAPE_MAX];
  int shape_rank;
  int dtype, cache_dtype; /* pfl_dtypes */
  int64_t page;           /* tokens; 0: the cache is contiguous */
  bool segments, sinks, lse;
  const char *target;
  int chips;
  cli_tile tiles[TILES_MAX];
  int tile_count;
  int emit;
  double timeout; /* seconds */
  bool verbose;
  const char *listing, *kernel;
  bool whole;
  const char *inputs[INPUTS_MAX]; /* "0=8192,4096" or "1=@FILE" */
  int input_count;
  double flops;
  const char *lengths, *calibration;
  cli_tuning tunings[TUNINGS_MAX];
  int tuning_count;
  int64_t limit; /* cycles */
  const char *tries[TILES_MAX]; /* "block_q=512,1024" */
  int try_count;
  int jobs;
  const char *tuned;
  const char *suite;
  uint64_t seed;
  const char *trace;
  const char *peers[PEERS_MAX];
  int peer_count;
  const char *given[GIVEN_MAX]; /* prices */
  int given_count;
  const char *words[BENCH_WORDS]; /* "compare", A, B */
  int word_count;
  int part, processes, process;
  const char *prices, *data, *plan;
  const char *journal_path, *json_path, *html_path, *csv_path;
  bool list;
  char *const *arguments; /* all of them, after the command */
  int argument_count;
} cli_options;

/* Whether an option was given, and whether what was asked for has a use for it.
 */
typedef struct option_use {
  const char *name;
  bool given, useful;
} option_use;

/* INVALID_ARGUMENT: one was given that "--op" (what) "decode" (value) has no use
 * for. */
PFL_NODISCARD pfl_status options_check_uses(const option_use *uses, int count,
                                            const char *what, const char *value,
                                            pfl_error *error);

typedef struct cli_option cli_option;

/* Reads `text` into the options; false if it is not what it must be. */
typedef bool option_read_fn(const cli_option *row, const char *text,
                            cli_options *options);

/* A row of the table. */
struct cli_option {
  unsigned commands;          /* bits 1 << COMMAND_..., of those that take it */
  const char *name;           /* "--op"; "LISTING": what stands alone */
  const char *const *choices; /* the words it may be, up to NULL; or NULL */
  const char *argument;       /* "X", unless there are choices */
  option_read_fn *read;       /* NULL: a flag, a bool at `slot` */
  size_t slot;                /* offset in cli_options, where `read` needs it */
  const char *must_be;        /* "a finite number", unless there are choices */
  unsigned required;          /* bits of those that cannot do without it */
  bool repeats;
  const char *help;
};

extern const cli_option option_table[];
extern const int option_count;

static inline bool option_is_for(const cli_option *row, command which) {
  return row->commands >> which & 1;
}

/* What follows the name: " X" or " a|b|c", or "" for a flag. */
void option_argument(const cli_option *row, char *out_text, size_t size);

/* Reads the arguments after the command's name, up to --help, --version or
 * their end. INVALID_ARGUMENT names the option, what it was and what it must
 * be. */
PFL_NODISCARD pfl_status options_parse(command which, int count,
                                       char *const *arguments,
                                       cli_options *out_options,
                                       pfl_error *error);

#endif

/* The benchmark: attention measured on this machine, beside what the machine
 * can do (its limits) and what others do on it (its peers).
 * docs/benchmark.md has the method, the peers' protocol and the JSON's schema.
 */
#ifndef PFL_BENCH_BENCH_H
#define PFL_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "pallas_flash/context.h"

/* X(NAME, name in options, what it is). */
#define BENCH_SUITE_LIST(X)                                              \
  X(QUICK, "quick", "the main rows, in about a minute")                  \
  X(CPU, "cpu", "shapes of no model, in every dtype, in some minutes")   \
  X(KERNEL, "kernel", "the attention of six models, one length each")    \
  X(TRAINING, "training", "forward and backward of the models, longer")  \
  X(DECODE, "decode", "one token of the models, short to long, batches") \
  X(FULL, "full", "all of the above, in an hour or more")                \
  X(SMOKE, "smoke", "tiny rows for tests; their times say nothing")

/* Of one benchmark. */
#define REPORT_PROCESSES_MAX 64

/* X(NAME, name in options, script under the peers' folder, what it is). */
#define BENCH_PEER_LIST(X)                                \
  X(TORCH, "torch", "torch_sdpa.py",                      \
    "PyTorch scaled_dot_product_attention; set up by "    \
    "bench/peers/setup_torch.sh")                         \
  X(TORCH_CUDA, "torch-cuda", "torch_cuda.py",            \
    "the same on the first CUDA device")                  \
  X(JAX, "jax", "jax_attention.py",                       \
    "jax.nn.dot_product_attention, by XLA, on JAX's own " \
    "device")                                             \
  X(LLAMA_CPP, "llama.cpp", "llama_cpp_ggml.py",          \
    "ggml_flash_attn_ext of llama.cpp, the operation alone")

/* What a benchmark does. X(NAME, name in options, what it is). */
#define BENCH_PART_LIST(X)                                                \
  X(ALL, "all", "measure here, and estimate what other devices would do") \
  X(MEASURED, "measured", "measure here alone")                           \
  X(ESTIMATED, "estimated", "estimate alone, and measure nothing")        \
  X(PREDICTED, "predicted",                                               \
    "of the suites training and decode, what the kernels take on a v5e")

typedef enum bench_part {
#define BENCH_PART_ENUM(name, text, what) BENCH_PART_##name,
  BENCH_PART_LIST(BENCH_PART_ENUM)
#undef BENCH_PART_ENUM
} bench_part;

/* All zero is the default. Strings are read during the call only. */
typedef struct bench_options {
  const char *suite; /* a name from BENCH_SUITE_LIST; NULL: "quick" */
  int32_t threads;   /* 0: each row on one thread and on every CPU the process
                        may run on; else on this many, at most 1024 */
  pfl_isa isa;       /* of the rows; the limits always use the CPU's newest */
  uint64_t seed;     /* of the tensors; 0: 1 */
  const char *const *peers; /* names from BENCH_PEER_LIST, or paths (with a '/')
                               of programs that speak the peers' protocol */
  int32_t peer_count;
  int32_t processes; /* that each row is measured in, one after the other (rule
                        28); 0: 1, at most 64 */
  int32_t process;   /* 1 + its place: measure its share of the rows into the
                        journal and tell nothing; 0: the whole */
  const char *const *self; /* what runs this program with these options, up to
                              NULL, for each process: --journal PATH and
                              --process N are put behind it. Needed for
                              processes > 1 */
  bench_part part;
  const char *data;   /* a directory of tables, as bench/data is one; NULL: what
                         is shipped (catalog.h) */
  const char *prices; /* a table of prices; NULL: that of the directory */
  const char *plan;   /* a plan (plan.h); NULL: what is shipped */
  const char *const *given; /* prices, "DEVICE=USD,DAY,SOURCE" (economy.h) */
  int32_t given_count;
  const char *journal_path; /* every finished row is kept here, and what is here
                               is not measured again; NULL: not kept */
  const char *json_path;    /* NULL: not written */
  const char *html_path;    /* NULL: not written */
  const char *csv_path;     /* NULL: not written */
  const char *command; /* the command line, for the report; NULL: not said */
  FILE *results;       /* the table; NULL: not printed */
  FILE *talk;          /* progress; NULL: none */
} bench_options;

/* Measures every row of the suite, prints the table, writes the reports (each
 * file as a whole or not at all; both are tried before anything is measured).
 * A peer that cannot be measured becomes a row with its reason.
 * INVALID_ARGUMENT: an unknown suite or peer, threads out of range, a journal
 * of another run, a table or a plan that is wrong. UNAVAILABLE: an instruction
 * set this CPU lacks, a process that ended badly. RESOURCE_EXHAUSTED: no
 * memory. INTERNAL: rows whose error is beyond the tolerance; the reports are
 * written all the same and say which. Others: a path that cannot be written. */
PFL_NODISCARD pfl_status bench_run(const bench_options *options,
                                   pfl_error *error);

/* Reads a report that bench_run wrote as JSON and tells it again: the table,
 * and the files whose paths are set; with today's tables, prices and plan. Of
 * the options it reads those, results, and the paths. */
PFL_NODISCARD pfl_status bench_report_again(const char *json_path,
                                            const bench_options *options,
                                            pfl_error *error);

/* Holds the report `b` against `a`, of the same cells: a table on results, and
 * JSON. INVALID_ARGUMENT: their workloads differ. */
PFL_NODISCARD pfl_status bench_compare(const char *a, const char *b,
                                       const bench_options *options,
                                       pfl_error *error);

/* Prints the suites with their rows, and the peers. */
void bench_list(FILE *out);

#endif

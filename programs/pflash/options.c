#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "bench/bench.h"
#include "bench_options.h"
#include "page.h"
#include "pallas_flash/context.h"
#include "pallas_flash/dtype.h"
#include "words.h"

#define WORD(name, word) word,
static const char *const op_words[] = {OP_LIST(WORD) NULL};
static const char *const isa_words[] = {PFL_ISA_LIST(WORD) NULL};
static const char *const manual_words[] = {PAGE_STYLE_LIST(WORD) NULL};
#undef WORD
#define WORD(name, word, what) word,
static const char *const emit_words[] = {EMIT_LIST(WORD) NULL};
static const char *const suite_words[] = {BENCH_SUITE_LIST(WORD) NULL};
static const char *const part_words[] = {BENCH_PART_LIST(WORD) NULL};
static const char *const device_words[] = {ON_LIST(WORD) NULL};
#undef WORD

/* The first of PFL_DTYPE_LIST, so that a choice is a pfl_dtype. */
static const char *const cache_dtype_words[] = {"f32", "bf16", "f16", "int8",
                                                NULL};
static const char *const dtype_words[] = {"f32", "bf16", "f16", NULL};
_Static_assert(PFL_DTYPE_F32 == 1 && PFL_DTYPE_BF16 == 2 &&
                   PFL_DTYPE_F16 == 3 && PFL_DTYPE_I8 == 4,
               "a choice is 1 + its place");

on_device device_of(const cli_options *options) {
  return options->device ? (on_device)options->device : ON_CPU;
}

const char *device_name(on_device which) { return device_words[which - 1]; }

const char *op_name(op which) { return which ? op_words[which - 1] : ""; }
const char *emit_name(emit which) { return which ? emit_words[which - 1] : ""; }

static void *slot(const cli_option *row, cli_options *options) {
  return (char *)options + row->slot;
}

static bool read_choice(const cli_option *row, const char *text,
                        cli_options *options) {
  for (int i = 0; row->choices[i]; i++)
    if (!strcmp(text, row->choices[i])) {
      *(int *)slot(row, options) = 1 + i;
      return true;
    }
  return false;
}

/* The same, kept as the word it is. */
static bool read_word(const cli_option *row, const char *text,
                      cli_options *options) {
  *(const char **)slot(row, options) = text;
  for (int i = 0; row->choices[i]; i++)
    if (!strcmp(text, row->choices[i])) return true;
  return false;
}

static bool read_path(const cli_option *row, const char *text,
                      cli_options *options) {
  *(const char **)slot(row, options) = text;
  return *text != 0;
}

/* The whole number that `text` starts with; *out_end is what follows it. */
static bool read_integer(const char *text, int64_t *out_value,
                         const char **out_end) {
  char *end;
  if (!isdigit((unsigned char)text[*text == '-'])) return false;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  *out_value = value;
  *out_end = end;
  return !errno;
}

static bool read_threads(const cli_option *row, const char *text,
                         cli_options *options) {
  int64_t value;
  const char *end;
  (void)row;
  if (!read_integer(text, &value, &end) || *end) return false;
  options->threads = (int)value;
  return value >= 1 && value <= BASE_THREADS_MAX;
}

static bool read_chips(const cli_option *row, const char *text,
                       cli_options *options) {
  int64_t value;
  const char *end;
  (void)row;
  if (!read_integer(text, &value, &end) || *end) return false;
  options->chips = (int)value;
  return value >= 1 && value <= CHIPS_MAX;
}

static bool read_page(const cli_option *row, const char *text,
                      cli_options *options) {
  const char *end;
  (void)row;
  return read_integer(text, &options->page, &end) && !*end &&
         options->page >= 1;
}

static bool read_shape(const cli_option *row, const char *text,
                       cli_options *options) {
  (void)row;
  for (int i = 0; i < SHAPE_MAX; i++) {
    if (!read_integer(text, &options->shape[i], &text)) return false;
    options->shape_rank = i + 1;
    if (options->shape[i] < 0) return false;
    if (!*text) return i + 2 >= SHAPE_MAX;
    if (*text++ != ',') return false;
  }
  return false;
}

static bool read_tile(const cli_option *row, const char *text,
                      cli_options *options) {
  cli_tile *tile = &options->tiles[options->tile_count];
  size_t length = strcspn(text, "=");
  (void)row;
  if (options->tile_count == TILES_MAX || !length || !text[length] ||
      length >= sizeof tile->name)
    return false;
  memcpy(tile->name, text, length);
  options->tile_count++;
  return read_integer(text + length + 1, &tile->value, &text) && !*text &&
         tile->value >= 1;
}

static bool read_seed(const cli_option *row, const char *text,
                      cli_options *options) {
  int64_t value;
  const char *end;
  (void)row;
  if (!read_integer(text, &value, &end) || *end || value < 1) return false;
  options->seed = (uint64_t)value;
  return true;
}

static bool read_processes(const cli_option *row, const char *text,
                           cli_options *options) {
  int64_t value;
  const char *end;
  if (!read_integer(text, &value, &end) || *end) return false;
  *(int *)slot(row, options) = (int)value;
  return value >= 1 && value <= REPORT_PROCESSES_MAX;
}

static bool read_window(const cli_option *row, const char *text,
                        cli_options *options) {
  const char *end;
  (void)row;
  options->windowed = true;
  return read_integer(text, &options->window_left, &end) && *end++ == ',' &&
         read_integer(end, &options->window_right, &end) && !*end &&
         options->window_left >= -1 && options->window_right >= -1;
}

/* The kernels compute in f32, so a number must be one there: finite, and not
 * rounded to 0 unless it is 0. */
static bool read_number(const char *text, double *out_value) {
  char *end;
  if (!*text || isspace((unsigned char)*text)) return false;
  *out_value = strtod(text, &end);
  double size = fabs(*out_value);
  return !*end && (size == 0 || (size >= FLT_MIN && size <= FLT_MAX));
}

static bool read_scale(const cli_option *row, const char *text,
                       cli_options *options) {
  (void)row;
  return read_number(text, &options->scale) && options->scale != 0;
}

static bool read_softcap(const cli_option *row, const char *text,
                         cli_options *options) {
  (void)row;
  return read_number(text, &options->softcap) && options->softcap >= 0;
}

static bool read_timeout(const cli_option *row, const char *text,
                         cli_options *options) {
  (void)row;
  return read_number(text, &options->timeout) && options->timeout > 0 &&
         options->timeout <= TIMEOUT_MAX;
}

static bool read_input(const cli_option *row, const char *text,
                       cli_options *options) {
  int64_t index;
  const char *end;
  (void)row;
  if (options->input_count == INPUTS_MAX) return false;
  options->inputs[options->input_count++] = text;
  return read_integer(text, &index, &end) && *end == '=' && end[1] &&
         index >= 0;
}

static bool read_model(const cli_option *row, const char *text,
                       cli_options *options) {
  const char *equals = strchr(text, '=');
  (void)row;
  if (options->tuning_count == TUNINGS_MAX || !equals || equals == text)
    return false;
  cli_tuning *tuning = &options->tunings[options->tuning_count++];
  size_t length = (size_t)(equals - text);
  if (length >= sizeof tuning->name) return false;
  memcpy(tuning->name, text, length);
  return read_number(equals + 1, &tuning->value);
}

static bool read_try(const cli_option *row, const char *text,
                     cli_options *options) {
  size_t length = strcspn(text, "=");
  (void)row;
  if (options->try_count == TILES_MAX || !length || !text[length] ||
      length >= sizeof(cli_tile){0}.name)
    return false;
  options->tries[options->try_count++] = text;
  for (text += length;;) {
    int64_t value;
    if (!read_integer(text + 1, &value, &text) || value < 1) return false;
    if (!*text) return true;
    if (*text != ',') return false;
  }
}

static bool read_jobs(const cli_option *row, const char *text,
                      cli_options *options) {
  int64_t value;
  const char *end;
  (void)row;
  if (!read_integer(text, &value, &end) || *end) return false;
  options->jobs = (int)value;
  return value >= 1 && value <= BASE_THREADS_MAX;
}

static bool read_limit(const cli_option *row, const char *text,
                       cli_options *options) {
  const char *end;
  return read_integer(text, (int64_t *)slot(row, options), &end) && !*end &&
         *(int64_t *)slot(row, options) >= 1;
}

static bool read_flops(const cli_option *row, const char *text,
                       cli_options *options) {
  (void)row;
  return read_number(text, &options->flops) && options->flops > 0;
}

#define DIGITS_(number) #number
#define DIGITS(number) DIGITS_(number)
#define THREADS "1 to " DIGITS(BASE_THREADS_MAX)
#define PROCESSES "1 to " DIGITS(REPORT_PROCESSES_MAX)
#define TELL(name, word, what) " " word ": " what "."
#define TELL_PEER(name, word, script, what) TELL(name, word, what)
#define OR_PEER(name, word, script, what) word ", "
#define PEERS              \
  BENCH_PEER_LIST(OR_PEER) \
  "or the path, with a '/', of a program; " DIGITS(PEERS_MAX) " at most"

#define NONE (1u << COMMAND_NONE)
#define RUN (1u << COMMAND_RUN)
#define COMPILE (1u << COMMAND_COMPILE)
#define SCHEDULE (1u << COMMAND_SCHEDULE)
#define TUNE (1u << COMMAND_TUNE)
#define BENCH (1u << COMMAND_BENCH)
#define REPORT (1u << COMMAND_REPORT)
#define INFO (1u << COMMAND_INFO)
#define SLOT(field) offsetof(cli_options, field)

/* In the order in which help tells them. */
const cli_option option_table[] = {
    {RUN | COMPILE | SCHEDULE | TUNE, "--op", .choices = op_words, .read = read_choice,
     .slot = SLOT(op), .required = RUN | COMPILE | TUNE,
     .help = "What to compute."},
    {RUN, "--device", .choices = device_words, .read = read_choice,
     .slot = SLOT(device),
     .help = "Where to compute it; cpu if not given." ON_LIST(TELL)},
    {RUN, "--in", .argument = "IN.safetensors", .read = read_path,
     .slot = SLOT(in), .must_be = "a path", .required = RUN,
     .help = "The file that holds the tensors to read."},
    {RUN, "--out", .argument = "OUT.safetensors", .read = read_path,
     .slot = SLOT(out), .must_be = "a path", .required = RUN,
     .help = "The file to write; it appears, or changes, only when all is "
             "done. It must not be the one that --in names."},
    {COMPILE | SCHEDULE | TUNE, "--shape", .argument = "B,Hq,Hkv,Sq,Sk,D[,Dv]",
     .read = read_shape, .required = COMPILE | TUNE,
     .must_be = "B,Hq,Hkv,Sq,Sk,D or B,Hq,Hkv,Sq,Sk,D,Dv, integers >= 0",
     .help = "The sizes, as under pflash run; for decode T stands for Sq and "
             "Smax for Sk."},
    {COMPILE, "--emit", .choices = emit_words, .read = read_choice,
     .slot = SLOT(emit), .required = COMPILE,
     .help = "What to write." EMIT_LIST(TELL)},
    {COMPILE, "--out", .argument = "PATH", .read = read_path,
     .slot = SLOT(out), .must_be = "a path", .required = COMPILE,
     .help = "The file, or for a listing the directory, to write; it appears, "
             "or changes, only when all is done. A directory must be empty or "
             "hold an earlier listing, which goes. - is standard output, for "
             "text."},
    {COMPILE | SCHEDULE | TUNE, "--dtype", .choices = dtype_words, .read = read_choice,
     .slot = SLOT(dtype), .help = "Of the tensors; bf16 if not given."},
    {COMPILE | SCHEDULE | TUNE, "--cache-dtype", .choices = cache_dtype_words,
     .read = read_choice, .slot = SLOT(cache_dtype),
     .help = "Of decode's cache: --dtype's, which is the default, or int8."},
    {COMPILE | SCHEDULE | TUNE, "--page", .argument = "N", .read = read_page,
     .must_be = "an integer >= 1",
     .help = "Decode with a paged cache, of pages of N tokens, as many as "
             "hold all sequences."},
    {RUN | COMPILE | SCHEDULE | TUNE, "--causal", .slot = SLOT(causal),
     .help = "A query sees no key after its own position: query i of Sq sees "
             "keys up to i + Sk - Sq. Decode always is causal."},
    {RUN | COMPILE | SCHEDULE | TUNE, "--window", .argument = "LEFT,RIGHT", .read = read_window,
     .must_be = "LEFT,RIGHT, two integers >= -1",
     .help = "A query at position p sees keys p - LEFT to p + RIGHT; -1 leaves "
             "a side open."},
    {RUN | COMPILE | SCHEDULE | TUNE, "--softcap", .argument = "X", .read = read_softcap,
     .must_be = "a finite number >= 0 that F32 can hold",
     .help = "A score s becomes X tanh(s / X); 0, the default, leaves it."},
    {RUN | COMPILE | SCHEDULE | TUNE, "--scale", .argument = "X", .read = read_scale,
     .must_be = "a finite number other than 0 that F32 can hold",
     .help = "What Q K^T is multiplied with; 1 / sqrt(D) if not given."},
    {COMPILE | SCHEDULE | TUNE, "--segments", .slot = SLOT(segments),
     .help = "With segment ids: a query sees only keys of its own."},
    {COMPILE | SCHEDULE | TUNE, "--sinks", .slot = SLOT(sinks),
     .help = "With attention sinks, a score of each query head."},
    {COMPILE | SCHEDULE | TUNE, "--lse", .slot = SLOT(lse),
     .help = "The program gives lse as well, as backward needs it."},
    {COMPILE | SCHEDULE | TUNE, "--target", .argument = "CHIP:SIZES", .read = read_path,
     .slot = SLOT(target), .must_be = "a chip and its topology, as v5e:2x2",
     .help = "The chip and the topology to compile for; v5e:2x2 if not "
             "given."},
    {COMPILE | SCHEDULE | TUNE, "--chips", .argument = "N", .read = read_chips,
     .must_be = "an integer, 1 to " DIGITS(CHIPS_MAX),
     .help = "Chips of the target that share the work; 1 if not given."},
    {COMPILE | SCHEDULE | TUNE, "--tile", .argument = "NAME=VALUE", .read = read_tile,
     .repeats = true,
     .must_be = "NAME=VALUE, an integer >= 1; " DIGITS(TILES_MAX) " at most",
     .help = "A number of the plan, in place of the one that would be chosen; "
             "may be given more than once. The names are those that the "
             "command prints."},
    {COMPILE | SCHEDULE | TUNE, "--timeout", .argument = "SECONDS", .read = read_timeout,
     .must_be = "a number > 0, at most " DIGITS(TIMEOUT_MAX),
     .help = "How long the TPU compiler may take; 300 if not given."},
    {COMPILE, "--verbose", .slot = SLOT(verbose),
     .help = "Print what the TPU compiler said, on standard error. A place like "
             "loc(\"-\":45:14) is line 45 of the kernel as --emit mosaic has "
             "it."},
    {SCHEDULE, "LISTING", .read = read_path, .slot = SLOT(listing),
     .must_be = "a path",
     .help = "A directory with the compiler's dumps, as pflash compile makes "
             "it, or one *-final_bundles.txt."},
    {SCHEDULE, "--kernel", .argument = "NAME", .read = read_path,
     .slot = SLOT(kernel), .must_be = "a name",
     .help = "Only the kernel of that name; the names are those that the "
             "command prints."},
    {SCHEDULE, "--whole", .slot = SLOT(whole),
     .help = "The whole program: what XLA does around the kernels too."},
    {SCHEDULE, "--input", .argument = "INDEX=VALUES", .read = read_input,
     .repeats = true,
     .must_be = "INDEX=VALUES or INDEX=@FILE; " DIGITS(INPUTS_MAX) " at most",
     .help = "The contents of operand INDEX of the kernel, where its scalar "
             "side reads them (lengths, page tables): 32-bit integers in the "
             "order of memory, with commas between them, or a file of them."},
    {SCHEDULE, "--flops", .argument = "N", .read = read_flops,
     .must_be = "a number > 0",
     .help = "Useful FLOPs of the kernel, to tell how well the chip is used; "
             "with --op they are known."},
    {SCHEDULE | TUNE, "--lengths", .argument = "N,...", .read = read_path,
     .slot = SLOT(lengths), .must_be = "integers >= 0 with commas between",
     .help = "Decode: tokens that each sequence has in the cache, the last one "
             "for those that follow; Smax if not given."},
    {SCHEDULE | TUNE, "--calibration", .argument = "FILE", .read = read_path,
     .slot = SLOT(calibration), .must_be = "a path",
     .help = "A JSON file of numbers that were measured, in place of those of "
             "the model (docs/cycle-model.md)."},
    {SCHEDULE | TUNE, "--model", .argument = "NAME=VALUE", .read = read_model,
     .repeats = true,
     .must_be = "NAME=VALUE, a number; " DIGITS(TUNINGS_MAX) " at most",
     .help = "One number of the model, hop_us=1.5 for instance; may be given "
             "more than once. --json prints them all."},
    {TUNE, "--try", .argument = "NAME=VALUE,...", .read = read_try,
     .repeats = true,
     .must_be = "NAME=VALUE,..., integers >= 1; " DIGITS(TILES_MAX) " at most",
     .help = "Values to try of one number of the plan; may be given more than "
             "once, and then only those numbers are tried, every value with "
             "every other. If not given, each number in turn is doubled and "
             "halved for as long as that helps."},
    {TUNE, "--jobs", .argument = "N", .read = read_jobs,
     .must_be = "an integer, " THREADS,
     .help = "Programs that are compiled at once; one for each CPU that the "
             "process may run on if not given."},
    {TUNE, "--out", .argument = "TABLE", .read = read_path, .slot = SLOT(out),
     .must_be = "a path",
     .help = "Put the best tiles into this table, in place of the row that it "
             "has for the same sizes; none, where the plan's own do as well, "
             "within 0.5 %. src/kernels/tuned_rows.inc is such a table."},
    {TUNE, "--journal", .argument = "FILE", .read = read_path,
     .slot = SLOT(journal_path), .must_be = "a path",
     .help = "Keep every program's cycles in this file as soon as they are "
             "known, and compile none again that is in it: an interrupted "
             "search goes on where it was."},
    {COMPILE | SCHEDULE, "--tuned", .argument = "TABLE",
     .read = read_path, .slot = SLOT(tuned), .must_be = "a path",
     .help = "A table of tiles, written by pflash tune, that is looked into "
             "before the built-in one."},
    {SCHEDULE | TUNE, "--limit", .argument = "CYCLES", .read = read_limit,
     .slot = SLOT(limit), .must_be = "an integer >= 1",
     .help = "Give up after so many; a billion if not given."},
    {SCHEDULE, "--trace", .argument = "FILE", .read = read_path,
     .slot = SLOT(trace), .must_be = "a path",
     .help = "Write what happens when to this file, as a trace for "
             "ui.perfetto.dev."},
    {RUN, "--chips", .argument = "N", .read = read_chips,
     .must_be = "an integer, 1 to " DIGITS(CHIPS_MAX),
     .help = "Chips of sim or tpu that share the work; 1 if not given."},
    {RUN, "--seed", .argument = "N", .read = read_seed,
     .must_be = "an integer >= 1",
     .help = "Of sim's malice: what its memory holds at first, when its copies "
             "end, which chip gets ahead; 1 if not given. The results do not "
             "depend on it."},
    {RUN, "--trace", .argument = "FILE", .read = read_path,
     .slot = SLOT(trace), .must_be = "a path",
     .help = "Write what sim's chips did, by a rough clock, to this file, for "
             "ui.perfetto.dev."},
    {RUN, "--threads", .argument = "N", .read = read_threads,
     .must_be = "an integer, " THREADS,
     .help = "Threads to compute with, " THREADS "; one for each CPU that the "
             "process may run on if not given. The results do not depend on "
             "it."},
    {BENCH, "compare A.json B.json", .read = read_comparison, .repeats = true,
     .must_be = "compare, and two reports",
     .help = "Measure nothing, but hold two reports against each other, which "
             "must be of the same cells."},
    {REPORT, "REPORT.json", .read = read_path, .slot = SLOT(in),
     .must_be = "a path", .required = REPORT,
     .help = "A report that pflash bench --json wrote."},
    {BENCH, "--suite", .choices = suite_words, .read = read_word,
     .slot = SLOT(suite),
     .help = "What to measure; quick if not given." BENCH_SUITE_LIST(TELL)},
    {BENCH, "--device", .argument = "NAME", .read = read_bench_device,
     .repeats = true, .must_be = "cpu, tpu, pjrt:PLUGIN or sim",
     .help = "What to measure on; cpu if not given. tpu: this library's kernels "
             "on a TPU's chips, in turns with the CPU. pjrt:PLUGIN: the same "
             "with the device of any PJRT plugin, a path, on which XLA computes "
             "attention as anybody would write it. sim measures nothing: it "
             "runs the TPU's kernels on simulated chips and says how far from "
             "fp64 they are."},
    {BENCH, "--threads", .argument = "N", .read = read_threads,
     .must_be = "an integer, " THREADS,
     .help = "Measure on this many threads, " THREADS "; on one, and on one "
             "for each CPU that the process may run on, if not given."},
    {RUN | BENCH, "--isa", .choices = isa_words, .read = read_choice,
     .slot = SLOT(isa),
     .help =
         "The kernels to use; what PFLASH_ISA names, or the newest that the "
         "CPU has, if not given."},
    {BENCH, "--peer", .argument = "NAME", .read = read_peer, .repeats = true,
     .must_be = PEERS,
     .help = "Measure another implementation in turns with this one; may be "
             "given more than once. NAME is the path, with a '/', of a program "
             "that speaks the peers' protocol (docs/benchmark.md), or one of "
             "these." BENCH_PEER_LIST(TELL_PEER)},
    {BENCH, "--seed", .argument = "N", .read = read_seed,
     .must_be = "an integer >= 1",
     .help = "Of the tensors' random numbers, and of sim's malice; 1 if not "
             "given."},
    {BENCH, "--part", .choices = part_words, .read = read_choice,
     .slot = SLOT(part),
     .help = "What to do; all if not given." BENCH_PART_LIST(TELL)},
    {BENCH | REPORT, "--prices", .argument = "FILE.csv", .read = read_path,
     .slot = SLOT(prices), .must_be = "a path",
     .help = "A table of prices in place of the one that is shipped "
             "(docs/method.md)."},
    {BENCH | REPORT, "--price", .argument = "DEVICE=USD,DAY,SOURCE",
     .read = read_price, .repeats = true,
     .must_be = "DEVICE=USD,DAY,SOURCE; " DIGITS(GIVEN_MAX) " at most",
     .help = "What an hour of a device costs, since which day, YYYY-MM-DD, and "
             "who says so: in place of the table's, or of one that is in no "
             "table. cpu is this machine, whose measured rows then have tokens "
             "per dollar."},
    {BENCH | REPORT, "--data", .argument = "DIR", .read = read_path,
     .slot = SLOT(data), .must_be = "a path",
     .help = "A directory of tables in place of those that are shipped: "
             "hardware, prices, others' results (docs/method.md)."},
    {BENCH, "--calibration", .argument = "FILE", .read = read_path,
     .slot = SLOT(calibration), .must_be = "a path",
     .help = "Instead of a suite: measure the probes of docs/cycle-model.md on a "
             "v5e (--device tpu), hold them against their listings, and write "
             "the numbers that fit best for pflash schedule --calibration."},
    {BENCH | REPORT, "--plan", .argument = "FILE.json", .read = read_path,
     .slot = SLOT(plan), .must_be = "a path",
     .help = "What is asked, written down before it is measured, in place of "
             "the plan that is shipped (docs/method.md)."},
    {BENCH, "--processes", .argument = "N", .read = read_processes,
     .slot = SLOT(processes), .must_be = "an integer, " PROCESSES,
     .help = "Measure each row in this many processes, " PROCESSES ", one "
             "after the other: what varies from one to the next is then part "
             "of the intervals; 1 if not given."},
    {BENCH, "--process", .argument = "N", .read = read_processes,
     .slot = SLOT(process), .must_be = "an integer, " PROCESSES,
     .help = "Measure the share of this one of --processes into --journal, "
             "and tell nothing. --processes starts such processes itself."},
    {BENCH, "--journal", .argument = "FILE", .read = read_path,
     .slot = SLOT(journal_path), .must_be = "a path",
     .help = "Keep every row in this file as soon as it is finished, and "
             "measure none again that is in it: an interrupted benchmark goes "
             "on where it was. The file must be of the same program, machine "
             "and options."},
    {BENCH | REPORT, "--json", .argument = "FILE", .read = read_path,
     .slot = SLOT(json_path), .must_be = "a path",
     .help = "Write the report to this file, as JSON."},
    {BENCH | REPORT, "--csv", .argument = "FILE", .read = read_path,
     .slot = SLOT(csv_path), .must_be = "a path",
     .help = "Write the report to this file, as a table."},
    {SCHEDULE | BENCH | REPORT, "--html", .argument = "FILE", .read = read_path,
     .slot = SLOT(html_path), .must_be = "a path",
     .help = "Write the report to this file, as a page to look at."},
    {BENCH, "--list", .slot = SLOT(list),
     .help = "Print the suites with their rows, and the peers; measure "
             "nothing."},
    {RUN | COMPILE | SCHEDULE | TUNE | INFO, "--json", .slot = SLOT(json),
     .help = "Print one JSON object in place of text."},
    {NONE, "--manual", .choices = manual_words, .read = read_choice,
     .slot = SLOT(manual),
     .help = "Print the whole manual, as text, Markdown or a man page."},
    {NONE, "--version", .slot = SLOT(version), .help = "Print the version."},
    {~0u, "--help", .slot = SLOT(help), .help = "Print this help."},
};
const int option_count = sizeof option_table / sizeof *option_table;
enum { OPTIONS_MOST = 128 };
_Static_assert(sizeof option_table / sizeof *option_table <= OPTIONS_MOST,
               "options_parse marks what was given");

/* "a, b or c" */
static void list_choices(const cli_option *row, char *out_text, size_t size) {
  *out_text = 0;
  for (int i = 0; row->choices[i]; i++) {
    const char *between = !i ? "" : row->choices[i + 1] ? ", " : " or ";
    words_append(out_text, size, "%s%s", between, row->choices[i]);
  }
}

void option_argument(const cli_option *row, char *out_text, size_t size) {
  *out_text = 0;
  if (row->argument) words_append(out_text, size, " %s", row->argument);
  for (int i = 0; row->choices && row->choices[i]; i++)
    words_append(out_text, size, "%c%s", i ? '|' : ' ', row->choices[i]);
}

static pfl_status raise_value(const cli_option *row, const char *text,
                              pfl_error *error) {
  char choices[128];
  if (row->choices) list_choices(row, choices, sizeof choices);
  PFL_RAISE(error, INVALID_ARGUMENT, "%s is '%s': must be %s", row->name, text,
            row->choices ? choices : row->must_be);
}

static pfl_status raise_unknown(command which, const char *argument,
                                pfl_error *error) {
  word_suggestion near = {.word = argument};
  if (*argument != '-')
    PFL_RAISE(error, INVALID_ARGUMENT,
              "'%s' is no option: all arguments must be options", argument);
  for (int i = 0; i < option_count; i++)
    if (option_is_for(&option_table[i], which))
      suggest_offer(&near, option_table[i].name);
  if (near.best)
    PFL_RAISE(error, INVALID_ARGUMENT, "'%s' is no option: did you mean %s?",
              argument, near.best);
  PFL_RAISE(error, INVALID_ARGUMENT, "'%s' is no option", argument);
}

/* The row of "--name" or "--name=value", or of an argument that is no option
 * where the command takes one; -1 if there is none. */
static int find_row(command which, const char *argument) {
  size_t length = strcspn(argument, "=");
  for (int i = 0; i < option_count; i++) {
    const cli_option *row = &option_table[i];
    if (*row->name != '-' && *argument != '-' && option_is_for(row, which))
      return i;
    if (option_is_for(row, which) && strlen(row->name) == length &&
        !memcmp(row->name, argument, length))
      return i;
  }
  return -1;
}

/* One option at arguments[*position], which moves on past what was read. */
static pfl_status parse_row(const cli_option *row, int count,
                            char *const *arguments, int *position,
                            cli_options *options, pfl_error *error) {
  const char *given = arguments[(*position)++], *equals = strchr(given, '=');
  const char *value = *row->name != '-' ? given : equals ? equals + 1 : NULL;
  if (!row->read) {
    if (value)
      PFL_RAISE(error, INVALID_ARGUMENT, "%s is '%s': must have no value",
                row->name, value);
    *(bool *)slot(row, options) = true;
    return PFL_STATUS_OK;
  }
  if (!value) {
    /* what starts like an option is one; --name=--value says otherwise */
    if (*position == count || !strncmp(arguments[*position], "--", 2)) {
      char argument[128];
      option_argument(row, argument, sizeof argument);
      PFL_RAISE(error, INVALID_ARGUMENT, "%s has no value: must be %s%s",
                row->name, row->name, argument);
    }
    value = arguments[(*position)++];
  }
  if (!row->read(row, value, options)) return raise_value(row, value, error);
  return PFL_STATUS_OK;
}

static pfl_status check_required(command which, const bool *given,
                                 pfl_error *error) {
  for (int i = 0; i < option_count; i++) {
    const cli_option *row = &option_table[i];
    char argument[128];
    if (!(row->required >> which & 1) || given[i])
      continue;
    option_argument(row, argument, sizeof argument);
    PFL_RAISE(error, INVALID_ARGUMENT, "%s is missing: must be %s%s", row->name,
              row->name, argument);
  }
  return PFL_STATUS_OK;
}

pfl_status options_parse(command which, int count, char *const *arguments,
                         cli_options *out_options, pfl_error *error) {
  bool given[OPTIONS_MOST] = {false};
  cli_options options = {.arguments = arguments, .argument_count = count};
  for (int position = 0; position < count;) {
    int i = find_row(which, arguments[position]);
    if (i < 0) return raise_unknown(which, arguments[position], error);
    if (given[i] && !option_table[i].repeats)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s is given twice: must be given once", option_table[i].name);
    given[i] = true;
    PFL_TRY(parse_row(&option_table[i], count, arguments, &position, &options,
                      error));
    if (options.help || options.version) {
      *out_options = options;
      return PFL_STATUS_OK;
    }
  }
  PFL_TRY(check_required(which, given, error));
  *out_options = options;
  return PFL_STATUS_OK;
}

pfl_status options_check_uses(const option_use *uses, int count,
                              const char *what, const char *value,
                              pfl_error *error) {
  for (int i = 0; i < count; i++)
    if (uses[i].given && !uses[i].useful)
      PFL_RAISE(error, INVALID_ARGUMENT, "%s is given: %s %s has no use for it",
                uses[i].name, what, value);
  return PFL_STATUS_OK;
}

/* One candidate of a search: written here, compiled and scheduled by a
 * `pflash schedule` of its own, so that whatever becomes of it is a row. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/process.h"
#include "tune_job.h"

static const pfl_allocator heap;

#define OUTPUT_MOST ((size_t)1 << 24)
#define SCHEDULE_SECONDS 600 /* on top of what compiling may take */

static void fail(tune_candidate *candidate, const char *why) {
  candidate->cycles = 0;
  snprintf(candidate->failure, sizeof candidate->failure, "%.255s", why);
  candidate->failure[strcspn(candidate->failure, "\n")] = 0;
}

/* ---- The program --------------------------------------------------------- */

static void add_string(sha256_state *state, const char *string) {
  sha256_add(state, string ? string : "", string ? strlen(string) + 1 : 1);
}

/* What its cycles depend on beside the kernels. */
static void add_circumstances(const tune_job *job, sha256_state *state) {
  const cli_options *options = job->options;
  add_string(state, job->key);
  add_string(state, job->request.kernels.target);
  add_string(state, options->lengths);
  add_string(state, options->calibration);
  sha256_add(state, options->tunings,
             (size_t)options->tuning_count * sizeof *options->tunings);
}

/* Writes its kernels: whether it can be, and which program it is. */
static pfl_status identify(const tune_job *job, tune_candidate *candidate,
                           pfl_error *error) {
  kernels_request request = job->request.kernels;
  kernels_program program;
  sha256_state state;
  base_text text = {0};
  uint8_t digest[SHA256_SIZE];
  request.tiles = candidate->tiles;
  request.tile_count = candidate->tile_count;
  PFL_TRY(kernels_write(&request, &heap, &program, error));
  pfl_status status = PFL_STATUS_OK;
  sha256_begin(&state);
  add_circumstances(job, &state);
  for (int i = 0; i < program.kernel_count && !status; i++) {
    text.length = 0;
    status = mo_print(program.kernels[i].module, NULL, &text, error);
    if (!status) status = base_text_check(&text, error);
    if (!status) sha256_add(&state, text.bytes, text.length);
  }
  sha256_end(&state, digest);
  sha256_hex(digest, candidate->program);
  base_text_release(&text);
  kernels_program_release(&program);
  return status;
}

/* ---- pflash schedule ----------------------------------------------------- */

/* Options of tune that schedule has not, or that are the candidate's. */
static bool is_ours(const char *argument, bool *out_has_value) {
  static const struct {
    const char *name;
    bool has_value;
  } ours[] = {{"--try", true},     {"--jobs", true}, {"--out", true},
              {"--journal", true}, {"--tile", true}, {"--json", false}};
  size_t length = strcspn(argument, "=");
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strlen(ours[i].name) == length &&
        !strncmp(ours[i].name, argument, length)) {
      *out_has_value = ours[i].has_value && !argument[length];
      return true;
    }
  return false;
}

enum { WORDS_MAX = 256, WORD_SIZE = 64 };

typedef struct command_line {
  const char *words[WORDS_MAX];
  int count;
  char tiles[KERNELS_TILES_MAX][WORD_SIZE];
} command_line;

static void add_word(command_line *line, const char *word) {
  if (line->count < WORDS_MAX - 1) line->words[line->count++] = word;
}

static void make_command(const tune_job *job, const tune_candidate *candidate,
                         command_line *line) {
  const cli_options *options = job->options;
  *line = (command_line){.count = 0};
  add_word(line, "/proc/self/exe");
  add_word(line, command_name(COMMAND_SCHEDULE));
  for (int i = 0; i < options->argument_count; i++) {
    bool has_value;
    if (!is_ours(options->arguments[i], &has_value))
      add_word(line, options->arguments[i]);
    else if (has_value)
      i++;
  }
  add_word(line, "--json");
  for (int i = 0; i < candidate->tile_count; i++) {
    snprintf(line->tiles[i], WORD_SIZE, "--tile=%s=%" PRId64,
             candidate->tiles[i].name, candidate->tiles[i].value);
    add_word(line, line->tiles[i]);
  }
}

/* The sums over the kernels that `pflash schedule --json` told of. */
static bool read_facts(const base_text *output, tune_candidate *candidate) {
  json_document document;
  if (json_parse(output->bytes, output->length, &heap, &document, NULL))
    return false;
  const json_value *programs = json_object_get(document.root, "programs");
  bool good = json_first(programs) != NULL;
  for (const json_value *program = json_first(programs); program;
       program = program->next) {
    int64_t cycles = 0, spills = 0, vmem = 0;
    double us = 0;
    good &= json_int64(json_object_get(program, "cycles"), &cycles);
    good &= json_double(json_object_get(program, "time_us"), &us);
    json_int64(json_object_get(program, "spill_stores"), &spills);
    json_int64(json_object_get(program, "vmem_bytes"), &vmem);
    candidate->cycles += cycles;
    candidate->us += us;
    candidate->spills += spills;
    if (vmem > candidate->vmem_bytes) candidate->vmem_bytes = vmem;
  }
  json_release(&document);
  return good && candidate->cycles > 0;
}

static void schedule(const tune_job *job, tune_candidate *candidate) {
  command_line line;
  base_text output = {0}, log = {0};
  base_process_end end = {0};
  pfl_error error;
  make_command(job, candidate, &line);
  double seconds = job->options->timeout > 0 ? job->options->timeout : 300;
  const base_run run = {.command = line.words,
                        .seconds = seconds + SCHEDULE_SECONDS,
                        .output_most = OUTPUT_MOST};
  if (base_process_run(&run, &output, &log, &end, &error)) {
    fail(candidate, error.message);
  } else if (end.exit_code != 0 || !read_facts(&output, candidate)) {
    static const char name[] = "pflash schedule: ";
    const char *said = base_text_get(&log);
    if (!strncmp(said, name, sizeof name - 1)) said += sizeof name - 1;
    fail(candidate, *said ? said : "pflash schedule died without a word");
  }
  base_text_release(&output);
  base_text_release(&log);
}

void tune_candidate_try(tune_job *job, tune_candidate *candidate) {
  pfl_error error;
  if (identify(job, candidate, &error)) {
    fail(candidate, error.message);
    return;
  }
  candidate->reused = tune_journal_find(job, candidate);
  if (!candidate->reused) schedule(job, candidate);
}

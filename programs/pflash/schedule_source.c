/* Where the listing of a `pflash schedule` comes from, and what its kernels are
 * given: a directory and --input, or --op with the options of compile. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "output.h"
#include "schedule_job.h"
#include "stop.h"
#include "words.h"

static const pfl_allocator heap;

/* ---- Whole numbers ------------------------------------------------------- */

#define INPUT_BYTES_MAX (1 << 26)

/* Whole numbers, with anything between them that JSON may have there. */
static pfl_status add_words(const char *text, base_text *out_words,
                            pfl_error *error) {
  static const char between[] = " ,\t\r\n[]";
  for (text += strspn(text, between); *text; text += strspn(text, between)) {
    char *end;
    long long number = strtoll(text, &end, 0);
    if (end == text || number < INT32_MIN || number > UINT32_MAX)
      PFL_RAISE(error, INVALID_ARGUMENT, "'%.20s' is no 32-bit integer", text);
    uint32_t word = (uint32_t)number;
    base_text_add(out_words, (const char *)&word, sizeof word);
    text = end;
  }
  return base_text_check(out_words, error);
}

/* ---- Inputs -------------------------------------------------------------- */

/* The words of one more input; NULL: there is no room. */
static base_text *begin_input(schedule_job *job) {
  return job->input_count < INPUTS_MAX ? &job->words[job->input_count] : NULL;
}

static void end_input(schedule_job *job, int64_t operand) {
  const base_text *words = &job->words[job->input_count];
  job->inputs[job->input_count++] =
      (schedule_input){.operand = operand,
                       .words = (const uint32_t *)words->bytes,
                       .count = (int64_t)(words->length / sizeof(uint32_t))};
}

static pfl_status add_input(schedule_job *job, const char *option,
                            pfl_error *error) {
  const char *values = strchr(option, '=') + 1;
  base_text *words = begin_input(job), file = {0};
  pfl_status status = PFL_STATUS_OK;
  if (*values == '@')
    status = base_file_load(values + 1, INPUT_BYTES_MAX, &file, error);
  if (!status)
    status =
        add_words(*values == '@' ? base_text_get(&file) : values, words, error);
  base_text_release(&file);
  end_input(job, strtoll(option, NULL, 10));
  return name_option("--input", status, error);
}

/* --lengths: the last number is that of all sequences that follow. */
static pfl_status make_lengths(const schedule_job *job, base_text *out_words,
                               pfl_error *error) {
  const attention_decode_problem *problem = &job->compile.request.decode;
  uint32_t last = (uint32_t)problem->Smax;
  if (job->options->lengths)
    PFL_TRY(name_option("--lengths",
                        add_words(job->options->lengths, out_words, error),
                        error));
  size_t given = out_words->length / sizeof last;
  const uint32_t *words = (const uint32_t *)out_words->bytes;
  for (size_t i = 0; i < given; i++)
    if (words[i] > problem->Smax)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "--lengths has %u: must be at most Smax, %" PRId64, words[i],
                problem->Smax);
  if (given > (size_t)problem->B)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--lengths has %zu numbers: must be at most B, %" PRId64, given,
              problem->B);
  if (given) last = words[given - 1];
  for (int64_t i = (int64_t)given; i < problem->B; i++)
    base_text_add(out_words, (const char *)&last, sizeof last);
  return base_text_check(out_words, error);
}

/* Every sequence has its pages one after the other. */
static pfl_status make_table(const schedule_job *job, base_text *out_words,
                             pfl_error *error) {
  const attention_decode_problem *problem = &job->compile.request.decode;
  for (int64_t i = 0; i < problem->B * problem->pages_per_sequence; i++) {
    uint32_t page = (uint32_t)i;
    base_text_add(out_words, (const char *)&page, sizeof page);
  }
  return base_text_check(out_words, error);
}

/* Of each sequence the tokens that some query sees, once. */
static pfl_status count_decode(schedule_job *job, const base_text *lengths,
                               pfl_error *error) {
  const attention_decode_problem *problem = &job->compile.request.decode;
  bool windowed = problem->window.left != ATTENTION_OPEN;
  int chips = job->compile.program.chips;
  base_text seen = {0};
  for (int64_t b = 0; b < problem->B; b++) {
    int32_t tokens = ((const int32_t *)lengths->bytes)[b];
    if (windowed && tokens > problem->window.left + problem->T)
      tokens = (int32_t)(problem->window.left + problem->T);
    base_text_add(&seen, (const char *)&tokens, sizeof tokens);
  }
  pfl_status status = base_text_check(&seen, error);
  if (!status)
    job->work.bytes =
        attention_decode_bytes(problem, (const int32_t *)seen.bytes) / chips;
  base_text_release(&seen);
  snprintf(job->how, sizeof job->how,
           "the cache's keys, values and scales of %s, read once%s",
           windowed ? "the window" : "the lengths",
           chips > 1 ? "; a chip's share" : "");
  job->work.how = job->how;
  return status;
}

/* "4 B Hq Sq Sk D halved, backward 2.5 times that": what useful FLOPs are. */
static void count_flops(schedule_job *job) {
  const cli_options *options = job->options;
  const attention_problem *p = &job->compile.request.problem;
  bool backward = options->op == OP_BACKWARD;
  bool plain = p->window.left == ATTENTION_OPEN &&
               (p->window.right == ATTENTION_OPEN || p->window.right == 0);
  int chips = job->compile.program.chips;
  job->work.flops = attention_seen_flops(p) * (backward ? 2.5 : 1) / chips;
  snprintf(job->how, sizeof job->how, "%s%s%s%s%s%s",
           backward ? "2.5 times forward's " : "",
           plain ? "4 B Hq Sq Sk D" : "4 B Hq D for each pair in the window",
           p->D == p->Dv ? "" : ", D (D + Dv) / 2",
           plain && p->window.right == 0 ? ", halved: causal" : "",
           options->segments ? "; one segment" : "",
           chips > 1 ? "; a chip's share" : "");
  job->work.how = job->how;
}

/* What the scalar side of decode reads. */
static pfl_status add_decode_inputs(schedule_job *job, pfl_error *error) {
  const kernels_kernel *kernel = &job->compile.program.kernels[0];
  for (int i = 0; i < kernel->input_count; i++) {
    const char *name = kernel->inputs[i].name;
    bool lengths = !strcmp(name, "lengths");
    if (!lengths && strcmp(name, "block_table")) continue;
    base_text *words = begin_input(job);
    PFL_TRY(lengths ? make_lengths(job, words, error)
                    : make_table(job, words, error));
    if (lengths) PFL_TRY(count_decode(job, words, error));
    end_input(job, i);
  }
  return PFL_STATUS_OK;
}

/* ---- Compiled listings --------------------------------------------------- */

static pfl_status compile_into(schedule_job *job, const char *directory,
                               pfl_error *error) {
  PFL_TRY(compile_job_do(&job->compile, directory, error));
  return schedule_dump_read(directory, &heap, &job->dump, error);
}

/* The compiler's dumps go again as soon as they are read. */
static pfl_status compile(schedule_job *job, pfl_error *error) {
  const char *folder = getenv("TMPDIR");
  base_text path = {0};
  base_folder dumps;
  base_text_format(&path, "%s/pflash-schedule-%ld",
                   folder && *folder ? folder : "/tmp", (long)getpid());
  pfl_status status = base_text_check(&path, error);
  job->compile.stop = stop_begin();
  if (!status)
    status =
        base_folder_begin(base_text_get(&path), "pflash.json", &dumps, error);
  if (!status) {
    status = compile_into(job, base_text_get(&dumps.temporary), error);
    (void)!base_folder_end(&dumps, PFL_STATUS_CANCELLED, NULL);
  }
  stop_end();
  base_text_release(&path);
  return status;
}

static void tell_title(schedule_job *job) {
  const cli_options *options = job->options;
  const kernels_program *program = &job->compile.program;
  base_text_format(&job->title, "%s%s", op_name((op)options->op),
                   options->causal ? ", causal," : "");
  if (options->windowed)
    base_text_format(&job->title, ", window %" PRId64 ",%" PRId64 ",",
                     options->window_left, options->window_right);
  for (int i = 0; i < options->shape_rank; i++)
    base_text_format(&job->title, "%s%" PRId64, i ? "," : " ",
                     options->shape[i]);
  base_text_format(&job->title, " on %d chip%s:", program->chips,
                   program->chips == 1 ? "" : "s");
  for (int i = 0; i < program->tile_count; i++)
    base_text_format(&job->title, " %s=%" PRId64, program->tiles[i].name,
                     program->tiles[i].value);
}

/* As XLA was given them: the listing's lines are theirs. */
static pfl_status print_sources(schedule_job *job, pfl_error *error) {
  for (int i = 0; i < job->compile.program.kernel_count; i++) {
    PFL_TRY(mo_print(job->compile.program.kernels[i].module, NULL,
                     &job->sources[i], error));
    PFL_TRY(base_text_check(&job->sources[i], error));
  }
  return PFL_STATUS_OK;
}

static pfl_status open_compiled(schedule_job *job, pfl_error *error) {
  PFL_TRY(compile(job, error));
  job->compiled = true;
  PFL_TRY(print_sources(job, error));
  if (job->options->op == OP_DECODE)
    PFL_TRY(add_decode_inputs(job, error));
  else
    count_flops(job);
  tell_title(job);
  return base_text_check(&job->title, error);
}

int schedule_job_kernel(const schedule_job *job, const char *name) {
  const kernels_program *program = &job->compile.program;
  for (int i = 0; i < program->kernel_count; i++) {
    size_t length = strlen(program->kernels[i].name);
    if (!strncmp(program->kernels[i].name, name, length) &&
        (!name[length] || name[length] == '.'))
      return i;
  }
  return -1;
}

bool schedule_job_wants(const schedule_job *job, const char *name) {
  if (job->options->kernel) return !strcmp(job->options->kernel, name);
  return !job->compiled || schedule_job_kernel(job, name) >= 0;
}

/* ---- Either -------------------------------------------------------------- */

pfl_status schedule_job_check(schedule_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  job->compile_options = *options;
  job->compile_options.emit = EMIT_LISTING;
  job->compile.options = &job->compile_options;
  job->model = schedule_model_default();
  if (!options->listing == !options->op)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s: must be one of LISTING, and --op with --shape",
              options->op ? "LISTING and --op are given"
                          : "neither LISTING nor --op is given");
  if (options->op && !options->shape_rank)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--shape is missing: must be given with --op");
  if (options->lengths && options->op != OP_DECODE)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--lengths is given: must be with --op decode");
  if (options->op)
    PFL_TRY(tpu_request_make(options, &job->compile.request, error));
  if (options->op && strncmp(job->compile.request.kernels.target, "v5e:", 4))
    PFL_RAISE(
        error, INVALID_ARGUMENT,
        "--target is '%s': must be v5e:..., the chip that the cycle model "
        "is of",
        options->target);
  for (int i = 0; i < options->tuning_count; i++)
    if (options->tunings[i].name[0])
      PFL_TRY(
          name_option("--model",
                      schedule_model_set(&job->model, options->tunings[i].name,
                                         options->tunings[i].value, error),
                      error));
  return PFL_STATUS_OK;
}

/* The calibration first: --model has the last word. */
static pfl_status set_model(schedule_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  if (!options->calibration) return PFL_STATUS_OK;
  job->model = schedule_model_default();
  PFL_TRY(name_option(
      "--calibration",
      schedule_model_read(options->calibration, &heap, &job->model, error),
      error));
  for (int i = 0; i < options->tuning_count; i++)
    PFL_TRY(schedule_model_set(&job->model, options->tunings[i].name,
                               options->tunings[i].value, error));
  return PFL_STATUS_OK;
}

pfl_status schedule_job_open(schedule_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  PFL_TRY(set_model(job, error));
  job->work.flops = options->flops;
  for (int i = 0; i < options->input_count; i++)
    PFL_TRY(add_input(job, options->inputs[i], error));
  if (options->op) return open_compiled(job, error);
  base_text_add_string(&job->title, options->listing);
  PFL_TRY(base_text_check(&job->title, error));
  return schedule_dump_read(options->listing, &heap, &job->dump, error);
}

/* pflash bench and pflash report: by src/bench. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bench/calibrate.h"
#include "bench/simulate.h"
#include "options.h"
#include "output.h"

/* A word as a shell would take it: 'quoted' unless it is plain. */
static void add_word(base_text *line, const char *word) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+";
  base_text_add_string(line, " ");
  if (*word && !word[strspn(word, plain)]) {
    base_text_add_string(line, word);
    return;
  }
  base_text_add_string(line, "'");
  for (; *word; word++)
    base_text_add_string(line, *word == '\'' ? "'\\''" : (char[]){*word, 0});
  base_text_add_string(line, "'");
}

/* What runs this very program with these arguments, but for the journal, which
 * each process is told anew; to be freed. */
static const char **own_command(const cli_options *options) {
  static const char journal[] = "--journal";
  size_t length = strlen(journal), count = 2;
  const char **words =
      calloc((size_t)options->argument_count + 3, sizeof *words);
  if (!words) return NULL;
  words[0] = "/proc/self/exe";
  words[1] = command_name(COMMAND_BENCH);
  for (int i = 0; i < options->argument_count; i++) {
    const char *word = options->arguments[i];
    bool skipped = !strncmp(word, journal, length);
    if (skipped && !word[length])
      i++; /* its value, too */
    else if (!skipped || word[length] != '=')
      words[count++] = word;
  }
  return words;
}

static pfl_status measure(const cli_options *options, pfl_error *error) {
  base_text line = {0};
  const char **self = own_command(options);
  base_text_add_string(&line, "pflash bench");
  for (int i = 0; i < options->argument_count; i++)
    add_word(&line, options->arguments[i]);
  pfl_status status = base_text_check(&line, error);
  bench_options bench = {
      .suite = options->suite,
      .threads = options->threads,
      .isa = (pfl_isa)options->isa,
      .seed = options->seed,
      .peers = options->peers,
      .peer_count = options->peer_count,
      .processes = options->processes,
      .process = options->process,
      .self = self,
      .part = options->part ? (bench_part)(options->part - 1) : BENCH_PART_ALL,
      .data = options->data,
      .prices = options->prices,
      .plan = options->plan,
      .given = options->given,
      .given_count = options->given_count,
      .journal_path = options->journal_path,
      .json_path = options->json_path,
      .html_path = options->html_path,
      .csv_path = options->csv_path,
      .command = base_text_get(&line),
      .results = stdout,
      .talk = stderr};
  if (!status) status = bench_run(&bench, error);
  base_text_release(&line);
  free(self);
  return status;
}

/* What is for the times of a suite is of no use where there are none. A device
 * that is timed is a peer, too. */
static pfl_status check_uses(const cli_options *options, pfl_error *error) {
  bool suite = !options->calibration;
  bool timed = suite && device_of(options) == ON_CPU;
  const option_use uses[] = {{"--suite", options->suite, suite},
                             {"--threads", options->threads, suite},
                             {"--seed", options->seed, suite},
                             {"--isa", options->isa, timed},
                             {"--peer", options->peer_count > !suite, timed},
                             {"--processes", options->processes, timed},
                             {"--process", options->process, timed},
                             {"--journal", options->journal_path, timed},
                             {"--json", options->json_path, timed},
                             {"--html", options->html_path, timed},
                             {"--csv", options->csv_path, timed},
                             {"compare", options->word_count, timed},
                             {"--part", options->part, timed},
                             {"--data", options->data, timed},
                             {"--prices", options->prices, timed},
                             {"--plan", options->plan, timed},
                             {"--price", options->given_count, timed}};
  return options_check_uses(
      uses, sizeof uses / sizeof *uses, suite ? "--device" : "--calibration",
      suite ? device_name(device_of(options)) : options->calibration, error);
}

static pfl_status simulate(const cli_options *options, pfl_error *error) {
  const bench_options bench = {.suite = options->suite,
                               .threads = options->threads,
                               .seed = options->seed,
                               .results = stdout};
  return bench_simulate(&bench, error);
}

/* What reports that are there already are told with. */
static bench_options telling(const cli_options *options) {
  return (bench_options){.data = options->data,
                         .prices = options->prices,
                         .plan = options->plan,
                         .given = options->given,
                         .given_count = options->given_count,
                         .json_path = options->json_path,
                         .html_path = options->html_path,
                         .csv_path = options->csv_path,
                         .results = stdout};
}

static int compare(const cli_options *options) {
  pfl_error error;
  bench_options bench = telling(options);
  if (options->word_count < BENCH_WORDS) {
    base_error_set(&error, PFL_STATUS_INVALID_ARGUMENT,
                   "compare needs two reports: compare A.json B.json");
    return print_misuse(COMMAND_BENCH, &error);
  }
  return bench_compare(options->words[1], options->words[2], &bench, &error)
             ? print_failure(COMMAND_BENCH, &error)
             : EXIT_DONE;
}

/* ---- --calibration ------------------------------------------------------- */

static bool is_timed_on_tpu(const cli_options *options) {
  bool named = device_of(options) == ON_TPU;
  for (int i = 0; i < options->peer_count; i++)
    named |= !strcmp(options->peers[i], device_name(ON_TPU));
  return named;
}

static pfl_status check_calibration(const cli_options *options,
                                    pfl_error *error) {
  if (!options->calibration) return PFL_STATUS_OK;
  if (device_of(options) == ON_SIM)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--calibration is given with --device sim: simulated times say "
              "nothing of a chip; it needs --device tpu");
  if (!is_timed_on_tpu(options))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "--calibration is given: it needs --device tpu, a v5e's");
  return PFL_STATUS_OK;
}

static int calibrate(const cli_options *options) {
  pfl_error error;
  return name_option("--calibration",
                     bench_calibrate(options->calibration, stdout, &error),
                     &error)
             ? print_failure(COMMAND_BENCH, &error)
             : EXIT_DONE;
}

/* ---- The command --------------------------------------------------------- */

int bench_command(const cli_options *options) {
  pfl_error error;
  if (check_calibration(options, &error) || check_uses(options, &error))
    return print_misuse(COMMAND_BENCH, &error);
  if (options->calibration) return calibrate(options);
  if (options->list) {
    bench_list(stdout);
    return EXIT_DONE;
  }
  if (options->word_count) return compare(options);
  pfl_status status = device_of(options) == ON_SIM ? simulate(options, &error)
                                                   : measure(options, &error);
  return status ? print_failure(COMMAND_BENCH, &error) : EXIT_DONE;
}

int report_command(const cli_options *options) {
  pfl_error error;
  bench_options bench = telling(options);
  return bench_report_again(options->in, &bench, &error)
             ? print_failure(COMMAND_REPORT, &error)
             : EXIT_DONE;
}

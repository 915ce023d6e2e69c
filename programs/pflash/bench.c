/* pflash bench: this machine measured, by src/bench. */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "options.h"

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

static pfl_status measure(const cli_options *options, pfl_error *error) {
  base_text line = {0};
  base_text_add_string(&line, "pflash bench");
  for (int i = 0; i < options->argument_count; i++)
    add_word(&line, options->arguments[i]);
  pfl_status status = base_text_check(&line, error);
  bench_options bench = {.suite = options->suite,
                         .threads = options->threads,
                         .isa = (pfl_isa)options->isa,
                         .seed = options->seed,
                         .peers = options->peers,
                         .peer_count = options->peer_count,
                         .json_path = options->json_path,
                         .html_path = options->html_path,
                         .command = base_text_get(&line),
                         .results = stdout,
                         .talk = stderr};
  if (!status) status = bench_run(&bench, error);
  base_text_release(&line);
  return status;
}

int bench_command(const cli_options *options) {
  pfl_error error;
  if (options->list) {
    bench_list(stdout);
    return EXIT_DONE;
  }
  return measure(options, &error) ? print_failure(COMMAND_BENCH, &error)
                                  : EXIT_DONE;
}

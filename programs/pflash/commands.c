#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "words.h"

static const struct {
  const char *name, *summary;
  int (*run)(const cli_options *options);
} commands[] = {[COMMAND_NONE] = {"", "", NULL},
#define COMMAND_ROW(name, word, summary) \
  [COMMAND_##name] = {#word, summary, word##_command},
                COMMAND_LIST(COMMAND_ROW)
#undef COMMAND_ROW
};

const char *command_name(command which) { return commands[which].name; }

const char *command_summary(command which) { return commands[which].summary; }

int command_run(command which, const cli_options *options) {
  return commands[which].run(options);
}

pfl_status command_find(const char *name, command *out_command,
                        pfl_error *error) {
  word_suggestion near = {.word = name};
  char all[128] = "";
  for (int i = 1; i < COMMAND_COUNT; i++) {
    if (!strcmp(name, commands[i].name)) {
      *out_command = (command)i;
      return PFL_STATUS_OK;
    }
    suggest_offer(&near, commands[i].name);
    words_append(all, sizeof all, "%s%s", i > 1 ? ", " : "", commands[i].name);
  }
  if (near.best)
    PFL_RAISE(error, NOT_FOUND, "'%s' is no command: did you mean %s?", name,
              near.best);
  PFL_RAISE(error, NOT_FOUND, "'%s' is no command: must be one of %s", name,
            all);
}

static void print_message(command which, const pfl_error *error) {
  fprintf(stderr, "pflash%s%s: %s\n", which ? " " : "", command_name(which),
          error->message);
}

int print_failure(command which, const pfl_error *error) {
  print_message(which, error);
  return EXIT_FAILED;
}

int print_misuse(command which, const pfl_error *error) {
  print_message(which, error);
  fprintf(stderr, "try 'pflash%s%s --help'\n", which ? " " : "",
          command_name(which));
  return EXIT_USAGE;
}

int finish_output(command which) {
  pfl_error error;
  if (!fflush(stdout) && !ferror(stdout)) return EXIT_DONE;
  base_error_set(&error, PFL_STATUS_UNKNOWN,
                 "standard output cannot be written: %s", strerror(errno));
  return print_failure(which, &error);
}

/* pflash: attention from the command line. What it can do is in commands.h. */
#include <stdio.h>

#include "commands.h"
#include "help.h"
#include "options.h"
#include "pallas_flash/context.h"

/* `pflash` without a command. */
static int run_alone(const cli_options *options) {
  if (options->version)
    printf("pflash %s\n", pfl_version());
  else if (options->manual)
    help_print_manual((page_style)options->manual, stdout);
  else
    help_print(COMMAND_NONE, options->help ? stdout : stderr);
  return options->version || options->manual || options->help ? EXIT_DONE
                                                              : EXIT_USAGE;
}

static int run(command which, const cli_options *options) {
  if (which == COMMAND_NONE) return run_alone(options);
  if (!options->help) return command_run(which, options);
  help_print(which, stdout);
  return EXIT_DONE;
}

int main(int count, char **arguments) {
  command which = COMMAND_NONE;
  cli_options options;
  pfl_error error;
  int first = 1;
  if (count > 1 && *arguments[1] != '-') {
    if (command_find(arguments[1], &which, &error))
      return print_misuse(COMMAND_NONE, &error);
    first = 2;
  }
  if (options_parse(which, count - first, arguments + first, &options, &error))
    return print_misuse(which, &error);
  int code = run(which, &options);
  int written = finish_output(which);
  return code == EXIT_DONE ? written : code;
}

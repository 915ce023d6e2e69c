/* The commands: one list, which the dispatcher, --help and the manual read. */
#ifndef PFLASH_COMMANDS_H
#define PFLASH_COMMANDS_H

#include "base/status.h"

/* X(NAME, name on the command line, what it does). */
#define COMMAND_LIST(X)                                              \
  X(RUN, run, "Attention of the tensors in a file, into a file.")    \
  X(COMPILE, compile, "A TPU program for attention, ahead of time.") \
  X(SCHEDULE, schedule, "What a TPU program will take, cycle by cycle.") \
  X(TUNE, tune, "The best tiles for a TPU program, found ahead of time.") \
  X(BENCH, bench, "The benchmark: this machine measured.")           \
  X(REPORT, report, "A benchmark's report, told again.")             \
  X(INFO, info, "This machine, as the kernels see it.")

/* NONE is `pflash` without a command. */
typedef enum command {
  COMMAND_NONE,
#define COMMAND_ENUM(name, word, summary) COMMAND_##name,
  COMMAND_LIST(COMMAND_ENUM)
#undef COMMAND_ENUM
      COMMAND_COUNT
} command;

/* The exit codes. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct cli_options;

#define COMMAND_FUNCTION(name, word, summary) \
  int word##_command(const struct cli_options *options);
COMMAND_LIST(COMMAND_FUNCTION)
#undef COMMAND_FUNCTION

/* The name on the command line; "" for NONE. */
const char *command_name(command which);
const char *command_summary(command which);

/* NOT_FOUND names what was asked for and what there is. */
PFL_NODISCARD pfl_status command_find(const char *name, command *out_command,
                                      pfl_error *error);

int command_run(command which, const struct cli_options *options);

/* Prints "pflash COMMAND: MESSAGE" on stderr. Returns EXIT_FAILED. */
int print_failure(command which, const pfl_error *error);

/* The same, and where the usage is told. Returns EXIT_USAGE. */
int print_misuse(command which, const pfl_error *error);

/* Flushes stdout: EXIT_DONE, or EXIT_FAILED with a message if what was printed
 * could not be written. */
int finish_output(command which);

#endif

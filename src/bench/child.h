/* A process with which lines are exchanged over its stdin and stdout. */
#ifndef PFL_BENCH_CHILD_H
#define PFL_BENCH_CHILD_H

#include <stdio.h>

#include "base/process.h"

#define CHILD_LINE_MAX 65536

typedef struct bench_child {
  base_process process;
  size_t used; /* bytes of `line` that are received */
  char line[CHILD_LINE_MAX];
  FILE *log; /* a file without a name, where its stderr goes; NULL: no child */
} bench_child;
/* Runs command[0], looked for in PATH, with the further environment `settings`
 * ("NAME=value"); both lists end in NULL. NOT_FOUND: it cannot be run. */
PFL_NODISCARD pfl_status child_start(bench_child *child,
                                     const char *const *command,
                                     const char *const *settings,
                                     pfl_error *error);

/* Sends `line`, to which it adds the line break. UNAVAILABLE: it has ended. */
PFL_NODISCARD pfl_status child_send(bench_child *child, const char *line,
                                    pfl_error *error);

/* Waits for a line; *out_line, without the line break, is good until the next
 * call. DEADLINE_EXCEEDED; UNAVAILABLE: it has ended, or the line is longer
 * than CHILD_LINE_MAX. */
PFL_NODISCARD pfl_status child_receive(bench_child *child, double seconds,
                                       const char **out_line, pfl_error *error);

/* Closes its stdin, kills it if it does not end by itself soon, and releases
 * what the child has; a zero child has nothing. */
void child_stop(bench_child *child);

#endif

/* Programs that run beside this one: started, talked to, ended; or run to
 * their end in one call. Any number of threads may do this at once. */
#ifndef PFL_BASE_PROCESS_H
#define PFL_BASE_PROCESS_H

#include <sys/types.h>

#include "base/text.h"

/* One socket is its stdin and its stdout: writing to a reader that died is an
 * error there, and not a signal as with a pipe. */
typedef struct base_process {
  pid_t id;   /* 0: none, or it has ended */
  int socket; /* closed with base_process_stop */
} base_process;

typedef struct base_process_end {
  int exit_code; /* -1: it ended by a signal, or nobody knows */
  int signal;    /* 0: none, or nobody knows */
} base_process_end;

/* Starts command[0], looked for in PATH if it has no slash, with stderr going
 * to the descriptor `log`, the further environment `settings` ("NAME=value";
 * NULL: none) and no other open files; both lists end with NULL. It leads a
 * group of its own, no signal is blocked, and SIGPIPE is not ignored.
 * NOT_FOUND: it cannot be run; RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status base_process_start(const char *const *command,
                                            const char *const *settings,
                                            int log, base_process *out_process,
                                            pfl_error *error);

/* Whether it has ended, and then how; what it started is killed then. One that
 * is not there has, and *out_end stays as it is. */
bool base_process_has_ended(base_process *process, base_process_end *out_end);

/* Closes the socket, gives the process `seconds` to end by itself, and kills it
 * if it does not: false then. What it started is killed in any case. */
bool base_process_stop(base_process *process, double seconds,
                       base_process_end *out_end);

/* ---- To its end ---------------------------------------------------------- */

typedef struct base_run {
  const char *const *command; /* as above */
  const void *input;          /* its stdin */
  size_t input_size;
  double seconds;     /* after which it and what it started are killed */
  size_t output_most; /* bytes of stdout that are taken */
  const int *stop;    /* a descriptor: readable, it is killed; NULL: none */
} base_run;

/* Adds what it wrote to stdout and the last of its stderr to the texts.
 * OK however it ended; DEADLINE_EXCEEDED; CANCELLED, `stop` was readable;
 * NOT_FOUND, it cannot be started;
 * RESOURCE_EXHAUSTED, no descriptors or memory, or too much output. */
PFL_NODISCARD pfl_status base_process_run(const base_run *run,
                                          base_text *out_output,
                                          base_text *out_log,
                                          base_process_end *out_end,
                                          pfl_error *error);

#endif

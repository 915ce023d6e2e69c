/* A program run to its end: input given, output collected, a time limit. */
#ifndef PFL_PJRT_PROCESS_H
#define PFL_PJRT_PROCESS_H

#include "base/text.h"

typedef struct pjrt_process {
  const char *const *command; /* [0] is a path; ends with NULL */
  const void *input;          /* its stdin */
  size_t input_size;
  double seconds;     /* after which it and its children are killed */
  size_t output_most; /* bytes of stdout that are taken */
} pjrt_process;

typedef struct pjrt_process_end {
  int exit_code; /* -1: it ended by a signal, or nobody knows */
  int signal;    /* 0: none, or nobody knows */
} pjrt_process_end;

/* Adds what it wrote to stdout and the last of its stderr to the texts. The
 * process starts with this one's environment and no other open files; any
 * number of threads may do this at once.
 * OK however it ended; DEADLINE_EXCEEDED; NOT_FOUND, it cannot be started;
 * RESOURCE_EXHAUSTED, no descriptors or memory, or too much output. */
PFL_NODISCARD pfl_status pjrt_process_run(const pjrt_process *process,
                                          base_text *out_output,
                                          base_text *out_log,
                                          pjrt_process_end *out_end,
                                          pfl_error *error);

#endif

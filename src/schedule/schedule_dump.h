/* A directory that the compiler wrote its listings to, as
 * `pflash compile --emit listing` or LIBTPU_INIT_ARGS="--xla_jf_dump_to=DIR
 * --xla_jf_dump_llo_text=true" make it. */
#ifndef PFL_SCHEDULE_DUMP_H
#define PFL_SCHEDULE_DUMP_H

#include "schedule/schedule_program.h"
#include "schedule/schedule_run.h"

typedef struct schedule_dump {
  schedule_program **programs; /* the top one, if there is any, first */
  int64_t program_count;
  bool has_top;
  schedule_alias *aliases; /* other names of kernels that are alike */
  int64_t alias_count;
  base_text lists[3]; /* the memory of both, and of the names */
} schedule_dump;

/* Reads every program of `path`, which may be one listing too. Of several
 * compilations in one directory, the latest. NOT_FOUND, INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED. On failure *out_dump is empty. */
PFL_NODISCARD pfl_status schedule_dump_read(const char *path,
                                            const pfl_allocator *allocator,
                                            schedule_dump *out_dump,
                                            pfl_error *error);

void schedule_dump_release(schedule_dump *dump);

#endif

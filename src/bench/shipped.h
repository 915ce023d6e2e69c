/* The files that are shipped beside the program. */
#ifndef PFL_BENCH_SHIPPED_H
#define PFL_BENCH_SHIPPED_H

#include <stdbool.h>
#include <stddef.h>

/* X(folder, environment variable that names another place for it). */
#define BENCH_SHIPPED_LIST(X) \
  X("peers", "PFLASH_PEERS")  \
  X("data", "PFLASH_DATA")

/* The path of `file` in `folder`: in the place that its variable names; or, in
 * one of the folders above the running program, in bench/FOLDER (a checkout) or
 * share/pallas_flash/FOLDER (an installation). False if it is not there or the
 * path does not fit. */
bool shipped_find(const char *folder, const char *file, char *out_path,
                  size_t capacity);

/* The variable of a folder. */
const char *shipped_variable(const char *folder);

#endif

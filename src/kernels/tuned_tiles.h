/* Tiles that were found best ahead of time, by `pflash tune`: a table that
 * kernels_write looks into before it plans by its own rules.
 *
 * A table is text, a row a line:
 *
 *   forward v5e bf16 causal Sq=4096 Sk=4096 D=128 Dv=128 : block_q=1024
 *       block_k=512 unroll=2 tile=256 : 362215
 *
 * (on one line): what the tiles are for, the tiles, the cycles that the cycle
 * model predicts. Batch and heads do not count, except those of decode's cache:
 * they repeat what a kernel does. Lines may stand in quotes and end in \n
 * before the closing one, so that the built-in table, tuned_rows.inc, is C as
 * well. */
#ifndef PFL_KERNELS_TUNED_TILES_H
#define PFL_KERNELS_TUNED_TILES_H

#include "kernels/tpu_program.h"

#define KERNELS_TUNED_KEY 192

typedef struct kernels_tuned {
  kernels_tile tiles[KERNELS_TILES_MAX]; /* their names are in `names` */
  int count;
  char names[KERNELS_TILES_MAX][16];
} kernels_tuned;

/* What a request's row begins with. */
void kernels_tuned_key(const kernels_request *request,
                       char out_key[KERNELS_TUNED_KEY]);

/* The tiles of the row, out of `table` (NULL: none), or else out of the
 * built-in one; false if there is none. `out` must stay where it is. */
bool kernels_tuned_find(const kernels_request *request, const char *table,
                        kernels_tuned *out);

#endif

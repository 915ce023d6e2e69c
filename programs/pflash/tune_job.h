/* One `pflash tune`: candidates, tried many at a time, and what came of each.
 */
#ifndef PFLASH_TUNE_JOB_H
#define PFLASH_TUNE_JOB_H

#include <pthread.h>

#include "base/text.h"
#include "pjrt/sha256.h"
#include "tpu_request.h"

typedef struct tune_candidate {
  kernels_tile tiles[KERNELS_TILES_MAX]; /* names: those of the base program */
  int tile_count;
  char program[SHA256_HEX_SIZE]; /* of its kernels' text */
  bool reused;                   /* the journal had it */
  int64_t cycles;                /* of all kernels; 0: it failed */
  double us;
  int64_t vmem_bytes, spills;
  char failure[256]; /* why */
} tune_candidate;

typedef struct tune_job {
  const cli_options *options;
  tpu_request request;
  kernels_program base; /* as the plan's own rules make it */
  char key[192];        /* its row in a table */
  base_text candidates; /* tune_candidate; [0] is the base */
  base_text journal;    /* what --journal's file has */
  int64_t best;         /* the index of the fastest so far; -1: none */
  int64_t next, end;    /* of the candidates being tried */
  int64_t tried;        /* that are done */
  pthread_mutex_t lock;
  pfl_status status; /* of what is no candidate's fault */
  pfl_error error;
} tune_job;

static inline tune_candidate *tune_at(const tune_job *job, int64_t index) {
  return (tune_candidate *)job->candidates.bytes + index;
}
static inline int64_t tune_count(const tune_job *job) {
  return (int64_t)(job->candidates.length / sizeof(tune_candidate));
}

/* Less is within what a compiler's next version changes: tiles that gain less
 * over the plan's own need no row in a table. */
#define TUNE_GAIN 0.005

/* Whether the best is that much better than the plan's own. */
static inline bool tune_gains(const tune_job *job) {
  const tune_candidate *base = tune_at(job, 0), *best = tune_at(job, job->best);
  return !base->cycles ||
         (double)best->cycles <= (1 - TUNE_GAIN) * (double)base->cycles;
}

/* Tries them all. */
PFL_NODISCARD pfl_status tune_job_do(tune_job *job, pfl_error *error);
void tune_job_release(tune_job *job);

/* Candidates' indices by cycles, failures last; `out` has room for all. */
void tune_job_rank(const tune_job *job, int64_t *out);

/* ---- tune_candidate.c ---------------------------------------------------- */

/* Tries one candidate: in the calling thread, with processes of its own. */
void tune_candidate_try(tune_job *job, tune_candidate *candidate);

/* ---- tune_files.c -------------------------------------------------------- */

/* Reads --journal's file, if there is one. */
PFL_NODISCARD pfl_status tune_journal_read(tune_job *job, pfl_error *error);

/* Whether the journal has the candidate's program; fills the candidate. */
bool tune_journal_find(const tune_job *job, tune_candidate *candidate);

/* Adds the candidate to the file. */
PFL_NODISCARD pfl_status tune_journal_add(tune_job *job,
                                          const tune_candidate *candidate,
                                          pfl_error *error);

/* Puts the best tiles into the table at --out; takes the row out if they do not
 * gain enough. */
PFL_NODISCARD pfl_status tune_table_write(const tune_job *job,
                                          pfl_error *error);

#endif

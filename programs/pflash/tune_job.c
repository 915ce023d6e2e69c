/* The search: from the plan's own tiles, one number after the other, or all
 * values of --try with each other. */
#include "tune_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/tuned_tiles.h"
#include "output.h"

static const pfl_allocator heap;

#define CANDIDATES_MOST 4096

/* ---- Candidates ---------------------------------------------------------- */

static bool same_tiles(const tune_candidate *a, const tune_candidate *b) {
  for (int i = 0; i < a->tile_count; i++)
    if (a->tiles[i].value != b->tiles[i].value) return false;
  return a->tile_count == b->tile_count;
}

/* Unless it is there already. */
static pfl_status add_candidate(tune_job *job, const tune_candidate *fresh,
                                pfl_error *error) {
  for (int64_t i = 0; i < tune_count(job); i++)
    if (same_tiles(tune_at(job, i), fresh)) return PFL_STATUS_OK;
  if (tune_count(job) >= CANDIDATES_MOST)
    PFL_RAISE(error, INVALID_ARGUMENT, "--try makes more than %d candidates",
              CANDIDATES_MOST);
  base_text_add(&job->candidates, (const char *)fresh, sizeof *fresh);
  return base_text_check(&job->candidates, error);
}

/* The tiles that the plan's own rules choose, with those of --tile. */
static pfl_status add_base(tune_job *job, pfl_error *error) {
  kernels_request request = job->request.kernels;
  tune_candidate base = {.tile_count = 0};
  request.untuned = true;
  PFL_TRY(kernels_write(&request, &heap, &job->base, error));
  base.tile_count = job->base.tile_count;
  memcpy(base.tiles, job->base.tiles, sizeof base.tiles);
  return add_candidate(job, &base, error);
}

/* ---- Many at a time ------------------------------------------------------ */

/* "[3/20] block_q=512 block_k=512: 377,012 cycles", on stderr. */
static void tell(const tune_job *job, const tune_candidate *candidate) {
  fprintf(stderr, "[%" PRId64 "/%" PRId64 "]", job->tried, tune_count(job));
  for (int i = 0; i < candidate->tile_count; i++)
    fprintf(stderr, " %s=%" PRId64, candidate->tiles[i].name,
            candidate->tiles[i].value);
  if (candidate->cycles)
    fprintf(stderr, ": %" PRId64 " cycles%s%s\n", candidate->cycles,
            job->best >= 0 && tune_at(job, job->best) == candidate
                ? ", the best so far"
                : "",
            candidate->reused ? " (from the journal)" : "");
  else
    fprintf(stderr, ": %s\n", candidate->failure);
}

/* Of two that are as fast, the one that was thought of first. */
static bool is_better(const tune_job *job, int64_t index) {
  int64_t cycles = tune_at(job, index)->cycles;
  if (!cycles || job->best < 0) return cycles > 0;
  int64_t best = tune_at(job, job->best)->cycles;
  return cycles < best || (cycles == best && index < job->best);
}

/* With the lock held. */
static void finish(tune_job *job, int64_t index) {
  tune_candidate *candidate = tune_at(job, index);
  job->tried++;
  if (is_better(job, index)) job->best = index;
  tell(job, candidate);
  /* failures are tried again: they may be this machine's */
  if (!candidate->reused && candidate->cycles && !job->status)
    job->status = tune_journal_add(job, candidate, &job->error);
}

static void *work(void *argument) {
  tune_job *job = argument;
  pthread_mutex_lock(&job->lock);
  while (job->next < job->end && !job->status) {
    int64_t index = job->next++;
    pthread_mutex_unlock(&job->lock);
    tune_candidate_try(job, tune_at(job, index));
    pthread_mutex_lock(&job->lock);
    finish(job, index);
  }
  pthread_mutex_unlock(&job->lock);
  return NULL;
}

/* Tries what was added and not tried. No more are added meanwhile: they stay
 * where they are. */
static pfl_status try_added(tune_job *job, pfl_error *error) {
  pthread_t threads[BASE_THREADS_MAX];
  int count = job->options->jobs ? job->options->jobs : base_cpu_count();
  int started = 0;
  job->end = tune_count(job);
  if (job->end - job->next < count) count = (int)(job->end - job->next);
  for (; started + 1 < count; started++)
    if (pthread_create(&threads[started], NULL, work, job)) break;
  work(job);
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  if (job->status && error) *error = job->error;
  return job->status;
}

/* ---- --try --------------------------------------------------------------- */

static int tile_called(const tune_job *job, const char *name, size_t length) {
  const tune_candidate *base = tune_at(job, 0);
  for (int i = 0; i < base->tile_count; i++)
    if (strlen(base->tiles[i].name) == length &&
        !strncmp(base->tiles[i].name, name, length))
      return i;
  return -1;
}

/* Every value of --try's `which`-th option and of those after it. */
static pfl_status add_product(tune_job *job, const tune_candidate *so_far,
                              int which, pfl_error *error) {
  if (which == job->options->try_count)
    return add_candidate(job, so_far, error);
  const char *text = job->options->tries[which];
  size_t length = strcspn(text, "=");
  int tile = tile_called(job, text, length);
  if (tile < 0)
    PFL_RAISE(error, INVALID_ARGUMENT, "--try: there is no tile called '%.*s'",
              (int)length, text);
  for (text += length; *text; text += strcspn(text, ",")) {
    tune_candidate next = *so_far;
    next.tiles[tile].value = strtoll(++text, NULL, 10);
    PFL_TRY(add_product(job, &next, which + 1, error));
  }
  return PFL_STATUS_OK;
}

/* ---- One number after the other ------------------------------------------ */

static bool is_fixed(const tune_job *job, const char *name) {
  for (int i = 0; i < job->options->tile_count; i++)
    if (!strcmp(job->options->tiles[i].name, name)) return true;
  return false;
}

/* The best so far with one tile doubled, or halved. */
static pfl_status add_step(tune_job *job, int tile, bool doubled,
                           pfl_error *error) {
  const tune_candidate *best = tune_at(job, job->best);
  tune_candidate next = {.tile_count = best->tile_count};
  memcpy(next.tiles, best->tiles, sizeof next.tiles);
  int64_t *value = &next.tiles[tile].value;
  if (!doubled && *value % 2) return PFL_STATUS_OK;
  *value = doubled ? 2 * *value : *value / 2;
  return add_candidate(job, &next, error);
}

/* What is not better by this is not worth going on for. */
#define STEP_GAIN 0.001

static bool improved(const tune_job *job, int64_t cycles_before) {
  return (double)tune_at(job, job->best)->cycles <
         (1 - STEP_GAIN) * (double)cycles_before;
}

/* Steps of one tile both ways, for as long as they help. */
static pfl_status climb_tile(tune_job *job, int tile, pfl_error *error) {
  int64_t before;
  do {
    before = tune_at(job, job->best)->cycles;
    PFL_TRY(add_step(job, tile, true, error));
    PFL_TRY(add_step(job, tile, false, error));
    PFL_TRY(try_added(job, error));
  } while (improved(job, before));
  return PFL_STATUS_OK;
}

static pfl_status climb(tune_job *job, pfl_error *error) {
  int64_t before;
  do {
    before = tune_at(job, job->best)->cycles;
    for (int i = 0; i < job->base.tile_count; i++)
      if (!is_fixed(job, job->base.tiles[i].name))
        PFL_TRY(climb_tile(job, i, error));
  } while (improved(job, before));
  return PFL_STATUS_OK;
}

/* ---- All of it ----------------------------------------------------------- */

pfl_status tune_job_do(tune_job *job, pfl_error *error) {
  const cli_options *options = job->options;
  job->best = -1;
  if (pthread_mutex_init(&job->lock, NULL))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "a lock cannot be made");
  kernels_tuned_key(&job->request.kernels, job->key);
  PFL_TRY(tune_journal_read(job, error));
  PFL_TRY(add_base(job, error));
  if (options->try_count) {
    tune_candidate base = *tune_at(job, 0);
    PFL_TRY(add_product(job, &base, 0, error));
    PFL_TRY(try_added(job, error));
  } else {
    PFL_TRY(try_added(job, error));
    if (job->best >= 0) PFL_TRY(climb(job, error));
  }
  if (job->best >= 0) return tune_table_write(job, error);
  PFL_RAISE(error, FAILED_PRECONDITION, "no candidate can be compiled: %.300s",
            tune_at(job, 0)->failure);
}

void tune_job_release(tune_job *job) {
  kernels_program_release(&job->base);
  base_text_release(&job->candidates);
  base_text_release(&job->journal);
}

void tune_job_rank(const tune_job *job, int64_t *out) {
  for (int64_t i = 0; i < tune_count(job); i++) {
    int64_t cycles = tune_at(job, i)->cycles, at = i;
    for (; at && cycles; at--) {
      int64_t before = tune_at(job, out[at - 1])->cycles;
      if (before && before <= cycles) break;
      out[at] = out[at - 1];
    }
    out[at] = i;
  }
}

/* Who has which page: sequences, their lengths and tables of pages, and how
 * many sequences share a page. Tokens themselves are elsewhere.
 *
 * Page p lies on chip p % chips, and so must page i of a sequence on chip
 * i % chips: each chip's free pages are a stack of their own.
 *
 * An append is a step of two calls. Between them the tables have the pages of
 * the longer sequences, and the lengths are the old ones:
 *
 *   PFL_TRY(cache_ledger_begin(&ledger, sequences, batch, tokens, error));
 *   pfl_status status = write_tokens(&ledger, ...);
 *   cache_ledger_end(&ledger, !status);    or everything is as it was
 *
 * Threads: one at a time. */
#ifndef PFL_CACHE_LEDGER_H
#define PFL_CACHE_LEDGER_H

#include "base/memory.h"
#include "base/status.h"
#include "pallas_flash/cache.h"

typedef struct cache_limits {
  int64_t page_length;     /* tokens */
  int64_t page_count;      /* to INT32_MAX */
  int64_t sequence_count;  /* to INT32_MAX */
  int64_t sequence_length; /* tokens, to INT32_MAX */
  int chips;
} cache_limits;

/* What a step does to its sequence of a number. */
typedef struct cache_change {
  int32_t slot;
  int32_t copied_from; /* the page that the first one written is to be a copy
                          of, as far as there are tokens; -1: none */
} cache_change;

enum { CACHE_CHIPS_MAX = 4 };

typedef struct cache_ledger {
  pfl_allocator allocator;
  cache_limits limits;
  int64_t columns; /* pages of a sequence at most */
  /* by slot */
  uint32_t *serials; /* upper half of its sequence's name; 0: free */
  int32_t *lengths;
  int32_t *table; /* [slots][columns], of which those in use are set */
  int32_t *free_slots;
  int64_t free_slot_count;
  uint32_t last_serial;
  /* by page */
  int32_t *references;                 /* sequences that have it; free: <= 0 */
  int32_t *free_pages;                 /* stacks, one after the other */
  int64_t free_begin[CACHE_CHIPS_MAX]; /* of each chip's in free_pages */
  int64_t free_count[CACHE_CHIPS_MAX];
  /* the step */
  cache_change *changes;
  int64_t change_count, step_tokens;
  bool *in_step; /* by slot */
} cache_ledger;

/* The limits are checked. RESOURCE_EXHAUSTED; then *out_ledger has nothing. */
PFL_NODISCARD pfl_status cache_ledger_init(const cache_limits *limits,
                                           const pfl_allocator *allocator,
                                           cache_ledger *out_ledger,
                                           pfl_error *error);
void cache_ledger_release(cache_ledger *ledger);

/* Pages that `tokens` take. */
static inline int64_t cache_pages_of(const cache_ledger *ledger,
                                     int64_t tokens) {
  return base_ceil_div(tokens, ledger->limits.page_length);
}

static inline int32_t *cache_row_of(const cache_ledger *ledger, int64_t slot) {
  return ledger->table + slot * ledger->columns;
}

/* The sequence of a slot; 0 if the slot is free. */
pfl_sequence cache_ledger_name(const cache_ledger *ledger, int64_t slot);

int64_t cache_ledger_free_pages(const cache_ledger *ledger);

/* NOT_FOUND. */
PFL_NODISCARD pfl_status cache_ledger_find(const cache_ledger *ledger,
                                           pfl_sequence sequence,
                                           int64_t *out_slot, pfl_error *error);

/* An empty sequence. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status cache_ledger_open(cache_ledger *ledger,
                                           int64_t *out_slot, pfl_error *error);

/* A sequence that shares the first `length` tokens. OUT_OF_RANGE,
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status cache_ledger_fork(cache_ledger *ledger, int64_t slot,
                                           int64_t length, int64_t *out_slot,
                                           pfl_error *error);

/* OUT_OF_RANGE. */
PFL_NODISCARD pfl_status cache_ledger_truncate(cache_ledger *ledger,
                                               int64_t slot, int64_t length,
                                               pfl_error *error);

void cache_ledger_close(cache_ledger *ledger, int64_t slot);

/* Makes a sequence as a file has it: `length` tokens in the file's pages of
 * `row`, which are numbers below the length of `placed`; that has the page
 * taken for each, -1 for none yet. False: there is no such free slot, a page is
 * shared by other columns' chips, or too few are free; the ledger is then good
 * for release only. Slots are handed out again after cache_ledger_restored. */
bool cache_ledger_restore(cache_ledger *ledger, int64_t slot, uint32_t serial,
                          int32_t length, const int32_t *row, int32_t *placed);
void cache_ledger_restored(cache_ledger *ledger, uint32_t last_serial);

/* NOT_FOUND, INVALID_ARGUMENT (a sequence twice), OUT_OF_RANGE,
 * RESOURCE_EXHAUSTED: the ledger is as it was. */
PFL_NODISCARD pfl_status cache_ledger_begin(cache_ledger *ledger,
                                            const pfl_sequence *sequences,
                                            int64_t batch, int64_t tokens,
                                            pfl_error *error);

/* Keeps the step, or takes it back. */
void cache_ledger_end(cache_ledger *ledger, bool keep);

#endif

/* The decode kernel while it is written: what its parts share. */
#ifndef PFL_KERNELS_DECODE_KERNEL_H
#define PFL_KERNELS_DECODE_KERNEL_H

#include "kernels/decode_plan.h"

enum { DECODE_HEADS_MAX = 8, DECODE_SLOTS = 4 };

/* Scores are in units of log2. What is masked is far below what is the least a
 * row's maximum can be, so that its exp2 is 0 even in a row that sees nothing.
 */
#define DECODE_MASKED (-3e38)
#define DECODE_LEAST (-1.5e38)

/* References, as the kernel's arguments are ordered. */
typedef struct decode_kernel {
  mo_builder *b;
  const decode_plan *plan;
  mo_value *lengths, *q, *k, *v, *sinks; /* inputs */
  mo_value *out_o, *out_lse;             /* outputs; lse NULL: not wanted */
  mo_value *q_all;                       /* VMEM: all of q */
  mo_value *q_now;           /* [heads, rows_all, width]: of the job scored */
  mo_value *k_ring, *v_ring; /* [ring, heads, tile / pack, width] */
  mo_value *scores;  /* [2, heads, rows_all, local], by a job's parity */
  mo_value *o_slots; /* [2, heads, rows, Dv], of the output's dtype */
  mo_value *lse_all; /* [B Hkv, rows] */
  mo_value *zeros;   /* [Hkv, rows, Dv]: o of an empty sequence */
  mo_value *lengths_smem, *sinks_smem;
  mo_value *entries; /* [5, B] in SMEM, see decode_cache.c */
  mo_value *cursors; /* [2, 4] in SMEM: entry, group, tile, number */
  mo_value *places;  /* [4] in SMEM: the last jobs' b Hkv + first head */
  mo_value *k_arrived, *v_arrived;   /* semaphores, [ring] */
  mo_value *o_stored, *zeros_stored; /* [2], one */
  mo_value *q_arrived, *lengths_arrived, *sinks_arrived, *lse_stored;
  /* four chips: what is sent along x and y, what comes from there, each
   * [DECODE_SLOTS, heads, rows, 256 + Dv]: m, l, O side by side */
  mo_value *part[2], *other[2];
  mo_value *sent[2], *received[2]; /* semaphores, [DECODE_SLOTS] */
  mo_value *chip;                  /* this one's number; NULL of one chip */
  mo_value *barrier;
} decode_kernel;

/* One sequence with tokens, as the scalar side knows it. */
typedef struct decode_entry {
  mo_value *sequence;    /* b */
  mo_value *length;      /* tokens, on all chips */
  mo_value *begin, *end; /* local tokens that some query sees lie in there;
                            begin is a multiple of the granule */
  mo_value *tiles;       /* from begin, at least 1 */
} decode_entry;

/* A job: an entry and a group of its key-value heads. */
typedef struct decode_job {
  decode_entry entry;
  mo_value *group;
  mo_value *parity; /* of the job's number: half of `scores` */
} decode_job;

/* The state of the softmax of `heads` heads: m and l lane-replicated, acc not
 * divided. */
typedef struct decode_state {
  mo_value *m[DECODE_HEADS_MAX], *l[DECODE_HEADS_MAX], *acc[DECODE_HEADS_MAX];
} decode_state;

/* ---- Small words ----------------------------------------------------------
 */

static inline mo_value *decode_number(const decode_kernel *k, int64_t number) {
  return mo_i32(k->b, (double)number);
}
/* x + number, x * number, without an op where that is nothing. */
mo_value *decode_plus(const decode_kernel *k, mo_value *x, int64_t number);
mo_value *decode_times(const decode_kernel *k, mo_value *x, int64_t number);
mo_value *decode_over(const decode_kernel *k, mo_value *x, int64_t power);

/* ---- The cache (decode_cache.c) --------------------------------------------
 */

/* Tokens of this chip among the first x of all chips; x an i32 or a vector. */
mo_value *decode_local_count(const decode_kernel *k, mo_value *x);
/* Lists the sequences that have tokens, and gives zeros to the others. Returns
 * their number, at least 1: the first sequence is one whatever it has. */
mo_value *decode_list_entries(const decode_kernel *k);
void decode_wait_zeros(const decode_kernel *k, mo_value *entries);
decode_entry decode_entry_get(const decode_kernel *k, mo_value *index);

/* Asks for the first tile before anything is known of the lengths. */
void decode_fetch_eager(const decode_kernel *k);
/* Asks for the next tile of K, or of V, if there is one. */
void decode_fetch(const decode_kernel *k, bool values, mo_value *entries);
void decode_fetch_begin(const decode_kernel *k, mo_value *entries);
/* Waits for tile t of an entry, number `number` of all. */
void decode_await(const decode_kernel *k, bool values,
                  const decode_entry *entry, mo_value *t, mo_value *number);
/* Clears the rows of a tile of V that no query sees: whatever is there, and
 * NaN times 0 is NaN. */
void decode_clear_unseen(const decode_kernel *k, const decode_entry *entry,
                         mo_value *t, mo_value *number);

/* ---- Tiles (decode_tile.c) -------------------------------------------------
 */

/* Query rows of a job, as tiles of K meet them. */
void decode_load_queries(const decode_kernel *k, const decode_job *job);
/* What limits the local tokens that a row sees: [rows_all, 128] vectors. */
typedef struct decode_limits {
  mo_value *low, *high; /* low NULL: none */
} decode_limits;
decode_limits decode_limits_of(const decode_kernel *k,
                               const decode_entry *entry);
/* Scores of tile t, kept; raises m, a maximum a lane. */
void decode_score(const decode_kernel *k, const decode_job *job,
                  const decode_limits *limits, mo_value *t, mo_value *number,
                  mo_value **m);
/* Adds tile t's values, weighed by its scores, to acc and l. */
void decode_weigh(const decode_kernel *k, const decode_job *job, mo_value *t,
                  mo_value *number, decode_state *state);

/* ---- Merging, results (decode_merge.c) -------------------------------------
 */

/* m, l and O of one head's rows: l and m lane-replicated [rows, 128]. */
typedef struct decode_part {
  mo_value *m, *l, *o;
} decode_part;

void decode_greet(const decode_kernel *k);
/* What follows one job when the next one has been weighed: the exchange along
 * x of the last job, along y of the one before, and the result of the third
 * last. `step` counts from 0, `jobs` is their number. */
void decode_settle(const decode_kernel *k, const decode_state *state,
                   mo_value *step, mo_value *jobs);
void decode_finish(const decode_kernel *k, mo_value *jobs);

#endif

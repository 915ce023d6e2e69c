/* The decode kernel while it is written: what its parts share. */
#ifndef PFL_KERNELS_DECODE_KERNEL_H
#define PFL_KERNELS_DECODE_KERNEL_H

#include "kernels/decode_plan.h"

enum { DECODE_HEADS_MAX = 8, DECODE_SCALE_SLOTS = 4 };

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
  mo_value *table;                       /* [B pages], of a paged cache */
  mo_value *scales[2];                   /* of k and v: [B, Hkv, 1, local] */
  mo_value *out_o, *out_lse;             /* outputs; lse NULL: not wanted */
  mo_value *q_all;                       /* VMEM: all of q */
  mo_value *q_now;   /* [some, rows_all, width]: of all jobs, or of one */
  mo_value *q_units; /* [some, rows, 128]: what its integers count */
  mo_value *q_wide;  /* [some, 2 q_low, D]: those, before they are int8 */
  mo_value *k_ring, *v_ring; /* [ring, heads, tile / pack, width] */
  mo_value *scores;  /* [2, heads, rows_all, local], by a job's parity */
  mo_value *o_slots; /* [2, heads, rows, Dv], of the output's dtype */
  mo_value *lse_all; /* [B Hkv, rows] */
  mo_value *zeros;   /* [Hkv, rows, Dv]: o of an empty sequence */
  mo_value *lengths_smem, *sinks_smem, *table_smem;
  mo_value *entries; /* [6, entries] in SMEM, see decode_cache.c */
  mo_value *cursors; /* [2, 4] in SMEM: entry, group, tile, number */
  mo_value *places;  /* [slots] in SMEM: the last jobs' b Hkv + first head */
  /* of segments: the last jobs' marks and numbers of results, [2, slots] in
   * SMEM; [2], of which the first counts results; parts that are not whole yet,
   * [Hkv, 1, rows, 256 + Dv]: m, l, O side by side */
  mo_value *marks, *results, *held;
  mo_value *k_arrived, *v_arrived;   /* semaphores, [ring] */
  mo_value *o_stored, *zeros_stored; /* [2], one */
  mo_value *scale_cursor;            /* [2] in SMEM: entry and group */
  mo_value *scale_slots[2]; /* [DECODE_SCALE_SLOTS, heads, 1, tiles tile], or
                               with pages [ring, heads, 1, a tile's lanes] */
  mo_value *scales_arrived; /* semaphores, [DECODE_SLOTS] */
  mo_value *q_arrived, *lengths_arrived, *table_arrived, *sinks_arrived,
      *lse_stored;
  /* four chips: what is sent along x and y, what comes from there, each
   * [slots, heads, rows, 256 + Dv]: m, l, O side by side */
  mo_value *part[2], *other[2];
  mo_value *sent[2], *received[2]; /* semaphores, [slots] */
  mo_value *chip;                  /* this one's number; NULL of one chip */
  mo_value *barrier;
} decode_kernel;

/* Of a sequence's segments. */
enum { DECODE_FIRST = 1, DECODE_LAST = 2 };

/* One sequence with tokens, or a segment of one, as the scalar side knows it.
 */
typedef struct decode_entry {
  mo_value *sequence;    /* b */
  mo_value *length;      /* tokens, on all chips */
  mo_value *begin, *end; /* local tokens that some query sees lie in there;
                            begin is a multiple of the granule */
  mo_value *tiles;       /* from begin, at least 1 */
  mo_value *marks;       /* of a segment: DECODE_FIRST, DECODE_LAST; or NULL */
} decode_entry;

/* A job: an entry and a group of its key-value heads. */
typedef struct decode_job {
  mo_value *number; /* of the job */
  decode_entry entry;
  mo_value *index, *group; /* of the entry; of heads */
  mo_value *tiles;         /* none where there is no such job */
} decode_job;

/* Tile t of a job, which is number `number` of all of K, or of V. */
typedef struct decode_tile {
  const decode_job *job;
  mo_value *t, *number;
} decode_tile;

/* The state of the softmax of `heads` heads: m and l lane-replicated, acc not
 * divided. */
typedef struct decode_state {
  mo_value *m[DECODE_HEADS_MAX], *l[DECODE_HEADS_MAX], *acc[DECODE_HEADS_MAX];
} decode_state;

/* ---- Small words ----------------------------------------------------------
 */

/* Without a place of its own: it stands among the operands of what has one. */
static inline mo_value *decode_number(const decode_kernel *k, int64_t number) {
  return mo_constant_(k->b, mo_scalar_type(k->b, MO_I32), (double)number);
}
/* x + number, x * number, without an op where that is nothing. */
mo_value *decode_plus(const decode_kernel *k, mo_value *x, int64_t number);
mo_value *decode_times(const decode_kernel *k, mo_value *x, int64_t number);
mo_value *decode_over(const decode_kernel *k, mo_value *x, int64_t power);
int decode_log(int64_t power);

/* ---- Tensors and memory (decode_tensors.c) ---------------------------------
 */

void decode_declare(decode_kernel *k, kernels_kernel *kernel);

/* The cache's alone: k, v, and scales or a table where it has them. */
void decode_declare_cache(decode_kernel *k, kernels_kernel *kernel);
/* An input or output of the kernel, in HBM. */
mo_value *decode_input(const decode_kernel *k, kernels_kernel *kernel,
                       const char *name, pfl_dtype dtype, mo_shape shape,
                       kernels_split split);
mo_value *decode_output(const decode_kernel *k, kernels_kernel *kernel,
                        const char *name, pfl_dtype dtype, mo_shape shape,
                        kernels_split split);
/* A tensor of rows that have zeros behind them on the chip. */
void decode_pad(kernels_tensor *tensor, int64_t row);
/* Of a whole tensor's `dimension` of query heads, or key-value heads, each chip
 * has `heads`, side by side; all, where heads are not what is spread. */
kernels_split decode_by_heads(const decode_plan *plan, int dimension,
                              int64_t heads);

/* ---- The cache (decode_cache.c) --------------------------------------------
 */

/* Tokens of this chip among the first x of all chips; x an i32 or a vector. */
mo_value *decode_local_count(const decode_kernel *k, mo_value *x);
/* Lists the sequences that have tokens, and gives zeros to the others. Returns
 * the number of entries, and *out_sequences that of sequences, at least 1: the
 * first sequence is one whatever it has. */
mo_value *decode_list_entries(const decode_kernel *k, mo_value **out_sequences);
void decode_wait_zeros(const decode_kernel *k, mo_value *sequences);
decode_entry decode_entry_get(const decode_kernel *k, mo_value *index);
/* The next job's entry and group if carry is 1, the same if it is 0. */
void decode_next_job(const decode_kernel *k, mo_value **entry, mo_value **group,
                     mo_value *carry);

/* Asks for the first tile before anything is known of the lengths. */
void decode_fetch_eager(const decode_kernel *k);
/* Asks for the next tile of K, or of V, if there is one. */
void decode_fetch(const decode_kernel *k, bool values, mo_value *entries);
void decode_fetch_begin(const decode_kernel *k, mo_value *entries);
/* Waits for tile t of an entry, number `number` of all. */
void decode_await(const decode_kernel *k, bool values,
                  const decode_entry *entry, mo_value *t, mo_value *number);

/* The place on this chip of local page i of a sequence. */
mo_value *decode_page_at(const decode_kernel *k, mo_value *sequence,
                         mo_value *i);
/* Starts the copies of `tokens` tokens of an entry, from `token` on. */
void decode_copy_pages(const decode_kernel *k, bool values,
                       const decode_entry *entry, mo_value *group,
                       mo_value *token, mo_value *tokens, mo_value *slot);

/* ---- What nobody sees (decode_clear.c) -------------------------------------
 */

/* Bits of the words of some rows of K or V, from token 0 on, that belong to
 * tokens low .. high - 1; low NULL: 0. */
mo_value *decode_seen_bits(const decode_kernel *k, mo_shape shape,
                           mo_value *low, mo_value *high);
/* Clears it from a tile of K or V that has arrived. */
void decode_clear_unseen(const decode_kernel *k, bool values,
                         const decode_job *job, mo_value *t, mo_value *number);

/* ---- Scales of an int8 cache (decode_scales.c); without them, nothing ------
 */

void decode_fetch_scales_eager(const decode_kernel *k);
void decode_fetch_scales_begin(const decode_kernel *k, mo_value *entries);
/* Waits for the job's, if there is such a job, and asks for a later one's. */
void decode_await_scales(const decode_kernel *k, const decode_job *job,
                         mo_value *entries);
/* Of the 128 tokens from number `column` on of a tile's, in each row. */
mo_value *decode_scales_of(const decode_kernel *k, bool values,
                           const decode_tile *tile, int64_t head,
                           int64_t column);
/* Those of 128 tokens of a tile but low .. high - 1 of the tile's. */
void decode_clear_scales(const decode_kernel *k, const decode_tile *tile,
                         mo_value *block, mo_value *low, mo_value *high);
/* Of pages, with their tiles: asks for those of the page that goes to `row` of
 * a slot; waits for those of the pages of `tokens` tokens. */
void decode_copy_page_scales(const decode_kernel *k, bool values,
                             mo_value *page, mo_value *group, mo_value *slot,
                             mo_value *row);
void decode_await_page_scales(const decode_kernel *k, bool values,
                              mo_value *slot, mo_value *tokens);

/* ---- Queries (decode_queries.c) --------------------------------------------
 */

/* Those of all jobs, once; or of the job that is scored next. */
void decode_prepare_all(const decode_kernel *k);
void decode_prepare_job(const decode_kernel *k, const decode_job *job);
/* Products of head h's queries with a tile of K, [rows_all, tokens / pack]; and
 * what they count, [rows_all, 128], times scale. */
mo_value *decode_product(const decode_kernel *k, const decode_job *job,
                         int64_t h, mo_value *tile);
mo_value *decode_product_scale(const decode_kernel *k, const decode_job *job,
                               int64_t h, double scale);

/* ---- Tiles (decode_tile.c) -------------------------------------------------
 */

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
/* What there is to do for jobs that have been weighed; `jobs` is their number.
 */
void decode_settle(const decode_kernel *k, const decode_state *state,
                   mo_value *step, mo_value *jobs);
/* `results` is the number of jobs that end a sequence's heads. */
void decode_finish(const decode_kernel *k, mo_value *results);

#endif

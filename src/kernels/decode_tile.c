/* What is computed of a tile: scores S = scale Q K^T of the next job, and the
 * values of this one weighed by exp2(S - m). Rows of Q are few and move through
 * the MXU, whose weights are K transposed and V.
 *
 * Where `pack` tokens share a row of the cache, a row of Q stands there once
 * for each place in it, with zeros at the other places:
 *
 *   Q rows    q0 .    K row r   token 2r | token 2r + 1
 *             q1 .
 *             .  q0
 *             .  q1
 *
 * so that row p R + i of the scores has query i and the tokens of place p. Such
 * a copy is a softmax of its own until the job's end. */
#include "kernels/columns.h"
#include "kernels/decode_kernel.h"

#define LOG2_E 1.4426950408889634

/* ---- Queries --------------------------------------------------------------
 */

/* [rows, D] at place p of [rows, width]. */
static mo_value *placed(const decode_kernel *k, mo_value *q, int64_t p) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_element element = kernels_element(plan->dtype);
  mo_shape square = MO_SHAPE(plan->D, plan->width);
  mo_value *to = mo_sub(b, mo_iota(b, square, 1), mo_iota(b, square, 0));
  mo_value *hit =
      mo_eq(b, to, mo_full(b, MO_I32, square, (double)(p * plan->D)));
  mo_value *spread = mo_select(b, hit, mo_full(b, MO_F32, square, 1),
                               mo_full(b, MO_F32, square, 0));
  mo_value *none = mo_full(b, MO_F32, MO_SHAPE(plan->rows, plan->width), 0);
  /* a product with ones and zeros: exact, and the MXU moves lanes for free */
  mo_value *moved = mo_matmul(b, MO_NN, q, mo_cast(b, spread, element), none);
  return mo_cast(b, moved, element);
}

void decode_load_queries(const decode_kernel *k, const decode_job *job) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_value *zero = mo_i32(b, 0);
  mo_value *first = decode_times(k, job->group, plan->heads);
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *q = mo_load(
        b, k->q_all,
        MO_VALUES(job->entry.sequence, decode_plus(k, first, h), zero, zero),
        MO_SHAPE(plan->rows, plan->D));
    for (int64_t p = 0; p < plan->pack; p++)
      mo_store(b, plan->pack > 1 ? placed(k, q, p) : q, k->q_now,
               MO_VALUES(decode_number(k, h), decode_number(k, p * plan->rows),
                         zero));
  }
}

/* ---- Masks ----------------------------------------------------------------
 */

/* The local tokens before position `ahead` from each row's own, less the place
 * of the row: what a token's number in its tile is compared with. */
static mo_value *limit_of(const decode_kernel *k, const decode_entry *entry,
                          int64_t ahead) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows_all, 128);
  mo_value *first = decode_plus(k, entry->length, ahead - plan->T);
  mo_value *zero = mo_i32(b, 0), *local;
  if (plan->T == 1) {
    local = decode_local_count(k, mo_max(b, first, zero));
    local = mo_broadcast(b, mo_sub(b, local, entry->begin), shape);
  } else {
    mo_value *t = mo_rem(b, mo_iota(b, shape, 0),
                         mo_full(b, MO_I32, shape, (double)plan->T));
    mo_value *x = mo_add(b, mo_broadcast(b, first, shape), t);
    local = decode_local_count(k, mo_max(b, x, mo_full(b, MO_I32, shape, 0)));
    local = mo_sub(b, local, mo_broadcast(b, entry->begin, shape));
  }
  if (plan->pack == 1) return local;
  mo_value *place = mo_div(b, mo_iota(b, shape, 0),
                           mo_full(b, MO_I32, shape, (double)plan->rows));
  return mo_sub(b, local, place);
}

decode_limits decode_limits_of(const decode_kernel *k,
                               const decode_entry *entry) {
  bool windowed = k->plan->left < k->plan->Smax;
  return (decode_limits){windowed ? limit_of(k, entry, -k->plan->left) : NULL,
                         limit_of(k, entry, 1)};
}

/* x where the row sees the tokens of these 128 columns, the first of which is
 * token `first` from the entry's begin. */
static mo_value *masked(const decode_kernel *k, mo_value *x,
                        const decode_limits *limits, mo_value *first) {
  mo_builder *b = k->b;
  mo_shape shape = MO_SHAPE(k->plan->rows_all, 128);
  mo_value *token =
      mo_add(b,
             mo_mul(b, mo_iota(b, shape, 1),
                    mo_full(b, MO_I32, shape, (double)k->plan->pack)),
             mo_broadcast(b, first, shape));
  mo_value *seen = mo_lt(b, token, limits->high);
  if (limits->low) seen = mo_and(b, seen, mo_ge(b, token, limits->low));
  return mo_select(b, seen, x, mo_full(b, MO_F32, shape, DECODE_MASKED));
}

/* ---- Scores ---------------------------------------------------------------
 */

static mo_value *slot_of(const decode_kernel *k, mo_value *number) {
  return mo_and(k->b, number, decode_number(k, k->plan->ring - 1));
}

/* A tile of one head of a ring. */
static mo_value *load_tile(const decode_kernel *k, mo_value *ring, int64_t head,
                           mo_value *number, int64_t width) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0);
  return mo_load(
      b, ring,
      MO_VALUES(slot_of(k, number), decode_number(k, head), zero, zero),
      MO_SHAPE(k->plan->tile / k->plan->pack, width));
}

static mo_values scores_at(const decode_kernel *k, mo_value **room,
                           mo_value *half, int64_t head, mo_value *t,
                           int64_t column) {
  int64_t columns = k->plan->tile / k->plan->pack;
  mo_value *first = decode_plus(k, decode_times(k, t, columns), column);
  room[0] = half;
  room[1] = decode_number(k, head);
  room[2] = mo_i32(k->b, 0);
  room[3] = mo_multiple(k->b, first, 128);
  return (mo_values){4, room};
}

/* Products to units of log2. */
static mo_value *scaled(const decode_kernel *k, mo_value *s) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows_all, 128);
  if (!plan->softcap)
    return mo_mul(b, s, mo_full(b, MO_F32, shape, plan->scale * LOG2_E));
  s = mo_mul(b, s, mo_full(b, MO_F32, shape, plan->scale / plan->softcap));
  return mo_mul(b, mo_tanh(b, s),
                mo_full(b, MO_F32, shape, plan->softcap * LOG2_E));
}

void decode_score(const decode_kernel *k, const decode_job *job,
                  const decode_limits *limits, mo_value *t, mo_value *number,
                  mo_value **m) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t rows = plan->rows_all, columns = plan->tile / plan->pack;
  mo_value *zero = mo_i32(b, 0), *room[4];
  mo_value *first = decode_times(k, t, plan->tile);
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *q =
        mo_load(b, k->q_now, MO_VALUES(decode_number(k, h), zero, zero),
                MO_SHAPE(rows, plan->width));
    mo_value *s =
        mo_matmul(b, MO_NT, q, load_tile(k, k->k_ring, h, number, plan->width),
                  mo_full(b, MO_F32, MO_SHAPE(rows, columns), 0));
    for (int64_t c = 0; c < columns; c += 128) {
      mo_value *x = mo_part(b, s, MO_SHAPE(0, c), MO_SHAPE(rows, 128));
      x = masked(k, scaled(k, x), limits,
                 decode_plus(k, first, c * plan->pack));
      mo_store(b, x, k->scores, scores_at(k, room, job->parity, h, t, c));
      m[h] = mo_max(b, m[h], x);
    }
  }
}

/* ---- Values ---------------------------------------------------------------
 */

void decode_weigh(const decode_kernel *k, const decode_job *job, mo_value *t,
                  mo_value *number, decode_state *state) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t rows = plan->rows_all, columns = plan->tile / plan->pack;
  mo_value *room[4], *parts[64];
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *sum = NULL;
    int count = 0;
    for (int64_t c = 0; c < columns; c += 128) {
      mo_value *s =
          mo_load(b, k->scores, scores_at(k, room, job->parity, h, t, c),
                  MO_SHAPE(rows, 128));
      mo_value *p = mo_exp2(b, mo_sub(b, s, state->m[h]));
      sum = sum ? mo_add(b, sum, p) : p;
      parts[count++] = mo_cast(b, p, kernels_element(plan->dtype));
    }
    /* across the lanes now, beside the product, not at the job's end */
    sum = columns_make(b, mo_reduce(b, MO_SUM, sum, 1));
    state->l[h] = mo_add(b, state->l[h], sum);
    mo_value *p = mo_concatenate(b, ((mo_values){count, parts}), 1);
    mo_value *v = load_tile(k, k->v_ring, h, number, plan->v_width);
    state->acc[h] = mo_matmul(b, MO_NN, p, v, state->acc[h]);
  }
}

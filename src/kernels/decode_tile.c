/* What is computed of a tile: scores S = scale Q K^T of the next job, and the
 * values of this one weighed by exp2(S - m). Rows of Q are few and move through
 * the MXU, whose weights are K transposed and V. */
#include "kernels/columns.h"
#include "kernels/decode_kernel.h"

#define LN_2 0.6931471805599453

/* ---- Masks ----------------------------------------------------------------
 */

/* The local tokens before position `ahead` from each row's own, less the place
 * of the row: what a token's number in its tile is compared with. */
static mo_value *limit_of(const decode_kernel *k, const decode_entry *entry,
                          int64_t ahead) {
  bool ends = k->plan->segment && ahead == 1; /* before the next segment */
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows_all, 128);
  mo_value *first = decode_plus(k, entry->length, ahead - plan->T);
  mo_value *zero = mo_i32(b, 0), *local;
  if (plan->T == 1) {
    local = decode_local_count(k, mo_max(b, first, zero));
    if (ends) local = mo_min(b, local, entry->end);
    local = mo_broadcast(b, mo_sub(b, local, entry->begin), shape);
  } else {
    mo_value *t = mo_rem(b, mo_iota(b, shape, 0),
                         mo_full(b, MO_I32, shape, (double)plan->T));
    mo_value *x = mo_add(b, mo_broadcast(b, first, shape), t);
    local = decode_local_count(k, mo_max(b, x, mo_full(b, MO_I32, shape, 0)));
    if (ends) local = mo_min(b, local, mo_broadcast(b, entry->end, shape));
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

/* A tile of one head of a ring, as it lies there. */
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
                           const decode_job *job, int64_t head, mo_value *t,
                           int64_t column) {
  int64_t columns = k->plan->tile / k->plan->pack;
  mo_value *first = decode_plus(k, decode_times(k, t, columns), column);
  room[0] = mo_and(k->b, job->number, mo_i32(k->b, 1));
  room[1] = decode_number(k, head);
  room[2] = mo_i32(k->b, 0);
  room[3] = mo_multiple(k->b, first, 128);
  return (mo_values){4, room};
}

/* Products of 128 tokens from number `column` of a tile on to scores in units
 * of log2. */
static mo_value *score(const decode_kernel *k, const decode_tile *tile,
                       int64_t h, mo_value *x, int64_t column) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows_all, 128);
  double scale = plan->scale / (plan->softcap ? plan->softcap : LN_2);
  if (plan->scaled)
    x = mo_mul(b, x, decode_scales_of(k, false, tile, h, column));
  x = mo_mul(b, x, decode_product_scale(k, tile->job, h, scale));
  if (!plan->softcap) return x;
  return mo_mul(b, mo_tanh(b, x),
                mo_full(b, MO_F32, shape, plan->softcap / LN_2));
}

void decode_score(const decode_kernel *k, const decode_job *job,
                  const decode_limits *limits, mo_value *t, mo_value *number,
                  mo_value **m) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t rows = plan->rows_all, columns = plan->tile / plan->pack;
  mo_value *first = decode_times(k, t, plan->tile), *room[4];
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *tile = load_tile(k, k->k_ring, h, number, plan->width);
    mo_value *s = decode_product(k, job, h, tile);
    for (int64_t c = 0; c < columns; c += 128) {
      mo_value *token = decode_plus(k, first, c * plan->pack);
      mo_value *x = mo_part(b, s, MO_SHAPE(0, c), MO_SHAPE(rows, 128));
      x = score(k, &(decode_tile){job, t, number}, h, x, c);
      x = masked(k, x, limits, token);
      mo_store(b, x, k->scores, scores_at(k, room, job, h, t, c));
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
      mo_value *s = mo_load(b, k->scores, scores_at(k, room, job, h, t, c),
                            MO_SHAPE(rows, 128));
      mo_value *p = mo_exp2(b, mo_sub(b, s, state->m[h]));
      sum = sum ? mo_add(b, sum, p) : p;
      if (plan->scaled) {
        const decode_tile tile = {job, t, number};
        p = mo_mul(b, p, decode_scales_of(k, true, &tile, h, c));
      }
      parts[count++] = mo_cast(b, p, kernels_element(plan->dtype));
    }
    sum = columns_make(b, mo_reduce(b, MO_SUM, sum, 1));
    state->l[h] = mo_add(b, state->l[h], sum);
    mo_value *p = count == 1
                      ? parts[0]
                      : mo_concatenate(b, ((mo_values){count, parts}), 1);
    mo_value *v = load_tile(k, k->v_ring, h, number, plan->v_width);
    v = mo_cast(b, v, kernels_element(plan->dtype));
    state->acc[h] = mo_matmul(b, MO_NN, p, v, state->acc[h]);
  }
}

/* A panel of up to 64 query rows against blocks of keys: what forward, backward
 * and decode share. */
#ifndef PFL_CPU_PANEL_H
#define PFL_CPU_PANEL_H

#include "attention/problem.h"
#include "cpu/carve.h"
#include "cpu/operand.h"

/* What is the same for every panel of a call. */
typedef struct cpu_call {
  const cpu_kernels *kernels;
  bool pairs; /* products in bf16 pairs, else in f32 */
  int64_t D, Dv;
  float alpha;    /* q.k times this is in log2 units, or the tanh's argument */
  float cap_log2; /* softcap in log2 units; 0: none */
} cpu_call;

cpu_call cpu_call_init(const cpu_kernels *kernels, pfl_dtype dtype, int64_t D,
                       int64_t Dv, double scale, double softcap);

/* The product for the call's kind of operands. */
static inline void cpu_multiply(const cpu_call *call,
                                const cpu_product *product) {
  if (call->pairs)
    call->kernels->product_bf16(product);
  else
    call->kernels->product_f32(product);
}

/* Which keys each row of a panel sees. Rows that the panel does not have see
 * what row 0 sees. */
typedef struct cpu_view {
  int64_t begin[CPU_PANEL], end[CPU_PANEL];
  int64_t some_begin, some_end; /* outside, no row sees a key */
  int64_t all_begin, all_end;   /* inside, every row sees every key */
  const int32_t *key_ids;       /* by key, or NULL */
  int32_t ids[CPU_PANEL], least_id, most_id;
} cpu_view;

/* Row i sees ranges[i]; `ids` [rows] and `key_ids` [keys] may be NULL. */
void cpu_view_init(cpu_view *view, const attention_range *ranges, int64_t rows,
                   const int32_t *ids, const int32_t *key_ids);

/* The view of query rows first .. first + rows - 1 of a head. */
void cpu_view_queries(cpu_view *view, const attention_problem *problem,
                      int64_t first, int64_t rows, const int32_t *ids,
                      const int32_t *key_ids);

/* Whether any row sees any of keys key .. key + keys - 1. */
bool cpu_view_sees(const cpu_view *view, int64_t key, int64_t keys);

/* S^T [keys][64] of the keys from `key` on against q [D][64], capped, hidden
 * scores -inf. Columns rows rounded up to 16 .. 63 are not computed. */
void cpu_scores(const cpu_call *call, const cpu_view *view, cpu_operand k,
                cpu_operand q, int64_t rows, int64_t key, int64_t keys,
                float *scores);

/* The running state of the online softmax (FlashAttention-2, algorithm 1). */
typedef struct cpu_panel {
  int64_t rows;
  cpu_operand q; /* transposed */
  float *q_room; /* [D][64] */
  float *o;      /* O^T, [Dv][64], not yet divided by l */
  float *m, *l;  /* [64], log2 units */
  bool fresh;    /* no block has been seen: o holds nothing */
  cpu_view view;
} cpu_panel;

void cpu_panel_carve(cpu_panel *panel, const cpu_call *call,
                     cpu_carver *carver);

/* Takes the rows of `q`; the view is the caller's to set. `room`:
 * cpu_operand_room(64, D). */
void cpu_panel_start(cpu_panel *panel, const cpu_source *q, float *room);

/* One block of keys; k along, v across. `scores`: [keys][64]. */
void cpu_panel_step(cpu_panel *panel, const cpu_call *call, cpu_operand k,
                    cpu_operand v, int64_t key, int64_t keys, float *scores);

/* O as it stands, not divided by l: rows [rows][Dv] f32. */
void cpu_panel_unscaled(const cpu_panel *panel, const cpu_call *call,
                        float *out);

/* Divides by l: rows of O into `out` [rows][Dv] f32, and LSE (natural) into
 * lse [rows], which may be NULL. `sinks` [rows] may be NULL. */
void cpu_panel_finish(cpu_panel *panel, const cpu_call *call,
                      const float *sinks, float *out, float *lse);

/* What a row's O must be multiplied by, and its LSE, from m (log2 units) and l
 * at the end of the keys; `sink` may be NULL. A row that saw no key (l = 0)
 * gives 0 and -inf. */
float cpu_row_finish(float m, float l, const float *sink, float *out_lse);

#endif

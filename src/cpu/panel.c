#include "cpu/panel.h"

#include <float.h>
#include <math.h>

#define LOG2E 1.4426950408889634
#define LN2 0.6931471805599453

cpu_call cpu_call_init(const cpu_kernels *kernels, pfl_dtype dtype, int64_t D,
                       int64_t Dv, double scale, double softcap) {
  return (cpu_call){
      .kernels = kernels,
      .pairs = dtype == PFL_DTYPE_BF16 && kernels->product_bf16,
      .D = D,
      .Dv = Dv,
      .alpha = (float)(softcap > 0 ? scale / softcap : scale * LOG2E),
      .cap_log2 = (float)(softcap * LOG2E),
  };
}

void cpu_view_init(cpu_view *view, const attention_range *ranges, int64_t rows,
                   const int32_t *ids, const int32_t *key_ids) {
  view->key_ids = key_ids;
  view->some_begin = view->all_end = INT64_MAX;
  view->some_end = view->all_begin = 0;
  view->least_id = INT32_MAX;
  view->most_id = INT32_MIN;
  for (int i = 0; i < CPU_PANEL; i++) {
    int64_t row = i < rows ? i : 0;
    view->begin[i] = ranges[row].begin;
    view->end[i] = ranges[row].end;
    view->some_begin = base_min(view->some_begin, view->begin[i]);
    view->some_end = base_max(view->some_end, view->end[i]);
    view->all_begin = base_max(view->all_begin, view->begin[i]);
    view->all_end = base_min(view->all_end, view->end[i]);
    if (!ids) continue;
    view->ids[i] = ids[row];
    if (ids[row] < view->least_id) view->least_id = ids[row];
    if (ids[row] > view->most_id) view->most_id = ids[row];
  }
}

void cpu_view_queries(cpu_view *view, const attention_problem *problem,
                      int64_t first, int64_t rows, const int32_t *ids,
                      const int32_t *key_ids) {
  attention_range ranges[CPU_PANEL];
  for (int64_t i = 0; i < rows; i++)
    ranges[i] = attention_visible_keys(
        problem->window, first + i + problem->offset, problem->Sk);
  cpu_view_init(view, ranges, rows, ids ? ids + first : NULL, key_ids);
}

bool cpu_view_sees(const cpu_view *view, int64_t key, int64_t keys) {
  if (key >= view->some_end || key + keys <= view->some_begin) return false;
  if (!view->key_ids) return true;
  for (int64_t j = key; j < key + keys; j++)
    if (view->key_ids[j] >= view->least_id && view->key_ids[j] <= view->most_id)
      return true;
  return false;
}

/* A key's number within the block, or an end of the block. */
static int32_t within_block(int64_t key, int64_t first, int64_t keys) {
  return (int32_t)base_min(base_max(key - first, 0), keys);
}

static void hide(const cpu_call *call, const cpu_view *view, int64_t key,
                 int64_t keys, float *scores) {
  if (key < view->all_begin || key + keys > view->all_end) {
    int32_t begin[CPU_PANEL], end[CPU_PANEL];
    for (int i = 0; i < CPU_PANEL; i++) {
      begin[i] = within_block(view->begin[i], key, keys);
      end[i] = within_block(view->end[i], key, keys);
    }
    call->kernels->mask(scores, keys, begin, end);
  }
  if (view->key_ids)
    call->kernels->mask_segments(scores, keys, view->key_ids + key, view->ids);
}

void cpu_scores(const cpu_call *call, const cpu_view *view, cpu_operand k,
                cpu_operand q, int64_t rows, int64_t key, int64_t keys,
                float *scores) {
  cpu_product product = {
      .m = keys,
      .n = base_round_up(rows, CPU_LANES_MAX),
      .k = cpu_operand_words(call->pairs, call->D),
      .a = k.data,
      .a_row = k.row,
      .a_step = 1,
      .b = q.data,
      .b_row = q.row,
      .c = scores,
      .c_row = CPU_PANEL,
      .alpha = call->alpha,
  };
  cpu_multiply(call, &product);
  if (call->cap_log2 > 0)
    call->kernels->softcap(scores, keys * CPU_PANEL, call->cap_log2);
  hide(call, view, key, keys, scores);
}

void cpu_panel_carve(cpu_panel *panel, const cpu_call *call,
                     cpu_carver *carver) {
  panel->q_room = cpu_carve_floats(carver, call->D * CPU_PANEL);
  panel->o = cpu_carve_floats(carver, call->Dv * CPU_PANEL);
  panel->m = cpu_carve_floats(carver, CPU_PANEL);
  panel->l = cpu_carve_floats(carver, CPU_PANEL);
}

void cpu_panel_start(cpu_panel *panel, const cpu_source *q, float *room) {
  panel->rows = q->rows;
  panel->q = cpu_operand_transposed(q, panel->q_room, room);
  panel->fresh = true;
  for (int i = 0; i < CPU_PANEL; i++) {
    panel->m[i] = -FLT_MAX; /* finite, so that m - m' is never NaN */
    panel->l[i] = 0;
  }
}

void cpu_panel_step(cpu_panel *panel, const cpu_call *call, cpu_operand k,
                    cpu_operand v, int64_t key, int64_t keys, float *scores) {
  const cpu_kernels *kernels = call->kernels;
  float rescale[CPU_PANEL];
  cpu_scores(call, &panel->view, k, panel->q, panel->rows, key, keys, scores);
  cpu_softmax softmax = {scores, keys, panel->m, panel->l, rescale};
  (call->pairs ? kernels->softmax_bf16 : kernels->softmax_f32)(&softmax);
  cpu_product product = {
      .m = call->Dv, /* O^T = rescale O^T + V^T P^T */
      .n = base_round_up(panel->rows, CPU_LANES_MAX),
      .k = cpu_operand_words(call->pairs, keys),
      .a = v.data,
      .a_row = 1,
      .a_step = v.row,
      .b = scores,
      .b_row = CPU_PANEL,
      .c = panel->o,
      .c_row = CPU_PANEL,
      .alpha = 1,
      .keep = !panel->fresh,
      .rescale = rescale,
  };
  cpu_multiply(call, &product);
  panel->fresh = false;
}

float cpu_row_finish(float m, float l, const float *sink, float *out_lse) {
  if (l == 0) { /* not so for a NaN, which is passed on */
    *out_lse = -INFINITY;
    return 0;
  }
  double most = m, sum = l, factor = 1;
  if (sink) {
    most = fmax(m, *sink * LOG2E);
    factor = exp2(m - most);
    sum = l * factor + exp2(*sink * LOG2E - most);
  }
  *out_lse = (float)((most + log2(sum)) * LN2);
  return (float)(factor / sum);
}

void cpu_panel_unscaled(const cpu_panel *panel, const cpu_call *call,
                        float *out) {
  if (panel->fresh)
    for (int64_t i = 0; i < panel->rows * call->Dv; i++) out[i] = 0;
  else
    call->kernels->transpose((cpu_word *)out, call->Dv,
                             (const cpu_word *)panel->o, CPU_PANEL, call->Dv,
                             panel->rows);
}

void cpu_panel_finish(cpu_panel *panel, const cpu_call *call,
                      const float *sinks, float *out, float *lse) {
  float factor[CPU_PANEL], row_lse;
  for (int64_t i = 0; i < panel->rows; i++) {
    factor[i] = cpu_row_finish(panel->m[i], panel->l[i],
                               sinks ? sinks + i : NULL, &row_lse);
    if (lse) lse[i] = row_lse;
  }
  for (int64_t d = 0; !panel->fresh && d < call->Dv; d++)
    for (int64_t i = 0; i < panel->rows; i++)
      panel->o[d * CPU_PANEL + i] =
          factor[i] == 0 ? 0 : panel->o[d * CPU_PANEL + i] * factor[i];
  cpu_panel_unscaled(panel, call, out);
}

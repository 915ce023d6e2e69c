#include "kernels/sequences.h"

#include "base/memory.h"
#include "kernels/columns.h"

mo_shape sequence_shape(const sequence *s, int64_t count, int64_t sizes[2]) {
  sizes[s->swapped] = count;
  sizes[!s->swapped] = s->width;
  return (mo_shape){2, sizes};
}

sequence sequence_window(mo_builder *b, mo_element element, int64_t count,
                         int64_t width, mo_map map) {
  sequence s = {.width = width, .swapped = sequence_swaps(width)};
  int64_t sizes[4] = {1, 1};
  int axes[4];
  sequence_shape(&s, count, sizes + 2);
  if (!map.fn) {
    for (int i = 0; i < 4; i++) axes[i] = map.axes[i];
    if (s.swapped) axes[2] = map.axes[3], axes[3] = map.axes[2];
    map.axes = axes;
  }
  mo_shape shape = {4, sizes};
  s.ref = mo_window(b, element, shape, map);
  return s;
}

sequence sequence_scratch(mo_builder *b, mo_element element, int64_t count,
                          int64_t width, bool swapped) {
  sequence s = {.width = width, .swapped = swapped};
  int64_t sizes[2];
  mo_shape shape = sequence_shape(&s, count, sizes);
  s.ref = mo_scratch(b, MO_VMEM, element, shape);
  return s;
}

int64_t sequence_bytes(int64_t count, int64_t width, bool swapped,
                       int64_t item) {
  int64_t sublanes = SUBLANES * 4 / item;
  if (swapped) return base_round_up(width, sublanes) * count * item;
  return count * base_round_up(width, LANES) * item;
}

/* Where position `first` begins. */
static mo_values place(mo_builder *b, const sequence *s, mo_value *first,
                       mo_value *at[4]) {
  int rank = s->ref->type->rank;
  for (int i = 0; i < rank; i++) at[i] = mo_i32(b, 0);
  at[rank - 2 + s->swapped] = first;
  return (mo_values){rank, at};
}

mo_value *sequence_load(mo_builder *b, const sequence *s, mo_value *first,
                        int64_t count, mo_value *exist) {
  mo_value *at[4];
  int64_t sizes[2];
  if (!s->ref || !first) return NULL;
  mo_shape shape = sequence_shape(s, count, sizes);
  mo_values from = place(b, s, first, at);
  mo_value *x = mo_load(b, s->ref, from, shape);
  if (!exist) return x;
  mo_value *there =
      mo_lt(b, mo_iota(b, shape, s->swapped), mo_broadcast(b, exist, shape));
  mo_element element = s->ref->type->element;
  x = mo_select(b, there, mo_cast(b, x, MO_F32), mo_full(b, MO_F32, shape, 0));
  return mo_cast(b, x, element);
}

void sequence_store(mo_builder *b, const sequence *s, mo_value *x,
                    mo_value *first) {
  mo_value *at[4];
  if (!s->ref || !first) return;
  mo_values to = place(b, s, first, at);
  mo_store(b, mo_cast(b, x, s->ref->type->element), s->ref, to);
}

kernels_tensor *sequence_tensor(
    kernels_kernel *kernel,
    kernels_tensor *(*add)(kernels_kernel *, const char *, pfl_dtype, mo_shape),
    const char *name, pfl_dtype dtype, int64_t batch, int64_t heads,
    int64_t count, int64_t width) {
  sequence s = {.width = width, .swapped = sequence_swaps(width)};
  int64_t sizes[4] = {batch, heads};
  sequence_shape(&s, count, sizes + 2);
  kernels_tensor *tensor = add(kernel, name, dtype, (mo_shape){4, sizes});
  tensor->swapped = s.swapped;
  return tensor;
}

void sequence_inputs(kernels_kernel *kernel, const kernels_request *request) {
  const attention_problem *p = request->problem;
  if (request->sinks)
    kernels_input_add(kernel, "sinks", PFL_DTYPE_F32, MO_SHAPE(p->Hq));
  sequence_tensor(kernel, kernels_input_add, "q", p->dtype, p->B, p->Hq, p->Sq,
                  p->D);
  sequence_tensor(kernel, kernels_input_add, "k", p->dtype, p->B, p->Hkv, p->Sk,
                  p->D);
  sequence_tensor(kernel, kernels_input_add, "v", p->dtype, p->B, p->Hkv, p->Sk,
                  p->Dv);
}

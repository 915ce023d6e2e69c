/* The builder's loads and stores, references, DMAs and semaphores. */
#include "mosaic/builder.h"

static mo_value *result_of(const mo_op *op) {
  return op && op->result_count ? op->results[0] : NULL;
}

/* Operands being put together: room for the largest. */
typedef struct operands {
  mo_value *values[2 * MO_RANK_MAX + 8];
  int count;
} operands;

static void push(operands *o, mo_value *value) {
  o->values[o->count++] = value;
}

static mo_values all(const operands *o) {
  return (mo_values){o->count, o->values};
}

/* One index a dimension of `ref`, zeros where there are none. */
static void push_indices(mo_builder *b, operands *o, const mo_value *ref,
                         mo_values indices, mo_element element) {
  if (indices.count && indices.count != ref->type->rank)
    mo_fail(b, "%d indices into %s", indices.count, ref->type->text);
  mo_value *zero = indices.count || b->error.status
                       ? NULL
                       : mo_constant_(b, mo_scalar_type(b, element), 0);
  for (int i = 0; i < ref->type->rank; i++)
    push(o, b->error.status ? NULL
            : indices.count ? mo_as(b, indices.values[i], element)
                            : zero);
}

/* `shape` with leading 1s to the rank of `ref`, into `sizes`; all of ref where
 * there is none. */
static mo_shape full_rank(mo_builder *b, const mo_value *ref, mo_shape shape,
                          int64_t sizes[MO_RANK_MAX]) {
  int rank = ref->type->rank, lead = rank - shape.rank;
  if (!shape.sizes) return (mo_shape){rank, ref->type->shape};
  if (lead < 0) {
    mo_fail(b, "%d dimensions of %s", shape.rank, ref->type->text);
    lead = 0;
  }
  for (int i = 0; i < rank; i++)
    sizes[i] = i < lead ? 1 : shape.sizes[i - lead];
  return (mo_shape){rank, sizes};
}

/* A load by `id`, in the shape of the reference's rank, then in the caller's.
 */
static mo_value *load(mo_builder *b, mo_op_id id, mo_value *ref,
                      mo_values indices, mo_shape shape,
                      const mo_shape *strides) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is loaded from")) return NULL;
  int64_t sizes[MO_RANK_MAX];
  mo_shape window = full_rank(b, ref, shape, sizes);
  operands o = {.count = 0};
  push(&o, ref);
  push_indices(b, &o, ref, indices, MO_INDEX);
  const mo_type *type = mo_vector_type(b, ref->type->element, window);
  mo_op *op = mo_emit(b, id, all(&o), 1, &type, 0);
  if (strides)
    mo_put_numbers(b, op, "strides", MO_I32, strides->rank, strides->sizes);
  mo_value *loaded = result_of(op);
  return loaded && shape.sizes ? mo_reshape_(b, loaded, shape) : loaded;
}

mo_value *mo_load_(mo_builder *b, mo_values indices, mo_shape shape) {
  mo_value *ref = mo_held(b);
  return load(b, MO_VECTOR_LOAD, ref, indices, shape, NULL);
}

mo_value *mo_load_strided_(mo_builder *b, mo_values indices, mo_shape shape,
                           mo_shape strides) {
  mo_value *ref = mo_held(b);
  return load(b, MO_TPU_STRIDED_LOAD, ref, indices, shape, &strides);
}

/* x in the rank of `ref`. */
static mo_value *fitted(mo_builder *b, mo_value *x, const mo_value *ref) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is stored to") ||
      !mo_is(b, MO_TYPE_VECTOR, x, "what is stored"))
    return NULL;
  int64_t sizes[MO_RANK_MAX];
  mo_shape shape = {x->type->rank, x->type->shape};
  return mo_reshape_(b, x, full_rank(b, ref, shape, sizes));
}

void mo_store_(mo_builder *b, mo_values indices) {
  mo_value *mask = mo_held(b);
  mo_value *ref = mo_held(b);
  mo_value *x = mo_held(b);
  x = fitted(b, x, ref);
  if (!x) return;
  operands o = {.count = 0};
  push(&o, x);
  push(&o, ref);
  push_indices(b, &o, ref, indices, MO_INDEX);
  if (mask) push(&o, mask);
  mo_op *op = mo_emit(b, MO_TPU_VECTOR_STORE, all(&o), 0, NULL, 0);
  int64_t sizes[] = {1, 1, ref->type->rank, mask != NULL};
  mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 4, sizes);
  mo_put_numbers(b, op, "strides", MO_I32, 0, NULL);
}

void mo_store_strided_(mo_builder *b, mo_values indices, mo_shape strides) {
  mo_value *ref = mo_held(b);
  mo_value *x = mo_held(b);
  x = fitted(b, x, ref);
  if (!x) return;
  operands o = {.count = 0};
  push(&o, x);
  push(&o, ref);
  push_indices(b, &o, ref, indices, MO_INDEX);
  mo_op *op = mo_emit(b, MO_TPU_STRIDED_STORE, all(&o), 0, NULL, 0);
  mo_put_numbers(b, op, "strides", MO_I32, strides.rank, strides.sizes);
}

mo_value *mo_get_(mo_builder *b, mo_values indices) {
  mo_value *ref = mo_held(b);
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is read")) return NULL;
  operands o = {.count = 0};
  push(&o, ref);
  push_indices(b, &o, ref, indices, MO_INDEX);
  const mo_type *type = mo_scalar_type(b, ref->type->element);
  return result_of(mo_emit(b, MO_MEMREF_LOAD, all(&o), 1, &type, 0));
}

void mo_set_(mo_builder *b, mo_values indices) {
  mo_value *ref = mo_held(b);
  mo_value *x = mo_held(b);
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is written")) return;
  operands o = {.count = 0};
  push(&o, x);
  push(&o, ref);
  push_indices(b, &o, ref, indices, MO_INDEX);
  mo_emit(b, MO_MEMREF_STORE, all(&o), 0, NULL, 0);
}

/* ---- References ---------------------------------------------------------- */

static const mo_type *ref_type(mo_builder *b, const mo_value *ref,
                               mo_element element, mo_shape shape) {
  if (b->error.status || shape.rank > MO_RANK_MAX) return NULL;
  return mo_type_memref(b->module, element, shape.rank, shape.sizes,
                        ref->type->space, ref->type->layout);
}

static mo_value *slice(mo_builder *b, mo_value *ref, mo_values offsets,
                       mo_shape shape, mo_values sizes) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is sliced")) return NULL;
  operands o = {.count = 0};
  push(&o, ref);
  push_indices(b, &o, ref, offsets, MO_I32);
  int64_t room[MO_RANK_MAX];
  mo_shape window = full_rank(b, ref, shape, room);
  const mo_type *type = ref_type(b, ref, ref->type->element, window);
  for (int i = 0; i < sizes.count && i < ref->type->rank; i++)
    push(&o, mo_as(b, sizes.values[i], MO_I32));
  mo_op *op = mo_emit(b, MO_TPU_MEMREF_SLICE, all(&o), 1, &type, 0);
  mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 3,
                 (int64_t[]){1, ref->type->rank, sizes.count});
  return result_of(op);
}

mo_value *mo_slice_(mo_builder *b, mo_values offsets, mo_shape shape) {
  return slice(b, mo_held(b), offsets, shape, MO_NONE);
}

mo_value *mo_slice_sized_(mo_builder *b, mo_values offsets, mo_shape shape,
                          mo_values sizes) {
  return slice(b, mo_held(b), offsets, shape, sizes);
}

mo_value *mo_sub_(mo_builder *b, mo_values indices) {
  mo_value *ref = mo_held(b);
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is indexed")) return NULL;
  int rank = ref->type->rank, lead = indices.count;
  if (lead > rank) {
    mo_fail(b, "%d indices into %s", lead, ref->type->text);
    return NULL;
  }
  mo_value *offsets[MO_RANK_MAX];
  int64_t sizes[MO_RANK_MAX];
  for (int i = 0; i < rank; i++) {
    sizes[i] = i < lead ? 1 : ref->type->shape[i];
    offsets[i] = i < lead ? indices.values[i]
                          : mo_constant_(b, mo_scalar_type(b, MO_I32), 0);
  }
  mo_value *part = slice(b, ref, (mo_values){rank, offsets},
                         (mo_shape){rank, sizes}, MO_NONE);
  if (!part || !lead) return part;
  const mo_type *type = ref_type(b, ref, ref->type->element,
                                 (mo_shape){rank - lead, sizes + lead});
  return mo_build_(b, MO_TPU_MEMREF_SQUEEZE, MO_VALUES(part), type, 0, NULL);
}

mo_value *mo_ref_squeeze_(mo_builder *b, mo_value *ref, mo_shape shape) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is squeezed")) return NULL;
  return mo_build_(b, MO_TPU_MEMREF_SQUEEZE, MO_VALUES(ref),
                   ref_type(b, ref, ref->type->element, shape), 0, NULL);
}

mo_value *mo_ref_reshape_(mo_builder *b, mo_value *ref, mo_shape shape) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is reshaped")) return NULL;
  return mo_build_(b, MO_TPU_MEMREF_RESHAPE, MO_VALUES(ref),
                   ref_type(b, ref, ref->type->element, shape), 0, NULL);
}

mo_value *mo_ref_bitcast_(mo_builder *b, mo_value *ref, mo_element element) {
  if (!mo_is(b, MO_TYPE_MEMREF, ref, "what is cast")) return NULL;
  int rank = ref->type->rank;
  int64_t shape[MO_RANK_MAX];
  for (int i = 0; i < rank; i++) shape[i] = ref->type->shape[i];
  if (rank > 1)
    shape[rank - 2] = shape[rank - 2] * mo_element_bits(ref->type->element) /
                      mo_element_bits(element);
  return mo_build_(b, MO_TPU_MEMREF_BITCAST, MO_VALUES(ref),
                   ref_type(b, ref, element, (mo_shape){rank, shape}), 0, NULL);
}

/* ---- DMA, semaphores ------------------------------------------------------
 */

void mo_dma_(mo_builder *b) {
  mo_value *device = mo_held(b);
  mo_value *received = mo_held(b);
  mo_value *sent = mo_held(b);
  mo_value *target = mo_held(b);
  mo_value *source = mo_held(b);
  operands o = {.count = 0};
  push(&o, source);
  if (sent) push(&o, sent);
  push(&o, target);
  push(&o, received);
  if (device) push(&o, device);
  mo_op *op = mo_emit(b, MO_TPU_ENQUEUE_DMA, all(&o), 0, NULL, 0);
  mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 7,
                 (int64_t[]){1, sent != NULL, 1, 1, device != NULL, 0, 0});
}

void mo_wait_copy_(mo_builder *b) {
  mo_value *semaphore = mo_held(b);
  mo_value *target = mo_held(b);
  mo_value *source = mo_held(b);
  mo_op *op = mo_emit(b, MO_TPU_WAIT_DMA2, MO_VALUES(semaphore, source, target),
                      0, NULL, 0);
  mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 5,
                 (int64_t[]){1, 1, 1, 0, 0});
}

void mo_signal_(mo_builder *b) {
  mo_value *device = mo_held(b);
  mo_value *amount = mo_held(b);
  mo_value *semaphore = mo_held(b);
  operands o = {.count = 0};
  push(&o, semaphore);
  push(&o, amount);
  if (device) push(&o, device);
  mo_op *op = mo_emit(b, MO_TPU_SEM_SIGNAL, all(&o), 0, NULL, 0);
  mo_put_numbers(b, op, "operandSegmentSizes", MO_I32, 5,
                 (int64_t[]){1, 1, device != NULL, 0, 0});
}

void mo_wait_(mo_builder *b) {
  mo_value *amount = mo_held(b);
  mo_value *semaphore = mo_held(b);
  mo_emit(b, MO_TPU_SEM_WAIT, MO_VALUES(semaphore, amount), 0, NULL, 0);
}

mo_value *mo_read_(mo_builder *b, mo_value *semaphore) {
  return mo_build_(b, MO_TPU_SEM_READ, MO_VALUES(semaphore),
                   mo_scalar_type(b, MO_I32), 0, NULL);
}

mo_value *mo_barrier_semaphore_(mo_builder *b) {
  if (b->error.status) return NULL;
  return mo_build_(
      b, MO_TPU_SEM_BARRIER, MO_NONE,
      mo_type_memref(b->module, MO_SEMAPHORE, 0, NULL, MO_SEMAPHORE_MEM, NULL),
      0, NULL);
}

mo_value *mo_device_id_(mo_builder *b) {
  return mo_build_(b, MO_TPU_DEVICE_ID, MO_NONE, mo_scalar_type(b, MO_I32), 0,
                   NULL);
}

/* XLA's handlers on the CPU: a frame read into the structs of attention.h, and
 * the call made on XLA's own buffers. What XLA gives was checked in Python, but
 * an HLO file may come from anywhere: everything is looked at again. */
#include <stdbool.h>
#include <string.h>

#include "base/status.h"
#include "python_api.h"

/* ---- Reading a frame --------------------------------------------------------
 */

/* Operands and results are taken in turn. The first failure stays, and what is
 * taken after it is NULL or 0. */
typedef struct reader {
  const XLA_FFI_CallFrame *frame;
  int64_t operand, result;
  pfl_status status;
  pfl_error error;
} reader;

#define FAIL(r, ...)                                                         \
  do {                                                                       \
    if (!(r)->status)                                                        \
      (r)->status = base_error_set(&(r)->error, PFL_STATUS_INVALID_ARGUMENT, \
                                   __VA_ARGS__);                             \
  } while (0)

static pfl_dtype dtype_of(XLA_FFI_DataType dtype) {
  switch (dtype) {
    case XLA_FFI_DataType_F32: return PFL_DTYPE_F32;
    case XLA_FFI_DataType_BF16: return PFL_DTYPE_BF16;
    case XLA_FFI_DataType_F16: return PFL_DTYPE_F16;
    case XLA_FFI_DataType_S8: return PFL_DTYPE_I8;
    case XLA_FFI_DataType_S32: return PFL_DTYPE_I32;
    default: return PFL_DTYPE_DEFAULT;
  }
}

/* The attribute called `name` of the given type; NULL if there is none. */
static const void *find_attribute(const reader *r, const char *name,
                                  XLA_FFI_DataType dtype) {
  const XLA_FFI_Attrs *attributes = &r->frame->attrs;
  for (int64_t i = 0; i < attributes->size; i++) {
    const XLA_FFI_ByteSpan *given = attributes->names[i];
    const XLA_FFI_Scalar *scalar = attributes->attrs[i];
    if (given->len == strlen(name) && !memcmp(given->ptr, name, given->len) &&
        attributes->types[i] == XLA_FFI_AttrType_SCALAR &&
        scalar->dtype == dtype)
      return scalar->value;
  }
  return NULL;
}

static int64_t integer(reader *r, const char *name) {
  const int64_t *value = find_attribute(r, name, XLA_FFI_DataType_S64);
  if (!value) FAIL(r, "attribute %s is missing, or no i64", name);
  return value ? *value : 0;
}

static double number(reader *r, const char *name) {
  const double *value = find_attribute(r, name, XLA_FFI_DataType_F64);
  if (!value) FAIL(r, "attribute %s is missing, or no f64", name);
  return value ? *value : 0;
}

static int32_t flag(reader *r, const char *name) {
  return integer(r, name) != 0;
}

static pfl_scoring scoring(reader *r) {
  return (pfl_scoring){.scale = number(r, "scale"),
                       .softcap = number(r, "softcap"),
                       .causal = flag(r, "causal"),
                       .windowed = flag(r, "windowed"),
                       .window_left = integer(r, "window_left"),
                       .window_right = integer(r, "window_right")};
}

/* Operand number `index` of at least rank 3, to see what its sizes are. */
static const XLA_FFI_Buffer *look(reader *r, int64_t index) {
  static const int64_t zeros[4];
  static const XLA_FFI_Buffer none = {.dims = (int64_t *)zeros};
  const XLA_FFI_Args *operands = &r->frame->args;
  if (index < operands->size &&
      operands->types[index] == XLA_FFI_ArgType_BUFFER) {
    const XLA_FFI_Buffer *buffer = operands->args[index];
    if (buffer->rank == 4) return buffer;
  }
  FAIL(r, "operand %d is missing, or has not rank 4", (int)index);
  return &none;
}

typedef struct shape {
  int rank;
  int64_t sizes[4];
} shape;

static void *check(reader *r, const char *name, const XLA_FFI_Buffer *buffer,
                   pfl_dtype dtype, const shape *wanted) {
  bool fits = buffer->rank == wanted->rank && dtype_of(buffer->dtype) == dtype;
  for (int i = 0; fits && i < wanted->rank; i++)
    fits = buffer->dims[i] == wanted->sizes[i];
  if (!fits)
    FAIL(r, "%s has not the dtype and shape that q, k and v ask for", name);
  return r->status ? NULL : buffer->data;
}

static const void *operand(reader *r, const char *name, pfl_dtype dtype,
                           shape wanted) {
  const XLA_FFI_Args *operands = &r->frame->args;
  int64_t index = r->operand++;
  if (index < operands->size &&
      operands->types[index] == XLA_FFI_ArgType_BUFFER)
    return check(r, name, operands->args[index], dtype, &wanted);
  FAIL(r, "operand %d, %s, is missing", (int)index, name);
  return NULL;
}

static void *result(reader *r, const char *name, pfl_dtype dtype,
                    shape wanted) {
  const XLA_FFI_Rets *results = &r->frame->rets;
  int64_t index = r->result++;
  if (index < results->size && results->types[index] == XLA_FFI_RetType_BUFFER)
    return check(r, name, results->rets[index], dtype, &wanted);
  FAIL(r, "result %d, %s, is missing", (int)index, name);
  return NULL;
}

static bool more_results(const reader *r) {
  return r->result < r->frame->rets.size;
}

static void check_end(reader *r) {
  if (r->operand != r->frame->args.size || r->result != r->frame->rets.size)
    FAIL(r, "the call has %d operands and %d results: %d and %d are known",
         (int)r->frame->args.size, (int)r->frame->rets.size, (int)r->operand,
         (int)r->result);
}

/* ---- A handler's frame
 * -------------------------------------------------------
 */

typedef void caller(reader *r, pfl_context *context);

/* XLA asks for the version: its own, where we know it. */
static bool answer(const XLA_FFI_CallFrame *frame) {
  const XLA_FFI_Extension_Base *extension = frame->extension_start;
  if (!extension || extension->type != XLA_FFI_Extension_Metadata) return false;
  XLA_FFI_Metadata *metadata =
      ((const XLA_FFI_Metadata_Extension *)extension)->metadata;
  int minor = frame->api ? frame->api->api_version.minor_version : 0;
  bool known = minor >= XLA_FFI_API_MINOR_MIN && minor <= XLA_FFI_API_MINOR;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = known ? minor : XLA_FFI_API_MINOR;
  return true;
}

static XLA_FFI_Error *handle(const XLA_FFI_CallFrame *frame, caller *call) {
  if (answer(frame)) return NULL;
  reader r = {.frame = frame};
  pfl_context *context;
  r.status = pfl_python_context(&context, &r.error);
  if (!r.status) call(&r, context);
  if (!r.status) return NULL;
  XLA_FFI_Error_Create_Args args = {.struct_size = sizeof args,
                                    .message = r.error.message,
                                    .errc = (XLA_FFI_Error_Code)r.status};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* ---- Forward and backward --------------------------------------------------
 */

static pfl_attention attention_of(reader *r) {
  const XLA_FFI_Buffer *q = look(r, 0), *k = look(r, 1), *v = look(r, 2);
  return (pfl_attention){.struct_size = sizeof(pfl_attention),
                         .batch = q->dims[0],
                         .q_heads = q->dims[1],
                         .kv_heads = k->dims[1],
                         .q_length = q->dims[2],
                         .kv_length = k->dims[2],
                         .head_dim = q->dims[3],
                         .v_head_dim = v->dims[3],
                         .dtype = dtype_of(q->dtype),
                         .scoring = scoring(r)};
}

/* Shapes of a problem's tensors. */
typedef struct shapes {
  shape q, k, v, o, rows, q_ids, kv_ids, heads;
} shapes;

static shapes shapes_of(const pfl_attention *a) {
  int64_t B = a->batch, Hq = a->q_heads, Hkv = a->kv_heads;
  int64_t Sq = a->q_length, Sk = a->kv_length;
  return (shapes){.q = {4, {B, Hq, Sq, a->head_dim}},
                  .k = {4, {B, Hkv, Sk, a->head_dim}},
                  .v = {4, {B, Hkv, Sk, a->v_head_dim}},
                  .o = {4, {B, Hq, Sq, a->v_head_dim}},
                  .rows = {3, {B, Hq, Sq}},
                  .q_ids = {2, {B, Sq}},
                  .kv_ids = {2, {B, Sk}},
                  .heads = {1, {Hq}}};
}

static void forward(reader *r, pfl_context *context) {
  pfl_attention a = attention_of(r);
  shapes s = shapes_of(&a);
  pfl_forward_args args = {.struct_size = sizeof args};
  args.q = operand(r, "q", a.dtype, s.q);
  args.k = operand(r, "k", a.dtype, s.k);
  args.v = operand(r, "v", a.dtype, s.v);
  if (flag(r, "segment_ids")) {
    args.q_segment_ids = operand(r, "q_segment_ids", PFL_DTYPE_I32, s.q_ids);
    args.kv_segment_ids = operand(r, "kv_segment_ids", PFL_DTYPE_I32, s.kv_ids);
  }
  if (flag(r, "sinks"))
    args.sinks = operand(r, "sinks", PFL_DTYPE_F32, s.heads);
  args.out_o = result(r, "o", a.dtype, s.o);
  if (more_results(r)) args.out_lse = result(r, "lse", PFL_DTYPE_F32, s.rows);
  check_end(r);
  if (!r->status)
    r->status = pfl_attention_forward(context, &a, &args, &r->error);
}

static void backward(reader *r, pfl_context *context) {
  pfl_attention a = attention_of(r);
  shapes s = shapes_of(&a);
  pfl_backward_args args = {.struct_size = sizeof args};
  args.q = operand(r, "q", a.dtype, s.q);
  args.k = operand(r, "k", a.dtype, s.k);
  args.v = operand(r, "v", a.dtype, s.v);
  args.o = operand(r, "o", a.dtype, s.o);
  args.lse = operand(r, "lse", PFL_DTYPE_F32, s.rows);
  args.d_o = operand(r, "d_o", a.dtype, s.o);
  if (flag(r, "segment_ids")) {
    args.q_segment_ids = operand(r, "q_segment_ids", PFL_DTYPE_I32, s.q_ids);
    args.kv_segment_ids = operand(r, "kv_segment_ids", PFL_DTYPE_I32, s.kv_ids);
  }
  bool sinks = flag(r, "sinks");
  if (sinks) args.sinks = operand(r, "sinks", PFL_DTYPE_F32, s.heads);
  if (flag(r, "d_lse")) args.d_lse = operand(r, "d_lse", PFL_DTYPE_F32, s.rows);
  args.out_dq = result(r, "dq", a.dtype, s.q);
  args.out_dk = result(r, "dk", a.dtype, s.k);
  args.out_dv = result(r, "dv", a.dtype, s.v);
  if (sinks) args.out_dsinks = result(r, "dsinks", PFL_DTYPE_F32, s.heads);
  check_end(r);
  if (!r->status)
    r->status = pfl_attention_backward(context, &a, &args, &r->error);
}

/* ---- Decode
 * ------------------------------------------------------------------
 */

static pfl_decode decode_of(reader *r, bool paged, int64_t pages) {
  const XLA_FFI_Buffer *q = look(r, 0), *k = look(r, 1), *v = look(r, 2);
  return (pfl_decode){.struct_size = sizeof(pfl_decode),
                      .batch = q->dims[0],
                      .q_heads = q->dims[1],
                      .kv_heads = k->dims[1],
                      .q_length = q->dims[2],
                      .head_dim = q->dims[3],
                      .v_head_dim = v->dims[3],
                      .cache_length = paged ? 0 : k->dims[2],
                      .page_count = paged ? k->dims[0] : 0,
                      .page_length = paged ? k->dims[2] : 0,
                      .pages_per_sequence = pages,
                      .dtype = dtype_of(q->dtype),
                      .cache_dtype = dtype_of(k->dtype),
                      .scoring = scoring(r)};
}

static void decode(reader *r, pfl_context *context) {
  bool paged = flag(r, "paged"), scaled = flag(r, "scaled");
  int64_t pages = integer(r, "pages");
  pfl_decode d = decode_of(r, paged, pages);
  int64_t blocks = paged ? d.page_count : d.batch;
  int64_t tokens = paged ? d.page_length : d.cache_length;
  shape scales = {3, {blocks, d.kv_heads, tokens}};
  pfl_decode_args args = {.struct_size = sizeof args};
  args.q = operand(r, "q", d.dtype,
                   (shape){4, {d.batch, d.q_heads, d.q_length, d.head_dim}});
  args.k = operand(r, "k", d.cache_dtype,
                   (shape){4, {blocks, d.kv_heads, tokens, d.head_dim}});
  args.v = operand(r, "v", d.cache_dtype,
                   (shape){4, {blocks, d.kv_heads, tokens, d.v_head_dim}});
  if (scaled) {
    args.k_scale = operand(r, "k_scale", PFL_DTYPE_F32, scales);
    args.v_scale = operand(r, "v_scale", PFL_DTYPE_F32, scales);
  }
  args.lengths = operand(r, "lengths", PFL_DTYPE_I32, (shape){1, {d.batch}});
  if (paged)
    args.block_table =
        operand(r, "block_table", PFL_DTYPE_I32, (shape){2, {d.batch, pages}});
  if (flag(r, "sinks"))
    args.sinks = operand(r, "sinks", PFL_DTYPE_F32, (shape){1, {d.q_heads}});
  args.out_o =
      result(r, "o", d.dtype,
             (shape){4, {d.batch, d.q_heads, d.q_length, d.v_head_dim}});
  if (more_results(r))
    args.out_lse = result(r, "lse", PFL_DTYPE_F32,
                          (shape){3, {d.batch, d.q_heads, d.q_length}});
  check_end(r);
  if (!r->status)
    r->status = pfl_attention_decode(context, &d, &args, &r->error);
}

XLA_FFI_Error *pfl_python_forward(XLA_FFI_CallFrame *frame) {
  return handle(frame, forward);
}

XLA_FFI_Error *pfl_python_backward(XLA_FFI_CallFrame *frame) {
  return handle(frame, backward);
}

XLA_FFI_Error *pfl_python_decode(XLA_FFI_CallFrame *frame) {
  return handle(frame, decode);
}

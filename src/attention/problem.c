/* Checks descriptors and resolves their defaults. Messages name the field, what
 * it was, and what it must be. */
#include "attention/problem.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Far beyond any descriptor there will be: more is an unset struct_size. */
enum { STRUCT_SIZE_MAX = 4096 };

pfl_status attention_check_struct(const void *given, size_t known,
                                  const char *type, pfl_error *error) {
  if (!given) PFL_RAISE(error, INVALID_ARGUMENT, "%s is NULL", type);
  size_t size;
  memcpy(&size, given, sizeof size);
  if (size < known || size > STRUCT_SIZE_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s: struct_size is %zu: must be sizeof(%s), which is %zu", type,
              size, type, known);
  const unsigned char *bytes = given;
  for (size_t i = known; i < size; i++)
    if (bytes[i])
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s: struct_size is %zu and byte %zu is set: this library "
                "knows the first %zu bytes, and the others must be 0",
                type, size, i, known);
  return PFL_STATUS_OK;
}

typedef struct named_size {
  const char *name;
  int64_t value;
} named_size;

#define SIZE(descriptor, field) \
  { #field, (descriptor)->field }

static pfl_status check_sizes(const named_size *sizes, int count,
                              pfl_error *error) {
  for (int i = 0; i < count; i++)
    if (sizes[i].value < 0)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s is %" PRId64 ": must be at least 0", sizes[i].name,
                sizes[i].value);
  return PFL_STATUS_OK;
}

/* Heads without the other kind have nobody to attend to or to be seen by. */
static pfl_status check_heads(int64_t q_heads, int64_t kv_heads,
                              pfl_error *error) {
  if ((q_heads == 0) != (kv_heads == 0))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "q_heads is %" PRId64 " and kv_heads %" PRId64
              ": both must be 0 or neither",
              q_heads, kv_heads);
  if (kv_heads && q_heads % kv_heads)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "q_heads is %" PRId64 " and kv_heads %" PRId64
              ": q_heads must be a multiple of kv_heads",
              q_heads, kv_heads);
  return PFL_STATUS_OK;
}

static pfl_status resolve_head_dims(int64_t head_dim, int64_t v_head_dim,
                                    int64_t *out_D, int64_t *out_Dv,
                                    pfl_error *error) {
  if (head_dim < 1 || head_dim > PFL_HEAD_DIM_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "head_dim is %" PRId64 ": must be 1 to %d", head_dim,
              PFL_HEAD_DIM_MAX);
  if (v_head_dim < 0 || v_head_dim > PFL_HEAD_DIM_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "v_head_dim is %" PRId64 ": must be 1 to %d, or 0 for head_dim",
              v_head_dim, PFL_HEAD_DIM_MAX);
  *out_D = head_dim;
  *out_Dv = v_head_dim ? v_head_dim : head_dim;
  return PFL_STATUS_OK;
}

static pfl_status resolve_dtype(pfl_dtype dtype, pfl_dtype *out_dtype,
                                pfl_error *error) {
  *out_dtype = dtype == PFL_DTYPE_DEFAULT ? PFL_DTYPE_F32 : dtype;
  if (*out_dtype != PFL_DTYPE_F32 && *out_dtype != PFL_DTYPE_BF16 &&
      *out_dtype != PFL_DTYPE_F16)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "dtype is %d (%s): must be f32, bf16 or f16", (int)dtype,
              pfl_dtype_name(dtype));
  return PFL_STATUS_OK;
}

static pfl_status resolve_cache_dtype(pfl_dtype cache_dtype, pfl_dtype dtype,
                                      pfl_dtype *out_dtype, pfl_error *error) {
  *out_dtype = cache_dtype == PFL_DTYPE_DEFAULT ? dtype : cache_dtype;
  if (*out_dtype != dtype && *out_dtype != PFL_DTYPE_I8)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "cache_dtype is %d (%s): must be that of q, %s, or int8",
              (int)cache_dtype, pfl_dtype_name(cache_dtype),
              pfl_dtype_name(dtype));
  return PFL_STATUS_OK;
}

/* The numbers must survive the kernels' f32. NaN fails every comparison. */
static pfl_status resolve_numbers(const pfl_scoring *scoring, int64_t D,
                                  double *out_scale, double *out_softcap,
                                  pfl_error *error) {
  double scale = scoring->scale, softcap = scoring->softcap;
  if (!(fabs(scale) <= FLT_MAX))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "scale is %g: must be finite in f32, or 0 for 1/sqrt(head_dim)",
              scale);
  if (!(softcap == 0 || (softcap >= FLT_MIN && softcap <= FLT_MAX)))
    PFL_RAISE(
        error, INVALID_ARGUMENT,
        "softcap is %g: must be positive and finite in f32, or 0 for none",
        softcap);
  *out_scale = scale == 0 ? 1 / sqrt((double)D) : scale;
  *out_softcap = softcap;
  return PFL_STATUS_OK;
}

static pfl_status check_flag(const char *name, int32_t flag, pfl_error *error) {
  if (flag != 0 && flag != 1)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s is %" PRId32 ": must be 0 or 1",
              name, flag);
  return PFL_STATUS_OK;
}

static pfl_status resolve_side(const char *name, int64_t width, bool windowed,
                               int64_t *out_side, pfl_error *error) {
  if (!windowed && width)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is %" PRId64 " and windowed 0: set windowed to 1, or %s to 0",
              name, width, name);
  if (width < -1)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is %" PRId64 ": must be at least 0, or -1 for an open side",
              name, width);
  *out_side =
      windowed && width >= 0 ? base_min(width, ATTENTION_OPEN) : ATTENTION_OPEN;
  return PFL_STATUS_OK;
}

static pfl_status resolve_window(const pfl_scoring *scoring, bool causal,
                                 attention_window *out_window,
                                 pfl_error *error) {
  PFL_TRY(check_flag("causal", scoring->causal, error));
  PFL_TRY(check_flag("windowed", scoring->windowed, error));
  PFL_TRY(resolve_side("window_left", scoring->window_left, scoring->windowed,
                       &out_window->left, error));
  PFL_TRY(resolve_side("window_right", scoring->window_right, scoring->windowed,
                       &out_window->right, error));
  if (causal || scoring->causal) out_window->right = 0;
  return PFL_STATUS_OK;
}

typedef struct tensor_extent {
  const char *name;
  size_t element_bytes;
  int64_t sizes[4]; /* those left out are 0 */
} tensor_extent;

/* A size of 0 counts as 1, so that the product of any of a tensor's sizes fits
 * too; four bytes a position keep every position below ATTENTION_OPEN. */
static pfl_status check_extents(const tensor_extent *tensors, int count,
                                pfl_error *error) {
  for (int i = 0; i < count; i++) {
    const int64_t *sizes = tensors[i].sizes;
    int64_t bytes = (int64_t)tensors[i].element_bytes;
    for (int j = 0; j < COUNT(tensors[i].sizes); j++)
      if (!base_multiply(bytes, base_max(1, sizes[j]), &bytes))
        PFL_RAISE(error, INVALID_ARGUMENT,
                  "%s is too large: %" PRId64 " x %" PRId64 " x %" PRId64
                  " x %" PRId64
                  " (0 counted as 1) elements of %zu bytes must "
                  "fit 63 bits",
                  tensors[i].name, sizes[0], sizes[1], sizes[2], sizes[3],
                  tensors[i].element_bytes);
  }
  return PFL_STATUS_OK;
}

static pfl_status check_problem_extents(const attention_problem *problem,
                                        pfl_error *error) {
  const attention_problem *p = problem;
  size_t element = pfl_dtype_size(p->dtype);
  const tensor_extent tensors[] = {
      {"q", element, {p->B, p->Hq, p->Sq, p->D}},
      {"k", element, {p->B, p->Hkv, p->Sk, p->D}},
      {"v", element, {p->B, p->Hkv, p->Sk, p->Dv}},
      {"o", element, {p->B, p->Hq, p->Sq, p->Dv}},
      {"lse", sizeof(float), {p->B, p->Hq, p->Sq}},
      {"kv_segment_ids", sizeof(int32_t), {p->B, p->Sk}},
  };
  return check_extents(tensors, COUNT(tensors), error);
}

pfl_status attention_problem_init(const pfl_attention *attention,
                                  attention_problem *out_problem,
                                  pfl_error *error) {
  const pfl_attention *a = attention;
  attention_problem problem = {0};
  PFL_TRY(attention_check_struct(a, sizeof *a, "pfl_attention", error));
  const named_size sizes[] = {SIZE(a, batch), SIZE(a, q_heads),
                              SIZE(a, kv_heads), SIZE(a, q_length),
                              SIZE(a, kv_length)};
  PFL_TRY(check_sizes(sizes, COUNT(sizes), error));
  PFL_TRY(check_heads(a->q_heads, a->kv_heads, error));
  PFL_TRY(resolve_head_dims(a->head_dim, a->v_head_dim, &problem.D, &problem.Dv,
                            error));
  PFL_TRY(resolve_dtype(a->dtype, &problem.dtype, error));
  PFL_TRY(resolve_numbers(&a->scoring, problem.D, &problem.scale,
                          &problem.softcap, error));
  PFL_TRY(resolve_window(&a->scoring, false, &problem.window, error));
  problem.B = a->batch;
  problem.Hq = a->q_heads;
  problem.Hkv = a->kv_heads;
  problem.Sq = a->q_length;
  problem.Sk = a->kv_length;
  problem.group = problem.Hkv ? problem.Hq / problem.Hkv : 1;
  problem.offset = problem.Sk - problem.Sq;
  PFL_TRY(check_problem_extents(&problem, error));
  *out_problem = problem;
  return PFL_STATUS_OK;
}

/* Contiguous or paged, and nothing set that belongs to the other. */
static pfl_status check_cache_kind(const pfl_decode *d, pfl_error *error) {
  if ((d->cache_length > 0) == (d->page_length > 0))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "cache_length is %" PRId64 " and page_length %" PRId64
              ": one must be positive (contiguous cache, paged cache) and the "
              "other 0",
              d->cache_length, d->page_length);
  if (d->page_length == 0 && (d->page_count || d->pages_per_sequence))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "page_count is %" PRId64 " and pages_per_sequence %" PRId64
              ": both must be 0 for a contiguous cache (page_length 0)",
              d->page_count, d->pages_per_sequence);
  return PFL_STATUS_OK;
}

static pfl_status check_decode_extents(const attention_decode_problem *problem,
                                       pfl_error *error) {
  const attention_decode_problem *p = problem;
  size_t element = pfl_dtype_size(p->dtype);
  size_t cache_element = pfl_dtype_size(p->cache_dtype);
  int64_t blocks = p->paged ? p->page_count : p->B;
  int64_t tokens = p->paged ? p->page_length : p->Smax;
  const tensor_extent tensors[] = {
      {"q", element, {p->B, p->Hq, p->T, p->D}},
      {"k", cache_element, {blocks, p->Hkv, tokens, p->D}},
      {"v", cache_element, {blocks, p->Hkv, tokens, p->Dv}},
      {"k_scale", sizeof(float), {blocks, p->Hkv, tokens}},
      {"o", element, {p->B, p->Hq, p->T, p->Dv}},
      {"lse", sizeof(float), {p->B, p->Hq, p->T}},
      {"block_table", sizeof(int32_t), {p->B, p->pages_per_sequence}},
      {"a sequence's cache",
       sizeof(float),
       {p->pages_per_sequence, p->page_length}},
  };
  return check_extents(tensors, COUNT(tensors), error);
}

static pfl_status check_decode_sizes(const pfl_decode *d, pfl_error *error) {
  const named_size sizes[] = {SIZE(d, batch),
                              SIZE(d, q_heads),
                              SIZE(d, kv_heads),
                              SIZE(d, cache_length),
                              SIZE(d, page_count),
                              SIZE(d, page_length),
                              SIZE(d, pages_per_sequence)};
  PFL_TRY(check_sizes(sizes, COUNT(sizes), error));
  if (d->q_length < 1)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "q_length is %" PRId64 ": must be at least 1", d->q_length);
  PFL_TRY(check_heads(d->q_heads, d->kv_heads, error));
  return check_cache_kind(d, error);
}

pfl_status attention_decode_problem_init(const pfl_decode *decode,
                                         attention_decode_problem *out_problem,
                                         pfl_error *error) {
  const pfl_decode *d = decode;
  attention_decode_problem problem = {0};
  PFL_TRY(attention_check_struct(d, sizeof *d, "pfl_decode", error));
  PFL_TRY(check_decode_sizes(d, error));
  PFL_TRY(resolve_head_dims(d->head_dim, d->v_head_dim, &problem.D, &problem.Dv,
                            error));
  PFL_TRY(resolve_dtype(d->dtype, &problem.dtype, error));
  PFL_TRY(resolve_cache_dtype(d->cache_dtype, problem.dtype,
                              &problem.cache_dtype, error));
  PFL_TRY(resolve_numbers(&d->scoring, problem.D, &problem.scale,
                          &problem.softcap, error));
  PFL_TRY(resolve_window(&d->scoring, true, &problem.window, error));
  problem.B = d->batch;
  problem.Hq = d->q_heads;
  problem.Hkv = d->kv_heads;
  problem.T = d->q_length;
  problem.group = problem.Hkv ? problem.Hq / problem.Hkv : 1;
  problem.paged = d->page_length > 0;
  problem.page_count = d->page_count;
  problem.page_length = d->page_length;
  problem.pages_per_sequence = d->pages_per_sequence;
  problem.Smax = d->cache_length;
  PFL_TRY(check_decode_extents(&problem, error));
  if (problem.paged)
    problem.Smax = problem.page_length * problem.pages_per_sequence;
  *out_problem = problem;
  return PFL_STATUS_OK;
}

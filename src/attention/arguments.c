/* Checks the tensors of a call against its problem, before anything is read. */
#include <inttypes.h>

#include "attention/problem.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

typedef struct argument {
  const char *name;
  const void *data;
  size_t element_bytes;
  bool needed; /* the tensor has elements, and is not optional */
} argument;

#define ARGUMENT(args, field, element_bytes, needed) \
  { #field, (args)->field, element_bytes, needed }

static pfl_status check_arguments(const argument *arguments, int count,
                                  pfl_error *error) {
  for (int i = 0; i < count; i++) {
    const argument *a = &arguments[i];
    if (a->needed && !a->data)
      PFL_RAISE(error, INVALID_ARGUMENT, "%s is NULL: this call needs it",
                a->name);
    if ((uintptr_t)a->data % a->element_bytes)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s is at %p: its address must be a multiple of %zu", a->name,
                a->data, a->element_bytes);
  }
  return PFL_STATUS_OK;
}

pfl_status attention_check_tensor(const char *name, const void *data,
                                  size_t element_bytes, bool needed,
                                  pfl_error *error) {
  const argument only = {name, data, element_bytes, needed};
  return check_arguments(&only, 1, error);
}

/* Both or neither; a tensor without elements may be NULL either way. */
static pfl_status check_segment_ids(const attention_problem *p,
                                    const int32_t *q_ids, const int32_t *kv_ids,
                                    pfl_error *error) {
  const argument arguments[] = {
      {"q_segment_ids", q_ids, sizeof *q_ids, kv_ids && p->B && p->Sq},
      {"kv_segment_ids", kv_ids, sizeof *kv_ids, q_ids && p->B && p->Sk}};
  for (int i = 0; i < COUNT(arguments); i++)
    if (arguments[i].needed && !arguments[i].data)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%s is NULL and %s is not: give both or neither",
                arguments[i].name, arguments[1 - i].name);
  return check_arguments(arguments, COUNT(arguments), error);
}

pfl_status attention_check_forward(const attention_problem *problem,
                                   const pfl_forward_args *args,
                                   pfl_error *error) {
  PFL_TRY(
      attention_check_struct(args, sizeof *args, "pfl_forward_args", error));
  size_t element = pfl_dtype_size(problem->dtype);
  bool queries = problem->B && problem->Hq && problem->Sq;
  bool keys = problem->B && problem->Hkv && problem->Sk;
  const argument arguments[] = {
      ARGUMENT(args, q, element, queries),
      ARGUMENT(args, k, element, keys),
      ARGUMENT(args, v, element, keys),
      ARGUMENT(args, sinks, sizeof(float), false),
      ARGUMENT(args, out_o, element, queries),
      ARGUMENT(args, out_lse, sizeof(float), false),
  };
  PFL_TRY(check_arguments(arguments, COUNT(arguments), error));
  return check_segment_ids(problem, args->q_segment_ids, args->kv_segment_ids,
                           error);
}

pfl_status attention_check_backward(const attention_problem *problem,
                                    const pfl_backward_args *args,
                                    pfl_error *error) {
  PFL_TRY(
      attention_check_struct(args, sizeof *args, "pfl_backward_args", error));
  size_t element = pfl_dtype_size(problem->dtype);
  bool queries = problem->B && problem->Hq && problem->Sq;
  bool keys = problem->B && problem->Hkv && problem->Sk;
  const argument arguments[] = {
      ARGUMENT(args, q, element, queries),
      ARGUMENT(args, k, element, keys),
      ARGUMENT(args, v, element, keys),
      ARGUMENT(args, o, element, queries),
      ARGUMENT(args, lse, sizeof(float), queries),
      ARGUMENT(args, d_o, element, queries),
      ARGUMENT(args, sinks, sizeof(float), false),
      ARGUMENT(args, out_dq, element, queries),
      ARGUMENT(args, out_dk, element, keys),
      ARGUMENT(args, out_dv, element, keys),
      ARGUMENT(args, out_dsinks, sizeof(float), false),
      ARGUMENT(args, d_lse, sizeof(float), false),
  };
  PFL_TRY(check_arguments(arguments, COUNT(arguments), error));
  if (args->out_dsinks && !args->sinks)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "out_dsinks is given and sinks is NULL: give sinks too, or no "
              "out_dsinks");
  return check_segment_ids(problem, args->q_segment_ids, args->kv_segment_ids,
                           error);
}

/* An argument that belongs to a kind of cache, when the cache is another. */
static pfl_status check_absent(const char *name, const void *data,
                               const char *kind, pfl_error *error) {
  if (data)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is given: it must be NULL unless the cache is %s", name,
              kind);
  return PFL_STATUS_OK;
}

static pfl_status check_cache_arguments(const attention_decode_problem *problem,
                                        const pfl_decode_args *args,
                                        pfl_error *error) {
  bool scaled = problem->cache_dtype == PFL_DTYPE_I8;
  if (!scaled) {
    PFL_TRY(check_absent("k_scale", args->k_scale, "int8", error));
    PFL_TRY(check_absent("v_scale", args->v_scale, "int8", error));
  }
  if (!problem->paged)
    PFL_TRY(check_absent("block_table", args->block_table, "paged", error));
  size_t element = pfl_dtype_size(problem->cache_dtype);
  bool tokens = problem->Hkv && (problem->paged ? problem->page_count
                                                : problem->B && problem->Smax);
  bool table = problem->B && problem->pages_per_sequence;
  const argument arguments[] = {
      ARGUMENT(args, k, element, tokens),
      ARGUMENT(args, v, element, tokens),
      ARGUMENT(args, k_scale, sizeof(float), scaled && tokens),
      ARGUMENT(args, v_scale, sizeof(float), scaled && tokens),
      ARGUMENT(args, lengths, sizeof(int32_t), false),
      ARGUMENT(args, block_table, sizeof(int32_t), table),
  };
  return check_arguments(arguments, COUNT(arguments), error);
}

static pfl_status check_lengths(const attention_decode_problem *problem,
                                const int32_t *lengths, pfl_error *error) {
  for (int64_t b = 0; lengths && b < problem->B; b++)
    if (lengths[b] < 0 || lengths[b] > problem->Smax)
      PFL_RAISE(error, OUT_OF_RANGE,
                "lengths[%" PRId64 "] is %" PRId32 ": must be 0 to %" PRId64
                ", the tokens a sequence has room for",
                b, lengths[b], problem->Smax);
  return PFL_STATUS_OK;
}

static pfl_status check_block_table(const attention_decode_problem *problem,
                                    const pfl_decode_args *args,
                                    pfl_error *error) {
  int64_t columns = problem->pages_per_sequence;
  if (!columns) return PFL_STATUS_OK;
  for (int64_t b = 0; b < problem->B; b++) {
    int64_t length = args->lengths ? args->lengths[b] : problem->Smax;
    int64_t used = base_ceil_div(length, problem->page_length);
    for (int64_t i = 0; i < used; i++) {
      int32_t page = args->block_table[b * columns + i];
      if (page < 0 || page >= problem->page_count)
        PFL_RAISE(error, OUT_OF_RANGE,
                  "block_table[%" PRId64 "][%" PRId64 "] is %" PRId32
                  ": must be a page, at least 0 and less than %" PRId64,
                  b, i, page, problem->page_count);
    }
  }
  return PFL_STATUS_OK;
}

pfl_status attention_check_decode(const attention_decode_problem *problem,
                                  const pfl_decode_args *args,
                                  pfl_error *error) {
  PFL_TRY(attention_check_struct(args, sizeof *args, "pfl_decode_args", error));
  size_t element = pfl_dtype_size(problem->dtype);
  bool queries = problem->B && problem->Hq;
  const argument arguments[] = {
      ARGUMENT(args, q, element, queries),
      ARGUMENT(args, sinks, sizeof(float), false),
      ARGUMENT(args, out_o, element, queries),
      ARGUMENT(args, out_lse, sizeof(float), false),
  };
  PFL_TRY(check_arguments(arguments, COUNT(arguments), error));
  PFL_TRY(check_cache_arguments(problem, args, error));
  PFL_TRY(check_lengths(problem, args->lengths, error));
  return check_block_table(problem, args, error);
}

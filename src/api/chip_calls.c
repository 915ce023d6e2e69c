#include "api/chip_calls.h"

#include <string.h>

enum {
  PROGRAMS_MOST = 64, /* kept; the one that was not used for longest goes */
  KEY_SIZE = 40,
  TENSORS_MOST = 16
};

/* All that a program depends on, as numbers. */
typedef struct program_key {
  int64_t numbers[KEY_SIZE];
  int count;
} program_key;

typedef struct kept_program {
  struct kept_program *next; /* used longer ago */
  program_key key;
  device_program program; /* never moves */
} kept_program;

struct api_chips {
  pfl_allocator allocator;
  device_slice slice;
  int asked; /* chips that share a call; 0: all, if they can */
  kept_program *programs;
};

/* ---- Chips --------------------------------------------------------------- */

pfl_status api_chips_open(const pfl_context_options *options,
                          api_chips **out_chips, pfl_error *error) {
  bool simulated = options->device == PFL_DEVICE_SIM;
  device_options wanted = {.kind = simulated ? DEVICE_SIM : DEVICE_TPU,
                           .plugin = options->plugin,
                           .threads = simulated ? options->threads : 0};
  api_chips *chips = base_allocate(&options->allocator, sizeof *chips);
  if (!chips) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a device");
  *chips =
      (api_chips){.allocator = options->allocator, .asked = options->chips};
  pfl_status status =
      device_open(&wanted, &options->allocator, &chips->slice, error);
  if (status) {
    base_release(&options->allocator, chips);
    return status;
  }
  int64_t there = chips->slice.client.device_count;
  if (options->chips <= there) {
    *out_chips = chips;
    return PFL_STATUS_OK;
  }
  api_chips_close(chips);
  PFL_RAISE(error, INVALID_ARGUMENT,
            "chips is %d: must be 1 to %lld, which the device has, or 0 for "
            "all",
            options->chips, (long long)there);
}

static void release_program(api_chips *chips, kept_program *kept) {
  device_program_release(&chips->slice, &kept->program);
  base_release(&chips->allocator, kept);
}

void api_chips_close(api_chips *chips) {
  if (!chips) return;
  for (kept_program *next; chips->programs; chips->programs = next) {
    next = chips->programs->next;
    release_program(chips, chips->programs);
  }
  device_close(&chips->slice);
  pfl_allocator allocator = chips->allocator;
  base_release(&allocator, chips);
}

int api_chips_count(const api_chips *chips) {
  return chips->asked ? chips->asked : (int)chips->slice.client.device_count;
}

bool api_chips_asked(const api_chips *chips) { return chips->asked != 0; }

const device_slice *api_chips_slice(const api_chips *chips) {
  return &chips->slice;
}

/* ---- Programs ------------------------------------------------------------ */

static void add(program_key *key, int64_t number) {
  key->numbers[key->count++] = number;
}

static void add_real(program_key *key, double number) {
  int64_t bits;
  memcpy(&bits, &number, sizeof bits);
  add(key, bits);
}

static void add_problem(program_key *key, const attention_problem *p) {
  const int64_t sizes[] = {p->B,           p->Hq,          p->Hkv, p->Sq,
                           p->Sk,          p->D,           p->Dv,  p->dtype,
                           p->window.left, p->window.right};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) add(key, sizes[i]);
  add_real(key, p->scale);
  add_real(key, p->softcap);
}

static void add_decode(program_key *key, const attention_decode_problem *p) {
  const int64_t sizes[] = {p->B,
                           p->Hq,
                           p->Hkv,
                           p->T,
                           p->D,
                           p->Dv,
                           p->Smax,
                           p->paged,
                           p->page_count,
                           p->page_length,
                           p->pages_per_sequence,
                           p->dtype,
                           p->cache_dtype,
                           p->window.left,
                           p->window.right};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) add(key, sizes[i]);
  add_real(key, p->scale);
  add_real(key, p->softcap);
}

static program_key key_of(const kernels_request *request) {
  program_key key = {.count = 0};
  const int64_t kind[] = {request->op, request->lse, request->segment_ids,
                          request->sinks, request->d_lse};
  for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) add(&key, kind[i]);
  if (request->decode)
    add_decode(&key, request->decode);
  else
    add_problem(&key, request->problem);
  return key;
}

/* On as many chips as were asked for; on one, where nobody said how many and
 * there is no kernel for all. */
static pfl_status prepare(const api_chips *chips,
                          const kernels_request *request,
                          device_program *out_program, pfl_error *error) {
  kernels_request asked = *request;
  asked.chips = api_chips_count(chips);
  pfl_status status = device_prepare(&chips->slice, &asked, out_program, error);
  if (status != PFL_STATUS_INVALID_ARGUMENT &&
      status != PFL_STATUS_UNIMPLEMENTED)
    return status;
  if (chips->asked || asked.chips == 1) return status;
  asked.chips = 1;
  return device_prepare(&chips->slice, &asked, out_program, error);
}

/* Takes a program out of the list; NULL if it is not there. */
static kept_program *take_kept(api_chips *chips, const program_key *key) {
  size_t bytes = (size_t)key->count * sizeof *key->numbers;
  for (kept_program **at = &chips->programs; *at; at = &(*at)->next) {
    kept_program *kept = *at;
    if (kept->key.count != key->count ||
        memcmp(kept->key.numbers, key->numbers, bytes))
      continue;
    *at = kept->next;
    return kept;
  }
  return NULL;
}

static void keep_first(api_chips *chips, kept_program *kept) {
  kept->next = chips->programs;
  chips->programs = kept;
  kept_program **at = &chips->programs;
  for (int i = 0; *at && i < PROGRAMS_MOST; i++) at = &(*at)->next;
  if (!*at) return;
  release_program(chips, *at);
  *at = NULL;
}

static pfl_status find_program(api_chips *chips, const kernels_request *request,
                               const device_program **out_program,
                               pfl_error *error) {
  program_key key = key_of(request);
  kept_program *kept = take_kept(chips, &key);
  if (!kept) {
    kept = base_allocate(&chips->allocator, sizeof *kept);
    if (!kept) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a program");
    kept->key = key;
    pfl_status status = prepare(chips, request, &kept->program, error);
    if (status) {
      base_release(&chips->allocator, kept);
      return status;
    }
  }
  keep_first(chips, kept);
  *out_program = &kept->program;
  return PFL_STATUS_OK;
}

/* ---- Calls --------------------------------------------------------------- */

/* A call's tensors by the names that programs have for them. */
typedef struct chip_call {
  kernels_request request;
  device_tensor inputs[TENSORS_MOST], outputs[TENSORS_MOST];
  int input_count, output_count;
} chip_call;

static device_tensor tensor(const char *name, pfl_dtype dtype, int rank,
                            const int64_t *shape, const void *data) {
  device_tensor made = {
      .name = name, .dtype = dtype, .rank = rank, .data = (void *)data};
  memcpy(made.shape, shape, (size_t)rank * sizeof *shape);
  return made;
}

#define SHAPE(...)                                                         \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { \
    __VA_ARGS__                                                            \
  }

/* What is NULL is not given, or not wanted. */
static void give(chip_call *call, const char *name, pfl_dtype dtype, int rank,
                 const int64_t *shape, const void *data) {
  if (data)
    call->inputs[call->input_count++] = tensor(name, dtype, rank, shape, data);
}

static void want(chip_call *call, const char *name, pfl_dtype dtype, int rank,
                 const int64_t *shape, void *data) {
  if (data)
    call->outputs[call->output_count++] =
        tensor(name, dtype, rank, shape, data);
}

static int64_t bytes_of(const device_tensor *t) {
  int64_t bytes = (int64_t)pfl_dtype_size(t->dtype);
  for (int i = 0; i < t->rank; i++) bytes *= t->shape[i];
  return bytes;
}

/* Results go through the workspace: the caller's memory is not touched before
 * all of them have come. */
static pfl_status run(pfl_context *context, chip_call *call, pfl_error *error) {
  const device_program *program = NULL;
  device_times times;
  device_tensor staged[TENSORS_MOST];
  int64_t bytes = 0;
  PFL_TRY(find_program(context->chips, &call->request, &program, error));
  for (int i = 0; i < call->output_count; i++)
    bytes += base_round_up(bytes_of(&call->outputs[i]), BASE_ALIGNMENT);
  PFL_TRY(api_context_reserve(context, (size_t)bytes, error));
  char *room = context->workspace;
  for (int i = 0; i < call->output_count; i++) {
    staged[i] = call->outputs[i];
    staged[i].data = room;
    room += base_round_up(bytes_of(&staged[i]), BASE_ALIGNMENT);
  }
  PFL_TRY(device_run(&context->chips->slice, program, call->inputs,
                     call->input_count, staged, call->output_count, &times,
                     error));
  for (int i = 0; i < call->output_count; i++)
    memcpy(call->outputs[i].data, staged[i].data, (size_t)bytes_of(&staged[i]));
  return PFL_STATUS_OK;
}

/* ---- The three ----------------------------------------------------------- */

static const pfl_dtype F32 = PFL_DTYPE_F32, I32 = PFL_DTYPE_I32;

/* q, k, v, and what restricts who sees whom. */
static chip_call begin_attention(kernels_op op, const attention_problem *p,
                                 const void *q, const void *k, const void *v,
                                 const int32_t *q_ids, const int32_t *kv_ids,
                                 const float *sinks) {
  chip_call call = {.request = {.op = op,
                                .problem = p,
                                .segment_ids = q_ids != NULL,
                                .sinks = sinks != NULL}};
  give(&call, "q", p->dtype, SHAPE(p->B, p->Hq, p->Sq, p->D), q);
  give(&call, "k", p->dtype, SHAPE(p->B, p->Hkv, p->Sk, p->D), k);
  give(&call, "v", p->dtype, SHAPE(p->B, p->Hkv, p->Sk, p->Dv), v);
  give(&call, "q_segment_ids", I32, SHAPE(p->B, p->Sq), q_ids);
  give(&call, "kv_segment_ids", I32, SHAPE(p->B, p->Sk), kv_ids);
  give(&call, "sinks", F32, SHAPE(p->Hq), sinks);
  return call;
}

pfl_status api_chips_forward(pfl_context *context,
                             const attention_problem *problem,
                             const pfl_forward_args *args, pfl_error *error) {
  const attention_problem *p = problem;
  chip_call call =
      begin_attention(KERNELS_FORWARD, p, args->q, args->k, args->v,
                      args->q_segment_ids, args->kv_segment_ids, args->sinks);
  call.request.lse = args->out_lse != NULL;
  want(&call, "o", p->dtype, SHAPE(p->B, p->Hq, p->Sq, p->Dv), args->out_o);
  want(&call, "lse", F32, SHAPE(p->B, p->Hq, p->Sq), args->out_lse);
  return run(context, &call, error);
}

pfl_status api_chips_backward(pfl_context *context,
                              const attention_problem *problem,
                              const pfl_backward_args *args, pfl_error *error) {
  const attention_problem *p = problem;
  chip_call call =
      begin_attention(KERNELS_BACKWARD, p, args->q, args->k, args->v,
                      args->q_segment_ids, args->kv_segment_ids, args->sinks);
  call.request.d_lse = args->d_lse != NULL;
  give(&call, "o", p->dtype, SHAPE(p->B, p->Hq, p->Sq, p->Dv), args->o);
  give(&call, "lse", F32, SHAPE(p->B, p->Hq, p->Sq), args->lse);
  give(&call, "do", p->dtype, SHAPE(p->B, p->Hq, p->Sq, p->Dv), args->d_o);
  give(&call, "dlse", F32, SHAPE(p->B, p->Hq, p->Sq), args->d_lse);
  want(&call, "dq", p->dtype, SHAPE(p->B, p->Hq, p->Sq, p->D), args->out_dq);
  want(&call, "dk", p->dtype, SHAPE(p->B, p->Hkv, p->Sk, p->D), args->out_dk);
  want(&call, "dv", p->dtype, SHAPE(p->B, p->Hkv, p->Sk, p->Dv), args->out_dv);
  want(&call, "dsinks", F32, SHAPE(p->Hq), args->out_dsinks);
  return run(context, &call, error);
}

pfl_status api_chips_decode(pfl_context *context,
                            const attention_decode_problem *problem,
                            const pfl_decode_args *args, pfl_error *error) {
  const attention_decode_problem *p = problem;
  int64_t rows = p->paged ? p->page_count : p->B;
  int64_t tokens = p->paged ? p->page_length : p->Smax;
  chip_call call = {.request = {.op = KERNELS_DECODE,
                                .decode = p,
                                .lse = args->out_lse != NULL,
                                .sinks = args->sinks != NULL}};
  give(&call, "q", p->dtype, SHAPE(p->B, p->Hq, p->T, p->D), args->q);
  give(&call, "k", p->cache_dtype, SHAPE(rows, p->Hkv, tokens, p->D), args->k);
  give(&call, "v", p->cache_dtype, SHAPE(rows, p->Hkv, tokens, p->Dv), args->v);
  give(&call, "k_scale", F32, SHAPE(rows, p->Hkv, tokens), args->k_scale);
  give(&call, "v_scale", F32, SHAPE(rows, p->Hkv, tokens), args->v_scale);
  give(&call, "lengths", I32, SHAPE(p->B), args->lengths);
  give(&call, "block_table", I32, SHAPE(p->B, p->pages_per_sequence),
       args->block_table);
  give(&call, "sinks", F32, SHAPE(p->Hq), args->sinks);
  want(&call, "o", p->dtype, SHAPE(p->B, p->Hq, p->T, p->Dv), args->out_o);
  want(&call, "lse", F32, SHAPE(p->B, p->Hq, p->T), args->out_lse);
  return run(context, &call, error);
}

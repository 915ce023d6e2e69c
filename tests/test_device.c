/* The same random calls on the CPU and on simulated chips, both within what
 * docs/numerics.md derives of the fp64 reference. On chips a call goes the
 * whole way: kernels, StableHLO, compiler process, plugin, buffers, results
 * gathered. */
#include "decode_case.h"
#include "device/device.h"

static const pfl_dtype F32 = PFL_DTYPE_F32, I32 = PFL_DTYPE_I32;

static const pfl_allocator heap;
static device_slice slice;
static pfl_error error;

/* How many calls there were no kernels for, and how many there were. */
typedef struct tally {
  int refused, done;
} tally;

static void open_slice(void) {
  device_options options = {.kind = DEVICE_SIM,
                            .seed = check_between(1, INT64_MAX)};
  pfl_status status = device_open(&options, &heap, &slice, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
}

/* A refusal is well said; anything else that is not success is wrong. */
static bool prepare(const kernels_request *request, device_program *program,
                    tally *count) {
  pfl_status status = device_prepare(&slice, request, program, &error);
  bool refused = status == PFL_STATUS_INVALID_ARGUMENT ||
                 status == PFL_STATUS_UNIMPLEMENTED;
  CHECK(!status || (refused && *error.message), "%s; %s", error.message,
        call_text);
  count->refused += refused;
  count->done += !status;
  return !status;
}

static bool run(const device_program *program, const device_tensor *inputs,
                int input_count, const device_tensor *outputs,
                int output_count) {
  device_times times;
  pfl_status status = device_run(&slice, program, inputs, input_count, outputs,
                                 output_count, &times, &error);
  CHECK(!status, "%s; %s; %s", error.message, program->kernels.plan, call_text);
  return !status;
}

/* ---- Forward and backward ------------------------------------------------ */

/* What docs/numerics.md says of a row's end on a chip. */
enum { CHIP_END = 4 };

static int list_tensors(const call_case *c, device_tensor *out) {
  const attention_problem *p = &c->exact.problem;
  const device_tensor all[] = {
      {"q", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->q},
      {"k", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->k},
      {"v", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->v},
      {"q_segment_ids", I32, 2, {p->B, p->Sq}, c->exact.q_segment_ids},
      {"kv_segment_ids", I32, 2, {p->B, p->Sk}, c->exact.kv_segment_ids},
      {"sinks", F32, 1, {p->Hq}, c->sinks},
      {"do", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->d_o},
      {"dlse", F32, 3, {p->B, p->Hq, p->Sq}, c->d_lse},
      {"o", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->o},
      {"lse", F32, 3, {p->B, p->Hq, p->Sq}, c->lse},
      {"dq", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->dq},
      {"dk", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->dk},
      {"dv", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->dv},
      {"dsinks", F32, 1, {p->Hq}, c->dsinks}};
  memcpy(out, all, sizeof all);
  return COUNT(all);
}

/* An op of a case on chips; `first` of its outputs in the list above. */
static bool run_op(call_case *c, kernels_op op, int chips, int first,
                   tally *count) {
  kernels_request request = {.op = op,
                             .problem = &c->exact.problem,
                             .lse = op == KERNELS_FORWARD,
                             .segment_ids = c->exact.q_segment_ids != NULL,
                             .sinks = c->sinks != NULL,
                             .d_lse = c->d_lse != NULL,
                             .chips = chips};
  device_program program;
  device_tensor tensors[16];
  int all = list_tensors(c, tensors);
  int outputs = op == KERNELS_FORWARD ? 2 : c->sinks ? 4 : 3;
  if (!prepare(&request, &program, count)) return false;
  bool done = run(&program, tensors, all, tensors + first, outputs);
  device_program_release(&slice, &program);
  return done;
}

static void spoil(call_case *c) {
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype);
  memset(c->o, 0xff, (size_t)(c->rows * p->Dv) * size);
  memset(c->lse, 0xff, (size_t)c->rows * sizeof *c->lse);
  memset(c->dq, 0xff, (size_t)(c->rows * p->D) * size);
  memset(c->dk, 0xff, (size_t)(c->keys * p->D) * size);
  memset(c->dv, 0xff, (size_t)(c->keys * p->Dv) * size);
  memset(c->dsinks, 0xff, (size_t)p->Hq * sizeof *c->dsinks);
}

static void check_on_cpu(call_case *c) {
  pfl_isa isa = pfl_isa_best();
  bool pairs = call_pairs(isa, c->exact.problem.dtype);
  spoil(c);
  c->end = 0;
  call_forward(c, call_context(isa, 2));
  call_check_forward(c, pairs);
  call_backward(c, call_context(isa, 2));
  call_check_backward(c, pairs);
}

static void check_on_chips(call_case *c, int chips, tally *count) {
  bool pairs = c->exact.problem.dtype == PFL_DTYPE_BF16;
  spoil(c);
  c->end = CHIP_END;
  if (!run_op(c, KERNELS_FORWARD, chips, 8, count)) return;
  call_check_forward(c, pairs);
  if (!run_op(c, KERNELS_BACKWARD, chips, 10, count)) return;
  call_check_backward(c, pairs);
}

static void test_forward_and_backward(void) {
  tally count = {0};
  open_slice();
  int cases = check_cases(48);
  for (int round = 0; round < cases; round++) {
    call_options options = call_random_options(round);
    options.dtype = round % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
    options.d_lse = round % 4 > 1;
    pfl_attention attention;
    do attention = call_draw_attention(&options, 5e6); /* rarely of nothing */
    while (round % 8 && !(attention.q_length && attention.kv_length));
    call_case c = call_make(attention, &options);
    case_forward(&c.exact);
    case_backward(&c.exact);
    check_on_cpu(&c);
    check_on_chips(&c, round % 8 == 3 ? 4 : 1, &count);
    call_free(&c);
  }
  printf("%d calls of forward and backward, %d without a kernel\n", count.done,
         count.refused);
  CHECK(count.done >= cases, "%d of %d have a kernel", count.done, 2 * cases);
  device_close(&slice);
}

/* ---- Decode -------------------------------------------------------------- */

static void check_decode(decode_case *c, int chips, tally *count) {
  const attention_decode_problem *p = &c->problem;
  kernels_request request = {.op = KERNELS_DECODE,
                             .decode = p,
                             .lse = true,
                             .sinks = c->sinks != NULL,
                             .chips = chips};
  device_program program;
  if (!prepare(&request, &program, count)) return;
  bool full = true;
  for (int64_t b = 0; b < p->B; b++) full &= c->lengths[b] == p->Smax;
  device_tensor inputs[] = {
      {"q", p->dtype, 4, {p->B, p->Hq, p->T, p->D}, c->q},
      {"k", p->cache_dtype, 4, {p->B, p->Hkv, p->Smax, p->D}, c->k},
      {"v", p->cache_dtype, 4, {p->B, p->Hkv, p->Smax, p->Dv}, c->v},
      {"lengths", I32, 1, {p->B}, c->lengths},
      {"sinks", F32, 1, {p->Hq}, c->sinks},
      {"k_scale", F32, 3, {p->B, p->Hkv, p->Smax}, c->k_scale},
      {"v_scale", F32, 3, {p->B, p->Hkv, p->Smax}, c->v_scale}};
  if (full) inputs[3].name = "not given";
  device_tensor outputs[] = {
      {"o", p->dtype, 4, {p->B, p->Hq, p->T, p->Dv}, c->o},
      {"lse", F32, 3, {p->B, p->Hq, p->T}, c->lse}};
  memset(c->o, 0xff, (size_t)(c->rows * p->Dv) * pfl_dtype_size(p->dtype));
  memset(c->lse, 0xff, (size_t)c->rows * sizeof *c->lse);
  /* Q in two int8, of which 16256 are its row's largest */
  bool integers = c->k_scale && p->dtype == PFL_DTYPE_BF16;
  c->q_rounding = integers ? (0.5 + 0.01) / 16256 : 0;
  c->end = CHIP_END;
  if (run(&program, inputs, 7, outputs, 2))
    decode_check(c, p->dtype == PFL_DTYPE_BF16);
  device_program_release(&slice, &program);
}

static void test_decode(void) {
  tally count = {0};
  open_slice();
  int cases = check_cases(64);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    options.call.dtype = round % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
    options.int8 = round % 3 == 0;
    options.paged = false;
    decode_case c = decode_make(decode_draw(&options, 3e6, 2000), &options);
    decode_call(&c, call_context(pfl_isa_best(), 2));
    decode_check(&c, decode_pairs(&c, pfl_isa_best()));
    check_decode(&c, round / 2 % 2 ? 4 : 1, &count);
    decode_free(&c);
  }
  printf("decode: %d calls, %d without a kernel\n", count.done, count.refused);
  CHECK(count.done > cases / 4, "%d of %d have a kernel", count.done, cases);
  device_close(&slice);
}

int main(void) {
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  int failed = CHECK_RUN(test_forward_and_backward, test_decode);
  call_print_worst();
  call_contexts_destroy();
  return failed;
}

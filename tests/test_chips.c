/* The public calls in contexts that have simulated chips: the CPU's promises,
 * results within what docs/numerics.md derives, errors that leave outputs
 * alone, and a compiler that is asked once for each problem. */
#include "decode_case.h"
#include "failing.h"
#include "pallas_flash/pallas_flash.h"

/* What docs/numerics.md says of a row's end on a chip. */
enum { CHIP_END = 4 };

static pfl_error error;
static pfl_context *one, *all;

static pfl_context *open_chips(int32_t chips) {
  pfl_context_options options = {.struct_size = sizeof options,
                                 .threads = 2,
                                 .device = PFL_DEVICE_SIM,
                                 .chips = chips};
  pfl_context *context = NULL;
  pfl_status status = pfl_context_create(&options, &context, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  return context;
}

/* ---- Options --------------------------------------------------------------
 */

#define CREATE(spoil, status, message)                                  \
  do {                                                                  \
    pfl_context_options options = {.struct_size = sizeof options,       \
                                   .threads = 1,                        \
                                   .device = PFL_DEVICE_SIM};           \
    pfl_context *context = NULL;                                        \
    spoil;                                                              \
    case_expect(pfl_context_create(&options, &context, &error), &error, \
                PFL_STATUS_##status, message);                          \
    CHECK(!context, "a context: %s", message);                          \
  } while (0)

static void test_options(void) {
  CREATE(options.device = (pfl_device)3, INVALID_ARGUMENT, "device is 3");
  CREATE(options.device = (pfl_device)-1, INVALID_ARGUMENT, "device is -1");
  CREATE(options.chips = -1, INVALID_ARGUMENT, "chips is -1");
  CREATE(options.chips = 5, INVALID_ARGUMENT, "must be 1 to 4");
  CREATE(options.plugin = "no/such.so", NOT_FOUND, "no/such.so");
  CREATE(options.device = PFL_DEVICE_CPU;
         options.chips = 1, INVALID_ARGUMENT, "chips is given");
  CREATE(options.device = PFL_DEVICE_CPU;
         options.plugin = "x", INVALID_ARGUMENT, "plugin is given");
  CHECK(!strcmp(pfl_device_name(PFL_DEVICE_TPU), "tpu"), "tpu");
  CHECK(!strcmp(pfl_device_name((pfl_device)9), "unknown"), "9");
  CHECK(pfl_context_device(one) == PFL_DEVICE_SIM, "the device is sim");
  CHECK(pfl_context_chips(one) == 1 && pfl_context_chips(all) == 4, "%d, %d",
        pfl_context_chips(one), pfl_context_chips(all));
  pfl_context *cpu = call_context(PFL_ISA_PORTABLE, 1);
  CHECK(!pfl_context_device(cpu) && !pfl_context_chips(cpu), "a CPU's");
}

/* ---- Results --------------------------------------------------------------
 */

/* Whether there is a kernel; without one the call says so and writes nothing.
 */
static bool there_is(pfl_status status, const void *output, size_t bytes) {
  if (!status) return true;
  CHECK((status == PFL_STATUS_INVALID_ARGUMENT ||
         status == PFL_STATUS_UNIMPLEMENTED) &&
            error.message[0],
        "%s: %s; %s", pfl_status_name(status), error.message, call_text);
  CHECK(guarded_is_untouched(output, bytes), "an output was written; %s",
        call_text);
  return false;
}

static bool run_forward(call_case *c, pfl_context *context) {
  pfl_forward_args args = call_forward_args(c);
  size_t bytes = (size_t)c->rows * sizeof *c->lse;
  memset(c->lse, 0xff, bytes);
  return there_is(
      pfl_attention_forward(context, &c->exact.attention, &args, &error),
      c->lse, bytes);
}

static bool run_backward(call_case *c, pfl_context *context) {
  pfl_backward_args args = call_backward_args(c);
  size_t bytes = (size_t)(c->rows * c->exact.problem.D) *
                 pfl_dtype_size(c->exact.problem.dtype);
  memset(c->dq, 0xff, bytes);
  return there_is(
      pfl_attention_backward(context, &c->exact.attention, &args, &error),
      c->dq, bytes);
}

static void test_forward_and_backward(void) {
  int done = 0, cases = check_cases(20);
  for (int round = 0; round < cases; round++) {
    call_options options = call_random_options(round);
    options.dtype = round % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
    options.d_lse = round % 3 == 2;
    call_case c = call_make(call_draw_attention(&options, 1e6), &options);
    case_forward(&c.exact);
    case_backward(&c.exact);
    c.end = CHIP_END;
    pfl_context *context = round % 4 == 1 ? all : one;
    bool pairs = options.dtype == PFL_DTYPE_BF16;
    if (run_forward(&c, context)) {
      call_check_forward(&c, pairs);
      if (run_backward(&c, context)) call_check_backward(&c, pairs), done++;
    }
    call_free(&c);
  }
  printf("%d of %d problems have kernels for both\n", done, cases);
  CHECK(3 * done > cases, "%d of %d problems have kernels", done, cases);
}

static void test_decode(void) {
  int done = 0, cases = check_cases(20);
  for (int round = 0; round < cases; round++) {
    decode_options options = decode_random_options(round);
    options.call.dtype = round % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
    options.int8 = round % 3 == 0;
    options.paged = round % 3 == 1;
    pfl_decode drawn;
    do drawn = decode_draw(&options, 1e6, 1000); /* pages that chips take */
    while (options.paged && (drawn.page_length & (drawn.page_length - 1) ||
                             drawn.page_length < 16));
    decode_case c = decode_make(drawn, &options);
    const attention_decode_problem *p = &c.problem;
    size_t bytes = (size_t)c.rows * sizeof *c.lse;
    memset(c.lse, 0xff, bytes);
    pfl_decode_args args = {.struct_size = sizeof args,
                            .q = c.q,
                            .k = c.k,
                            .v = c.v,
                            .k_scale = c.k_scale,
                            .v_scale = c.v_scale,
                            .lengths = c.lengths,
                            .block_table = c.block_table,
                            .sinks = c.sinks,
                            .out_o = c.o,
                            .out_lse = c.lse};
    /* Q in two int8, of which 16256 are its row's largest */
    bool integers = c.k_scale && p->dtype == PFL_DTYPE_BF16;
    c.q_rounding = integers ? (0.5 + 0.01) / 16256 : 0;
    c.end = CHIP_END;
    if (there_is(pfl_attention_decode(one, &c.decode, &args, &error), c.lse,
                 bytes))
      decode_check(&c, p->dtype == PFL_DTYPE_BF16), done++;
    decode_free(&c);
  }
  printf("%d of %d decodes have a kernel\n", done, cases);
  CHECK(4 * done > cases, "%d of %d have a kernel", done, cases);
}

/* ---- One small forward call -----------------------------------------------
 */

enum { H = 2, S = 24, D = 16, COUNT_O = H * S * D };

typedef struct small_call {
  pfl_attention attention;
  float q[COUNT_O], k[COUNT_O], v[COUNT_O];
  float o[COUNT_O], lse[H * S];
} small_call;

static small_call make_small(void) {
  small_call c = {.attention = {.struct_size = sizeof c.attention,
                                .batch = 1,
                                .q_heads = H,
                                .kv_heads = H,
                                .q_length = S,
                                .kv_length = S,
                                .head_dim = D}};
  for (int i = 0; i < COUNT_O; i++) {
    c.q[i] = (float)check_normal();
    c.k[i] = (float)check_normal();
    c.v[i] = (float)check_normal();
  }
  memset(c.o, 0xff, sizeof c.o);
  memset(c.lse, 0xff, sizeof c.lse);
  return c;
}

static pfl_status call_small(pfl_context *context, small_call *c) {
  return pfl_attention_forward(
      context, &c->attention,
      &(pfl_forward_args){.struct_size = sizeof(pfl_forward_args),
                          .q = c->q,
                          .k = c->k,
                          .v = c->v,
                          .out_o = c->o,
                          .out_lse = c->lse},
      &error);
}

static void check_small_untouched(const small_call *c) {
  CHECK(guarded_is_untouched(c->o, sizeof c->o) &&
            guarded_is_untouched(c->lse, sizeof c->lse),
        "outputs were written");
}

/* A program is compiled for the first call of a problem and then kept, as a
 * compiler that is gone shows. */
static void test_programs_are_kept(void) {
  small_call c = make_small(), again, other;
  CHECK(!call_small(one, &c), "%s", error.message);
  again = other = c;
  CHECK_NEED(!setenv("PFLASH_COMPILER", "no/such/compiler", 1));
  memset(again.o, 0xff, sizeof again.o);
  CHECK(!call_small(one, &again), "%s", error.message);
  CHECK(!memcmp(again.o, c.o, sizeof c.o), "the same call, other bits");
  memset(other.o, 0xff, sizeof other.o);
  memset(other.lse, 0xff, sizeof other.lse);
  other.attention.scoring.causal = 1;
  case_expect(call_small(one, &other), &error, PFL_STATUS_NOT_FOUND,
              "PFLASH_COMPILER");
  check_small_untouched(&other);
  CHECK_NEED(!unsetenv("PFLASH_COMPILER"));
  CHECK(!call_small(one, &other), "%s", error.message);
  CHECK(memcmp(other.o, c.o, sizeof c.o), "another problem, the same bits");
}

/* More problems than are kept: the first is compiled again. */
static void test_programs_are_dropped(void) {
  pfl_context *context = open_chips(1);
  small_call first = make_small();
  CHECK(!call_small(context, &first), "%s", error.message);
  for (int i = 1; i <= 64; i++) {
    small_call c = first;
    c.attention.scoring.softcap = i;
    CHECK(!call_small(context, &c), "%s", error.message);
  }
  CHECK_NEED(!setenv("PFLASH_COMPILER", "no/such/compiler", 1));
  small_call last = first;
  last.attention.scoring.softcap = 1;
  CHECK(!call_small(context, &last), "the 64th before last is kept");
  CHECK(call_small(context, &first) == PFL_STATUS_NOT_FOUND,
        "the 65th is not kept");
  CHECK_NEED(!unsetenv("PFLASH_COMPILER"));
  pfl_context_destroy(context);
}

static void test_no_kernel(void) {
  small_call c = make_small();
  c.attention.dtype = PFL_DTYPE_F16;
  case_expect(call_small(one, &c), &error, PFL_STATUS_INVALID_ARGUMENT, "f16");
  check_small_untouched(&c);
  c.attention.dtype = PFL_DTYPE_F32;
  c.attention.kv_length = 0;
  CHECK(!call_small(one, &c), "%s", error.message);
  CHECK(c.o[7] == 0 && c.lse[3] == -INFINITY, "no keys: %g, %g", c.o[7],
        c.lse[3]);
}

/* A context and a call, of whose requests for memory one fails. */
static pfl_status open_and_call(failing_state *state) {
  pfl_context_options options = {.struct_size = sizeof options,
                                 .threads = 1,
                                 .device = PFL_DEVICE_SIM,
                                 .chips = 1,
                                 .allocator = failing_allocator(state)};
  pfl_context *context = NULL;
  small_call c = make_small();
  pfl_status status = pfl_context_create(&options, &context, &error);
  if (!status) status = call_small(context, &c);
  if (status) check_small_untouched(&c);
  pfl_context_destroy(context);
  return status;
}

static void test_without_memory(void) {
  failing_state state = {0};
  CHECK(!open_and_call(&state), "%s", error.message);
  long requests = state.requests;
  printf("a context and a call ask %ld times for memory\n", requests);
  for (int i = check_cases(24); i-- > 0;) {
    state = (failing_state){.fail_at = check_between(1, requests)};
    failing_check(&state, open_and_call(&state));
  }
}

int main(void) {
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  one = open_chips(1);
  all = open_chips(0);
  int failed = CHECK_RUN(test_options, test_forward_and_backward, test_decode,
                         test_programs_are_kept, test_programs_are_dropped,
                         test_no_kernel, test_without_memory);
  pfl_context_destroy(one);
  pfl_context_destroy(all);
  call_contexts_destroy();
  return failed;
}

/* Contexts and calls as a program uses them, well and badly: every misuse is a
 * status and leaves the outputs alone; no memory lost when there is none; and
 * many threads at once. */
#include <pthread.h>
#include <stdlib.h>

#include "call_case.h"
#include "failing.h"

/* ---- Options ------------------------------------------------------------ */

/* Creates with options in which `spoil` is wrong: *out_context must stay. */
#define CREATE(spoil, status, message)                                         \
  do {                                                                         \
    pfl_context_options options = {.struct_size = sizeof options,              \
                                   .threads = 1};                              \
    pfl_context *context = (pfl_context *)&options;                            \
    pfl_error error = {PFL_STATUS_OK, ""};                                     \
    spoil;                                                                     \
    case_expect(pfl_context_create(&options, &context, &error), &error,        \
                PFL_STATUS_##status, message);                                 \
    CHECK(context == (pfl_context *)&options, "out_context: %s", message);     \
    CHECK(pfl_context_create(&options, &context, NULL) == PFL_STATUS_##status, \
          "without an error: %s", message);                                    \
  } while (0)

static void test_options(void) {
  CREATE(options.struct_size = 0, INVALID_ARGUMENT, "struct_size is 0");
  CREATE(options.struct_size--, INVALID_ARGUMENT, "must be sizeof");
  CREATE(options.struct_size = 1 << 20, INVALID_ARGUMENT, "struct_size is");
  CREATE(options.threads = -1, INVALID_ARGUMENT, "threads is -1");
  CREATE(options.threads = 1025, INVALID_ARGUMENT, "must be 0 to 1024");
  CREATE(options.isa = (pfl_isa)-1, INVALID_ARGUMENT, "isa is -1");
  CREATE(options.isa = (pfl_isa)5, INVALID_ARGUMENT, "must be 0 to 4");
  CREATE(options.allocator.allocate = failing_allocate, INVALID_ARGUMENT,
         "only one of allocate and release");
  CREATE(options.allocator.release = failing_release, INVALID_ARGUMENT,
         "only one of allocate and release");
  for (int isa = pfl_isa_best() + 1; isa <= PFL_ISA_AVX512BF16; isa++)
    CREATE(options.isa = (pfl_isa)isa, UNAVAILABLE, "this CPU has");
  pfl_error error;
  case_expect(pfl_context_create(NULL, NULL, &error), &error,
              PFL_STATUS_INVALID_ARGUMENT, "out_context is NULL");
}

static void check_context(const pfl_context_options *options, int32_t threads,
                          pfl_isa isa) {
  pfl_context *context = NULL;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = pfl_context_create(options, &context, &error);
  CHECK(status == PFL_STATUS_OK, "%s", error.message);
  if (status != PFL_STATUS_OK) return;
  CHECK(threads ? pfl_context_threads(context) == threads
                : pfl_context_threads(context) >= 1,
        "%d threads", pfl_context_threads(context));
  CHECK(pfl_context_isa(context) == isa, "isa %d, not %d",
        pfl_context_isa(context), isa);
  pfl_context_destroy(context);
}

/* A newer program's options: longer, with nothing set that is not known. */
static void test_newer_options(void) {
  struct {
    pfl_context_options known;
    char more[16];
  } newer = {{.struct_size = sizeof newer, .threads = 2}, {0}};
  check_context(&newer.known, 2, pfl_isa_best());
  newer.more[7] = 1;
  pfl_context *context = NULL;
  pfl_error error;
  case_expect(pfl_context_create(&newer.known, &context, &error), &error,
              PFL_STATUS_INVALID_ARGUMENT, "the others must be 0");
}

static void test_defaults(void) {
  pfl_context_options options = {.struct_size = sizeof options};
  check_context(NULL, 0, pfl_isa_best());
  check_context(&options, 0, pfl_isa_best());
  for (int isa = PFL_ISA_PORTABLE; isa <= (int)pfl_isa_best(); isa++) {
    options.isa = (pfl_isa)isa;
    options.threads = isa;
    check_context(&options, isa, (pfl_isa)isa);
  }
  pfl_context_destroy(NULL);
}

static void test_names(void) {
  CHECK(!strcmp(pfl_isa_name(PFL_ISA_AUTO), "auto"), "auto");
  CHECK(!strcmp(pfl_isa_name(PFL_ISA_PORTABLE), "portable"), "portable");
  CHECK(!strcmp(pfl_isa_name(PFL_ISA_AVX512BF16), "avx512bf16"), "newest");
  CHECK(!strcmp(pfl_isa_name((pfl_isa)99), "unknown"), "99");
  CHECK(!strcmp(pfl_isa_name((pfl_isa)-1), "unknown"), "-1");
  CHECK(strchr(pfl_version(), '.'), "version %s", pfl_version());
}

/* PFLASH_ISA stands in for AUTO, and for nothing else. */
static void test_environment(void) {
  pfl_context_options one = {.struct_size = sizeof one, .threads = 1};
  for (int isa = PFL_ISA_PORTABLE; isa <= PFL_ISA_AVX512BF16; isa++) {
    CHECK_NEED(!setenv("PFLASH_ISA", pfl_isa_name((pfl_isa)isa), 1));
    if (isa <= (int)pfl_isa_best())
      check_context(&one, 1, (pfl_isa)isa);
    else
      CREATE((void)0, UNAVAILABLE, "PFLASH_ISA is");
    one.isa = PFL_ISA_PORTABLE;
    check_context(&one, 1, PFL_ISA_PORTABLE);
    one.isa = PFL_ISA_AUTO;
  }
  static const char *const automatic[] = {"", "auto"};
  for (int i = 0; i < 2; i++) {
    CHECK_NEED(!setenv("PFLASH_ISA", automatic[i], 1));
    check_context(&one, 1, pfl_isa_best());
  }
  static const char *const wrong[] = {"AVX2", "avx", "avx2 ", "2", "unknown"};
  for (int i = 0; i < COUNT(wrong); i++) {
    CHECK_NEED(!setenv("PFLASH_ISA", wrong[i], 1));
    CREATE((void)0, INVALID_ARGUMENT, wrong[i]);
    CREATE((void)0, INVALID_ARGUMENT, "must be auto, portable, avx2, avx512");
  }
  CHECK_NEED(!unsetenv("PFLASH_ISA"));
}

/* ---- Calls -------------------------------------------------------------- */

enum { B = 2, HQ = 4, HKV = 2, SQ = 70, SK = 130, T = 3, D = 24, DV = 9 };
enum {
  Q_COUNT = B * HQ * SQ * D,
  K_COUNT = B * HKV * SK * D,
  V_COUNT = B * HKV * SK * DV,
  O_COUNT = B * HQ * SQ * DV,
  ROWS = B * HQ * SQ
};

/* The three calls on the same tensors; decode takes the first rows of q. */
typedef struct calls {
  pfl_attention attention;
  pfl_decode decode;
  pfl_forward_args forward_args;
  pfl_backward_args backward_args;
  pfl_decode_args decode_args;
  float *q, *k, *v, *d_o, *sinks;
  float *o, *lse, *dq, *dk, *dv, *dsinks, *decode_o, *decode_lse;
  int32_t *lengths;
} calls;

static float *numbers(int64_t count) {
  float *array = guarded_allocate(count, sizeof *array);
  for (int64_t i = 0; i < count; i++) array[i] = (float)check_normal();
  return array;
}

static float *output(int64_t count) {
  return guarded_allocate(count, sizeof(float));
}

static calls make_calls(void) {
  calls c = {.q = numbers(Q_COUNT),
             .k = numbers(K_COUNT),
             .v = numbers(V_COUNT),
             .d_o = numbers(O_COUNT),
             .sinks = numbers(HQ),
             .o = output(O_COUNT),
             .lse = output(ROWS),
             .dq = output(Q_COUNT),
             .dk = output(K_COUNT),
             .dv = output(V_COUNT),
             .dsinks = output(HQ),
             .decode_o = output(B * HQ * T * DV),
             .decode_lse = output(B * HQ * T),
             .lengths = guarded_allocate(B, sizeof(int32_t))};
  c.lengths[0] = SK, c.lengths[1] = 77;
  c.attention = (pfl_attention){.struct_size = sizeof c.attention,
                                .batch = B,
                                .q_heads = HQ,
                                .kv_heads = HKV,
                                .q_length = SQ,
                                .kv_length = SK,
                                .head_dim = D,
                                .v_head_dim = DV,
                                .scoring = {.causal = 1}};
  c.decode = (pfl_decode){.struct_size = sizeof c.decode,
                          .batch = B,
                          .q_heads = HQ,
                          .kv_heads = HKV,
                          .q_length = T,
                          .head_dim = D,
                          .v_head_dim = DV,
                          .cache_length = SK};
  c.forward_args = (pfl_forward_args){.struct_size = sizeof c.forward_args,
                                      .q = c.q,
                                      .k = c.k,
                                      .v = c.v,
                                      .sinks = c.sinks,
                                      .out_o = c.o,
                                      .out_lse = c.lse};
  c.backward_args = (pfl_backward_args){.struct_size = sizeof c.backward_args,
                                        .q = c.q,
                                        .k = c.k,
                                        .v = c.v,
                                        .o = c.o,
                                        .lse = c.lse,
                                        .d_o = c.d_o,
                                        .sinks = c.sinks,
                                        .out_dq = c.dq,
                                        .out_dk = c.dk,
                                        .out_dv = c.dv,
                                        .out_dsinks = c.dsinks};
  c.decode_args = (pfl_decode_args){.struct_size = sizeof c.decode_args,
                                    .q = c.q,
                                    .k = c.k,
                                    .v = c.v,
                                    .lengths = c.lengths,
                                    .sinks = c.sinks,
                                    .out_o = c.decode_o,
                                    .out_lse = c.decode_lse};
  return c;
}

typedef enum operation { FORWARD, BACKWARD, DECODE, OPERATIONS } operation;

static pfl_status call(const calls *c, operation which, pfl_context *context,
                       pfl_error *error) {
  switch (which) {
    case FORWARD:
      return pfl_attention_forward(context, &c->attention, &c->forward_args,
                                   error);
    case BACKWARD:
      return pfl_attention_backward(context, &c->attention, &c->backward_args,
                                    error);
    default:
      return pfl_attention_decode(context, &c->decode, &c->decode_args, error);
  }
}

/* An operation's outputs, that of backward not being forward's. */
typedef struct written {
  const float *array;
  int64_t count;
} written;

enum { OUTPUTS = 4 };

static void outputs_of(const calls *c, operation which, written out[OUTPUTS]) {
  const written all[OPERATIONS][OUTPUTS] = {
      {{c->o, O_COUNT}, {c->lse, ROWS}},
      {{c->dq, Q_COUNT}, {c->dk, K_COUNT}, {c->dv, V_COUNT}, {c->dsinks, HQ}},
      {{c->decode_o, B * HQ * T * DV}, {c->decode_lse, B * HQ * T}}};
  memcpy(out, all[which], sizeof all[which]);
}

static void check_untouched(const calls *c, operation which, const char *why) {
  written out[OUTPUTS];
  outputs_of(c, which, out);
  for (int i = 0; i < OUTPUTS; i++)
    CHECK(guarded_is_untouched(out[i].array,
                               (size_t)out[i].count * sizeof(float)),
          "operation %d wrote its output %d: %s", which, i, why);
}

static void check_no_nan(const calls *c, operation which) {
  written out[OUTPUTS];
  outputs_of(c, which, out);
  for (int i = 0; i < OUTPUTS; i++)
    for (int64_t at = 0; at < out[i].count; at++)
      CHECK(!isnan(out[i].array[at]), "operation %d, output %d: [%d]", which, i,
            (int)at);
}

/* One call with `spoil` wrong. */
#define CALL(which, spoil, status, message)                                    \
  do {                                                                         \
    calls c = original;                                                        \
    pfl_context *context = usual;                                              \
    pfl_error error = {PFL_STATUS_OK, ""};                                     \
    spoil;                                                                     \
    case_expect(call(&c, which, context, &error), &error, PFL_STATUS_##status, \
                message);                                                      \
    CHECK(call(&c, which, context, NULL) == PFL_STATUS_##status, message);     \
    check_untouched(&c, which, message);                                       \
  } while (0)

static void test_misuse(void) {
  calls original = make_calls();
  pfl_context *usual = call_context(pfl_isa_best(), 2);
  for (operation which = FORWARD; which < OPERATIONS; which++) {
    CALL(which, context = NULL, INVALID_ARGUMENT, "context is NULL");
    CALL(which, c.attention.batch = c.decode.batch = -1, INVALID_ARGUMENT,
         "batch is -1");
    CALL(which, c.attention.q_heads = c.decode.q_heads = 3, INVALID_ARGUMENT,
         "q_heads must be a multiple of kv_heads");
    CALL(which, c.attention.head_dim = c.decode.head_dim = 513,
         INVALID_ARGUMENT, "head_dim is 513");
    CALL(which, c.attention.dtype = c.decode.dtype = PFL_DTYPE_I8,
         INVALID_ARGUMENT, "dtype is");
    CALL(which,
         c.attention.scoring.scale = c.decode.scoring.scale = (double)NAN,
         INVALID_ARGUMENT, "scale is");
    CALL(which, c.attention.struct_size = c.decode.struct_size = 8,
         INVALID_ARGUMENT, "struct_size is 8");
    CALL(which,
         c.forward_args.struct_size = c.backward_args.struct_size =
             c.decode_args.struct_size = 0,
         INVALID_ARGUMENT, "struct_size is 0");
    CALL(which, c.forward_args.k = c.backward_args.k = c.decode_args.k = NULL,
         INVALID_ARGUMENT, "k is NULL");
    CALL(which,
         c.forward_args.v = c.backward_args.v = c.decode_args.v =
             (char *)original.v + 1,
         INVALID_ARGUMENT, "address must be a multiple of 4");
  }
  CALL(FORWARD, c.forward_args.out_o = NULL, INVALID_ARGUMENT, "out_o is NULL");
  CALL(BACKWARD, c.backward_args.lse = NULL, INVALID_ARGUMENT, "lse is NULL");
  CALL(BACKWARD, c.backward_args.sinks = NULL, INVALID_ARGUMENT, "out_dsinks");
  CALL(DECODE, c.decode.q_length = 0, INVALID_ARGUMENT, "q_length is 0");
  CALL(DECODE, c.lengths[1] = SK + 1, OUT_OF_RANGE, "lengths[1] is 131");
  CALL(DECODE, c.lengths[1] = -1, OUT_OF_RANGE, "lengths[1] is -1");
  guarded_release();
}

static void test_null_arguments(void) {
  calls c = make_calls();
  pfl_context *context = call_context(pfl_isa_best(), 2);
  pfl_error error;
  case_expect(pfl_attention_forward(context, NULL, &c.forward_args, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "pfl_attention is NULL");
  case_expect(pfl_attention_forward(context, &c.attention, NULL, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "args is NULL");
  case_expect(pfl_attention_backward(context, NULL, &c.backward_args, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "pfl_attention is NULL");
  case_expect(pfl_attention_backward(context, &c.attention, NULL, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "args is NULL");
  case_expect(pfl_attention_decode(context, NULL, &c.decode_args, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "pfl_decode is NULL");
  case_expect(pfl_attention_decode(context, &c.decode, NULL, &error), &error,
              PFL_STATUS_INVALID_ARGUMENT, "args is NULL");
  guarded_release();
}

/* Problems without a number in them: nothing to point to, nothing to write. */
static void test_nothing_to_do(void) {
  pfl_context *context = call_context(pfl_isa_best(), 3);
  pfl_attention a = {.struct_size = sizeof a, .head_dim = 8};
  pfl_forward_args forward = {.struct_size = sizeof forward};
  pfl_backward_args backward = {.struct_size = sizeof backward};
  const int64_t none[][3] = {/* batch, heads, rows and keys */
                             {0, 0, 0},
                             {0, 2, 5},
                             {3, 0, 5},
                             {3, 2, 0}};
  for (int i = 0; i < COUNT(none); i++) {
    a.batch = none[i][0];
    a.q_heads = a.kv_heads = none[i][1];
    a.q_length = a.kv_length = none[i][2];
    CHECK(!pfl_attention_forward(context, &a, &forward, NULL), "forward %d", i);
    CHECK(!pfl_attention_backward(context, &a, &backward, NULL), "backward %d",
          i);
  }
  pfl_decode d = {
      .struct_size = sizeof d, .q_length = 1, .head_dim = 8, .cache_length = 5};
  pfl_decode_args decode = {.struct_size = sizeof decode};
  CHECK(!pfl_attention_decode(context, &d, &decode, NULL), "decode");
  d.batch = 4;
  CHECK(!pfl_attention_decode(context, &d, &decode, NULL), "decode, no heads");
}

/* ---- Memory ------------------------------------------------------------- */

/* Where the library asks for memory: only in threads that call it. */
typedef struct watched {
  failing_state state;
  pthread_t caller;
  bool elsewhere;
} watched;

static void *watched_allocate(void *user, size_t bytes) {
  watched *w = user;
  w->elsewhere |= !pthread_equal(w->caller, pthread_self());
  return failing_allocate(&w->state, bytes);
}

static void watched_release(void *user, void *memory) {
  watched *w = user;
  w->elsewhere |= !pthread_equal(w->caller, pthread_self());
  failing_release(&w->state, memory);
}

static pfl_context_options watched_options(watched *w) {
  w->caller = pthread_self();
  return (pfl_context_options){
      .struct_size = sizeof(pfl_context_options),
      .threads = 3,
      .allocator = {watched_allocate, watched_release, w}};
}

static void test_create_without_memory(void) {
  watched w = {.state = {0}};
  pfl_context_options options = watched_options(&w);
  while (failing_next(&w.state)) {
    pfl_context *context = NULL;
    pfl_status status = pfl_context_create(&options, &context, NULL);
    CHECK((status == PFL_STATUS_OK) == (context != NULL), "%s",
          pfl_status_name(status));
    pfl_context_destroy(context);
    w.state.done = failing_check(&w.state, status);
  }
  CHECK(w.state.fail_at > 2, "only %ld requests", w.state.fail_at - 1);
  CHECK(!w.elsewhere, "memory asked for by a worker");
}

/* Fails the operation's Nth request, N = 1 .. until there is none; then the
 * same context must do it, and do it again without any request. */
static void check_call_without_memory(operation which) {
  watched w = {.state = {0}};
  pfl_context_options options = watched_options(&w);
  while (failing_next(&w.state)) {
    calls c = make_calls();
    long fail_at = w.state.fail_at;
    w.state.fail_at = 0;
    pfl_context *context = NULL;
    CHECK_NEED(!pfl_context_create(&options, &context, NULL));
    if (which == BACKWARD)
      CHECK_NEED(!call(&c, FORWARD, call_context(pfl_isa_best(), 1), NULL));
    long live = w.state.live;
    w.state.requests = 0;
    w.state.fail_at = fail_at;
    pfl_error error = {PFL_STATUS_OK, ""};
    pfl_status status = call(&c, which, context, &error);
    w.state.done = status == PFL_STATUS_OK;
    if (status != PFL_STATUS_OK) {
      case_expect(status, &error, PFL_STATUS_RESOURCE_EXHAUSTED, "no memory");
      check_untouched(&c, which, "no memory");
      CHECK(w.state.live == live, "%ld blocks more", w.state.live - live);
      w.state.fail_at = 0;
      CHECK(call(&c, which, context, NULL) == PFL_STATUS_OK, "afterwards");
    }
    check_no_nan(&c, which);
    w.state.requests = 0;
    CHECK(call(&c, which, context, NULL) == PFL_STATUS_OK, "again");
    CHECK(w.state.requests == 0, "%ld requests for a workspace that is there",
          w.state.requests);
    w.state.fail_at = fail_at;
    pfl_context_destroy(context);
    CHECK(w.state.live == 0, "%ld blocks leak", w.state.live);
    guarded_release();
  }
  CHECK(w.state.fail_at > 1, "operation %d asked for nothing", which);
  CHECK(!w.elsewhere, "memory asked for by a worker");
}

static void test_calls_without_memory(void) {
  for (operation which = FORWARD; which < OPERATIONS; which++)
    check_call_without_memory(which);
}

/* A workspace that grows is a new one; the old one is given back. */
static void test_growing_workspace(void) {
  watched w = {.state = {0}};
  pfl_context_options options = watched_options(&w);
  calls c = make_calls();
  pfl_context *context = NULL;
  CHECK_NEED(!pfl_context_create(&options, &context, NULL));
  long live = w.state.live;
  for (int dim = 1; dim <= D; dim += dim) {
    c.attention.head_dim = dim;
    CHECK(!call(&c, FORWARD, context, NULL), "dim %d", dim);
    CHECK(w.state.live == live + 1, "%ld blocks", w.state.live - live);
  }
  pfl_context_destroy(context);
  CHECK(w.state.live == 0, "%ld blocks leak", w.state.live);
  guarded_release();
}

/* ---- Threads ------------------------------------------------------------ */

/* A program's thread: calls of its own, on a context that others may use too.
 * What it finds is looked at when it is done. */
typedef struct user {
  pthread_t thread;
  pfl_context *context;
  calls c;
  int failures;
} user;

static void *use(void *argument) {
  user *u = argument;
  for (int round = 0; round < 4; round++)
    for (operation which = FORWARD; which < OPERATIONS; which++)
      u->failures += call(&u->c, which, u->context, NULL) != PFL_STATUS_OK;
  return NULL;
}

/* Every user's results are those of a single thread, bit by bit. */
static void check_alone(const user *u, pfl_isa isa) {
  calls alone = make_calls();
  memcpy(alone.q, u->c.q, Q_COUNT * sizeof(float));
  memcpy(alone.k, u->c.k, K_COUNT * sizeof(float));
  memcpy(alone.v, u->c.v, V_COUNT * sizeof(float));
  memcpy(alone.d_o, u->c.d_o, O_COUNT * sizeof(float));
  memcpy(alone.sinks, u->c.sinks, HQ * sizeof(float));
  CHECK(u->failures == 0, "%d calls failed", u->failures);
  for (operation which = FORWARD; which < OPERATIONS; which++) {
    written got[OUTPUTS], want[OUTPUTS];
    CHECK_NEED(!call(&alone, which, call_context(isa, 1), NULL));
    outputs_of(&u->c, which, got);
    outputs_of(&alone, which, want);
    for (int i = 0; i < OUTPUTS; i++)
      CHECK(!got[i].count || !memcmp(got[i].array, want[i].array,
                                     (size_t)got[i].count * sizeof(float)),
            "operation %d, output %d", which, i);
  }
}

static void check_users(int count, pfl_context *const *contexts) {
  enum { USERS_MAX = 4 };
  user users[USERS_MAX];
  for (int i = 0; i < count; i++)
    users[i] = (user){.context = contexts[i], .c = make_calls()};
  for (int i = 0; i < count; i++)
    CHECK_NEED(!pthread_create(&users[i].thread, NULL, use, &users[i]));
  for (int i = 0; i < count; i++)
    CHECK_NEED(!pthread_join(users[i].thread, NULL));
  for (int i = 0; i < count; i++)
    check_alone(&users[i], pfl_context_isa(contexts[i]));
  guarded_release();
}

static void test_contexts_side_by_side(void) {
  int rounds = check_cases(5);
  for (int round = 0; round < rounds; round++) {
    pfl_context *contexts[] = {call_context(pfl_isa_best(), 2),
                               call_context(PFL_ISA_PORTABLE, 3)};
    check_users(2, contexts);
  }
}

static void test_one_context_for_all(void) {
  int rounds = check_cases(5);
  for (int round = 0; round < rounds; round++) {
    pfl_context *context = call_context(pfl_isa_best(), 1 + round % 3);
    pfl_context *contexts[] = {context, context, context, context};
    check_users(4, contexts);
  }
}

int main(void) {
  /* what the environment asks for is tested here, and not to decide the rest */
  unsetenv("PFLASH_ISA");
  int failed =
      CHECK_RUN(test_options, test_newer_options, test_defaults, test_names,
                test_environment, test_misuse, test_null_arguments,
                test_nothing_to_do, test_create_without_memory,
                test_calls_without_memory, test_growing_workspace,
                test_contexts_side_by_side, test_one_context_for_all);
  call_contexts_destroy();
  return failed;
}

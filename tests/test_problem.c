/* The problem: what is rejected and how it is said, who sees whom, what it
 * costs. */
#include "attention_case.h"

/* A problem that is right in everything, for a test to spoil. */
static pfl_attention valid_attention(void) {
  return (pfl_attention){.struct_size = sizeof(pfl_attention),
                         .batch = 2,
                         .q_heads = 8,
                         .kv_heads = 4,
                         .q_length = 5,
                         .kv_length = 7,
                         .head_dim = 16};
}

static pfl_decode valid_decode(bool paged) {
  pfl_decode decode = {.struct_size = sizeof(pfl_decode),
                       .batch = 2,
                       .q_heads = 8,
                       .kv_heads = 4,
                       .q_length = 1,
                       .head_dim = 16,
                       .cache_length = 12};
  if (paged) {
    decode.cache_length = 0;
    decode.page_count = 6;
    decode.page_length = 4;
    decode.pages_per_sequence = 3;
  }
  return decode;
}

/* Spoils `a` and expects the message. */
#define REJECT(spoil, message)                                        \
  do {                                                                \
    pfl_attention a = valid_attention();                              \
    attention_problem problem = {.B = 77};                            \
    pfl_error error = {PFL_STATUS_OK, ""};                            \
    spoil;                                                            \
    case_expect(attention_problem_init(&a, &problem, &error), &error, \
                PFL_STATUS_INVALID_ARGUMENT, message);                \
    CHECK(problem.B == 77, "the output was written");                 \
  } while (0)

static void test_attention_rejected(void) {
  REJECT(a.struct_size = 0, "pfl_attention: struct_size is 0: must be sizeof");
  REJECT(a.struct_size--, "struct_size is");
  REJECT(a.struct_size = SIZE_MAX, "struct_size is 18446744073709551615");
  REJECT(a.batch = -1, "batch is -1: must be at least 0");
  REJECT(a.q_heads = -8, "q_heads is -8: must be at least 0");
  REJECT(a.kv_heads = INT64_MIN, "kv_heads is -9223372036854775808: must be");
  REJECT(a.q_length = -1, "q_length is -1: must be at least 0");
  REJECT(a.kv_length = -3, "kv_length is -3: must be at least 0");
  REJECT(a.q_heads = 6, "q_heads is 6 and kv_heads 4: q_heads must be a mult");
  REJECT(a.q_heads = 2, "q_heads is 2 and kv_heads 4: q_heads must be a mult");
  REJECT(a.q_heads = 0, "q_heads is 0 and kv_heads 4: both must be 0 or neit");
  REJECT(a.kv_heads = 0, "q_heads is 8 and kv_heads 0: both must be 0 or nei");
  REJECT(a.head_dim = 0, "head_dim is 0: must be 1 to 512");
  REJECT(a.head_dim = 513, "head_dim is 513: must be 1 to 512");
  REJECT(a.head_dim = -1, "head_dim is -1: must be 1 to 512");
  REJECT(a.v_head_dim = 513, "v_head_dim is 513: must be 1 to 512, or 0");
  REJECT(a.v_head_dim = -1, "v_head_dim is -1: must be 1 to 512, or 0");
  REJECT(a.dtype = PFL_DTYPE_I8, "dtype is 4 (int8): must be f32, bf16 or f16");
  REJECT(a.dtype = PFL_DTYPE_I32, "(int32): must be f32, bf16 or f16");
  REJECT(a.dtype = (pfl_dtype)99, "dtype is 99 (unknown): must be f32, bf16");
  REJECT(a.scoring.scale = NAN, "nan: must be finite in f32");
  REJECT(a.scoring.scale = -INFINITY, "scale is -inf: must be finite in f32");
  REJECT(a.scoring.scale = 1e39, "scale is 1e+39: must be finite in f32");
  REJECT(a.scoring.softcap = NAN, "nan: must be positive and finite in f32");
  REJECT(a.scoring.softcap = -1, "softcap is -1: must be positive and finite");
  REJECT(a.scoring.softcap = INFINITY, "softcap is inf: must be positive and");
  REJECT(a.scoring.softcap = 1e-39, "softcap is 1e-39: must be positive and");
  REJECT(a.scoring.causal = 2, "causal is 2: must be 0 or 1");
  REJECT(a.scoring.causal = -1, "causal is -1: must be 0 or 1");
  REJECT(a.scoring.windowed = 3, "windowed is 3: must be 0 or 1");
  REJECT(a.scoring.window_left = 4, "window_left is 4 and windowed 0: set");
  REJECT(a.scoring.window_right = -1, "window_right is -1 and windowed 0: set");
  REJECT((a.scoring.windowed = 1, a.scoring.window_left = -2),
         "window_left is -2: must be at least 0, or -1");
  REJECT((a.scoring.windowed = 1, a.scoring.window_right = INT64_MIN),
         "window_right is -9223372036854775808: must be at least 0, or -1");
  REJECT(a.batch = INT64_MAX, "q is too large: 9223372036854775807 x 8 x 5");
  REJECT(a.kv_length = INT64_MAX / 100, "k is too large: 2 x 4 x 922337203685");
  REJECT(
      (a.kv_length = INT64_MAX / 4 / 8 / 8, a.head_dim = 1, a.v_head_dim = 512),
      "v is too large");
  REJECT((a.q_length = INT64_MAX / 8 / 16, a.head_dim = 1, a.v_head_dim = 512),
         "o is too large");
  REJECT((a.q_length = INT64_MAX / 16 / 2, a.head_dim = 1,
          a.dtype = PFL_DTYPE_F16),
         "lse is too large");
  REJECT((a.kv_length = INT64_MAX / 2 / 2, a.head_dim = 1, a.q_heads = 1,
          a.kv_heads = 1, a.dtype = PFL_DTYPE_F16),
         "kv_segment_ids is too large");
}

static void test_null_rejected(void) {
  attention_problem problem;
  attention_decode_problem decode_problem;
  pfl_error error;
  case_expect(attention_problem_init(NULL, &problem, &error), &error,
              PFL_STATUS_INVALID_ARGUMENT, "pfl_attention is NULL");
  case_expect(attention_decode_problem_init(NULL, &decode_problem, &error),
              &error, PFL_STATUS_INVALID_ARGUMENT, "pfl_decode is NULL");
  CHECK(attention_problem_init(NULL, &problem, NULL) ==
            PFL_STATUS_INVALID_ARGUMENT,
        "no room for the message");
}

/* A struct of a later header counts while what is unknown in it is 0. */
static void test_struct_size(void) {
  struct {
    pfl_attention known;
    int64_t later;
  } newer = {valid_attention(), 0};
  attention_problem problem;
  pfl_error error;
  newer.known.struct_size = sizeof newer;
  case_expect(attention_problem_init(&newer.known, &problem, &error), &error,
              PFL_STATUS_OK, "a larger struct");
  newer.later = 1;
  case_expect(attention_problem_init(&newer.known, &problem, &error), &error,
              PFL_STATUS_INVALID_ARGUMENT,
              "is set: this library knows the first");
}

static void test_attention_defaults(void) {
  pfl_attention a = valid_attention();
  attention_problem p;
  pfl_error error;
  case_expect(attention_problem_init(&a, &p, &error), &error, PFL_STATUS_OK,
              "");
  CHECK(p.B == 2 && p.Hq == 8 && p.Hkv == 4 && p.Sq == 5 && p.Sk == 7 &&
            p.D == 16 && p.Dv == 16,
        "sizes");
  CHECK(p.group == 2 && p.offset == 2, "group %d, offset %d", (int)p.group,
        (int)p.offset);
  CHECK(p.dtype == PFL_DTYPE_F32 && p.scale == 0.25 && p.softcap == 0,
        "dtype %d, scale %g, softcap %g", (int)p.dtype, p.scale, p.softcap);
  CHECK(p.window.left == ATTENTION_OPEN && p.window.right == ATTENTION_OPEN,
        "an open window");
  a.v_head_dim = 3;
  a.dtype = PFL_DTYPE_BF16;
  a.scoring = (pfl_scoring){.scale = -2.5, .softcap = 30, .causal = 1};
  case_expect(attention_problem_init(&a, &p, &error), &error, PFL_STATUS_OK,
              "");
  CHECK(p.Dv == 3 && p.dtype == PFL_DTYPE_BF16, "Dv %d", (int)p.Dv);
  CHECK(p.scale == -2.5 && p.softcap == 30, "scale %g", p.scale);
  CHECK(p.window.left == ATTENTION_OPEN && p.window.right == 0, "causal");
  a.q_heads = a.kv_heads = a.batch = a.q_length = a.kv_length = 0;
  case_expect(attention_problem_init(&a, &p, &error), &error, PFL_STATUS_OK,
              "");
  CHECK(p.group == 1 && p.offset == 0, "group %d", (int)p.group);
}

static pfl_scoring random_scoring(void) {
  pfl_scoring scoring = {.causal = (int32_t)check_between(0, 1),
                         .windowed = (int32_t)check_between(0, 1)};
  if (scoring.windowed) {
    scoring.window_left = check_between(-1, 6);
    scoring.window_right = check_between(-1, 6);
  }
  return scoring;
}

static void check_geometry(const pfl_scoring *scoring,
                           const attention_problem *p) {
  double pairs = 0;
  for (int64_t i = 0; i < p->Sq; i++)
    for (int64_t j = 0; j < p->Sk; j++) {
      int64_t position = i + p->Sk - p->Sq;
      attention_range keys = attention_visible_keys(p->window, position, p->Sk);
      attention_range positions = attention_seeing_positions(
          p->window, j, p->offset, p->offset + p->Sq);
      bool visible = case_sees(scoring, position, j);
      pairs += visible;
      CHECK((keys.begin <= j && j < keys.end) == visible,
            "Sq %d, Sk %d: query %d and key %d of %d..%d", (int)p->Sq,
            (int)p->Sk, (int)i, (int)j, (int)keys.begin, (int)keys.end);
      CHECK(
          (positions.begin <= position && position < positions.end) == visible,
          "key %d and position %d of %d..%d", (int)j, (int)position,
          (int)positions.begin, (int)positions.end);
    }
  CHECK(attention_visible_pairs(p) == pairs, "%g pairs, not %g",
        attention_visible_pairs(p), pairs);
}

static void test_geometry(void) {
  for (int round = 0; round < 500; round++) {
    pfl_attention a = valid_attention();
    attention_problem p;
    a.scoring = random_scoring();
    a.q_length = check_between(0, 9);
    a.kv_length = check_between(0, 9);
    CHECK_NEED(!attention_problem_init(&a, &p, NULL));
    check_geometry(&a.scoring, &p);
  }
}

static void test_wide_window_is_open(void) {
  pfl_attention a = valid_attention();
  attention_problem p;
  a.scoring.windowed = 1;
  a.scoring.window_left = a.scoring.window_right = INT64_MAX;
  CHECK_NEED(!attention_problem_init(&a, &p, NULL));
  CHECK(p.window.left == ATTENTION_OPEN && p.window.right == ATTENTION_OPEN,
        "clamped");
  CHECK(attention_visible_pairs(&p) == 35, "%g pairs",
        attention_visible_pairs(&p));
}

/* Whether max(1, size) multiplied stays below 2^63. */
static bool fits(int64_t element_bytes, const int64_t *sizes, int count) {
  __int128 product = element_bytes, limit = (__int128)1 << 64;
  for (int i = 0; i < count && product < limit; i++)
    product *= sizes[i] > 0 ? sizes[i] : 1;
  return product <= INT64_MAX;
}

static int64_t hostile_size(void) {
  static const int64_t sizes[] = {
      0,
      1,
      2,
      3,
      1 << 16,
      INT32_MAX,
      1ll << 31,
      1ll << 32,
      3037000500ll,
      1ll << 61,
      1ll << 62,
      INT64_MAX,
      -1,
      INT64_MAX - 1,
      INT64_MAX / 4,
      INT64_MIN,
      1ll << 40,
      1000003ll,
      INT64_MAX / 8,
      INT64_MAX / 512,
  };
  return sizes[check_between(0, sizeof sizes / sizeof *sizes - 1)];
}

/* Accepted exactly if all fits, and then no arithmetic overflows (the
 * sanitizers watch). */
static void test_hostile_sizes(void) {
  int accepted = 0;
  for (int round = 0; round < 200000; round++) {
    int64_t B = hostile_size(), H = hostile_size(), Sq = hostile_size(),
            Sk = hostile_size(), D = check_between(1, 512), q[] = {B, H, Sq, D},
            k[] = {B, H, Sk, D}, lse[] = {B, H, Sq}, ids[] = {B, Sk};
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = B,
                       .q_heads = H,
                       .kv_heads = H,
                       .q_length = Sq,
                       .kv_length = Sk,
                       .head_dim = D,
                       .dtype = PFL_DTYPE_F16,
                       .scoring = random_scoring()};
    attention_problem p;
    bool right = B >= 0 && H >= 0 && Sq >= 0 && Sk >= 0 && fits(2, q, 4) &&
                 fits(2, k, 4) && fits(4, lse, 3) && fits(4, ids, 2);
    bool accept = !attention_problem_init(&a, &p, NULL);
    CHECK(accept == right, "%lld %lld %lld %lld %lld: %d", (long long)B,
          (long long)H, (long long)Sq, (long long)Sk, (long long)D, accept);
    if (!accept) continue;
    accepted++;
    int64_t first = p.offset, last = Sq - 1 + p.offset;
    attention_range keys = attention_visible_keys(p.window, first, Sk);
    attention_visible_keys(p.window, last, Sk);
    attention_seeing_positions(p.window, 0, first, last + 1);
    attention_seeing_positions(p.window, Sk, first, last + 1);
    if (p.window.left == ATTENTION_OPEN)
      CHECK(keys.begin == 0, "open, yet from %lld", (long long)keys.begin);
    CHECK(isfinite(attention_backward_flops(&p)), "FLOPs");
  }
  /* some 6,600 are */
  CHECK(accepted > 100, "only %d accepted", accepted);
}

static void test_hostile_decode_sizes(void) {
  int accepted = 0;
  for (int round = 0; round < 200000; round++) {
    pfl_decode d = {.struct_size = sizeof d,
                    .batch = hostile_size(),
                    .q_heads = hostile_size(),
                    .kv_heads = 1,
                    .q_length = hostile_size(),
                    .head_dim = check_between(1, 512),
                    .page_count = hostile_size(),
                    .page_length = hostile_size(),
                    .pages_per_sequence = hostile_size()};
    attention_decode_problem p;
    if (attention_decode_problem_init(&d, &p, NULL)) continue;
    accepted++;
    CHECK(p.Smax >= 0 && p.Smax <= ATTENTION_OPEN, "Smax is %lld",
          (long long)p.Smax);
    int64_t first = p.Smax - p.T;
    attention_visible_keys(p.window, first, p.Smax);
    attention_visible_keys(p.window, first + p.T - 1, p.Smax);
    CHECK(isfinite(attention_decode_bytes(&p, NULL)), "bytes");
  }
  /* some 1,080 are */
  CHECK(accepted > 100, "only %d accepted", accepted);
}

#define REJECT_DECODE(paged, spoil, message)                                 \
  do {                                                                       \
    pfl_decode d = valid_decode(paged);                                      \
    attention_decode_problem problem = {.B = 77};                            \
    pfl_error error = {PFL_STATUS_OK, ""};                                   \
    spoil;                                                                   \
    case_expect(attention_decode_problem_init(&d, &problem, &error), &error, \
                PFL_STATUS_INVALID_ARGUMENT, message);                       \
    CHECK(problem.B == 77, "the output was written");                        \
  } while (0)

static void test_decode_rejected(void) {
  REJECT_DECODE(false, d.struct_size = 8, "pfl_decode: struct_size is 8: must");
  REJECT_DECODE(false, d.batch = -1, "batch is -1: must be at least 0");
  REJECT_DECODE(false, d.q_heads = 7, "q_heads is 7 and kv_heads 4: q_heads");
  REJECT_DECODE(false, d.q_length = 0, "q_length is 0: must be at least 1");
  REJECT_DECODE(false, d.q_length = -1, "q_length is -1: must be at least 1");
  REJECT_DECODE(false, d.head_dim = 1000, "head_dim is 1000: must be 1 to 512");
  REJECT_DECODE(false, d.dtype = PFL_DTYPE_I8, "dtype is 4 (int8): must be");
  REJECT_DECODE(false, d.cache_dtype = PFL_DTYPE_BF16,
                "cache_dtype is 2 (bf16): must be that of q, f32, or int8");
  REJECT_DECODE(false, d.scoring.scale = NAN, "scale is");
  REJECT_DECODE(false, d.scoring.window_left = 1, "window_left is 1 and windo");
  REJECT_DECODE(false, d.cache_length = 0,
                "cache_length is 0 and page_length 0: one must be positive");
  REJECT_DECODE(false, d.cache_length = -2, "cache_length is -2: must be at");
  REJECT_DECODE(false, d.page_length = 4,
                "cache_length is 12 and page_length 4: one must be positive");
  REJECT_DECODE(false, d.page_count = 4,
                "page_count is 4 and pages_per_sequence 0: both must be 0");
  REJECT_DECODE(false,
                (d.cache_length = INT64_MAX / 8 / 2, d.head_dim = 1,
                 d.cache_dtype = PFL_DTYPE_I8),
                "k_scale is too large");
  REJECT_DECODE(true, d.page_length = 0,
                "cache_length is 0 and page_length 0: one must be positive");
  REJECT_DECODE(true, d.page_length = -1, "page_length is -1: must be at lea");
  REJECT_DECODE(true, d.page_count = -1, "page_count is -1: must be at least");
  REJECT_DECODE(true, d.pages_per_sequence = -1, "pages_per_sequence is -1:");
  REJECT_DECODE(true, d.page_count = INT64_MAX, "k is too large");
  REJECT_DECODE(true, d.pages_per_sequence = INT64_MAX, "block_table is too");
  REJECT_DECODE(true, d.pages_per_sequence = INT64_MAX / 8,
                "a sequence's cache is too large");
}

static void test_decode_defaults(void) {
  pfl_decode d = valid_decode(false);
  attention_decode_problem p;
  d.dtype = PFL_DTYPE_F16;
  CHECK_NEED(!attention_decode_problem_init(&d, &p, NULL));
  CHECK(p.Smax == 12 && !p.paged && p.T == 1 && p.group == 2, "contiguous");
  CHECK(p.dtype == PFL_DTYPE_F16 && p.cache_dtype == PFL_DTYPE_F16, "dtypes");
  CHECK(p.window.left == ATTENTION_OPEN && p.window.right == 0, "causal");
  d = valid_decode(true);
  d.cache_dtype = PFL_DTYPE_I8;
  d.scoring = (pfl_scoring){.windowed = 1, .window_left = 3, .window_right = 9};
  CHECK_NEED(!attention_decode_problem_init(&d, &p, NULL));
  CHECK(p.Smax == 12 && p.paged && p.cache_dtype == PFL_DTYPE_I8, "paged");
  CHECK(p.window.left == 3 && p.window.right == 0, "window");
}

static void test_cost(void) {
  pfl_attention a = valid_attention();
  attention_problem p;
  a.batch = 1;
  a.kv_heads = 2;
  a.q_length = a.kv_length = 2048;
  a.head_dim = 128;
  CHECK_NEED(!attention_problem_init(&a, &p, NULL));
  CHECK(attention_forward_flops(&p) == 17179869184.0, "%.0f",
        attention_forward_flops(&p));
  CHECK(attention_backward_flops(&p) == 42949672960.0, "%.0f",
        attention_backward_flops(&p));
  a.scoring.causal = 1;
  a.head_dim = 192;
  a.v_head_dim = 64;
  CHECK_NEED(!attention_problem_init(&a, &p, NULL));
  CHECK(attention_forward_flops(&p) == 17179869184.0 / 2, "%.0f",
        attention_forward_flops(&p));
}

static void test_decode_bytes(void) {
  pfl_decode d = valid_decode(false);
  attention_decode_problem p;
  d.v_head_dim = 8;
  CHECK_NEED(!attention_decode_problem_init(&d, &p, NULL));
  /* 2 sequences of 12 tokens, 4 heads, 16 + 8 floats */
  CHECK(attention_decode_bytes(&p, NULL) == 2 * 12 * 4 * 24 * 4, "%g",
        attention_decode_bytes(&p, NULL));
  d.cache_dtype = PFL_DTYPE_I8;
  CHECK_NEED(!attention_decode_problem_init(&d, &p, NULL));
  double bytes = attention_decode_bytes(&p, (int32_t[]){3, 0});
  CHECK(bytes == 3 * 4 * (24 + 8), "%g", bytes);
}

int main(void) {
  return CHECK_RUN(test_attention_rejected, test_null_rejected,
                   test_struct_size, test_attention_defaults, test_geometry,
                   test_wide_window_is_open, test_hostile_sizes,
                   test_hostile_decode_sizes, test_decode_rejected,
                   test_decode_defaults, test_cost, test_decode_bytes);
}

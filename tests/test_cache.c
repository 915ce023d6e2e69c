/* The cache of sequences as an inference engine uses it, well and badly, beside
 * a plain copy that shares nothing: what is read from it, and what decode
 * gives, are the copy's bits; what is refused has changed nothing. */
#include <float.h>
#include <pthread.h>

#include "cache_small.h"
#include "directory.h"

/* ---- Options --------------------------------------------------------------
 */

#define CREATE(spoil, message)                                              \
  do {                                                                      \
    pfl_cache_options options = small_options;                              \
    pfl_cache *cache = NULL;                                                \
    options.struct_size = sizeof options;                                   \
    spoil;                                                                  \
    case_expect(                                                            \
        pfl_cache_create(small_context(1), &options, &cache, &cache_error), \
        &cache_error, PFL_STATUS_INVALID_ARGUMENT, message);                \
    CHECK(!cache, "a cache in spite of: %s", message);                      \
  } while (0)

static void test_options(void) {
  CREATE(options.struct_size = 0, "struct_size is 0");
  CREATE(options.kv_heads = 0, "kv_heads is 0");
  CREATE(options.kv_heads = -1, "kv_heads is -1");
  CREATE(options.head_dim = 0, "head_dim is 0");
  CREATE(options.head_dim = 513, "head_dim is 513");
  CREATE(options.v_head_dim = -1, "v_head_dim is -1");
  CREATE(options.dtype = PFL_DTYPE_I8, "dtype is");
  CREATE(options.cache_dtype = PFL_DTYPE_BF16, "cache_dtype is");
  CREATE(options.page_length = -1, "page_length is -1");
  CREATE(options.page_count = 0, "page_count is 0");
  CREATE(options.page_count = (int64_t)1 << 31, "page_count is");
  CREATE(options.sequence_count = 0, "sequence_count is 0");
  CREATE(options.sequence_length = -1, "sequence_length is -1");
  CREATE(options.sequence_length = INT64_MAX, "sequence_length is");
  CREATE(options.page_length = options.page_count = INT32_MAX;
         options.kv_heads = 1 << 20, "must fit 63 bits");
  pfl_cache_options options = small_options;
  pfl_cache *cache = NULL;
  options.struct_size = sizeof options;
  case_expect(pfl_cache_create(NULL, &options, &cache, &cache_error),
              &cache_error, PFL_STATUS_INVALID_ARGUMENT, "context is NULL");
  case_expect(pfl_cache_create(small_context(1), NULL, &cache, &cache_error),
              &cache_error, PFL_STATUS_INVALID_ARGUMENT, "is NULL");
  case_expect(pfl_cache_create(small_context(1), &options, NULL, &cache_error),
              &cache_error, PFL_STATUS_INVALID_ARGUMENT, "out_cache is NULL");
  pfl_cache_destroy(NULL);
}

/* A machine of a megabyte: sanitizers end a program that asks for too much. */
static void *modest_allocate(void *user, size_t bytes) {
  (void)user;
  return bytes > 1 << 20 ? NULL : malloc(bytes);
}

static void modest_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

/* Absurd sizes are refused, and at once. */
static void test_too_large(void) {
  pfl_context_options own = {
      .struct_size = sizeof own,
      .threads = 1,
      .allocator = {modest_allocate, modest_release, NULL}};
  pfl_context *made = NULL;
  CHECK_NEED(!pfl_context_create(&own, &made, &cache_error));
  pfl_cache_options options = small_options;
  pfl_cache *cache = NULL;
  options.struct_size = sizeof options;
  options.page_count = INT32_MAX;
  options.page_length = 1 << 20;
  options.kv_heads = 64;
  case_expect(pfl_cache_create(made, &options, &cache, &cache_error),
              &cache_error, PFL_STATUS_RESOURCE_EXHAUSTED, "no memory");
  options = small_options;
  options.struct_size = sizeof options;
  options.sequence_count = options.sequence_length = INT32_MAX;
  case_expect(pfl_cache_create(made, &options, &cache, &cache_error),
              &cache_error, PFL_STATUS_RESOURCE_EXHAUSTED, "no memory");
  pfl_context_destroy(made);
}

static void test_defaults(void) {
  pfl_cache_options options = {
      .kv_heads = 1, .head_dim = 8, .page_count = 3, .sequence_count = 2};
  cache_case c = cache_case_make(small_context(1), options);
  pfl_cache_usage usage = cache_usage(&c);
  CHECK(usage.page_length == 64 && usage.sequence_length == 3 * 64 &&
            usage.page_room == 3 && usage.sequence_room == 2 &&
            usage.bytes == 3 * 64 * 2 * 8 * 4,
        "%d, %d, %d bytes", (int)usage.page_length, (int)usage.sequence_length,
        (int)usage.bytes);
  cache_case_free(&c);
}

/* What is asked for, and not given back. */
static void *counting_allocate(void *user, size_t bytes) {
  *(size_t *)user += bytes;
  return malloc(bytes);
}

/* docs/memory.md: pages and tables; each array has room to align it. */
static void test_memory(void) {
  size_t bytes = 0;
  pfl_context_options own = {
      .struct_size = sizeof own,
      .threads = 1,
      .allocator = {counting_allocate, modest_release, &bytes}};
  pfl_context *made = NULL;
  CHECK_NEED(!pfl_context_create(&own, &made, &cache_error));
  pfl_cache_options options = {.kv_heads = 3,
                               .head_dim = 16,
                               .v_head_dim = 8,
                               .dtype = PFL_DTYPE_BF16,
                               .cache_dtype = PFL_DTYPE_I8,
                               .page_length = 32,
                               .page_count = 2000,
                               .sequence_count = 100,
                               .sequence_length = 1000};
  bytes = 0;
  cache_case c = cache_case_make(made, options);
  size_t pages = 2000 * 32 * 3 * (16 + 8 + 8);
  size_t tables = 8 * 2000 + 100 * (29 + 8 * 32);
  CHECK((size_t)cache_usage(&c).bytes == pages, "%d bytes of pages, not %d",
        (int)cache_usage(&c).bytes, (int)pages);
  CHECK(bytes >= pages + tables && bytes <= pages + tables + 15 * 72 + 1024,
        "%d bytes, not %d", (int)bytes, (int)(pages + tables));
  cache_case_free(&c);
  pfl_context_destroy(made);
}

/* ---- Sharing --------------------------------------------------------------
 */

static void expect_pages(const cache_case *c, int64_t pages) {
  CHECK(cache_usage(c).page_count == pages, "%d pages in use, not %d",
        (int)cache_usage(c).page_count, (int)pages);
  plain_compare(c);
}

/* Pages of 4: a prefix of 10 tokens is two and a half. */
static void test_sharing(void) {
  cache_case c = cache_case_make(small_context(2), small_options);
  c.plain[0].name = small_create(c.cache);
  small_append(&c, 0, 10, PFL_STATUS_OK);
  expect_pages(&c, 3);
  small_fork(&c, 0, 1, 10);
  small_fork(&c, 0, 2, 9);
  small_fork(&c, 0, 3, 8);
  expect_pages(&c, 3);
  small_append(&c, 3, 1, PFL_STATUS_OK); /* a page of its own */
  expect_pages(&c, 4);
  small_append(&c, 1, 1, PFL_STATUS_OK); /* a copy of the half one */
  expect_pages(&c, 5);
  small_append(&c, 0, 1, PFL_STATUS_OK); /* and another */
  expect_pages(&c, 6);
  small_append(&c, 2, 1, PFL_STATUS_OK); /* whoever is last goes on in it */
  expect_pages(&c, 6);
  CACHE_OK(pfl_sequence_destroy(c.cache, c.plain[0].name, &cache_error));
  c.plain[0].name = 0;
  expect_pages(&c, 5); /* two are the others' still */
  step_clear(&c);
  expect_pages(&c, 0);
  cache_case_free(&c);
}

/* Two sequences of one call in one page: who comes first copies it, with rows
 * that the other is about to write. */
static void test_sharers_in_one_call(void) {
  for (int round = 0; round < 50; round++) {
    cache_case c = cache_case_make(small_context(1 + round % 4), small_options);
    c.plain[0].name = small_create(c.cache);
    small_append(&c, 0, 7, PFL_STATUS_OK);
    small_fork(&c, 0, 1, 5);
    small_fork(&c, 0, 2, 6);
    int which[] = {0, 1, 2};
    pfl_sequence names[3];
    step_names(&c, which, 3, names);
    pfl_cache_append_args args = {
        .struct_size = sizeof args,
        .batch = 3,
        .length = 2,
        .sequences = names,
        .k = plain_numbers(3 * 2 * 2 * c.D, c.dtype),
        .v = plain_numbers(3 * 2 * 2 * c.Dv, c.dtype)};
    CACHE_OK(pfl_cache_append(c.cache, &args, &cache_error));
    for (int b = 0; b < 3; b++) plain_append(&c, b, b, 2, args.k, args.v);
    plain_compare(&c);
    guarded_release();
    cache_case_free(&c);
  }
}

/* ---- Full caches ----------------------------------------------------------
 */

static void test_out_of_pages(void) {
  pfl_cache_options options = small_options;
  options.page_count = 5;
  cache_case c = cache_case_make(small_context(2), options);
  c.plain[0].name = small_create(c.cache);
  c.plain[1].name = small_create(c.cache);
  small_append(&c, 0, 21, PFL_STATUS_OUT_OF_RANGE);
  small_append(&c, 0, 17, PFL_STATUS_OK);
  small_append(&c, 1, 1, PFL_STATUS_RESOURCE_EXHAUSTED);
  expect_pages(&c, 5);
  /* room for the first of a batch and not for the second: neither grows */
  CACHE_OK(pfl_sequence_truncate(c.cache, c.plain[0].name, 15, &cache_error));
  c.plain[0].length = 15;
  pfl_sequence names[] = {c.plain[0].name, c.plain[1].name};
  pfl_cache_append_args args = {.struct_size = sizeof args,
                                .batch = 2,
                                .length = 2,
                                .sequences = names,
                                .k = plain_numbers(2 * 2 * 2 * c.D, c.dtype),
                                .v = plain_numbers(2 * 2 * 2 * c.Dv, c.dtype)};
  case_expect(pfl_cache_append(c.cache, &args, &cache_error), &cache_error,
              PFL_STATUS_RESOURCE_EXHAUSTED, "no page is free");
  expect_pages(&c, 4);
  small_append(&c, 0, 1, PFL_STATUS_OK);
  small_append(&c, 1, 4, PFL_STATUS_OK);
  expect_pages(&c, 5);
  /* a copy of a shared page is a page too */
  small_fork(&c, 0, 2, 15);
  small_append(&c, 2, 1, PFL_STATUS_RESOURCE_EXHAUSTED);
  expect_pages(&c, 5);
  guarded_release();
  cache_case_free(&c);
}

static void test_sequence_room(void) {
  pfl_cache_options options = small_options;
  options.sequence_length = 6;
  cache_case c = cache_case_make(small_context(1), options);
  c.plain[0].name = small_create(c.cache);
  small_append(&c, 0, 7, PFL_STATUS_OUT_OF_RANGE);
  small_append(&c, 0, 6, PFL_STATUS_OK);
  small_append(&c, 0, 1, PFL_STATUS_OUT_OF_RANGE);
  small_append(&c, 0, 0, PFL_STATUS_OK);
  expect_pages(&c, 2);
  for (int i = 1; i < small_options.sequence_count; i++)
    c.plain[i].name = small_create(c.cache);
  pfl_sequence name = 0;
  case_expect(pfl_sequence_create(c.cache, &name, &cache_error), &cache_error,
              PFL_STATUS_RESOURCE_EXHAUSTED, "sequence_count");
  case_expect(
      pfl_sequence_fork(c.cache, c.plain[0].name, 1, &name, &cache_error),
      &cache_error, PFL_STATUS_RESOURCE_EXHAUSTED, "sequence_count");
  expect_pages(&c, 2);
  cache_case_free(&c);
}

/* ---- Misuse ---------------------------------------------------------------
 */

static void expect(const cache_case *c, pfl_status got, pfl_status status,
                   const char *message) {
  case_expect(got, &cache_error, status, message);
  plain_compare(c);
}

static void test_foreign_sequences(void) {
  cache_case c = cache_case_make(small_context(1), small_options);
  c.plain[0].name = small_create(c.cache);
  small_append(&c, 0, 5, PFL_STATUS_OK);
  pfl_sequence gone = small_create(c.cache), own = c.plain[0].name, out = 0;
  CACHE_OK(pfl_sequence_destroy(c.cache, gone, &cache_error));
  c.plain[1].name =
      small_create(c.cache); /* in the place of the one that is gone */
  const pfl_sequence foreign[] = {
      0, gone, own + 1, UINT64_MAX, own | (pfl_sequence)1 << 40, 7};
  for (int i = 0; i < COUNT(foreign); i++) {
    int64_t length = -1;
    const pfl_status NONE = PFL_STATUS_NOT_FOUND;
    expect(&c, pfl_sequence_fork(c.cache, foreign[i], 0, &out, &cache_error),
           NONE, "none of this cache's");
    expect(&c, pfl_sequence_truncate(c.cache, foreign[i], 0, &cache_error),
           NONE, "none of this cache's");
    expect(&c, pfl_sequence_destroy(c.cache, foreign[i], &cache_error), NONE,
           "none of this cache's");
    expect(&c, pfl_sequence_length(c.cache, foreign[i], &length, &cache_error),
           NONE, "none of this cache's");
    pfl_sequence names[] = {own, foreign[i]};
    float numbers[2 * 2 * 5] = {0};
    pfl_cache_append_args args = {.struct_size = sizeof args,
                                  .batch = 2,
                                  .length = 1,
                                  .sequences = names,
                                  .k = numbers,
                                  .v = numbers};
    expect(&c, pfl_cache_append(c.cache, &args, &cache_error), NONE,
           "none of this cache's");
    CHECK(!out && length == -1, "an output was written");
  }
  cache_case_free(&c);
}

/* A call with one thing wrong. */
typedef struct misuse {
  pfl_cache_append_args append;
  pfl_cache_decode_args decode;
  pfl_cache_read_args read;
} misuse;

static void test_misuse(void) {
  cache_case c = cache_case_make(small_context(2), small_options);
  c.plain[0].name = small_create(c.cache);
  small_append(&c, 0, 6, PFL_STATUS_OK);
  pfl_sequence twice[] = {c.plain[0].name, c.plain[0].name};
  float *numbers = guarded_allocate(2 * 4 * 2 * 5, sizeof *numbers);
  float *o = guarded_allocate(2 * 4 * 3, sizeof *o);
  memset(numbers, 0, 2 * 4 * 2 * 5 * sizeof *numbers);
  const misuse good = {.append = {.struct_size = sizeof good.append,
                                  .batch = 1,
                                  .length = 1,
                                  .sequences = twice,
                                  .k = numbers,
                                  .v = numbers},
                       .decode = {.struct_size = sizeof good.decode,
                                  .batch = 1,
                                  .q_heads = 4,
                                  .q_length = 1,
                                  .sequences = twice,
                                  .q = numbers,
                                  .k = numbers,
                                  .v = numbers,
                                  .out_o = o},
                       .read = {.struct_size = sizeof good.read,
                                .sequence = twice[0],
                                .length = 6,
                                .out_k = o}};
#define MISUSE(what, spoil, status, message)                          \
  do {                                                                \
    misuse m = good;                                                  \
    spoil;                                                            \
    pfl_cache_usage before = cache_usage(&c);                         \
    expect(&c, pfl_cache_##what(c.cache, &m.what, &cache_error),      \
           PFL_STATUS_##status, message);                             \
    step_check_unchanged(&c, &before);                                \
    CHECK(guarded_is_untouched(o, 2 * 4 * 3 * sizeof *o), "written"); \
  } while (0)
  MISUSE(append, m.append.struct_size = 8, INVALID_ARGUMENT, "struct_size");
  MISUSE(append, m.append.batch = -1, INVALID_ARGUMENT, "batch is -1");
  MISUSE(append, m.append.length = -1, INVALID_ARGUMENT, "length is -1");
  MISUSE(append, m.append.length = INT64_MAX, OUT_OF_RANGE, "sequence_length");
  MISUSE(append, m.append.k = NULL, INVALID_ARGUMENT, "k is NULL");
  MISUSE(append, m.append.v = NULL, INVALID_ARGUMENT, "v is NULL");
  MISUSE(append, m.append.k = (char *)numbers + 1, INVALID_ARGUMENT,
         "multiple of 4");
  MISUSE(append, m.append.sequences = NULL, INVALID_ARGUMENT, "sequences");
  MISUSE(append, m.append.batch = 2, INVALID_ARGUMENT, "given twice");
  MISUSE(decode, m.decode.struct_size = 0, INVALID_ARGUMENT, "struct_size");
  MISUSE(decode, m.decode.batch = -1, INVALID_ARGUMENT, "batch is -1");
  MISUSE(decode, m.decode.batch = 2, INVALID_ARGUMENT, "given twice");
  MISUSE(decode, m.decode.q_heads = 3, INVALID_ARGUMENT, "multiple of");
  MISUSE(decode, m.decode.q_length = 0, INVALID_ARGUMENT, "q_length is 0");
  MISUSE(decode, m.decode.q = NULL, INVALID_ARGUMENT, "q is NULL");
  MISUSE(decode, m.decode.out_o = NULL, INVALID_ARGUMENT, "out_o is NULL");
  MISUSE(decode, m.decode.k = NULL, INVALID_ARGUMENT, "both or neither");
  MISUSE(decode, m.decode.v = NULL, INVALID_ARGUMENT, "both or neither");
  MISUSE(decode, m.decode.scoring.scale = (double)NAN, INVALID_ARGUMENT,
         "scale is");
  MISUSE(decode, m.decode.q_length = 1000, OUT_OF_RANGE, "sequence_length");
  MISUSE(decode, m.decode.sinks = (float *)((char *)numbers + 2),
         INVALID_ARGUMENT, "sinks");
  MISUSE(read, m.read.begin = 1, OUT_OF_RANGE, "within the 6 tokens");
  MISUSE(read, m.read.begin = -1, OUT_OF_RANGE, "begin is -1");
  MISUSE(read, m.read.length = -1, OUT_OF_RANGE, "length -1");
  MISUSE(read, m.read.length = INT64_MAX, OUT_OF_RANGE, "within");
  MISUSE(read, m.read.out_k = (char *)o + 1, INVALID_ARGUMENT, "out_k");
  MISUSE(read, m.read.out_k_scale = o, INVALID_ARGUMENT, "int8");
  MISUSE(read, m.read.sequence = 3, NOT_FOUND, "none of this");
#undef MISUSE
  expect(&c, pfl_sequence_truncate(c.cache, twice[0], 7, &cache_error),
         PFL_STATUS_OUT_OF_RANGE, "length is 7");
  expect(&c, pfl_sequence_truncate(c.cache, twice[0], -1, &cache_error),
         PFL_STATUS_OUT_OF_RANGE, "length is -1");
  expect(&c, pfl_sequence_fork(c.cache, twice[0], 7, twice, &cache_error),
         PFL_STATUS_OUT_OF_RANGE, "length is 7");
  guarded_release();
  cache_case_free(&c);
}

static void test_nulls(void) {
  cache_case c = cache_case_make(small_context(1), small_options);
  pfl_sequence name = small_create(c.cache);
  int64_t length;
  const pfl_status BAD = PFL_STATUS_INVALID_ARGUMENT;
  CHECK(pfl_sequence_create(NULL, &name, NULL) == BAD, "create");
  CHECK(pfl_sequence_create(c.cache, NULL, NULL) == BAD, "create");
  CHECK(pfl_sequence_fork(c.cache, name, 0, NULL, NULL) == BAD, "fork");
  CHECK(pfl_sequence_destroy(NULL, name, NULL) == BAD, "destroy");
  CHECK(pfl_sequence_truncate(NULL, name, 0, NULL) == BAD, "truncate");
  CHECK(pfl_sequence_length(NULL, name, &length, NULL) == BAD, "length");
  CHECK(pfl_sequence_length(c.cache, name, NULL, NULL) == BAD, "length");
  CHECK(pfl_cache_clear(NULL, NULL) == BAD, "clear");
  CHECK(pfl_cache_measure(c.cache, NULL, NULL) == BAD, "measure");
  CHECK(pfl_cache_list(c.cache, 1, NULL, &length, NULL) == BAD, "list");
  CHECK(pfl_cache_list(c.cache, 0, NULL, NULL, NULL) == BAD, "list");
  CHECK(pfl_cache_append(c.cache, NULL, NULL) == BAD, "append");
  CHECK(pfl_cache_decode(c.cache, NULL, NULL) == BAD, "decode");
  CHECK(pfl_cache_read(c.cache, NULL, NULL) == BAD, "read");
  CHECK(pfl_cache_save(c.cache, NULL, NULL) == BAD, "save");
  CHECK(pfl_cache_save(NULL, "x", NULL) == BAD, "save");
  CHECK(!pfl_cache_list(c.cache, 0, NULL, &length, NULL) && length == 1,
        "counting needs no room");
  cache_case_free(&c);
}

/* ---- Numbers --------------------------------------------------------------
 */

/* Tokens that are zeros, tiny, huge, or not finite. */
static void test_quantising(void) {
  pfl_cache_options options = small_options;
  options.cache_dtype = PFL_DTYPE_I8;
  options.v_head_dim = 0;
  static const float rows[][5] = {{0, 0, 0, 0, -0.0f},
                                  {1, -1, 0.5f, 0.25f, -0.126f},
                                  {FLT_MAX, -FLT_MAX, 1, 0, FLT_MAX / 2},
                                  {FLT_MIN, 1e-44f, -1e-45f, 0, 0},
                                  {1e-45f, 0, 0, 0, -1e-45f},
                                  {1e-43f, -1e-43f, 3e-45f, 0, 0},
                                  {NAN, 1, 2, 3, 4},
                                  {1, 2, INFINITY, 3, 4},
                                  {-INFINITY, 0, 0, 0, 0},
                                  {127, 63.5f, 62.5f, 0.5f, -1.5f}};
  for (int i = 0; i < COUNT(rows); i++) {
    cache_case c = cache_case_make(small_context(1), options);
    c.plain[0].name = small_create(c.cache);
    float *numbers = guarded_allocate(2 * 5, sizeof *numbers);
    memcpy(numbers, rows[i], sizeof rows[i]);
    memcpy(numbers + 5, rows[i], sizeof rows[i]);
    pfl_cache_append_args args = {.struct_size = sizeof args,
                                  .batch = 1,
                                  .length = 1,
                                  .sequences = &c.plain[0].name,
                                  .k = numbers,
                                  .v = numbers};
    CACHE_OK(pfl_cache_append(c.cache, &args, &cache_error));
    plain_append(&c, 0, 0, 1, numbers, numbers);
    plain_compare(&c);
    guarded_release();
    cache_case_free(&c);
  }
}

/* ---- Soak -----------------------------------------------------------------
 */

static void soak(pfl_cache_options options, int number, int steps) {
  options.sequence_length = PLAIN_TOKENS;
  cache_case c = cache_case_make(small_context(1 + number % 3), options);
  for (int step = 0; step < steps; step++) {
    snprintf(call_text, sizeof call_text, "cache %d, step %d", number, step);
    step_any(&c, step_compare_bits);
    if (step % 50 == 0) plain_compare(&c);
  }
  plain_compare(&c);
  step_clear(&c);
  cache_case_free(&c);
}

static void test_soak(void) {
  int steps = check_cases(10000) / COUNT(every_options);
  for (int i = 0; i < COUNT(every_options); i++)
    soak(every_options[i], i, steps);
}

/* The same steps on other numbers of threads: the same bits, which each run
 * holds against the copy's of one thread; and the same file. */
static void test_same_file(void) {
  char *bytes[2];
  size_t sizes[2];
  uint64_t state = check_state;
  for (int run = 0; run < 2; run++) {
    check_state = state;
    pfl_cache_options options = every_options[3];
    options.sequence_length = PLAIN_TOKENS;
    cache_case c = cache_case_make(small_context(1 + 3 * run), options);
    for (int step = 0; step < 200; step++) step_any(&c, step_compare_bits);
    CACHE_OK(pfl_cache_save(c.cache, in_directory("same"), &cache_error));
    bytes[run] = get_file(in_directory("same"), &sizes[run]);
    CHECK_NEED(!remove(in_directory("same")));
    cache_case_free(&c);
  }
  CHECK(sizes[0] == sizes[1] && !memcmp(bytes[0], bytes[1], sizes[0]),
        "the files of %zu and %zu bytes differ", sizes[0], sizes[1]);
  free(bytes[0]);
  free(bytes[1]);
}

/* ---- Threads --------------------------------------------------------------
 */

enum { USERS = 4, USER_STEPS = 60 };

typedef struct user {
  pthread_t thread;
  pfl_cache *cache;
  int failures;
} user;

/* A sequence of its own in a cache that others use too. */
static void *use(void *argument) {
  user *u = argument;
  pfl_sequence name = 0, fork = 0;
  float numbers[2 * 4 * 5], o[4 * 3];
  for (int i = 0; i < COUNT(numbers); i++) numbers[i] = (float)(i % 3);
  pfl_cache_decode_args args = {.struct_size = sizeof args,
                                .batch = 1,
                                .q_heads = 4,
                                .q_length = 1,
                                .sequences = &name,
                                .q = numbers,
                                .k = numbers,
                                .v = numbers,
                                .out_o = o};
  u->failures += pfl_sequence_create(u->cache, &name, NULL) != PFL_STATUS_OK;
  for (int64_t step = 1; step <= USER_STEPS; step++) {
    int64_t length = 0;
    u->failures += pfl_cache_decode(u->cache, &args, NULL) != PFL_STATUS_OK;
    u->failures +=
        pfl_sequence_fork(u->cache, name, step / 2, &fork, NULL) != 0;
    u->failures += pfl_sequence_length(u->cache, name, &length, NULL) != 0;
    u->failures += length != step;
    u->failures += pfl_sequence_destroy(u->cache, fork, NULL) != PFL_STATUS_OK;
  }
  return NULL;
}

static void test_threads(void) {
  pfl_cache_options options = small_options;
  options.page_count = 2 * USERS * USER_STEPS / 4;
  cache_case c = cache_case_make(small_context(2), options);
  user users[USERS];
  for (int i = 0; i < USERS; i++) {
    users[i] = (user){.cache = c.cache};
    CHECK_NEED(!pthread_create(&users[i].thread, NULL, use, &users[i]));
  }
  for (int i = 0; i < USERS; i++) {
    CHECK_NEED(!pthread_join(users[i].thread, NULL));
    CHECK(!users[i].failures, "%d calls failed", users[i].failures);
  }
  step_clear(&c);
  cache_case_free(&c);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(
      test_options, test_too_large, test_defaults, test_memory, test_sharing,
      test_sharers_in_one_call, test_out_of_pages, test_sequence_room,
      test_foreign_sequences, test_misuse, test_nulls, test_quantising,
      test_soak, test_same_file, test_threads);
  call_contexts_destroy();
  directory_remove();
  return failed;
}

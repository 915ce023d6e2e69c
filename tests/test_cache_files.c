/* Caches in files: what is loaded is what was saved, a stranger's file is
 * refused or can be used; and a cache's life with memory that runs out. */
#include "base/safetensors.h"
#include "cache_small.h"
#include "directory.h"
#include "failing.h"

/* ---- Files ----------------------------------------------------------------
 */

/* Saves, and goes on with what is loaded, under the same names. */
static void reload(cache_case *c) {
  pfl_cache *loaded = NULL;
  pfl_cache_usage before = cache_usage(c);
  CACHE_OK(pfl_cache_save(c->cache, in_directory("cache"), &cache_error));
  CACHE_OK(pfl_cache_load(c->context, &c->options, in_directory("cache"),
                          &loaded, &cache_error));
  CHECK_NEED(loaded);
  pfl_cache_destroy(c->cache);
  c->cache = loaded;
  step_check_unchanged(c, &before);
  size_t first, second;
  char *once = get_file(in_directory("cache"), &first);
  CACHE_OK(pfl_cache_save(c->cache, in_directory("cache"), &cache_error));
  char *again = get_file(in_directory("cache"), &second);
  CHECK(first == second && !memcmp(once, again, first),
        "a cache that was loaded is saved as other bytes");
  free(once);
  free(again);
  CHECK_NEED(!remove(in_directory("cache")));
}

static void test_files(void) {
  for (int i = 0; i < COUNT(every_options); i++) {
    pfl_cache_options options = every_options[i];
    options.sequence_length = PLAIN_TOKENS;
    cache_case c = cache_case_make(small_context(2), options);
    reload(&c); /* of nothing */
    for (int round = 0; round < check_cases(5); round++) {
      for (int step = 0; step < 60; step++) step_any(&c, step_compare_bits);
      reload(&c);
    }
    cache_case_free(&c);
  }
}

/* A cache of three sequences, of which two share pages, in a file. */
static cache_case make_file(const pfl_cache_options *options) {
  cache_case c = cache_case_make(small_context(1), *options);
  c.plain[0].name = small_create(c.cache);
  small_append(&c, 0, 6, PFL_STATUS_OK);
  small_fork(&c, 0, 1, 5);
  c.plain[2].name = small_create(c.cache);
  small_append(&c, 2, 3, PFL_STATUS_OK);
  CACHE_OK(pfl_cache_save(c.cache, in_directory("cache"), &cache_error));
  return c;
}

static void expect_load(const cache_case *c, pfl_status status,
                        const char *message) {
  pfl_cache *cache = NULL;
  case_expect(pfl_cache_load(c->context, &c->options, in_directory("cache"),
                             &cache, &cache_error),
              &cache_error, status, message);
  CHECK(!cache == (status != PFL_STATUS_OK), "a cache: %s", message);
  pfl_cache_destroy(cache);
}

static void test_other_options(void) {
  cache_case good = make_file(&small_options);
#define OTHER(spoil, status, message)              \
  do {                                             \
    cache_case c = good;                           \
    spoil;                                         \
    expect_load(&c, PFL_STATUS_##status, message); \
  } while (0)
  OTHER((void)0, OK, "as it was saved");
  OTHER(c.options.page_count = 3, OK, "with fewer pages, but enough");
  OTHER(c.options.sequence_count = 3, OK, "with as many sequences");
  OTHER(c.options.sequence_length = 6, OK, "with shorter sequences");
  OTHER(c.options.page_count = 2, FAILED_PRECONDITION, "3 pages");
  OTHER(c.options.sequence_count = 2, FAILED_PRECONDITION, "sequences[2]");
  OTHER(c.options.sequence_length = 5, FAILED_PRECONDITION, "lengths[0] is 6");
  OTHER(c.options.kv_heads = 1, FAILED_PRECONDITION, "tensor k");
  OTHER(c.options.head_dim = 6, FAILED_PRECONDITION, "tensor k");
  OTHER(c.options.v_head_dim = 0, FAILED_PRECONDITION, "tensor v");
  OTHER(c.options.page_length = 8, FAILED_PRECONDITION, "tensor k");
  OTHER(c.options.dtype = PFL_DTYPE_BF16, FAILED_PRECONDITION, "F32");
  OTHER(c.options.cache_dtype = PFL_DTYPE_I8, FAILED_PRECONDITION, "F32");
  OTHER(c.options.head_dim = 0, INVALID_ARGUMENT, "head_dim is 0");
#undef OTHER
  CHECK_NEED(!remove(in_directory("cache")));
  expect_load(&good, PFL_STATUS_NOT_FOUND, "cache");
  cache_case_free(&good);
}

/* Writes the file's tensors with integer `at` of one of them changed. */
static void expect_number(const cache_case *c, const char *tensor, int at,
                          int32_t number, const char *message) {
  static const pfl_allocator heap;
  safetensors_file file;
  char kept[512];
  snprintf(kept, sizeof kept, "%s", in_directory("cache"));
  CHECK_NEED(!safetensors_read(kept, &heap, &file, &cache_error));
  const safetensors_tensor *found = safetensors_find(&file, tensor);
  CHECK_NEED(found && at * 4 < found->bytes);
  int32_t *place = (int32_t *)found->data + at, before = *place;
  *place = number;
  CHECK_NEED(!safetensors_write(kept, file.tensors, file.count, NULL, NULL));
  expect_load(c, PFL_STATUS_DATA_LOSS, message);
  *place = before;
  CHECK_NEED(!safetensors_write(kept, file.tensors, file.count, NULL, NULL));
  expect_load(c, PFL_STATUS_OK, "mended");
  safetensors_release(&file);
}

static void test_wrong_numbers(void) {
  cache_case c = make_file(&small_options);
  static const int32_t absurd[] = {-1, INT32_MIN};
  for (int i = 0; i < COUNT(absurd); i++) {
    expect_number(&c, "block_table", 0, absurd[i], "block_table[0][0]");
    expect_number(&c, "block_table", 3, absurd[i], "block_table[1][1]");
    expect_number(&c, "lengths", 1, absurd[i], "lengths[1]");
    expect_number(&c, "sequences", 2, absurd[i], "sequences[1]");
  }
  expect_number(&c, "block_table", 1, 3, "block_table[0][1] is 3");
  expect_number(&c, "block_table", 4, INT32_MAX, "block_table[2][0]");
  expect_number(&c, "lengths", 0, 9, "lengths[0] is 9");
  expect_number(&c, "lengths", 2, INT32_MAX, "lengths[2]");
  expect_number(&c, "sequences", 1, 0, "sequences[0]");
  expect_number(&c, "sequences", 2, 0, "at the place of another");
  CHECK_NEED(!remove(in_directory("cache")));
  cache_case_free(&c);
}

/* A cache that was loaded from whatever bytes: all of it can be used. */
static void use_all(pfl_cache *cache) {
  pfl_sequence names[8];
  int64_t count = 0;
  float numbers[8 * 4 * 5] = {0}, o[8 * 4 * 3], lse[8 * 4];
  CACHE_OK(pfl_cache_list(cache, 8, names, &count, &cache_error));
  pfl_cache_decode_args args = {.struct_size = sizeof args,
                                .batch = count,
                                .q_heads = 4,
                                .q_length = 1,
                                .sequences = names,
                                .q = numbers,
                                .k = numbers,
                                .v = numbers,
                                .out_o = o,
                                .out_lse = lse};
  CACHE_OK(pfl_cache_decode(cache, &args, &cache_error));
  CACHE_OK(pfl_cache_clear(cache, &cache_error));
  pfl_cache_usage usage = {.struct_size = sizeof usage};
  CACHE_OK(pfl_cache_measure(cache, &usage, &cache_error));
  CHECK(!usage.page_count, "%d pages are lost", (int)usage.page_count);
}

/* Any byte changed, any length: refused with a message, or a cache. */
static void test_damaged_files(void) {
  cache_case c = make_file(&small_options);
  char path[512];
  size_t size;
  snprintf(path, sizeof path, "%s", in_directory("cache"));
  char *bytes = get_file(path, &size);
  int accepted = 0, cases = check_cases(1000);
  for (int i = 0; i < cases; i++) {
    char *damaged = malloc(size);
    CHECK_NEED(damaged);
    memcpy(damaged, bytes, size);
    size_t length = i % 10 ? size : (size_t)check_between(0, (int64_t)size - 1);
    for (int64_t n = check_between(i % 10 != 0, 3); n > 0; n--)
      damaged[check_between(0, (int64_t)size - 1)] = (char)check_random();
    put_file(path, damaged, length);
    free(damaged);
    pfl_cache *cache = NULL;
    cache_error.message[0] = 0;
    pfl_status status =
        pfl_cache_load(c.context, &c.options, path, &cache, &cache_error);
    CHECK(!status == (cache != NULL), "%s", pfl_status_name(status));
    if (cache)
      use_all(cache), accepted++;
    else
      CHECK((status == PFL_STATUS_DATA_LOSS ||
             status == PFL_STATUS_FAILED_PRECONDITION) &&
                cache_error.message[0],
            "%s: %s", pfl_status_name(status), cache_error.message);
    pfl_cache_destroy(cache);
  }
  printf("%d of %d damaged files still were caches\n", accepted, cases);
  free(bytes);
  CHECK_NEED(!remove(path));
  cache_case_free(&c);
}

static void test_places(void) {
  cache_case c = make_file(&small_options);
  const char *path = in_directory("cache");
  CHECK_NEED(!remove(path));
  case_expect(pfl_cache_save(c.cache, in_directory("no/such"), &cache_error),
              &cache_error, PFL_STATUS_NOT_FOUND, "no/such");
  case_expect(pfl_cache_save(c.cache, directory, &cache_error), &cache_error,
              PFL_STATUS_INVALID_ARGUMENT, "directory");
  CHECK(files_in_directory() == 0, "a file was left");
  plain_compare(&c);
  cache_case_free(&c);
}

/* ---- Memory ---------------------------------------------------------------
 */

/* A life of a cache: made, filled, saved, loaded, used. */
static pfl_status live(pfl_context *own, const pfl_cache_options *options) {
  pfl_cache *cache = NULL, *loaded = NULL;
  pfl_sequence name;
  float numbers[2 * 4 * 5] = {0}, o[4 * 3];
  pfl_status status = pfl_cache_create(own, options, &cache, &cache_error);
  if (status) return status;
  CACHE_OK(pfl_sequence_create(cache, &name, &cache_error));
  pfl_cache_decode_args args = {.struct_size = sizeof args,
                                .batch = 1,
                                .q_heads = 4,
                                .q_length = 1,
                                .sequences = &name,
                                .q = numbers,
                                .k = numbers,
                                .v = numbers,
                                .out_o = o};
  int64_t length = -1;
  status = pfl_cache_decode(cache, &args, &cache_error);
  CACHE_OK(pfl_sequence_length(cache, name, &length, &cache_error));
  CHECK(length == !status, "%d tokens after %s", (int)length,
        pfl_status_name(status));
  if (!status)
    status = pfl_cache_save(cache, in_directory("cache"), &cache_error);
  if (!status)
    status = pfl_cache_load(own, options, in_directory("cache"), &loaded,
                            &cache_error);
  if (!status) use_all(loaded);
  pfl_cache_destroy(cache);
  pfl_cache_destroy(loaded);
  return status;
}

static void test_without_memory(void) {
  pfl_cache_options options = small_options;
  options.struct_size = sizeof options;
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_context_options own = {.struct_size = sizeof own,
                               .threads = 2,
                               .allocator = failing_allocator(&state)};
    pfl_context *made = NULL;
    pfl_status status = pfl_context_create(&own, &made, &cache_error);
    if (!status) status = live(made, &options);
    pfl_context_destroy(made);
    state.done = failing_check(&state, status);
  }
  remove(in_directory("cache"));
  CHECK(files_in_directory() == 0, "a file was left");
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_files, test_other_options, test_wrong_numbers,
                         test_damaged_files, test_places, test_without_memory);
  call_contexts_destroy();
  directory_remove();
  return failed;
}

/* Kept predictions: what they are called by, what becomes of damaged ones, and
 * that they are not too many. */
#include "bench/prediction_cache.h"
#include "directory.h"

static char cache[300], folder[320];

static void open_cache(void) {
  snprintf(cache, sizeof cache, "%s/cache", directory);
  snprintf(folder, sizeof folder, "%s/predictions", cache);
  CHECK_NEED(!setenv("PFLASH_CACHE", cache, 1));
}

/* Good until the next call. */
static const char *path_of(const char *key) {
  static char path[512];
  base_text words = {0}, out = {0};
  base_text_add_string(&words, key);
  CHECK_NEED(!prediction_cache_name(&words, &out, NULL));
  snprintf(path, sizeof path, "%s", base_text_get(&out));
  base_text_release(&words);
  base_text_release(&out);
  return path;
}

static bench_prediction some_prediction(void) {
  bench_prediction p = {.cycles = (double)check_between(0, 1 << 30),
                        .kernel_cycles = (double)check_between(0, 1 << 30),
                        .warnings = check_between(0, 9),
                        .by = "a \"compiler\""};
  return p;
}

static bool is_same(const bench_prediction *a, const bench_prediction *b) {
  return a->cycles == b->cycles && a->kernel_cycles == b->kernel_cycles &&
         a->warnings == b->warnings && !strcmp(a->by, b->by);
}

static void test_names(void) {
  char first[512];
  snprintf(first, sizeof first, "%s", path_of("a"));
  CHECK(!strncmp(first, folder, strlen(folder)), "%s", first);
  CHECK(!strcmp(first, path_of("a")), "one key, two names");
  CHECK(strcmp(first, path_of("b")), "two keys, one name: %s", first);
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  CHECK(!*path_of("a"), "a name without a cache: %s", path_of("a"));
  open_cache();
}

static void test_kept(void) {
  bench_prediction out = {0}, p = some_prediction();
  CHECK(!prediction_cache_load(path_of("a"), &out), "found in no cache");
  prediction_cache_store(path_of("a"), &p);
  CHECK(prediction_cache_load(path_of("a"), &out), "not kept");
  CHECK(is_same(&out, &p), "%g cycles, not %g", out.cycles, p.cycles);
  CHECK(!prediction_cache_load(path_of("b"), &out), "of another key");
  prediction_cache_store("", &p);
  CHECK(!prediction_cache_load("", &out), "no path, and found");
  folder_remove(folder);
}

/* One byte of an entry is another, or the entry ends early: never a wrong
 * prediction, and written anew it is whole again. */
static void test_damaged(void) {
  bench_prediction p = some_prediction();
  base_text whole = {0};
  prediction_cache_store(path_of("a"), &p);
  CHECK_NEED(!base_file_load(path_of("a"), 4096, &whole, NULL));
  for (size_t i = 0; i < 2 * whole.length; i++) {
    bench_prediction out = {.cycles = -1};
    size_t at = i % whole.length, size = i < whole.length ? whole.length : at;
    char was = whole.bytes[at];
    whole.bytes[at] ^= (char)(1 << check_between(0, 7));
    put_file(path_of("a"), whole.bytes, size);
    whole.bytes[at] = was;
    CHECK(!prediction_cache_load(path_of("a"), &out) && out.cycles == -1,
          "damaged at byte %zu, of %zu bytes", at, size);
  }
  prediction_cache_store(path_of("a"), &p);
  bench_prediction out;
  CHECK(prediction_cache_load(path_of("a"), &out) && is_same(&out, &p),
        "not written anew");
  CHECK_NEED(!chmod(path_of("a"), 0666));
  CHECK(!prediction_cache_load(path_of("a"), &out), "anybody could write it");
  base_text_release(&whole);
  folder_remove(folder);
}

static void test_bounded(void) {
  bench_prediction out, p = some_prediction();
  char name[512];
  prediction_cache_store(path_of("last"), &p);
  for (int i = 0; i < PREDICTIONS_MOST; i++) {
    snprintf(name, sizeof name, "%s/%064d", folder, i);
    put_file(name, "old", 3);
  }
  prediction_cache_store(path_of("new"), &p);
  CHECK(prediction_cache_load(path_of("new"), &out), "the newest is not there");
  int count = folder_remove(folder);
  CHECK(count <= PREDICTIONS_MOST && count >= PREDICTIONS_MOST / 2,
        "%d entries, of at most %d", count, PREDICTIONS_MOST);
}

int main(void) {
  directory_make();
  open_cache();
  int failed = CHECK_RUN(test_names, test_kept, test_damaged, test_bounded);
  folder_remove(folder);
  folder_remove(cache);
  directory_remove();
  return failed;
}

/* Drives a fuzz target without an engine:
 *
 *   replay_NAME CORPUS_DIRECTORY [MUTATIONS]
 *
 * gives it every file of the directory, and MUTATIONS (300) changed copies of
 * each; the same ones again with PFLASH_SEED. A file called good_... must be
 * accepted, one called bad_... refused. */
#define _XOPEN_SOURCE 700 /* scandir */
#include <dirent.h>

#include "check.h"
#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

typedef struct input {
  uint8_t bytes[INPUT_MAX];
  size_t size;
} input;

static void give(const uint8_t *bytes, size_t size) {
  uint8_t *exact = malloc(size + !size); /* ASan watches both its ends */
  CHECK_NEED(exact);
  memcpy(exact, bytes, size);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
}

static size_t place_in(const input *in) {
  return (size_t)check_between(0, (int64_t)in->size - 1);
}

/* Makes room for, or takes out, `by` bytes at `place`. */
static void shift(input *in, size_t place, int by) {
  if (in->size + 16 > INPUT_MAX || (by < 0 && place + 16 > in->size)) return;
  size_t from = place + (by < 0 ? (size_t)-by : 0);
  size_t to = place + (by > 0 ? (size_t)by : 0);
  memmove(in->bytes + to, in->bytes + from, in->size - from);
  in->size = in->size - from + to;
}

static void change(input *in) {
  static const char *const words[] = {"0",
                                      "-1",
                                      "1e3",
                                      "[",
                                      "{",
                                      "]",
                                      "}",
                                      ",",
                                      ":",
                                      "\"",
                                      "\\u0000",
                                      "\\ud800",
                                      "null",
                                      "18446744073709551615",
                                      "9223372036854775807",
                                      "4"};
  size_t place = place_in(in);
  const char *word = words[check_between(0, sizeof words / sizeof *words - 1)];
  switch (check_between(0, 5)) {
    case 0: in->bytes[place] ^= (uint8_t)(1 << check_between(0, 7)); break;
    case 1: in->bytes[place] = (uint8_t)check_random(); break;
    case 2: in->bytes[place] = in->bytes[place_in(in)]; break;
    case 3: shift(in, place, (int)check_between(-8, 8)); break;
    case 4: shift(in, place, (int)strlen(word) % 16); /* fall through */
    case 5:
      if (strlen(word) <= in->size - place)
        memcpy(in->bytes + place, word, strlen(word));
      break;
  }
  /* what begins with a size keeps it right, half the time */
  if (check_random() & 1 && in->size > 16 && in->bytes[8] == '{') {
    uint8_t *end = in->bytes + in->size;
    while (end > in->bytes + 9 && end[-1] != '}') end--;
    size_t length = (size_t)(end - (in->bytes + 8));
    for (int i = 0; i < 8; i++) in->bytes[i] = (uint8_t)(length >> 8 * i % 64);
  }
}

/* Returns how many changed copies were accepted. */
static long replay(const char *path, long mutations) {
  static input original, changed;
  FILE *file = fopen(path, "rb");
  CHECK_NEED(file);
  original.size = fread(original.bytes, 1, INPUT_MAX, file);
  fclose(file);
  give(original.bytes, original.size);
  const char *name = strrchr(path, '/') + 1;
  CHECK(fuzz_accepted || strncmp(name, "good_", 5), "%s is refused", name);
  CHECK(!fuzz_accepted || strncmp(name, "bad_", 4), "%s is accepted", name);
  long accepted = 0;
  for (long i = 0; i < mutations && original.size; i++) {
    memcpy(changed.bytes, original.bytes, original.size);
    changed.size = original.size;
    for (int64_t times = check_between(1, 4); times && changed.size; times--)
      change(&changed);
    give(changed.bytes, changed.size);
    accepted += fuzz_accepted;
  }
  return accepted;
}

int main(int count, char **arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: %s CORPUS_DIRECTORY [MUTATIONS]\n", arguments[0]);
    return 2;
  }
  long mutations =
      count > 2 ? strtol(arguments[2], NULL, 10) : check_cases(300);
  const char *seed = getenv("PFLASH_SEED");
  check_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
  printf("PFLASH_SEED=%llu %s %s %ld\n", (unsigned long long)check_state,
         arguments[0], arguments[1], mutations);
  fflush(stdout); /* to be seen even if the target ends the program */
  struct dirent **entries;
  int files = scandir(arguments[1], &entries, NULL, alphasort), replayed = 0;
  long accepted = 0;
  for (int i = 0; i < files; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", arguments[1], entries[i]->d_name);
    if (entries[i]->d_name[0] != '.') {
      accepted += replay(path, mutations);
      replayed++;
    }
    free(entries[i]);
  }
  if (files >= 0) free(entries);
  printf("%d files, %ld mutations of each, %ld of those accepted\n", replayed,
         mutations, accepted);
  return !replayed || check_failures;
}

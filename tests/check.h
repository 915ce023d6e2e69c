/* The tests' own tools: checks that report and go on, and random numbers from
 * one printed seed. A test program is a list of functions:
 *
 *   static void test_rounding(void) { CHECK(x == y, "x is %d", x); }
 *   int main(void) { return CHECK_RUN(test_rounding, test_overflow); }
 *
 * PFLASH_SEED=n repeats a run; PFLASH_TEST=name runs one function;
 * PFLASH_TEST_SCALE=0.1 takes a tenth of the cases, as sanitizers are slow. */
#ifndef PFL_TESTS_CHECK_H
#define PFL_TESTS_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long check_count, check_failures;
static uint64_t check_seed, check_state;
static const char *check_test = "";

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t check_random(void) {
  uint64_t z = check_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* An integer of low .. high, both included. */
static inline int64_t check_between(int64_t low, int64_t high) {
  return low + (int64_t)(check_random() % (uint64_t)(high - low + 1));
}

/* Uniform in [0, 1). */
static inline double check_uniform(void) {
  return (double)(check_random() >> 11) * 0x1p-53;
}

/* Normal, mean 0, deviation 1 (Box and Muller). */
static inline double check_normal(void) {
  double radius = sqrt(-2 * log(1 - check_uniform()));
  return radius * cos(6.283185307179586 * check_uniform());
}

/* How many of `count` random cases to take: all, or what PFLASH_TEST_SCALE
 * leaves of them, at least one. */
static inline int check_cases(int count) {
  const char *scale = getenv("PFLASH_TEST_SCALE");
  int cases = scale ? (int)(count * strtod(scale, NULL)) : count;
  return cases < 1 ? 1 : cases;
}

#define CHECK(condition, ...)                                                  \
  do {                                                                         \
    check_count++;                                                             \
    if (!(condition) && check_failures++ < 20) {                               \
      fprintf(stderr, "%s:%d: %s: not (%s): ", __FILE__, __LINE__, check_test, \
              #condition);                                                     \
      fprintf(stderr, __VA_ARGS__);                                            \
      fputc('\n', stderr);                                                     \
    }                                                                          \
  } while (0)

/* Ends the program: for what a test cannot go on without. */
#define CHECK_NEED(condition)                                                  \
  do {                                                                         \
    check_count++;                                                             \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s: need (%s)\n", __FILE__, __LINE__,            \
              check_test, #condition);                                         \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

typedef struct check_entry {
  const char *name;
  void (*run)(void);
} check_entry;

static inline int check_run(const char *file, const char *names,
                            void (*const *tests)(void), int count) {
  const char *seed = getenv("PFLASH_SEED"), *only = getenv("PFLASH_TEST");
  check_seed = seed ? strtoull(seed, NULL, 0)
                    : ((uint64_t)time(NULL) * 0x9e3779b97f4a7c15u) >> 32;
  printf("%s: seed %llu\n", file, (unsigned long long)check_seed);
  fflush(stdout);
  for (int i = 0; i < count; i++) {
    static char name[128];
    size_t length = strcspn(names, ", ");
    snprintf(name, sizeof name, "%.*s", (int)length, names);
    names += length + strspn(names + length, ", ");
    if (only && strcmp(only, name)) continue;
    check_test = name;
    check_state = check_seed + (uint64_t)i * 1000003;
    long before = check_failures;
    tests[i]();
    if (check_failures > before)
      fprintf(stderr, "again: PFLASH_SEED=%llu PFLASH_TEST=%s %s\n",
              (unsigned long long)check_seed, name, file);
  }
  printf("%ld checks, %ld failed\n", check_count, check_failures);
  return check_failures != 0;
}

#define CHECK_RUN(...)                                                         \
  check_run(__FILE__, #__VA_ARGS__, (void (*const[])(void)){__VA_ARGS__},      \
            (int)(sizeof((void (*const[])(void)){__VA_ARGS__}) /               \
                  sizeof(void (*)(void))))

#endif

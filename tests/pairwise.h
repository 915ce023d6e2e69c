/* Cases of a test that has many factors: few rows in which every two levels of
 * every two factors meet at least once (a covering array of strength two).
 *
 *   enum { DIM, PAGE };
 *   static const pairwise_factor factors[] = {
 *       {"D", PAIRWISE_WORDS("64", "128", "256")},
 *       {"page", PAIRWISE_WORDS("none", "16", "64")}};
 *   pairwise p;
 *   pairwise_make(&p, factors, 2, fits, NULL);
 *   for (int i = 0; i < p.row_count; i++) ... p.rows[i][DIM] is 0, 1 or 2 ...
 *   pairwise_free(&p);
 *
 * Rows are made one at a time, the best of some tries (Cohen, Dalal, Fredman,
 * Patton, "The AETG system", 1997): the first rows cover most, so that a part
 * of them is a good sample. The same factors give the same rows. */
#ifndef PFL_TESTS_PAIRWISE_H
#define PFL_TESTS_PAIRWISE_H

#include <stdbool.h>

#include "check.h"

enum { PAIRWISE_FACTORS_MAX = 24, PAIRWISE_TRIES = 24 };

typedef struct pairwise_factor {
  const char *name;
  int levels;
  const char *const *words; /* [levels] */
} pairwise_factor;

#define PAIRWISE_WORDS(...)                                      \
  (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
      (const char *const[]) {                                    \
    __VA_ARGS__                                                  \
  }

/* Whether a row may be; levels that are not chosen yet are -1, and a row that
 * could still become one that may be must not be refused. */
typedef bool pairwise_fits(const int *row, const void *user);

typedef struct pairwise {
  const pairwise_factor *factors;
  int factor_count;
  pairwise_fits *fits; /* NULL: every row may be */
  const void *user;
  int (*rows)[PAIRWISE_FACTORS_MAX];
  int row_count;
  int pairs;      /* of levels, of two factors */
  int impossible; /* of them: no row that may be has them */
  /* while it is made */
  int first[PAIRWISE_FACTORS_MAX]; /* number of a factor's level 0 */
  int total;                       /* levels of all factors */
  bool *open;                      /* [total, total]: pairs not covered yet */
  uint64_t random;
} pairwise;

static inline uint64_t pairwise_random(pairwise *p) {
  p->random = p->random * 6364136223846793005u + 1442695040888963407u;
  return p->random >> 33;
}

static inline bool *pairwise_pair(const pairwise *p, int f, int level, int g,
                                  int other) {
  int x = p->first[f] + level, y = p->first[g] + other;
  return &p->open[f < g ? x * p->total + y : y * p->total + x];
}

static inline bool pairwise_allowed(const pairwise *p, const int *row) {
  return !p->fits || p->fits(row, p->user);
}

/* Open pairs that a level would close with what is chosen. */
static inline int pairwise_gain(const pairwise *p, const int *row, int f,
                                int level) {
  int gain = 0;
  for (int g = 0; g < p->factor_count; g++)
    if (g != f && row[g] >= 0) gain += *pairwise_pair(p, f, level, g, row[g]);
  return gain;
}

/* Chooses the rest of a row, the factors in the order given, levels that gain
 * more first and equal ones by chance; false: it cannot be. */
static inline bool pairwise_complete(pairwise *p, int *row, const int *order,
                                     int at) {
  while (at < p->factor_count && row[order[at]] >= 0) at++;
  if (at == p->factor_count) return true;
  int f = order[at], levels = p->factors[f].levels;
  int turn = (int)(pairwise_random(p) % (uint64_t)levels);
  int most = p->factor_count;
  for (int gain = most; gain >= 0; gain--)
    for (int i = 0; i < levels; i++) {
      row[f] = -1;
      int level = (i + turn) % levels;
      if (pairwise_gain(p, row, f, level) != gain) continue;
      row[f] = level;
      if (pairwise_allowed(p, row) && pairwise_complete(p, row, order, at + 1))
        return true;
    }
  row[f] = -1;
  return false;
}

static inline void pairwise_shuffle(pairwise *p, int *order) {
  for (int i = 0; i < p->factor_count; i++) {
    int other = (int)(pairwise_random(p) % (uint64_t)(i + 1));
    order[i] = order[other];
    order[other] = i;
  }
}

/* A row with that pair; false: there is none. */
static inline bool pairwise_try(pairwise *p, int f, int level, int g, int other,
                                int *row) {
  int order[PAIRWISE_FACTORS_MAX];
  for (int i = 0; i < p->factor_count; i++) row[i] = -1;
  row[f] = level;
  row[g] = other;
  pairwise_shuffle(p, order);
  return pairwise_allowed(p, row) && pairwise_complete(p, row, order, 0);
}

/* Open pairs of a row; closes them if asked to. */
static inline int pairwise_count(pairwise *p, const int *row, bool close) {
  int count = 0;
  for (int f = 0; f < p->factor_count; f++)
    for (int g = f + 1; g < p->factor_count; g++) {
      bool *open = pairwise_pair(p, f, row[f], g, row[g]);
      count += *open;
      if (close) *open = false;
    }
  return count;
}

/* Adds the best of some rows that have a pair. */
static inline void pairwise_add(pairwise *p, int f, int level, int g,
                                int other) {
  int best[PAIRWISE_FACTORS_MAX] = {0}, row[PAIRWISE_FACTORS_MAX] = {0};
  int most = 0;
  for (int i = 0; i < PAIRWISE_TRIES; i++) {
    if (!pairwise_try(p, f, level, g, other, row)) break;
    int count = pairwise_count(p, row, false);
    if (count > most) memcpy(best, row, sizeof best);
    if (count > most) most = count;
  }
  if (!most) {
    *pairwise_pair(p, f, level, g, other) = false;
    p->impossible++;
    return;
  }
  pairwise_count(p, best, true);
  p->rows = realloc(p->rows, (size_t)(p->row_count + 1) * sizeof *p->rows);
  CHECK_NEED(p->rows);
  memcpy(p->rows[p->row_count++], best, sizeof best);
}

/* The first open pair at or after number *at of all; false: none. */
static inline bool pairwise_next(const pairwise *p, int *at, int pair[4]) {
  for (; *at < p->total * p->total; ++*at) {
    if (!p->open[*at]) continue;
    int level[2] = {*at / p->total, *at % p->total};
    for (int i = 0; i < 2; i++) {
      int f = p->factor_count - 1;
      while (p->first[f] > level[i]) f--;
      pair[2 * i] = f;
      pair[2 * i + 1] = level[i] - p->first[f];
    }
    return true;
  }
  return false;
}

static inline void pairwise_make(pairwise *p, const pairwise_factor *factors,
                                 int factor_count, pairwise_fits *fits,
                                 const void *user) {
  *p = (pairwise){.factors = factors,
                  .factor_count = factor_count,
                  .fits = fits,
                  .user = user,
                  .random = 1};
  CHECK_NEED(factor_count >= 2 && factor_count <= PAIRWISE_FACTORS_MAX);
  for (int f = 0; f < factor_count; f++) {
    p->first[f] = p->total;
    p->total += factors[f].levels;
  }
  p->open = calloc((size_t)(p->total * p->total), sizeof *p->open);
  CHECK_NEED(p->open);
  for (int f = 0; f < factor_count; f++)
    for (int g = f + 1; g < factor_count; g++)
      for (int i = 0; i < factors[f].levels * factors[g].levels; i++) {
        *pairwise_pair(p, f, i / factors[g].levels, g, i % factors[g].levels) =
            true;
        p->pairs++;
      }
  for (int at = 0, pair[4]; pairwise_next(p, &at, pair);)
    pairwise_add(p, pair[0], pair[1], pair[2], pair[3]);
  free(p->open);
  p->open = NULL;
}

static inline void pairwise_free(pairwise *p) { free(p->rows); }

/* "D=64 page=none", for people. */
static inline const char *pairwise_text(const pairwise *p, int row, char *text,
                                        size_t size) {
  size_t used = 0;
  for (int f = 0; f < p->factor_count && used < size; f++)
    used += (size_t)snprintf(text + used, size - used, "%s%s=%s", f ? " " : "",
                             p->factors[f].name,
                             p->factors[f].words[p->rows[row][f]]);
  return text;
}

#endif

/* pairwise.h against the obvious: all rows there are. */
#include "pairwise.h"

static const pairwise_factor threes[] = {
    {"a", PAIRWISE_WORDS("0", "1", "2")}, {"b", PAIRWISE_WORDS("0", "1", "2")},
    {"c", PAIRWISE_WORDS("0", "1", "2")}, {"d", PAIRWISE_WORDS("0", "1", "2")},
    {"e", PAIRWISE_WORDS("0", "1", "2")}, {"f", PAIRWISE_WORDS("0", "1", "2")},
    {"g", PAIRWISE_WORDS("0", "1", "2")}, {"h", PAIRWISE_WORDS("0", "1", "2")},
    {"i", PAIRWISE_WORDS("0", "1", "2")}, {"j", PAIRWISE_WORDS("0", "1", "2")},
    {"k", PAIRWISE_WORDS("0", "1", "2")}, {"l", PAIRWISE_WORDS("0", "1", "2")},
    {"m", PAIRWISE_WORDS("0", "1", "2")}};

static const pairwise_factor mixed[] = {
    {"D", PAIRWISE_WORDS("64", "96", "128", "256")},
    {"dtype", PAIRWISE_WORDS("bf16", "f32", "int8")},
    {"page", PAIRWISE_WORDS("none", "16", "64", "256")},
    {"chips", PAIRWISE_WORDS("1", "4")},
    {"split", PAIRWISE_WORDS("none", "heads", "tokens")}};

static bool has(const pairwise *p, int f, int level, int g, int other) {
  for (int i = 0; i < p->row_count; i++)
    if (p->rows[i][f] == level && p->rows[i][g] == other) return true;
  return false;
}

/* One chip splits nothing, four split something; int8 has no small pages. */
static bool mixed_fits(const int *row, const void *user) {
  (void)user;
  if (row[3] >= 0 && row[4] >= 0 && (row[3] == 0) != (row[4] == 0))
    return false;
  return !(row[1] == 2 && row[2] == 1);
}

/* Whether some whole row that may be has the pair: by looking at all. */
static bool possible(int f, int level, int g, int other) {
  int row[5];
  for (int i = 0; i < 4 * 3 * 4 * 2 * 3; i++) {
    int rest = i;
    for (int k = 0; k < 5; k++) {
      row[k] = rest % mixed[k].levels;
      rest /= mixed[k].levels;
    }
    if (row[f] == level && row[g] == other && mixed_fits(row, NULL))
      return true;
  }
  return false;
}

static void test_all_pairs(void) {
  pairwise p;
  pairwise_make(&p, threes, 13, NULL, NULL);
  for (int f = 0; f < 13; f++)
    for (int g = f + 1; g < 13; g++)
      for (int i = 0; i < 9; i++)
        CHECK(has(&p, f, i / 3, g, i % 3), "factors %d, %d: levels %d, %d", f,
              g, i / 3, i % 3);
  CHECK(p.pairs == 13 * 12 / 2 * 9 && !p.impossible, "%d pairs, %d impossible",
        p.pairs, p.impossible);
  /* 15 is the least there can be; AETG itself took 17 to 20 */
  CHECK(p.row_count >= 15 && p.row_count <= 22, "%d rows", p.row_count);
  pairwise_free(&p);
}

static void test_constraints(void) {
  pairwise p;
  int impossible = 0;
  pairwise_make(&p, mixed, 5, mixed_fits, NULL);
  for (int i = 0; i < p.row_count; i++)
    CHECK(mixed_fits(p.rows[i], NULL), "row %d may not be", i);
  for (int f = 0; f < 5; f++)
    for (int g = f + 1; g < 5; g++)
      for (int i = 0; i < mixed[f].levels * mixed[g].levels; i++) {
        int level = i / mixed[g].levels, other = i % mixed[g].levels;
        bool can = possible(f, level, g, other);
        impossible += !can;
        CHECK(has(&p, f, level, g, other) == can, "%s=%s %s=%s: %s",
              mixed[f].name, mixed[f].words[level], mixed[g].name,
              mixed[g].words[other], can ? "not there" : "may not be");
      }
  CHECK(impossible == p.impossible && impossible == 4, "%d, found %d",
        impossible, p.impossible);
  pairwise_free(&p);
}

static void test_two_factors(void) {
  pairwise p;
  pairwise_make(&p, mixed, 2, NULL, NULL);
  CHECK(p.row_count == 12, "%d rows of 4 x 3 pairs", p.row_count);
  pairwise_free(&p);
}

static bool nothing_fits(const int *row, const void *user) {
  (void)row;
  (void)user;
  return false;
}

static void test_nothing_fits(void) {
  pairwise p;
  pairwise_make(&p, mixed, 5, nothing_fits, NULL);
  CHECK(!p.row_count && p.impossible == p.pairs, "%d rows", p.row_count);
  pairwise_free(&p);
}

static void test_same_again(void) {
  pairwise p, q;
  pairwise_make(&p, mixed, 5, mixed_fits, NULL);
  pairwise_make(&q, mixed, 5, mixed_fits, NULL);
  CHECK_NEED(p.row_count == q.row_count);
  CHECK(!memcmp(p.rows, q.rows, (size_t)p.row_count * sizeof *p.rows),
        "two calls, two answers");
  pairwise_free(&p);
  pairwise_free(&q);
}

static void test_text(void) {
  char text[200], least[8];
  pairwise p;
  pairwise_make(&p, mixed, 2, NULL, NULL);
  p.rows[0][0] = 2;
  p.rows[0][1] = 1;
  CHECK(!strcmp(pairwise_text(&p, 0, text, sizeof text), "D=128 dtype=f32"),
        "%s", text);
  CHECK(!strcmp(pairwise_text(&p, 0, least, sizeof least), "D=128 d"), "%s",
        least);
  pairwise_free(&p);
}

int main(void) {
  return CHECK_RUN(test_all_pairs, test_constraints, test_two_factors,
                   test_nothing_fits, test_same_again, test_text);
}

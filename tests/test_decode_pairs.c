/* Conformance of the TPU's decode: every two levels of every two of its factors
 * meet, on the simulated slice, against the fp64 reference within the bounds of
 * docs/numerics.md.
 *
 *   test_decode_pairs           all rows once, each with a seed of its own
 *   test_decode_pairs SEEDS     so many runs, over all rows in turn: each
 * another seed of the chips' asynchrony and of the numbers
 */
#include "pairwise.h"
#include "slice_case.h"

enum {
  GROUP,
  DIM,
  LENGTH_T,
  BATCH,
  HEADS,
  LENGTHS,
  WINDOW,
  SOFTCAP,
  SINKS,
  DTYPE,
  PAGE,
  CHIPS,
  SEGMENT,
  LSE,
  FACTORS
};

static const pairwise_factor factors[FACTORS] = {
    [GROUP] = {"group", PAIRWISE_WORDS("1", "2", "5", "8", "16", "32")},
    [DIM] = {"D", PAIRWISE_WORDS("64", "96", "128", "192/128", "256")},
    [LENGTH_T] = {"T", PAIRWISE_WORDS("1", "2", "4", "7", "8")},
    [BATCH] = {"B", PAIRWISE_WORDS("1", "2", "3")},
    [HEADS] = {"Hkv", PAIRWISE_WORDS("1", "2", "4")},
    [LENGTHS] = {"lengths", PAIRWISE_WORDS("0", "1", "tile-1", "tile", "tile+1",
                                           "uneven", "full")},
    [WINDOW] = {"window", PAIRWISE_WORDS("none", "5", "200")},
    [SOFTCAP] = {"softcap", PAIRWISE_WORDS("none", "20")},
    [SINKS] = {"sinks", PAIRWISE_WORDS("no", "yes")},
    [DTYPE] = {"dtype", PAIRWISE_WORDS("bf16", "f32", "bf16/int8", "f32/int8")},
    [PAGE] = {"page", PAIRWISE_WORDS("none", "16", "32", "64", "128", "256")},
    [CHIPS] = {"chips", PAIRWISE_WORDS("1", "4 heads", "4 tokens")},
    [SEGMENT] = {"segment", PAIRWISE_WORDS("no", "tile")},
    [LSE] = {"lse", PAIRWISE_WORDS("no", "yes")}};

enum { ONE_CHIP, BY_HEADS, BY_TOKENS };

/* The number that a level's word begins with; 0: none. */
static int64_t number(const int *row, int factor) {
  return strtoll(factors[factor].words[row[factor]], NULL, 10);
}

static bool is_int8(const int *row) {
  return strstr(factors[DTYPE].words[row[DTYPE]], "int8") != NULL;
}

/* A tile of int8 memory has 32 tokens; heads are shared by four alone. */
static bool fits(const int *row, const void *user) {
  (void)user;
  if (row[DTYPE] >= 0 && row[PAGE] >= 0 && is_int8(row) &&
      number(row, PAGE) == 16)
    return false;
  return !(row[CHIPS] == BY_HEADS && row[HEADS] >= 0 &&
           number(row, HEADS) != 4);
}

/* Tokens of a tile, on all chips that share them. */
static int64_t tile_of(const int *row) {
  int64_t lanes = number(row, DIM) == 64 ? 256 : 128;
  return base_max(lanes, number(row, PAGE));
}

static int64_t shared_tile(const int *row) {
  return tile_of(row) * (row[CHIPS] == BY_TOKENS ? 4 : 1);
}

static void fill_lengths(const int *row, int64_t most, int32_t *out,
                         int64_t batch) {
  int64_t tile = shared_tile(row);
  const int64_t same[] = {0, 1, tile - 1, tile, tile + 1};
  const int64_t some[] = {0, 1, 3, 17, tile - 1, 2 * tile + 5};
  for (int64_t b = 0; b < batch; b++) {
    if (row[LENGTHS] < COUNT(same))
      out[b] = (int32_t)same[row[LENGTHS]];
    else if (!strcmp(factors[LENGTHS].words[row[LENGTHS]], "full"))
      out[b] = (int32_t)most;
    else
      out[b] =
          (int32_t)(check_between(0, 2) ? PICK(some) : check_between(0, most));
  }
}

static pfl_decode problem_of(const int *row) {
  int64_t page = number(row, PAGE), most = 2 * shared_tile(row) + 128;
  pfl_decode d = {
      .struct_size = sizeof d,
      .batch = number(row, BATCH),
      .q_heads = number(row, GROUP) * number(row, HEADS),
      .kv_heads = number(row, HEADS),
      .q_length = number(row, LENGTH_T),
      .head_dim = number(row, DIM),
      .v_head_dim = number(row, DIM) == 192 ? 128 : 0,
      .cache_length = page ? 0 : most,
      .dtype = strncmp(factors[DTYPE].words[row[DTYPE]], "f32", 3)
                   ? PFL_DTYPE_BF16
                   : PFL_DTYPE_F32,
      .cache_dtype = is_int8(row) ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT,
      .scoring = {.softcap = (float)number(row, SOFTCAP),
                  .windowed = row[WINDOW] > 0,
                  .window_left = number(row, WINDOW),
                  .window_right = row[WINDOW] > 0 ? -1 : 0}};
  if (!page) return d;
  d.page_length = page;
  d.pages_per_sequence = base_ceil_div(most, page);
  d.page_count = 4 * d.batch * base_ceil_div(d.pages_per_sequence, 4);
  return d;
}

static void run_row(const pairwise *pairs, int i) {
  static char text[300];
  const int *row = pairs->rows[i];
  pfl_decode d = problem_of(row);
  int64_t most =
      d.page_length ? d.page_length * d.pages_per_sequence : d.cache_length;
  int32_t lengths[8];
  fill_lengths(row, most, lengths, d.batch);
  const decode_options options = {
      .call = {.dtype = d.dtype, .magnitude = 4, .sinks = row[SINKS] == 1},
      .int8 = is_int8(row),
      .paged = d.page_length > 0,
      .lengths = lengths};
  slice_case s = {.call = decode_make(d, &options),
                  .chips = row[CHIPS] == ONE_CHIP ? 1 : 4,
                  .tiles = {{"tile", tile_of(row)},
                            {"ring", check_between(0, 1) ? 2 : 4},
                            {"segment", row[SEGMENT] ? tile_of(row) : 65536},
                            {"head_chips", 1}},
                  .tile_count = row[CHIPS] == BY_TOKENS ? 4 : 3,
                  .no_lse = row[LSE] == 0};
  long before = check_failures;
  slice_run(&s, check_random());
  if (check_failures > before)
    fprintf(stderr, "row %d: %s\n", i,
            pairwise_text(pairs, i, text, sizeof text));
  decode_free(&s.call);
}

static int wanted; /* runs; 0: a share of the rows */

static void test_pairs(void) {
  pairwise pairs;
  pairwise_make(&pairs, factors, FACTORS, fits, NULL);
  /* int8 with pages of 16, and heads that four chips cannot share */
  CHECK(pairs.impossible == 2 + 2, "%d pairs are impossible", pairs.impossible);
  int runs = wanted ? wanted : check_cases(pairs.row_count);
  for (int i = 0; i < runs; i++) run_row(&pairs, i % pairs.row_count);
  printf("%d runs of %d rows, in which %d pairs meet\n", runs, pairs.row_count,
         pairs.pairs - pairs.impossible);
  pairwise_free(&pairs);
}

int main(int argc, char **argv) {
  wanted = argc > 1 ? atoi(argv[1]) : 0;
  int failed = CHECK_RUN(test_pairs);
  call_print_worst();
  return failed;
}

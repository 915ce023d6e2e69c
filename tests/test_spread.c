/* Tensors spread over chips and gathered again, against the definition, element
 * by element. */
#include "check.h"
#include "device/spread.h"

enum { MOST = 4096 };

static int64_t product(const int64_t *sizes, int from, int to) {
  int64_t all = 1;
  for (int i = from; i < to; i++) all *= sizes[i];
  return all;
}

typedef struct spread_case {
  kernels_tensor part;
  device_tensor whole;
  int chips;
  int64_t items, part_items;
} spread_case;

/* A whole of any shape, and parts that have room for their share and for more,
 * in another shape of as many elements. */
static spread_case random_case(void) {
  static uint32_t data[4 * MOST];
  spread_case c = {.chips = (int)check_between(1, 4)};
  c.whole = (device_tensor){
      .name = "x",
      .dtype = check_random() & 1 ? PFL_DTYPE_I32 : PFL_DTYPE_F32,
      .rank = (int)check_between(1, 4),
      .data = data};
  for (int i = 0; i < c.whole.rank; i++)
    c.whole.shape[i] = check_between(check_random() % 8 ? 1 : 0, 7);
  c.part = (kernels_tensor){.name = "x", .dtype = c.whole.dtype, .rank = 2};
  c.items = product(c.whole.shape, 0, c.whole.rank);
  c.part.split.split = check_random() % 4;
  if (!c.part.split.split) {
    c.part.shape[0] = 1;
    c.part.shape[1] = c.part_items = c.items + check_between(0, 9);
    return c;
  }
  int at = (int)check_between(0, c.whole.rank - 1);
  int64_t unit = check_between(1, 3), turn = unit * c.chips;
  int64_t local =
      (c.whole.shape[at] + turn - 1) / turn * unit + check_between(0, 3);
  c.part.split = (kernels_split){true, at, unit};
  c.part.shape[0] = product(c.whole.shape, 0, at);
  c.part.shape[1] = local * product(c.whole.shape, at + 1, c.whole.rank);
  c.part_items = c.part.shape[0] * c.part.shape[1];
  return c;
}

/* Rows with zeros behind them, where the last dimension is not split. */
static void pad_rows(spread_case *c) {
  int last = c->whole.rank - 1;
  int64_t row = c->whole.shape[last];
  if (!row || (c->part.split.split && c->part.split.dimension == last)) return;
  c->part.row = row;
  c->part.rank = 3;
  c->part.shape[1] = (c->part.shape[1] + row - 1) / row;
  c->part.shape[2] = row + check_between(0, 3);
  c->part.repeats = check_random() % 2;
  c->part_items = product(c->part.shape, 0, 3);
}

/* Where element `i` of the whole lies, by the words of kernels_split. */
static void find_place(const spread_case *c, int64_t i, int *out_chip,
                       int64_t *out_item) {
  const kernels_split *split = &c->part.split;
  int64_t row = c->part.row;
  *out_chip = 0;
  *out_item = row ? i / row * c->part.shape[2] + i % row : i;
  if (!split->split) return;
  int64_t inner = product(c->whole.shape, split->dimension + 1, c->whole.rank);
  int64_t extent = c->whole.shape[split->dimension];
  int64_t x = i / inner % extent, block = x / split->unit;
  int64_t local = block / c->chips * split->unit + x % split->unit;
  *out_chip = (int)(block % c->chips);
  int64_t outer = c->part.shape[1] * (row ? row : 1);
  *out_item = i / inner / extent * outer + local * inner + i % inner;
  if (row) *out_item = *out_item / row * c->part.shape[2] + *out_item % row;
}

/* What stands behind an element of a padded row, a row or more on. */
static void check_padding(const spread_case *c, const uint32_t *part,
                          int64_t item, uint32_t element) {
  int64_t width = c->part.shape[2];
  for (int64_t at = item % width + c->part.row; at < width; at += c->part.row)
    CHECK(part[item / width * width + at] == (c->part.repeats ? element : 0),
          "padding at %lld", (long long)at);
}

static void check_case(spread_case *c) {
  static uint32_t back[4 * MOST], parts[4][MOST];
  uint32_t *whole = c->whole.data;
  pfl_error error = {0};
  CHECK_NEED(c->part_items <= MOST);
  CHECK(!device_spread_check(&c->part, c->chips, &c->whole, &error), "%s",
        error.message);
  for (int64_t i = 0; i < c->items; i++) whole[i] = (uint32_t)i + 7;
  memset(parts, 0, sizeof parts);
  memset(back, 0, sizeof back);
  for (int chip = 0; chip < c->chips; chip++)
    device_spread(&c->part, c->chips, chip, &c->whole, parts[chip]);
  int64_t padding = 0;
  for (int chip = 0; chip < c->chips; chip++)
    for (int64_t i = 0; i < c->part_items; i++)
      padding += parts[chip][i] == UINT32_MAX;
  int copies = c->part.split.split ? 1 : c->chips;
  int64_t taken = c->items;
  if (c->part.row) taken = taken / c->part.row * c->part.shape[2];
  CHECK(padding == c->part_items * c->chips - taken * copies, "%lld of padding",
        (long long)padding);
  for (int64_t i = 0; i < c->items; i++) {
    int chip;
    int64_t item;
    find_place(c, i, &chip, &item);
    CHECK(parts[chip][item] == whole[i], "element %lld", (long long)i);
    if (c->part.row) check_padding(c, parts[chip], item, whole[i]);
  }
  c->whole.data = back;
  for (int chip = 0; chip < (copies > 1 ? 1 : c->chips); chip++)
    device_gather(&c->part, c->chips, chip, parts[chip], &c->whole);
  CHECK(!memcmp(whole, back, (size_t)c->items * 4), "gathered");
}

static void test_spread(void) {
  for (int round = check_cases(5000); round--;) {
    spread_case c = random_case();
    if (round % 2) pad_rows(&c);
    check_case(&c);
  }
}

static bool is_refused(const kernels_tensor *part, const device_tensor *whole) {
  return device_spread_check(part, 4, whole, NULL) ==
         PFL_STATUS_INVALID_ARGUMENT;
}

static void test_refusals(void) {
  const kernels_tensor part = {.name = "k",
                               .dtype = PFL_DTYPE_BF16,
                               .rank = 3,
                               .shape = {2, 6, 8},
                               .split = {true, 1, 3}};
  const device_tensor whole = {
      .name = "k", .dtype = PFL_DTYPE_BF16, .rank = 3, .shape = {2, 24, 8}};
  device_tensor other = whole;
  kernels_tensor bad = part;
  CHECK(!is_refused(&part, &whole), "full");
  other.shape[1] = 25;
  CHECK(is_refused(&part, &other), "more than there is room for");
  other.shape[1] = 24, other.shape[2] = 7;
  CHECK(is_refused(&part, &other), "rows of another length");
  other = whole, other.dtype = PFL_DTYPE_F16;
  CHECK(is_refused(&part, &other), "another dtype");
  other = whole, other.shape[0] = INT64_C(1) << 40;
  other.shape[1] = INT64_C(1) << 40;
  CHECK(is_refused(&part, &other), "too large");
  bad.row = 7;
  CHECK(is_refused(&bad, &whole), "padded rows of another length");
  bad = part, bad.row = 8, bad.split.dimension = 2;
  CHECK(is_refused(&bad, &whole), "padded rows that are split");
  bad = part, bad.split.unit = 0;
  CHECK(is_refused(&bad, &whole), "no unit");
  bad.split = (kernels_split){true, 3, 3};
  CHECK(is_refused(&bad, &whole), "no such dimension");
  bad.split = (kernels_split){true, 1, INT64_MAX / 2};
  CHECK(is_refused(&bad, &whole), "a turn too large");
  bad.split.split = false;
  CHECK(is_refused(&bad, &whole), "not split, and too large");
  bad.shape[0] = bad.shape[1] = INT64_C(1) << 40;
  CHECK(is_refused(&bad, &whole), "parts too large");
}

int main(void) { return CHECK_RUN(test_spread, test_refusals); }

/* Tensors spread over chips and gathered again, against the definition, element
 * by element. */
#include "check.h"
#include "device/spread.h"

enum { MOST = 4096 };

/* What block b of a row lies on, by the words of kernels_split. */
typedef struct place {
  int chip;
  int64_t item; /* of the part */
} place;

static int64_t product(const int64_t *sizes, int from, int to) {
  int64_t all = 1;
  for (int i = from; i < to; i++) all *= sizes[i];
  return all;
}

/* Where element `i` of a row of the whole lies in its row of a part. */
static place place_of(const kernels_tensor *tensor, int chips, int64_t i) {
  const kernels_split *split = &tensor->split;
  int64_t inner = product(tensor->shape, split->dimension + 1, tensor->rank);
  int64_t index = i / inner, block = index / split->unit;
  int64_t local = block / chips * split->unit + index % split->unit;
  return (place){(int)(block % chips), local * inner + i % inner};
}

static kernels_tensor random_tensor(int chips, int64_t *out_items) {
  kernels_tensor tensor = {
      .name = "x",
      .dtype = check_random() & 1 ? PFL_DTYPE_I32 : PFL_DTYPE_F32,
      .rank = (int)check_between(1, 4)};
  for (int i = 0; i < tensor.rank; i++) tensor.shape[i] = check_between(1, 6);
  tensor.split.split = check_random() % 4;
  if (!tensor.split.split) { /* room for more, at the end */
    *out_items = check_between(0, product(tensor.shape, 0, tensor.rank));
    return tensor;
  }
  int split = (int)check_between(0, tensor.rank - 1);
  tensor.split.dimension = split;
  tensor.split.unit = check_between(1, 3);
  tensor.shape[split] = tensor.split.unit * check_between(1, 4);
  int64_t outer = product(tensor.shape, 0, split);
  *out_items =
      outer *
      check_between(0, product(tensor.shape, split, tensor.rank) * chips);
  return tensor;
}

static void test_spread(void) {
  for (int round = check_cases(3000); round--;) {
    int chips = (int)check_between(1, 4);
    int64_t items, part_bytes;
    kernels_tensor tensor = random_tensor(chips, &items);
    static uint32_t whole[4 * MOST], back[4 * MOST], parts[4][MOST];
    CHECK_NEED(!device_part_bytes(&tensor, &part_bytes, NULL) &&
               part_bytes <= (int64_t)sizeof parts[0]);
    pfl_error error = {0};
    CHECK(!device_spread_check(&tensor, chips, items, &error), "%s",
          error.message);
    for (int64_t i = 0; i < items; i++) whole[i] = (uint32_t)i + 7;
    memset(parts, 0, sizeof parts);
    memset(back, 0, sizeof back);
    for (int chip = 0; chip < chips; chip++)
      device_spread(&tensor, chips, chip, whole, items, parts[chip]);
    int64_t padding = 0, part_items = part_bytes / 4;
    for (int chip = 0; chip < chips; chip++)
      for (int64_t i = 0; i < part_items; i++)
        padding += parts[chip][i] == UINT32_MAX;
    CHECK(padding ==
              part_items * chips - items * (tensor.split.split ? 1 : chips),
          "%lld of padding", (long long)padding);
    int64_t outer = tensor.split.split
                        ? product(tensor.shape, 0, tensor.split.dimension)
                        : 1;
    int64_t row = items / outer, part_row = part_items / outer;
    for (int64_t i = 0; i < items; i++) {
      place at = {0, i};
      if (tensor.split.split) at = place_of(&tensor, chips, i % row);
      int64_t where =
          tensor.split.split ? i / row * part_row + at.item : at.item;
      CHECK(parts[at.chip][where] == whole[i], "element %lld", (long long)i);
    }
    for (int chip = 0; chip < (tensor.split.split ? chips : 1); chip++)
      device_gather(&tensor, chips, chip, parts[chip], items, back);
    CHECK(!memcmp(whole, back, (size_t)items * 4), "gathered");
  }
}

static void test_refusals(void) {
  const kernels_tensor good = {.name = "k",
                               .dtype = PFL_DTYPE_BF16,
                               .rank = 3,
                               .shape = {2, 6, 8},
                               .split = {true, 1, 3}};
  CHECK(!device_spread_check(&good, 4, 2 * 24 * 8, NULL), "full");
  CHECK(device_spread_check(&good, 4, 2 * 24 * 8 + 2, NULL), "too many");
  CHECK(device_spread_check(&good, 4, 3, NULL), "no whole rows");
  kernels_tensor bad = good;
  bad.split.unit = 4;
  CHECK(device_spread_check(&bad, 4, 2, NULL), "units that do not fit");
  bad = good;
  bad.split.dimension = 3;
  CHECK(device_spread_check(&bad, 4, 2, NULL), "no such dimension");
  bad = good;
  bad.split.split = false;
  CHECK(!device_spread_check(&bad, 4, 96, NULL), "whole");
  CHECK(device_spread_check(&bad, 4, 97, NULL), "more than there is room for");
  bad.shape[0] = bad.shape[1] = INT64_C(1) << 40;
  CHECK(device_spread_check(&bad, 4, 97, NULL), "too large");
}

int main(void) { return CHECK_RUN(test_spread, test_refusals); }

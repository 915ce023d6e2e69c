#include "device/spread.h"

#include <string.h>

/* The part of a chip is [outer, blocks, unit, inner]; the whole is
 * [outer, all blocks, unit, inner], of which the last block of each row may be
 * cut short, anywhere. Block b lies on chip b % chips as its number b / chips.
 */
typedef struct spread {
  int64_t outer, block, blocks; /* rows; items of a block; blocks of a row */
  int64_t row;                  /* items of a row of the whole */
  size_t item;                  /* bytes */
} spread;

pfl_status device_part_bytes(const kernels_tensor *tensor, int64_t *out_bytes,
                             pfl_error *error) {
  if (!base_product(tensor->shape, tensor->rank, out_bytes) ||
      !base_multiply(*out_bytes, (int64_t)pfl_dtype_size(tensor->dtype),
                     out_bytes))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s has more bytes than 64 bits count", tensor->name);
  return PFL_STATUS_OK;
}

/* A tensor that is not split is one row of one block. */
static spread plan(const kernels_tensor *tensor, int64_t items) {
  spread s = {.outer = 1, .blocks = 1, .item = pfl_dtype_size(tensor->dtype)};
  const kernels_split *split = &tensor->split;
  if (!split->split) {
    (void)!base_product(tensor->shape, tensor->rank, &s.block);
    s.row = items;
    return s;
  }
  int64_t inner = 1;
  for (int i = 0; i < split->dimension; i++) s.outer *= tensor->shape[i];
  for (int i = split->dimension + 1; i < tensor->rank; i++)
    inner *= tensor->shape[i];
  s.block = split->unit * inner;
  s.blocks = tensor->shape[split->dimension] / split->unit;
  s.row = s.outer ? items / s.outer : 0;
  return s;
}

pfl_status device_spread_check(const kernels_tensor *tensor, int chips,
                               int64_t items, pfl_error *error) {
  int64_t bytes;
  const kernels_split *split = &tensor->split;
  PFL_TRY(device_part_bytes(tensor, &bytes, error));
  if (split->split &&
      (split->dimension < 0 || split->dimension >= tensor->rank ||
       split->unit < 1 || tensor->shape[split->dimension] % split->unit))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s is split by units of %lld along dimension %d",
              tensor->name, (long long)split->unit, split->dimension);
  spread s = plan(tensor, items);
  int64_t room = s.blocks * s.block;
  if (split->split && !base_multiply(room, chips, &room)) room = 0;
  if (s.outer * s.row != items || s.row > room)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s has %lld elements: the program has room for %lld rows "
              "of %lld",
              tensor->name, (long long)items, (long long)s.outer,
              (long long)room);
  return PFL_STATUS_OK;
}

/* Items of a row that are in block number `block` of the chip, and where in the
 * whole row they begin. */
static int64_t block_items(const spread *s, bool split, int chips, int chip,
                           int64_t block, int64_t *out_begin) {
  int64_t number = split ? block * chips + chip : block;
  *out_begin = number * s->block;
  return base_max(0, base_min(s->block, s->row - *out_begin));
}

void device_spread(const kernels_tensor *tensor, int chips, int chip,
                   const void *whole, int64_t items, void *out_part) {
  spread s = plan(tensor, items);
  char *to = out_part;
  for (int64_t row = 0; row < s.outer; row++)
    for (int64_t block = 0; block < s.blocks; block++) {
      int64_t begin, count = block_items(&s, tensor->split.split, chips, chip,
                                         block, &begin);
      size_t bytes = (size_t)count * s.item;
      size_t all = (size_t)s.block * s.item;
      if (bytes)
        memcpy(to, (const char *)whole + (size_t)(row * s.row + begin) * s.item,
               bytes);
      memset(to + bytes, 0xff, all - bytes);
      to += all;
    }
}

void device_gather(const kernels_tensor *tensor, int chips, int chip,
                   const void *part, int64_t items, void *out_whole) {
  spread s = plan(tensor, items);
  const char *from = part;
  for (int64_t row = 0; row < s.outer; row++)
    for (int64_t block = 0; block < s.blocks; block++) {
      int64_t begin, count = block_items(&s, tensor->split.split, chips, chip,
                                         block, &begin);
      if (count)
        memcpy((char *)out_whole + (size_t)(row * s.row + begin) * s.item, from,
               (size_t)count * s.item);
      from += (size_t)s.block * s.item;
    }
}

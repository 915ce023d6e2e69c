#include "device/spread.h"

#include <string.h>

/* The whole is [outer, extent, inner] elements, a part [outer, local, inner];
 * block b of `unit` lies on chip b % chips as its number b / chips. A tensor
 * that is not split is one block, with room for more behind it. `row` elements
 * that lie together in the whole take `width` in the part; where rows are not
 * padded both are 1. */
typedef struct spread {
  int64_t outer, extent, inner, local, unit;
  int64_t row, width;
  bool split, repeats;
  size_t item; /* bytes of an element */
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

static int64_t product(const int64_t *sizes, int from, int to) {
  int64_t all = 1;
  for (int i = from; i < to; i++) all *= sizes[i];
  return all;
}

/* Elements of a whole that a part has room for. */
static int64_t room_of(const kernels_tensor *tensor) {
  int64_t room = product(tensor->shape, 0, tensor->rank);
  return tensor->row ? room / tensor->shape[tensor->rank - 1] * tensor->row
                     : room;
}

/* Both tensors' elements can be counted, and the split is of a dimension. */
static spread plan(const kernels_tensor *tensor, const device_tensor *whole) {
  const kernels_split *split = &tensor->split;
  int64_t room = room_of(tensor);
  spread s = {.outer = 1,
              .extent = product(whole->shape, 0, whole->rank),
              .inner = 1,
              .local = room,
              .unit = room,
              .row = tensor->row ? tensor->row : 1,
              .width = tensor->row ? tensor->shape[tensor->rank - 1] : 1,
              .split = split->split,
              .repeats = tensor->repeats,
              .item = pfl_dtype_size(tensor->dtype)};
  if (!split->split) return s;
  s.outer = product(whole->shape, 0, split->dimension);
  s.extent = whole->shape[split->dimension];
  s.inner = product(whole->shape, split->dimension + 1, whole->rank);
  int64_t row = s.outer * s.inner;
  s.local = row ? room / row : 0;
  s.unit = split->unit;
  return s;
}

static pfl_status check_counts(const kernels_tensor *tensor,
                               const device_tensor *whole, pfl_error *error) {
  int64_t bytes, items;
  const kernels_split *split = &tensor->split;
  PFL_TRY(device_part_bytes(tensor, &bytes, error));
  if (whole->rank < 0 || whole->rank > KERNELS_RANK_MAX ||
      !base_product(whole->shape, whole->rank, &items) ||
      !base_multiply(items, (int64_t)pfl_dtype_size(tensor->dtype), &bytes))
    PFL_RAISE(error, INVALID_ARGUMENT, "tensor %s has no such shape",
              tensor->name);
  if (whole->dtype != tensor->dtype)
    PFL_RAISE(error, INVALID_ARGUMENT, "tensor %s is %s: must be %s",
              tensor->name, pfl_dtype_name(whole->dtype),
              pfl_dtype_name(tensor->dtype));
  if (split->split && (split->dimension < 0 ||
                       split->dimension >= whole->rank || split->unit < 1))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s is split by units of %lld along dimension %d",
              tensor->name, (long long)split->unit, split->dimension);
  if (tensor->row &&
      (whole->rank < 1 || whole->shape[whole->rank - 1] != tensor->row ||
       (split->split && split->dimension == whole->rank - 1)))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s must have rows of %lld elements, together",
              tensor->name, (long long)tensor->row);
  return PFL_STATUS_OK;
}

/* The last two dimensions, of the whole, of a tensor that has them swapped. */
static pfl_status check_swapped(const kernels_tensor *tensor,
                                const device_tensor *whole, pfl_error *error) {
  int rank = tensor->rank;
  bool same = !tensor->split.split && rank >= 2 && whole->rank == rank &&
              whole->shape[rank - 2] == tensor->shape[rank - 1] &&
              whole->shape[rank - 1] == tensor->shape[rank - 2];
  for (int i = 0; same && i < rank - 2; i++)
    same = whole->shape[i] == tensor->shape[i];
  if (!same)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s is not what the program has, the last two dimensions "
              "swapped",
              tensor->name);
  return PFL_STATUS_OK;
}

/* Indices of the dimension that lie on chip 0, which has the most. */
static int64_t most_local(const spread *s, int chips) {
  int64_t turn = s->unit * chips, rest = s->extent % turn;
  return s->extent / turn * s->unit + base_min(rest, s->unit);
}

pfl_status device_spread_check(const kernels_tensor *tensor, int chips,
                               const device_tensor *whole, pfl_error *error) {
  PFL_TRY(check_counts(tensor, whole, error));
  if (tensor->swapped) return check_swapped(tensor, whole, error);
  spread s = plan(tensor, whole);
  int64_t turn, needed = s.extent;
  if (s.split) {
    if (!base_multiply(s.unit, chips, &turn)) turn = 0;
    needed = turn ? most_local(&s, chips) : INT64_MAX;
  }
  int64_t room = room_of(tensor);
  bool empty = !product(whole->shape, 0, whole->rank);
  if (empty) return PFL_STATUS_OK;
  if (needed > s.local || (s.split && s.outer * s.local * s.inner != room))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tensor %s of %lld elements does not fit the program: a chip has "
              "room for %lld of them, in %lld rows of %lld",
              tensor->name, (long long)product(whole->shape, 0, whole->rank),
              (long long)room, (long long)s.outer, (long long)s.local);
  return PFL_STATUS_OK;
}

/* Called for each run of elements that a chip has: where it lies in the whole
 * and in the part. */
typedef void run_fn(const spread *s, char *whole, char *part, int64_t count);

/* A row's place, which is wider. */
static void pad_row(const spread *s, const char *row, char *place) {
  int64_t at = 0;
  for (; at + s->row <= s->width && (s->repeats || !at); at += s->row)
    memcpy(place + (size_t)at * s->item, row, (size_t)s->row * s->item);
  char *rest = place + (size_t)at * s->item;
  size_t size = (size_t)(s->width - at) * s->item;
  if (s->repeats)
    memcpy(rest, row, size);
  else
    memset(rest, 0, size);
}

static void to_part(const spread *s, char *whole, char *part, int64_t count) {
  size_t row = (size_t)s->row * s->item, width = (size_t)s->width * s->item;
  if (s->row == s->width) {
    memcpy(part, whole, (size_t)count * s->item);
    return;
  }
  for (int64_t i = 0; i < count / s->row; i++)
    pad_row(s, whole + (size_t)i * row, part + (size_t)i * width);
}

static void to_whole(const spread *s, char *whole, char *part, int64_t count) {
  size_t row = (size_t)s->row * s->item, width = (size_t)s->width * s->item;
  if (s->row == s->width) {
    memcpy(whole, part, (size_t)count * s->item);
    return;
  }
  for (int64_t i = 0; i < count / s->row; i++)
    memcpy(whole + (size_t)i * row, part + (size_t)i * width, row);
}

static void each_run(const spread *s, int chips, int chip, char *whole,
                     char *part, run_fn *call) {
  int64_t step = s->split ? s->unit * chips : s->extent;
  int64_t first = s->split ? s->unit * chip : 0;
  int64_t inner = s->inner / s->row * s->width; /* in the part, if split */
  for (int64_t o = 0; o < s->outer; o++) {
    char *to = part + (size_t)(o * s->local * inner) * s->item;
    for (int64_t x = first; x < s->extent; x += step) {
      int64_t count = base_min(s->split ? s->unit : s->extent, s->extent - x);
      call(s, whole + (size_t)((o * s->extent + x) * s->inner) * s->item, to,
           count * s->inner);
      to += (size_t)(s->unit * inner) * s->item;
    }
  }
}

/* [outer, rows, columns] to [outer, columns, rows]. */
static void swap(const char *from, char *to, int64_t outer, int64_t rows,
                 int64_t columns, size_t item) {
  for (int64_t o = 0; o < outer; o++)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < columns; c++)
        memcpy(to + (size_t)((o * columns + c) * rows + r) * item,
               from + (size_t)((o * rows + r) * columns + c) * item, item);
}

void device_spread(const kernels_tensor *tensor, int chips, int chip,
                   const device_tensor *whole, void *out_part) {
  spread s = plan(tensor, whole);
  int64_t room = product(tensor->shape, 0, tensor->rank);
  memset(out_part, 0xff, (size_t)room * s.item);
  if (tensor->swapped) {
    const int64_t *last = tensor->shape + tensor->rank - 2;
    swap(whole->data, out_part, product(tensor->shape, 0, tensor->rank - 2),
         last[1], last[0], s.item);
    return;
  }
  each_run(&s, chips, chip, whole->data, out_part, to_part);
}

void device_gather(const kernels_tensor *tensor, int chips, int chip,
                   const void *part, const device_tensor *whole) {
  spread s = plan(tensor, whole);
  if (tensor->swapped) {
    const int64_t *last = tensor->shape + tensor->rank - 2;
    swap(part, whole->data, product(tensor->shape, 0, tensor->rank - 2),
         last[0], last[1], s.item);
    return;
  }
  each_run(&s, chips, chip, whole->data, (char *)part, to_whole);
}

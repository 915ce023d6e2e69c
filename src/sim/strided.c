#include "sim/strided.h"

#include <string.h>

void sim_dense(int rank, const int64_t *sizes, int64_t *out_strides) {
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    out_strides[i] = stride;
    stride *= sizes[i];
  }
}

void sim_copy_merge(sim_copy *copy) {
  int rank = 0;
  for (int i = 0; i < copy->rank; i++) {
    if (copy->sizes[i] == 1) continue;
    int last = rank - 1;
    if (rank && copy->to[last] == copy->to[i] * copy->sizes[i] &&
        copy->from[last] == copy->from[i] * copy->sizes[i]) {
      copy->sizes[last] *= copy->sizes[i];
    } else {
      last = rank++;
      copy->sizes[last] = copy->sizes[i];
    }
    copy->to[last] = copy->to[i];
    copy->from[last] = copy->from[i];
  }
  copy->rank = rank;
}

/* ---- Rows and planes, by element size ------------------------------------ */

/* The caller's arrays have any alignment. */
typedef uint8_t __attribute__((may_alias)) any8;
typedef uint16_t __attribute__((may_alias, aligned(1))) any16;
typedef uint32_t __attribute__((may_alias, aligned(1))) any32;

#define ROWS(T)                                                             \
  static void row_##T(T *to, int64_t to_step, const T *from,                \
                      int64_t from_step, int64_t count) {                   \
    if (from_step == 0 && to_step == 1) {                                   \
      T one = *from;                                                        \
      for (int64_t i = 0; i < count; i++) to[i] = one;                      \
    } else if (to_step == 1) {                                              \
      for (int64_t i = 0; i < count; i++) to[i] = from[i * from_step];      \
    } else {                                                                \
      for (int64_t i = 0; i < count; i++)                                   \
        to[i * to_step] = from[i * from_step];                              \
    }                                                                       \
  }                                                                         \
  /* A transpose, in blocks that stay in the cache. */                      \
  static void plane_##T(T *to, int64_t to_row, const T *from,               \
                        int64_t from_step, int64_t rows, int64_t columns) { \
    enum { BLOCK = 16 };                                                    \
    for (int64_t c = 0; c < columns; c += BLOCK)                            \
      for (int64_t r = 0; r < rows; r += BLOCK)                             \
        for (int64_t i = r; i < rows && i < r + BLOCK; i++)                 \
          for (int64_t j = c; j < columns && j < c + BLOCK; j++)            \
            to[i * to_row + j] = from[j * from_step + i];                   \
  }
ROWS(any8)
ROWS(any16)
ROWS(any32)

static void copy_row(char *to, int64_t to_step, const char *from,
                     int64_t from_step, int64_t count, int bytes) {
  if (to_step == 1 && from_step == 1)
    memcpy(to, from, (size_t)(count * bytes));
  else if (bytes == 4)
    row_any32((any32 *)to, to_step, (const any32 *)from, from_step, count);
  else if (bytes == 2)
    row_any16((any16 *)to, to_step, (const any16 *)from, from_step, count);
  else
    row_any8((any8 *)to, to_step, (const any8 *)from, from_step, count);
}

/* The last two dimensions. */
static void copy_plane(const sim_copy *x, char *to, const char *from,
                       int bytes) {
  int r = x->rank - 2, c = x->rank - 1;
  int64_t rows = x->sizes[r], columns = x->sizes[c];
  if (x->to[c] == 1 && x->from[r] == 1 && x->from[c] != 1) {
    if (bytes == 4)
      plane_any32((any32 *)to, x->to[r], (const any32 *)from, x->from[c], rows,
                  columns);
    else if (bytes == 2)
      plane_any16((any16 *)to, x->to[r], (const any16 *)from, x->from[c], rows,
                  columns);
    else
      plane_any8((any8 *)to, x->to[r], (const any8 *)from, x->from[c], rows,
                 columns);
    return;
  }
  for (int64_t i = 0; i < rows; i++)
    copy_row(to + i * x->to[r] * bytes, x->to[c], from + i * x->from[r] * bytes,
             x->from[c], columns, bytes);
}

void sim_copy_run(const sim_copy *x, void *to, const void *from, int bytes) {
  char *t = to;
  const char *f = from;
  if (x->rank == 0) {
    memcpy(t, f, (size_t)bytes);
    return;
  }
  if (x->rank == 1) {
    copy_row(t, x->to[0], f, x->from[0], x->sizes[0], bytes);
    return;
  }
  int64_t at[SIM_RANK_MAX + 1] = {0};
  for (int i = 0; i < x->rank; i++)
    if (x->sizes[i] == 0) return;
  for (;;) {
    copy_plane(x, t, f, bytes);
    int i = x->rank - 3;
    for (; i >= 0; i--) {
      t += x->to[i] * bytes;
      f += x->from[i] * bytes;
      if (++at[i] < x->sizes[i]) break;
      t -= at[i] * x->to[i] * bytes;
      f -= at[i] * x->from[i] * bytes;
      at[i] = 0;
    }
    if (i < 0) return;
  }
}

#include "cache/host_pages.h"

#include <math.h>
#include <string.h>

/* ---- Memory -------------------------------------------------------------- */

static bool is_scaled(const cache_shape *shape) {
  return shape->cache_dtype == PFL_DTYPE_I8;
}

/* Bytes of a token of one head, in k or v. */
static size_t row_bytes(const cache_shape *shape, bool values) {
  return (size_t)(values ? shape->Dv : shape->D) *
         pfl_dtype_size(shape->cache_dtype);
}

int64_t host_token_bytes(const cache_shape *shape) {
  return (int64_t)(row_bytes(shape, false) + row_bytes(shape, true) +
                   (is_scaled(shape) ? 2 * sizeof(float) : 0));
}

int64_t host_pages_bytes(const cache_shape *shape, int64_t pages) {
  return pages * shape->Hkv * shape->limits.page_length *
         host_token_bytes(shape);
}

pfl_status host_pages_init(const cache_shape *shape, int64_t count,
                           const pfl_allocator *allocator,
                           host_pages *out_pages, pfl_error *error) {
  size_t rows = (size_t)(count * shape->Hkv * shape->limits.page_length);
  host_pages pages = {.allocator = *allocator, .shape = *shape, .count = count};
  pages.k = base_allocate(allocator, rows * row_bytes(shape, false));
  pages.v = base_allocate(allocator, rows * row_bytes(shape, true));
  bool all = pages.k && pages.v;
  if (is_scaled(shape)) {
    pages.k_scale = base_allocate(allocator, rows * sizeof(float));
    pages.v_scale = base_allocate(allocator, rows * sizeof(float));
    all = all && pages.k_scale && pages.v_scale;
  }
  *out_pages = pages;
  if (all) return PFL_STATUS_OK;
  host_pages_release(out_pages);
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %lld bytes of pages",
            (long long)host_pages_bytes(shape, count));
}

void host_pages_release(host_pages *pages) {
  base_release(&pages->allocator, pages->k);
  base_release(&pages->allocator, pages->v);
  base_release(&pages->allocator, pages->k_scale);
  base_release(&pages->allocator, pages->v_scale);
  *pages = (host_pages){.allocator = pages->allocator};
}

/* ---- Rows: tokens of one head that lie beside each other ------------------
 */

static char *row_at(const host_pages *pages, int64_t row, bool values) {
  return (char *)(values ? pages->v : pages->k) +
         (size_t)row * row_bytes(&pages->shape, values);
}

/* The number of the row of token `within` of a page. */
static int64_t row_of(const host_pages *pages, int64_t page, int64_t head,
                      int64_t within) {
  return (page * pages->shape.Hkv + head) * pages->shape.limits.page_length +
         within;
}

static void copy_rows(const host_pages *source, int64_t from,
                      host_pages *target, int64_t to, int64_t count) {
  const cache_shape *shape = &source->shape;
  for (int values = 0; values < 2; values++)
    memcpy(row_at(target, to, values), row_at(source, from, values),
           (size_t)count * row_bytes(shape, values));
  if (!is_scaled(shape)) return;
  size_t bytes = (size_t)count * sizeof(float);
  memcpy(target->k_scale + to, source->k_scale + from, bytes);
  memcpy(target->v_scale + to, source->v_scale + from, bytes);
}

static void clear_rows(host_pages *pages, int64_t row, int64_t count) {
  const cache_shape *shape = &pages->shape;
  for (int values = 0; values < 2; values++)
    memset(row_at(pages, row, values), 0,
           (size_t)count * row_bytes(shape, values));
  if (!is_scaled(shape)) return;
  memset(pages->k_scale + row, 0, (size_t)count * sizeof(float));
  memset(pages->v_scale + row, 0, (size_t)count * sizeof(float));
}

void host_pages_clear(host_pages *pages) {
  const cache_limits *limits = &pages->shape.limits;
  clear_rows(pages, 0, pages->count * pages->shape.Hkv * limits->page_length);
}

void host_pages_copy(const host_pages *source, int64_t from, host_pages *target,
                     int64_t to, int64_t rows) {
  int64_t left = source->shape.limits.page_length - rows;
  for (int64_t head = 0; head < source->shape.Hkv; head++) {
    copy_rows(source, row_of(source, from, head, 0), target,
              row_of(target, to, head, 0), rows);
    clear_rows(target, row_of(target, to, head, rows), left);
  }
}

/* ---- Quantising ---------------------------------------------------------- */

/* The scale of a token's numbers; NaN if one of them is not finite. */
static float scale_of(const float *x, int64_t count) {
  float most = 0, sum = 0; /* 0 x is NaN where x is not finite */
  for (int64_t d = 0; d < count; d++) {
    most = fmaxf(most, fabsf(x[d]));
    sum += 0 * x[d];
  }
  return sum == 0 ? most / 127 : NAN;
}

static float quantise(const float *x, int64_t count, int8_t *out) {
  float scale = scale_of(x, count);
  /* a scale so small that it has lost bits, or is 0, has quotients beyond 127
   */
  for (int64_t d = 0; d < count; d++) {
    float whole = scale > 0 ? rintf(x[d] / scale) : 0;
    out[d] = (int8_t)fminf(127, fmaxf(-127, whole));
  }
  return scale;
}

void host_quantise(const cpu_kernels *kernels, pfl_dtype dtype,
                   const void *from, int64_t width, int64_t count, int8_t *to,
                   float *scales) {
  size_t bytes = (size_t)width * pfl_dtype_size(dtype);
  float wide[PFL_HEAD_DIM_MAX];
  for (int64_t i = 0; i < count; i++) {
    kernels->widen[dtype](wide, (const char *)from + (size_t)i * bytes, width);
    scales[i] = quantise(wide, width, to + i * width);
  }
}

/* ---- Steps --------------------------------------------------------------- */

typedef struct append_job {
  host_pages *pages;
  const cache_ledger *ledger;
  const cpu_kernels *kernels;
  const void *tensors[2]; /* k, v */
} append_job;

/* What the first page written is a copy of, before anybody writes to it: one
 * sequence of a step may copy what another goes on in. */
static void copy_shared(void *argument, int64_t task, int32_t worker) {
  const append_job *job = argument;
  const cache_ledger *ledger = job->ledger;
  int64_t Hkv = job->pages->shape.Hkv, head = task % Hkv;
  const cache_change *change = &ledger->changes[task / Hkv];
  (void)worker;
  if (change->copied_from < 0) return;
  int64_t length = ledger->lengths[change->slot];
  int64_t page_length = ledger->limits.page_length;
  int32_t page = cache_row_of(ledger, change->slot)[length / page_length];
  copy_rows(job->pages, row_of(job->pages, change->copied_from, head, 0),
            job->pages, row_of(job->pages, page, head, 0),
            length % page_length);
}

/* Numbers of `count` tokens into the rows from `row` on. */
static void put_rows(const append_job *job, const void *from, int64_t row,
                     int64_t count, bool values) {
  const cache_shape *shape = &job->pages->shape;
  int64_t width = values ? shape->Dv : shape->D;
  size_t given = (size_t)width * pfl_dtype_size(shape->dtype);
  char *to = row_at(job->pages, row, values);
  if (!is_scaled(shape)) {
    memcpy(to, from, (size_t)count * given);
    return;
  }
  host_quantise(job->kernels, shape->dtype, from, width, count, (int8_t *)to,
                (values ? job->pages->v_scale : job->pages->k_scale) + row);
}

/* One sequence's tokens of one head. */
static void put_head(void *argument, int64_t task, int32_t worker) {
  const append_job *job = argument;
  const cache_ledger *ledger = job->ledger;
  const cache_shape *shape = &job->pages->shape;
  int64_t T = ledger->step_tokens, page_length = ledger->limits.page_length;
  int64_t slot = ledger->changes[task / shape->Hkv].slot;
  (void)worker;
  for (int64_t done = 0, count; done < T; done += count) {
    int64_t token = ledger->lengths[slot] + done, within = token % page_length;
    count = base_min(T - done, page_length - within);
    int64_t row =
        row_of(job->pages, cache_row_of(ledger, slot)[token / page_length],
               task % shape->Hkv, within);
    for (int values = 0; values < 2; values++) {
      int64_t width = values ? shape->Dv : shape->D;
      size_t at =
          (size_t)((task * T + done) * width) * pfl_dtype_size(shape->dtype);
      put_rows(job, (const char *)job->tensors[values] + at, row, count,
               values);
    }
  }
}

void host_pages_append(host_pages *pages, const cache_ledger *ledger,
                       const cpu_engine *engine, const void *k, const void *v) {
  append_job job = {pages, ledger, &engine->kernels, {k, v}};
  int64_t tasks = ledger->change_count * pages->shape.Hkv;
  bool copies = false;
  for (int64_t b = 0; b < ledger->change_count; b++)
    copies |= ledger->changes[b].copied_from >= 0;
  if (copies) base_threads_run(engine->threads, tasks, copy_shared, &job);
  base_threads_run(engine->threads, tasks, put_head, &job);
}

/* ---- Reading ------------------------------------------------------------- */

/* Copies `count` rows of `bytes` each to place `at` of an array of a head. */
static void get_rows(void *out, int64_t at, const void *from, int64_t count,
                     size_t bytes) {
  if (out)
    memcpy((char *)out + (size_t)at * bytes, from, (size_t)count * bytes);
}

void host_pages_read(const host_pages *pages, const cache_ledger *ledger,
                     int64_t slot, const pfl_cache_read_args *args) {
  int64_t T = args->length, page_length = ledger->limits.page_length;
  const int32_t *table = cache_row_of(ledger, slot);
  for (int64_t head = 0; head < pages->shape.Hkv; head++)
    for (int64_t done = 0, count; done < T; done += count) {
      int64_t token = args->begin + done, within = token % page_length;
      int64_t at = head * T + done;
      count = base_min(T - done, page_length - within);
      int64_t row = row_of(pages, table[token / page_length], head, within);
      get_rows(args->out_k, at, row_at(pages, row, false), count,
               row_bytes(&pages->shape, false));
      get_rows(args->out_v, at, row_at(pages, row, true), count,
               row_bytes(&pages->shape, true));
      if (!pages->k_scale) continue;
      get_rows(args->out_k_scale, at, pages->k_scale + row, count,
               sizeof(float));
      get_rows(args->out_v_scale, at, pages->v_scale + row, count,
               sizeof(float));
    }
}

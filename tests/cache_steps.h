/* Steps on a cache and its copy: random ones, of which each that is refused
 * must have had a reason and must have changed nothing. */
#ifndef PFL_TESTS_CACHE_STEPS_H
#define PFL_TESTS_CACHE_STEPS_H

#include "cache_case.h"

/* Some sequences, each once; how many. */
static inline int64_t step_choose(const cache_case *c, int *which) {
  int64_t count = 0, most = check_between(1, c->few_shapes ? 2 : 5);
  int first = (int)check_between(0, PLAIN_SEQUENCES - 1);
  for (int i = 0; i < PLAIN_SEQUENCES && count < most; i++) {
    int number = (first + 7 * i) % PLAIN_SEQUENCES;
    if (c->plain[number].name) which[count++] = number;
  }
  return count;
}

static inline void step_names(const cache_case *c, const int *which,
                              int64_t batch, pfl_sequence *names) {
  for (int64_t b = 0; b < batch; b++) names[b] = c->plain[which[b]].name;
}

/* Whether T tokens more may be refused, must be, or must not. A sequence takes
 * at least the pages beyond its last, and at most one more for a page that it
 * shares. */
static inline void step_judge(const cache_case *c, const int *which,
                              int64_t batch, int64_t T, pfl_status status,
                              const pfl_cache_usage *before) {
  int64_t L = before->page_length, least = 0, most = 0;
  bool too_long = false;
  for (int64_t b = 0; b < batch; b++) {
    int64_t length = c->plain[which[b]].length;
    too_long |= length + T > before->sequence_length;
    int64_t fresh = (length + T + L - 1) / L - (length + L - 1) / L;
    least += fresh;
    most += fresh + (T && length % L != 0);
  }
  int64_t free_pages = before->page_room - before->page_count;
  if (too_long || free_pages < least)
    CHECK(status == PFL_STATUS_OUT_OF_RANGE ||
              status == PFL_STATUS_RESOURCE_EXHAUSTED,
          "%s for too many tokens; %s", pfl_status_name(status), call_text);
  else if (free_pages >= most && !c->spread)
    CHECK(!status, "%s: %s; %s", pfl_status_name(status), cache_error.message,
          call_text);
  else
    CHECK(!status || status == PFL_STATUS_RESOURCE_EXHAUSTED, "%s; %s",
          pfl_status_name(status), call_text);
}

/* A refused call has left everything as it was. */
static inline void step_check_unchanged(const cache_case *c,
                                        const pfl_cache_usage *before) {
  pfl_cache_usage after = cache_usage(c);
  CHECK(!memcmp(&after, before, sizeof after), "the usage has changed; %s",
        call_text);
  plain_compare(c);
}

static inline void step_append(cache_case *c) {
  int which[PLAIN_SEQUENCES];
  pfl_sequence names[PLAIN_SEQUENCES];
  int64_t batch = step_choose(c, which), L = plain_page_length(c);
  int64_t T = check_between(0, 3) ? check_between(0, 3)
                                  : check_between(0, base_min(3 * L, 60));
  step_names(c, which, batch, names);
  pfl_cache_append_args args = {
      .struct_size = sizeof args,
      .batch = batch,
      .length = T,
      .sequences = names,
      .k = plain_numbers(batch * c->Hkv * T * c->D, c->dtype),
      .v = plain_numbers(batch * c->Hkv * T * c->Dv, c->dtype)};
  pfl_cache_usage before = cache_usage(c);
  pfl_status status = pfl_cache_append(c->cache, &args, &cache_error);
  step_judge(c, which, batch, T, status, &before);
  for (int64_t b = 0; b < batch && !status; b++)
    plain_append(c, which[b], b, T, args.k, args.v);
  if (status) step_check_unchanged(c, &before);
  guarded_release();
}

static inline pfl_scoring step_scoring(const cache_case *c) {
  if (c->few_shapes) return (pfl_scoring){.softcap = 5};
  pfl_scoring scoring = {.softcap = check_between(0, 3) ? 0 : 5};
  scoring.windowed = check_between(0, 3) == 0;
  if (scoring.windowed) scoring.window_left = check_between(0, 50);
  return scoring;
}

/* Compares bits where the copy must give the same; see cache_compare. */
typedef void step_compare_fn(const cache_case *c, const int *which,
                             const pfl_cache_decode_args *args);

/* On this machine: the copy's in pages of the same length, bit for bit. */
static inline void step_compare_bits(const cache_case *c, const int *which,
                                     const pfl_cache_decode_args *args) {
  int64_t rows = args->batch * args->q_heads * args->q_length;
  size_t size = pfl_dtype_size(c->dtype);
  void *o = guarded_allocate(rows * c->Dv, size);
  float *lse = guarded_allocate(rows, sizeof *lse);
  plain_decode(c, which, args, o, lse);
  CHECK(!memcmp(o, args->out_o, (size_t)(rows * c->Dv) * size),
        "o has other bits than the copy's; %s", call_text);
  CHECK(!memcmp(lse, args->out_lse, (size_t)rows * sizeof *lse),
        "lse has other bits than the copy's; %s", call_text);
}

static inline void step_decode(cache_case *c, step_compare_fn *compare) {
  int which[PLAIN_SEQUENCES];
  pfl_sequence names[PLAIN_SEQUENCES];
  int64_t batch = step_choose(c, which), T = check_between(1, 3);
  int64_t Hq = c->Hkv * (c->few_shapes ? 2 : check_between(1, 5)),
          rows = batch * Hq * T;
  bool appends = check_between(0, 1);
  step_names(c, which, batch, names);
  pfl_cache_decode_args args = {
      .struct_size = sizeof args,
      .batch = batch,
      .q_heads = Hq,
      .q_length = T,
      .scoring = step_scoring(c),
      .sequences = names,
      .q = plain_numbers(rows * c->D, c->dtype),
      .sinks = c->few_shapes || check_between(0, 2)
                   ? NULL
                   : plain_numbers(Hq, PFL_DTYPE_F32),
      .out_o = guarded_allocate(rows * c->Dv, pfl_dtype_size(c->dtype)),
      .out_lse = guarded_allocate(rows, sizeof(float))};
  if (appends) {
    args.k = plain_numbers(batch * c->Hkv * T * c->D, c->dtype);
    args.v = plain_numbers(batch * c->Hkv * T * c->Dv, c->dtype);
  }
  pfl_cache_usage before = cache_usage(c);
  pfl_status status = pfl_cache_decode(c->cache, &args, &cache_error);
  step_judge(c, which, batch, appends ? T : 0, status, &before);
  for (int64_t b = 0; b < batch && appends && !status; b++)
    plain_append(c, which[b], b, T, args.k, args.v);
  if (!status) {
    compare(c, which, &args);
  } else {
    CHECK(guarded_is_untouched(args.out_lse, (size_t)rows * sizeof(float)),
          "a refused call has written lse; %s", call_text);
    step_check_unchanged(c, &before);
  }
  guarded_release();
}

static inline int step_free_place(const cache_case *c) {
  for (int i = 0; i < PLAIN_SEQUENCES; i++)
    if (!c->plain[i].name) return i;
  return -1;
}

static inline void step_create(cache_case *c) {
  int place = step_free_place(c);
  pfl_sequence name = 0;
  pfl_cache_usage before = cache_usage(c);
  pfl_status status = pfl_sequence_create(c->cache, &name, &cache_error);
  CHECK(!status == (before.sequence_count < before.sequence_room),
        "%s with %d sequences", pfl_status_name(status),
        (int)before.sequence_count);
  if (status) {
    CHECK(!name, "a name without a sequence");
    step_check_unchanged(c, &before);
    return;
  }
  CHECK_NEED(place >= 0);
  c->plain[place].name = name;
  c->plain[place].length = 0;
}

static inline void step_fork(cache_case *c) {
  int which[PLAIN_SEQUENCES], place = step_free_place(c);
  if (!step_choose(c, which)) return;
  plain_sequence *from = &c->plain[which[0]];
  int64_t length =
      check_between(0, 1) ? from->length : check_between(0, from->length);
  pfl_sequence name = 0;
  pfl_cache_usage before = cache_usage(c);
  pfl_status status =
      pfl_sequence_fork(c->cache, from->name, length, &name, &cache_error);
  CHECK(!status == (before.sequence_count < before.sequence_room), "%s",
        pfl_status_name(status));
  CHECK(cache_usage(c).page_count == before.page_count,
        "a fork has taken pages");
  if (status) {
    step_check_unchanged(c, &before);
    return;
  }
  CHECK_NEED(place >= 0);
  plain_sequence *to = &c->plain[place];
  size_t rows = (size_t)(length * c->Hkv);
  to->name = name;
  to->length = length;
  memcpy(to->k, from->k, rows * sizeof *to->k);
  memcpy(to->v, from->v, rows * sizeof *to->v);
}

static inline void step_truncate(cache_case *c) {
  int which[PLAIN_SEQUENCES];
  if (!step_choose(c, which)) return;
  plain_sequence *s = &c->plain[which[0]];
  s->length = check_between(0, 2) ? base_max(0, s->length - check_between(0, 4))
                                  : check_between(0, s->length);
  CACHE_OK(pfl_sequence_truncate(c->cache, s->name, s->length, &cache_error));
}

static inline void step_destroy(cache_case *c) {
  int which[PLAIN_SEQUENCES];
  if (!step_choose(c, which)) return;
  plain_sequence *s = &c->plain[which[0]];
  CACHE_OK(pfl_sequence_destroy(c->cache, s->name, &cache_error));
  CHECK(
      pfl_sequence_truncate(c->cache, s->name, 0, NULL) == PFL_STATUS_NOT_FOUND,
      "a destroyed sequence is still there");
  s->name = 0;
}

static inline void step_clear(cache_case *c) {
  CACHE_OK(pfl_cache_clear(c->cache, &cache_error));
  for (int i = 0; i < PLAIN_SEQUENCES; i++) c->plain[i].name = 0;
  pfl_cache_usage usage = cache_usage(c);
  CHECK(!usage.page_count && !usage.sequence_count,
        "%d pages of %d sequences are in use after clear",
        (int)usage.page_count, (int)usage.sequence_count);
}

/* One of the steps above. */
static inline void step_any(cache_case *c, step_compare_fn *compare) {
  int64_t kind = check_between(0, 99);
  if (kind < 35)
    step_append(c);
  else if (kind < 65)
    step_decode(c, compare);
  else if (kind < 78)
    step_truncate(c);
  else if (kind < 87)
    step_fork(c);
  else if (kind < 94)
    step_create(c);
  else if (kind < 99)
    step_destroy(c);
  else if (check_between(0, 4) == 0)
    step_clear(c);
}

#endif

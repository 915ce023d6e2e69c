/* The TPU's decode on the simulated slice: lengths that are special, and any
 * problem with any tiles. */
#include "slice_case.h"

/* ---- One problem, every length that is special ---------------------------
 */

static void test_lengths(void) {
  static const int32_t lengths[] = {0,   1,   2,   15,  16,  17,  63,   64,
                                    65,  127, 128, 129, 255, 256, 257,  384,
                                    500, 511, 512, 513, 600, 767, 1000, 1024};
  for (int chips = 1; chips <= 4; chips += 3)
    for (int i = 0; i < COUNT(lengths); i++) {
      pfl_decode d = {.struct_size = sizeof d,
                      .batch = 1,
                      .q_heads = 4,
                      .kv_heads = 2,
                      .q_length = 1,
                      .head_dim = 128,
                      .cache_length = 1024,
                      .dtype = PFL_DTYPE_BF16};
      decode_options options = {
          .call = {.dtype = PFL_DTYPE_BF16, .magnitude = 4},
          .lengths = &lengths[i]};
      slice_case s = {.chips = chips,
                      .tiles = {{"tile", 128}, {"ring", 2}},
                      .tile_count = 2};
      s.call = decode_make(d, &options);
      slice_run(&s, check_random());
      decode_free(&s.call);
    }
}

/* ---- Any problem ----------------------------------------------------------
 */

static pfl_decode draw(const decode_options *options) {
  static const int64_t dims[] = {32, 64, 96, 128, 128, 128, 192, 256};
  static const int64_t groups[] = {1, 2, 3, 4, 8, 16, 32};
  pfl_decode d;
  double cost;
  do {
    int64_t kv_heads = check_between(1, 4), group = PICK(groups);
    d = (pfl_decode){
        .struct_size = sizeof d,
        .batch = check_between(1, 5),
        .q_heads = kv_heads * group,
        .kv_heads = kv_heads,
        .q_length = check_between(0, 1) ? 1 : check_between(1, 8),
        .head_dim = PICK(dims),
        .cache_length = check_between(1, 3000),
        .dtype = options->call.dtype,
        .cache_dtype = options->int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT};
    if (check_between(0, 3) == 0) d.v_head_dim = PICK(dims);
    cost = (double)(d.batch * d.q_heads * d.q_length * d.cache_length) *
           (double)d.head_dim;
  } while (cost > 4e7);
  if (options->paged) {
    static const int64_t pages[] = {16, 32, 64, 128, 256};
    int64_t length = d.cache_length;
    do d.page_length = PICK(pages);
    while (options->int8 && d.page_length < 32);
    d.pages_per_sequence = base_ceil_div(length, d.page_length);
    /* as many as four chips need, if every sequence begins on the first */
    d.page_count = 4 * d.batch * base_ceil_div(d.pages_per_sequence, 4) +
                   check_between(0, 5);
    d.cache_length = 0;
  }
  d.scoring = call_draw_scoring(options->call.mask);
  return d;
}

static void draw_tiles(slice_case *s) {
  const attention_decode_problem *p = &s->call.problem;
  int64_t pack = 128 % p->D ? 1 : 128 / p->D;
  static const int64_t rings[] = {2, 4, 8};
  int n = 0;
  if (check_between(0, 3))
    s->tiles[n++] = (kernels_tile){
        "tile", base_max(128 * pack, p->page_length) * check_between(1, 4)};
  if (check_between(0, 1)) s->tiles[n++] = (kernels_tile){"ring", PICK(rings)};
  int64_t shared = s->chips > 1 && p->Hkv % 4 == 0 ? p->Hkv / 4 : p->Hkv;
  for (int64_t heads = 4; heads > 1; heads--)
    if (shared % heads == 0 && check_between(0, 1)) {
      s->tiles[n++] = (kernels_tile){"heads", heads};
      break;
    }
  /* else heads are shared where they can be */
  if (s->chips > 1 && check_between(0, 2))
    s->tiles[n++] = (kernels_tile){"head_chips", 1};
  s->tile_count = n;
}

static void test_any(void) {
  for (int i = 0; i < check_cases(40); i++) {
    decode_options options = decode_random_options(i);
    if (options.call.dtype == PFL_DTYPE_F16)
      options.call.dtype = PFL_DTYPE_BF16;
    slice_case s = {.chips = check_between(0, 1) ? 4 : 1};
    s.call = decode_make(draw(&options), &options);
    draw_tiles(&s);
    slice_run(&s, check_random());
    decode_free(&s.call);
  }
}

int main(void) { return CHECK_RUN(test_lengths, test_any); }

/* The TPU's forward and backward on the simulated slice, against the fp64
 * reference within the bounds of docs/numerics.md: all features, pairwise and
 * more, over odd sizes and with small tiles, so that every way through the
 * kernels is gone. The chip is hostile: memory starts as NaN, DMAs come as
 * early or late as they may; no hazard may be reported. */
#include "call_case.h"
#include "kernel_case.h"

static const pfl_allocator heap;

typedef struct flash_case {
  call_case call;
  kernels_tile tiles[6];
  int tile_count;
  int64_t part, panel; /* two more tiles, of backward; 0: none */
  int64_t segment;     /* and of forward */
} flash_case;

static int list_tensors(const call_case *c, device_tensor *out) {
  const attention_problem *p = &c->exact.problem;
  const pfl_dtype f32 = PFL_DTYPE_F32, i32 = PFL_DTYPE_I32;
  const device_tensor all[] = {
      {"sinks", f32, 1, {p->Hq}, c->sinks},
      {"q", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->q},
      {"k", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->k},
      {"v", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->v},
      {"q_segment_ids", i32, 2, {p->B, p->Sq}, c->exact.q_segment_ids},
      {"kv_segment_ids", i32, 2, {p->B, p->Sk}, c->exact.kv_segment_ids},
      {"o", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->o},
      {"lse", f32, 3, {p->B, p->Hq, p->Sq}, c->lse},
      {"do", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->d_o},
      {"dlse", f32, 3, {p->B, p->Hq, p->Sq}, c->d_lse},
      {"dq", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->dq},
      {"dk", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->dk},
      {"dv", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->dv},
      {"dsinks", f32, 1, {p->Hq}, c->dsinks}};
  memcpy(out, all, sizeof all);
  return COUNT(all);
}

/* The tiles that only `op` has, last. */
static int count_tiles(flash_case *s, kernels_op op) {
  bool forward = op == KERNELS_FORWARD;
  const kernels_tile own[] = {{"segment", forward ? s->segment : 0},
                              {"part", forward ? 0 : s->part},
                              {"panel", forward ? 0 : s->panel}};
  int count = s->tile_count;
  for (int i = 0; i < COUNT(own); i++)
    if (own[i].value) s->tiles[count++] = own[i];
  return count;
}

static bool run(flash_case *s, kernels_op op) {
  const call_case *c = &s->call;
  kernels_program program;
  device_tensor tensors[16];
  pfl_error error = {PFL_STATUS_OK, ""};
  sim_report report;
  pfl_status status =
      kernels_write(&(kernels_request){.op = op,
                                       .problem = &c->exact.problem,
                                       .target = "v5e:1x1",
                                       .lse = true,
                                       .segment_ids = c->exact.q_segment_ids,
                                       .sinks = c->sinks,
                                       .d_lse = c->d_lse,
                                       .tiles = s->tiles,
                                       .tile_count = count_tiles(s, op)},
                    &heap, &program, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  if (status) return false;
  sim_options options = {
      .chips = 1, .hostile = true, .seed = check_random(), .threads = 1};
  status = kernel_case_run(&program, tensors, list_tensors(c, tensors),
                           &options, &report, &error);
  CHECK(!status, "%s; %s, tiles %s %lld; %s", error.message, program.plan,
        s->tile_count ? s->tiles[0].name : "",
        (long long)(s->tile_count ? s->tiles[0].value : 0), call_text);
  kernels_program_release(&program);
  return !status;
}

static void check(flash_case *s) {
  bool pairs = s->call.exact.problem.dtype == PFL_DTYPE_BF16;
  case_forward(&s->call.exact);
  case_backward(&s->call.exact);
  if (!run(s, KERNELS_FORWARD)) return;
  call_check_forward(&s->call, pairs);
  if (!run(s, KERNELS_BACKWARD)) return;
  call_check_backward(&s->call, pairs);
}

/* ---- Any problem ----------------------------------------------------------
 */

static const int64_t dims[] = {64, 96, 128, 192, 256, 1, 33, 80, 130};
static const int64_t lengths[] = {1,   2,   61,  127, 128, 129, 255,
                                  256, 257, 384, 389, 512, 521, 640};

static pfl_attention draw(const call_options *options, bool streamed) {
  static const int64_t many[] = {389, 512, 640, 777, 900, 1024};
  static const int64_t groups[] = {1, 1, 2, 3, 4};
  pfl_attention a;
  do {
    int64_t kv_heads = check_between(1, 2), group = PICK(groups);
    a = (pfl_attention){.struct_size = sizeof a,
                        .batch = check_between(1, 2),
                        .q_heads = kv_heads * group,
                        .kv_heads = kv_heads,
                        .q_length = PICK(lengths),
                        .kv_length = streamed ? PICK(many) : PICK(lengths),
                        .head_dim = PICK(dims),
                        .v_head_dim = PICK(dims),
                        .dtype = options->dtype};
    if (check_between(0, 1)) a.v_head_dim = a.head_dim;
    if (check_between(0, 1) && !streamed) a.kv_length = a.q_length;
    if (check_between(0, 2) && streamed)
      a.q_length = a.kv_length - 128 * check_between(0, 3);
  } while (call_cost(&a) > 1.5e7);
  a.scoring = call_draw_scoring(options->mask);
  /* so that there are bands, with blocks before that they do not reach */
  if (streamed && a.scoring.windowed && check_between(0, 1))
    a.scoring.window_left = check_between(100, 300);
  return a;
}

/* Small blocks, so that there are several of each. */
static void draw_tiles(flash_case *s) {
  static const int64_t blocks[] = {128, 256};
  if (check_between(0, 3) == 0) return;
  s->tiles[s->tile_count++] = (kernels_tile){"block_q", PICK(blocks)};
  s->tiles[s->tile_count++] = (kernels_tile){"block_k", PICK(blocks)};
  s->tiles[s->tile_count++] = (kernels_tile){"tile", 128};
  s->tiles[s->tile_count++] = (kernels_tile){"unroll", check_between(1, 2)};
  s->part = check_between(0, 1) ? 128 : 0;
  s->panel = check_between(0, 2) ? PICK(blocks) : 0;
}

static void test_any(void) {
  for (int i = 0; i < check_cases(40); i++) {
    call_options options = call_random_options(i);
    options.d_lse = i % 2 == 1;
    if (options.dtype == PFL_DTYPE_F16) options.dtype = PFL_DTYPE_BF16;
    flash_case s = {.tile_count = 0};
    s.call = call_make(draw(&options, false), &options);
    s.call.end = 4;
    draw_tiles(&s);
    check(&s);
    call_free(&s.call);
  }
}

/* ---- Keys that VMEM has no room for ---------------------------------------
 */

/* Segments of one to five chunks, though all would fit. */
static void test_streamed(void) {
  for (int i = 0; i < check_cases(24); i++) {
    call_options options = call_random_options(i);
    if (options.dtype == PFL_DTYPE_F16) options.dtype = PFL_DTYPE_BF16;
    flash_case s = {.segment = 128 * base_min(check_between(1, 8), 5),
                    .tile_count = 4};
    s.call = call_make(draw(&options, true), &options);
    s.call.end = 4;
    s.tiles[0] = (kernels_tile){"block_q", 128};
    s.tiles[1] = (kernels_tile){"block_k", 128};
    s.tiles[2] = (kernels_tile){"tile", 128};
    s.tiles[3] = (kernels_tile){"unroll", check_between(1, 2)};
    case_forward(&s.call.exact);
    if (run(&s, KERNELS_FORWARD))
      call_check_forward(&s.call, options.dtype == PFL_DTYPE_BF16);
    call_free(&s.call);
  }
}

/* ---- Order ----------------------------------------------------------------
 */

/* Runs backward; gives dq, dk and dv, one after the other, to be freed. */
static char *take_gradients(flash_case *s, size_t *out_bytes) {
  const call_case *c = &s->call;
  const attention_problem *p = &c->exact.problem;
  size_t size = pfl_dtype_size(p->dtype);
  const struct {
    const void *from;
    int64_t count;
  } parts[] = {{c->dq, c->rows * p->D},
               {c->dk, c->keys * p->D},
               {c->dv, c->keys * p->Dv}};
  if (!run(s, KERNELS_BACKWARD)) return NULL;
  char *all = case_allocate((c->rows + c->keys) * (p->D + p->Dv), size);
  *out_bytes = 0;
  for (int i = 0; i < COUNT(parts); i++) {
    memcpy(all + *out_bytes, parts[i].from, (size_t)parts[i].count * size);
    *out_bytes += (size_t)parts[i].count * size;
  }
  return all;
}

/* Copies come earlier or later; gradients are the same bits. */
static void test_same_bits(void) {
  for (int i = 0; i < check_cases(6); i++) {
    call_options options = {.dtype = i % 2 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32,
                            .magnitude = 1};
    pfl_attention a = {.struct_size = sizeof a,
                       .batch = 1,
                       .q_heads = 2,
                       .kv_heads = check_between(1, 2),
                       .q_length = PICK(lengths),
                       .kv_length = PICK(lengths),
                       .head_dim = 64,
                       .dtype = options.dtype};
    flash_case s = {.panel = 128, .tile_count = 2};
    s.call = call_make(a, &options);
    s.tiles[0] = (kernels_tile){"block_q", 128};
    s.tiles[1] = (kernels_tile){"block_k", 128};
    size_t bytes = 0;
    if (run(&s, KERNELS_FORWARD)) {
      char *first = take_gradients(&s, &bytes);
      char *second = take_gradients(&s, &bytes);
      CHECK(first && second && !memcmp(first, second, bytes),
            "the gradients of two runs differ; %s", call_text);
      free(first);
      free(second);
    }
    call_free(&s.call);
  }
}

int main(void) { return CHECK_RUN(test_any, test_streamed, test_same_bits); }

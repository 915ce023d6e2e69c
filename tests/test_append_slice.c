/* The TPU's append on the simulated slice, one chip and four, against a plain
 * copy: the new tokens' bits are in their places, and no other bit of the cache
 * has changed. */
#include "decode_case.h"
#include "kernel_case.h"

static const pfl_allocator heap;

/* A cache, and tokens for it, as files have them. */
typedef struct append_case {
  attention_decode_problem problem;
  int chips;
  kernels_tile tiles[1];
  int tile_count;
  int32_t *lengths, *counts, *table, *sources;
  char *k[2], *new_k[2]; /* of K and V: bytes */
  float *scales[2], *new_scales[2];
} append_case;

static size_t item_size(const append_case *c) {
  return pfl_dtype_size(c->problem.cache_dtype);
}

static int64_t dim_of(const append_case *c, int v) {
  return v ? c->problem.Dv : c->problem.D;
}

/* Rows of the cache: [rows, Hkv, tokens]. */
static int64_t slots_of(const append_case *c) {
  const attention_decode_problem *p = &c->problem;
  return (p->paged ? p->page_count * p->page_length : p->B * p->Smax) * p->Hkv;
}

/* Any bits but those of NaN, which a chip need not keep. */
static void fill(const append_case *c, char *bytes, int64_t count) {
  size_t size = item_size(c);
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits = (uint32_t)check_random();
    uint32_t exponent = size == 4 ? 0x7f800000 : 0x7f80;
    if (size > 1 && (bits & exponent) == exponent) bits &= ~(exponent / 2);
    memcpy(bytes + (size_t)i * size, &bits, size);
  }
}

static void fill_all(append_case *c) {
  const attention_decode_problem *p = &c->problem;
  int64_t news = p->B * p->Hkv * p->T;
  for (int v = 0; v < 2; v++) {
    c->k[v] = case_allocate(slots_of(c) * dim_of(c, v), item_size(c));
    c->new_k[v] = case_allocate(news * dim_of(c, v), item_size(c));
    fill(c, c->k[v], slots_of(c) * dim_of(c, v));
    fill(c, c->new_k[v], news * dim_of(c, v));
    c->scales[v] = case_allocate(slots_of(c), sizeof(float));
    c->new_scales[v] = case_allocate(news, sizeof(float));
    for (int64_t i = 0; i < slots_of(c); i++)
      c->scales[v][i] = (float)check_normal();
    for (int64_t i = 0; i < news; i++)
      c->new_scales[v][i] = (float)check_normal();
  }
}

static void free_all(append_case *c) {
  for (int v = 0; v < 2; v++) {
    free(c->k[v]);
    free(c->new_k[v]);
    free(c->scales[v]);
    free(c->new_scales[v]);
  }
  free(c->lengths);
  free(c->counts);
  free(c->table);
  free(c->sources);
}

/* Where token x of a sequence lies: a row of [.., Hkv, tokens]. */
static int64_t slot_of(const append_case *c, int64_t b, int64_t head,
                       int64_t x) {
  const attention_decode_problem *p = &c->problem;
  if (!p->paged) return (b * p->Hkv + head) * p->Smax + x;
  int64_t page = c->table[b * p->pages_per_sequence + x / p->page_length];
  return (page * p->Hkv + head) * p->page_length + x % p->page_length;
}

static void copy_pages_plainly(const append_case *c, char *const k[2],
                               float *const scales[2]) {
  const attention_decode_problem *p = &c->problem;
  int64_t tokens = p->Hkv * p->page_length;
  for (int64_t b = 0; b < p->B; b++) {
    int64_t page = c->lengths[b] / base_max(1, p->page_length);
    if (!p->paged || c->sources[b] < 0 || !c->counts[b]) continue;
    int64_t to = c->table[b * p->pages_per_sequence + page] * tokens;
    int64_t from = c->sources[b] * tokens;
    for (int v = 0; v < 2; v++) {
      size_t row = (size_t)dim_of(c, v) * item_size(c);
      memcpy(k[v] + (size_t)to * row, k[v] + (size_t)from * row,
             (size_t)tokens * row);
      memcpy(scales[v] + to, scales[v] + from, (size_t)tokens * sizeof(float));
    }
  }
}

/* What append has to do. */
static void append_plainly(const append_case *c, char *const k[2],
                           float *const scales[2]) {
  const attention_decode_problem *p = &c->problem;
  copy_pages_plainly(c, k, scales);
  for (int v = 0; v < 2; v++)
    for (int64_t b = 0; b < p->B; b++)
      for (int64_t head = 0; head < p->Hkv; head++)
        for (int64_t t = 0; t < c->counts[b]; t++) {
          int64_t to = slot_of(c, b, head, c->lengths[b] + t);
          int64_t from = (b * p->Hkv + head) * p->T + t;
          size_t row = (size_t)dim_of(c, v) * item_size(c);
          memcpy(k[v] + (size_t)to * row, c->new_k[v] + (size_t)from * row,
                 row);
          scales[v][to] = c->new_scales[v][from];
        }
}

static int write_tensors(const append_case *c, device_tensor *out) {
  const attention_decode_problem *p = &c->problem;
  int64_t rows = p->paged ? p->page_count : p->B;
  int64_t tokens = p->paged ? p->page_length : p->Smax;
  pfl_dtype kept = p->cache_dtype;
  const device_tensor all[] = {
      {"lengths", PFL_DTYPE_I32, 1, {p->B}, c->lengths},
      {"counts", PFL_DTYPE_I32, 1, {p->B}, c->counts},
      {"sources", PFL_DTYPE_I32, 1, {p->B}, c->sources},
      {"new_k", kept, 4, {p->B, p->Hkv, p->T, p->D}, c->new_k[0]},
      {"new_v", kept, 4, {p->B, p->Hkv, p->T, p->Dv}, c->new_k[1]},
      {"new_k_scale", PFL_DTYPE_F32, 3, {p->B, p->Hkv, p->T}, c->new_scales[0]},
      {"new_v_scale", PFL_DTYPE_F32, 3, {p->B, p->Hkv, p->T}, c->new_scales[1]},
      {"k", kept, 4, {rows, p->Hkv, tokens, p->D}, c->k[0]},
      {"v", kept, 4, {rows, p->Hkv, tokens, p->Dv}, c->k[1]},
      {"k_scale", PFL_DTYPE_F32, 3, {rows, p->Hkv, tokens}, c->scales[0]},
      {"v_scale", PFL_DTYPE_F32, 3, {rows, p->Hkv, tokens}, c->scales[1]},
      {"block_table",
       PFL_DTYPE_I32,
       2,
       {p->B, p->pages_per_sequence},
       c->table}};
  memcpy(out, all, sizeof all);
  return COUNT(all);
}

static void describe(const append_case *c) {
  const attention_decode_problem *p = &c->problem;
  int used = snprintf(call_text, sizeof call_text,
                      "append B=%d Hkv=%d T=%d D=%d Dv=%d Smax=%d page=%d %s "
                      "chips=%d heads=%d",
                      (int)p->B, (int)p->Hkv, (int)p->T, (int)p->D, (int)p->Dv,
                      (int)p->Smax, (int)p->page_length,
                      pfl_dtype_name(p->cache_dtype), c->chips, !c->tile_count);
  for (int64_t b = 0; b < p->B && b < 6; b++)
    used += snprintf(call_text + used, sizeof call_text - (size_t)used,
                     " %d+%d", c->lengths[b], c->counts[b]);
}

static void check_same(const char *what, const void *is, const void *must,
                       int64_t rows, size_t row) {
  for (int64_t i = 0; i < rows; i++)
    if (memcmp((const char *)is + (size_t)i * row,
               (const char *)must + (size_t)i * row, row)) {
      CHECK(false, "%s: token row %d differs; %s", what, (int)i, call_text);
      return;
    }
  CHECK(true, "same");
}

static void run(append_case *c, uint64_t seed) {
  const attention_decode_problem *p = &c->problem;
  kernels_program program;
  device_tensor tensors[16];
  pfl_error error = {PFL_STATUS_OK, ""};
  sim_report report;
  char *k[2];
  float *scales[2];
  describe(c);
  pfl_status status =
      kernels_write(&(kernels_request){.op = KERNELS_APPEND,
                                       .decode = p,
                                       .target = "v5e:2x2",
                                       .chips = c->chips,
                                       .tiles = c->tiles,
                                       .tile_count = c->tile_count},
                    &heap, &program, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  if (status) return;
  for (int v = 0; v < 2; v++) {
    size_t bytes = (size_t)(slots_of(c) * dim_of(c, v)) * item_size(c);
    k[v] = case_allocate((int64_t)bytes, 1);
    scales[v] = case_allocate(slots_of(c), sizeof(float));
    memcpy(k[v], c->k[v], bytes);
    memcpy(scales[v], c->scales[v], (size_t)slots_of(c) * sizeof(float));
  }
  append_plainly(c, k, scales);
  int count = write_tensors(c, tensors);
  sim_options options = {
      .chips = c->chips, .hostile = true, .seed = seed, .threads = 1};
  status = kernel_case_run(&program, tensors, count, &options, &report, &error);
  CHECK(!status, "%s; %s; %s", error.message, program.plan, call_text);
  for (int v = 0; v < 2 && !status; v++) {
    check_same(v ? "v" : "k", c->k[v], k[v], slots_of(c),
               (size_t)dim_of(c, v) * item_size(c));
    if (p->cache_dtype == PFL_DTYPE_I8)
      check_same(v ? "v_scale" : "k_scale", c->scales[v], scales[v],
                 slots_of(c), sizeof(float));
  }
  for (int v = 0; v < 2; v++) {
    free(k[v]);
    free(scales[v]);
  }
  kernels_program_release(&program);
}

/* Pages of sequences on the chips that decode's plan wants: page i of one on
 * chip i mod 4. */
static void draw_table(append_case *c) {
  const attention_decode_problem *p = &c->problem;
  int64_t next[4] = {0, 1, 2, 3};
  for (int64_t b = 0; b < p->B; b++)
    for (int64_t i = 0; i < p->pages_per_sequence; i++) {
      c->table[b * p->pages_per_sequence + i] = (int32_t)next[i % 4];
      next[i % 4] += 4;
    }
}

/* A page after all that sequences have, on the right chip, for some. */
static void draw_sources(append_case *c) {
  const attention_decode_problem *p = &c->problem;
  for (int64_t b = 0; b < p->B; b++) {
    int64_t page = c->lengths[b] / base_max(1, p->page_length);
    c->sources[b] = -1;
    if (p->paged && check_between(0, 1))
      c->sources[b] = (int32_t)(p->page_count - 4 + page % 4);
  }
}

static append_case draw(pfl_dtype dtype, bool int8, bool paged, int chips) {
  static const int64_t dims[] = {32, 64, 96, 128, 128, 192, 256};
  static const int64_t pages[] = {16, 32, 64, 128, 256};
  static const int64_t most[] = {1, 1, 2, 4, 8, 8, 32, 64, 256};
  int64_t length = check_between(1, 700), T = PICK(most);
  pfl_decode d = {.struct_size = sizeof d,
                  .batch = check_between(1, 5),
                  .kv_heads = check_between(1, 5),
                  .q_length = T,
                  .head_dim = PICK(dims),
                  .cache_length = length,
                  .dtype = dtype,
                  .cache_dtype = int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT};
  if (check_between(0, 2) == 0) d.kv_heads = 4;
  d.q_heads = d.kv_heads;
  if (check_between(0, 3) == 0) d.v_head_dim = PICK(dims);
  if (paged) {
    do d.page_length = PICK(pages);
    while (int8 && d.page_length < 32);
    d.pages_per_sequence = base_ceil_div(length, d.page_length);
    d.page_count = 4 * d.batch * base_ceil_div(d.pages_per_sequence, 4) + 4;
    d.cache_length = 0;
  }
  append_case c = {.chips = chips, .tiles = {{"head_chips", 1}}};
  pfl_error error;
  pfl_status status = attention_decode_problem_init(&d, &c.problem, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  c.tile_count = chips > 1 && check_between(0, 1);
  c.lengths = case_allocate(d.batch, sizeof *c.lengths);
  c.counts = case_allocate(d.batch, sizeof *c.counts);
  c.table = case_allocate(d.batch * base_max(1, d.pages_per_sequence),
                          sizeof *c.table);
  for (int64_t b = 0; b < d.batch; b++) {
    int64_t count =
        base_min(c.problem.Smax, check_between(0, 2) ? T : check_between(0, T));
    c.counts[b] = (int32_t)count;
    c.lengths[b] = (int32_t)check_between(0, c.problem.Smax - count);
    if (check_between(0, 4) == 0) c.lengths[b] = 0;
  }
  c.sources = case_allocate(d.batch, sizeof *c.sources);
  draw_sources(&c);
  if (paged) draw_table(&c);
  fill_all(&c);
  return c;
}

static int wanted; /* runs; 0: a few */

static void test_any(void) {
  int runs = wanted ? wanted : check_cases(40);
  for (int i = 0; i < runs; i++) {
    pfl_dtype dtype = i % 3 ? PFL_DTYPE_BF16 : PFL_DTYPE_F32;
    bool int8 = i % 3 == 2, paged = i / 3 % 2;
    append_case c = draw(dtype, int8, paged, i / 6 % 2 ? 4 : 1);
    run(&c, check_random());
    free_all(&c);
  }
}

/* test_append_slice [RUNS]: each another problem, and another seed of the chips'
 * asynchrony. */
int main(int argc, char **argv) {
  wanted = argc > 1 ? atoi(argv[1]) : 0;
  return CHECK_RUN(test_any);
}

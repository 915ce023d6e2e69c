/* Training on simulated chips, all the way through PJRT: forward and every
 * gradient against the fp64 reference, within the bounds of docs/numerics.md,
 * for rows in which every two levels of every two features meet. Memory is
 * hostile, and no hazard may be reported.
 *
 *   test_training_slice            a sample: the first rows cover most pairs
 *   test_training_slice all        every row, in minutes
 *   test_training_slice 17         that row alone */
#include "call_case.h"
#include "device/device.h"
#include "pairwise.h"

static const pfl_allocator heap;
static device_slice slice;
static pfl_error error;

enum {
  SAMPLE = 16,  /* rows */
  CHIP_END = 4, /* what docs/numerics.md says of a row's end on a chip */
};

/* ---- Features ------------------------------------------------------------ */

typedef enum factor {
  MASK,
  HEADS,
  DIMS,
  QUERIES,
  KEYS,
  BATCH,
  DTYPE,
  SOFTCAP,
  SEGMENTS,
  SINKS,
  D_LSE,
  PATTERN,
  TILES,
  CHIPS,
  FACTORS
} factor;

static const pairwise_factor factors[FACTORS] = {
    [MASK] = {"mask",
              PAIRWISE_WORDS("full", "causal", "window", "causal window")},
    [HEADS] = {"heads", PAIRWISE_WORDS("2/2", "4/2", "3/1")},
    [DIMS] = {"D/Dv", PAIRWISE_WORDS("64/64", "96/96", "128/128", "192/128",
                                     "256/256")},
    [QUERIES] = {"Sq", PAIRWISE_WORDS("1", "61", "129", "257", "384")},
    [KEYS] = {"Sk", PAIRWISE_WORDS("as Sq", "1", "127", "256", "389")},
    [BATCH] = {"B", PAIRWISE_WORDS("1", "3")},
    [DTYPE] = {"dtype", PAIRWISE_WORDS("bf16", "f32")},
    [SOFTCAP] = {"softcap", PAIRWISE_WORDS("none", "20")},
    [SEGMENTS] = {"segments", PAIRWISE_WORDS("none", "sorted", "mixed")},
    [SINKS] = {"sinks", PAIRWISE_WORDS("no", "yes")},
    [D_LSE] = {"dlse", PAIRWISE_WORDS("no", "yes")},
    [PATTERN] = {"scores", PAIRWISE_WORDS("noise", "rising", "peak")},
    [TILES] = {"tiles", PAIRWISE_WORDS("the plan's", "128", "streamed")},
    [CHIPS] = {"chips", PAIRWISE_WORDS("1", "4")},
};

static const int64_t heads[][2] = {{2, 2}, {4, 2}, {3, 1}};
static const int64_t dims[][2] = {
    {64, 64}, {96, 96}, {128, 128}, {192, 128}, {256, 256}};
static const int64_t queries[] = {1, 61, 129, 257, 384};
static const int64_t keys[] = {0, 1, 127, 256, 389};
static const int64_t batches[] = {1, 3};

static pfl_attention attention_of(const int *row) {
  static const int64_t left[] = {100, 70};
  bool windowed = row[MASK] >= 2;
  int64_t sk = keys[row[KEYS]] ? keys[row[KEYS]] : queries[row[QUERIES]];
  return (pfl_attention){
      .struct_size = sizeof(pfl_attention),
      .batch = batches[row[BATCH]],
      .q_heads = heads[row[HEADS]][0],
      .kv_heads = heads[row[HEADS]][1],
      .q_length = queries[row[QUERIES]],
      .kv_length = sk,
      .head_dim = dims[row[DIMS]][0],
      .v_head_dim = dims[row[DIMS]][1],
      .dtype = row[DTYPE] ? PFL_DTYPE_F32 : PFL_DTYPE_BF16,
      .scoring = {.softcap = row[SOFTCAP] ? 20 : 0,
                  .causal = row[MASK] % 2,
                  .windowed = windowed,
                  .window_left = windowed ? left[row[MASK] - 2] : 0,
                  .window_right = windowed ? 30 : 0}};
}

/* What the reference has time for; what is not chosen yet is small. */
static bool fits(const int *row, const void *user) {
  int least[FACTORS];
  (void)user;
  for (int i = 0; i < FACTORS; i++) least[i] = row[i] < 0 ? 0 : row[i];
  if (row[KEYS] < 0) least[KEYS] = 1;
  pfl_attention a = attention_of(least);
  return call_cost(&a) <= 6e7;
}

static call_options options_of(const int *row) {
  static const call_pattern patterns[] = {CALL_NOISE, CALL_RISING, CALL_PEAK};
  static const call_mask masks[] = {CALL_NO_MASK, CALL_SORTED_SEGMENTS,
                                    CALL_MIXED_SEGMENTS};
  return (call_options){.mask = masks[row[SEGMENTS]],
                        .dtype = row[DTYPE] ? PFL_DTYPE_F32 : PFL_DTYPE_BF16,
                        .pattern = patterns[row[PATTERN]],
                        .magnitude = check_between(0, 1) ? 1 : 8,
                        .sinks = row[SINKS],
                        .d_lse = row[D_LSE]};
}

/* ---- Running ------------------------------------------------------------- */

static int list_inputs(const call_case *c, device_tensor *out) {
  const attention_problem *p = &c->exact.problem;
  const pfl_dtype f32 = PFL_DTYPE_F32, i32 = PFL_DTYPE_I32;
  const device_tensor all[] = {
      {"q", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->q},
      {"k", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->k},
      {"v", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->v},
      {"q_segment_ids", i32, 2, {p->B, p->Sq}, c->exact.q_segment_ids},
      {"kv_segment_ids", i32, 2, {p->B, p->Sk}, c->exact.kv_segment_ids},
      {"sinks", f32, 1, {p->Hq}, c->sinks},
      {"o", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->o},
      {"lse", f32, 3, {p->B, p->Hq, p->Sq}, c->lse},
      {"do", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->d_o},
      {"dlse", f32, 3, {p->B, p->Hq, p->Sq}, c->d_lse}};
  memcpy(out, all, sizeof all);
  return COUNT(all);
}

/* Of forward, then of backward; dsinks last. */
static int list_outputs(const call_case *c, kernels_op op, device_tensor *out) {
  const attention_problem *p = &c->exact.problem;
  const pfl_dtype f32 = PFL_DTYPE_F32;
  const device_tensor forward[] = {
      {"o", p->dtype, 4, {p->B, p->Hq, p->Sq, p->Dv}, c->o},
      {"lse", f32, 3, {p->B, p->Hq, p->Sq}, c->lse}};
  const device_tensor backward[] = {
      {"dq", p->dtype, 4, {p->B, p->Hq, p->Sq, p->D}, c->dq},
      {"dk", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->D}, c->dk},
      {"dv", p->dtype, 4, {p->B, p->Hkv, p->Sk, p->Dv}, c->dv},
      {"dsinks", f32, 1, {p->Hq}, c->dsinks}};
  bool is_forward = op == KERNELS_FORWARD;
  memcpy(out, is_forward ? forward : backward,
         is_forward ? sizeof forward : sizeof backward);
  return is_forward ? 2 : c->sinks ? 4 : 3;
}

/* Small ones, and then, as where a head has no room in VMEM, keys that come in
 * segments and, backward, queries in panels. */
static int list_tiles(const int *row, kernels_op op,
                      const kernels_tile **out_tiles) {
  static const kernels_tile forward[] = {{"block_q", 128},
                                         {"block_k", 128},
                                         {"tile", 128},
                                         {"unroll", 1},
                                         {"segment", 128}};
  static const kernels_tile backward[] = {{"block_q", 128}, {"block_k", 128},
                                          {"tile", 128},    {"unroll", 1},
                                          {"part", 128},    {"panel", 128}};
  bool is_forward = op == KERNELS_FORWARD;
  *out_tiles = is_forward ? forward : backward;
  if (!row[TILES]) return 0;
  return (is_forward ? 4 : 5) + (row[TILES] == 2);
}

static bool run(const call_case *c, const int *row, kernels_op op, bool lse) {
  const kernels_tile *tiles;
  int tile_count = list_tiles(row, op, &tiles);
  const kernels_request request = {.op = op,
                                   .problem = &c->exact.problem,
                                   .lse = lse,
                                   .segment_ids = row[SEGMENTS] != 0,
                                   .sinks = c->sinks != NULL,
                                   .d_lse = op == KERNELS_BACKWARD && c->d_lse,
                                   .tiles = tiles,
                                   .tile_count = tile_count,
                                   .chips = row[CHIPS] ? 4 : 1};
  device_program program;
  device_tensor inputs[16], outputs[4];
  device_times times;
  pfl_status status = device_prepare(&slice, &request, &program, &error);
  CHECK(!status, "%s; %s", error.message, call_text);
  if (status) return false;
  int count = list_outputs(c, op, outputs);
  if (op == KERNELS_FORWARD && !lse) count = 1;
  status = device_run(&slice, &program, inputs, list_inputs(c, inputs), outputs,
                      count, &times, &error);
  CHECK(!status, "%s; %s; %s", error.message, program.kernels.plan, call_text);
  device_program_release(&slice, &program);
  return !status;
}

/* Without lse, as inference has it, o is the same to the last bit. */
static bool run_forward(call_case *c, const int *row) {
  const attention_problem *p = &c->exact.problem;
  size_t size = (size_t)(c->rows * p->Dv) * pfl_dtype_size(p->dtype);
  if (!run(c, row, KERNELS_FORWARD, false)) return false;
  void *alone = malloc(size + 1);
  CHECK_NEED(alone);
  memcpy(alone, c->o, size);
  memset(c->o, 0xff, size);
  bool done = run(c, row, KERNELS_FORWARD, true);
  CHECK(!memcmp(alone, c->o, size), "lse changes o; %s", call_text);
  free(alone);
  return done;
}

static void check_row(const pairwise *p, int i) {
  char text[512];
  const int *row = p->rows[i];
  call_options options = options_of(row);
  long failures = check_failures;
  call_case c = call_make(attention_of(row), &options);
  bool pairs = options.dtype == PFL_DTYPE_BF16;
  c.end = CHIP_END;
  case_forward(&c.exact);
  case_backward(&c.exact);
  if (run_forward(&c, row)) {
    call_check_forward(&c, pairs);
    if (run(&c, row, KERNELS_BACKWARD, true)) call_check_backward(&c, pairs);
  }
  if (check_failures > failures)
    fprintf(stderr, "row %d: %s; to repeat: PFLASH_SEED=%llu %s %d\n", i,
            pairwise_text(p, i, text, sizeof text),
            (unsigned long long)check_seed, "test_training_slice", i);
  call_free(&c);
}

static const char *asked = ""; /* "all", or a row's number */

static void test_rows(void) {
  pairwise p;
  pairwise_make(&p, factors, FACTORS, fits, NULL);
  CHECK(!p.impossible, "%d pairs cannot be", p.impossible);
  const device_options options = {.kind = DEVICE_SIM,
                                  .seed = (int64_t)(check_random() >> 1)};
  pfl_status status = device_open(&options, &heap, &slice, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  bool one = *asked >= '0' && *asked <= '9';
  int first = one ? atoi(asked) : 0;
  int last = one                     ? first + 1
             : !strcmp(asked, "all") ? p.row_count
                                     : check_cases(SAMPLE);
  for (int i = first; i < last && i < p.row_count; i++) {
    check_state = check_seed + (uint64_t)i; /* a row is the same by itself */
    check_row(&p, i);
  }
  printf("rows %d to %d of %d, which cover %d pairs of levels\n", first,
         (int)base_min(last, p.row_count) - 1, p.row_count, p.pairs);
  device_close(&slice);
  pairwise_free(&p);
}

int main(int count, char **arguments) {
  if (count > 1) asked = arguments[1];
  return CHECK_RUN(test_rows);
}

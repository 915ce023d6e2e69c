/* Tables of tuned tiles: keys, rows, what goes before what; and that every row
 * that is shipped is one its kernel takes. */
#include "check.h"
#include "kernels/tuned_tiles.h"

static const pfl_allocator heap;

static attention_problem problem_of(int64_t Sq, int64_t Sk, int64_t D,
                                    bool causal) {
  const pfl_attention given = {.struct_size = sizeof given,
                               .batch = 2,
                               .q_heads = 4,
                               .kv_heads = 2,
                               .q_length = Sq,
                               .kv_length = Sk,
                               .head_dim = D,
                               .dtype = PFL_DTYPE_BF16,
                               .scoring = {.causal = causal}};
  attention_problem problem;
  CHECK_NEED(!attention_problem_init(&given, &problem, NULL));
  return problem;
}

static kernels_request request_of(const attention_problem *problem) {
  return (kernels_request){
      .op = KERNELS_FORWARD, .problem = problem, .target = "v5e:2x2"};
}

static int64_t tile(const kernels_program *program, const char *name) {
  for (int i = 0; i < program->tile_count; i++)
    if (!strcmp(program->tiles[i].name, name)) return program->tiles[i].value;
  return -1;
}

static void test_keys(void) {
  char key[KERNELS_TUNED_KEY];
  attention_problem problem = problem_of(300, 512, 64, true);
  kernels_request request = request_of(&problem);
  kernels_tuned_key(&request, key);
  CHECK(!strcmp(key, "forward v5e bf16 causal Sq=300 Sk=512 D=64 Dv=64"), "%s",
        key);
  problem.window = (attention_window){100, 0};
  problem.softcap = 3;
  request.segment_ids = true;
  kernels_tuned_key(&request, key);
  CHECK(!strcmp(key,
                "forward v5e bf16 window=100,0 segments softcap Sq=300 "
                "Sk=512 D=64 Dv=64"),
        "%s", key);
}

/* What a table gives the request, as block_q; -1: nothing. */
static int64_t found(const kernels_request *request, const char *table) {
  kernels_tuned tuned;
  if (!kernels_tuned_find(request, table, &tuned)) return -1;
  for (int i = 0; i < tuned.count; i++)
    if (!strcmp(tuned.tiles[i].name, "block_q")) return tuned.tiles[i].value;
  return 0;
}

#define KEY "forward v5e bf16 full Sq=384 Sk=384 D=64 Dv=64"

static void test_rows(void) {
  attention_problem problem = problem_of(384, 384, 64, false);
  kernels_request request = request_of(&problem);
  static const struct {
    const char *table;
    int64_t block_q;
  } rows[] = {{"", -1},
              {KEY " : block_q=128 : 5\n", 128},
              {"\"" KEY " : block_q=128 unroll=2 : 5\\n\"\n", 128},
              {"/* tiles */\n\n  \"x : y=1 : 2\\n\"\r\n\"" KEY
               " : block_q=256 : 5\\n\"",
               256},
              {KEY "8 : block_q=128 : 5\n", -1},
              {KEY " : block_q=0 : 5\n", -1},
              {KEY " : block_q : 5\n", -1},
              {KEY " : block_q=1x : 5\n", -1},
              {KEY " : : 5\n", -1},
              {KEY " : block_q=128", -1},
              {KEY " : a_name_that_is_too_long=1 : 5\n", -1},
              {KEY " : a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 : 5\n", -1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK(found(&request, rows[i].table) == rows[i].block_q, "'%s': %lld",
          rows[i].table, (long long)found(&request, rows[i].table));
  CHECK(found(&request, NULL) == -1, "a built-in row for 384");
}

/* kernels_write: tiles that are given go before a table's, and those before the
 * plan's; a row that the kernel refuses is as none. */
static void test_order(void) {
  attention_problem problem = problem_of(384, 384, 64, false);
  kernels_request request = request_of(&problem);
  kernels_program program;
  static const kernels_tile given = {"block_q", 256};
  CHECK_NEED(!kernels_write(&request, &heap, &program, NULL));
  int64_t own = tile(&program, "block_q");
  CHECK(own != 128, "the plan's own is 128");
  kernels_program_release(&program);
  static const struct {
    const char *table;
    bool given, untuned;
    int64_t expected;
  } cases[] = {{KEY " : block_q=128 : 5\n", false, false, 128},
               {KEY " : block_q=128 : 5\n", true, false, 256},
               {KEY " : block_q=128 : 5\n", false, true, 0},
               {KEY " : block_q=129 : 5\n", false, false, 0},
               {KEY " : block_q=999999999 : 5\n", false, false, 0},
               {KEY " : colour=3 : 5\n", false, false, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    request.tuned = cases[i].table;
    request.untuned = cases[i].untuned;
    request.tiles = cases[i].given ? &given : NULL;
    request.tile_count = cases[i].given;
    pfl_error error = {PFL_STATUS_OK, ""};
    CHECK_NEED(!kernels_write(&request, &heap, &program, &error));
    int64_t expected = cases[i].expected ? cases[i].expected : own;
    CHECK(tile(&program, "block_q") == expected, "%s: %lld", cases[i].table,
          (long long)tile(&program, "block_q"));
    CHECK(program.chips == 1, "%d chips", program.chips);
    kernels_program_release(&program);
  }
}

/* ---- What is shipped ----------------------------------------------------- */

static const char *const shipped[] = {""
#include "kernels/tuned_rows.inc"
};

static void check_row(const kernels_request *request, const char *row) {
  kernels_program program;
  kernels_tuned tuned;
  kernels_request with_tiles = *request;
  pfl_error error = {PFL_STATUS_OK, ""};
  char key[KERNELS_TUNED_KEY];
  kernels_tuned_key(request, key);
  CHECK(!strncmp(key, row, strlen(key)), "%.120s is read as %s", row, key);
  CHECK_NEED(kernels_tuned_find(request, NULL, &tuned));
  with_tiles.tiles = tuned.tiles;
  with_tiles.tile_count = tuned.count;
  pfl_status status = kernels_write(&with_tiles, &heap, &program, &error);
  CHECK(!status, "%.150s: %s", row, error.message);
  if (!status) kernels_program_release(&program);
}

/* The number after `name` in a row; -1: it is not there. */
static long long number_in(const char *row, const char *name) {
  size_t length = strcspn(row, ":");
  const char *at = strstr(row, name);
  if (!at || (size_t)(at - row) > length) return -1;
  return strtoll(at + strlen(name), NULL, 10);
}

static bool says(const char *row, const char *word) {
  return number_in(row, word) >= 0;
}

static pfl_scoring scoring_of(const char *row) {
  pfl_scoring scoring = {.causal = says(row, " causal "),
                         .softcap = says(row, " softcap ") ? 50 : 0};
  const char *window = strstr(row, " window=");
  if (!window) return scoring;
  long long left, right;
  CHECK_NEED(sscanf(window, " window=%lld,%lld ", &left, &right) == 2);
  scoring.windowed = true;
  scoring.window_left = left;
  scoring.window_right = right;
  return scoring;
}

static void check_attention_row(const char *row, kernels_op op) {
  const pfl_attention given = {.struct_size = sizeof given,
                               .batch = 2,
                               .q_heads = 4,
                               .kv_heads = 2,
                               .q_length = number_in(row, " Sq="),
                               .kv_length = number_in(row, " Sk="),
                               .head_dim = number_in(row, " D="),
                               .v_head_dim = number_in(row, " Dv="),
                               .dtype = PFL_DTYPE_BF16,
                               .scoring = scoring_of(row)};
  attention_problem problem;
  CHECK_NEED(!attention_problem_init(&given, &problem, NULL));
  kernels_request request = request_of(&problem);
  request.op = op;
  request.segment_ids = says(row, " segments ");
  check_row(&request, row);
}

static void check_decode_row(const char *row) {
  long long heads = number_in(row, " Hkv=");
  const pfl_decode given = {
      .struct_size = sizeof given,
      .batch = 2,
      .q_heads = heads * number_in(row, " G="),
      .kv_heads = heads,
      .q_length = number_in(row, " T="),
      .cache_length = number_in(row, " Smax="),
      .head_dim = number_in(row, " D="),
      .v_head_dim = number_in(row, " Dv="),
      .dtype = PFL_DTYPE_BF16,
      .cache_dtype = says(row, " cache=bf16 ") ? PFL_DTYPE_BF16 : PFL_DTYPE_I8,
      .scoring = scoring_of(row)};
  attention_decode_problem problem;
  CHECK_NEED(!attention_decode_problem_init(&given, &problem, NULL));
  kernels_request request = {.op = KERNELS_DECODE,
                             .decode = &problem,
                             .target = "v5e:2x2",
                             .chips = (int)number_in(row, " chips=")};
  check_row(&request, row);
}

/* check_row holds that a row is read as what it says, word for word. */
static void test_shipped(void) {
  for (const char *row = shipped[0]; *row; row = strchr(row, '\n') + 1) {
    char op[16];
    CHECK_NEED(strchr(row, '\n') && sscanf(row, "%15s", op) == 1);
    if (!strcmp(op, "decode"))
      check_decode_row(row);
    else
      check_attention_row(
          row, strcmp(op, "forward") ? KERNELS_BACKWARD : KERNELS_FORWARD);
  }
}

int main(void) {
  return CHECK_RUN(test_keys, test_rows, test_order, test_shipped);
}

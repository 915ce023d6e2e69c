/* kernels_random [N]: N random problems of the range that the flash kernels
 * serve, forward and backward, are planned, written and compiled by the real
 * compiler: a plan must be one that the chip has room for, spills included.
 * Problem i is that of seed + i alone; a failure prints the command that
 * repeats it. Exit code 77 where there is no compiler. */
#include "compiled.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define PICK(array) ((array)[check_between(0, COUNT(array) - 1)])

static const pfl_allocator heap;
static int problems = 4;
static bool missing;

/* What XLA has to hold in HBM at once, of the chip's 16 GB. */
#define BYTES_MOST 4e9

/* ---- Problems -------------------------------------------------------------
 */

typedef struct drawn {
  pfl_attention attention;
  bool lse, segment_ids, sinks;
} drawn;

/* Of the longest sequence. */
enum { LENGTH_LOG = 17 };

/* As many of each size as of its double; half of them whole blocks. */
static int64_t draw_length(void) {
  double x = exp2(LENGTH_LOG * check_uniform());
  int64_t length = (int64_t)x;
  int64_t multiple = (int64_t)1 << check_between(7, 11);
  if (length > multiple && check_between(0, 1)) length -= length % multiple;
  return length;
}

static void draw_scoring(pfl_scoring *scoring) {
  static const int64_t windows[] = {-1, 0, 1, 100, 1024, 4096, 20000};
  scoring->causal = check_between(0, 2) != 0;
  if (check_between(0, 3) == 0) {
    scoring->windowed = 1;
    scoring->window_left = PICK(windows);
    scoring->window_right = PICK(windows);
  }
  if (check_between(0, 3) == 0) scoring->softcap = 30;
}

static double count_bytes(const pfl_attention *a) {
  double width = (double)(a->head_dim + a->v_head_dim);
  double rows = (double)(3 * a->q_heads * a->q_length);
  rows += (double)(2 * a->kv_heads * a->kv_length);
  return (double)a->batch * rows * width * (a->dtype == PFL_DTYPE_F32 ? 4 : 2);
}

static drawn draw(void) {
  static const int64_t dims[][2] = {{64, 64},   {96, 96},   {128, 128},
                                    {192, 128}, {256, 256}, {128, 128}};
  static const int64_t groups[] = {1, 1, 2, 3, 4, 8};
  drawn d;
  pfl_attention *a = &d.attention;
  do {
    const int64_t *dim = PICK(dims);
    int64_t kv_heads = check_between(1, 4), group = PICK(groups);
    *a = (pfl_attention){
        .struct_size = sizeof *a,
        .batch = check_between(1, 3),
        .q_heads = kv_heads * group,
        .kv_heads = kv_heads,
        .q_length = draw_length(),
        .kv_length = draw_length(),
        .head_dim = dim[0],
        .v_head_dim = dim[1],
        .dtype = check_between(0, 3) ? PFL_DTYPE_BF16 : PFL_DTYPE_F32};
    if (check_between(0, 1)) a->kv_length = a->q_length;
  } while (count_bytes(a) > BYTES_MOST);
  draw_scoring(&a->scoring);
  d.lse = check_between(0, 1);
  d.segment_ids = check_between(0, 3) == 0;
  d.sinks = check_between(0, 3) == 0;
  return d;
}

/* The command that compiles it. */
static void name_command(kernels_op op, const drawn *d, char *out,
                         size_t size) {
  static const char *const words[] = {
#define OP_WORD(name, word) [KERNELS_##name] = word,
      KERNELS_OP_LIST(OP_WORD)
#undef OP_WORD
  };
  const pfl_attention *a = &d->attention;
  const pfl_scoring *s = &a->scoring;
  char window[64] = "";
  if (s->windowed)
    snprintf(window, sizeof window, " --window %lld,%lld",
             (long long)s->window_left, (long long)s->window_right);
  snprintf(out, size,
           "pflash compile --target v5e:1x1 --emit executable --out again.bin "
           "--op %s --shape %lld,%lld,%lld,%lld,%lld,%lld,%lld --dtype %s"
           "%s%s%s%s%s%s",
           words[op], (long long)a->batch, (long long)a->q_heads,
           (long long)a->kv_heads, (long long)a->q_length,
           (long long)a->kv_length, (long long)a->head_dim,
           (long long)a->v_head_dim, pfl_dtype_name(a->dtype),
           s->causal ? " --causal" : "", window,
           s->softcap != 0 ? " --softcap 30" : "",
           d->segment_ids ? " --segments" : "", d->sinks ? " --sinks" : "",
           d->lse && op == KERNELS_FORWARD ? " --lse" : "");
}

/* ---- Compiling ------------------------------------------------------------
 */

static void check_op(kernels_op op, const drawn *d, uint64_t seed) {
  attention_problem problem;
  kernels_program program;
  char command[400];
  pfl_error error = {PFL_STATUS_OK, ""};
  if (missing) return;
  CHECK_NEED(!attention_problem_init(&d->attention, &problem, &error));
  kernels_request request = {.op = op,
                             .problem = &problem,
                             .target = "v5e:1x1",
                             .lse = d->lse || op == KERNELS_BACKWARD,
                             .segment_ids = d->segment_ids,
                             .sinks = d->sinks};
  pfl_status status = kernels_write(&request, &heap, &program, &error);
  if (!status) status = compiled_check("v5e:1x1", &program, &error);
  kernels_program_release(&program);
  missing = status == PFL_STATUS_NOT_FOUND;
  if (missing) printf("skipped: %s\n", error.message);
  if (missing) return;
  name_command(op, d, command, sizeof command);
  CHECK(!status, "seed %llu: %.900s\nagain: %s", (unsigned long long)seed,
        error.message, command);
}

static void check_problems(kernels_op op) {
  for (int i = 0; i < problems && !missing; i++) {
    uint64_t seed = check_seed + (uint64_t)i;
    check_state = seed * 0x9e3779b97f4a7c15u;
    drawn d = draw();
    check_op(op, &d, seed);
  }
}

static void test_forward(void) { check_problems(KERNELS_FORWARD); }

static void test_backward(void) { check_problems(KERNELS_BACKWARD); }

int main(int argc, char **argv) {
  if (argc > 1) problems = atoi(argv[1]);
  int failed = CHECK_RUN(test_forward, test_backward);
  return failed ? failed : missing ? 77 : 0;
}

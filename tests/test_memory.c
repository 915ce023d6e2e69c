/* The memory a call takes beyond its tensors: never more than docs/memory.md
 * says, by what the library asks its allocator for, and by what the process
 * really holds at its peak. At S = 16384 a matrix of scores would be 1 GiB. */
#include <stdlib.h>
#include <unistd.h>

#include "call_case.h"

enum { D = 128, HEADS = 2, LENGTH = 16384, TOKENS = 131072 };
enum { KEY_BLOCK = 192 }; /* the largest; all others take less */

/* ---- What docs/memory.md says, in bytes --------------------------------- */

/* An array of floats begins on a cache line. */
static int64_t floats(int64_t count) { return base_round_up(count, 16) * 4; }

/* A block of `rows` rows made fit for the products. */
static int64_t rows_bytes(int64_t rows, int64_t width) {
  return floats((rows + 1) * (width + 16));
}

static int64_t panel_bytes(int64_t width) {
  return 2 * floats(64 * width) + 2 * floats(64);
}

static int64_t forward_bytes(int64_t threads) {
  int64_t worker = 4 * panel_bytes(D) + floats(KEY_BLOCK * 64) +
                   2 * rows_bytes(KEY_BLOCK, D) + rows_bytes(64, D);
  return threads * worker;
}

/* `sums`: of dq, dk and dv, rows that a worker keeps in f32. */
static int64_t backward_bytes(int64_t threads, int64_t sums) {
  int64_t worker = 2 * floats(KEY_BLOCK * 64) + floats(KEY_BLOCK / 2 * 64) +
                   3 * rows_bytes(KEY_BLOCK, D) + 2 * floats(64 * D) +
                   3 * rows_bytes(64, D) + floats(sums * D);
  return threads * worker + floats(HEADS * LENGTH);
}

/* `rows` of a key-value head. */
static int64_t decode_bytes(int64_t threads, int64_t rows) {
  int64_t worker = floats(rows * D) + floats(rows * 512);
  int64_t many = panel_bytes(D) + floats(KEY_BLOCK * 64) +
                 2 * rows_bytes(KEY_BLOCK, D) + rows_bytes(64, D) +
                 floats(64 * D) + 2 * floats(KEY_BLOCK * D) +
                 2 * floats(KEY_BLOCK);
  int64_t parts = 64 * HEADS * rows;
  return threads * (rows > 8 ? many : worker) + 2 * floats(parts) +
         floats(parts * D);
}

/* ---- What is taken ------------------------------------------------------ */

/* Bytes asked for and not given back, and the most there were. */
typedef struct meter {
  size_t live, most;
} meter;

static void *meter_allocate(void *user, size_t bytes) {
  meter *m = user;
  size_t *block = malloc(bytes + 16);
  if (!block) return NULL;
  *block = bytes;
  m->live += bytes;
  if (m->live > m->most) m->most = m->live;
  return (char *)block + 16;
}

static void meter_release(void *user, void *memory) {
  size_t *block = (size_t *)((char *)memory - 16);
  ((meter *)user)->live -= *block;
  free(block);
}

/* A line of /proc/self/status in bytes. */
static int64_t status_bytes(const char *name) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long long kilobytes = 0;
  CHECK_NEED(file);
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, name, strlen(name)))
      kilobytes = strtoll(line + strlen(name), NULL, 10);
  fclose(file);
  return kilobytes * 1024;
}

/* Makes the peak what is held now; false where that is not allowed. */
static bool forget_peak(void) {
  FILE *file = fopen("/proc/self/clear_refs", "w");
  return file && fputs("5", file) >= 0 && fclose(file) == 0;
}

/* What the peak may show beside the library's memory: pages that the kernel
 * makes huge (2 MiB) around each allocation and stack, the stacks themselves,
 * and the page counts that each CPU keeps to itself. */
static int64_t unseen_bytes(int64_t threads) {
  int64_t cpus = sysconf(_SC_NPROCESSORS_CONF);
  return (4 + threads) * (2 << 20) + 2 * base_max(32, 2 * cpus) * cpus * 4096;
}

/* Tensors whose every page is there already. */
static void *tensor(int64_t count, pfl_dtype dtype) {
  size_t size = pfl_dtype_size(dtype);
  unsigned char *bytes = case_allocate(count, size);
  for (int64_t i = 0; i < count; i++) {
    float f = (float)(check_random() % 2001) / 1000 - 1;
    uint16_t half = base_f32_to_bf16(f);
    memcpy(bytes + (size_t)i * size, size == 4 ? (void *)&f : (void *)&half,
           size);
  }
  return bytes;
}

typedef pfl_status run_fn(pfl_context *context, const void *descriptor,
                          const void *args);

/* Runs once on a fresh context and holds what it took against `allowed`. */
static void check_run_of(const char *name, run_fn *run, const void *descriptor,
                         const void *args, int32_t threads, int64_t allowed) {
  meter m = {0, 0};
  pfl_context_options options = {
      .struct_size = sizeof options,
      .threads = threads,
      .allocator = {meter_allocate, meter_release, &m}};
  pfl_context *context = NULL;
  CHECK_NEED(!pfl_context_create(&options, &context, NULL));
  size_t before = m.live;
  bool measured = forget_peak();
  int64_t held = status_bytes("VmRSS:");
  CHECK(run(context, descriptor, args) == PFL_STATUS_OK, "%s", name);
  int64_t peak = status_bytes("VmHWM:") - held;
  int64_t asked = (int64_t)(m.most - before);
  printf("%s on %d threads: %.2f MB asked for, of %.2f MB; peak %.2f MB\n",
         name, threads, 1e-6 * (double)asked, 1e-6 * (double)allowed,
         1e-6 * (double)peak);
  /* room to align a block, base/memory.c */
  CHECK(asked <= allowed + 128, "%s: %lld bytes, not %lld", name,
        (long long)asked, (long long)allowed);
  CHECK(!measured || peak <= allowed + unseen_bytes(threads),
        "%s: peak of %lld bytes, not %lld and %lld unseen", name,
        (long long)peak, (long long)allowed, (long long)unseen_bytes(threads));
  pfl_context_destroy(context);
}

static pfl_status run_forward(pfl_context *context, const void *descriptor,
                              const void *args) {
  return pfl_attention_forward(context, descriptor, args, NULL);
}

static pfl_status run_backward(pfl_context *context, const void *descriptor,
                               const void *args) {
  return pfl_attention_backward(context, descriptor, args, NULL);
}

static pfl_status run_decode(pfl_context *context, const void *descriptor,
                             const void *args) {
  return pfl_attention_decode(context, descriptor, args, NULL);
}

/* ---- Forward and backward ----------------------------------------------- */

/* A window keeps it short; every block of keys and panel of queries is met. */
static pfl_attention long_attention(pfl_dtype dtype) {
  return (pfl_attention){
      .struct_size = sizeof(pfl_attention),
      .batch = 1,
      .q_heads = HEADS,
      .kv_heads = HEADS,
      .q_length = LENGTH,
      .kv_length = LENGTH,
      .head_dim = D,
      .dtype = dtype,
      .scoring = {.causal = 1, .windowed = 1, .window_left = 300}};
}

static void check_forward_and_backward(pfl_dtype dtype, int64_t sums) {
  enum { TENSORS = 8 };
  pfl_attention a = long_attention(dtype);
  void *t[TENSORS]; /* q, k, v, o, d_o, dq, dk, dv */
  for (int i = 0; i < TENSORS; i++) t[i] = tensor(HEADS * LENGTH * D, dtype);
  float *lse = tensor(HEADS * LENGTH, PFL_DTYPE_F32);
  pfl_forward_args forward = {.struct_size = sizeof forward,
                              .q = t[0],
                              .k = t[1],
                              .v = t[2],
                              .out_o = t[3],
                              .out_lse = lse};
  pfl_backward_args backward = {.struct_size = sizeof backward,
                                .q = t[0],
                                .k = t[1],
                                .v = t[2],
                                .o = t[3],
                                .lse = lse,
                                .d_o = t[4],
                                .out_dq = t[5],
                                .out_dk = t[6],
                                .out_dv = t[7]};
  /* two heads are whole on 1 and 2 threads, and split on 3; split sums are of
   * a panel and a block */
  int64_t split = sums ? 64 + 2 * KEY_BLOCK : 0;
  check_run_of("forward", run_forward, &a, &forward, 1, forward_bytes(1));
  check_run_of("forward", run_forward, &a, &forward, 4, forward_bytes(4));
  check_run_of("backward, whole heads", run_backward, &a, &backward, 2,
               backward_bytes(2, sums));
  check_run_of("backward, split heads", run_backward, &a, &backward, 3,
               backward_bytes(3, split));
  for (int i = 0; i < TENSORS; i++) free(t[i]);
  free(lse);
}

/* dq, dk and dv are f32 in whole vectors and are summed where they lie. */
static void test_f32(void) { check_forward_and_backward(PFL_DTYPE_F32, 0); }

/* A head's dq, dk and dv in f32 for each thread. */
static void test_bf16(void) {
  check_forward_and_backward(PFL_DTYPE_BF16, 3 * LENGTH);
}

/* ---- Decode ------------------------------------------------------------- */

static void check_decode(pfl_dtype dtype, int64_t rows) {
  pfl_decode d = {.struct_size = sizeof d,
                  .batch = 1,
                  .q_heads = HEADS * rows,
                  .kv_heads = HEADS,
                  .q_length = 1,
                  .head_dim = D,
                  .cache_length = TOKENS,
                  .dtype = dtype};
  void *q = tensor(HEADS * rows * D, dtype);
  void *k = tensor(HEADS * TOKENS * D, dtype);
  void *v = tensor(HEADS * TOKENS * D, dtype);
  void *o = tensor(HEADS * rows * D, dtype);
  pfl_decode_args args = {
      .struct_size = sizeof args, .q = q, .k = k, .v = v, .out_o = o};
  for (int32_t threads = 1; threads <= 4; threads += 3)
    check_run_of("decode", run_decode, &d, &args, threads,
                 decode_bytes(threads, rows));
  void *tensors[] = {q, k, v, o};
  for (int i = 0; i < COUNT(tensors); i++) free(tensors[i]);
}

static void test_decode_of_few_rows(void) { check_decode(PFL_DTYPE_BF16, 4); }

static void test_decode_of_many_rows(void) { check_decode(PFL_DTYPE_BF16, 16); }

int main(void) {
  bool measured = forget_peak();
  int failed = CHECK_RUN(test_f32, test_bf16, test_decode_of_few_rows,
                         test_decode_of_many_rows);
  if (measured || failed) return failed;
  printf("peaks not measured: /proc/self/clear_refs cannot be written\n");
  return 77;
}

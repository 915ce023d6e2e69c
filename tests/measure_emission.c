/* measure_emission: how long it takes to write kernels, on this machine, now.
 * No test: nothing depends on the figures, and no run of ctest makes them.
 *
 *   script/build release && build/release/tests/measure_emission
 *
 * Two tables: kernels of more and more ops, of which each should cost the same;
 * and the attention kernels, planned, built, verified and printed as StableHLO,
 * which should take less than 5 ms. Times are medians of RUNS, and of the CPU. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "xla/lower.h"

enum { RUNS = 21 };

static const pfl_allocator heap;

/* Of the processor, which others may use meanwhile: nothing here waits. */
static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *times) {
  qsort(times, RUNS, sizeof *times, order);
  return times[RUNS / 2];
}

static void need(pfl_status status, const pfl_error *error) {
  if (!status) return;
  fprintf(stderr, "measure_emission: %s\n", error->message);
  exit(1);
}

/* ---- Kernels of a size ----------------------------------------------------
 */

/* A chain of `ops` sums within loops of 64, between a load and a store. */
static void build_chain(mo_builder *b, int ops) {
  mo_kernel(b, "chain", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(8, 128));
  mo_value *sum = mo_load_all(b, x);
  for (int done = 0; done < ops;) {
    mo_value **in =
        mo_for(b, mo_i32(b, 0), mo_i32(b, 4), mo_i32(b, 1), MO_VALUES(sum));
    mo_value *inner = in[1];
    for (int i = 0; i < 64; i++, done++) inner = mo_add(b, inner, in[1]);
    sum = mo_end(b, MO_VALUES(inner))[0];
  }
  mo_store_all(b, sum, y);
  mo_kernel_end(b);
}

static void measure_chain(int ops) {
  double build[RUNS], print[RUNS];
  int64_t count = 0;
  size_t bytes = 0;
  for (int run = 0; run < RUNS; run++) {
    mo_builder b;
    mo_module *module;
    base_text text = {0};
    pfl_error error;
    double start = now_ms();
    mo_begin(&b, &heap);
    build_chain(&b, ops);
    need(mo_finish(&b, &module, &error), &error); /* and verified */
    build[run] = now_ms() - start;
    start = now_ms();
    need(mo_print(module, NULL, &text, &error), &error);
    print[run] = now_ms() - start;
    count = module->op_count;
    bytes = text.length;
    base_text_release(&text);
    mo_module_destroy(module);
  }
  double build_ms = median(build), print_ms = median(print);
  printf("%8" PRId64 " %10zu %9.3f %9.3f %10.0f\n", count, bytes, build_ms,
         print_ms, 1e6 * (build_ms + print_ms) / (double)count);
}

/* ---- Attention ------------------------------------------------------------
 */

static void measure_request(const char *name, const kernels_request *request) {
  double times[RUNS];
  int64_t ops = 0;
  size_t bytes = 0;
  for (int run = 0; run < RUNS; run++) {
    kernels_program program;
    base_text text = {0};
    pfl_error error;
    double start = now_ms();
    pfl_status status = kernels_write(request, &heap, &program, &error);
    if (status == PFL_STATUS_UNIMPLEMENTED) return;
    need(status, &error);
    need(xla_lower(&program, &text, NULL, &error), &error);
    times[run] = now_ms() - start;
    ops = 0;
    for (int i = 0; i < program.kernel_count; i++)
      ops += program.kernels[i].module->op_count;
    bytes = text.length;
    base_text_release(&text);
    kernels_program_release(&program);
  }
  printf("%-28s %7" PRId64 " %9zu %8.3f\n", name, ops, bytes, median(times));
}

static void measure_attention(const char *name, kernels_op op, int64_t length,
                              bool causal) {
  pfl_attention attention = {.struct_size = sizeof attention,
                             .batch = 1,
                             .q_heads = 8,
                             .kv_heads = 8,
                             .q_length = length,
                             .kv_length = length,
                             .head_dim = 128,
                             .dtype = PFL_DTYPE_BF16,
                             .scoring = {.causal = causal}};
  attention_problem problem;
  pfl_error error;
  need(attention_problem_init(&attention, &problem, &error), &error);
  measure_request(
      name,
      &(kernels_request){.op = op, .problem = &problem, .target = "v5e:2x2"});
}

static void measure_decode(const char *name, int chips) {
  pfl_decode decode = {.struct_size = sizeof decode,
                       .batch = 8,
                       .q_heads = 32,
                       .kv_heads = 8,
                       .q_length = 1,
                       .cache_length = 32768,
                       .head_dim = 128,
                       .dtype = PFL_DTYPE_BF16};
  attention_decode_problem problem;
  pfl_error error;
  need(attention_decode_problem_init(&decode, &problem, &error), &error);
  measure_request(name, &(kernels_request){.op = KERNELS_DECODE,
                                           .decode = &problem,
                                           .target = "v5e:2x2",
                                           .chips = chips});
}

int main(void) {
  printf("     ops      bytes  build ms  print ms  ns an op\n");
  for (int ops = 1 << 10; ops <= 1 << 17; ops *= 2) measure_chain(ops);
  printf("\nprogram                          ops     bytes       ms\n");
  measure_attention("forward 4096 full", KERNELS_FORWARD, 4096, false);
  measure_attention("forward 4096 causal", KERNELS_FORWARD, 4096, true);
  measure_attention("forward 16384 causal", KERNELS_FORWARD, 16384, true);
  measure_attention("backward 4096 causal", KERNELS_BACKWARD, 4096, true);
  measure_decode("decode 32768, 1 chip", 1);
  measure_decode("decode 32768, 4 chips", 4);
  return 0;
}

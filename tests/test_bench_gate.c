/* The gate: it lets right outputs through and stops wrong ones, and what it
 * expects is what the whole reference gives. */
#include "attention/reference.h"
#include "base/dtype.h"
#include "bench/gate.h"
#include "check.h"

#define CASE(op, batch, q_heads, kv_heads, q_length, kv_length, width, causal, \
             window, softcap, sinks, dtype, cache_dtype)                       \
  {                                                                            \
    "", 1, BENCH_OP_##op, batch, q_heads, kv_heads, q_length, kv_length,       \
        width, causal, window, softcap, sinks, PFL_DTYPE_##dtype,              \
        PFL_DTYPE_##cache_dtype                                                \
  }

static const bench_workload cases[] = {
    CASE(FORWARD, 1, 4, 2, 100, 100, 32, true, 0, 0, false, F32, F32),
    CASE(FORWARD, 1, 2, 2, 70, 70, 64, false, 0, 0, false, BF16, BF16),
    CASE(FORWARD, 1, 3, 1, 5, 5, 16, true, 0, 0, false, F16, F16),
    CASE(FORWARD, 2, 4, 2, 90, 90, 32, true, 20, 0, true, BF16, BF16),
    CASE(FORWARD, 3, 2, 1, 60, 60, 64, true, 0, 5, false, F32, F32),
    CASE(BACKWARD, 1, 3, 3, 90, 90, 32, true, 0, 0, false, F32, F32),
    CASE(BACKWARD, 1, 2, 2, 65, 65, 48, false, 0, 0, false, BF16, BF16),
    CASE(BACKWARD, 2, 2, 2, 80, 80, 32, true, 17, 5, true, F32, F32),
    CASE(DECODE, 1, 8, 2, 1, 333, 64, false, 0, 0, false, F32, F32),
    CASE(DECODE, 1, 6, 3, 1, 130, 32, false, 0, 0, false, BF16, I8),
    CASE(DECODE, 3, 4, 2, 1, 200, 32, false, 33, 4, true, BF16, I8),
};
enum { CASES = sizeof cases / sizeof *cases };

/* A case with its outputs computed by the library. */
typedef struct scene {
  bench_tensors tensors;
  bench_gate gate;
  base_threads *threads;
  pfl_context *context;
  const void *outputs[BENCH_OUTPUTS_MAX];
} scene;

static void scene_make(scene *s, const bench_workload *w) {
  static const pfl_allocator allocator = {0};
  pfl_error error = {0};
  CHECK_NEED(base_threads_create(&allocator, 3, &s->threads, &error) ==
             PFL_STATUS_OK);
  CHECK_NEED(pfl_context_create(NULL, &s->context, &error) == PFL_STATUS_OK);
  CHECK_NEED(tensors_create(w, check_random(), 0, s->threads, &s->tensors,
                            &error) == PFL_STATUS_OK);
  CHECK_NEED(gate_create(&s->tensors, s->threads, &s->gate, &error) ==
             PFL_STATUS_OK);
  for (int i = 0; i < s->tensors.output_count; i++)
    s->outputs[i] = s->tensors.outputs[i].data;
  tensors_spoil_outputs(&s->tensors);
}

static void scene_run(scene *s) {
  if (s->tensors.workload.op == BENCH_OP_BACKWARD)
    CHECK_NEED(tensors_run_forward(&s->tensors, s->context, NULL) ==
               PFL_STATUS_OK);
  CHECK_NEED(tensors_run(&s->tensors, s->context, NULL) == PFL_STATUS_OK);
}

static gate_verdict scene_check(const scene *s) {
  return gate_check(&s->gate, s->outputs, s->tensors.workload.dtype);
}

static void scene_end(scene *s) {
  gate_release(&s->gate);
  tensors_release(&s->tensors);
  pfl_context_destroy(s->context);
  base_threads_destroy(s->threads);
}

static void test_right_outputs_pass(void) {
  for (int i = 0; i < CASES; i++) {
    scene s;
    scene_make(&s, &cases[i]);
    scene_run(&s);
    gate_verdict verdict = scene_check(&s);
    CHECK(verdict.passed && verdict.relative > 0 && verdict.relative <= 1,
          "case %d: error %g, %g of the tolerance", i, verdict.error,
          verdict.relative);
    scene_end(&s);
  }
}

static void test_no_outputs_fail(void) {
  for (int i = 0; i < CASES; i++) {
    scene s;
    scene_make(&s, &cases[i]);
    gate_verdict verdict = scene_check(&s);
    CHECK(!verdict.passed && isnan(verdict.error), "case %d: error %g", i,
          verdict.error);
    scene_end(&s);
  }
}

static void put(void *array, pfl_dtype dtype, int64_t index, double value) {
  if (dtype == PFL_DTYPE_F32) ((float *)array)[index] = (float)value;
  if (dtype == PFL_DTYPE_BF16)
    ((uint16_t *)array)[index] = base_f32_to_bf16((float)value);
  if (dtype == PFL_DTYPE_F16)
    ((uint16_t *)array)[index] = base_f32_to_f16((float)value);
}

/* One element of one checked row off by three tolerances, every output. */
static void test_one_wrong_element_fails(void) {
  for (int i = 0; i < CASES; i++)
    for (int output = 0; output < (cases[i].op == BENCH_OP_BACKWARD ? 3 : 1);
         output++) {
      scene s;
      scene_make(&s, &cases[i]);
      scene_run(&s);
      const gate_output *checked = &s.gate.outputs[output];
      int64_t D = cases[i].head_dim;
      int64_t row = check_between(0, checked->count - 1);
      int64_t column = check_between(0, D - 1);
      double wrong =
          checked->expected[row * D + column] + 3 * checked->allowed[row];
      put(s.tensors.outputs[output].data, cases[i].dtype,
          checked->rows[row] * D + column, wrong);
      gate_verdict verdict = scene_check(&s);
      CHECK(!verdict.passed && verdict.relative > 1.5,
            "case %d output %d row %lld: %g of the tolerance", i, output,
            (long long)row, verdict.relative);
      scene_end(&s);
    }
}

/* A kernel that forgets the last key: of the mistakes a tolerance must not
 * hide, the smallest there is. */
static void test_a_missing_key_fails(void) {
  bench_workload whole =
      CASE(FORWARD, 1, 2, 2, 64, 2048, 128, false, 0, 0, false, F32, F32);
  bench_workload less = whole;
  scene s;
  scene_make(&s, &whole);
  /* one head, so that a shorter K is a prefix of the longer */
  less.kv_length--;
  less.q_heads = less.kv_heads = 1;
  pfl_attention attention = bench_workload_attention(&less);
  pfl_forward_args args = {.struct_size = sizeof args,
                           .q = s.tensors.q,
                           .k = s.tensors.memory,
                           .v = s.tensors.memory + s.tensors.v_offset,
                           .out_o = s.tensors.o};
  scene_run(&s);
  CHECK(scene_check(&s).passed, "all keys");
  CHECK_NEED(pfl_attention_forward(s.context, &attention, &args, NULL) ==
             PFL_STATUS_OK);
  gate_verdict verdict = scene_check(&s);
  CHECK(!verdict.passed && verdict.relative > 10, "%g of the tolerance",
        verdict.relative);
  scene_end(&s);
}

/* All of a case by the reference at once. */
static double *whole_reference(const scene *s, int output) {
  const bench_tensors *t = &s->tensors;
  const bench_workload *w = &t->workload;
  int64_t q_count = w->batch * w->q_heads * w->q_length * w->head_dim;
  int64_t kv_count = w->batch * w->kv_heads * w->kv_length * w->head_dim;
  double *q = reference_widen(t->q, w->dtype, q_count);
  double *k = reference_widen(t->memory, w->cache_dtype, kv_count);
  double *v =
      reference_widen(t->memory + t->v_offset, w->cache_dtype, kv_count);
  double *out = malloc((size_t)base_max(q_count, kv_count) * sizeof *out);
  double *sinks =
      w->sinks ? reference_widen(t->sinks, PFL_DTYPE_F32, w->q_heads) : NULL;
  CHECK_NEED(q && k && v && out && (sinks || !w->sinks));
  const float *k_scale = (const float *)(t->memory + t->k_scale_offset);
  const float *v_scale = (const float *)(t->memory + t->v_scale_offset);
  for (int64_t i = 0; w->cache_dtype == PFL_DTYPE_I8 && i < kv_count; i++) {
    k[i] *= k_scale[i / w->head_dim];
    v[i] *= v_scale[i / w->head_dim];
  }
  pfl_attention attention = bench_workload_attention(w);
  attention_problem problem;
  CHECK_NEED(attention_problem_init(&attention, &problem, NULL) ==
             PFL_STATUS_OK);
  if (w->op == BENCH_OP_BACKWARD) {
    double *d_o = reference_widen(t->d_o, w->dtype, q_count);
    CHECK_NEED(d_o);
    reference_backward_args args = {
        .q = q, .k = k, .v = v, .d_o = d_o, .sinks = sinks};
    *(output == 0   ? &args.out_dq
      : output == 1 ? &args.out_dk
                    : &args.out_dv) = out;
    CHECK_NEED(reference_backward(&problem, &args));
    free(d_o);
  } else {
    reference_forward_args args = {
        .q = q, .k = k, .v = v, .sinks = sinks, .out_o = out};
    CHECK_NEED(reference_forward(&problem, &args));
  }
  free(q);
  free(k);
  free(v);
  free(sinks);
  return out;
}

static void test_expected_is_the_reference(void) {
  for (int i = 0; i < CASES; i++) {
    scene s;
    scene_make(&s, &cases[i]);
    int64_t D = cases[i].head_dim;
    for (int output = 0; output < s.gate.output_count; output++) {
      const gate_output *checked = &s.gate.outputs[output];
      double *whole = whole_reference(&s, output), worst = 0;
      for (int64_t n = 0; n < checked->count * D; n++)
        worst = fmax(worst, fabs(checked->expected[n] -
                                 whole[checked->rows[n / D] * D + n % D]));
      CHECK(worst < 1e-12, "case %d output %d: %g", i, output, worst);
      free(whole);
    }
    scene_end(&s);
  }
}

/* No row twice, the first and the last of a head among them. */
static void test_sample(void) {
  for (int i = 0; i < CASES; i++) {
    scene s;
    scene_make(&s, &cases[i]);
    const gate_output *checked = &s.gate.outputs[0];
    int64_t length = cases[i].q_length;
    int first = 0, last = 0;
    for (int64_t n = 0; n < checked->count; n++) {
      int64_t row = checked->rows[n];
      CHECK(row >= 0 && row < cases[i].batch * cases[i].q_heads * length,
            "case %d: row %lld", i, (long long)row);
      CHECK(n == 0 || row > checked->rows[n - 1],
            "case %d: row %lld after %lld", i, (long long)row,
            (long long)checked->rows[n - 1]);
      first += row % length == 0;
      last += row % length == length - 1;
    }
    CHECK(first > 0 && last > 0, "case %d: %d first, %d last rows", i, first,
          last);
    CHECK(*s.gate.sample, "case %d says what it checks", i);
    scene_end(&s);
  }
}

/* Decode runs use the copies one after the other, and all give the same. */
static void test_copies(void) {
  bench_tensors t;
  scene s;
  scene_make(&s, &cases[CASES - 1]);
  CHECK_NEED(tensors_create(&cases[CASES - 1], 5, 1 << 20, s.threads, &t,
                            NULL) == PFL_STATUS_OK);
  CHECK(t.copies * (int64_t)t.copy_bytes >= 1 << 20, "%lld copies",
        (long long)t.copies);
  for (int64_t n = 1; n < t.copies; n++)
    CHECK(!memcmp(t.memory, t.memory + (size_t)n * t.copy_bytes,
                  t.v_scale_offset + (size_t)(cases[CASES - 1].kv_heads *
                                              cases[CASES - 1].kv_length) *
                                         sizeof(float)),
          "copy %lld differs", (long long)n);
  for (int64_t n = 0; n < 2 * t.copies; n++) {
    CHECK(t.next == n % t.copies, "run %lld uses copy %lld", (long long)n,
          (long long)t.next);
    CHECK(tensors_ring(&t).start == (size_t)t.next * t.copy_bytes,
          "the ring starts elsewhere");
    CHECK_NEED(tensors_run(&t, s.context, NULL) == PFL_STATUS_OK);
  }
  tensors_release(&t);
  scene_end(&s);
}

/* The numbers are what the tolerance takes them for. */
static void test_numbers(void) {
  bench_workload w = cases[0];
  w.kv_length = w.q_length = 2000;
  scene s;
  scene_make(&s, &w);
  const float *k = (const float *)s.tensors.memory;
  int64_t count = w.kv_heads * w.kv_length * w.head_dim;
  double sum = 0, squares = 0, neighbours = 0;
  for (int64_t i = 0; i < count; i++) {
    sum += k[i];
    squares += (double)k[i] * k[i];
    if (i) neighbours += (double)k[i] * k[i - 1];
  }
  double n = (double)count, deviation = 1 / sqrt(n);
  CHECK(fabs(sum / n) < 5 * deviation, "mean %g", sum / n);
  CHECK(fabs(squares / n - 1) < 5 * deviation * sqrt(2), "variance %g",
        squares / n);
  CHECK(fabs(neighbours / n) < 5 * deviation, "neighbours %g", neighbours / n);
  CHECK(memcmp(k, s.tensors.q, 1000) != 0, "k and q are the same numbers");
  scene_end(&s);
}

int main(void) {
  return CHECK_RUN(test_right_outputs_pass, test_no_outputs_fail,
                   test_one_wrong_element_fails, test_a_missing_key_fails,
                   test_expected_is_the_reference, test_sample, test_copies,
                   test_numbers);
}

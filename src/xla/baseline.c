/* Plain attention in StableHLO. */
#include "xla/baseline.h"

#include <inttypes.h>
#include <string.h>

#include "xla/program.h"

enum { RANK = 5, KEYS = 4 }; /* scores: [B, Hkv, G, Sq, Sk] */

/* A value of the program, called %v and its number. */
typedef struct value {
  int number;
  const char *element;
  int rank;
  int64_t shape[RANK];
} value;

typedef struct writer {
  const xla_baseline *a;
  base_text *text;
  int values;
  int64_t group; /* query heads that share a key-value head */
} writer;

/* ---- Pieces of text ------------------------------------------------------ */

static void add_type(const writer *w, const value *v) {
  base_text_add_string(w->text, "tensor<");
  for (int i = 0; i < v->rank; i++)
    base_text_format(w->text, "%" PRId64 "x", v->shape[i]);
  base_text_format(w->text, "%s>", v->element);
}

static void add_list(const writer *w, const int *numbers, int count) {
  base_text_add_string(w->text, "[");
  for (int i = 0; i < count; i++)
    base_text_format(w->text, i ? ", %d" : "%d", numbers[i]);
  base_text_add_string(w->text, "]");
}

/* "(A, B) -> C" */
static void add_signature(const writer *w, const value *const *operands,
                          int count, const value *result) {
  base_text_add_string(w->text, " : (");
  for (int i = 0; i < count; i++) {
    if (i) base_text_add_string(w->text, ", ");
    add_type(w, operands[i]);
  }
  base_text_add_string(w->text, ") -> ");
  add_type(w, result);
  base_text_add_string(w->text, "\n");
}

static value begin(writer *w, value type, const char *op) {
  type.number = w->values++;
  base_text_format(w->text, "    %%v%d = stablehlo.%s", type.number, op);
  return type;
}

static value typed(const char *element, int rank, int64_t a, int64_t b,
                   int64_t c, int64_t d, int64_t e) {
  return (value){0, element, rank, {a, b, c, d, e}};
}

static const char *element_of(pfl_dtype dtype) {
  return mo_element_name(xla_element(dtype));
}

static value retyped(value v, const char *element) {
  v.element = element;
  return v;
}

/* ---- Operations ---------------------------------------------------------- */

static value constant(writer *w, value type, double number) {
  value v = begin(w, type, "constant");
  base_text_format(w->text, " dense<%.9e> : ", number);
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  return v;
}

static value minus_infinity(writer *w, value type) {
  value v = begin(w, type, "constant");
  base_text_add_string(w->text, " dense<0xFF800000> : ");
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  return v;
}

static value unary(writer *w, const char *op, value a) {
  value v = begin(w, a, op);
  base_text_format(w->text, " %%v%d : ", a.number);
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  return v;
}

static value binary(writer *w, const char *op, value a, value b) {
  value v = begin(w, a, op);
  base_text_format(w->text, " %%v%d, %%v%d : ", a.number, b.number);
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  return v;
}

static value scaled(writer *w, value a, double factor) {
  value number = constant(w, a, factor);
  return binary(w, "multiply", a, number);
}

/* convert, or reshape: a value in another type. */
static value turned(writer *w, const char *op, value a, value type) {
  value v = begin(w, type, op);
  base_text_format(w->text, " %%v%d", a.number);
  add_signature(w, (const value *[]){&a}, 1, &v);
  return v;
}

static value converted(writer *w, value a, const char *element) {
  if (!strcmp(a.element, element)) return a;
  return turned(w, "convert", a, retyped(a, element));
}

static value spread(writer *w, value a, const int *dims, value type) {
  value v = begin(w, type, "broadcast_in_dim");
  base_text_format(w->text, " %%v%d, dims = ", a.number);
  add_list(w, dims, a.rank);
  add_signature(w, (const value *[]){&a}, 1, &v);
  return v;
}

static value reduced(writer *w, const char *op, value a, value start) {
  value type = a;
  type.rank = a.rank - 1; /* always the last dimension */
  value v = begin(w, type, "reduce");
  base_text_format(w->text,
                   "(%%v%d init: %%v%d) applies stablehlo.%s across "
                   "dimensions = [%d]",
                   a.number, start.number, op, a.rank - 1);
  add_signature(w, (const value *[]){&a, &start}, 2, &v);
  return v;
}

/* Over batch and key-value heads; sums in f32. */
static value product(writer *w, value a, value b, const int *a_dims,
                     const int *b_dims, int dims, value type) {
  value v = begin(w, retyped(type, "f32"), "dot_general");
  base_text_format(w->text,
                   " %%v%d, %%v%d, batching_dims = [0, 1] x [0, 1], "
                   "contracting_dims = ",
                   a.number, b.number);
  add_list(w, a_dims, dims);
  base_text_add_string(w->text, " x ");
  add_list(w, b_dims, dims);
  add_signature(w, (const value *[]){&a, &b}, 2, &v);
  return v;
}

static value compared(writer *w, const char *how, value a, value b) {
  value v = begin(w, retyped(a, "i1"), "compare");
  base_text_format(w->text, " %s, %%v%d, %%v%d, SIGNED", how, a.number,
                   b.number);
  add_signature(w, (const value *[]){&a, &b}, 2, &v);
  return v;
}

static value chosen(writer *w, value which, value a, value b) {
  value v = begin(w, a, "select");
  base_text_format(w->text, " %%v%d, %%v%d, %%v%d : ", which.number, a.number,
                   b.number);
  add_type(w, &which);
  base_text_add_string(w->text, ", ");
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  return v;
}

static value counted(writer *w, value type, int dim, int64_t first) {
  value v = begin(w, retyped(type, "i32"), "iota");
  base_text_format(w->text, " dim = %d : ", dim);
  add_type(w, &v);
  base_text_add_string(w->text, "\n");
  if (!first) return v;
  value start = begin(w, v, "constant");
  base_text_format(w->text, " dense<%" PRId64 "> : ", first);
  add_type(w, &start);
  base_text_add_string(w->text, "\n");
  return binary(w, "add", v, start);
}

/* ---- Attention ----------------------------------------------------------- */

static value q_type(const writer *w) { /* heads by key-value head */
  const xla_baseline *a = w->a;
  return typed(element_of(a->dtype), RANK, a->batch, a->kv_heads, w->group,
               a->q_length, a->head_dim);
}

static value score_type(const writer *w) {
  const xla_baseline *a = w->a;
  return typed("f32", RANK, a->batch, a->kv_heads, w->group, a->q_length,
               a->kv_length);
}

/* [B, Hq, Sq] or [B, Hq, Sq, D] with heads apart. */
static value grouped(writer *w, value v) {
  value type = v;
  type.rank = v.rank + 1;
  type.shape[1] = w->a->kv_heads;
  type.shape[2] = w->group;
  for (int i = 3; i < type.rank; i++) type.shape[i] = v.shape[i - 1];
  return turned(w, "reshape", v, type);
}

static value by_row(writer *w, value rows, value type) {
  return spread(w, rows, (const int[]){0, 1, 2, 3}, type);
}

/* [B, Hkv, Sk] along the keys. */
static value by_key(writer *w, value keys, value type) {
  return spread(w, keys, (const int[]){0, 1, KEYS}, type);
}

/* A query sees the keys up to its own place, and of those the last `window`. */
static value masked(writer *w, value scores) {
  const xla_baseline *a = w->a;
  if (!a->causal && !a->window) return scores;
  value query = counted(w, scores, 3, a->kv_length - a->q_length);
  value key = counted(w, scores, KEYS, 0);
  value nothing = minus_infinity(w, scores);
  if (a->causal) {
    value seen = compared(w, "GE", query, key);
    scores = chosen(w, seen, scores, nothing);
  }
  if (a->window) {
    value first = counted(w, scores, 3, a->kv_length - a->q_length - a->window);
    value seen = compared(w, "GT", key, first);
    scores = chosen(w, seen, scores, nothing);
  }
  return scores;
}

/* Scores, scaled, capped and masked; *out_tanh is what the cap made of them. */
static value scores_of(writer *w, value q, value k, const value *k_scale,
                       value *out_tanh) {
  const xla_baseline *a = w->a;
  value s = product(w, q, converted(w, k, q.element), (const int[]){4},
                    (const int[]){3}, 1, score_type(w));
  if (k_scale) {
    value scales = by_key(w, *k_scale, s);
    s = binary(w, "multiply", s, scales);
  }
  s = scaled(w, s, a->softcap > 0 ? a->scale / a->softcap : a->scale);
  if (a->softcap > 0) {
    *out_tanh = unary(w, "tanh", s);
    s = scaled(w, *out_tanh, a->softcap);
  }
  return masked(w, s);
}

/* The shares of the keys. Sinks take theirs of the sum. */
static value softmax(writer *w, value s, const value *sinks) {
  value none = typed("f32", 0, 0, 0, 0, 0, 0);
  value start = minus_infinity(w, none), sink = {0};
  value largest = reduced(w, "maximum", s, start);
  if (sinks) {
    value type = typed("f32", 2, w->a->kv_heads, w->group, 0, 0, 0);
    value heads = turned(w, "reshape", *sinks, type);
    sink = spread(w, heads, (const int[]){1, 2}, largest);
    largest = binary(w, "maximum", largest, sink);
  }
  value base = by_row(w, largest, s);
  value p = unary(w, "exponential", binary(w, "subtract", s, base));
  value zero = constant(w, none, 0);
  value sum = reduced(w, "add", p, zero);
  if (sinks) {
    value left = binary(w, "subtract", sink, largest);
    sum = binary(w, "add", sum, unary(w, "exponential", left));
  }
  value sums = by_row(w, sum, p);
  return binary(w, "divide", p, sums);
}

/* The arguments of a program by their names. */
typedef struct arguments {
  xla_baseline_names names;
  value values[XLA_BASELINE_TENSORS];
} arguments;

static const value *find(const arguments *given, const char *name) {
  for (int i = 0; i < given->names.argument_count; i++)
    if (!strcmp(given->names.arguments[i], name)) return &given->values[i];
  return NULL;
}

static value rounded(writer *w, value v) {
  return converted(w, v, element_of(w->a->dtype));
}

/* To [B, Hq, Sq, D], or as it is. */
static value result_of(writer *w, value v) {
  value type = rounded(w, v);
  if (v.rank < RANK) return type;
  return turned(w, "reshape", type,
                typed(type.element, 4, v.shape[0], w->a->q_heads, v.shape[3],
                      v.shape[4], 0));
}

static int write_forward(writer *w, const arguments *given, value *out) {
  const value *v_scale = find(given, "v_scale");
  value q = grouped(w, *find(given, "q")), tanh_of;
  value s =
      scores_of(w, q, *find(given, "k"), find(given, "k_scale"), &tanh_of);
  value p = softmax(w, s, find(given, "sinks"));
  if (v_scale) {
    value scales = by_key(w, *v_scale, p);
    p = binary(w, "multiply", p, scales);
  }
  p = rounded(w, p);
  value v = rounded(w, *find(given, "v"));
  value o = product(w, p, v, (const int[]){4}, (const int[]){2}, 1, q_type(w));
  out[0] = result_of(w, o);
  return 1;
}

/* dS of P and the gradient of o, as FlashAttention-2 has it (algorithm 2),
 * whole. */
static value score_gradients(writer *w, const arguments *given, value p,
                             value d_o, const value *tanh_of) {
  value dp = product(w, d_o, *find(given, "v"), (const int[]){4},
                     (const int[]){3}, 1, p);
  value o = converted(w, grouped(w, *find(given, "o")), "f32");
  value terms = binary(w, "multiply", o, converted(w, d_o, "f32"));
  value zero = constant(w, typed("f32", 0, 0, 0, 0, 0, 0), 0);
  value D = by_row(w, reduced(w, "add", terms, zero), p);
  value ds = binary(w, "multiply", p, binary(w, "subtract", dp, D));
  if (tanh_of) { /* the cap's own slope */
    value square = binary(w, "multiply", *tanh_of, *tanh_of);
    value one = constant(w, square, 1);
    ds = binary(w, "multiply", ds, binary(w, "subtract", one, square));
  }
  return rounded(w, scaled(w, ds, w->a->scale));
}

static int write_backward(writer *w, const arguments *given, value *out) {
  static const int rows[] = {2, 3};
  value q = grouped(w, *find(given, "q")), tanh_of;
  value k = *find(given, "k");
  value s = scores_of(w, q, k, NULL, &tanh_of);
  value lse = by_row(w, grouped(w, *find(given, "lse")), s);
  value p = unary(w, "exponential", binary(w, "subtract", s, lse));
  value d_o = grouped(w, *find(given, "do"));
  value ds =
      score_gradients(w, given, p, d_o, w->a->softcap > 0 ? &tanh_of : NULL);
  value dq =
      product(w, ds, k, (const int[]){4}, (const int[]){2}, 1, q_type(w));
  value dk = product(w, ds, q, rows, rows, 2, k);
  value dv = product(w, rounded(w, p), d_o, rows, rows, 2, k);
  out[0] = result_of(w, dq);
  out[1] = result_of(w, dk);
  out[2] = result_of(w, dv);
  return 3;
}

/* ---- The program --------------------------------------------------------- */

void xla_baseline_name(const xla_baseline *baseline,
                       xla_baseline_names *out_names) {
  xla_baseline_names *n = out_names;
  *n = (xla_baseline_names){.arguments = {"q", "k", "v"}, .argument_count = 3};
  if (baseline->backward) {
    static const char *const more[] = {"o", "lse", "do"};
    for (int i = 0; i < 3; i++) n->arguments[n->argument_count++] = more[i];
    n->results[n->result_count++] = "dq";
    n->results[n->result_count++] = "dk";
    n->results[n->result_count++] = "dv";
    return;
  }
  if (baseline->cache_dtype == PFL_DTYPE_I8) {
    n->arguments[n->argument_count++] = "k_scale";
    n->arguments[n->argument_count++] = "v_scale";
  }
  if (baseline->sinks) n->arguments[n->argument_count++] = "sinks";
  n->results[n->result_count++] = "o";
}

double xla_baseline_score_bytes(const xla_baseline *baseline) {
  return 4 * (double)baseline->batch * (double)baseline->q_heads *
         (double)baseline->q_length * (double)baseline->kv_length;
}

static value argument_type(const writer *w, const char *name) {
  const xla_baseline *a = w->a;
  int64_t B = a->batch, Hq = a->q_heads, Hkv = a->kv_heads, D = a->head_dim;
  int64_t Sq = a->q_length, Sk = a->kv_length;
  if (!strcmp(name, "k") || !strcmp(name, "v"))
    return typed(element_of(a->cache_dtype), 4, B, Hkv, Sk, D, 0);
  if (strstr(name, "_scale")) return typed("f32", 3, B, Hkv, Sk, 0, 0);
  if (!strcmp(name, "sinks")) return typed("f32", 1, Hq, 0, 0, 0, 0);
  if (!strcmp(name, "lse")) return typed("f32", 3, B, Hq, Sq, 0, 0);
  return typed(element_of(a->dtype), 4, B, Hq, Sq, D, 0);
}

/* What xla_program_write gives a program, so that plugins need one way. */
static void write_head(writer *w, arguments *given) {
  base_text_add_string(w->text,
                       "module @attention attributes {mhlo.num_partitions = 1 "
                       ": i32, mhlo.num_replicas = 1 : i32} {\n"
                       "  func.func public @main(");
  for (int i = 0; i < given->names.argument_count; i++) {
    given->values[i] = argument_type(w, given->names.arguments[i]);
    given->values[i].number = w->values++;
    base_text_format(w->text,
                     i ? ", %%v%d: " : "%%v%d: ", given->values[i].number);
    add_type(w, &given->values[i]);
  }
  base_text_add_string(w->text, ") -> (");
  for (int i = 0; i < given->names.result_count; i++) {
    static const char *const like[] = {"q", "k", "v"}; /* as dq, dk, dv are */
    value type = argument_type(w, like[i]);
    if (i) base_text_add_string(w->text, ", ");
    add_type(w, &type);
  }
  base_text_add_string(w->text, ") {\n");
}

static void write_end(writer *w, const value *results, int count) {
  base_text_add_string(w->text, "    return ");
  for (int i = 0; i < count; i++)
    base_text_format(w->text, i ? ", %%v%d" : "%%v%d", results[i].number);
  base_text_add_string(w->text, " : ");
  for (int i = 0; i < count; i++) {
    if (i) base_text_add_string(w->text, ", ");
    add_type(w, &results[i]);
  }
  base_text_add_string(w->text, "\n  }\n}\n");
}

static pfl_status check(const xla_baseline *a, pfl_error *error) {
  const int64_t sizes[] = {a->batch,    a->q_heads,   a->kv_heads,
                           a->q_length, a->kv_length, a->head_dim};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i] < 1 || sizes[i] > INT32_MAX)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "a size of the baseline is %" PRId64 ": must be 1 to %d",
                sizes[i], INT32_MAX);
  if (a->q_heads % a->kv_heads)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "q_heads is %" PRId64
              ": must be a multiple of kv_heads, %" PRId64,
              a->q_heads, a->kv_heads);
  if (a->backward && a->cache_dtype != a->dtype)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "backward has no cache of another dtype");
  return PFL_STATUS_OK;
}

pfl_status xla_baseline_write(const xla_baseline *baseline, base_text *out,
                              pfl_error *error) {
  PFL_TRY(check(baseline, error));
  writer w = {baseline, out, 0, baseline->q_heads / baseline->kv_heads};
  arguments given = {0};
  value results[3];
  xla_baseline_name(baseline, &given.names);
  write_head(&w, &given);
  int count = baseline->backward ? write_backward(&w, &given, results)
                                 : write_forward(&w, &given, results);
  write_end(&w, results, count);
  return base_text_check(out, error);
}

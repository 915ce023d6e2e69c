/* Ops that move, reduce and multiply elements, loads and stores: kernels of one
 * op over random shapes, held against an element by element account. */
#include "sim_case.h"

enum { RANK = 4 };

typedef struct box {
  int rank;
  int64_t sizes[RANK];
} box;

static box any_box(int rank, int64_t most) {
  box x = {.rank = rank};
  for (int i = 0; i < rank; i++) x.sizes[i] = check_between(1, most);
  return x;
}

static mo_shape shape_of(const box *x) { return (mo_shape){x->rank, x->sizes}; }

static int64_t count_of(const box *x) {
  int64_t count = 1;
  for (int i = 0; i < x->rank; i++) count *= x->sizes[i];
  return count;
}

/* Element i of a row-major box, as indices, and back. */
static void spread(const box *x, int64_t i, int64_t *at) {
  for (int d = x->rank - 1; d >= 0; d--) {
    at[d] = i % x->sizes[d];
    i /= x->sizes[d];
  }
}

static int64_t gather(const box *x, const int64_t *at) {
  int64_t i = 0;
  for (int d = 0; d < x->rank; d++) i = i * x->sizes[d] + at[d];
  return i;
}

/* The kernel under trial: in, maybe other, to out; all of one element type. */
static struct {
  mo_element element;
  box in, other, out;
  mo_value *(*op)(mo_builder *b, mo_value *in, mo_value *other);
  int dim;
  int64_t at[RANK], amount;
  int order[RANK];
} t;

static void build(mo_builder *b) {
  mo_kernel(b, "trial", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, t.element, shape_of(&t.in));
  mo_value *y = mo_operand(b, MO_VMEM, t.element, shape_of(&t.other));
  mo_value *z = mo_operand(b, MO_VMEM, t.element, shape_of(&t.out));
  mo_store_all(b, t.op(b, mo_load_all(b, x), mo_load_all(b, y)), z);
  mo_kernel_end(b);
}

typedef int64_t place_fn(const int64_t *at);

/* Runs it: element `at` of out must be element place(at) of in, or, counted on,
 * of other. Elements are of 8, 16 or 32 bits. */
static void try_move(const char *name, place_fn *place) {
  sim_case c;
  sim_case_begin(&c, build, 1);
  int bytes = mo_element_bits(t.element) / 8;
  uint8_t *in = sim_case_operand(&c, t.element, shape_of(&t.in));
  uint8_t *other = sim_case_operand(&c, t.element, shape_of(&t.other));
  uint8_t *out = sim_case_result(&c, t.element, shape_of(&t.out));
  for (int64_t i = 0; i < count_of(&t.in) * bytes; i++)
    in[i] = (uint8_t)check_random();
  for (int64_t i = 0; i < count_of(&t.other) * bytes; i++)
    other[i] = (uint8_t)check_random();
  sim_options options = {.hostile = true, .seed = check_random()};
  CHECK(!sim_case_run(&c, &options), "%s: %s", name, c.error.message);
  int wrong = 0;
  for (int64_t i = 0; i < count_of(&t.out); i++) {
    int64_t at[RANK] = {0};
    spread(&t.out, i, at);
    int64_t from = place(at), first = count_of(&t.in);
    const uint8_t *want =
        from < first ? in + from * bytes : other + (from - first) * bytes;
    wrong += memcmp(out + i * bytes, want, (size_t)bytes) != 0;
  }
  CHECK(!wrong, "%s: %d of %lld elements", name, wrong,
        (long long)count_of(&t.out));
  sim_case_end(&c);
}

static mo_element any_element(void) {
  static const mo_element elements[] = {MO_F32, MO_I32, MO_BF16, MO_I8};
  return elements[check_between(0, 3)];
}

static void begin_trial(int rank, int64_t most) {
  memset(&t, 0, sizeof t);
  t.element = any_element();
  t.in = t.other = any_box(rank, rank > 2 && most > 9 ? 9 : most);
  t.dim = (int)check_between(0, rank - 1);
}

/* ---- Moves --------------------------------------------------------------- */

static mo_value *op_transpose(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  int64_t order[RANK];
  for (int i = 0; i < t.in.rank; i++) order[i] = t.order[i];
  return mo_transpose(b, x, ((mo_shape){t.in.rank, order}));
}
static int64_t at_transpose(const int64_t *at) {
  int64_t from[RANK];
  for (int i = 0; i < t.in.rank; i++) from[t.order[i]] = at[i];
  return gather(&t.in, from);
}

static void test_transpose(void) {
  for (int turn = check_cases(60); turn > 0; turn--) {
    begin_trial((int)check_between(2, 4), turn % 3 ? 9 : 40);
    for (int i = 0; i < t.in.rank; i++) {
      int j = (int)check_between(0, i);
      t.order[i] = t.order[j];
      t.order[j] = i;
    }
    t.out = t.in;
    for (int i = 0; i < t.in.rank; i++) t.out.sizes[i] = t.in.sizes[t.order[i]];
    t.op = op_transpose;
    try_move("transpose", at_transpose);
  }
}

static mo_value *op_broadcast(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  return mo_broadcast(b, x, shape_of(&t.out));
}
static int64_t at_broadcast(const int64_t *at) {
  int64_t from[RANK];
  int lead = t.out.rank - t.in.rank;
  for (int i = 0; i < t.in.rank; i++)
    from[i] = t.in.sizes[i] == 1 ? 0 : at[lead + i];
  return gather(&t.in, from);
}

static void test_broadcast(void) {
  for (int turn = check_cases(60); turn > 0; turn--) {
    begin_trial(4, 9);
    t.out = t.in;
    t.in.rank = (int)check_between(2, 4);
    for (int i = 0; i < t.in.rank; i++)
      t.in.sizes[i] =
          check_between(0, 1) ? 1 : t.out.sizes[t.out.rank - t.in.rank + i];
    t.op = op_broadcast;
    try_move("broadcast", at_broadcast);
  }
}

static mo_value *op_part(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  return mo_part(b, x, ((mo_shape){t.in.rank, t.at}), shape_of(&t.out));
}
static int64_t at_part(const int64_t *at) {
  int64_t from[RANK];
  for (int i = 0; i < t.in.rank; i++) from[i] = at[i] + t.at[i];
  return gather(&t.in, from);
}
static mo_value *op_with_part(mo_builder *b, mo_value *x, mo_value *y) {
  return mo_with_part(b, x, y, ((mo_shape){t.in.rank, t.at}));
}
static int64_t at_with_part(const int64_t *at) {
  int64_t from[RANK];
  bool inside = true;
  for (int i = 0; i < t.in.rank; i++) {
    from[i] = at[i] - t.at[i];
    inside = inside && from[i] >= 0 && from[i] < t.other.sizes[i];
  }
  return inside ? count_of(&t.in) + gather(&t.other, from) : gather(&t.in, at);
}

static void test_parts(void) {
  for (int turn = check_cases(60); turn > 0; turn--) {
    begin_trial((int)check_between(2, 4), 12);
    t.out = t.in;
    for (int i = 0; i < t.in.rank; i++) {
      t.out.sizes[i] = check_between(1, t.in.sizes[i]);
      t.at[i] = check_between(0, t.in.sizes[i] - t.out.sizes[i]);
    }
    t.op = op_part;
    try_move("extract_strided_slice", at_part);
    t.other = t.out;
    t.out = t.in;
    t.op = op_with_part;
    try_move("insert_strided_slice", at_with_part);
  }
}

static mo_value *op_concatenate(mo_builder *b, mo_value *x, mo_value *y) {
  return mo_concatenate(b, MO_VALUES(x, y, x), t.dim);
}
static int64_t at_concatenate(const int64_t *at) {
  int64_t from[RANK];
  memcpy(from, at, sizeof from);
  int64_t first = t.in.sizes[t.dim], second = t.other.sizes[t.dim];
  if (from[t.dim] < first) return gather(&t.in, from);
  from[t.dim] -= first;
  if (from[t.dim] < second) return count_of(&t.in) + gather(&t.other, from);
  from[t.dim] -= second;
  return gather(&t.in, from);
}
static mo_value *op_repeat(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  return mo_repeat(b, x, t.dim, 3);
}
static int64_t at_repeat(const int64_t *at) {
  int64_t from[RANK];
  memcpy(from, at, sizeof from);
  from[t.dim] %= t.in.sizes[t.dim];
  return gather(&t.in, from);
}
static mo_value *op_rotate(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  return mo_rotate(b, x, mo_i32(b, (double)t.amount), t.dim);
}
static int64_t at_rotate(const int64_t *at) {
  int64_t from[RANK], size = t.in.sizes[t.dim];
  memcpy(from, at, sizeof from);
  from[t.dim] = ((at[t.dim] - t.amount) % size + size) % size;
  return gather(&t.in, from);
}

static void test_sides(void) {
  for (int turn = check_cases(40); turn > 0; turn--) {
    begin_trial((int)check_between(2, 4), 9);
    t.other.sizes[t.dim] = check_between(1, 9);
    t.out = t.in;
    t.out.sizes[t.dim] = 2 * t.in.sizes[t.dim] + t.other.sizes[t.dim];
    t.op = op_concatenate;
    try_move("concatenate", at_concatenate);
    t.out.sizes[t.dim] = 3 * t.in.sizes[t.dim];
    t.op = op_repeat;
    try_move("repeat", at_repeat);
    t.out = t.in;
    t.amount = check_between(-20, 20);
    t.op = op_rotate;
    try_move("dynamic_rotate", at_rotate);
  }
}

static mo_value *op_bitcast(mo_builder *b, mo_value *x, mo_value *y) {
  mo_element narrow = t.element == MO_I8 ? MO_I8 : MO_BF16;
  mo_value *wide = mo_bitcast(b, x, MO_I32);
  (void)y;
  /* rows r * pack and on stand in row r: turned by one row, and undone */
  wide = mo_rotate(b, wide, mo_i32(b, 1), 0);
  return mo_bitcast(b, wide, narrow);
}
static int64_t at_bitcast(const int64_t *at) {
  int64_t pack = t.element == MO_I8 ? 4 : 2, rows = t.in.sizes[0];
  int64_t from[2] = {(at[0] - pack + rows) % rows, at[1]};
  return gather(&t.in, from);
}

static void test_bitcast(void) {
  for (int turn = check_cases(20); turn > 0; turn--) {
    begin_trial(2, 9);
    t.element = check_between(0, 1) ? MO_BF16 : MO_I8;
    t.in.sizes[0] = 4 * check_between(1, 5);
    t.out = t.other = t.in;
    t.op = op_bitcast;
    try_move("bitcast", at_bitcast);
  }
}

/* ---- Reductions, iota ---------------------------------------------------- */

static struct {
  const char *kind;
  int64_t dims[RANK];
  int count;
} r;

static mo_value *op_reduce(mo_builder *b, mo_value *x, mo_value *y) {
  char kind[64];
  (void)y;
  snprintf(kind, sizeof kind, "#vector.kind<%s>", r.kind);
  bool gone[RANK] = {false};
  int64_t left[RANK];
  int rank = 0;
  for (int i = 0; i < r.count; i++) gone[r.dims[i]] = true;
  for (int i = 0; i < t.in.rank; i++)
    if (!gone[i]) left[rank++] = t.in.sizes[i];
  mo_value *acc = mo_full(b, t.element, ((mo_shape){rank, left}), 2);
  mo_named_attr attrs[] = {
      {"kind", mo_attr_text(b->module, MO_ATTR_TEXT, kind, strlen(kind))},
      {"reduction_dims", mo_attr_numbers(b->module, MO_I64, r.count, r.dims)}};
  mo_value *result = mo_build(b, MO_VECTOR_MULTI_REDUCTION, MO_VALUES(x, acc),
                              acc ? acc->type : NULL, 2, attrs);
  return mo_reshape(b, result, shape_of(&t.out));
}

static double combine(double a, double b) {
  if (!strcmp(r.kind, "add")) return a + b;
  if (!strncmp(r.kind, "max", 3)) return a > b ? a : b;
  return a < b ? a : b;
}

static void try_reduce(void) {
  sim_case c;
  sim_case_begin(&c, build, 1);
  bool whole = t.element == MO_I32;
  void *in = sim_case_operand(&c, t.element, shape_of(&t.in));
  sim_case_operand(&c, t.element, shape_of(&t.other));
  void *out = sim_case_result(&c, t.element, shape_of(&t.out));
  sim_case_randomize(&c, 1);
  sim_options options = {.hostile = true, .seed = check_random()};
  CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
  int64_t count = count_of(&t.out);
  double *want = malloc((size_t)count * sizeof *want);
  double *size = calloc((size_t)count, sizeof *size);
  for (int64_t i = 0; i < count; i++) want[i] = 2;
  for (int64_t i = 0; i < count_of(&t.in); i++) {
    int64_t at[RANK] = {0};
    spread(&t.in, i, at);
    for (int d = 0; d < r.count; d++) at[r.dims[d]] = 0;
    int64_t to = gather(&t.out, at);
    double x = whole ? ((int32_t *)in)[i] : ((float *)in)[i];
    want[to] = combine(want[to], x);
    size[to] += fabs(x) + 2;
  }
  for (int64_t i = 0; i < count; i++) {
    double got = whole ? ((int32_t *)out)[i] : ((float *)out)[i];
    /* a sum of n terms, in any order */
    double bound = whole ? 0 : size[i] * (double)count_of(&t.in) * 0x1p-24;
    CHECK(fabs(got - want[i]) <= bound, "%s: %g, not %g", r.kind, got, want[i]);
  }
  free(want);
  free(size);
  sim_case_end(&c);
}

static void test_reduce(void) {
  static const char *const floats[] = {"add", "maximumf", "minimumf"};
  static const char *const integers[] = {"add", "maxsi", "minsi"};
  for (int turn = check_cases(100); turn > 0; turn--) {
    begin_trial((int)check_between(2, 4), turn % 4 ? 7 : 40);
    t.element = check_between(0, 1) ? MO_F32 : MO_I32;
    int64_t kind = check_between(0, 2);
    r.kind = t.element == MO_F32 ? floats[kind] : integers[kind];
    r.count = 0;
    t.out = t.in;
    for (int i = 0; i < t.in.rank; i++) {
      if (check_between(0, 1) && (r.count || i < t.in.rank - 1)) continue;
      if (r.count == t.in.rank - 1) continue;
      r.dims[r.count++] = i;
      t.out.sizes[i] = 1;
    }
    t.op = op_reduce;
    try_reduce();
  }
}

static mo_value *op_iota(mo_builder *b, mo_value *x, mo_value *y) {
  (void)y;
  mo_value *i = mo_iota(b, shape_of(&t.out), t.dim);
  /* iota, but for those of x that are themselves */
  return mo_select(b, mo_eq(b, x, x), i, x);
}

static void test_iota(void) {
  for (int turn = check_cases(20); turn > 0; turn--) {
    begin_trial((int)check_between(2, 4), 12);
    t.element = MO_I32;
    t.out = t.in;
    t.op = op_iota;
    sim_case c;
    sim_case_begin(&c, build, 1);
    sim_case_operand(&c, MO_I32, shape_of(&t.in));
    sim_case_operand(&c, MO_I32, shape_of(&t.in));
    int32_t *out = sim_case_result(&c, MO_I32, shape_of(&t.in));
    sim_options options = {.hostile = true};
    CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
    int wrong = 0;
    for (int64_t i = 0; i < count_of(&t.out); i++) {
      int64_t at[RANK] = {0};
      spread(&t.out, i, at);
      wrong += out[i] != at[t.dim];
    }
    CHECK(!wrong, "%d elements", wrong);
    sim_case_end(&c);
  }
}

/* ---- Products ------------------------------------------------------------ */

static struct {
  mo_element element;
  mo_form form;
  int64_t m, n, k;
  bool add; /* to what is not zero */
  bool fp32;
} p;

static void build_product(mo_builder *b) {
  bool left = p.form == MO_NN || p.form == MO_NT;
  bool right = p.form == MO_NN || p.form == MO_TN;
  mo_element sum = p.element == MO_I8 ? MO_I32 : MO_F32;
  mo_kernel(b, "product", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, p.element,
                           left ? MO_SHAPE(p.m, p.k) : MO_SHAPE(p.k, p.m));
  mo_value *y = mo_operand(b, MO_VMEM, p.element,
                           right ? MO_SHAPE(p.k, p.n) : MO_SHAPE(p.n, p.k));
  mo_value *z = mo_operand(b, MO_VMEM, sum, MO_SHAPE(p.m, p.n));
  mo_value *acc = mo_full(b, sum, MO_SHAPE(p.m, p.n), p.add ? 3 : 0);
  mo_store_all(
      b, mo_matmul(b, p.form, mo_load_all(b, x), mo_load_all(b, y), acc), z);
  mo_kernel_end(b);
}

static double element_at(const void *array, int64_t i) {
  if (p.element == MO_I8) return ((const int8_t *)array)[i];
  if (p.element == MO_BF16)
    return base_bf16_to_f32(((const uint16_t *)array)[i]);
  return ((const float *)array)[i];
}

static void try_product(void) {
  sim_case c;
  sim_case_begin(&c, build_product, 1);
  bool left = p.form == MO_NN || p.form == MO_NT;
  bool right = p.form == MO_NN || p.form == MO_TN;
  mo_element sum = p.element == MO_I8 ? MO_I32 : MO_F32;
  void *x = sim_case_operand(&c, p.element,
                             left ? MO_SHAPE(p.m, p.k) : MO_SHAPE(p.k, p.m));
  void *y = sim_case_operand(&c, p.element,
                             right ? MO_SHAPE(p.k, p.n) : MO_SHAPE(p.n, p.k));
  void *z = sim_case_result(&c, sum, MO_SHAPE(p.m, p.n));
  sim_case_randomize(&c, 1);
  sim_options options = {.hostile = true, .seed = check_random()};
  CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
  for (int64_t i = 0; i < p.m; i++)
    for (int64_t j = 0; j < p.n; j++) {
      double want = p.add ? 3 : 0, size = 3;
      for (int64_t q = 0; q < p.k; q++) {
        double a = element_at(x, left ? i * p.k + q : q * p.m + i);
        double b = element_at(y, right ? q * p.n + j : j * p.k + q);
        want += a * b;
        size += fabs(a * b);
      }
      double got = sum == MO_I32 ? ((int32_t *)z)[i * p.n + j]
                                 : ((float *)z)[i * p.n + j];
      double bound = sum == MO_I32 ? 0 : size * (double)(p.k + 2) * 0x1p-24;
      CHECK(fabs(got - want) <= bound,
            "%lld x %lld x %lld, form %d: %g, not %g", (long long)p.m,
            (long long)p.n, (long long)p.k, p.form, got, want);
    }
  sim_case_end(&c);
}

static void test_product(void) {
  static const mo_element elements[] = {MO_BF16, MO_F32, MO_I8};
  for (int turn = check_cases(60); turn > 0; turn--) {
    p.element = elements[turn % 3];
    p.form = (mo_form)(turn % 4);
    p.m = check_between(1, turn % 5 ? 40 : 400);
    p.n = check_between(1, 70);
    p.k = check_between(1, turn % 7 ? 80 : 1200);
    p.add = check_between(0, 1);
    try_product();
  }
}

/* ---- Loads and stores ---------------------------------------------------- */

static struct {
  int64_t rows, row, stride; /* loaded: rows from `row` on */
  bool masked;
} a;

static void build_access(mo_builder *b) {
  mo_kernel(b, "access", NULL);
  mo_shape whole = MO_SHAPE(64, 128), part = MO_SHAPE(a.rows, 128);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, whole);
  mo_value *y = mo_operand(b, MO_VMEM, MO_F32, whole);
  mo_value *z = mo_operand(b, MO_VMEM, MO_F32, whole);
  mo_value *zero = mo_i32(b, 0), *row = mo_i32(b, (double)a.row);
  mo_shape strides = MO_SHAPE(a.stride, 1);
  mo_store_all(b, mo_load_all(b, y), z);
  mo_value *v = mo_load_strided(b, x, MO_VALUES(row, zero), part, strides);
  if (a.masked)
    mo_store_masked(b, v, z, MO_VALUES(zero, zero),
                    mo_gt(b, v, mo_full(b, MO_F32, part, 0)));
  else
    mo_store_strided(b, v, z, MO_VALUES(row, zero), strides);
  mo_kernel_end(b);
}

static void test_access(void) {
  for (int turn = check_cases(40); turn > 0; turn--) {
    a.stride = check_between(1, 4);
    a.rows = check_between(1, 15);
    a.row = check_between(0, 63 - (a.rows - 1) * a.stride);
    a.masked = turn % 2;
    sim_case c;
    sim_case_begin(&c, build_access, 1);
    float *x = sim_case_operand(&c, MO_F32, MO_SHAPE(64, 128));
    float *y = sim_case_operand(&c, MO_F32, MO_SHAPE(64, 128));
    float *z = sim_case_result(&c, MO_F32, MO_SHAPE(64, 128));
    sim_case_randomize(&c, 1);
    sim_options options = {.hostile = true, .seed = check_random()};
    CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
    for (int64_t i = 0; i < a.rows * 128; i++) {
      float v = x[(a.row + i / 128 * a.stride) * 128 + i % 128];
      if (!a.masked) y[(a.row + i / 128 * a.stride) * 128 + i % 128] = v;
      if (a.masked && v > 0) y[i] = v;
    }
    CHECK(!memcmp(y, z, 64 * 128 * sizeof *z), "rows %lld, stride %lld",
          (long long)a.rows, (long long)a.stride);
    sim_case_end(&c);
  }
}

/* Rows packed in words: each second row of x, times 1, as bf16 in a word's
 * halves, low ones first. */
static void build_packed(mo_builder *b) {
  mo_kernel(b, "packed", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_BF16, MO_SHAPE(32, 128));
  mo_value *z = mo_operand(b, MO_VMEM, MO_I32, MO_SHAPE(8, 128));
  mo_value *zero = mo_i32(b, 0);
  mo_value *words = mo_ref_bitcast(b, x, MO_I32);
  mo_store_all(b,
               mo_load_strided(b, words, MO_VALUES(zero, zero),
                               MO_SHAPE(8, 128), MO_SHAPE(2, 1)),
               z);
  mo_kernel_end(b);
}

static void test_packed(void) {
  sim_case c;
  sim_case_begin(&c, build_packed, 1);
  uint16_t *x = sim_case_operand(&c, MO_BF16, MO_SHAPE(32, 128));
  uint32_t *z = sim_case_result(&c, MO_I32, MO_SHAPE(8, 128));
  sim_case_randomize(&c, 1);
  sim_options options = {.hostile = true, .seed = check_random()};
  CHECK(!sim_case_run(&c, &options), "%s", c.error.message);
  int wrong = 0;
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 128; j++)
      wrong += z[i * 128 + j] !=
               (x[4 * i * 128 + j] | (uint32_t)x[(4 * i + 1) * 128 + j] << 16);
  CHECK(!wrong, "%d words", wrong);
  sim_case_end(&c);
}

int main(void) {
  return CHECK_RUN(test_transpose, test_broadcast, test_parts, test_sides,
                   test_bitcast, test_reduce, test_iota, test_product,
                   test_access, test_packed);
}

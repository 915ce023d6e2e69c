/* Kernels with random damage: other numbers, other operands, other ops, lines
 * that go or come twice. Whatever is left must be refused, or run on a hostile
 * slice of two chips within its memory and its steps: no crash, no bytes but
 * its own (under the sanitizers), and the same report each time. */
#include "check.h"
#include "mosaic_kernels.h"
#include "sim/slice.h"

enum { TENSORS_MAX = 32, ALLOCATION_MAX = 4 << 20, STEPS = 300, CHIPS = 2 };

static void *allocate(void *user, size_t bytes) {
  (void)user;
  return bytes <= ALLOCATION_MAX ? malloc(bytes) : NULL;
}

static void release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static const pfl_allocator limited = {allocate, release, NULL};

typedef struct tensors {
  sim_tensor list[TENSORS_MAX];
  void *bytes[CHIPS][TENSORS_MAX];
  int count;
} tensors;

static size_t bytes_of(const sim_tensor *t) {
  int64_t count = 1, bits = mo_element_bits(t->element);
  for (int i = 0; i < t->rank; i++) count *= t->shape[i];
  return (size_t)(bits < 8 ? count : count * bits / 8);
}

static int64_t integer_of(const mo_op *op, const char *name) {
  const mo_attr *attr = mo_op_get(op, name);
  return attr && attr->kind == MO_ATTR_INTEGER ? attr->integer : 0;
}

/* One for each argument between grid and scratch, of the argument's own shape,
 * which is that of a window's block. */
static bool take(tensors *t, const mo_op *kernel) {
  const mo_attr *bounds = mo_op_get(kernel, "iteration_bounds");
  const mo_region *body = kernel->regions[0];
  int64_t first = bounds ? bounds->count : 0;
  int64_t end = body->argument_count - integer_of(kernel, "scratch_operands");
  for (int64_t i = first; i < end; i++) {
    const mo_type *type = body->arguments[i]->type;
    int64_t count = mo_type_count(type), size = mo_element_bits(type->element);
    if (t->count == TENSORS_MAX || type->kind != MO_TYPE_MEMREF || count < 0 ||
        count * size > 8 * ALLOCATION_MAX)
      return false;
    t->list[t->count] = (sim_tensor){type->element, type->rank, type->shape};
    for (int chip = 0; chip < CHIPS; chip++)
      t->bytes[chip][t->count] =
          calloc((size_t)count + 1, size < 8 ? 1 : (size_t)size / 8);
    t->count++;
  }
  return true;
}

static sim_slice *slice;

/* False if it is refused. */
static bool run(const mo_module *module, const tensors *t, sim_report *report) {
  bool result = t->count > 0; /* the last one */
  sim_kernel kernel = {.module = module,
                       .operands = t->list,
                       .operand_count = t->count - result,
                       .results = t->list + t->count - result,
                       .result_count = result,
                       .has_communication = true};
  sim_program *program;
  pfl_error error;
  if (sim_program_create(&kernel, &limited, &program, &error)) return false;
  sim_run given = {.chips = CHIPS};
  for (int i = 0; i < CHIPS; i++) {
    given.operands[i] = t->bytes[i];
    given.results[i] = t->bytes[i] + t->count - result;
  }
  pfl_status status = sim_slice_run(slice, program, &given, report, &error);
  CHECK(!status || status == PFL_STATUS_FAILED_PRECONDITION ||
            status == PFL_STATUS_RESOURCE_EXHAUSTED,
        "%s", error.message);
  for (int i = 0; i < report->hazard_count; i++)
    report->hazards[i].op = report->hazards[i].file = NULL; /* the program's */
  sim_program_destroy(program);
  return true;
}

/* ---- Damage -------------------------------------------------------------- */

/* The place of the n-th of what begins with `first` and is made of `of`; its
 * length. */
static char *find(char *text, const char *first, const char *of, int64_t n,
                  size_t *out_length) {
  for (char *at = text; (at = strpbrk(at, first)); at += *out_length) {
    *out_length = 1 + strspn(at + 1, of);
    if (n-- == 0) return at;
  }
  return NULL;
}

static void replace(base_text *text, char *at, size_t length, const char *by) {
  base_text changed = {0};
  size_t before = (size_t)(at - text->bytes);
  base_text_add(&changed, text->bytes, before);
  base_text_add_string(&changed, by);
  base_text_add(&changed, at + length, text->length - before - length);
  base_text_release(text);
  *text = changed;
}

static void change_number(base_text *text) {
  static const char *const numbers[] = {"0",  "1",  "2",   "3",    "7",
                                        "8",  "16", "100", "128",  "129",
                                        "-1", "31", "256", "65536"};
  size_t length = 0;
  char *at = find(text->bytes, "0123456789", "0123456789",
                  check_between(0, 4000), &length);
  if (at && at > text->bytes && at[-1] != '%')
    replace(text, at, length, numbers[check_between(0, 13)]);
}

/* A value, or an op, in the place of another. */
static void change_name(base_text *text, const char *first, const char *of) {
  size_t length = 0, other_length = 0;
  int64_t n = check_between(0, 300);
  char *at = find(text->bytes, first, of, n, &length), name[64];
  char *other =
      find(text->bytes, first, of, n + check_between(-9, 9), &other_length);
  if (!at || !other || other_length >= sizeof name) return;
  snprintf(name, sizeof name, "%.*s", (int)other_length, other);
  replace(text, at, length, name);
}

static void change_line(base_text *text) {
  char *at = text->bytes, *line = NULL;
  for (int64_t n = check_between(1, 80); n && (at = strchr(at, '\n')); n--)
    line = ++at;
  char *end = line ? strchr(line, '\n') : NULL;
  if (!end || end - line > 2000) return;
  char twice[4096] = "";
  size_t length = (size_t)(end - line) + 1;
  if (check_between(0, 1))
    snprintf(twice, sizeof twice, "%.*s%.*s", (int)length, line, (int)length,
             line);
  replace(text, line, length, twice);
}

static void damage(base_text *text) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz_.0123456789";
  for (int64_t times = check_between(1, 3); times; times--)
    switch (check_between(0, 5)) {
      case 0: change_name(text, "%", letters); break;
      case 1: change_name(text, "st", letters); break;
      case 2: change_line(text); break;
      default: change_number(text); break;
    }
}

/* ---- Trials ---------------------------------------------------------------
 */

typedef struct counts {
  int parsed, legal, run, hazards;
} counts;

static void try_text(const base_text *text, counts *n) {
  mo_module *module;
  pfl_error error;
  if (mo_parse(text->bytes, text->length, &limited, &module, &error)) return;
  n->parsed++;
  if (!mo_verify(module, &error)) {
    n->legal++;
    tensors t = {.count = 0};
    static sim_report reports[2];
    bool taken = take(&t, module->body.first);
    if (taken && run(module, &t, &reports[0])) {
      n->run++;
      n->hazards += reports[0].hazard_count > 0;
      for (int chip = 0; chip < CHIPS; chip++) /* as they were */
        for (int i = 0; i < t.count; i++)
          memset(t.bytes[chip][i], 0, bytes_of(&t.list[i]));
      CHECK(run(module, &t, &reports[1]) &&
                !memcmp(&reports[0], &reports[1], sizeof reports[0]),
            "another run of the same seed");
    }
    for (int chip = 0; chip < CHIPS; chip++)
      for (int i = 0; i < t.count; i++) free(t.bytes[chip][i]);
  }
  mo_module_destroy(module);
}

static void test_mutants(void) {
  counts n = {0};
  sim_options options = {.chips = CHIPS,
                         .threads = 1,
                         .hostile = true,
                         .seed = 7,
                         .step_limit = STEPS};
  CHECK_NEED(!sim_slice_create(&options, &limited, &slice, &(pfl_error){0}));
  for (int k = 0; k < MOSAIC_KERNELS; k++)
    for (int turn = check_cases(600); turn > 0; turn--) {
      mo_builder b;
      mo_module *module;
      pfl_error error;
      base_text text = {0};
      mo_begin(&b, &limited);
      mosaic_kernels[k].build(&b);
      CHECK_NEED(!mo_finish(&b, &module, &error));
      CHECK_NEED(!mo_print(module, NULL, &text, &error));
      mo_module_destroy(module);
      damage(&text);
      try_text(&text, &n);
      base_text_release(&text);
    }
  sim_slice_destroy(slice);
  printf("%d read, %d legal, %d run, %d with hazards\n", n.parsed, n.legal,
         n.run, n.hazards);
  CHECK(n.run > 5 && n.hazards > 0, "nothing tried: %d run, %d with hazards",
        n.run, n.hazards);
}

int main(void) { return CHECK_RUN(test_mutants); }

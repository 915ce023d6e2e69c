/* The parser against text that is strange or hostile, and numbers to the last
 * bit. */
#include "check.h"
#include "mosaic_kernels.h"

static const pfl_allocator heap;

static base_text golden(int kernel) {
  mo_builder b;
  mo_module *module;
  base_text text = {0};
  mo_begin(&b, &heap);
  mosaic_kernels[kernel].build(&b);
  CHECK_NEED(!mo_finish(&b, &module, NULL));
  CHECK_NEED(
      !mo_print(module, &(mo_print_options){.locations = true}, &text, NULL));
  mo_module_destroy(module);
  return text;
}

/* Any bytes are refused with a message, or are a module that, printed, reads
 * and prints the same. Whether they were taken. */
static bool try_text(const char *bytes, size_t length) {
  mo_module *module, *back;
  pfl_error error = {PFL_STATUS_OK, ""};
  char *exact = malloc(length + !length); /* ASan watches both its ends */
  CHECK_NEED(exact);
  memcpy(exact, bytes, length);
  pfl_status status = mo_parse(exact, length, &heap, &module, &error);
  free(exact);
  if (status) {
    CHECK(!module && status == PFL_STATUS_INVALID_ARGUMENT && error.message[0],
          "%s", error.message);
    return false;
  }
  base_text one = {0}, other = {0};
  mo_print_options options = {.plain = module->plain};
  (void)!mo_verify(module, &error);
  if (!mo_print(module, &options, &one, &error)) {
    status = mo_parse(one.bytes, one.length, &heap, &back, &error);
    CHECK(!status, "%s: %.99s", error.message, one.bytes);
    if (!status) {
      CHECK(!mo_print(back, &options, &other, &error), "%s", error.message);
      CHECK(!strcmp(one.bytes, base_text_get(&other)), "%s\n%s", one.bytes,
            base_text_get(&other));
      mo_module_destroy(back);
    }
  }
  base_text_release(&one);
  base_text_release(&other);
  mo_module_destroy(module);
  return true;
}

static void test_truncation(void) {
  for (int i = 0; i < MOSAIC_KERNELS; i++) {
    base_text text = golden(i);
    size_t step = check_cases(10) < 10 ? 7 : 1;
    for (size_t length = 0; length + 1 < text.length; length += step)
      CHECK(!try_text(text.bytes, length), "%s cut to %zu is taken",
            mosaic_kernels[i].name, length);
    CHECK(try_text(text.bytes, text.length), "%s", mosaic_kernels[i].name);
    base_text_release(&text);
  }
}

static void mutate(char *bytes, size_t length) {
  static const char *const words[] = {"(",
                                      ")",
                                      "{",
                                      "}",
                                      "<",
                                      ">",
                                      "\"",
                                      "%0",
                                      "#1",
                                      "^bb0",
                                      " : ",
                                      "->",
                                      "-9223372036854775809",
                                      "999999999999999999999",
                                      "0x",
                                      "1e999",
                                      "dense<",
                                      "array<i32:",
                                      "memref<?x",
                                      "vector<0x",
                                      "!tpu.",
                                      "#tpu.",
                                      "@",
                                      "\0",
                                      "\\",
                                      "loc(",
                                      "//",
                                      "i1",
                                      "index",
                                      "bf16",
                                      "stable_mosaic."};
  size_t place = (size_t)check_between(0, (int64_t)length - 1);
  const char *word = words[check_between(0, sizeof words / sizeof *words - 1)];
  size_t size = strlen(word) + !word[0];
  switch (check_between(0, 3)) {
    case 0: bytes[place] ^= (char)(1 << check_between(0, 7)); break;
    case 1: bytes[place] = (char)check_random(); break;
    case 2: bytes[place] = bytes[check_between(0, (int64_t)length - 1)]; break;
    default:
      if (size <= length - place) memcpy(bytes + place, word, size);
  }
}

static void test_mutation(void) {
  int taken = 0, cases = check_cases(3000);
  for (int i = 0; i < MOSAIC_KERNELS; i++) {
    base_text text = golden(i);
    char *copy = malloc(text.length);
    CHECK_NEED(copy);
    for (int j = 0; j < cases; j++) {
      memcpy(copy, text.bytes, text.length);
      for (int64_t times = check_between(1, 3); times; times--)
        mutate(copy, text.length);
      taken += try_text(copy, text.length);
    }
    free(copy);
    base_text_release(&text);
  }
  printf("%d mutated modules taken\n", taken);
}

/* `count` times `open`, and then `close`. */
static bool try_nested(const char *before, const char *open, int count,
                       const char *middle, const char *close,
                       const char *after) {
  base_text text = {0};
  base_text_add_string(&text, before);
  for (int i = 0; i < count; i++) base_text_add_string(&text, open);
  base_text_add_string(&text, middle);
  for (int i = 0; i < count; i++) base_text_add_string(&text, close);
  base_text_add_string(&text, after);
  CHECK_NEED(!base_text_check(&text, NULL));
  bool taken = try_text(text.bytes, text.length);
  base_text_release(&text);
  return taken;
}

#define BEFORE "\"builtin.module\"() ({\n\"a.b\"() "
#define AFTER " : () -> ()\n}) : () -> ()\n"
#define REGION "\"builtin.module\"() ({\n"
#define REGION_END "}) : () -> ()\n"

static void test_nesting(void) {
  const struct {
    const char *before, *open, *middle, *close, *after;
  } cases[] = {
      {BEFORE "{x = ", "[", "", "]", "}" AFTER},
      {BEFORE "{x = ", "{y = ", "1", "}", "}" AFTER},
      {BEFORE "{x = #a", "<", "", ">", "}" AFTER},
      {BEFORE "{x = ", "(", "", ") -> ()", "}" AFTER},
      {REGION, "\"a.b\"() ({\n", "", "}) : () -> ()\n", REGION_END},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int count = 1; count < 10; count += 8)
      CHECK(try_nested(cases[i].before, cases[i].open, count, cases[i].middle,
                       cases[i].close, cases[i].after),
            "%s %d times is refused", cases[i].open, count);
    CHECK(!try_nested(cases[i].before, cases[i].open, 100000, cases[i].middle,
                      cases[i].close, cases[i].after),
          "%s 100000 times is taken", cases[i].open);
    try_nested(cases[i].before, cases[i].open, 100000, "", "", "");
  }
}

/* Texts that are refused, and what the message says. */
static void test_refused(void) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"", "line 1, column 1: expected"},
      {"\xff", "line 1, column 1: expected"},
      {BEFORE "{x = 99999999999999999999 : i32}" AFTER, "more than 64 bits"},
      {BEFORE "{x = 0x123456789 : f32}" AFTER, "more bits than its type has"},
      {BEFORE "{x = 1.5 : i32}" AFTER, "not of the type"},
      {BEFORE "{x = 1 : i32, x = 1 : i32}" AFTER, "\"x\": is there twice"},
      {BEFORE "{x = \"a\n\"}" AFTER, "a closing quote"},
      {REGION "\"a.b\"(%0) : (i32) -> ()\n" REGION_END,
       "\"0\": is used before it is defined"},
      {REGION
       "%0 = \"a.b\"() : () -> i32\n%0 = \"a.b\"() : () -> i32\n" REGION_END,
       "\"0\": is already the name"},
      {REGION
       "%0 = \"a.b\"() : () -> i32\n\"a.b\"(%0) : (f32) -> ()\n" REGION_END,
       "of another type than said"},
      {REGION "%0:2 = \"a.b\"() : () -> i32\n" REGION_END,
       "another number of results"},
      {REGION "\"a.b\"() ({\n^bb0:\n\"a.c\"() : () -> ()\n^bb1:\n}) : () -> "
              "()\n" REGION_END,
       "one block in a region"},
      {REGION "\"a.b\"()[^bb0] : () -> ()\n" REGION_END, "no successors"},
      {REGION "\"stable_mosaic.a.b\"() : () -> ()\n" REGION_END,
       "needs stable_mosaic.version"},
      {REGION "\"stable_mosaic.a.b\"() : () -> ()\n}) {stable_mosaic.version = "
              "99 : i64} : () -> ()\n",
       "must be an integer of 3 to 15"},
      {REGION
       "\"stable_mosaic.a.b\"() : () -> ()\n\"a.b\"() : () -> ()\n" REGION_END,
       "is not serialized, unlike"},
      {REGION
       "%0 = \"stable_mosaic.tpu.iota\"() {dimensions = array<i32: 0>} "
       ": () -> vector<8x8xi32>\n}) {stable_mosaic.version = 3 : i64} : () -> "
       "()\n",
       "tpu.iota is not as version 3 spells it"},
      {REGION REGION_END "more", "expected the end"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mo_module *module;
    pfl_error error = {PFL_STATUS_OK, ""};
    pfl_status status =
        mo_parse(cases[i].text, strlen(cases[i].text), &heap, &module, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT && !module &&
              strstr(error.message, cases[i].message),
          "wanted \"%s\", got \"%s\"", cases[i].message, error.message);
    mo_module_destroy(module);
  }
}

/* What this library knows nothing of goes through as it is. */
static void test_foreign(void) {
  static const char text[] =
      "#map = affine_map<(d0) -> (d0 + 1)>\n"
      "\"builtin.module\"() ({\n"
      "  %0:2 = \"foo.bar\"() {a = #foo<x, \"}>\">, b = @f, c = unit_of<3>, "
      "d = dense<[1, 2]> : tensor<2xi32>, e, f = [1, 2 : i32, {g = 1 : i64}], "
      "h = \"q\\22\", map = #map, o = !foo.t<1, i8>, p = (i32) -> !x.y} : () "
      "-> "
      "(!foo.t<1, i8>, memref<?x8xbf16, strided<[8, 1], offset: ?>, "
      "#tpu.memory_space<vmem>>)\n"
      "  \"foo.use\"(%0#1) ({\n"
      "  }) : (memref<?x8xbf16, strided<[8, 1], offset: ?>, "
      "#tpu.memory_space<vmem>>) -> ()\n"
      "}) {m.n = 1 : i8} : () -> ()\n";
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = mo_parse(text, strlen(text), &heap, &module, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  base_text again = {0};
  CHECK_NEED(
      !mo_print(module, &(mo_print_options){.plain = true}, &again, &error));
  CHECK(!strcmp(again.bytes, text), "%s", again.bytes);
  base_text_release(&again);
  mo_module_destroy(module);
}

/* ---- Numbers ----------------------------------------------------------------
 */

/* `number`, as it stands in a module, into `out` as it is printed. */
static void reprint(const char *number, char out[64]) {
  char text[256];
  mo_module *module;
  pfl_error error = {PFL_STATUS_OK, ""};
  snprintf(text, sizeof text, BEFORE "{x = %s}" AFTER, number);
  pfl_status status = mo_parse(text, strlen(text), &heap, &module, &error);
  CHECK(!status, "%s: %s", number, error.message);
  CHECK_NEED(!status);
  base_text again = {0};
  CHECK_NEED(
      !mo_print(module, &(mo_print_options){.plain = true}, &again, &error));
  const char *start = strstr(again.bytes, "{x = ") + 5;
  snprintf(out, 64, "%.*s", (int)strcspn(start, "}"), start);
  base_text_release(&again);
  mo_module_destroy(module);
}

/* As MLIR prints them: six digits, or as many as it takes, or the bits. */
static void test_spelling(void) {
  const struct {
    const char *given, *printed;
  } cases[] = {
      {"1.0 : f32", "1.000000e+00 : f32"},
      {"-1.0e30 : f32", "-1.000000e+30 : f32"},
      {"0.0883883461 : f32", "0.0883883461 : f32"},
      {"-2.38197633E+38 : f32", "-2.38197633E+38 : f32"},
      {"0.1 : f32", "1.000000e-01 : f32"},
      {"0.1 : f64", "1.000000e-01 : f64"},
      {"0.1 : bf16", "1.000980e-01 : bf16"},
      {"6.103515625e-05 : f32", "6.10351563E-5 : f32"},
      {"1234567.0 : f32", "0x4996B438 : f32"},
      {"-1234567.0 : f32", "0xC996B438 : f32"},
      {"0x7F800000 : f32", "0x7F800000 : f32"},
      {"0xFF80 : bf16", "0xFF80 : bf16"},
      {"-0.0 : f32", "-0.000000e+00 : f32"},
      {"16777216.0 : f32", "0x4B800000 : f32"},
      {"448.0 : f8E4M3FN", "4.480000e+02 : f8E4M3FN"},
      {"-9223372036854775808 : i64", "-9223372036854775808 : i64"},
      {"7", "7 : i64"},
      {"1 : i1", "true"},
      {"dense<0xFF800000> : vector<8x128xf32>",
       "dense<0xFF800000> : vector<8x128xf32>"},
      {"dense<true> : vector<8x128xi1>", "dense<true> : vector<8x128xi1>"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char printed[64];
    reprint(cases[i].given, printed);
    CHECK(!strcmp(printed, cases[i].printed), "%s: got %s, wanted %s",
          cases[i].given, printed, cases[i].printed);
  }
}

/* Any bits of any float type come back. */
static void test_bits(void) {
  static const mo_element types[] = {MO_F8E4M3FN, MO_F8E5M2, MO_F16,
                                     MO_BF16,     MO_F32,    MO_F64};
  for (int i = 0; i < check_cases(20000); i++) {
    mo_element type = types[i % 6];
    int width = mo_element_bits(type);
    uint64_t bits = check_random();
    if (width < 64) bits &= (UINT64_C(1) << width) - 1;
    char given[64], printed[64], again[64];
    snprintf(given, sizeof given, "0x%llX : %s", (unsigned long long)bits,
             mo_element_name(type));
    reprint(given, printed);
    mo_module *module;
    char text[256];
    snprintf(text, sizeof text, BEFORE "{x = %s}" AFTER, printed);
    CHECK_NEED(!mo_parse(text, strlen(text), &heap, &module, NULL));
    const mo_attr *x = mo_op_get(module->body.first, "x");
    CHECK((uint64_t)x->integer == bits, "%s became %s", given, printed);
    mo_module_destroy(module);
    reprint(printed, again);
    CHECK(!strcmp(again, printed), "%s became %s", printed, again);
  }
}

int main(void) {
  return CHECK_RUN(test_truncation, test_mutation, test_nesting, test_refused,
                   test_foreign, test_spelling, test_bits);
}

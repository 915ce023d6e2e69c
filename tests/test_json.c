/* JSON: what is written, what is read, what is refused and with which words. */
#include <float.h>
#include <locale.h>

#include "base/json.h"
#include "check.h"
#include "failing.h"
#include "rewrite.h"

static const pfl_allocator heap;

static void same_text(const char *got, const char *wanted) {
  CHECK(!strcmp(got, wanted), "got %s, wanted %s", got, wanted);
}

static json_document parse(const char *text) {
  json_document document;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = json_parse(text, strlen(text), &heap, &document, &error);
  CHECK(status == PFL_STATUS_OK, "%s: %s", text, error.message);
  CHECK_NEED(status == PFL_STATUS_OK);
  return document;
}

static base_text rewrite(const json_document *document, bool pretty) {
  base_text text = {0};
  json_writer writer = {.text = &text, .pretty = pretty};
  rewrite_value(&writer, document->root);
  CHECK_NEED(base_text_check(&text, NULL) == PFL_STATUS_OK);
  return text;
}

/* ---- Writing ----------------------------------------------------------- */

static void write_sample(base_text *text, bool pretty) {
  json_writer json = {.text = text, .pretty = pretty};
  json_begin_object(&json, NULL);
  json_write_string(&json, "device", "cpu");
  json_write_int64(&json, "threads", -2);
  json_begin_array(&json, "times");
  json_write_double(&json, NULL, 0.5);
  json_begin_object(&json, NULL);
  json_end(&json);
  json_begin_array(&json, NULL);
  json_end(&json);
  json_write_string(&json, NULL, NULL);
  json_end(&json);
  json_begin_object(&json, "inner");
  json_write_bool(&json, "yes", true);
  json_write_bool(&json, "no", false);
  json_write_null(&json, "none");
  json_end(&json);
  json_end(&json);
}

static void test_layout(void) {
  base_text text = {0};
  write_sample(&text, false);
  same_text(base_text_get(&text),
            "{\"device\":\"cpu\",\"threads\":-2,\"times\":[0.5,{},[],null],"
            "\"inner\":{\"yes\":true,\"no\":false,\"none\":null}}");
  base_text_release(&text);
  write_sample(&text, true);
  same_text(base_text_get(&text),
            "{\n"
            "  \"device\": \"cpu\",\n"
            "  \"threads\": -2,\n"
            "  \"times\": [\n"
            "    0.5,\n"
            "    {},\n"
            "    [],\n"
            "    null\n"
            "  ],\n"
            "  \"inner\": {\n"
            "    \"yes\": true,\n"
            "    \"no\": false,\n"
            "    \"none\": null\n"
            "  }\n"
            "}");
  base_text_release(&text);
}

static void test_written_strings(void) {
  static const struct {
    const char *string, *json;
  } cases[] = {
      {"", "\"\""},
      {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
      {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
       "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"a\xff!", "\"a\xef\xbf\xbd!\""},
      {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    base_text text = {0};
    json_writer json = {.text = &text};
    json_write_string(&json, NULL, cases[i].string);
    same_text(base_text_get(&text), cases[i].json);
    base_text_release(&text);
  }
  base_text text = {0};
  json_writer json = {.text = &text};
  json_write_bytes(&json, NULL, "a\0b", 3);
  same_text(base_text_get(&text), "\"a\\u0000b\"");
  base_text_release(&text);
}

static void written_double(double number, char out[64]) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_write_double(&json, NULL, number);
  snprintf(out, 64, "%s", base_text_get(&text));
  base_text_release(&text);
}

static void test_written_doubles(void) {
  static const struct {
    double number;
    const char *json;
  } cases[] = {{0, "0"},
               {-0.0, "-0"},
               {0.1, "0.1"},
               {0.1 + 0.2, "0.30000000000000004"},
               {1.0 / 3, "0.3333333333333333"},
               {1e21, "1e+21"},
               {-123456789, "-123456789"},
               {5e-324, "5e-324"},
               {DBL_MAX, "1.7976931348623157e+308"},
               {NAN, "null"},
               {INFINITY, "null"},
               {-INFINITY, "null"}};
  char json[64];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    written_double(cases[i].number, json);
    same_text(json, cases[i].json);
  }
}

/* Any double reads back bit for bit, and fewer digits would not do. */
static void test_doubles_survive(void) {
  for (int i = 0; i < check_cases(20000); i++) {
    uint64_t bits = check_random(), back_bits;
    double number, back = 0;
    if (i % 4 == 0) bits &= 0x800fffffffffffffu; /* subnormal */
    memcpy(&number, &bits, sizeof number);
    if (!isfinite(number)) continue;
    char json[64], shorter[64];
    written_double(number, json);
    json_document document = parse(json);
    CHECK(json_double(document.root, &back), "%s is no number", json);
    json_release(&document);
    memcpy(&back_bits, &back, sizeof back);
    CHECK(back_bits == bits, "%a became %s became %a", number, json, back);
    for (int digits = 1; digits <= 17; digits++) {
      snprintf(shorter, sizeof shorter, "%.*g", digits, number);
      if (strtod(shorter, NULL) == number) break;
    }
    CHECK(strlen(json) <= strlen(shorter), "%s; %s would do", json, shorter);
  }
}

/* ---- Reading ----------------------------------------------------------- */

static void test_accepted(void) {
  static const struct {
    const char *text, *compact;
  } cases[] = {
      {" null ", "null"},
      {"\t\r\n true", "true"},
      {"[]", "[]"},
      {"{ }", "{}"},
      {"[ 1 , -2 ,0,-0,1.5,2E3,1e-2,1E+2]", "[1,-2,0,-0,1.5,2000,0.01,100]"},
      {"{\"b\":{\"a\":[[]]},\"a\":\"\"}", "{\"b\":{\"a\":[[]]},\"a\":\"\"}"},
      {"{\"\":1}", "{\"\":1}"},
      {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
      {"\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"",
       "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"\"\\uFFFF\\uDBFF\\uDFFF\"", "\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\""},
      {"\"a\\u0000b\"", "\"a\\u0000b\""},
      {"[9223372036854775807,-9223372036854775808,9223372036854775808]",
       "[9223372036854775807,-9223372036854775808,9.223372036854776e+18]"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"1e-999", "0"},
      {"0.1000000000000000055511151231257827021181583404541015625", "0.1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_document document = parse(cases[i].text);
    base_text text = rewrite(&document, false);
    same_text(base_text_get(&text), cases[i].compact);
    base_text_release(&text);
    json_release(&document);
  }
}

static void refused(const char *text, size_t length, const char *message) {
  json_document document;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = json_parse(text, length, &heap, &document, &error);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "%s: %s", text,
        pfl_status_name(status));
  CHECK(!document.root, "%s: a document on failure", text);
  CHECK(!strcmp(error.message, message), "%s: \"%s\", not \"%s\"", text,
        error.message, message);
}

static void test_refused(void) {
#define BYTES(literal) literal, sizeof literal - 1
  static const struct {
    const char *text;
    size_t length;
    const char *message;
  } cases[] = {
      {BYTES(""), "byte 0: expected a value, found the end"},
      {BYTES("  "), "byte 2: expected a value, found the end"},
      {BYTES("nul"), "byte 0: expected a value, found \"n\""},
      {BYTES("nulll"), "byte 4: expected the end, found \"l\""},
      {BYTES("True"), "byte 0: expected a value, found \"T\""},
      {BYTES("NaN"), "byte 0: expected a value, found \"N\""},
      {BYTES("'a'"), "byte 0: expected a value, found \"'\""},
      {BYTES("\xef\xbb\xbf{}"),
       "byte 0: expected a value, found \"\xef\xbb\xbf\""},
      {BYTES("{}\0"), "byte 2: expected the end, found \"\\x00\""},
      {BYTES("1 2"), "byte 2: expected the end, found \"2\""},
      {BYTES("["), "byte 1: expected a value, found the end"},
      {BYTES("[1"), "byte 2: expected ',' or ']', found the end"},
      {BYTES("[1,]"), "byte 3: expected a value, found \"]\""},
      {BYTES("[,1]"), "byte 1: expected a value, found \",\""},
      {BYTES("[1}"), "byte 2: expected ',' or ']', found \"}\""},
      {BYTES("[1 /**/]"), "byte 3: expected ',' or ']', found \"/\""},
      {BYTES("{"), "byte 1: expected a key in quotes, found the end"},
      {BYTES("{a:1}"), "byte 1: expected a key in quotes, found \"a\""},
      {BYTES("{\"a\":1,}"), "byte 7: expected a key in quotes, found \"}\""},
      {BYTES("{\"a\"}"), "byte 4: expected ':', found \"}\""},
      {BYTES("{\"a\":}"), "byte 5: expected a value, found \"}\""},
      {BYTES("{\"a\":1]"), "byte 6: expected ',' or '}', found \"]\""},
      {BYTES("01"), "byte 1: expected the end, found \"1\""},
      {BYTES("-"), "byte 1: expected a digit, found the end"},
      {BYTES("+1"), "byte 0: expected a value, found \"+\""},
      {BYTES("1."), "byte 2: expected a digit, found the end"},
      {BYTES(".5"), "byte 0: expected a value, found \".\""},
      {BYTES("1e"), "byte 2: expected a digit, found the end"},
      {BYTES("1e+-2"), "byte 3: expected a digit, found \"-\""},
      {BYTES("0x10"), "byte 1: expected the end, found \"x\""},
      {BYTES("[1e999]"), "byte 1: expected a number within a double's range"},
      {BYTES("\"a"), "byte 2: expected a closing quote, found the end"},
      {BYTES("\"a\\"),
       "byte 3: expected one of \" \\ / b f n r t u after a backslash, "
       "found the end"},
      {BYTES("\"\\a\""),
       "byte 2: expected one of \" \\ / b f n r t u after a backslash, "
       "found \"a\""},
      {BYTES("\"\\\0\""),
       "byte 2: expected one of \" \\ / b f n r t u after a backslash, "
       "found \"\\x00\""},
      {BYTES("\"\\u12\""),
       "byte 5: expected four hexadecimal digits after \\u, found \"\"\""},
      {BYTES("\"\n\""),
       "byte 1: expected an escape for a control character, found \"\\x0a\""},
      {BYTES("\"\xff\""), "byte 1: expected UTF-8, found \"\\xff\""},
      {BYTES("\"\xc0\xaf\""), "byte 1: expected UTF-8, found \"\\xc0\""},
      {BYTES("\"\xed\xa0\x80\""), "byte 1: expected UTF-8, found \"\\xed\""},
      {BYTES("\"\xf4\x90\x80\x80\""),
       "byte 1: expected UTF-8, found \"\\xf4\""},
      {BYTES("\"\xe2\x82"), "byte 1: expected UTF-8, found \"\\xe2\""},
      {BYTES("\"\\ud800\""),
       "byte 1: expected a character, found half of a surrogate pair"},
      {BYTES("\"\\ud800\\u0041\""),
       "byte 1: expected a character, found half of a surrogate pair"},
      {BYTES("\"\\ud800\\ud800\""),
       "byte 1: expected a character, found half of a surrogate pair"},
      {BYTES("\"\\udc00\\ud800\""),
       "byte 1: expected a character, found half of a surrogate pair"},
      {BYTES("{\"a\":1,\"b\":{\"a\":2},\"a\":3}"),
       "byte 19: expected another key, found \"a\" a second time"},
      {BYTES("{\"\\u0061\":1,\"a\":3}"),
       "byte 12: expected another key, found \"a\" a second time"},
  };
#undef BYTES
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    refused(cases[i].text, cases[i].length, cases[i].message);
}

static void test_depth(void) {
  char text[2 * JSON_DEPTH_MAX + 1] = "";
  memset(text, '[', JSON_DEPTH_MAX);
  memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
  json_document document = parse(text);
  base_text again = rewrite(&document, false);
  same_text(base_text_get(&again), text);
  base_text_release(&again);
  json_release(&document);
  size_t length = 1000000;
  char *deep = malloc(length);
  CHECK_NEED(deep);
  memset(deep, '[', length);
  refused(deep, length,
          "byte 64: expected at most 64 arrays and objects within each other");
  free(deep);
}

static void test_numbers(void) {
  json_document document = parse("[3,3.0,-0,1e2,\"3\",true,null]");
  static const bool integers[] = {1, 0, 0, 0, 0, 0, 0},
                    numbers[] = {1, 1, 1, 1, 0, 0, 0};
  static const double values[] = {3, 3, -0.0, 100};
  int i = 0;
  for (const json_value *item = json_first(document.root); item;
       item = item->next, i++) {
    int64_t integer = 77;
    double number = 77;
    CHECK(json_int64(item, &integer) == integers[i], "%d", i);
    CHECK(integer == (integers[i] ? 3 : 77), "%d", i);
    CHECK(json_double(item, &number) == numbers[i], "%d", i);
    CHECK(number == (numbers[i] ? values[i] : 77), "%d", i);
    CHECK(i != 2 || signbit(number), "-0 lost its sign");
  }
  CHECK(i == 7 && document.root->length == 7, "%d items", i);
  json_release(&document);
}

static void test_lookup(void) {
  enum { MEMBERS = 1000 };
  base_text text = {0};
  json_writer json = {.text = &text};
  char key[32];
  json_begin_object(&json, NULL);
  for (int i = 0; i < MEMBERS; i++) {
    snprintf(key, sizeof key, "%x", i * 7919 % MEMBERS);
    json_write_int64(&json, key, i);
  }
  json_end(&json);
  json_document document = parse(base_text_get(&text));
  base_text_release(&text);
  int64_t i = 0, number = -1;
  for (const json_value *item = json_first(document.root); item;
       item = item->next, i++) {
    CHECK(json_int64(item, &number) && number == i, "order at %d", (int)i);
    snprintf(key, sizeof key, "%x", (int)(i * 7919 % MEMBERS));
    CHECK(json_object_get(document.root, key) == item, "key %s", key);
  }
  CHECK(i == MEMBERS, "%d members", (int)i);
  CHECK(!json_object_get(document.root, "none"), "a key that is not there");
  CHECK(!json_object_get(document.root, ""), "the empty key");
  json_release(&document);
}

static void test_absent_values(void) {
  json_document document =
      parse("{\"s\":\"x\",\"nul\":\"a\\u0000b\",\"a\\u0000b\":1,\"t\":true}");
  const json_value *root = document.root;
  bool yes = false;
  int64_t integer;
  same_text(json_string(json_object_get(root, "s")), "x");
  CHECK(json_bool(json_object_get(root, "t"), &yes) && yes, "a boolean");
  CHECK(!json_string(json_object_get(root, "nul")), "a string with a NUL");
  CHECK(json_object_get(root, "nul")->length == 3, "its length");
  CHECK(!json_object_get(root, "a"), "a key cut at its NUL");
  CHECK(!json_string(root), "an object is no string");
  CHECK(!json_first(json_object_get(root, "s")), "a string has no items");
  const json_value *none = json_object_get(json_object_get(root, "x"), "y");
  CHECK(!none && !json_first(none) && !json_string(none) &&
            !json_bool(none, &yes) && !json_int64(none, &integer),
        "nothing is of no type");
  same_text(json_type_name(none), "nothing");
  same_text(json_type_name(root), "an object");
  json_release(&document);
  json_release(&document); /* once is enough, twice allowed */
}

static void test_truncation(void) {
  base_text text = {0};
  write_sample(&text, true);
  for (size_t length = 0; length < text.length; length++) {
    json_document document;
    char *part = malloc(length + 1); /* where ASan guards its end */
    CHECK_NEED(part);
    memcpy(part, text.bytes, length);
    pfl_status status = json_parse(part, length, &heap, &document, NULL);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "the first %zu bytes", length);
    free(part);
  }
  base_text_release(&text);
}

/* A document of every kind of value, strings of any characters. */
static void write_random(json_writer *json, const char *key, int depth) {
  char string[40];
  int length = (int)check_between(0, 12);
  switch (check_between(0, depth > 5 ? 5 : 7)) {
    case 0: json_write_null(json, key); return;
    case 1: json_write_bool(json, key, check_random() & 1); return;
    case 2: json_write_int64(json, key, (int64_t)check_random()); return;
    case 3: json_write_int64(json, key, check_between(-9, 9)); return;
    case 4: json_write_double(json, key, check_normal() * 1e10); return;
    case 5:
      for (int i = 0; i < length; i++)
        string[i] = (char)check_between(0, i & 1 ? 255 : 127);
      json_write_bytes(json, key, string, (size_t)length);
      return;
    case 6: json_begin_array(json, key); break;
    case 7: json_begin_object(json, key); break;
  }
  bool object = json->objects >> (json->depth - 1) & 1;
  for (int i = 0; i < length; i++) {
    snprintf(string, sizeof string, "%c\xc3\xa9\n%d",
             (char)check_between(1, 127), i);
    write_random(json, object ? string : NULL, depth + 1);
  }
  json_end(json);
}

static void test_round_trip(void) {
  for (int i = 0; i < check_cases(300); i++) {
    base_text text = {0};
    json_writer json = {.text = &text, .pretty = i & 1};
    write_random(&json, NULL, 0);
    json_document document = parse(base_text_get(&text));
    base_text again = rewrite(&document, i & 1);
    same_text(base_text_get(&again), base_text_get(&text));
    json_release(&document);
    base_text_release(&again);
    base_text_release(&text);
  }
}

/* ---- Surroundings ------------------------------------------------------ */

static pfl_status write_and_read(const pfl_allocator *allocator) {
  base_text text = {.allocator = *allocator};
  json_document document;
  pfl_error error;
  for (int i = 0; i < 40; i++) base_text_add_string(&text, " ");
  write_sample(&text, true);
  pfl_status status = base_text_check(&text, &error);
  if (!status) {
    status = json_parse(text.bytes, text.length, allocator, &document, &error);
    json_release(&document);
  }
  base_text_release(&text);
  return status;
}

static void test_no_memory(void) {
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_allocator allocator = failing_allocator(&state);
    state.done = failing_check(&state, write_and_read(&allocator));
  }
}

static void test_text(void) {
  base_text text = {0};
  same_text(base_text_get(&text), "");
  base_text_add(&text, NULL, 0);
  size_t length = 0;
  for (int i = 0; i < 1000; i++) {
    base_text_format(&text, "%d,%*s", i, i % 100, "");
    length += (size_t)(i < 10 ? 2 : i < 100 ? 3 : 4) + (size_t)i % 100;
    CHECK(text.length == length && strlen(text.bytes) == length,
          "%zu bytes, not %zu", text.length, length);
  }
  CHECK(base_text_check(&text, NULL) == PFL_STATUS_OK, "it fits");
  base_text_release(&text);
  same_text(base_text_get(&text), "");
}

static void test_quote(void) {
  char buffer[BASE_QUOTE_SIZE], name[200];
  same_text(base_quote("q", 1, buffer), "\"q\"");
  same_text(base_quote("a\x1b[2J\n\xff\xc3\xa9\xc2\x9b", 11, buffer),
            "\"a\\x1b[2J\\x0a\\xff\xc3\xa9\\xc2\\x9b\"");
  for (size_t length = 0; length <= sizeof name; length++) {
    for (size_t i = 0; i < length; i++)
      name[i] = (char)check_between(i % 7 ? 0 : 0xc0, 0xff);
    base_quote(name, length, buffer);
    size_t left = strlen(buffer);
    CHECK(left < sizeof buffer, "%zu bytes", left);
    CHECK(buffer[left - 1] == '"' || !strcmp(buffer + left - 4, "\"..."),
          "ends %s", buffer);
    for (size_t step; left; left -= step) {
      step = base_utf8_length(buffer + strlen(buffer) - left, left);
      CHECK_NEED(step);
    }
  }
}

/* A program that has set a locale with a decimal comma. */
static void test_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE",
                                      "fr_FR.UTF-8", "ru_RU.UTF-8"};
  bool found = false;
  for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
    found = setlocale(LC_ALL, names[i]) != NULL;
  if (!found) printf("no locale with a decimal comma here\n");
  char json[64];
  double number = 0;
  written_double(1.5, json);
  same_text(json, "1.5");
  json_document document = parse("2.5");
  CHECK(json_double(document.root, &number) && number == 2.5, "%g", number);
  json_release(&document);
  setlocale(LC_ALL, "C");
}

int main(void) {
  return CHECK_RUN(test_layout, test_written_strings, test_written_doubles,
                   test_doubles_survive, test_accepted, test_refused,
                   test_depth, test_numbers, test_lookup, test_absent_values,
                   test_truncation, test_round_trip, test_no_memory, test_text,
                   test_quote, test_locale);
}

/* The reader of json.h.
 *
 * The text is parsed twice by the same functions: first to check it and to
 * count the values, then, from a copy, to fill exactly that memory. Strings are
 * decoded in the copy, where they lie: no escape is shorter than what it says.
 *
 *   values, each before its items | members by key | copy of the text
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

typedef struct parser {
  const char *text;
  size_t length, at;
  int depth;
  size_t value_count, member_count;
  json_value *values; /* NULL while counting; then the rest is used too */
  const json_value **members;
  char *copy;         /* text, to be written to */
  json_value scratch; /* what is filled while counting */
  pfl_error *error;
} parser;

static char peek(const parser *p) {
  return p->at < p->length ? p->text[p->at] : 0;
}

static bool take(parser *p, char byte) {
  if (p->at == p->length || p->text[p->at] != byte) return false;
  p->at++;
  return true;
}

static void skip_space(parser *p) {
  while (p->at < p->length && memchr(" \t\n\r", p->text[p->at], 4)) p->at++;
}

static pfl_status expected(const parser *p, const char *what) {
  char found[BASE_QUOTE_SIZE] = "the end";
  size_t left = p->length - p->at;
  size_t character = base_utf8_length(p->text + p->at, left);
  if (left) base_quote(p->text + p->at, character ? character : 1, found);
  PFL_RAISE(p->error, INVALID_ARGUMENT, "byte %zu: expected %s, found %s",
            p->at, what, found);
}

static int hex_digit(char byte) {
  return byte >= '0' && byte <= '9'   ? byte - '0'
         : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
         : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                      : -1;
}

static pfl_status parse_hex4(parser *p, unsigned *out_code) {
  *out_code = 0;
  for (int i = 0; i < 4; i++, p->at++) {
    int digit = hex_digit(peek(p));
    if (digit < 0) return expected(p, "four hexadecimal digits after \\u");
    *out_code = *out_code << 4 | (unsigned)digit;
  }
  return PFL_STATUS_OK;
}

static size_t encode_utf8(unsigned code, char out[4]) {
  if (code < 0x80) return out[0] = (char)code, 1;
  size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i; i--, code >>= 6)
    out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)(0xf00u >> length | code);
  return length;
}

/* What follows a backslash. */
static pfl_status parse_escape(parser *p, char out[4], size_t *out_length) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  char letter = peek(p);
  const char *place = letter ? strchr(from, letter) : NULL;
  if (place) {
    p->at++;
    out[0] = to[place - from];
    *out_length = 1;
    return PFL_STATUS_OK;
  }
  if (!take(p, 'u'))
    return expected(p, "one of \" \\ / b f n r t u after a backslash");
  unsigned code, low = 0;
  size_t start = p->at - 2;
  PFL_TRY(parse_hex4(p, &code));
  if (code >= 0xd800 && code <= 0xdbff && take(p, '\\') && take(p, 'u'))
    PFL_TRY(parse_hex4(p, &low));
  if (low >= 0xdc00 && low <= 0xdfff)
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  if (code >= 0xd800 && code <= 0xdfff)
    PFL_RAISE(p->error, INVALID_ARGUMENT,
              "byte %zu: expected a character, found half of a surrogate pair",
              start);
  *out_length = encode_utf8(code, out);
  return PFL_STATUS_OK;
}

static pfl_status parse_character(parser *p, char out[4], size_t *out_length) {
  if (take(p, '\\')) return parse_escape(p, out, out_length);
  *out_length = base_utf8_length(p->text + p->at, p->length - p->at);
  if (p->at == p->length) return expected(p, "a closing quote");
  if (!*out_length) return expected(p, "UTF-8");
  if ((unsigned char)peek(p) < 0x20)
    return expected(p, "an escape for a control character");
  memcpy(out, p->text + p->at, *out_length);
  p->at += *out_length;
  return PFL_STATUS_OK;
}

static pfl_status parse_string(parser *p, const char *what,
                               const char **out_string, uint32_t *out_length) {
  if (!take(p, '"')) return expected(p, what);
  size_t start = p->at, end = p->at, length = 0;
  while (!take(p, '"')) {
    char character[4];
    PFL_TRY(parse_character(p, character, &length));
    if (p->copy) memcpy(p->copy + end, character, length);
    end += length;
  }
  if (p->copy) p->copy[end] = 0; /* at the closing quote, or before it */
  *out_string = p->text + start;
  *out_length = (uint32_t)(end - start);
  return PFL_STATUS_OK;
}

static pfl_status skip_digits(parser *p) {
  size_t start = p->at;
  while (peek(p) >= '0' && peek(p) <= '9') p->at++;
  return p->at > start ? PFL_STATUS_OK : expected(p, "a digit");
}

static pfl_status parse_number(parser *p, json_value *value) {
  size_t start = p->at;
  bool whole = true;
  take(p, '-');
  if (!take(p, '0')) PFL_TRY(skip_digits(p));
  if (take(p, '.')) {
    whole = false;
    PFL_TRY(skip_digits(p));
  }
  if (take(p, 'e') || take(p, 'E')) {
    whole = false;
    if (!take(p, '+')) take(p, '-');
    PFL_TRY(skip_digits(p));
  }
  if (!p->copy) return PFL_STATUS_OK;
  const char *digits = p->text + start; /* ends before what is no digit */
  if (whole && !(digits[0] == '-' && digits[1] == '0')) {
    errno = 0;
    value->type = JSON_INTEGER;
    value->integer = strtoll(digits, NULL, 10);
    if (!errno) return PFL_STATUS_OK;
  }
  value->type = JSON_DOUBLE;
  value->number = base_double_from(digits, NULL);
  if (isinf(value->number))
    PFL_RAISE(p->error, INVALID_ARGUMENT,
              "byte %zu: expected a number within a double's range", start);
  return PFL_STATUS_OK;
}

static pfl_status parse_word(parser *p, json_value *value) {
  static const struct {
    const char *word;
    json_type type;
    bool boolean;
  } words[] = {{"null", JSON_NULL, false},
               {"false", JSON_BOOL, false},
               {"true", JSON_BOOL, true}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t length = strlen(words[i].word);
    if (p->length - p->at < length ||
        memcmp(p->text + p->at, words[i].word, length))
      continue;
    p->at += length;
    value->type = words[i].type;
    value->boolean = words[i].boolean;
    return PFL_STATUS_OK;
  }
  return expected(p, "a value");
}

static int compare_keys(const char *a, size_t a_length, const char *b,
                        size_t b_length) {
  int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
  return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_members(const void *a, const void *b) {
  const json_value *left = *(const json_value *const *)a;
  const json_value *right = *(const json_value *const *)b;
  return compare_keys(left->key, left->key_length, right->key,
                      right->key_length);
}

/* Sorts the members of a complete object by key and looks for a key that is
 * there twice. */
static pfl_status sort_members(parser *p, json_value *object) {
  const json_value **sorted = p->members + p->member_count;
  size_t count = 0;
  for (const json_value *item = json_first(object); item; item = item->next)
    sorted[count++] = item;
  qsort(sorted, count, sizeof *sorted, compare_members);
  object->sorted = sorted;
  for (size_t i = 1; i < count; i++) {
    if (compare_members(&sorted[i - 1], &sorted[i])) continue;
    const char *first = sorted[i - 1]->key, *second = sorted[i]->key;
    char quoted[BASE_QUOTE_SIZE];
    PFL_RAISE(p->error, INVALID_ARGUMENT,
              "byte %zu: expected another key, found %s a second time",
              (size_t)((first > second ? first : second) - p->text - 1),
              base_quote(first, sorted[i]->key_length, quoted));
  }
  return PFL_STATUS_OK;
}

static pfl_status parse_value(parser *p, json_value **out_value);

static pfl_status parse_items(parser *p, json_value *container, bool object) {
  json_value *last = NULL;
  uint32_t count = 0;
  do {
    const char *key = NULL;
    uint32_t key_length = 0;
    if (object) {
      skip_space(p);
      PFL_TRY(parse_string(p, "a key in quotes", &key, &key_length));
      skip_space(p);
      if (!take(p, ':')) return expected(p, "':'");
    }
    json_value *item;
    PFL_TRY(parse_value(p, &item));
    item->key = key;
    item->key_length = key_length;
    if (last) last->next = item;
    last = item;
    count++;
    skip_space(p);
  } while (take(p, ','));
  container->length = count;
  return PFL_STATUS_OK;
}

static pfl_status parse_container(parser *p, json_value *container) {
  if (p->depth == JSON_DEPTH_MAX)
    PFL_RAISE(p->error, INVALID_ARGUMENT,
              "byte %zu: expected at most %d arrays and objects within each "
              "other",
              p->at, JSON_DEPTH_MAX);
  bool object = take(p, '{') || !take(p, '[');
  char end = object ? '}' : ']';
  container->type = object ? JSON_OBJECT : JSON_ARRAY;
  p->depth++;
  skip_space(p);
  if (peek(p) != end) PFL_TRY(parse_items(p, container, object));
  if (!take(p, end)) return expected(p, object ? "',' or '}'" : "',' or ']'");
  p->depth--;
  if (!object) return PFL_STATUS_OK;
  if (p->copy) PFL_TRY(sort_members(p, container));
  p->member_count += container->length;
  return PFL_STATUS_OK;
}

static pfl_status parse_value(parser *p, json_value **out_value) {
  json_value *value = p->values ? &p->values[p->value_count] : &p->scratch;
  p->value_count++;
  *value = (json_value){.type = JSON_STRING};
  *out_value = value;
  skip_space(p);
  char first = peek(p);
  if (first == '"') return parse_string(p, "", &value->string, &value->length);
  if (first == '{' || first == '[') return parse_container(p, value);
  if (first == '-' || (first >= '0' && first <= '9'))
    return parse_number(p, value);
  return parse_word(p, value);
}

static pfl_status parse_text(parser *p) {
  json_value *root;
  PFL_TRY(parse_value(p, &root));
  skip_space(p);
  return p->at == p->length ? PFL_STATUS_OK : expected(p, "the end");
}

static pfl_status fill_document(const parser *counted, parser *p,
                                const pfl_allocator *allocator) {
  /* cannot overflow: fewer values than bytes of text, which are < 2^32 */
  uint64_t values_size = counted->value_count * (uint64_t)sizeof *p->values;
  uint64_t members_size = counted->member_count * (uint64_t)sizeof *p->members;
  uint64_t size = values_size + members_size + counted->length + 1;
  char *memory =
      size <= SIZE_MAX ? base_allocate(allocator, (size_t)size) : NULL;
  if (!memory)
    PFL_RAISE(p->error, RESOURCE_EXHAUSTED, "no memory for %zu JSON values",
              counted->value_count);
  p->values = (json_value *)memory;
  p->members = (const json_value **)(memory + values_size);
  p->text = p->copy = memory + values_size + members_size;
  memcpy(p->copy, counted->text, counted->length);
  p->copy[counted->length] = 0;
  return parse_text(p);
}

pfl_status json_parse(const char *text, size_t length,
                      const pfl_allocator *allocator,
                      json_document *out_document, pfl_error *error) {
  *out_document = (json_document){.allocator = *allocator};
  if (length >= UINT32_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a JSON text of %zu bytes; at most %u can be read", length,
              UINT32_MAX - 1);
  parser counting = {.text = text, .length = length, .error = error};
  PFL_TRY(parse_text(&counting));
  parser filling = {.length = length, .error = error};
  pfl_status status = fill_document(&counting, &filling, allocator);
  if (status)
    base_release(allocator, filling.values);
  else
    out_document->root = filling.values;
  return status;
}

void json_release(json_document *document) {
  base_release(&document->allocator, (void *)document->root);
  document->root = NULL;
}

const json_value *json_first(const json_value *value) {
  if (!value || (value->type != JSON_ARRAY && value->type != JSON_OBJECT))
    return NULL;
  return value->length ? value + 1 : NULL; /* the items follow it in memory */
}

const json_value *json_object_get(const json_value *value, const char *key) {
  if (!value || value->type != JSON_OBJECT) return NULL;
  size_t length = strlen(key), low = 0, high = value->length;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const json_value *member = value->sorted[middle];
    int order = compare_keys(key, length, member->key, member->key_length);
    if (!order) return member;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

bool json_bool(const json_value *value, bool *out) {
  if (!value || value->type != JSON_BOOL) return false;
  *out = value->boolean;
  return true;
}

bool json_int64(const json_value *value, int64_t *out) {
  if (!value || value->type != JSON_INTEGER) return false;
  *out = value->integer;
  return true;
}

bool json_double(const json_value *value, double *out) {
  if (!value || (value->type != JSON_INTEGER && value->type != JSON_DOUBLE))
    return false;
  *out = value->type == JSON_DOUBLE ? value->number : (double)value->integer;
  return true;
}

const char *json_string(const json_value *value) {
  if (!value || value->type != JSON_STRING) return NULL;
  return strlen(value->string) == value->length ? value->string : NULL;
}

const char *json_type_name(const json_value *value) {
  static const char *const names[] = {
      [JSON_NULL] = "null",          [JSON_BOOL] = "a boolean",
      [JSON_INTEGER] = "an integer", [JSON_DOUBLE] = "a number with a fraction",
      [JSON_STRING] = "a string",    [JSON_ARRAY] = "an array",
      [JSON_OBJECT] = "an object"};
  return value ? names[value->type] : "nothing";
}

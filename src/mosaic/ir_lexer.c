/* Characters, words, numbers and strings of a module's text. */
#include "mosaic/ir_lexer.h"

#include <string.h>

typedef struct place {
  size_t line, column;
} place;

static place place_of(const mo_lexer *lexer, size_t at) {
  place here = {1, 1};
  for (size_t i = 0; i < at && i < lexer->length; i++) {
    here.column++;
    if (lexer->text[i] == '\n') here = (place){here.line + 1, 1};
  }
  return here;
}

pfl_status mo_expected(const mo_lexer *lexer, const char *what) {
  if (!lexer->error) return PFL_STATUS_INVALID_ARGUMENT; /* only tried */
  char found[BASE_QUOTE_SIZE] = "the end";
  size_t left = lexer->length - lexer->at, length = 0;
  while (length < left && length < 24 &&
         !strchr(" \n\t", lexer->text[lexer->at + length]))
    length++;
  if (left) base_quote(lexer->text + lexer->at, length + !length, found);
  place here = place_of(lexer, lexer->at);
  PFL_RAISE(lexer->error, INVALID_ARGUMENT,
            "line %zu, column %zu: expected %s, found %s", here.line,
            here.column, what, found);
}

pfl_status mo_wrong(const mo_lexer *lexer, size_t at, const char *what,
                    const char *word, size_t length) {
  if (!lexer->error) return PFL_STATUS_INVALID_ARGUMENT;
  char quoted[BASE_QUOTE_SIZE];
  place here = place_of(lexer, at);
  PFL_RAISE(lexer->error, INVALID_ARGUMENT, "line %zu, column %zu: %s: %s",
            here.line, here.column, base_quote(word, length, quoted), what);
}

pfl_status mo_out_of_memory(const mo_lexer *lexer) {
  PFL_RAISE(lexer->error, RESOURCE_EXHAUSTED,
            "no memory for a module of %zu bytes of text", lexer->length);
}

void mo_skip_space(mo_lexer *lexer) {
  const char *text = lexer->text;
  size_t length = lexer->length, at = lexer->at;
  for (;;) {
    while (at < length && (text[at] == ' ' || text[at] == '\n' ||
                           text[at] == '\t' || text[at] == '\r'))
      at++;
    if (length - at < 2 || text[at] != '/' || text[at + 1] != '/') break;
    while (at < length && text[at] != '\n') at++;
  }
  lexer->at = at;
}

char mo_peek(mo_lexer *lexer) {
  mo_skip_space(lexer);
  return lexer->at < lexer->length ? lexer->text[lexer->at] : 0;
}

bool mo_take(mo_lexer *lexer, const char *string) {
  mo_skip_space(lexer);
  size_t length = strlen(string);
  if (lexer->length - lexer->at < length ||
      memcmp(lexer->text + lexer->at, string, length))
    return false;
  lexer->at += length;
  return true;
}

static bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '$' || c == '.';
}

size_t mo_word_length(mo_lexer *lexer) {
  mo_skip_space(lexer);
  size_t end = lexer->at;
  while (end < lexer->length && in_word(lexer->text[end])) end++;
  return end - lexer->at;
}

bool mo_take_word(mo_lexer *lexer, const char *word) {
  size_t length = strlen(word);
  return mo_word_length(lexer) == length && mo_take(lexer, word);
}

pfl_status mo_need(mo_lexer *lexer, const char *string) {
  if (mo_take(lexer, string)) return PFL_STATUS_OK;
  char what[32] = "\"";
  strcat(strncat(what, string, 24), "\"");
  return mo_expected(lexer, what);
}

pfl_status mo_read_string(mo_lexer *lexer, const char **out,
                          size_t *out_length) {
  PFL_TRY(mo_need(lexer, "\""));
  size_t start = lexer->at;
  while (lexer->at < lexer->length && lexer->text[lexer->at] != '"') {
    char c = lexer->text[lexer->at];
    if (!c || c == '\n') return mo_expected(lexer, "a closing quote");
    lexer->at += c == '\\' && lexer->at + 1 < lexer->length ? 2 : 1;
  }
  *out = lexer->text + start;
  *out_length = lexer->at - start;
  return mo_need(lexer, "\"");
}

pfl_status mo_read_integer(mo_lexer *lexer, int64_t *out) {
  mo_skip_space(lexer);
  size_t start = lexer->at;
  bool negative = mo_take(lexer, "-");
  uint64_t limit = (uint64_t)INT64_MAX + negative, number = 0;
  size_t first = lexer->at;
  while (lexer->at < lexer->length && lexer->text[lexer->at] >= '0' &&
         lexer->text[lexer->at] <= '9') {
    uint64_t digit = (uint64_t)(lexer->text[lexer->at++] - '0');
    if (number > (limit - digit) / 10)
      return mo_wrong(lexer, start, "needs more than 64 bits",
                      lexer->text + start, lexer->at - start);
    number = number * 10 + digit;
  }
  if (lexer->at == first) return mo_expected(lexer, "an integer");
  *out = negative ? (int64_t)(0 - number) : (int64_t)number;
  return PFL_STATUS_OK;
}

pfl_status mo_read_balanced(mo_lexer *lexer, const char *what, const char **out,
                            size_t *out_length) {
  static const char opening[] = "<([{", closing[] = ">)]}";
  mo_skip_space(lexer);
  size_t start = lexer->at;
  char open[MO_DEPTH_MAX];
  int depth = 0;
  while (lexer->at < lexer->length) {
    char c = lexer->text[lexer->at];
    const char *opens = c ? strchr(opening, c) : NULL;
    const char *closes = c ? strchr(closing, c) : NULL;
    if (c == '"') {
      const char *string;
      PFL_TRY(mo_read_string(lexer, &string, out_length));
      continue;
    }
    if (c == '-' && lexer->at + 1 < lexer->length &&
        lexer->text[lexer->at + 1] == '>') {
      if (!depth) break;
      lexer->at++; /* an arrow closes nothing */
    } else if (opens) {
      if (depth == MO_DEPTH_MAX) return mo_expected(lexer, "less nesting");
      open[depth++] = closing[opens - opening];
    } else if (closes) {
      if (!depth) break;
      if (open[depth - 1] != c) return mo_expected(lexer, "another bracket");
      depth--;
    } else if (!c || (!depth && strchr(",= \n\t\r", c))) {
      break;
    }
    lexer->at++;
  }
  if (depth) return mo_expected(lexer, "a closing bracket");
  *out = lexer->text + start;
  *out_length = lexer->at - start;
  return *out_length ? PFL_STATUS_OK : mo_expected(lexer, what);
}

#include "schedule/listing_lexer.h"

#include <string.h>

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void skip_spaces(listing_lexer *lexer) {
  while (lexer->at < lexer->length && lexer->text[lexer->at] == ' ')
    lexer->at++;
}

static pfl_status raise_cut(const listing_lexer *lexer, pfl_error *error) {
  PFL_RAISE(error, INVALID_ARGUMENT,
            "%.300s: the listing ends within bundle 0x%llx (line %lld): it is "
            "cut short",
            lexer->path, (long long)lexer->bundle.number,
            (long long)lexer->line);
}

/* ---- Comments ------------------------------------------------------------ */

typedef struct span {
  const char *at;
  size_t length;
} span;

static span trim(span s) {
  while (s.length && (*s.at == ' ' || *s.at == '\n')) s.at++, s.length--;
  while (s.length && s.at[s.length - 1] == ' ') s.length--;
  return s;
}

const char *listing_find(const char *text, size_t length, const char *word) {
  size_t wanted = strlen(word);
  while (length >= wanted) {
    const char *hit = memchr(text, *word, length - wanted + 1);
    if (!hit) return NULL;
    if (!memcmp(hit, word, wanted)) return hit;
    length -= (size_t)(hit + 1 - text);
    text = hit + 1;
  }
  return NULL;
}

static const char *find(span s, const char *word) {
  return listing_find(s.at, s.length, word);
}

static span after(span s, const char *hit, size_t length) {
  hit += length;
  return (span){hit, (size_t)(s.at + s.length - hit)};
}

/* A number of at most 9 digits; -1 if there is none. */
static int64_t read_number(span s) {
  int64_t number = 0;
  size_t i = 0;
  for (; i < s.length && i < 9 && is_digit(s.at[i]); i++)
    number = 10 * number + (s.at[i] - '0');
  return i ? number : -1;
}

/* Every loc("FILE":LINE:COLUMN) of the comment. */
static void add_places(span comment, base_text *places) {
  const char *hit;
  while ((hit = find(comment, "loc(\""))) {
    comment = after(comment, hit, 5);
    const char *end = memchr(comment.at, '"', comment.length);
    if (!end) return;
    listing_place place = {comment.at, (size_t)(end - comment.at), 0};
    comment = after(comment, end, 1);
    if (!comment.length || *comment.at != ':') continue;
    comment = after(comment, comment.at, 1);
    int64_t line = read_number(comment);
    if (line < 0) continue;
    place.line = (int32_t)line;
    base_text_add(places, (const char *)&place, sizeof place);
  }
}

/* "hbm=" of a comment that is an argument's name. */
static bool names_argument(span s) {
  if (s.length < 2 || s.at[s.length - 1] != '=') return false;
  for (size_t i = 0; i + 1 < s.length; i++)
    if (!is_lower(s.at[i]) && s.at[i] != '_') return false;
  return true;
}

/* The HLO whose call this is: "%fusion.3 = ..." or "<late-finalization>". */
static span callee_of(span s) {
  if (s.length && *s.at == '<') {
    const char *end = memchr(s.at, '>', s.length);
    return end && end == s.at + s.length - 1 ? s : (span){s.at, 0};
  }
  if (s.length < 2 || *s.at != '%') return (span){s.at, 0};
  const char *end = find(s, " = ");
  return (span){s.at + 1, end ? (size_t)(end - s.at - 1) : 0};
}

static void keep_comment(listing_lexer *lexer, span comment) {
  base_text *body = &lexer->bundle.body;
  comment = trim(comment);
  if (names_argument(comment)) {
    base_text_add(body, comment.at, comment.length);
    return;
  }
  span callee = callee_of(comment);
  if (callee.length) {
    base_text_add_string(body, " @");
    base_text_add(body, callee.at, callee.length);
  }
  add_places(comment, &lexer->bundle.places);
}

/* What stands after a bundle: the regions that start, and the end of all. */
static void keep_tail_comment(listing_lexer *lexer, span comment) {
  listing_bundle *bundle = &lexer->bundle;
  const char *hit;
  if (find(comment, "exit bundle:") || find(comment, "End region 0 "))
    bundle->last = true;
  while ((hit = find(comment, "Start"))) {
    comment = after(comment, hit, 5);
    static const char *const forms[] = {" region ", "/End empty region "};
    for (int i = 0; i < 2; i++) {
      size_t length = strlen(forms[i]);
      if (comment.length < length || memcmp(comment.at, forms[i], length))
        continue;
      int64_t region = read_number(after(comment, comment.at, length));
      if (region >= 0)
        base_text_add(&bundle->starts, (const char *)&region, sizeof region);
    }
  }
}

/* The comment at `at`, which moves past it. */
static pfl_status read_comment(listing_lexer *lexer, span *out_comment,
                               pfl_error *error) {
  span rest = {lexer->text + lexer->at + 2, lexer->length - lexer->at - 2};
  const char *end = find(rest, "*/");
  if (!end) return raise_cut(lexer, error);
  *out_comment = (span){rest.at, (size_t)(end - rest.at)};
  for (const char *c = rest.at; c < end; c++) lexer->line += *c == '\n';
  lexer->at = (size_t)(end + 2 - lexer->text);
  return PFL_STATUS_OK;
}

/* ---- Bundles ------------------------------------------------------------- */

static bool at_comment(const listing_lexer *lexer) {
  return lexer->length - lexer->at >= 2 &&
         !memcmp(lexer->text + lexer->at, "/*", 2);
}

/* The bytes from `at` that are no delimiter. */
static size_t plain_length(const listing_lexer *lexer) {
  size_t at = lexer->at;
  while (at < lexer->length) {
    char c = lexer->text[at];
    if (c == '/' || c == ';' || c == '{' || c == '}' || c == '\n') break;
    at++;
  }
  return at - lexer->at;
}

/* From after '{' to after its '}'. */
static pfl_status read_body(listing_lexer *lexer, pfl_error *error) {
  base_text *body = &lexer->bundle.body;
  for (int depth = 1; depth;) {
    size_t plain = plain_length(lexer);
    base_text_add(body, lexer->text + lexer->at, plain);
    lexer->at += plain;
    if (lexer->at == lexer->length) return raise_cut(lexer, error);
    char c = lexer->text[lexer->at];
    if (at_comment(lexer)) {
      span comment = {NULL, 0};
      PFL_TRY(read_comment(lexer, &comment, error));
      keep_comment(lexer, comment);
      continue;
    }
    if (c == '\n') return raise_cut(lexer, error);
    depth += (c == '{') - (c == '}');
    if (c == ';') c = 0;
    if (depth) base_text_add(body, &c, 1);
    lexer->at++;
  }
  base_text_add(body, "", 1);
  return PFL_STATUS_OK;
}

/* From after the '}' to the end of the line. */
static pfl_status read_tail(listing_lexer *lexer, pfl_error *error) {
  while (lexer->at < lexer->length && lexer->text[lexer->at] != '\n') {
    if (!at_comment(lexer)) {
      lexer->at++;
      continue;
    }
    span comment = {NULL, 0};
    PFL_TRY(read_comment(lexer, &comment, error));
    keep_tail_comment(lexer, comment);
  }
  return PFL_STATUS_OK;
}

/* "0x1c LB: >> {": moves past it, or returns false. */
static bool read_head(listing_lexer *lexer) {
  const char *text = lexer->text;
  skip_spaces(lexer);
  size_t start = lexer->at;
  int64_t number = 0;
  if (start == lexer->length || text[start] != '0') return false;
  lexer->at += lexer->length - start > 1 && text[start + 1] == 'x' ? 2 : 1;
  for (int i = 0; i < 8 && lexer->at < lexer->length; i++, lexer->at++) {
    char c = text[lexer->at];
    if (!is_digit(c) && (c < 'a' || c > 'f')) break;
    number = 16 * number + (is_digit(c) ? c - '0' : c - 'a' + 10);
  }
  skip_spaces(lexer);
  lexer->bundle.fallthrough =
      lexer->length - lexer->at > 2 && !memcmp(text + lexer->at, "PF", 2);
  while (lexer->at < lexer->length && text[lexer->at] >= 'A' &&
         text[lexer->at] <= 'Z')
    lexer->at++;
  skip_spaces(lexer);
  if (lexer->at == lexer->length || text[lexer->at] != ':') return false;
  lexer->at++;
  while (lexer->at < lexer->length &&
         (text[lexer->at] == ' ' || text[lexer->at] == '>'))
    lexer->at++;
  if (lexer->at == lexer->length || text[lexer->at] != '{') return false;
  lexer->at++;
  lexer->bundle.number = number;
  return true;
}

static void clear(base_text *list) { list->length = 0; }

pfl_status listing_next(listing_lexer *lexer, bool *out_found,
                        pfl_error *error) {
  listing_bundle *bundle = &lexer->bundle;
  clear(&bundle->body);
  clear(&bundle->starts);
  clear(&bundle->places);
  bundle->last = *out_found = false;
  while (lexer->at < lexer->length && !*out_found) {
    *out_found = read_head(lexer);
    if (*out_found) PFL_TRY(read_body(lexer, error));
    if (*out_found) PFL_TRY(read_tail(lexer, error));
    const char *end =
        memchr(lexer->text + lexer->at, '\n', lexer->length - lexer->at);
    lexer->at = end ? (size_t)(end + 1 - lexer->text) : lexer->length;
    lexer->line++;
  }
  PFL_TRY(base_text_check(&bundle->body, error));
  PFL_TRY(base_text_check(&bundle->places, error));
  return base_text_check(&bundle->starts, error);
}

void listing_lexer_release(listing_lexer *lexer) {
  base_text_release(&lexer->bundle.body);
  base_text_release(&lexer->bundle.starts);
  base_text_release(&lexer->bundle.places);
}

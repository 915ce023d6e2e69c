/* Reading types and attributes. */
#include <stdlib.h>
#include <string.h>

#include "mosaic/ir_lexer.h"

static pfl_status enter(mo_lexer *lexer) {
  if (++lexer->depth > MO_DEPTH_MAX) return mo_expected(lexer, "less nesting");
  return PFL_STATUS_OK;
}

/* ---- Types -------------------------------------------------------------- */

/* 8x?x128x before an element. False: not a shape that this library has. */
static bool read_shape(mo_lexer *lexer, int64_t *shape, int *out_rank) {
  *out_rank = 0;
  for (;;) {
    char c = mo_peek(lexer);
    int64_t size = MO_DYNAMIC;
    if (c == '?')
      lexer->at++;
    else if (c < '0' || c > '9')
      return true;
    else if (mo_read_integer(lexer, &size))
      return false;
    if (*out_rank == MO_RANK_MAX || lexer->at == lexer->length ||
        lexer->text[lexer->at] != 'x')
      return false;
    lexer->at++;
    shape[(*out_rank)++] = size;
  }
}

static mo_element take_element(mo_lexer *lexer) {
  bool dialect = mo_peek(lexer) == '!';
  size_t start = lexer->at, mark = start + dialect;
  lexer->at = mark;
  size_t length = mo_word_length(lexer);
  mo_element element =
      mo_element_find(lexer->text + start, mark - start + length);
  lexer->at = element ? mark + length : start;
  return element;
}

/* What follows a memref's element: a layout, a space, both or neither. */
static bool read_memref_rest(mo_lexer *lexer, const char **layout,
                             size_t *layout_length, mo_space *space) {
  static const char prefix[] = "#tpu.memory_space<";
  while (mo_take(lexer, ",")) {
    const char *text;
    size_t length, skip = sizeof prefix - 1;
    if (*space || mo_read_balanced(lexer, "a layout", &text, &length))
      return false;
    if (length > skip && !strncmp(text, prefix, skip))
      *space = mo_space_find(text + skip, length - skip - 1);
    else if (!*layout)
      *layout = text, *layout_length = length;
    else
      return false;
  }
  return true;
}

/* A shaped type of this library's kinds; NULL, with the lexer back where it
 * was, for any other. */
static const mo_type *read_shaped(mo_lexer *lexer) {
  size_t start = lexer->at;
  pfl_error *error = lexer->error;
  lexer->error = NULL; /* whatever is wrong, the type may still be opaque */
  bool vector = mo_take(lexer, "vector<");
  bool memref = !vector && mo_take(lexer, "memref<");
  int64_t shape[MO_RANK_MAX];
  int rank;
  const char *layout = NULL;
  size_t layout_length = 0;
  mo_space space = MO_NO_SPACE;
  mo_element element = MO_NO_ELEMENT;
  const mo_type *type = NULL;
  if ((vector || memref) && read_shape(lexer, shape, &rank))
    element = take_element(lexer);
  for (int i = 0; element && vector && i < rank; i++)
    if (shape[i] < 1) element = MO_NO_ELEMENT; /* MLIR has no such vectors */
  if (element &&
      (vector || read_memref_rest(lexer, &layout, &layout_length, &space)) &&
      mo_take(lexer, ">")) {
    char *copy =
        layout ? mo_arena_copy(&lexer->module->arena, layout, layout_length)
               : NULL;
    type = vector ? mo_type_vector(lexer->module, element, rank, shape)
                  : mo_type_memref(lexer->module, element, rank, shape, space,
                                   copy);
  }
  lexer->error = error;
  if (!type) lexer->at = start;
  return type;
}

/* Types separated by commas until `end`, onto `list`, which grows. */
typedef struct type_list {
  const mo_type **types;
  int count, room;
} type_list;

static pfl_status push_type(mo_lexer *lexer, type_list *list,
                            const mo_type *type) {
  if (list->count == list->room) {
    int room = 2 * list->room + 8;
    const mo_type **wider =
        mo_arena_array(&lexer->module->arena, (size_t)room, sizeof *wider);
    if (!wider) return mo_out_of_memory(lexer);
    for (int i = 0; i < list->count; i++) wider[i] = list->types[i];
    list->types = wider;
    list->room = room;
  }
  list->types[list->count++] = type;
  return PFL_STATUS_OK;
}

static pfl_status read_type_list(mo_lexer *lexer, type_list *list) {
  if (mo_take(lexer, ")")) return PFL_STATUS_OK;
  do {
    const mo_type *type;
    PFL_TRY(mo_read_type(lexer, &type));
    PFL_TRY(push_type(lexer, list, type));
  } while (mo_take(lexer, ","));
  return mo_need(lexer, ")");
}

pfl_status mo_read_function_type(mo_lexer *lexer, const mo_type **out) {
  type_list list = {0};
  PFL_TRY(enter(lexer));
  PFL_TRY(mo_need(lexer, "("));
  PFL_TRY(read_type_list(lexer, &list));
  int inputs = list.count;
  PFL_TRY(mo_need(lexer, "->"));
  if (mo_take(lexer, "(")) {
    PFL_TRY(read_type_list(lexer, &list));
  } else {
    const mo_type *type;
    PFL_TRY(mo_read_type(lexer, &type));
    PFL_TRY(push_type(lexer, &list, type));
  }
  lexer->depth--;
  *out =
      mo_type_function(lexer->module, inputs, list.count - inputs, list.types);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static pfl_status read_plain_type(mo_lexer *lexer, const mo_type **out) {
  mo_element element = take_element(lexer);
  const char *text;
  size_t length;
  *out = element ? mo_type_scalar(lexer->module, element) : read_shaped(lexer);
  if (*out) return PFL_STATUS_OK;
  if (lexer->module->arena.failed) return mo_out_of_memory(lexer);
  char first = mo_peek(lexer);
  if (first != '!' && !(first >= 'a' && first <= 'z'))
    return mo_expected(lexer, "a type");
  PFL_TRY(mo_read_balanced(lexer, "a type", &text, &length));
  *out = mo_type_opaque(lexer->module, text, length);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

pfl_status mo_read_type(mo_lexer *lexer, const mo_type **out) {
  if (mo_peek(lexer) == '(') return mo_read_function_type(lexer, out);
  return read_plain_type(lexer, out);
}

/* ---- Attributes --------------------------------------------------------- */

/* The extent of a number: digits, a fraction, an exponent; or 0x... */
static size_t number_length(const mo_lexer *lexer, bool *out_float) {
  const char *text = lexer->text + lexer->at;
  size_t left = lexer->length - lexer->at, n = 0;
  *out_float = false;
  if (n < left && text[n] == '-') n++;
  if (left - n > 2 && text[n] == '0' && text[n + 1] == 'x') {
    *out_float = true;
    for (n += 2;
         n < left && strchr("0123456789abcdefABCDEF", text[n]) && text[n];)
      n++;
    return n;
  }
  while (n < left && text[n] >= '0' && text[n] <= '9') n++;
  if (n == left || text[n] != '.') return n;
  *out_float = true;
  n++;
  while (n < left && text[n] >= '0' && text[n] <= '9') n++;
  if (left - n < 2 || (text[n] != 'e' && text[n] != 'E')) return n;
  size_t e = n + 1 + (text[n + 1] == '-' || text[n + 1] == '+');
  if (e == left || text[e] < '0' || text[e] > '9') return n;
  while (e < left && text[e] >= '0' && text[e] <= '9') e++;
  return e;
}

/* A literal that is yet without its type. */
typedef struct literal {
  bool fraction, boolean;
  int64_t integer; /* or the bits of 0x..., or a boolean */
  double number;
  size_t at, length;
} literal;

static pfl_status read_literal(mo_lexer *lexer, literal *out) {
  *out = (literal){0};
  if (mo_take_word(lexer, "true") || mo_take_word(lexer, "false")) {
    out->boolean = true;
    out->integer = lexer->text[lexer->at - 2] == 'u';
    return PFL_STATUS_OK;
  }
  mo_skip_space(lexer);
  out->at = lexer->at;
  out->length = number_length(lexer, &out->fraction);
  if (!out->fraction) return mo_read_integer(lexer, &out->integer);
  char digits[128];
  if (out->length >= sizeof digits)
    return mo_wrong(lexer, out->at, "too long a number", lexer->text + out->at,
                    out->length);
  memcpy(digits, lexer->text + out->at, out->length);
  digits[out->length] = 0;
  bool hex = out->length > 1 && digits[1] == 'x';
  if (hex && out->length > 18)
    return mo_wrong(lexer, out->at, "needs more than 64 bits", digits,
                    out->length);
  if (hex)
    out->integer = (int64_t)strtoull(digits + 2, NULL, 16);
  else
    out->number = base_double_from(digits, NULL);
  out->fraction = !hex;
  lexer->at += out->length;
  return PFL_STATUS_OK;
}

/* Whether an integer of that type can have the value, signed or not. */
static bool fits(int64_t value, mo_element element) {
  int bits = mo_element_bits(element);
  return bits >= 64 ||
         (value >= -((int64_t)1 << (bits - 1)) && value < (int64_t)1 << bits);
}

/* The attribute of a literal whose type is the scalar `type`. */
static pfl_status type_literal(mo_lexer *lexer, const literal *l,
                               const mo_type *type, const mo_attr **out) {
  const char *spelled = lexer->text + l->at;
  mo_family family = type->kind == MO_TYPE_SCALAR
                         ? mo_element_family(type->element)
                         : MO_FAMILY_NONE;
  bool hex = l->length > 2 && spelled[1] == 'x';
  if (l->boolean) {
    *out = mo_attr_simple(lexer->module, MO_ATTR_BOOL, l->integer, NULL);
  } else if (family == MO_FAMILY_FLOAT && l->fraction) {
    *out = mo_attr_float(lexer->module, type->element, l->number);
  } else if (family == MO_FAMILY_FLOAT && hex) {
    int bits = mo_element_bits(type->element);
    if (bits < 64 && (uint64_t)l->integer >> bits)
      return mo_wrong(lexer, l->at, "needs more bits than its type has",
                      spelled, l->length);
    *out = mo_attr_simple(lexer->module, MO_ATTR_FLOAT, l->integer, type);
  } else if (family == MO_FAMILY_INTEGER && !l->fraction) {
    if (!fits(l->integer, type->element))
      return mo_wrong(lexer, l->at, "needs more bits than its type has",
                      spelled, l->length);
    *out =
        type->element == MO_I1
            ? mo_attr_simple(lexer->module, MO_ATTR_BOOL, l->integer & 1, NULL)
            : mo_attr_simple(lexer->module, MO_ATTR_INTEGER, l->integer, type);
  } else {
    return mo_wrong(lexer, l->at, "is not of the type that follows it", spelled,
                    l->length);
  }
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static pfl_status read_number(mo_lexer *lexer, const mo_attr **out) {
  literal l;
  PFL_TRY(read_literal(lexer, &l));
  const mo_type *type =
      mo_type_scalar(lexer->module, l.fraction ? MO_F64 : MO_I64);
  if (!type) return mo_out_of_memory(lexer);
  if (!l.boolean && mo_take(lexer, ":")) PFL_TRY(mo_read_type(lexer, &type));
  return type_literal(lexer, &l, type, out);
}

/* Anything else, as it stands, with the type that follows it if one does. */
static pfl_status read_text(mo_lexer *lexer, const mo_attr **out) {
  const char *text;
  size_t length;
  PFL_TRY(mo_read_balanced(lexer, "an attribute", &text, &length));
  size_t end = lexer->at;
  if (mo_take(lexer, ":")) {
    const mo_type *type;
    PFL_TRY(mo_read_type(lexer, &type));
    end = lexer->at;
  }
  lexer->at = end;
  length = (size_t)(lexer->text + end - text);
  *out = mo_attr_text(lexer->module, MO_ATTR_TEXT, text, length);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

/* dense<literal> : shaped type; any other dense is kept as text. */
static pfl_status read_dense(mo_lexer *lexer, const mo_attr **out) {
  size_t start = lexer->at;
  int depth = lexer->depth;
  pfl_error *error = lexer->error;
  literal l;
  const mo_type *type = NULL;
  lexer->error = NULL;
  if (mo_take(lexer, "dense<") && !read_literal(lexer, &l) &&
      mo_take(lexer, ">") && mo_take(lexer, ":") &&
      !mo_read_type(lexer, &type) && type->kind == MO_TYPE_VECTOR) {
    lexer->error = error;
    const mo_type *element = mo_type_scalar(lexer->module, type->element);
    const mo_attr *item;
    if (!element) return mo_out_of_memory(lexer);
    PFL_TRY(type_literal(lexer, &l, element, &item));
    *out = mo_attr_items(lexer->module, MO_ATTR_SPLAT, 1, &item, type);
    return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
  }
  lexer->error = error;
  lexer->at = start;
  lexer->depth = depth;
  return read_text(lexer, out);
}

/* array<i32: 1, 2>; of other elements kept as text. */
static pfl_status read_numbers(mo_lexer *lexer, const mo_attr **out) {
  size_t start = lexer->at;
  int64_t few[32], *numbers = few;
  int count = 0, room = 32;
  mo_take(lexer, "array<");
  mo_element element = take_element(lexer);
  if (mo_element_family(element) != MO_FAMILY_INTEGER || element == MO_I1) {
    lexer->at = start;
    return read_text(lexer, out);
  }
  if (mo_take(lexer, ":")) do {
      if (count == room) {
        int64_t *wider = mo_arena_array(&lexer->module->arena, 2 * (size_t)room,
                                        sizeof *wider);
        if (!wider) return mo_out_of_memory(lexer);
        memcpy(wider, numbers, sizeof *wider * (size_t)count);
        numbers = wider;
        room *= 2;
      }
      PFL_TRY(mo_read_integer(lexer, &numbers[count]));
      if (!fits(numbers[count++], element))
        return mo_expected(lexer, "numbers of the width that was said");
    } while (mo_take(lexer, ","));
  PFL_TRY(mo_need(lexer, ">"));
  *out = mo_attr_numbers(lexer->module, element, count, numbers);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static pfl_status read_array(mo_lexer *lexer, const mo_attr **out) {
  const mo_attr *few[16], **items = few;
  int count = 0, room = 16;
  PFL_TRY(mo_need(lexer, "["));
  if (!mo_take(lexer, "]")) {
    do {
      if (count == room) {
        const mo_attr **wider = mo_arena_array(&lexer->module->arena,
                                               2 * (size_t)room, sizeof *wider);
        if (!wider) return mo_out_of_memory(lexer);
        memcpy(wider, items, sizeof *wider * (size_t)count);
        items = wider;
        room *= 2;
      }
      PFL_TRY(mo_read_attr(lexer, &items[count++]));
    } while (mo_take(lexer, ","));
    PFL_TRY(mo_need(lexer, "]"));
  }
  *out = mo_attr_items(lexer->module, MO_ATTR_ARRAY, count, items, NULL);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static pfl_status read_key(mo_lexer *lexer, const char **out,
                           size_t *out_length) {
  if (mo_peek(lexer) == '"') return mo_read_string(lexer, out, out_length);
  *out_length = mo_word_length(lexer);
  if (!*out_length) return mo_expected(lexer, "an attribute's name");
  *out = lexer->text + lexer->at;
  lexer->at += *out_length;
  return PFL_STATUS_OK;
}

pfl_status mo_read_attrs(mo_lexer *lexer, mo_op *into) {
  PFL_TRY(enter(lexer));
  PFL_TRY(mo_need(lexer, "{"));
  bool more = !mo_take(lexer, "}");
  while (more) {
    const char *key;
    size_t length, at = lexer->at;
    const mo_attr *attr;
    PFL_TRY(read_key(lexer, &key, &length));
    char *name = mo_arena_copy(&lexer->module->arena, key, length);
    if (!name) return mo_out_of_memory(lexer);
    if (mo_op_get(into, name))
      return mo_wrong(lexer, at, "is there twice", name, length);
    if (mo_take(lexer, "="))
      PFL_TRY(mo_read_attr(lexer, &attr));
    else
      attr = mo_attr_simple(lexer->module, MO_ATTR_UNIT, 0, NULL);
    mo_op_set(lexer->module, into, name, attr);
    if (lexer->module->arena.failed) return mo_out_of_memory(lexer);
    more = mo_take(lexer, ",");
    if (!more) PFL_TRY(mo_need(lexer, "}"));
  }
  lexer->depth--;
  return PFL_STATUS_OK;
}

static pfl_status read_dict(mo_lexer *lexer, const mo_attr **out) {
  mo_op holder = {0};
  PFL_TRY(mo_read_attrs(lexer, &holder));
  *out = mo_attr_dict(lexer->module, holder.attr_count, holder.attrs);
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static bool begins(const mo_lexer *lexer, const char *string) {
  size_t length = strlen(string);
  return lexer->length - lexer->at >= length &&
         !memcmp(lexer->text + lexer->at, string, length);
}

static pfl_status read_word_or_type(mo_lexer *lexer, const mo_attr **out) {
  static const char *const texts[] = {
      "affine_map<", "affine_set<", "dense_resource<", "sparse<",
      "loc(",        "strided<",    "opaque<",         "distinct["};
  if (begins(lexer, "dense<")) return read_dense(lexer, out);
  if (begins(lexer, "array<")) return read_numbers(lexer, out);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (begins(lexer, texts[i])) return read_text(lexer, out);
  if (mo_take_word(lexer, "unit")) {
    *out = mo_attr_simple(lexer->module, MO_ATTR_UNIT, 0, NULL);
  } else {
    const mo_type *type;
    PFL_TRY(mo_read_type(lexer, &type));
    *out = mo_attr_simple(lexer->module, MO_ATTR_TYPE, 0, type);
  }
  return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
}

static pfl_status read_one(mo_lexer *lexer, const mo_attr **out) {
  const char *text;
  char first = mo_peek(lexer);
  size_t length, at = lexer->at;
  switch (first) {
    case '[': return read_array(lexer, out);
    case '{': return read_dict(lexer, out);
    case '#': return read_text(lexer, out);
    case '"':
      PFL_TRY(mo_read_string(lexer, &text, &length));
      *out = mo_attr_text(lexer->module, MO_ATTR_STRING, text, length);
      return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
    case '@':
      lexer->at++;
      length = mo_word_length(lexer);
      if (!length && mo_peek(lexer) != '"')
        return mo_expected(lexer, "a symbol's name");
      if (!length) {
        lexer->at = at; /* @"any bytes" stays as it is */
        return read_text(lexer, out);
      }
      *out = mo_attr_text(lexer->module, MO_ATTR_SYMBOL,
                          lexer->text + lexer->at, length);
      lexer->at += length;
      return *out ? PFL_STATUS_OK : mo_out_of_memory(lexer);
    default:
      if (first == '-' || (first >= '0' && first <= '9') ||
          begins(lexer, "true") || begins(lexer, "false"))
        return read_number(lexer, out);
      return read_word_or_type(lexer, out);
  }
}

pfl_status mo_read_attr(mo_lexer *lexer, const mo_attr **out) {
  PFL_TRY(enter(lexer));
  PFL_TRY(read_one(lexer, out));
  lexer->depth--;
  return PFL_STATUS_OK;
}

/* Attributes: making them and reading them. */
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "mosaic/ir.h"

const mo_attr *mo_attr_simple(mo_module *module, mo_attr_kind kind,
                              int64_t integer, const mo_type *type) {
  mo_attr *attr = mo_arena_take(&module->arena, sizeof *attr);
  if (attr) *attr = (mo_attr){.kind = kind, .integer = integer, .type = type};
  return attr;
}

const mo_attr *mo_attr_text(mo_module *module, mo_attr_kind kind,
                            const char *text, size_t length) {
  mo_attr *attr = mo_arena_take(&module->arena, sizeof *attr);
  if (!attr) return NULL;
  attr->kind = kind;
  attr->text = mo_arena_copy(&module->arena, text, length);
  return attr->text ? attr : NULL;
}

const mo_attr *mo_attr_numbers(mo_module *module, mo_element element, int count,
                               const int64_t *numbers) {
  mo_attr *attr = mo_arena_take(&module->arena, sizeof *attr);
  int64_t *copy = mo_arena_array(&module->arena, (size_t)count, sizeof *copy);
  const mo_type *type = mo_type_scalar(module, element);
  if (!attr || !copy || !type) return NULL;
  for (int i = 0; i < count; i++) copy[i] = numbers[i];
  attr->kind = MO_ATTR_NUMBERS;
  attr->count = count;
  attr->type = type;
  attr->numbers = copy;
  return attr;
}

const mo_attr *mo_attr_items(mo_module *module, mo_attr_kind kind, int count,
                             const mo_attr *const *items, const mo_type *type) {
  mo_attr *attr = mo_arena_take(&module->arena, sizeof *attr);
  const mo_attr **copy =
      mo_arena_array(&module->arena, (size_t)count, sizeof *copy);
  if (!attr || !copy) return NULL;
  for (int i = 0; i < count; i++) copy[i] = items[i];
  attr->kind = kind;
  attr->count = count;
  attr->type = type;
  attr->items = copy;
  return attr;
}

const mo_attr *mo_attr_dict(mo_module *module, int count,
                            const mo_named_attr *attrs) {
  mo_op sorted = {0}; /* sorts its attributes */
  for (int i = 0; i < count; i++)
    mo_op_set(module, &sorted, attrs[i].name, attrs[i].attr);
  mo_attr *attr = mo_arena_take(&module->arena, sizeof *attr);
  size_t room = (size_t)sorted.attr_count;
  const mo_attr **items = mo_arena_array(&module->arena, room, sizeof *items);
  const char **names = mo_arena_array(&module->arena, room, sizeof *names);
  if (module->arena.failed) return NULL;
  for (int i = 0; i < sorted.attr_count; i++) {
    names[i] = sorted.attrs[i].name;
    items[i] = sorted.attrs[i].attr;
  }
  attr->kind = MO_ATTR_DICT;
  attr->count = sorted.attr_count;
  attr->items = items;
  attr->names = names;
  return attr;
}

const mo_attr *mo_attr_integer(mo_module *module, mo_element element,
                               int64_t integer) {
  const mo_type *type = mo_type_scalar(module, element);
  return type ? mo_attr_simple(module, MO_ATTR_INTEGER, integer, type) : NULL;
}

const mo_attr *mo_attr_float(mo_module *module, mo_element element,
                             double number) {
  const mo_type *type = mo_type_scalar(module, element);
  int64_t bits = (int64_t)mo_float_bits(element, number);
  return type ? mo_attr_simple(module, MO_ATTR_FLOAT, bits, type) : NULL;
}

const char *mo_attr_word(const mo_attr *attr, const char *prefix,
                         int *out_length) {
  size_t length = strlen(prefix);
  if (!attr || attr->kind != MO_ATTR_TEXT || attr->text[0] != '#' ||
      strncmp(attr->text + 1, prefix, length) || attr->text[1 + length] != '<')
    return NULL;
  const char *word = attr->text + length + 2, *end = strrchr(word, '>');
  if (!end) return NULL;
  *out_length = (int)(end - word);
  return word;
}

/* ---- Floats --------------------------------------------------------------
 * An 8-bit float of `mantissa` bits and `bias`, whose largest finite number is
 * `top`; e4m3fn has no infinity. */
typedef struct small_float {
  int mantissa, bias;
  double top;
  int infinity; /* the bits, or -1 */
} small_float;

static small_float small_float_of(mo_element element) {
  return element == MO_F8E5M2 ? (small_float){2, 15, 57344, 0x7c}
                              : (small_float){3, 7, 448, -1};
}

static double small_value(small_float format, unsigned bits) {
  int exponent = (int)(bits & 0x7f) >> format.mantissa;
  int fraction = (int)bits & ((1 << format.mantissa) - 1);
  double sign = bits & 0x80 ? -1 : 1;
  if ((int)(bits & 0x7f) == format.infinity) return sign * INFINITY;
  double value = exponent ? ldexp(1 + ldexp(fraction, -format.mantissa),
                                  exponent - format.bias)
                          : ldexp(fraction, 1 - format.bias - format.mantissa);
  return value > format.top ? NAN : sign * value;
}

/* The nearest of all 128, ties to the even one. */
static unsigned small_bits(small_float format, double number) {
  unsigned sign = signbit(number) ? 0x80 : 0, best = 0;
  if (isnan(number)) return sign | 0x7f;
  double magnitude = fabs(number), least = INFINITY;
  if (isinf(magnitude))
    return sign | (format.infinity < 0 ? 0x7fu : (unsigned)format.infinity);
  for (unsigned bits = 0; bits < 0x80; bits++) {
    double away = fabs(small_value(format, bits) - magnitude);
    if (away < least || (away == least && !(bits & 1))) {
      least = away;
      best = bits;
    }
  }
  return sign | best;
}

uint64_t mo_float_bits(mo_element element, double number) {
  uint64_t bits;
  switch (element) {
    case MO_F32: return base_f32_bits((float)number);
    case MO_BF16: return base_f32_to_bf16((float)number);
    case MO_F16: return base_f32_to_f16((float)number);
    case MO_F8E4M3FN:
    case MO_F8E5M2: return small_bits(small_float_of(element), number);
    default: memcpy(&bits, &number, sizeof bits); return bits;
  }
}

double mo_float_value(mo_element element, uint64_t bits) {
  double number;
  switch (element) {
    case MO_F32: return base_f32_from_bits((uint32_t)bits);
    case MO_BF16: return base_bf16_to_f32((uint16_t)bits);
    case MO_F16: return base_f16_to_f32((uint16_t)bits);
    case MO_F8E4M3FN:
    case MO_F8E5M2: return small_value(small_float_of(element), (unsigned)bits);
    default: memcpy(&number, &bits, sizeof number); return number;
  }
}

/* ---- Dimension numbers ---------------------------------------------------
 * <[lhs contract], [rhs contract], [lhs keep], [rhs keep], [output: pairs],
 *  [lhs batch], [rhs batch]> */
bool mo_attr_dot(const mo_attr *attr, mo_dot *out_dot) {
  int length;
  const char *at = mo_attr_word(attr, "tpu.dot_dimension_numbers", &length);
  if (!at) return false;
  *out_dot = (mo_dot){0};
  int *const lists[] = {out_dot->lhs_contract, out_dot->rhs_contract,
                        out_dot->lhs_keep,     out_dot->rhs_keep,
                        out_dot->output,       out_dot->lhs_batch,
                        out_dot->rhs_batch};
  for (int i = 0; i < 7; i++) {
    int room = i == 4 ? 2 * MO_RANK_MAX : MO_RANK_MAX;
    at += strspn(at, ", ");
    if (*at++ != '[') return false;
    while (at += strspn(at, ", "), *at != ']') {
      if (*at < '0' || *at > '9' || (at[1] >= '0' && at[1] <= '9') ||
          out_dot->counts[i] == room)
        return false;
      lists[i][out_dot->counts[i]++] = *at++ - '0';
    }
    at++;
  }
  return *at == '>';
}

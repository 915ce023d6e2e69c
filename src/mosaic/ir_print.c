/* The printer: MLIR's generic form, byte for byte as MLIR's own printer writes
 * modules of ops it does not know, numbering included. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mosaic/ir.h"

typedef struct printer {
  mo_module *module;
  const mo_print_options *options;
  base_text *text;
  int *names;           /* of results and arguments, by id of the value */
  mo_named_attr *attrs; /* room for those of any op */
  int version;
  pfl_error *error;
} printer;

static void add(printer *p, const char *string) {
  base_text_add_string(p->text, string);
}

static void add_int(printer *p, int64_t number) {
  char digits[24], *at = digits + sizeof digits;
  uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do *--at = (char)('0' + left % 10);
  while (left /= 10);
  if (number < 0) *--at = '-';
  base_text_add(p->text, at, (size_t)(digits + sizeof digits - at));
}

/* ---- Numbers, as LLVM spells them --------------------------------------- */

typedef struct decimal {
  char digits[48];     /* without trailing zeros */
  int count, exponent; /* of the first digit */
} decimal;

/* `precision` significant digits, halves away from zero. The digits come from
 * printf and are rounded here: which separator it writes does not matter. */
static decimal round_decimal(double magnitude, int precision) {
  char text[64];
  snprintf(text, sizeof text, "%.40e", magnitude);
  decimal number = {.exponent = atoi(strchr(text, 'e') + 1)};
  char all[48];
  int count = 0;
  for (const char *c = text; *c != 'e'; c++)
    if (*c >= '0' && *c <= '9') all[count++] = *c;
  bool up = all[precision] >= '5';
  memcpy(number.digits, all, (size_t)precision);
  int last = precision - 1;
  while (up && last >= 0 && number.digits[last] == '9')
    number.digits[last--] = '0';
  if (up && last >= 0) number.digits[last]++;
  if (up && last < 0) {
    number.digits[0] = '1';
    number.exponent++;
  }
  number.count = precision;
  while (number.count > 1 && number.digits[number.count - 1] == '0')
    number.count--;
  return number;
}

static void spell_scientific(const decimal *number, int zeros, const char *e,
                             char *out) {
  int used = sprintf(out, "%c.", number->digits[0]);
  for (int i = 1; i < number->count; i++) out[used++] = number->digits[i];
  if (number->count == 1 && !zeros) out[used++] = '0';
  for (int i = number->count; i <= zeros; i++) out[used++] = '0';
  sprintf(out + used, zeros ? "%s%c%02d" : "%s%c%d", e,
          number->exponent < 0 ? '-' : '+', abs(number->exponent));
}

/* LLVM's APFloat::toString with its defaults: plain up to three zeros. */
static void spell_shortest(const decimal *number, int precision, char *out) {
  int below = number->exponent - (number->count - 1);
  bool scientific = below >= 0 ? below > 3 || number->count + below > precision
                               : number->exponent < -3;
  if (scientific) {
    spell_scientific(number, 0, "E", out);
    return;
  }
  int used = 0;
  for (int i = number->exponent; i < 0; i++) {
    out[used++] = '0';
    if (i == number->exponent) out[used++] = '.';
  }
  for (int i = 0; i < number->count; i++) {
    out[used++] = number->digits[i];
    if (i == number->exponent && i + 1 < number->count) out[used++] = '.';
  }
  for (int i = 0; i < below; i++) out[used++] = '0';
  out[used] = 0;
}

static void add_float(printer *p, mo_element element, uint64_t bits) {
  static const int digits[] = {
      [MO_F8E4M3FN] = 3, [MO_F8E5M2] = 2, [MO_F16] = 5,
      [MO_BF16] = 4,     [MO_F32] = 9,    [MO_F64] = 17};
  double value = mo_float_value(element, bits);
  char text[96];
  if (isfinite(value)) {
    const char *sign = signbit(value) ? "-" : "";
    decimal number = round_decimal(fabs(value), 6);
    spell_scientific(&number, 6, "e", text);
    double back = base_double_from(text, NULL);
    if (mo_float_bits(element, back) == mo_float_bits(element, fabs(value))) {
      add(p, sign);
      add(p, text);
      return;
    }
    number = round_decimal(fabs(value), digits[element]);
    spell_shortest(&number, digits[element], text);
    if (strchr(text, '.')) {
      add(p, sign);
      add(p, text);
      return;
    }
  }
  base_text_format(p->text, "0x%llX", (unsigned long long)bits);
}

/* ---- Attributes --------------------------------------------------------- */

static void print_attr(printer *p, const mo_attr *attr, bool elide);

static void print_key(printer *p, const char *name) {
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$.";
  bool bare = name[0] && !strchr("0123456789$.", name[0]) &&
              name[strspn(name, letters)] == 0;
  if (!bare) add(p, "\"");
  add(p, name);
  if (!bare) add(p, "\"");
}

static void print_dict(printer *p, int count, const mo_named_attr *attrs) {
  add(p, "{");
  for (int i = 0; i < count; i++) {
    if (i) add(p, ", ");
    print_key(p, attrs[i].name);
    if (attrs[i].attr->kind == MO_ATTR_UNIT) continue;
    add(p, " = ");
    print_attr(p, attrs[i].attr, false);
  }
  add(p, "}");
}

static void print_number(printer *p, const mo_attr *attr) {
  if (attr->kind == MO_ATTR_BOOL)
    add(p, attr->integer ? "true" : "false");
  else if (attr->kind == MO_ATTR_FLOAT)
    add_float(p, attr->type->element, (uint64_t)attr->integer);
  else
    add_int(p, attr->integer);
}

/* `elide`: in a list, where i64 and f64 go without saying. */
static void print_attr(printer *p, const mo_attr *attr, bool elide) {
  switch (attr->kind) {
    case MO_ATTR_UNIT: add(p, "unit"); break;
    case MO_ATTR_BOOL: print_number(p, attr); break;
    case MO_ATTR_INTEGER:
    case MO_ATTR_FLOAT:
      print_number(p, attr);
      if (elide &&
          (attr->type->element == MO_I64 || attr->type->element == MO_F64))
        break;
      add(p, " : ");
      add(p, attr->type->text);
      break;
    case MO_ATTR_STRING:
      add(p, "\"");
      add(p, attr->text);
      add(p, "\"");
      break;
    case MO_ATTR_SYMBOL:
      add(p, "@");
      add(p, attr->text);
      break;
    case MO_ATTR_TYPE: add(p, attr->type->text); break;
    case MO_ATTR_ARRAY:
      add(p, "[");
      for (int i = 0; i < attr->count; i++) {
        if (i) add(p, ", ");
        print_attr(p, attr->items[i], true);
      }
      add(p, "]");
      break;
    case MO_ATTR_DICT:
      add(p, "{");
      for (int i = 0; i < attr->count; i++) {
        if (i) add(p, ", ");
        print_key(p, attr->names[i]);
        if (attr->items[i]->kind == MO_ATTR_UNIT) continue;
        add(p, " = ");
        print_attr(p, attr->items[i], false);
      }
      add(p, "}");
      break;
    case MO_ATTR_NUMBERS:
      add(p, "array<");
      add(p, attr->type->text);
      for (int i = 0; i < attr->count; i++) {
        add(p, i ? ", " : ": ");
        add_int(p, attr->numbers[i]);
      }
      add(p, ">");
      break;
    case MO_ATTR_SPLAT:
      add(p, "dense<");
      print_number(p, attr->items[0]);
      add(p, "> : ");
      add(p, attr->type->text);
      break;
    case MO_ATTR_TEXT: add(p, attr->text); break;
  }
}

/* ---- Ops ---------------------------------------------------------------- */

static void print_types(printer *p, mo_value *const *values, int count) {
  for (int i = 0; i < count; i++) {
    if (i) add(p, ", ");
    add(p, values[i]->type->text);
  }
}

static void print_use(printer *p, const mo_value *value) {
  add(p, value->region ? "%arg" : "%");
  add_int(p, p->names[value->id]);
  if (value->op && value->op->result_count > 1) {
    add(p, "#");
    add_int(p, value->index);
  }
}

static void indent(printer *p, int depth) {
  for (int i = 0; i < depth; i++) add(p, "  ");
}

static void print_location(printer *p, const mo_op *op) {
  if (!p->options->locations || !op->file) return;
  add(p, " loc(\"");
  for (const char *c = op->file; *c; c++) {
    if (*c == '"' || *c == '\\') add(p, "\\");
    base_text_add(p->text, c, 1);
  }
  base_text_format(p->text, "\":%d:0)", op->line);
}

static pfl_status print_region(printer *p, const mo_region *region, int depth);

static pfl_status print_op(printer *p, const mo_op *op, int depth) {
  indent(p, depth);
  if (op->result_count) {
    add(p, "%");
    add_int(p, p->names[op->results[0]->id]);
    if (op->result_count > 1)
      base_text_format(p->text, ":%d", op->result_count);
    add(p, " = ");
  }
  add(p, p->options->plain ? "\"" : "\"stable_mosaic.");
  add(p, op->name);
  add(p, "\"(");
  for (int i = 0; i < op->operand_count; i++) {
    if (i) add(p, ", ");
    print_use(p, op->operands[i]);
  }
  add(p, ")");
  for (int i = 0; i < op->region_count; i++) {
    add(p, i ? ", {\n" : " ({\n");
    PFL_TRY(print_region(p, op->regions[i], depth));
    indent(p, depth);
    add(p, "}");
  }
  if (op->region_count) add(p, ")");
  int count = mo_version_attrs(p->module, op, p->version, p->attrs);
  if (count < 0 && p->module->arena.failed)
    PFL_RAISE(p->error, RESOURCE_EXHAUSTED, "no memory for the module's text");
  if (count < 0)
    PFL_RAISE(p->error, FAILED_PRECONDITION,
              "version %d of the serialized form cannot carry this %s",
              p->version, op->name);
  if (count) {
    add(p, " ");
    print_dict(p, count, p->attrs);
  }
  add(p, " : (");
  print_types(p, op->operands, op->operand_count);
  add(p, ") -> ");
  bool one =
      op->result_count == 1 && op->results[0]->type->kind != MO_TYPE_FUNCTION;
  if (!one) add(p, "(");
  print_types(p, op->results, op->result_count);
  if (!one) add(p, ")");
  print_location(p, op);
  add(p, "\n");
  return PFL_STATUS_OK;
}

static pfl_status print_region(printer *p, const mo_region *region, int depth) {
  if (region->argument_count) {
    indent(p, depth);
    add(p, "^bb0(");
    for (int i = 0; i < region->argument_count; i++) {
      if (i) add(p, ", ");
      print_use(p, region->arguments[i]);
      add(p, ": ");
      add(p, region->arguments[i]->type->text);
    }
    add(p, "):\n");
  }
  for (const mo_op *op = region->first; op; op = op->next)
    PFL_TRY(print_op(p, op, depth + 1));
  return PFL_STATUS_OK;
}

/* ---- Names ---------------------------------------------------------------
 * A region's arguments and results are numbered in order, then the regions of
 * its ops, the last of them first: MLIR keeps them on a stack. `stack` has room
 * for every region. Returns the largest number of attributes of an op. */
static int number_values(printer *p, const mo_region **stack) {
  int depth = 0, arguments = 0, results = 0, widest = p->module->attr_count;
  stack[depth++] = &p->module->body;
  while (depth) {
    const mo_region *region = stack[--depth];
    for (int i = 0; i < region->argument_count; i++)
      p->names[region->arguments[i]->id] = arguments++;
    for (const mo_op *op = region->first; op; op = op->next) {
      for (int i = 0; i < op->result_count; i++)
        p->names[op->results[i]->id] = results;
      results += op->result_count > 0;
      if (op->attr_count > widest) widest = op->attr_count;
      for (int i = 0; i < op->region_count; i++)
        stack[depth++] = op->regions[i];
    }
  }
  return widest;
}

static pfl_status print_module(printer *p) {
  mo_module *module = p->module;
  if (module->aliases) add(p, module->aliases);
  add(p, "\"builtin.module\"() ({\n");
  PFL_TRY(print_region(p, &module->body, 0));
  add(p, "})");
  int count = module->attr_count;
  for (int i = 0; i < count; i++) p->attrs[i] = module->attrs[i];
  if (!p->options->plain) {
    const mo_attr *version = mo_attr_integer(module, MO_I64, p->version);
    if (!version) return PFL_STATUS_OK; /* the caller sees that memory is out */
    int at = count++;
    for (; at && strcmp(p->attrs[at - 1].name, "stable_mosaic.version") > 0;
         at--)
      p->attrs[at] = p->attrs[at - 1];
    p->attrs[at] = (mo_named_attr){"stable_mosaic.version", version};
  }
  if (count) {
    add(p, " ");
    print_dict(p, count, p->attrs);
  }
  add(p, " : () -> ()\n");
  return PFL_STATUS_OK;
}

pfl_status mo_print(mo_module *module, const mo_print_options *options,
                    base_text *text, pfl_error *error) {
  const pfl_allocator *allocator = &module->arena.allocator;
  static const mo_print_options defaults;
  printer p = {.module = module,
               .options = options ? options : &defaults,
               .text = text,
               .error = error};
  p.version = p.options->plain ? MO_VERSION_NEWEST : mo_module_version(module);
  p.names = base_allocate(allocator,
                          sizeof *p.names * ((size_t)module->value_count + 1));
  const mo_region **stack = base_allocate(
      allocator, sizeof *stack * ((size_t)module->region_count + 1));
  pfl_status status = PFL_STATUS_OK;
  if (p.names && stack) {
    size_t widest = (size_t)number_values(&p, stack);
    p.attrs = base_allocate(allocator, sizeof *p.attrs * (widest + 2));
  }
  if (p.attrs) status = print_module(&p);
  if (!status && (!p.attrs || module->arena.failed))
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for the module's text");
  base_release(allocator, p.names);
  base_release(allocator, (void *)stack);
  base_release(allocator, p.attrs);
  return status ? status : base_text_check(text, error);
}

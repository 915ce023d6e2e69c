/* The verifier: what the table says of every op, and how values, regions and
 * functions hang together. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "mosaic/ir_rules.h"

const char *mo_rule_text(mo_rule rule) {
  static const char *const texts[] = {
#define MO_RULE_TEXT(name, text) text,
      MO_RULE_LIST(MO_RULE_TEXT)
#undef MO_RULE_TEXT
  };
  return texts[rule];
}

const char *mo_type_text(const mo_value *value) { return value->type->text; }

pfl_status mo_broken(const mo_check *check, mo_rule rule, const char *format,
                     ...) {
  char found[256], place[160] = "";
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(found, sizeof found, format, arguments);
  va_end(arguments);
  const mo_op *op = check->op;
  if (op && op->file) {
    const char *slash = strrchr(op->file, '/');
    snprintf(place, sizeof place, " at %s:%d", slash ? slash + 1 : op->file,
             op->line);
  }
  PFL_RAISE(check->error, INVALID_ARGUMENT, "%s%s: %s: %s",
            op ? op->name : "module", place, mo_rule_text(rule), found);
}

/* ---- Kinds of operands and results --------------------------------------- */

static bool word_is(const mo_word *word, const char *kind) {
  return strlen(kind) == (size_t)word->kind_length &&
         !strncmp(word->kind, kind, (size_t)word->kind_length);
}

static bool fits(const mo_word *word, const mo_type *type) {
  mo_family family = mo_element_family(type->element);
  bool scalar = type->kind == MO_TYPE_SCALAR;
  bool vector = type->kind == MO_TYPE_VECTOR;
  bool numbers = scalar || vector;
  if (word_is(word, "any")) return true;
  if (word_is(word, "vector")) return vector;
  if (word_is(word, "memref")) return type->kind == MO_TYPE_MEMREF;
  if (word_is(word, "index")) return scalar && type->element == MO_INDEX;
  if (word_is(word, "i32")) return scalar && type->element == MO_I32;
  if (word_is(word, "i1")) return scalar && type->element == MO_I1;
  if (word_is(word, "bool")) return numbers && type->element == MO_I1;
  if (word_is(word, "mask")) return vector && type->element == MO_I1;
  if (word_is(word, "int")) return numbers && family == MO_FAMILY_INTEGER;
  if (word_is(word, "float")) return numbers && family == MO_FAMILY_FLOAT;
  if (word_is(word, "number")) return numbers;
  if (type->kind != MO_TYPE_MEMREF || family != MO_FAMILY_SEMAPHORE)
    return false;
  return word_is(word, "anysem") ||
         (type->element ==
          (word_is(word, "sem") ? MO_SEMAPHORE : MO_DMA_SEMAPHORE));
}

static pfl_status check_value_type(const mo_check *check,
                                   const mo_value *value) {
  const mo_type *type = value->type;
  if (type->kind == MO_TYPE_OPAQUE || type->kind == MO_TYPE_FUNCTION)
    return mo_broken(check, MO_RULE_KNOWN_TYPE, "%s", type->text);
  if (type->kind == MO_TYPE_VECTOR && mo_element_bits(type->element) > 32 &&
      type->element != MO_INDEX)
    return mo_broken(check, MO_RULE_WIDTH, "%s", type->text);
  return PFL_STATUS_OK;
}

/* Groups of values against the words of a row: `sizes`, where there is one,
 * says how many belong to each, otherwise what is left belongs to the one that
 * varies. */
typedef struct groups {
  const char *words;
  mo_value *const *values;
  int count;
  const mo_attr *sizes;
  mo_rule count_rule, kind_rule;
} groups;

static pfl_status check_groups(const mo_check *check, const groups *g) {
  const char *at = g->words;
  mo_word word;
  int fixed = 0, words = 0, start = 0;
  for (; mo_word_next(&at, &word); words++) fixed += !word.mark;
  at = g->words;
  for (int i = 0; mo_word_next(&at, &word); i++) {
    int64_t count = g->sizes    ? g->sizes->numbers[i]
                    : word.mark ? g->count - fixed
                                : 1;
    if (count < 0 || count > g->count - start || (!word.mark && count != 1) ||
        (word.mark == '?' && count > 1))
      return mo_broken(check, g->sizes ? MO_RULE_SEGMENTS : g->count_rule,
                       "%lld for %.*s", (long long)count, word.name_length,
                       word.name);
    for (int64_t j = 0; j < count; j++) {
      const mo_value *value = g->values[start++];
      PFL_TRY(check_value_type(check, value));
      if (!fits(&word, value->type))
        return mo_broken(check, g->kind_rule, "%.*s is %s, not %.*s",
                         word.name_length, word.name, value->type->text,
                         word.kind_length, word.kind);
    }
  }
  if (start != g->count)
    return mo_broken(check, g->sizes ? MO_RULE_SEGMENTS : g->count_rule,
                     "%d, of which %d are accounted for", g->count, start);
  return PFL_STATUS_OK;
}

/* How many groups vary, out of how many. */
static int count_varying(const char *words, int *out_count) {
  mo_word word;
  int varying = 0;
  for (*out_count = 0; mo_word_next(&words, &word); ++*out_count)
    varying += word.mark != 0;
  return varying;
}

static pfl_status check_operands(const mo_check *check) {
  const mo_op *op = check->op;
  int count;
  const mo_attr *sizes = NULL;
  if (count_varying(op->info->operands, &count) > 1) {
    sizes = mo_op_get(op, "operandSegmentSizes");
    if (!sizes || sizes->kind != MO_ATTR_NUMBERS || sizes->count != count)
      return mo_broken(check, MO_RULE_SEGMENTS, "%s, for %d groups",
                       sizes ? "it is of another length" : "there is none",
                       count);
  }
  PFL_TRY(check_groups(
      check, &(groups){op->info->operands, op->operands, op->operand_count,
                       sizes, MO_RULE_OPERAND_COUNT, MO_RULE_OPERAND_KIND}));
  return check_groups(
      check, &(groups){op->info->results, op->results, op->result_count, NULL,
                       MO_RULE_RESULT_COUNT, MO_RULE_RESULT_KIND});
}

/* ---- Attributes -----------------------------------------------------------
 */

static bool attr_fits(const mo_word *word, const mo_attr *attr) {
  int length;
  mo_element element = attr->type ? attr->type->element : MO_NO_ELEMENT;
  char prefix[64];
  if (word->kind[0] == '#') {
    snprintf(prefix, sizeof prefix, "%.*s", word->kind_length - 1,
             word->kind + 1);
    return mo_attr_word(attr, prefix, &length) != NULL;
  }
  if (word_is(word, "unit")) return attr->kind == MO_ATTR_UNIT;
  if (word_is(word, "bool")) return attr->kind == MO_ATTR_BOOL;
  if (word_is(word, "string")) return attr->kind == MO_ATTR_STRING;
  if (word_is(word, "symbol")) return attr->kind == MO_ATTR_SYMBOL;
  if (word_is(word, "type")) return attr->kind == MO_ATTR_TYPE;
  if (word_is(word, "array")) return attr->kind == MO_ATTR_ARRAY;
  if (word_is(word, "value"))
    return attr->kind == MO_ATTR_BOOL || attr->kind == MO_ATTR_INTEGER ||
           attr->kind == MO_ATTR_FLOAT || attr->kind == MO_ATTR_SPLAT ||
           attr->kind == MO_ATTR_TEXT;
  if (word_is(word, "i32s"))
    return attr->kind == MO_ATTR_NUMBERS && element == MO_I32;
  if (word_is(word, "i64s"))
    return attr->kind == MO_ATTR_NUMBERS && element == MO_I64;
  if (word_is(word, "ints")) {
    if (attr->kind != MO_ATTR_ARRAY) return false;
    for (int i = 0; i < attr->count; i++)
      if (attr->items[i]->kind != MO_ATTR_INTEGER) return false;
    return true;
  }
  return attr->kind == MO_ATTR_INTEGER &&
         word_is(word, mo_element_name(element));
}

static pfl_status check_attributes(const mo_check *check) {
  const mo_op *op = check->op;
  const char *at = op->info->attributes;
  mo_word word;
  int known = 0, unused;
  while (mo_word_next(&at, &word)) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", word.name_length, word.name);
    const mo_attr *attr = mo_op_get(op, name);
    known += attr != NULL;
    if (!attr && !word.mark)
      return mo_broken(check, MO_RULE_ATTRIBUTE_MISSING, "%s is missing", name);
    if (attr && !attr_fits(&word, attr))
      return mo_broken(check, MO_RULE_ATTRIBUTE_KIND, "%s is not %.*s", name,
                       word.kind_length, word.kind);
  }
  known += count_varying(op->info->operands, &unused) > 1;
  for (int i = 0; known < op->attr_count && i < op->attr_count; i++) {
    const char *name = op->attrs[i].name;
    size_t length = strlen(name);
    bool found = !strcmp(name, "operandSegmentSizes") &&
                 count_varying(op->info->operands, &unused) > 1;
    for (at = op->info->attributes; mo_word_next(&at, &word);)
      found = found || ((size_t)word.name_length == length &&
                        !strncmp(word.name, name, length));
    if (!found) return mo_broken(check, MO_RULE_ATTRIBUTE_UNKNOWN, "%s", name);
  }
  return PFL_STATUS_OK;
}

/* ---- Regions ---------------------------------------------------------------
 */

static mo_op_id terminator_of(const mo_op *op, int region) {
  switch (op->info->id) {
    case MO_FUNC_FUNC: return MO_FUNC_RETURN;
    case MO_SCF_WHILE: return region ? MO_SCF_YIELD : MO_SCF_CONDITION;
    case MO_TPU_REGION:
    case MO_TPU_TRACE: return MO_TPU_YIELD;
    default: return MO_SCF_YIELD;
  }
}

static pfl_status check_ends(const mo_check *check) {
  const mo_op *op = check->op;
  for (int i = 0; i < op->region_count; i++) {
    const mo_op *last = op->regions[i]->last;
    mo_op_id wanted = terminator_of(op, i);
    bool may_be_empty =
        op->info->id == MO_SCF_IF && i == 1 && !op->result_count;
    if (!last && may_be_empty) continue;
    if (!last || last->info->id != wanted)
      return mo_broken(
          check, MO_RULE_TERMINATOR, "region %d ends with %s, not %s", i,
          last ? last->name : "nothing", mo_op_info_of(wanted)->name);
  }
  return PFL_STATUS_OK;
}

/* Values of one list against those of another, by type. */
static bool same_types(mo_value *const *a, int a_count, mo_value *const *b,
                       int b_count) {
  if (a_count != b_count) return false;
  for (int i = 0; i < a_count; i++)
    if (a[i]->type != b[i]->type) return false;
  return true;
}

static pfl_status need_same(const mo_check *check, mo_rule rule,
                            const char *what, mo_value *const *a, int a_count,
                            mo_value *const *b, int b_count) {
  if (same_types(a, a_count, b, b_count)) return PFL_STATUS_OK;
  return mo_broken(check, rule, "%s: %d against %d values, or other types",
                   what, a_count, b_count);
}

/* What goes into and comes out of the regions of control. */
static pfl_status check_flow(const mo_check *check) {
  const mo_op *op = check->op;
  mo_op_id id = op->info->id;
  for (int i = 0; i < op->region_count; i++) {
    const mo_region *region = op->regions[i];
    const mo_op *last = region->last;
    int skip = id == MO_SCF_FOR, first = id == MO_SCF_FOR ? 3 : 0;
    mo_value *const *in = op->operands + first;
    int in_count = op->operand_count - first;
    if (id == MO_SCF_WHILE && i == 1) {
      in = op->results;
      in_count = op->result_count;
    }
    if (id == MO_SCF_IF || id == MO_TPU_REGION || id == MO_TPU_TRACE)
      in_count = 0;
    if (region->argument_count < skip ||
        (skip && region->arguments[0]->type != op->operands[0]->type))
      return mo_broken(check, MO_RULE_BLOCK_ARGUMENTS, "no index");
    PFL_TRY(need_same(check, MO_RULE_BLOCK_ARGUMENTS, "arguments",
                      region->arguments + skip, region->argument_count - skip,
                      in, in_count));
    if (!last) continue;
    int begin = last->info->id == MO_SCF_CONDITION;
    bool again = id == MO_SCF_WHILE && i == 1;
    PFL_TRY(need_same(check, MO_RULE_YIELD, last->name, last->operands + begin,
                      last->operand_count - begin,
                      again ? op->operands : op->results,
                      again ? op->operand_count : op->result_count));
  }
  if (id == MO_SCF_FOR)
    return need_same(check, MO_RULE_YIELD, "results", op->results,
                     op->result_count, op->operands + 3, op->operand_count - 3);
  return PFL_STATUS_OK;
}

/* ---- Walking ----------------------------------------------------------------
 */

typedef struct walker {
  mo_check check;
  uint32_t *defined; /* the number of the function it is in scope in, or 0 */
  uint32_t *seen;    /* the same, and kept when the region ends */
  uint32_t function;
} walker;

static pfl_status check_uses(const walker *w) {
  const mo_op *op = w->check.op;
  for (int i = 0; i < op->operand_count; i++) {
    int id = op->operands[i]->id;
    if (w->defined[id] == w->function) continue;
    if (w->seen[id] && w->seen[id] != w->function)
      return mo_broken(&w->check, MO_RULE_ISOLATION, "operand %d", i);
    return mo_broken(&w->check, MO_RULE_DOMINANCE, "operand %d", i);
  }
  return PFL_STATUS_OK;
}

static void define(walker *w, mo_value *const *values, int count,
                   uint32_t stamp) {
  for (int i = 0; i < count; i++) {
    w->defined[values[i]->id] = stamp;
    if (stamp) w->seen[values[i]->id] = stamp;
  }
}

static pfl_status check_op(walker *w);

static pfl_status check_region(walker *w, const mo_region *region) {
  define(w, region->arguments, region->argument_count, w->function);
  for (const mo_op *op = region->first; op; op = op->next) {
    w->check.op = op;
    PFL_TRY(check_op(w));
    if (op->info->rule == MO_KIND_END && op->next) {
      w->check.op = op;
      return mo_broken(&w->check, MO_RULE_TERMINATOR, "%s follows it",
                       op->next->name);
    }
    define(w, op->results, op->result_count, w->function);
  }
  define(w, region->arguments, region->argument_count, 0);
  for (const mo_op *op = region->first; op; op = op->next)
    define(w, op->results, op->result_count, 0);
  return PFL_STATUS_OK;
}

static pfl_status check_op(walker *w) {
  const mo_op *op = w->check.op;
  bool top = !op->region->op, function = op->info->id == MO_FUNC_FUNC;
  if (op->info->id == MO_FOREIGN)
    return mo_broken(&w->check, MO_RULE_KNOWN_OP, "this one is not");
  if (top != function)
    return mo_broken(&w->check, MO_RULE_TOP_LEVEL,
                     top ? "this is none" : "this one does not");
  PFL_TRY(check_operands(&w->check));
  PFL_TRY(check_attributes(&w->check));
  if (op->region_count != op->info->regions)
    return mo_broken(&w->check, MO_RULE_REGION_COUNT, "%d, not %d",
                     op->region_count, op->info->regions);
  PFL_TRY(check_uses(w));
  PFL_TRY(check_ends(&w->check));
  PFL_TRY(mo_check_types(&w->check));
  PFL_TRY(mo_check_memory(&w->check));
  if (function) {
    w->function++;
    PFL_TRY(mo_check_function(&w->check));
  } else if (op->region_count) {
    PFL_TRY(check_flow(&w->check));
  }
  for (int i = 0; i < op->region_count; i++)
    PFL_TRY(check_region(w, op->regions[i]));
  return PFL_STATUS_OK;
}

pfl_status mo_verify(const mo_module *module, pfl_error *error) {
  const pfl_allocator *allocator = &module->arena.allocator;
  size_t bytes = ((size_t)module->value_count + 1) * sizeof(uint32_t);
  walker w = {.check = {.module = module, .error = error}};
  w.defined = base_allocate(allocator, bytes);
  w.seen = base_allocate(allocator, bytes);
  pfl_status status;
  if (!w.defined || !w.seen) {
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory to verify a module");
  } else {
    memset(w.defined, 0, bytes);
    memset(w.seen, 0, bytes);
    status = module->body.first
                 ? check_region(&w, &module->body)
                 : mo_broken(&w.check, MO_RULE_TOP_LEVEL, "it is empty");
  }
  base_release(allocator, w.defined);
  base_release(allocator, w.seen);
  return status;
}

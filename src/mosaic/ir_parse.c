/* The parser: ops, regions and the names of values. */
#include <string.h>

#include "base/memory.h"
#include "mosaic/ir_lexer.h"

/* A name in scope. Names of a region go when it ends. */
typedef struct binding {
  const char *name; /* in the text, without % */
  size_t length;
  mo_value *const *values; /* results of one op, or one argument */
  int count;
  size_t next; /* in its bucket; 0 ends it */
} binding;

enum { NAME_BUCKETS = 4096 };

typedef struct parser {
  mo_lexer lexer;
  binding *bindings; /* from 1; a stack */
  size_t bound, room;
  size_t buckets[NAME_BUCKETS];
  int nesting; /* of regions */
} parser;

static size_t bucket_of(const char *name, size_t length) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)name[i]) * 16777619u;
  return hash % NAME_BUCKETS;
}

static binding *find_name(parser *p, const char *name, size_t length) {
  for (size_t i = p->buckets[bucket_of(name, length)]; i;
       i = p->bindings[i].next)
    if (p->bindings[i].length == length &&
        !memcmp(p->bindings[i].name, name, length))
      return &p->bindings[i];
  return NULL;
}

static pfl_status bind(parser *p, const char *name, size_t length,
                       mo_value *const *values, int count) {
  mo_lexer *lexer = &p->lexer;
  if (find_name(p, name, length))
    return mo_wrong(lexer, (size_t)(name - lexer->text),
                    "is already the name of a value", name, length);
  if (p->bound + 1 >= p->room) {
    size_t room = 2 * p->room + 256;
    binding *wider =
        base_allocate(&lexer->module->arena.allocator, room * sizeof *wider);
    if (!wider) return mo_out_of_memory(lexer);
    if (p->bound) memcpy(wider + 1, p->bindings + 1, p->bound * sizeof *wider);
    base_release(&lexer->module->arena.allocator, p->bindings);
    p->bindings = wider;
    p->room = room;
  }
  size_t *bucket = &p->buckets[bucket_of(name, length)];
  p->bindings[++p->bound] = (binding){name, length, values, count, *bucket};
  *bucket = p->bound;
  return PFL_STATUS_OK;
}

static void unbind(parser *p, size_t mark) {
  for (; p->bound > mark; p->bound--) {
    const binding *b = &p->bindings[p->bound];
    p->buckets[bucket_of(b->name, b->length)] = b->next;
  }
}

static pfl_status read_name(parser *p, const char **out, size_t *out_length) {
  mo_lexer *lexer = &p->lexer;
  PFL_TRY(mo_need(lexer, "%"));
  *out = lexer->text + lexer->at;
  *out_length = mo_word_length(lexer);
  if (!*out_length || *out != lexer->text + lexer->at)
    return mo_expected(lexer, "a value's name");
  lexer->at += *out_length;
  return PFL_STATUS_OK;
}

/* %name or %name#2 */
static pfl_status read_use(parser *p, mo_value **out) {
  mo_lexer *lexer = &p->lexer;
  const char *name;
  size_t length;
  int64_t index = 0;
  PFL_TRY(read_name(p, &name, &length));
  if (lexer->at < lexer->length && lexer->text[lexer->at] == '#') {
    lexer->at++;
    PFL_TRY(mo_read_integer(lexer, &index));
  }
  const binding *b = find_name(p, name, length);
  if (!b || index < 0 || index >= b->count)
    return mo_wrong(lexer, (size_t)(name - lexer->text),
                    "is used before it is defined", name, length);
  *out = b->values[index];
  return PFL_STATUS_OK;
}

/* ---- Locations ---------------------------------------------------------- */

/* Takes back the escapes that the printer writes; false if there are others. */
static bool unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    if (*from == '\\' && *++from != '\\' && *from != '"') return false;
    *to++ = *from;
  }
  *to = 0;
  return true;
}

/* loc(...): a file and a line are kept, anything else is passed over. */
static pfl_status read_location(parser *p, mo_op *op) {
  mo_lexer *lexer = &p->lexer;
  if (!mo_take(lexer, "loc")) return PFL_STATUS_OK;
  size_t start = lexer->at;
  pfl_error *error = lexer->error;
  lexer->error = NULL;
  const char *file;
  size_t length;
  int64_t line, column;
  bool place = mo_take(lexer, "(") && mo_peek(lexer) == '"' &&
               !mo_read_string(lexer, &file, &length) && mo_take(lexer, ":") &&
               !mo_read_integer(lexer, &line) && mo_take(lexer, ":") &&
               !mo_read_integer(lexer, &column) && mo_take(lexer, ")");
  lexer->error = error;
  if (!place) {
    lexer->at = start;
    return mo_read_balanced(lexer, "a location", &file, &length);
  }
  if (op && line >= 0 && line <= INT32_MAX) {
    char *copy = mo_arena_copy(&lexer->module->arena, file, length);
    if (!copy) return mo_out_of_memory(lexer);
    op->file = unescape(copy) ? copy : NULL;
    op->line = (int)line;
  }
  return PFL_STATUS_OK;
}

/* ---- Regions, ops ------------------------------------------------------- */

static pfl_status read_op(parser *p, mo_region *region);

static pfl_status read_arguments(parser *p, mo_region *region) {
  mo_lexer *lexer = &p->lexer;
  mo_word_length(lexer);
  lexer->at += mo_word_length(lexer); /* the block's name */
  if (mo_take(lexer, "(") && !mo_take(lexer, ")")) {
    do {
      const char *name;
      size_t length;
      const mo_type *type;
      PFL_TRY(read_name(p, &name, &length));
      PFL_TRY(mo_need(lexer, ":"));
      PFL_TRY(mo_read_type(lexer, &type));
      PFL_TRY(read_location(p, NULL));
      mo_value *value = mo_argument_add(lexer->module, region, type);
      mo_value **values =
          mo_arena_array(&lexer->module->arena, 1, sizeof *values);
      if (!value || !values) return mo_out_of_memory(lexer);
      values[0] = value;
      PFL_TRY(bind(p, name, length, values, 1));
    } while (mo_take(lexer, ","));
    PFL_TRY(mo_need(lexer, ")"));
  }
  return mo_need(lexer, ":");
}

/* { ^bb0(...): ops } */
static pfl_status read_region(parser *p, mo_region *region) {
  mo_lexer *lexer = &p->lexer;
  size_t mark = p->bound;
  if (++p->nesting > MO_DEPTH_MAX) return mo_expected(lexer, "less nesting");
  PFL_TRY(mo_need(lexer, "{"));
  if (mo_take(lexer, "^")) PFL_TRY(read_arguments(p, region));
  while (!mo_take(lexer, "}")) {
    if (mo_peek(lexer) == '^')
      return mo_expected(lexer, "one block in a region");
    PFL_TRY(read_op(p, region));
  }
  unbind(p, mark);
  p->nesting--;
  return PFL_STATUS_OK;
}

/* What stands before the op is made: its names, operands and regions. */
typedef struct draft {
  struct {
    const char *name;
    size_t length;
    int64_t count;
  } results[MO_RANK_MAX];
  int result_names;
  const char *name;
  size_t name_length, at;
} draft;

/* %a, %b:2 = */
static pfl_status read_result_names(parser *p, draft *d) {
  mo_lexer *lexer = &p->lexer;
  if (mo_peek(lexer) != '%') return PFL_STATUS_OK;
  do {
    if (d->result_names == MO_RANK_MAX)
      return mo_expected(lexer, "fewer results");
    PFL_TRY(read_name(p, &d->results[d->result_names].name,
                      &d->results[d->result_names].length));
    d->results[d->result_names].count = 1;
    if (mo_take(lexer, ":"))
      PFL_TRY(mo_read_integer(lexer, &d->results[d->result_names].count));
    if (d->results[d->result_names].count < 1)
      return mo_expected(lexer, "a result");
    d->result_names++;
  } while (mo_take(lexer, ","));
  return mo_need(lexer, "=");
}

/* "stable_mosaic.arith.addf", the same form throughout the module. */
static pfl_status read_op_name(parser *p, draft *d) {
  static const char prefix[] = "stable_mosaic.";
  mo_lexer *lexer = &p->lexer;
  mo_module *module = lexer->module;
  mo_skip_space(lexer);
  d->at = lexer->at;
  if (mo_peek(lexer) != '"') return mo_expected(lexer, "an op");
  PFL_TRY(mo_read_string(lexer, &d->name, &d->name_length));
  size_t skip = sizeof prefix - 1;
  bool stable = d->name_length > skip && !memcmp(d->name, prefix, skip);
  if (!module->op_count && !module->body.first && p->nesting == 1)
    module->plain = !stable;
  if (module->plain == stable)
    return mo_wrong(lexer, d->at,
                    stable ? "is serialized, unlike the ops before it"
                           : "is not serialized, unlike the ops before it",
                    d->name, d->name_length);
  if (stable) {
    d->name += skip;
    d->name_length -= skip;
  }
  return PFL_STATUS_OK;
}

static pfl_status read_operands(parser *p, mo_value ***out, int *out_count) {
  mo_lexer *lexer = &p->lexer;
  int room = 0;
  *out = NULL;
  *out_count = 0;
  PFL_TRY(mo_need(lexer, "("));
  if (mo_take(lexer, ")")) return PFL_STATUS_OK;
  do {
    if (*out_count == room) {
      mo_value **wider = mo_arena_array(&lexer->module->arena,
                                        2 * (size_t)room + 4, sizeof *wider);
      if (!wider) return mo_out_of_memory(lexer);
      for (int i = 0; i < room; i++) wider[i] = (*out)[i];
      *out = wider;
      room = 2 * room + 4;
    }
    PFL_TRY(read_use(p, &(*out)[*out_count]));
    ++*out_count;
  } while (mo_take(lexer, ","));
  return mo_need(lexer, ")");
}

static int count_regions(mo_lexer *lexer) {
  /* ahead over the regions, by their brackets alone, and back */
  size_t start = lexer->at;
  int count = 1, depth = 0;
  for (size_t at = start; at < lexer->length; at++) {
    char c = lexer->text[at];
    if (c == '"') {
      for (at++; at < lexer->length && lexer->text[at] != '"'; at++)
        at += lexer->text[at] == '\\';
    } else if (c == '{' || c == '(') {
      depth++;
    } else if (c == '}' || c == ')') {
      if (!depth--) break;
    } else if (c == ',' && !depth) {
      count++;
    }
  }
  return count;
}

static pfl_status check_types(parser *p, const draft *d, const mo_op *op,
                              const mo_type *type) {
  mo_lexer *lexer = &p->lexer;
  if (type->input_count != op->operand_count)
    return mo_wrong(lexer, d->at, "has another number of operands than types",
                    d->name, d->name_length);
  for (int i = 0; i < op->operand_count; i++)
    if (op->operands[i]->type != type->parts[i])
      return mo_wrong(lexer, d->at, "an operand is of another type than said",
                      d->name, d->name_length);
  return PFL_STATUS_OK;
}

static pfl_status bind_results(parser *p, const draft *d, const mo_op *op) {
  int64_t first = 0;
  int i = 0;
  for (; i < d->result_names; i++) {
    if (d->results[i].count > op->result_count - first) break;
    PFL_TRY(bind(p, d->results[i].name, d->results[i].length,
                 op->results + first, (int)d->results[i].count));
    first += d->results[i].count;
  }
  if (first != op->result_count || i < d->result_names)
    return mo_wrong(&p->lexer, d->at,
                    "has another number of results than names", d->name,
                    d->name_length);
  return PFL_STATUS_OK;
}

static pfl_status read_op(parser *p, mo_region *region) {
  mo_lexer *lexer = &p->lexer;
  mo_module *module = lexer->module;
  draft d = {.result_names = 0};
  mo_value **operands;
  int operand_count, region_count = 0;
  const mo_type *type;
  PFL_TRY(read_result_names(p, &d));
  PFL_TRY(read_op_name(p, &d));
  PFL_TRY(read_operands(p, &operands, &operand_count));
  if (mo_peek(lexer) == '[') return mo_expected(lexer, "no successors");
  mo_op early = {0}; /* its attributes, in <{...}> */
  if (mo_take(lexer, "<")) {
    PFL_TRY(mo_read_attrs(lexer, &early));
    PFL_TRY(mo_need(lexer, ">"));
  }
  if (mo_take(lexer, "(")) region_count = count_regions(lexer);
  const mo_op_info *info = mo_op_find(d.name, d.name_length);
  char *name =
      info ? NULL : mo_arena_copy(&module->arena, d.name, d.name_length);
  mo_op *op = mo_op_add(module, region, info, name, operand_count, 0, NULL,
                        region_count);
  if (!op || module->arena.failed) return mo_out_of_memory(lexer);
  op->operands = operands;
  op->attrs = early.attrs;
  op->attr_count = early.attr_count;
  for (int i = 0; i < region_count; i++) {
    if (i) PFL_TRY(mo_need(lexer, ","));
    PFL_TRY(read_region(p, op->regions[i]));
  }
  if (region_count) PFL_TRY(mo_need(lexer, ")"));
  if (mo_peek(lexer) == '{') PFL_TRY(mo_read_attrs(lexer, op));
  PFL_TRY(mo_need(lexer, ":"));
  PFL_TRY(mo_read_function_type(lexer, &type));
  PFL_TRY(check_types(p, &d, op, type));
  mo_op_set_results(module, op, type->result_count,
                    type->parts + type->input_count);
  if (module->arena.failed) return mo_out_of_memory(lexer);
  PFL_TRY(bind_results(p, &d, op));
  return read_location(p, op);
}

/* ---- The module --------------------------------------------------------- */

/* Lines of aliases, kept as they are; those of locations are dropped. */
static pfl_status read_aliases(parser *p) {
  mo_lexer *lexer = &p->lexer;
  base_text kept = {.allocator = lexer->module->arena.allocator};
  if (lexer->module->aliases)
    base_text_add_string(&kept, lexer->module->aliases);
  while (mo_peek(lexer) == '#' || mo_peek(lexer) == '!') {
    size_t start = lexer->at;
    while (lexer->at < lexer->length && lexer->text[lexer->at] &&
           lexer->text[lexer->at] != '\n')
      lexer->at++;
    if (lexer->at - start < 4 || memcmp(lexer->text + start, "#loc", 4))
      base_text_add(&kept, lexer->text + start, lexer->at - start);
    if (kept.length && kept.bytes[kept.length - 1] != '\n')
      base_text_add_string(&kept, "\n");
  }
  if (kept.length)
    lexer->module->aliases =
        mo_arena_copy(&lexer->module->arena, kept.bytes, kept.length);
  bool failed = kept.failed || lexer->module->arena.failed;
  base_text_release(&kept);
  return failed ? mo_out_of_memory(lexer) : PFL_STATUS_OK;
}

static pfl_status keep_module_attrs(parser *p, mo_op *holder) {
  mo_lexer *lexer = &p->lexer;
  const mo_attr *version = mo_op_get(holder, "stable_mosaic.version");
  if (version && (version->kind != MO_ATTR_INTEGER ||
                  version->integer < MO_VERSION_OLDEST ||
                  version->integer > MO_VERSION_NEWEST))
    PFL_RAISE(lexer->error, INVALID_ARGUMENT,
              "stable_mosaic.version must be an integer of %d to %d",
              MO_VERSION_OLDEST, MO_VERSION_NEWEST);
  if (!version && !lexer->module->body.first) lexer->module->plain = true;
  if (!version && !lexer->module->plain)
    PFL_RAISE(lexer->error, INVALID_ARGUMENT,
              "a serialized module needs stable_mosaic.version");
  lexer->module->version = version ? (int)version->integer : 0;
  mo_op_unset(holder, "stable_mosaic.version");
  lexer->module->attrs = holder->attrs;
  lexer->module->attr_count = holder->attr_count;
  return PFL_STATUS_OK;
}

static pfl_status upgrade(parser *p, const mo_region *region) {
  mo_module *module = p->lexer.module;
  for (mo_op *op = region->first; op; op = op->next) {
    if (!mo_version_upgrade(module, op, module->version))
      PFL_RAISE(p->lexer.error, INVALID_ARGUMENT,
                "%s is not as version %d spells it", op->name, module->version);
    for (int i = 0; i < op->region_count; i++)
      PFL_TRY(upgrade(p, op->regions[i]));
  }
  return PFL_STATUS_OK;
}

/* module attributes {...} {...}, or "builtin.module"() ({...}) {...} */
static pfl_status read_module(parser *p) {
  mo_lexer *lexer = &p->lexer;
  mo_op holder = {0};
  PFL_TRY(read_aliases(p));
  if (mo_take_word(lexer, "module")) {
    if (mo_take(lexer, "@")) lexer->at += mo_word_length(lexer);
    if (mo_take_word(lexer, "attributes"))
      PFL_TRY(mo_read_attrs(lexer, &holder));
    PFL_TRY(read_region(p, &lexer->module->body));
  } else {
    PFL_TRY(mo_need(lexer, "\"builtin.module\"("));
    PFL_TRY(mo_need(lexer, ")"));
    if (mo_take(lexer, "<")) {
      PFL_TRY(mo_read_attrs(lexer, &holder));
      PFL_TRY(mo_need(lexer, ">"));
    }
    PFL_TRY(mo_need(lexer, "("));
    PFL_TRY(read_region(p, &lexer->module->body));
    PFL_TRY(mo_need(lexer, ")"));
    if (mo_peek(lexer) == '{') PFL_TRY(mo_read_attrs(lexer, &holder));
    const mo_type *type;
    PFL_TRY(mo_need(lexer, ":"));
    PFL_TRY(mo_read_function_type(lexer, &type));
  }
  PFL_TRY(read_location(p, NULL));
  PFL_TRY(read_aliases(p)); /* MLIR puts those of locations last */
  if (mo_peek(lexer) || lexer->at < lexer->length)
    return mo_expected(lexer, "the end");
  PFL_TRY(keep_module_attrs(p, &holder));
  if (lexer->module->plain) return PFL_STATUS_OK;
  PFL_TRY(upgrade(p, &lexer->module->body));
  return lexer->module->arena.failed ? mo_out_of_memory(lexer) : PFL_STATUS_OK;
}

pfl_status mo_parse(const char *text, size_t length,
                    const pfl_allocator *allocator, mo_module **out_module,
                    pfl_error *error) {
  *out_module = NULL;
  mo_module *module = mo_module_create(allocator);
  parser *p = base_allocate(allocator, sizeof *p);
  pfl_status status;
  if (!module || !p) {
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for a module");
  } else {
    *p = (parser){
        .lexer = {
            .text = text, .length = length, .module = module, .error = error}};
    status = read_module(p);
    base_release(allocator, p->bindings);
  }
  base_release(allocator, p);
  if (status)
    mo_module_destroy(module);
  else
    *out_module = module;
  return status;
}

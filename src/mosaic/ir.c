/* Modules and ops: making them and finding one's way in them. */
#include "mosaic/ir.h"

#include <string.h>

#include "base/memory.h"

static const mo_op_info table[MO_OP_COUNT] = {
    {MO_FOREIGN, "", "", "", "", 0, MO_KIND_FREE, ""},
#define MO_OP_ROW(id, name, operands, results, attributes, regions, rule, \
                  meaning)                                                \
  {MO_##id,    name,    operands,       results,                          \
   attributes, regions, MO_KIND_##rule, meaning},
    MO_OP_LIST(MO_OP_ROW)
#undef MO_OP_ROW
};

const mo_op_info *mo_op_info_of(mo_op_id id) { return &table[id]; }

const mo_op_info *mo_op_find(const char *name, size_t length) {
  for (int i = 1; i < MO_OP_COUNT; i++)
    if (!strncmp(table[i].name, name, length) && !table[i].name[length])
      return &table[i];
  return NULL;
}

mo_module *mo_module_create(const pfl_allocator *allocator) {
  mo_arena arena = {.allocator = *allocator};
  mo_module *module = mo_arena_take(&arena, sizeof *module);
  if (module) module->arena = arena;
  return module;
}

void mo_module_destroy(mo_module *module) {
  if (!module) return;
  mo_arena arena = module->arena; /* which holds the module */
  mo_arena_release(&arena);
}

static mo_value *add_value(mo_module *module, const mo_type *type) {
  mo_value *value = mo_arena_take(&module->arena, sizeof *value);
  if (!value) return NULL;
  value->type = type;
  value->id = module->value_count++;
  return value;
}

void mo_op_set_results(mo_module *module, mo_op *op, int count,
                       const mo_type *const *types) {
  op->results =
      mo_arena_array(&module->arena, (size_t)count, sizeof *op->results);
  for (int i = 0; op->results && i < count; i++) {
    mo_value *value = add_value(module, types[i]);
    if (!value) return;
    value->op = op;
    value->index = i;
    op->results[op->result_count++] = value;
  }
}

mo_op *mo_op_add(mo_module *module, mo_region *region, const mo_op_info *info,
                 const char *name, int operand_count, int result_count,
                 const mo_type *const *result_types, int region_count) {
  mo_arena *arena = &module->arena;
  mo_op *op = mo_arena_take(arena, sizeof *op);
  if (!op) return NULL;
  op->info = info ? info : &table[MO_FOREIGN];
  op->name = info ? info->name : name;
  op->operands =
      mo_arena_array(arena, (size_t)operand_count, sizeof *op->operands);
  op->operand_count = operand_count;
  mo_op_set_results(module, op, result_count, result_types);
  op->regions =
      mo_arena_array(arena, (size_t)region_count, sizeof *op->regions);
  for (int i = 0; op->regions && i < region_count; i++) {
    op->regions[i] = mo_arena_take(arena, sizeof(mo_region));
    if (op->regions[i]) op->regions[op->region_count++]->op = op;
  }
  if (arena->failed) return NULL;
  op->region = region;
  op->previous = region->last;
  *(region->last ? &region->last->next : &region->first) = op;
  region->last = op;
  module->op_count++;
  module->region_count += region_count;
  return op;
}

/* Arguments are few and added one by one: room for them grows in powers of
 * two. */
mo_value *mo_argument_add(mo_module *module, mo_region *region,
                          const mo_type *type) {
  int count = region->argument_count;
  if (!(count & (count - 1))) {
    mo_value **wider = mo_arena_array(
        &module->arena, count ? 2 * (size_t)count : 1, sizeof *wider);
    if (!wider) return NULL;
    for (int i = 0; i < count; i++) wider[i] = region->arguments[i];
    region->arguments = wider;
  }
  mo_value *value = add_value(module, type);
  if (!value) return NULL;
  value->region = region;
  value->index = count;
  region->arguments[region->argument_count++] = value;
  return value;
}

void mo_op_set(mo_module *module, mo_op *op, const char *name,
               const mo_attr *attr) {
  int at = 0;
  while (at < op->attr_count && strcmp(op->attrs[at].name, name) < 0) at++;
  if (at < op->attr_count && !strcmp(op->attrs[at].name, name)) {
    op->attrs[at].attr = attr;
    return;
  }
  if (!(op->attr_count & (op->attr_count - 1))) {
    size_t room = op->attr_count ? 2 * (size_t)op->attr_count : 1;
    mo_named_attr *wider = mo_arena_array(&module->arena, room, sizeof *wider);
    if (!wider) return;
    for (int i = 0; i < op->attr_count; i++) wider[i] = op->attrs[i];
    op->attrs = wider;
  }
  for (int i = op->attr_count++; i > at; i--) op->attrs[i] = op->attrs[i - 1];
  op->attrs[at] = (mo_named_attr){name, attr};
}

void mo_op_unset(mo_op *op, const char *name) {
  int kept = 0;
  for (int i = 0; i < op->attr_count; i++)
    if (strcmp(op->attrs[i].name, name)) op->attrs[kept++] = op->attrs[i];
  op->attr_count = kept;
}

const mo_attr *mo_op_get(const mo_op *op, const char *name) {
  for (int i = 0; i < op->attr_count; i++)
    if (!strcmp(op->attrs[i].name, name)) return op->attrs[i].attr;
  return NULL;
}

const mo_attr *mo_attr_get(const mo_attr *dict, const char *name) {
  if (!dict || dict->kind != MO_ATTR_DICT) return NULL;
  for (int i = 0; i < dict->count; i++)
    if (!strcmp(dict->names[i], name)) return dict->items[i];
  return NULL;
}

bool mo_word_next(const char **at, mo_word *out_word) {
  while (**at == ' ') ++*at;
  if (!**at) return false;
  size_t name = strcspn(*at, ":"), length = strcspn(*at, " ");
  char last = (*at)[length - 1];
  out_word->mark = last == '?' || last == '*' ? last : 0;
  out_word->name = *at;
  out_word->name_length = (int)name;
  out_word->kind = *at + name + 1;
  out_word->kind_length = (int)(length - name - 1) - (out_word->mark != 0);
  *at += length;
  return true;
}

/* Where groups vary more than once, operandSegmentSizes has their sizes;
 * otherwise the one that varies has what the others leave. */
mo_group mo_op_group(const mo_op *op, const char *name) {
  const mo_attr *sizes = mo_op_get(op, "operandSegmentSizes");
  const char *at = op->info->operands;
  mo_word word;
  int fixed = 0, groups = 0, start = 0;
  for (; mo_word_next(&at, &word); groups++) fixed += !word.mark;
  bool sized =
      sizes && sizes->kind == MO_ATTR_NUMBERS && sizes->count == groups;
  at = op->info->operands;
  for (int i = 0; mo_word_next(&at, &word); i++) {
    int64_t count = sized       ? sizes->numbers[i]
                    : word.mark ? op->operand_count - fixed
                                : 1;
    if (count < 0 || count > op->operand_count - start) break;
    if (strlen(name) == (size_t)word.name_length &&
        !strncmp(name, word.name, (size_t)word.name_length))
      return (mo_group){op->operands + start, (int)count};
    start += (int)count;
  }
  return (mo_group){op->operands, 0};
}

mo_value *mo_op_operand(const mo_op *op, const char *name) {
  mo_group group = mo_op_group(op, name);
  return group.count ? group.values[0] : NULL;
}

mo_op *mo_module_find(const mo_module *module, const char *symbol) {
  for (mo_op *op = module->body.first; op; op = op->next) {
    const mo_attr *name = mo_op_get(op, "sym_name");
    if (name && name->kind == MO_ATTR_STRING && !strcmp(name->text, symbol))
      return op;
  }
  return NULL;
}

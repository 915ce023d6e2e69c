/* Types: interned by their spelling. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "mosaic/ir.h"

typedef struct element_row {
  const char *name;
  mo_family family;
  int bits;
} element_row;

static const element_row elements[] = {{"", MO_FAMILY_NONE, 0},
#define MO_ELEMENT_ROW(name, spelling, family, bits) \
  {spelling, MO_FAMILY_##family, bits},
                                       MO_ELEMENT_LIST(MO_ELEMENT_ROW)
#undef MO_ELEMENT_ROW
};

static const char *const spaces[] = {"",
#define MO_SPACE_ROW(name, spelling) spelling,
                                     MO_SPACE_LIST(MO_SPACE_ROW)
#undef MO_SPACE_ROW
};

enum {
  ELEMENTS = sizeof elements / sizeof *elements,
  SPACES = sizeof spaces / sizeof *spaces
};

const char *mo_element_name(mo_element element) {
  return elements[element].name;
}
mo_family mo_element_family(mo_element element) {
  return elements[element].family;
}
int mo_element_bits(mo_element element) { return elements[element].bits; }
const char *mo_space_name(mo_space space) { return spaces[space]; }

mo_element mo_element_find(const char *name, size_t length) {
  for (int i = 1; i < ELEMENTS; i++)
    if (!strncmp(elements[i].name, name, length) && !elements[i].name[length])
      return (mo_element)i;
  return MO_NO_ELEMENT;
}

mo_space mo_space_find(const char *name, size_t length) {
  for (int i = 1; i < SPACES; i++)
    if (!strncmp(spaces[i], name, length) && !spaces[i][length])
      return (mo_space)i;
  return MO_NO_SPACE;
}

/* The type spelled `text`, made from `model` if there is none yet. */
static const mo_type *intern(mo_module *module, const char *text, size_t length,
                             const mo_type *model) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)text[i]) * 16777619u;
  const mo_type **bucket = &module->types[hash % MO_BUCKETS];
  for (const mo_type *type = *bucket; type; type = type->next)
    if (!strncmp(type->text, text, length) && !type->text[length]) return type;
  mo_arena *arena = &module->arena;
  mo_type *type = mo_arena_take(arena, sizeof *type);
  int part_count = model->input_count + model->result_count;
  int64_t *shape = mo_arena_array(arena, (size_t)model->rank, sizeof *shape);
  const mo_type **parts =
      mo_arena_array(arena, (size_t)part_count, sizeof *parts);
  char *copy = mo_arena_copy(arena, text, length);
  char *layout =
      model->layout ? mo_arena_copy(arena, model->layout, strlen(model->layout))
                    : NULL;
  if (arena->failed) return NULL;
  *type = *model;
  for (int i = 0; i < model->rank; i++) shape[i] = model->shape[i];
  for (int i = 0; i < part_count; i++) parts[i] = model->parts[i];
  type->text = copy;
  type->shape = shape;
  type->parts = parts;
  type->layout = layout;
  type->next = *bucket;
  return *bucket = type;
}

/* Interns what `text` has, and gives `text` back. */
static const mo_type *intern_text(mo_module *module, base_text *text,
                                  const mo_type *model) {
  const mo_type *type = NULL;
  if (text->failed)
    module->arena.failed = true;
  else
    type = intern(module, base_text_get(text), text->length, model);
  base_text_release(text);
  return type;
}

const mo_type *mo_type_scalar(mo_module *module, mo_element element) {
  const char *name = mo_element_name(element);
  return intern(module, name, strlen(name),
                &(mo_type){.kind = MO_TYPE_SCALAR, .element = element});
}

/* "8x128xf32" in a buffer that fits any. */
enum { SHAPE_SIZE = MO_RANK_MAX * 21 + 64 };
static size_t spell_shape(char *out, int rank, const int64_t *shape,
                          mo_element element) {
  size_t used = 0;
  for (int i = 0; i < rank; i++)
    used += shape[i] == MO_DYNAMIC
                ? (size_t)sprintf(out + used, "?x")
                : (size_t)sprintf(out + used, "%lldx", (long long)shape[i]);
  return used + (size_t)sprintf(out + used, "%s", mo_element_name(element));
}

const mo_type *mo_type_vector(mo_module *module, mo_element element, int rank,
                              const int64_t *shape) {
  char text[SHAPE_SIZE] = "vector<";
  size_t used = 7;
  used += spell_shape(text + used, rank, shape, element);
  text[used++] = '>';
  return intern(module, text, used,
                &(mo_type){.kind = MO_TYPE_VECTOR,
                           .element = element,
                           .rank = rank,
                           .shape = shape});
}

const mo_type *mo_type_memref(mo_module *module, mo_element element, int rank,
                              const int64_t *shape, mo_space space,
                              const char *layout) {
  char dims[SHAPE_SIZE];
  spell_shape(dims, rank, shape, element);
  mo_type model = {.kind = MO_TYPE_MEMREF,
                   .element = element,
                   .space = space,
                   .layout = layout,
                   .rank = rank,
                   .shape = shape};
  if (!layout) {
    char text[SHAPE_SIZE + 64];
    int used =
        space ? snprintf(text, sizeof text, "memref<%s, #tpu.memory_space<%s>>",
                         dims, mo_space_name(space))
              : snprintf(text, sizeof text, "memref<%s>", dims);
    return intern(module, text, (size_t)used, &model);
  }
  base_text text = {.allocator = module->arena.allocator};
  base_text_format(&text, "memref<%s, %s", dims, layout);
  if (space)
    base_text_format(&text, ", #tpu.memory_space<%s>", mo_space_name(space));
  base_text_add_string(&text, ">");
  return intern_text(module, &text, &model);
}

static void spell_list(base_text *text, int count,
                       const mo_type *const *types) {
  base_text_add_string(text, "(");
  for (int i = 0; i < count; i++) {
    if (i) base_text_add_string(text, ", ");
    base_text_add_string(text, types[i]->text);
  }
  base_text_add_string(text, ")");
}

const mo_type *mo_type_function(mo_module *module, int input_count,
                                int result_count, const mo_type *const *parts) {
  const mo_type *const *results = parts + input_count;
  base_text text = {.allocator = module->arena.allocator};
  spell_list(&text, input_count, parts);
  base_text_add_string(&text, " -> ");
  if (result_count == 1 && results[0]->kind != MO_TYPE_FUNCTION)
    base_text_add_string(&text, results[0]->text);
  else
    spell_list(&text, result_count, results);
  return intern_text(module, &text,
                     &(mo_type){.kind = MO_TYPE_FUNCTION,
                                .input_count = input_count,
                                .result_count = result_count,
                                .parts = parts});
}

const mo_type *mo_type_opaque(mo_module *module, const char *text,
                              size_t length) {
  return intern(module, text, length, &(mo_type){.kind = MO_TYPE_OPAQUE});
}

bool mo_type_same_shape(const mo_type *a, const mo_type *b) {
  return a->kind == b->kind && a->rank == b->rank &&
         (!a->rank ||
          !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape));
}

int64_t mo_type_count(const mo_type *type) {
  int64_t count;
  return base_product(type->shape, type->rank, &count) ? count : -1;
}

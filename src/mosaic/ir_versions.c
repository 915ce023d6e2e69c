/* How the serialized versions of the ops differ from the newest. */
#include <string.h>

#include "mosaic/ir.h"
#include "mosaic/ir_versions.h"

typedef enum change_kind {
#define KIND_ENUM(name) name,
  MO_CHANGE_KINDS(KIND_ENUM)
#undef KIND_ENUM
} change_kind;

typedef struct change {
  mo_op_id op;
  change_kind kind;
  int since;
  const char *attr, *old;
  int number;
} change;

static const change changes[] = {
#define CHANGE_ROW(since, op, kind, attr, old, number) \
  {MO_##op, kind, since, attr, old, number},
    MO_CHANGE_LIST(CHANGE_ROW)
#undef CHANGE_ROW
};
enum { CHANGES = sizeof changes / sizeof *changes };

static const char segment_sizes[] = "operandSegmentSizes";

static int find(const mo_named_attr *attrs, int count, const char *name) {
  for (int i = 0; i < count; i++)
    if (!strcmp(attrs[i].name, name)) return i;
  return -1;
}

static int groups_of(const mo_op_info *info) {
  const char *at = info->operands;
  mo_word word;
  int groups = 0;
  while (mo_word_next(&at, &word)) groups++;
  return groups;
}

/* Whether `attr` says no more than could be said before the change. */
static bool carries(const change *c, const mo_op *op, const mo_attr *attr) {
  if (!attr) return true;
  switch (c->kind) {
    case ADDED_ATTR: return attr->integer == c->number;
    case ADDED_SEGMENT:
      return attr->kind == MO_ATTR_NUMBERS && attr->count == c->number &&
             !attr->numbers[attr->count - 1];
    case SEGMENTS: {
      int groups = groups_of(op->info);
      if (attr->kind != MO_ATTR_NUMBERS || attr->count != groups) return false;
      for (int i = groups - c->number; i < groups; i++)
        if (attr->numbers[i]) return false;
      return true;
    }
    case MADE_LIST: return attr->kind == MO_ATTR_NUMBERS && attr->count == 1;
    default: return true;
  }
}

static const char *attr_name(const change *c) {
  return c->attr ? c->attr : segment_sizes;
}

int mo_module_version(const mo_module *module) {
  if (module->version) return module->version;
  int version = MO_VERSION_OLDEST;
  const mo_region *region = &module->body;
  /* every op, without recursion: down into regions, along, and up again */
  const mo_op *op = region->first;
  int index = 0;
  while (op) {
    if (index == 0)
      for (int i = 0; i < CHANGES; i++)
        if (changes[i].op == op->info->id && changes[i].since > version &&
            !carries(&changes[i], op, mo_op_get(op, attr_name(&changes[i]))))
          version = changes[i].since;
    if (index < op->region_count) {
      const mo_op *inner = op->regions[index]->first;
      if (inner) {
        op = inner;
        index = 0;
      } else {
        index++;
      }
      continue;
    }
    index = 0;
    if (op->next) {
      op = op->next;
      continue;
    }
    const mo_region *ended = op->region;
    op = ended->op;
    while (op && op->regions[index] != ended) index++;
    index++;
  }
  return version;
}

int mo_version_attrs(mo_module *module, const mo_op *op, int version,
                     mo_named_attr *out) {
  int count = op->attr_count;
  for (int i = 0; i < count; i++) out[i] = op->attrs[i];
  for (int i = 0; i < CHANGES; i++) {
    const change *c = &changes[i];
    int at = c->op == op->info->id && version < c->since
                 ? find(out, count, attr_name(c))
                 : -1;
    if (at < 0) continue;
    const mo_attr *attr = out[at].attr;
    if (!carries(c, op, attr)) return -1;
    if (c->kind == ADDED_SEGMENT) {
      out[at].attr =
          mo_attr_numbers(module, MO_I32, attr->count - 1, attr->numbers);
    } else if (c->kind == MADE_LIST) {
      out[at].name = c->old; /* which sorts where the other did */
      out[at].attr = mo_attr_integer(module, MO_I32, attr->numbers[0]);
    } else {
      for (count--; at < count; at++) out[at] = out[at + 1];
    }
  }
  return module->arena.failed ? -1 : count;
}

/* operandSegmentSizes as it was meant when there was none. */
static bool add_segments(mo_module *module, mo_op *op, const change *c) {
  int64_t sizes[8] = {0};
  int groups = groups_of(op->info), fixed = groups - c->number;
  if (op->operand_count < fixed || op->operand_count > groups) return false;
  for (int i = 0; i < op->operand_count; i++) sizes[i] = 1;
  mo_op_set(module, op, segment_sizes,
            mo_attr_numbers(module, MO_I32, groups, sizes));
  return true;
}

bool mo_version_upgrade(mo_module *module, mo_op *op, int version) {
  for (int i = CHANGES - 1; i >= 0; i--) {
    const change *c = &changes[i];
    if (c->op != op->info->id || version >= c->since) continue;
    const mo_attr *attr = mo_op_get(op, attr_name(c));
    const mo_attr *old = c->old ? mo_op_get(op, c->old) : NULL;
    if (c->kind == ADDED_SEGMENT) {
      int64_t sizes[8] = {0};
      if (!attr || attr->kind != MO_ATTR_NUMBERS ||
          attr->count != c->number - 1)
        return false;
      for (int j = 0; j < attr->count; j++) sizes[j] = attr->numbers[j];
      mo_op_set(module, op, segment_sizes,
                mo_attr_numbers(module, MO_I32, c->number, sizes));
    } else if (c->kind == SEGMENTS) {
      if (attr || !add_segments(module, op, c)) return false;
    } else if (c->kind == MADE_LIST) {
      if (attr || !old || old->kind != MO_ATTR_INTEGER) return false;
      mo_op_unset(op, c->old);
      mo_op_set(module, op, c->attr,
                mo_attr_numbers(module, MO_I32, 1, &old->integer));
    } else if (c->kind == ADDED_ATTR && c->op == MO_TPU_MATMUL) {
      /* the one that has no default, so that leaving it out is an error */
      if (attr) return false;
      mo_op_set(module, op, c->attr,
                mo_attr_simple(module, MO_ATTR_BOOL, c->number, NULL));
    }
  }
  return true;
}

/* mosaic_page: what docs/mosaic.md says of types, ops, versions and rules,
 * printed from the tables that the code reads. check_mosaic_page.py puts it
 * there, or holds the page against it. */
#include <stdio.h>
#include <string.h>

#include "mosaic/ir_rules.h"
#include "mosaic/ir_versions.h"

/* ---- Types ----------------------------------------------------------------
 */

static void print_types(void) {
  printf("Elements:");
#define PRINT_ELEMENT(name, spelling, family, bits) printf(" `%s`", spelling);
  MO_ELEMENT_LIST(PRINT_ELEMENT)
#undef PRINT_ELEMENT
  printf(".\n\nMemory spaces:");
#define PRINT_SPACE(name, spelling) printf(" `%s`", spelling);
  MO_SPACE_LIST(PRINT_SPACE)
#undef PRINT_SPACE
  printf(".\n");
}

/* ---- Ops ------------------------------------------------------------------
 */

/* "`lhs` float, `indices` index*" */
static void print_words(const char *words) {
  mo_word word;
  for (const char *at = words, *from = words; mo_word_next(&at, &word);) {
    printf("%s`%.*s` %.*s", from == words ? "" : ", ", word.name_length,
           word.name, word.kind_length, word.kind);
    if (word.mark) printf("%s", word.mark == '*' ? "\\*" : "?");
    from = at;
  }
}

static const char *rule_words(mo_rule_kind rule) {
  switch (rule) {
    case MO_KIND_SAME: return "one type";
    case MO_KIND_COMPARE: return "comparison";
    case MO_KIND_CAST: return "cast";
    case MO_KIND_END: return "ends a region";
    case MO_KIND_OWN: return "own";
    default: return "";
  }
}

static void print_ops(void) {
  char dialect[16] = "";
  for (int id = MO_FOREIGN + 1; id < MO_OP_COUNT; id++) {
    const mo_op_info *info = mo_op_info_of((mo_op_id)id);
    size_t length = strcspn(info->name, ".");
    if (strlen(dialect) != length || strncmp(dialect, info->name, length)) {
      snprintf(dialect, sizeof dialect, "%.*s", (int)length, info->name);
      printf("%s### %s\n\n", id > MO_FOREIGN + 1 ? "\n" : "", dialect);
      printf(
          "| op | operands | results | attributes | rule | meaning |\n"
          "|---|---|---|---|---|---|\n");
    }
    printf("| `%s` | ", info->name);
    print_words(info->operands);
    printf(" | ");
    print_words(info->results);
    printf(" | ");
    print_words(info->attributes);
    printf(" | %s | %s |\n", rule_words(info->rule), info->meaning);
  }
}

/* ---- Versions, rules -------------------------------------------------------
 */

enum {
#define KIND_ENUM(name) name,
  MO_CHANGE_KINDS(KIND_ENUM)
#undef KIND_ENUM
};

static void print_change(int since, mo_op_id op, int kind, const char *attr,
                         const char *old, int number) {
  const char *name = mo_op_info_of(op)->name;
  printf("| %d | `%s` | ", since, name);
  switch (kind) {
    case ADDED_ATTR:
      printf("`%s` came; before, it was %d", attr, number);
      break;
    case ADDED_SEGMENT:
      printf("`operandSegmentSizes` is %d long; before, one less", number);
      break;
    case SEGMENTS:
      printf("`operandSegmentSizes` came; before, the last %s empty",
             number == 1 ? "group was" : "groups were");
      break;
    default: printf("`%s`, an array, was `%s`, one number", attr, old);
  }
  printf(" |\n");
}

static void print_versions(void) {
  printf("| since | op | change |\n|---|---|---|\n");
#define PRINT_CHANGE(since, op, kind, attr, old, number) \
  print_change(since, MO_##op, kind, attr, old, number);
  MO_CHANGE_LIST(PRINT_CHANGE)
#undef PRINT_CHANGE
}

static void print_rules(void) {
  for (int i = 0; i < MO_RULE_COUNT; i++)
    printf("- %s\n", mo_rule_text((mo_rule)i));
}

int main(void) {
  static const struct {
    const char *name;
    void (*print)(void);
  } parts[] = {{"types", print_types},
               {"ops", print_ops},
               {"versions", print_versions},
               {"rules", print_rules}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    printf("<!-- %s -->\n", parts[i].name);
    parts[i].print();
    printf("<!-- end of %s -->\n", parts[i].name);
  }
  return 0;
}

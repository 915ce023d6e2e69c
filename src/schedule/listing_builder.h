/* A program while it is read: shared by the files that read it. */
#ifndef PFL_SCHEDULE_LISTING_BUILDER_H
#define PFL_SCHEDULE_LISTING_BUILDER_H

#include "schedule/listing_lexer.h"
#include "schedule/schedule_program.h"

/* Names are numbers that the compiler gave to its values; no real kernel has
 * as many. */
#define LISTING_NAMES_MAX (1 << 24)
#define LISTING_BUNDLES_MAX (1 << 20)

#define LISTING_WORDS 512 /* a power of two above twice the instructions */

/* A row of vliw_ops.h. */
typedef struct listing_word {
  const char *name;
  uint8_t action, latency;
} listing_word;

typedef struct listing_builder {
  schedule_program *program;
  listing_lexer lexer;
  const listing_word *words[LISTING_WORDS]; /* by hash */
  base_text names;    /* uint16_t by name: what it stands for beside a register:
                         0, a schedule_space, or 16 + an operand */
  vliw_bundle bundle; /* the one being read */
  bool open_end;      /* the last one is a region whose number is not told */
  pfl_error *error;
} listing_builder;

#define LISTING_ADD(builder, list, item)                          \
  base_text_add(&(builder)->program->lists[SCHEDULE_LIST_##list], \
                (const char *)&(item), sizeof(item))
#define LISTING_COUNT(builder, list, type)                            \
  ((int64_t)((builder)->program->lists[SCHEDULE_LIST_##list].length / \
             sizeof(type)))

/* Fills `words`. */
void listing_words_prepare(listing_builder *builder);

/* One slot of the current bundle: adds what it is to the lists. The text is
 * used up. */
PFL_NODISCARD pfl_status listing_slot_add(listing_builder *builder, char *slot);

/* Notes that `name` stands for `meaning`. */
PFL_NODISCARD pfl_status listing_name_set(listing_builder *builder,
                                          uint32_t name, uint16_t meaning);
uint16_t listing_name_get(const listing_builder *builder, uint32_t name);

/* The allocation of that name, new if it was not seen. */
PFL_NODISCARD pfl_status listing_symbol_find(listing_builder *builder,
                                             const char *name, size_t length,
                                             int32_t *out_symbol);

/* Notes what memory the allocation is in, if that is not known yet; `symbol`
 * may be -1. */
void listing_symbol_space(listing_builder *builder, int32_t symbol,
                          schedule_space space);

/* "FILE: bundle 0x1c: " and what is wrong. */
__attribute__((format(printf, 2, 3))) pfl_status listing_wrong(
    const listing_builder *builder, const char *format, ...);

/* A copy that lives as long as the program; NULL if there is no memory. */
char *schedule_program_keep(schedule_program *program, const char *bytes,
                            size_t length);

/* ---- listing_value.c: what stands in a slot ------------------------------ */

/* Text that is read from the left. */
typedef struct listing_cursor {
  const char *at;
} listing_cursor;

typedef struct listing_register {
  int16_t number; /* VLIW_...; -1: a name without a register */
  uint32_t name;
} listing_register;

/* "%s22_s11" at the cursor, which moves past it. Operands of the kernel give
 * VLIW_OPERANDS + index. */
PFL_NODISCARD pfl_status listing_register_read(listing_builder *builder,
                                               listing_cursor *cursor,
                                               listing_register *out_register);

/* A register, number or address: "%s1", "4294967295", "$0x8", "0.5",
 * "[smem:[#allocation4 + %s1_s2]]". */
PFL_NODISCARD pfl_status listing_value_read(listing_builder *builder,
                                            listing_cursor *cursor,
                                            vliw_value *out_value);

/* Skips blanks; then takes `word` if it is there. */
bool listing_take(listing_cursor *cursor, const char *word);
void listing_skip(listing_cursor *cursor);

/* ---- listing_operand.c --------------------------------------------------- */

/* The kernel's operands, all of the text's. */
PFL_NODISCARD pfl_status listing_operands_find(listing_builder *builder);

/* ---- listing_tables.c ---------------------------------------------------- */

/* The utilisation file: one row for each bundle. */
PFL_NODISCARD pfl_status listing_read_utilization(schedule_program *program,
                                                  const char *text,
                                                  size_t length,
                                                  pfl_error *error);

/* The allocations of a dump: their addresses, sizes and tags. */
PFL_NODISCARD pfl_status listing_read_allocations(schedule_program *program,
                                                  const char *text,
                                                  size_t length,
                                                  pfl_error *error);

/* Gives the allocations that no file placed addresses of their own. */
void listing_place_symbols(schedule_program *program);

#endif

/* One slot of a bundle: what the scalar side does with it, and what it costs.
 *
 *   %s4_s1 = smov.u32 (!%p3_p0, %s2_s1), 7
 *   destination  word  predicate, value kept   arguments */
#include <stdlib.h>
#include <string.h>

#include "schedule/listing_slot.h"

/* ---- Words --------------------------------------------------------------- */

static const listing_word words[] = {
#define WORD_ROW(name, action, latency) {#name, VLIW_##action, latency},
    VLIW_SCALAR_LIST(WORD_ROW) VLIW_CONTROL_LIST(WORD_ROW)
        VLIW_VECTOR_LIST(WORD_ROW)
#undef WORD_ROW
};
_Static_assert(2 * sizeof words / sizeof *words < LISTING_WORDS,
               "the hash table must stay half empty");

static size_t hash(const char *word, size_t length) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < length; i++) h = (h ^ (uint8_t)word[i]) * 16777619u;
  return (h ^ h >> 16) % LISTING_WORDS;
}

static const listing_word *find_word(const listing_builder *builder,
                                     const char *word, size_t length) {
  for (size_t i = hash(word, length); builder->words[i];
       i = (i + 1) % LISTING_WORDS) {
    const char *name = builder->words[i]->name;
    if (!strncmp(name, word, length) && !name[length]) return builder->words[i];
  }
  return NULL;
}

void listing_words_prepare(listing_builder *builder) {
  for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
    size_t i = hash(words[w].name, strlen(words[w].name));
    while (builder->words[i]) i = (i + 1) % LISTING_WORDS;
    builder->words[i] = &words[w];
  }
}

/* ---- A slot in its parts ------------------------------------------------- */

bool listing_slot_has(const listing_slot *s, const char *part) {
  size_t length = strlen(part);
  for (size_t i = 0; i + length <= s->word_length; i++) {
    if ((i && s->word[i - 1] != '.') || strncmp(s->word + i, part, length))
      continue;
    if (i + length == s->word_length || s->word[i + length] == '.') return true;
  }
  return false;
}

static size_t word_length(const char *at) {
  size_t length = 0;
  for (; at[length] && at[length] != ' '; length++)
    if (at[length] == '<')
      while (at[length + 1] && at[length] != '>') length++;
  return length;
}

/* Blanks the text from `from` to `to`: it has been read. */
static void blank(char *from, const char *to) {
  while (from < to) *from++ = ' ';
}

/* Blanks "[thread:$0]" and "[resolvable:$true]". */
static void blank_notes(char *rest) {
  static const char *const notes[] = {"[thread:", "[resolvable:"};
  for (int i = 0; i < 2; i++) {
    char *note = strstr(rest, notes[i]), *end = note ? strchr(note, ']') : NULL;
    if (end) blank(note, end + 1);
  }
}

/* "(0)": the compiler found out whether the slot ever executes. */
static void read_constant_predicate(char *rest, listing_slot *s) {
  static const char *const forms[] = {"(0)", "(!1)", "(1)", "(!0)"};
  while (*rest == ' ') rest++;
  for (int i = 0; i < 4; i++) {
    size_t length = strlen(forms[i]);
    if (strncmp(rest, forms[i], length)) continue;
    s->never = i < 2;
    blank(rest, rest + length + (rest[length] == ','));
  }
}

/* "(!%p3_p0)" or "(%p3_p0, %s2_s1)", wherever it stands: in the second the
 * register keeps the value that it has. Blanks it, and a comma after it. */
static pfl_status read_predicate(listing_builder *builder, char *rest,
                                 listing_slot *s) {
  char *start = strstr(rest, "(%p");
  s->predicate = -1;
  read_constant_predicate(rest, s);
  if (!start) start = strstr(rest, "(!%p");
  if (!start) return PFL_STATUS_OK;
  listing_cursor cursor = {start + 1};
  s->negated = listing_take(&cursor, "!");
  listing_register found;
  PFL_TRY(listing_register_read(builder, &cursor, &found));
  if (found.number < VLIW_PREDICATES || found.number >= VLIW_VECTORS)
    return listing_wrong(builder, "a slot is predicated on no predicate");
  s->predicate = found.number;
  s->predicate_name = found.name;
  char *end = strchr(start, ')');
  if (!end) return listing_wrong(builder, "a predicate does not end");
  cursor.at = end + 1;
  listing_take(&cursor, ",");
  blank(start, cursor.at);
  return PFL_STATUS_OK;
}

static pfl_status split(listing_builder *builder, char *text, listing_slot *s) {
  listing_cursor cursor = {text};
  *s = (listing_slot){.destination.number = -1};
  listing_skip(&cursor);
  if (*cursor.at == '%') {
    PFL_TRY(listing_register_read(builder, &cursor, &s->destination));
    s->writes = true;
    if (!listing_take(&cursor, "="))
      return listing_wrong(builder, "'%.24s' where a '=' must stand",
                           cursor.at);
  }
  listing_skip(&cursor);
  s->word = cursor.at;
  s->word_length = word_length(cursor.at);
  size_t head = 0;
  while (head < s->word_length && s->word[head] != '.' && s->word[head] != '-')
    head++;
  s->row = find_word(builder, s->word, head);
  char *rest = text + (cursor.at + s->word_length - text);
  blank_notes(rest);
  PFL_TRY(read_predicate(builder, rest, s));
  s->rest.at = rest;
  listing_skip(&s->rest);
  return PFL_STATUS_OK;
}

/* ---- What it does -------------------------------------------------------- */

static const vliw_value no_value = {{-1, -1}, -1, 0, {0, 0}};

static uint8_t type_of(const listing_slot *s) {
  return listing_slot_has(s, "f32")   ? VLIW_F32
         : listing_slot_has(s, "s32") ? VLIW_S32
                                      : VLIW_U32;
}

static pfl_status read_comparison(listing_builder *builder,
                                  const listing_slot *s,
                                  uint8_t *out_comparison) {
  static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
  for (uint8_t i = 0; i < 6; i++)
    if (listing_slot_has(s, names[i])) {
      *out_comparison = i;
      return PFL_STATUS_OK;
    }
  return listing_wrong(builder, "'%.*s' compares in no known way",
                       (int)s->word_length, s->word);
}

/* The name before a '='; "" if the argument has none. */
static void take_name(listing_cursor *cursor, char out_name[32]) {
  size_t length = 0;
  listing_skip(cursor);
  const char *at = cursor->at;
  while ((at[length] >= 'a' && at[length] <= 'z') || at[length] == '_' ||
         (length && at[length] >= '0' && at[length] <= '9'))
    length++;
  bool named = length && length < 32 && at[length] == '=';
  memcpy(out_name, at, named ? length : 0);
  out_name[named ? length : 0] = 0;
  if (named) cursor->at += length + 1;
}

static pfl_status read_arguments(listing_builder *builder, listing_slot *s,
                                 vliw_instruction *instruction) {
  while (*s->rest.at && instruction->argument_count < 3) {
    char name[32];
    take_name(&s->rest, name);
    PFL_TRY(listing_value_read(
        builder, &s->rest,
        &instruction->arguments[instruction->argument_count++]));
    listing_take(&s->rest, ",");
    listing_skip(&s->rest);
  }
  return PFL_STATUS_OK;
}

static schedule_space space_of(const char *name, size_t length) {
  static const char *const names[] = {[SCHEDULE_HBM] = "hbm",
                                      [SCHEDULE_VMEM] = "vmem",
                                      [SCHEDULE_SMEM] = "smem",
                                      [SCHEDULE_SFLAG] = "sflag"};
  for (int i = SCHEDULE_HBM; i < SCHEDULE_SPACES; i++)
    if (strlen(names[i]) == length && !memcmp(name, names[i], length))
      return (schedule_space)i;
  return SCHEDULE_NOWHERE;
}

/* "dma.hbm_to_vmem" says the spaces; "dma.general" does not. */
static void read_spaces(const listing_slot *s, vliw_dma *dma) {
  const char *from = s->word + 4, *end = s->word + s->word_length;
  dma->general = listing_slot_has(s, "general");
  for (const char *at = from; at + 4 <= end; at++)
    if (!memcmp(at, "_to_", 4)) {
      size_t length = 0;
      while (at + 4 + length < end && at[4 + length] != '.') length++;
      dma->from = space_of(from, (size_t)(at - from));
      dma->to = space_of(at + 4, length);
    }
}

/* Where a pointer points, if int_to_ptr told. */
static schedule_space pointed(const listing_builder *builder,
                              const vliw_value *value) {
  uint16_t meaning =
      value->registers[0] < 0 ? 0 : listing_name_get(builder, value->names[0]);
  return meaning < SCHEDULE_SPACES ? (schedule_space)meaning : SCHEDULE_NOWHERE;
}

static pfl_status read_dma(listing_builder *builder, listing_slot *s,
                           vliw_instruction *instruction) {
  vliw_dma dma = {.source = no_value,
                  .destination = no_value,
                  .size = no_value,
                  .flag = no_value,
                  .source_flag = no_value,
                  .target = no_value};
  int addresses = 0, sizes = 0;
  read_spaces(s, &dma);
  while (*s->rest.at) {
    char name[32];
    vliw_value value;
    take_name(&s->rest, name);
    PFL_TRY(listing_value_read(builder, &s->rest, &value));
    if (!strcmp(name, "size_in_granules")) {
      dma.size = value;
      sizes++;
    } else if (!strcmp(name, "dst_syncflagno")) {
      dma.flag = value;
    } else if (!strcmp(name, "src_syncflagno")) {
      dma.source_flag = value;
    } else if (!strcmp(name, "overrides")) {
      dma.target = value;
    } else if (space_of(name, strlen(name)) || !strcmp(name, "src") ||
               !strcmp(name, "dst")) {
      *(addresses++ ? &dma.destination : &dma.source) = value;
    }
    listing_take(&s->rest, ",");
    listing_skip(&s->rest);
  }
  listing_symbol_space(builder, dma.flag.symbol, SCHEDULE_SFLAG);
  listing_symbol_space(builder, dma.source_flag.symbol, SCHEDULE_SFLAG);
  if (addresses != 2 || sizes != 1)
    return listing_wrong(builder,
                         "a DMA has %d addresses and %d sizes: must "
                         "be 2 and 1",
                         addresses, sizes);
  if (!dma.from) dma.from = pointed(builder, &dma.source);
  if (!dma.to) dma.to = pointed(builder, &dma.destination);
  instruction->extra = (uint32_t)LISTING_COUNT(builder, DMAS, vliw_dma);
  LISTING_ADD(builder, DMAS, dma);
  return PFL_STATUS_OK;
}

static pfl_status read_call(listing_builder *builder, listing_slot *s,
                            vliw_instruction *instruction) {
  vliw_call call = {
      .callee = "",
      .arguments = (uint32_t)LISTING_COUNT(builder, ARGUMENTS, vliw_value)};
  while (*s->rest.at && *s->rest.at != '@') {
    vliw_value value;
    PFL_TRY(listing_value_read(builder, &s->rest, &value));
    LISTING_ADD(builder, ARGUMENTS, value);
    call.argument_count++;
    listing_take(&s->rest, ",");
    listing_skip(&s->rest);
  }
  if (listing_take(&s->rest, "@"))
    call.callee = schedule_program_keep(builder->program, s->rest.at,
                                        strcspn(s->rest.at, " "));
  instruction->extra = (uint32_t)LISTING_COUNT(builder, CALLS, vliw_call);
  LISTING_ADD(builder, CALLS, call);
  return PFL_STATUS_OK;
}

static pfl_status read_branch(listing_builder *builder, listing_slot *s,
                              vliw_instruction *instruction) {
  const char *target = strstr(s->rest.at, "$region");
  char *end = NULL;
  if (target) instruction->extra = (uint32_t)strtoul(target + 7, &end, 10);
  if (!target || end == target + 7)
    return listing_wrong(builder, "'%.*s' goes to no region",
                         (int)s->word_length, s->word);
  return PFL_STATUS_OK;
}

/* A move between registers that the allocator made of a pointer's type. */
static pfl_status read_alias(listing_builder *builder, listing_slot *s,
                             vliw_instruction *instruction) {
  const char *stop = memchr(s->word, '.', s->word_length);
  if (stop && s->writes) {
    schedule_space space =
        space_of(stop + 1, s->word_length - (size_t)(stop + 1 - s->word));
    PFL_TRY(listing_name_set(builder, s->destination.name, (uint16_t)space));
  }
  return read_arguments(builder, s, instruction);
}

static pfl_status read_by_action(listing_builder *builder, listing_slot *s,
                                 vliw_instruction *instruction) {
  switch ((vliw_action)instruction->action) {
    case VLIW_BRANCH: return read_branch(builder, s, instruction);
    case VLIW_DMA: return read_dma(builder, s, instruction);
    case VLIW_CALL: return read_call(builder, s, instruction);
    case VLIW_ALIAS: return read_alias(builder, s, instruction);
    case VLIW_FLAG_ADD:
      instruction->remote = listing_slot_has(s, "remote");
      return read_arguments(builder, s, instruction);
    case VLIW_COMPARE:
      PFL_TRY(read_comparison(builder, s, &instruction->comparison));
      return read_arguments(builder, s, instruction);
    case VLIW_WAIT:
      instruction->comparison = VLIW_GE;
      instruction->transfer = !strncmp(s->word, "dma", 3);
      if (!instruction->transfer)
        PFL_TRY(read_comparison(builder, s, &instruction->comparison));
      return read_arguments(builder, s, instruction);
    case VLIW_POP_SCALAR:
      instruction->transfer = listing_slot_has(s, "sfrf");
      return PFL_STATUS_OK;
    case VLIW_HALT:
    case VLIW_PHI:
    case VLIW_UNKNOWN: return PFL_STATUS_OK;
    default: return read_arguments(builder, s, instruction);
  }
}

/* "scalar_lea.sflag [#allocation4], %s1_s2" tells where that is. */
static void note_spaces(listing_builder *builder, const listing_slot *s,
                        const vliw_instruction *instruction) {
  vliw_action action = (vliw_action)instruction->action;
  const char *stop = memchr(s->word, '.', s->word_length);
  schedule_space space = SCHEDULE_NOWHERE;
  if (action >= VLIW_WAIT && action <= VLIW_FLAG_READ)
    space = SCHEDULE_SFLAG;
  else if (action == VLIW_ADD && stop)
    space = space_of(stop + 1, s->word_length - (size_t)(stop + 1 - s->word));
  listing_symbol_space(builder, instruction->arguments[0].symbol, space);
}

/* How many arguments an action takes, at least. */
static int arguments_needed(vliw_action action) {
  switch (action) {
    case VLIW_SELECT: return 3;
    case VLIW_MOVE:
    case VLIW_PRED_NOT:
    case VLIW_PRED_MOVE:
    case VLIW_LOAD:
    case VLIW_FLAG_READ:
    case VLIW_ALIAS:
    case VLIW_LEADING_ZEROS: return 1;
    case VLIW_BRANCH:
    case VLIW_HALT:
    case VLIW_DMA:
    case VLIW_CALL:
    case VLIW_POP_SCALAR:
    case VLIW_PARAMETER:
    case VLIW_RELOCATION:
    case VLIW_PHI:
    case VLIW_UNKNOWN: return 0;
    default: return 2;
  }
}

static bool is_sync(vliw_action action) {
  return action >= VLIW_DMA && action <= VLIW_CALL && action != VLIW_POP_SCALAR;
}

static pfl_status add_instruction(listing_builder *builder, listing_slot *s,
                                  vliw_action action) {
  vliw_instruction instruction = {.action = (uint8_t)action,
                                  .type = type_of(s),
                                  .negated = s->negated,
                                  .predicate = s->predicate,
                                  .predicate_name = s->predicate_name,
                                  .destination = s->destination.number,
                                  .destination_name = s->destination.name};
  if (instruction.destination >= VLIW_VECTORS) instruction.destination = -1;
  for (int i = 0; i < 3; i++) instruction.arguments[i] = no_value;
  PFL_TRY(read_by_action(builder, s, &instruction));
  if (instruction.argument_count < arguments_needed(action))
    return listing_wrong(builder, "'%.*s' has %d arguments: needs %d",
                         (int)s->word_length, s->word,
                         instruction.argument_count, arguments_needed(action));
  note_spaces(builder, s, &instruction);
  LISTING_ADD(builder, INSTRUCTIONS, instruction);
  builder->bundle.instruction_count++;
  builder->bundle.syncs |= is_sync(action);
  return PFL_STATUS_OK;
}

/* ---- All of it ----------------------------------------------------------- */

static void count_unknown(listing_builder *builder, const listing_slot *s) {
  base_text *list = &builder->program->lists[SCHEDULE_LIST_UNKNOWN];
  schedule_unknown *known = (schedule_unknown *)list->bytes;
  size_t count = list->length / sizeof *known;
  for (size_t i = 0; i < count; i++)
    if (!strncmp(known[i].name, s->word, s->word_length) &&
        !known[i].name[s->word_length]) {
      known[i].count++;
      return;
    }
  schedule_unknown fresh = {
      schedule_program_keep(builder->program, s->word, s->word_length), 1};
  if (fresh.name) LISTING_ADD(builder, UNKNOWN, fresh);
}

/* Of words that one row of the table cannot tell apart, what this one is. */
static vliw_action refine(const listing_slot *s, vliw_action action) {
  if (action == VLIW_DMA && listing_slot_has(s, "done"))
    return listing_slot_has(s, "wait") ? VLIW_WAIT : VLIW_UNKNOWN;
  if (action == VLIW_FLAG_SET && listing_slot_has(s, "done"))
    return VLIW_NOTHING;
  if (action == VLIW_WAIT &&
      (listing_slot_has(s, "done") || listing_slot_has(s, "notdone")))
    return VLIW_UNKNOWN;
  if (action == VLIW_MUL && listing_slot_has(s, "u64")) return VLIW_MULHI;
  return action;
}

pfl_status listing_slot_add(listing_builder *builder, char *text) {
  listing_slot s;
  PFL_TRY(split(builder, text, &s));
  vliw_action action =
      s.row ? refine(&s, (vliw_action)s.row->action) : VLIW_UNKNOWN;
  if (action == VLIW_UNKNOWN) count_unknown(builder, &s);
  if (action == VLIW_OPERAND) return PFL_STATUS_OK; /* read before */
  if (action == VLIW_DELAY) {
    long cycles = strtol(s.rest.at, NULL, 10);
    if (cycles < 0 || cycles + builder->bundle.delay > UINT16_MAX)
      return listing_wrong(builder, "a delay of %ld cycles", cycles);
    builder->bundle.delay = (uint16_t)(builder->bundle.delay + cycles);
    return PFL_STATUS_OK;
  }
  if (action != VLIW_PHI && action != VLIW_ALIAS) {
    PFL_TRY(listing_reads_add(builder, &s));
    if (action != VLIW_DMA)
      listing_effect_add(builder, &s, action, s.row ? s.row->latency : 2);
  }
  if (s.never) return PFL_STATUS_OK;
  bool scalar_result =
      s.destination.number >= 0 && s.destination.number < VLIW_VECTORS;
  if (action < VLIW_NOTHING || (action == VLIW_UNKNOWN && scalar_result))
    return add_instruction(builder, &s, action);
  return PFL_STATUS_OK;
}

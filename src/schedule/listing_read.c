/* A listing and the files beside it, into a program. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "schedule/listing_builder.h"

#define LISTING_BYTES_MAX ((int64_t)1 << 30)
#define SLOTS_MAX 64 /* more than any bundle holds */

/* ---- What the other files share ------------------------------------------ */

static const char *const unit_names[] = {
#define UNIT_NAME(name, word, slots) word,
    SCHEDULE_UNIT_LIST(UNIT_NAME)
#undef UNIT_NAME
};
static const int unit_slots[] = {
#define UNIT_SLOTS(name, word, slots) slots,
    SCHEDULE_UNIT_LIST(UNIT_SLOTS)
#undef UNIT_SLOTS
};

const char *schedule_unit_name(schedule_unit unit) { return unit_names[unit]; }

int schedule_unit_slots(schedule_unit unit) { return unit_slots[unit]; }

pfl_status listing_wrong(const listing_builder *builder, const char *format,
                         ...) {
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  PFL_RAISE(builder->error, INVALID_ARGUMENT, "%.200s: bundle 0x%llx: %s",
            builder->lexer.path, (long long)builder->lexer.bundle.number, what);
}

char *schedule_program_keep(schedule_program *program, const char *bytes,
                            size_t length) {
  base_text *strings = &program->lists[SCHEDULE_LIST_STRINGS];
  char *copy = base_allocate(&program->allocator, length + 1);
  if (!copy) {
    strings->failed = true;
    return NULL;
  }
  memcpy(copy, bytes, length);
  copy[length] = 0;
  base_text_add(strings, (const char *)&copy, sizeof copy);
  if (!strings->failed) return copy;
  base_release(&program->allocator, copy);
  return NULL;
}

pfl_status listing_name_set(listing_builder *builder, uint32_t name,
                            uint16_t meaning) {
  static const uint16_t none[256];
  while (builder->names.length <= name * sizeof meaning &&
         !builder->names.failed)
    base_text_add(&builder->names, (const char *)none, sizeof none);
  PFL_TRY(base_text_check(&builder->names, builder->error));
  ((uint16_t *)builder->names.bytes)[name] = meaning;
  return PFL_STATUS_OK;
}

uint16_t listing_name_get(const listing_builder *builder, uint32_t name) {
  return builder->names.length > name * sizeof(uint16_t)
             ? ((const uint16_t *)builder->names.bytes)[name]
             : 0;
}

pfl_status listing_symbol_find(listing_builder *builder, const char *name,
                               size_t length, int32_t *out_symbol) {
  const schedule_symbol *symbols =
      (const schedule_symbol *)builder->program->lists[SCHEDULE_LIST_SYMBOLS]
          .bytes;
  int64_t count = LISTING_COUNT(builder, SYMBOLS, schedule_symbol);
  for (int64_t i = 0; i < count; i++)
    if (!strncmp(symbols[i].name, name, length) && !symbols[i].name[length]) {
      *out_symbol = (int32_t)i;
      return PFL_STATUS_OK;
    }
  schedule_symbol fresh = {
      .name = schedule_program_keep(builder->program, name, length),
      .spill = length > 6 && !memcmp(name + length - 6, "_spill", 6),
      .tag = ""};
  if (!fresh.name || count >= INT32_MAX)
    PFL_RAISE(builder->error, RESOURCE_EXHAUSTED, "no memory for a symbol");
  LISTING_ADD(builder, SYMBOLS, fresh);
  *out_symbol = (int32_t)count;
  return base_text_check(&builder->program->lists[SCHEDULE_LIST_SYMBOLS],
                         builder->error);
}

/* ---- Bundles ------------------------------------------------------------- */

static pfl_status add_slots(listing_builder *builder) {
  const base_text *body = &builder->lexer.bundle.body;
  int count = 0;
  for (size_t at = 0; at < body->length;) {
    char *slot = body->bytes + at;
    at += strlen(slot) + 1;
    while (*slot == ' ') slot++;
    if (!*slot) continue;
    if (++count > SLOTS_MAX)
      return listing_wrong(builder, "more than %d slots", SLOTS_MAX);
    PFL_TRY(listing_slot_add(builder, slot));
  }
  return PFL_STATUS_OK;
}

static int32_t find_file(listing_builder *builder, const char *name,
                         size_t length) {
  char *const *files =
      (char *const *)builder->program->lists[SCHEDULE_LIST_FILES].bytes;
  int64_t count = LISTING_COUNT(builder, FILES, char *);
  for (int64_t i = 0; i < count; i++)
    if (!strncmp(files[i], name, length) && !files[i][length])
      return (int32_t)i;
  char *fresh = schedule_program_keep(builder->program, name, length);
  if (fresh) LISTING_ADD(builder, FILES, fresh); /* else told at the end */
  return (int32_t)count;
}

static void add_lines(listing_builder *builder) {
  const base_text *places = &builder->lexer.bundle.places;
  const listing_place *place = (const listing_place *)places->bytes;
  size_t count = places->length / sizeof *place;
  for (size_t i = 0; i < count && i < SLOTS_MAX; i++) {
    vliw_line line = {find_file(builder, place[i].file, place[i].file_length),
                      place[i].line};
    LISTING_ADD(builder, LINES, line);
    builder->bundle.line_count++;
  }
}

/* A region may be entered only by its number, which branches give. */
static pfl_status add_regions(listing_builder *builder) {
  const base_text *starts = &builder->lexer.bundle.starts;
  base_text *regions = &builder->program->lists[SCHEDULE_LIST_REGIONS];
  for (size_t i = 0; i < starts->length / sizeof(int64_t); i++) {
    int64_t region = ((const int64_t *)starts->bytes)[i], nowhere = -1;
    if (region >= LISTING_BUNDLES_MAX)
      return listing_wrong(builder, "region %lld", (long long)region);
    while (LISTING_COUNT(builder, REGIONS, int64_t) <= region &&
           !regions->failed)
      LISTING_ADD(builder, REGIONS, nowhere);
    PFL_TRY(base_text_check(regions, builder->error));
    ((int64_t *)regions->bytes)[region] =
        LISTING_COUNT(builder, BUNDLES, vliw_bundle);
  }
  return PFL_STATUS_OK;
}

static pfl_status add_bundle(listing_builder *builder) {
  int64_t index = LISTING_COUNT(builder, BUNDLES, vliw_bundle);
  if (builder->lexer.bundle.number != index)
    return listing_wrong(builder, "bundle 0x%llx must stand here",
                         (long long)index);
  if (index >= LISTING_BUNDLES_MAX)
    return listing_wrong(builder, "a listing of more than %d bundles",
                         LISTING_BUNDLES_MAX);
  builder->bundle = (vliw_bundle){
      .effects = (uint32_t)LISTING_COUNT(builder, EFFECTS, vliw_effect),
      .reads = (uint32_t)LISTING_COUNT(builder, READS, uint8_t),
      .instructions =
          (uint32_t)LISTING_COUNT(builder, INSTRUCTIONS, vliw_instruction),
      .lines = (uint32_t)LISTING_COUNT(builder, LINES, vliw_line)};
  PFL_TRY(add_regions(builder));
  PFL_TRY(add_slots(builder));
  add_lines(builder);
  LISTING_ADD(builder, BUNDLES, builder->bundle);
  return PFL_STATUS_OK;
}

static pfl_status check_lists(const schedule_program *program,
                              pfl_error *error) {
  for (int i = 0; i < SCHEDULE_LISTS; i++)
    PFL_TRY(base_text_check(&program->lists[i], error));
  return PFL_STATUS_OK;
}

static pfl_status add_bundles(listing_builder *builder) {
  bool found = true, last = false;
  while (found) {
    PFL_TRY(listing_next(&builder->lexer, &found, builder->error));
    if (found) PFL_TRY(add_bundle(builder));
    if (found) last = builder->lexer.bundle.last;
    if (found)
      builder->open_end = builder->lexer.bundle.fallthrough &&
                          !builder->lexer.bundle.starts.length;
    PFL_TRY(check_lists(builder->program, builder->error));
  }
  if (!LISTING_COUNT(builder, BUNDLES, vliw_bundle))
    PFL_RAISE(builder->error, INVALID_ARGUMENT,
              "%.300s is no listing: it must be a *-final_bundles.txt of "
              "libtpu, and has no bundle",
              builder->lexer.path);
  builder->open_end =
      builder->lexer.bundle.fallthrough && !builder->lexer.bundle.starts.length;
  if (!last)
    PFL_RAISE(builder->error, INVALID_ARGUMENT,
              "%.300s: the listing has no exit after bundle 0x%llx: it is cut "
              "short",
              builder->lexer.path, (long long)builder->lexer.bundle.number);
  return PFL_STATUS_OK;
}

/* ---- The program --------------------------------------------------------- */

#define GET(program, field, counter, list, type)                \
  do {                                                          \
    base_text *got = &(program)->lists[SCHEDULE_LIST_##list];   \
    (program)->field = (type *)got->bytes;                      \
    (program)->counter = (int64_t)(got->length / sizeof(type)); \
  } while (0)

static void fill_fields(schedule_program *program) {
  GET(program, bundles, bundle_count, BUNDLES, vliw_bundle);
  GET(program, effects, effect_count, EFFECTS, vliw_effect);
  GET(program, reads, read_count, READS, uint8_t);
  GET(program, instructions, instruction_count, INSTRUCTIONS, vliw_instruction);
  GET(program, dmas, dma_count, DMAS, vliw_dma);
  GET(program, calls, call_count, CALLS, vliw_call);
  GET(program, call_arguments, call_argument_count, ARGUMENTS, vliw_value);
  GET(program, lines, line_count, LINES, vliw_line);
  GET(program, files, file_count, FILES, char *);
  GET(program, regions, region_count, REGIONS, int64_t);
  GET(program, operands, operand_count, OPERANDS, schedule_operand);
  GET(program, symbols, symbol_count, SYMBOLS, schedule_symbol);
  GET(program, unknown, unknown_count, UNKNOWN, schedule_unknown);
}

/* The bundle that a branch to the region goes to; -1: it is not there. The
 * mark of a region that is the exit is lost: "exit bundle" stands in its place.
 */
static int64_t find_region(const listing_builder *builder, uint32_t region) {
  const schedule_program *program = builder->program;
  if (region < program->region_count && program->regions[region] >= 0)
    return program->regions[region];
  return builder->open_end ? program->bundle_count - 1 : -1;
}

/* Every branch goes to a region that is there. */
static pfl_status check_branches(listing_builder *builder) {
  const schedule_program *program = builder->program;
  for (int64_t b = 0; b < program->bundle_count; b++) {
    const vliw_bundle *bundle = &program->bundles[b];
    for (int i = 0; i < bundle->instruction_count; i++) {
      vliw_instruction *instruction =
          &program->instructions[bundle->instructions + (uint32_t)i];
      if (instruction->action != VLIW_BRANCH) continue;
      int64_t target = find_region(builder, instruction->extra);
      builder->lexer.bundle.number = b;
      if (target < 0)
        return listing_wrong(builder, "goes to region %u, which is not there",
                             instruction->extra);
      instruction->extra = (uint32_t)target;
    }
  }
  return PFL_STATUS_OK;
}

static pfl_status build(listing_builder *builder, const schedule_texts *texts) {
  schedule_program *program = builder->program;
  listing_words_prepare(builder);
  PFL_TRY(listing_operands_find(builder));
  PFL_TRY(add_bundles(builder));
  fill_fields(program);
  PFL_TRY(check_branches(builder));
  if (texts->utilization)
    PFL_TRY(listing_read_utilization(program, texts->utilization,
                                     texts->utilization_length,
                                     builder->error));
  if (texts->allocations)
    PFL_TRY(listing_read_allocations(program, texts->allocations,
                                     texts->allocations_length,
                                     builder->error));
  listing_place_symbols(program);
  return PFL_STATUS_OK;
}

static bool ends_in(const char *text, size_t length, const char *end) {
  size_t n = strlen(end);
  return length >= n && !memcmp(text + length - n, end, n);
}

/* ".../1795-flash_forward.1-72-final_bundles.txt" is "flash_forward.1". */
static pfl_status name_program(schedule_program *program, const char *path,
                               pfl_error *error) {
  const char *name = strrchr(path, '/');
  name = name ? name + 1 : path;
  size_t digits = strspn(name, "0123456789");
  if (digits && name[digits] == '-') name += digits + 1;
  size_t length = strlen(name);
  static const char end[] = "-final_bundles.txt";
  if (ends_in(name, length, end)) {
    length -= sizeof end - 1;
    size_t stage = length;
    while (stage && name[stage - 1] >= '0' && name[stage - 1] <= '9') stage--;
    if (stage && stage < length && name[stage - 1] == '-') length = stage - 1;
  }
  program->path = schedule_program_keep(program, path, strlen(path));
  program->name = schedule_program_keep(program, name, length);
  program->top = program->name && !strcmp(program->name, "TLP");
  return base_text_check(&program->lists[SCHEDULE_LIST_STRINGS], error);
}

pfl_status schedule_program_parse(const schedule_texts *texts,
                                  const pfl_allocator *allocator,
                                  schedule_program **out_program,
                                  pfl_error *error) {
  schedule_program *program = base_allocate(allocator, sizeof *program);
  *out_program = NULL;
  if (!program) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a program");
  *program = (schedule_program){.allocator = *allocator};
  for (int i = 0; i < SCHEDULE_LISTS; i++)
    program->lists[i].allocator = *allocator;
  listing_builder builder = {.program = program,
                             .lexer = {.path = texts->path,
                                       .text = texts->listing,
                                       .length = texts->listing_length,
                                       .line = 1},
                             .error = error};
  pfl_status status = name_program(program, texts->path, error);
  if (!status) status = build(&builder, texts);
  listing_lexer_release(&builder.lexer);
  base_text_release(&builder.names);
  if (status)
    schedule_program_destroy(program);
  else
    *out_program = program;
  return status;
}

void schedule_program_destroy(schedule_program *program) {
  if (!program) return;
  pfl_allocator allocator = program->allocator;
  base_text *strings = &program->lists[SCHEDULE_LIST_STRINGS];
  for (size_t i = 0; i < strings->length / sizeof(char *); i++)
    base_release(&allocator, ((char **)strings->bytes)[i]);
  for (int i = 0; i < SCHEDULE_LISTS; i++)
    base_text_release(&program->lists[i]);
  base_release(&allocator, program);
}

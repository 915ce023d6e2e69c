/* A chip's memory and the programs it is in. */
#include "schedule/timed_chip.h"

#include <stdio.h>
#include <string.h>

/* ---- Notes for the reader ------------------------------------------------ */

const char *timed_where(const chip *c, char buffer[160]) {
  const chip_frame *frame = &c->frames[c->depth - 1];
  snprintf(buffer, 160, "%.120s: bundle 0x%llx", frame->program->name,
           (long long)frame->pc);
  return buffer;
}

#define WARNINGS_MAX 256 /* kept; of more only the first ones are told */

void timed_warn(chip *c, schedule_warning_kind kind) {
  base_text *list = &c->slice->result->lists[0];
  schedule_warning *warnings = (schedule_warning *)list->bytes;
  size_t count = list->length / sizeof *warnings;
  const chip_frame *frame = timed_top(c);
  for (size_t i = 0; i < count; i++)
    if (warnings[i].kind == kind && warnings[i].bundle == frame->pc &&
        warnings[i].program == frame->program) {
      warnings[i].count++;
      return;
    }
  schedule_warning fresh = {kind, frame->program, frame->pc, 1};
  if (count < WARNINGS_MAX)
    base_text_add(list, (const char *)&fresh, sizeof fresh);
}

void timed_span(chip *c, const schedule_span *span) {
  schedule_result *result = c->slice->result;
  base_text *list = &result->lists[1];
  if (!c->slice->request->span_limit || span->end <= span->start) return;
  if ((int64_t)(list->length / sizeof *span) >= c->slice->request->span_limit)
    result->spans_dropped++;
  else
    base_text_add(list, (const char *)span, sizeof *span);
}

/* ---- Memory -------------------------------------------------------------- */

chip_value timed_symbol(const chip *c, const schedule_program *program,
                        int32_t index) {
  static const uint32_t scoped[SCHEDULE_SPACES] = {
      [SCHEDULE_SMEM] = 0, [SCHEDULE_SFLAG] = CHIP_FLAGS_SCOPED};
  static const uint32_t frame[SCHEDULE_SPACES] = {
      [SCHEDULE_SMEM] = CHIP_SMEM_FRAME, [SCHEDULE_SFLAG] = CHIP_FLAGS_FRAME};
  const schedule_symbol *symbol = &program->symbols[index];
  if (symbol->absolute) return symbol->address;
  return (chip_value)(symbol->address + scoped[symbol->space] +
                      frame[symbol->space] * (uint32_t)(c->depth - 1));
}

chip_value timed_smem_load(const chip *c, chip_value address) {
  if (!timed_known(address)) return address;
  if (address >= CHIP_SMEM_WORDS) return CHIP_UNSET;
  const int64_t *page = c->smem[address / CHIP_PAGE];
  return page && page[address % CHIP_PAGE]
             ? page[address % CHIP_PAGE] - CHIP_BIAS
             : CHIP_UNSET;
}

static int64_t *create_page(const chip *c) {
  int64_t *page = base_allocate(c->slice->allocator, CHIP_PAGE * sizeof *page);
  if (page)
    memset(page, 0, CHIP_PAGE * sizeof *page);
  else
    c->slice->result->lists[0].failed = true; /* told at the end */
  return page;
}

void timed_smem_store(chip *c, chip_value address, chip_value value) {
  if (!timed_known(address) || address >= CHIP_SMEM_WORDS) {
    timed_warn(c, SCHEDULE_WARNING_STORE);
    return;
  }
  int64_t **page = &c->smem[address / CHIP_PAGE];
  if (!*page) *page = create_page(c);
  if (*page) (*page)[address % CHIP_PAGE] = value + CHIP_BIAS;
}

/* What every program finds in SMEM at fixed places, and what the compiler's
 * tags call it. The runtime's part says what a launch that goes well says: run
 * (1; 2 would be to give up), the same launch on all chips, and a seed. */
static chip_value constant_of(const chip *c, const char *tag) {
  const struct {
    const char *words;
    chip_value value;
  } constants[] = {{"core index", 0},
                   {"partition id", 0},
                   {"replica id", c->index},
                   {"chip ID", c->place},
                   {"program descriptor state", 1},
                   {"launch barrier id", 1},
                   {"rng seed", 1}};
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    if (strstr(tag, constants[i].words)) return constants[i].value;
  return CHIP_UNSET;
}

static void set_constants(chip *c, const schedule_program *program) {
  for (int64_t i = 0; i < program->symbol_count; i++) {
    const schedule_symbol *symbol = &program->symbols[i];
    if (!symbol->absolute || symbol->space != SCHEDULE_SMEM) continue;
    chip_value value = constant_of(c, symbol->tag);
    if (timed_known(value)) timed_smem_store(c, symbol->address, value);
  }
}

/* ---- Operands ------------------------------------------------------------ */

static const schedule_input *find_input(const chip *c,
                                        const schedule_program *program,
                                        int64_t operand) {
  const schedule_request *request = c->slice->request;
  if (program->top) return NULL;
  for (int64_t i = 0; i < request->input_count; i++) {
    const schedule_input *input = &request->inputs[i];
    const char *name = input->program ? input->program : "";
    if (input->operand == operand &&
        !strncmp(program->name, name, strlen(name)))
      return input;
  }
  return NULL;
}

/* Where an operand lies if no caller says: one after the other, with room
 * between; VMEM operands above what a kernel has for its own. */
static chip_value choose_address(const schedule_program *program,
                                 int64_t index) {
  const schedule_operand *operand = &program->operands[index];
  int64_t units = 0;
  for (int64_t i = 0; i < index; i++)
    if (program->operands[i].space == operand->space)
      units += base_ceil_div(program->operands[i].bytes, 512) + 64;
  switch (operand->space) {
    case SCHEDULE_HBM: return (chip_value)(uint32_t)((1 << 10) + units);
    case SCHEDULE_VMEM: return (chip_value)(uint32_t)((1 << 17) + units);
    case SCHEDULE_SMEM: return (chip_value)(uint32_t)((1 << 18) + 128 * units);
    default: return CHIP_OPERAND - index;
  }
}

/* Notes where the operand lies and what is known of it. */
static void add_region(chip *c, const schedule_operand *operand,
                       const schedule_input *input, chip_value address) {
  bool words = operand->space == SCHEDULE_SMEM;
  chip_region region = {.space = operand->space,
                        .start = words ? address : 16 * address,
                        .size = base_ceil_div(operand->bytes, words ? 4 : 32),
                        .operand = operand->index,
                        .words = input ? input->words : NULL,
                        .count = input ? input->count : 0};
  base_text_add(&c->regions, (const char *)&region, sizeof region);
  for (int64_t i = 0; words && i < region.size && i < CHIP_SMEM_FRAME; i++)
    timed_smem_store(c, address + i,
                     i < region.count ? (chip_value)region.words[i]
                                      : CHIP_OPERAND - operand->index);
}

static chip_value place_operand(chip *c, const schedule_program *program,
                                int64_t index, const chip_value *arguments,
                                int count) {
  const schedule_operand *operand = &program->operands[index];
  const schedule_input *input = find_input(c, program, operand->index);
  if (operand->space == SCHEDULE_NOWHERE) {
    if (input && input->count) return input->words[0];
    if (operand->index < count) return arguments[operand->index];
    return CHIP_OPERAND - operand->index;
  }
  chip_value address = operand->index < count ? arguments[operand->index]
                                              : choose_address(program, index);
  /* A constant's address is the runtime's, but its contents may be told: they
   * are put where nothing else is. */
  if (!timed_known(address) && input)
    address = (1 << 25) + choose_address(program, index);
  if (timed_known(address)) add_region(c, operand, input, address);
  return address;
}

/* ---- Programs within each other ------------------------------------------ */

static int find_profile(const chip *c, const schedule_program *program) {
  const schedule_request *request = c->slice->request;
  int found = 0;
  for (int64_t i = 0; i < request->program_count; i++)
    if (request->programs[i] == program)
      found = (int)i * c->slice->count + c->index;
  return found;
}

schedule_profile *timed_profile(chip *c) {
  return &c->slice->result->profiles[timed_top(c)->profile];
}

pfl_status timed_enter(chip *c, const schedule_program *program,
                       const chip_value *arguments, int count) {
  if (c->depth == CHIP_FRAMES)
    PFL_RAISE(c->slice->error, INVALID_ARGUMENT,
              "%.100s is called within %d programs: at most %d are",
              program->name, c->depth, CHIP_FRAMES);
  size_t values = (size_t)(VLIW_VECTORS + program->operand_count);
  chip_frame frame = {.program = program,
                      .profile = find_profile(c, program),
                      .jump_at = -1,
                      .started = c->core.now};
  frame.values =
      base_allocate(c->slice->allocator, values * sizeof *frame.values);
  frame.names =
      base_allocate(c->slice->allocator, VLIW_VECTORS * sizeof *frame.names);
  c->frames[c->depth++] = frame;
  if (!frame.values || !frame.names) {
    timed_leave(c);
    PFL_RAISE(c->slice->error, RESOURCE_EXHAUSTED, "no memory for registers");
  }
  for (int i = 0; i < VLIW_VECTORS; i++) frame.values[i] = CHIP_UNSET;
  memset(frame.names, 0, VLIW_VECTORS * sizeof *frame.names);
  set_constants(c, program);
  for (int64_t i = 0; i < program->operand_count; i++)
    frame.values[VLIW_VECTORS + i] =
        place_operand(c, program, i, arguments, count);
  timed_profile(c)->calls++;
  return base_text_check(&c->regions, c->slice->error);
}

void timed_leave(chip *c) {
  chip_frame *frame = timed_top(c);
  schedule_profile *profile = timed_profile(c);
  profile->cycles += c->core.now - frame->started;
  timed_span(c, &(schedule_span){.kind = SCHEDULE_SPAN_PROGRAM,
                                 .chip = c->index,
                                 .to_chip = c->index,
                                 .program = frame->program,
                                 .start = frame->started,
                                 .end = c->core.now});
  base_release(c->slice->allocator, frame->values);
  base_release(c->slice->allocator, frame->names);
  c->depth--;
}

/* ---- Chips --------------------------------------------------------------- */

pfl_status timed_create(chip_slice *slice, int index) {
  chip *c = &slice->chips[index];
  *c = (chip){.slice = slice, .index = index, .free_event = -1};
  /* Our compile options put replica i on device i: 0 and 1 in the first row, 2
   * and 3 in the second. Left to itself, XLA numbers them around the slice. */
  c->place = index;
  core_clock_start(&c->core, &slice->request->model);
  c->events.allocator = c->regions.allocator = *slice->allocator;
  size_t smem = CHIP_PAGES * sizeof *c->smem;
  size_t flags = CHIP_FLAGS * sizeof *c->flags;
  c->smem = base_allocate(slice->allocator, smem);
  c->flags = base_allocate(slice->allocator, flags);
  if (c->smem) memset(c->smem, 0, smem);
  if (!c->smem || !c->flags)
    PFL_RAISE(slice->error, RESOURCE_EXHAUSTED, "no memory for a chip");
  for (int i = 0; i < CHIP_FLAGS; i++) c->flags[i] = (chip_flag){0, -1, -1};
  return timed_enter(c, slice->request->programs[0], NULL, 0);
}

void timed_destroy(chip *c) {
  while (c->depth) timed_leave(c);
  for (int i = 0; c->smem && i < CHIP_PAGES; i++)
    base_release(c->slice->allocator, c->smem[i]);
  base_release(c->slice->allocator, c->smem);
  base_release(c->slice->allocator, c->flags);
  base_text_release(&c->events);
  base_text_release(&c->regions);
}

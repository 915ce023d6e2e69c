/* The files beside a listing: slots by bundle, and allocations. */
#include <string.h>

#include "base/memory.h"
#include "schedule/listing_builder.h"

/* ---- Utilisation --------------------------------------------------------- */

/* A line of SCHEDULE_UNITS small numbers and nothing else. */
static bool read_row(const char *at, const char *end,
                     uint8_t out_row[SCHEDULE_UNITS]) {
  for (int i = 0; i < SCHEDULE_UNITS; i++) {
    int number = 0, digits = 0;
    while (at < end && *at == ' ') at++;
    for (; at < end && *at >= '0' && *at <= '9' && digits < 3; digits++)
      number = 10 * number + (*at++ - '0');
    if (!digits || number > UINT8_MAX) return false;
    out_row[i] = (uint8_t)number;
  }
  while (at < end && (*at == ' ' || *at == '\r')) at++;
  return at == end;
}

/* The file begins with how many slots of each kind a bundle has: the rows'
 * first is that of the capacities. */
static pfl_status check_chip(const schedule_program *program, const char *text,
                             const char *end, pfl_error *error) {
  uint8_t row[SCHEDULE_UNITS];
  for (const char *at = text; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    bool found = read_row(at, stop, row);
    at = stop + 1;
    for (int i = 0; found && i < SCHEDULE_UNITS; i++)
      if (row[i] != schedule_unit_slots((schedule_unit)i))
        PFL_RAISE(error, INVALID_ARGUMENT,
                  "%.300s is of another chip than a v5e: its bundles have %d "
                  "slots for %s, a v5e's %d",
                  program->path, row[i], schedule_unit_name((schedule_unit)i),
                  schedule_unit_slots((schedule_unit)i));
  }
  return PFL_STATUS_OK;
}

pfl_status listing_read_utilization(schedule_program *program, const char *text,
                                    size_t length, pfl_error *error) {
  static const char title[] = "== UTILIZATION:";
  base_text *list = &program->lists[SCHEDULE_LIST_SLOTS];
  const char *end = text + length, *at = listing_find(text, length, title);
  int64_t rows = 0;
  PFL_TRY(check_chip(program, text, at ? at : end, error));
  for (at = at ? at + sizeof title - 1 : end; at < end;) {
    uint8_t row[SCHEDULE_UNITS];
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    if (read_row(at, stop, row)) {
      base_text_add(list, (const char *)row, sizeof row);
      rows++;
    }
    at = stop + 1;
  }
  PFL_TRY(base_text_check(list, error));
  if (rows != program->bundle_count)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.300s has %lld bundles and the utilisation file beside it %lld "
              "rows: they must be of one dump, and whole",
              program->path, (long long)program->bundle_count, (long long)rows);
  program->slots = (uint8_t(*)[SCHEDULE_UNITS])list->bytes;
  return PFL_STATUS_OK;
}

/* ---- Allocations --------------------------------------------------------- */

/* Bytes, or one sync flag's, of an address in each space. */
static const uint32_t units[SCHEDULE_SPACES] = {[SCHEDULE_NOWHERE] = 1,
                                                [SCHEDULE_HBM] = 512,
                                                [SCHEDULE_VMEM] = 512,
                                                [SCHEDULE_SMEM] = 4,
                                                [SCHEDULE_SFLAG] = 4};

/* What follows `key` on the line; NULL if it is not there. */
static const char *find_field(const char *line, size_t length,
                              const char *key) {
  const char *hit = listing_find(line, length, key);
  return hit ? hit + strlen(key) : NULL;
}

/* "0x1c" or "0"; -1 if it is not there. */
static int64_t read_size(const char *line, size_t length, const char *key) {
  const char *at = find_field(line, length, key), *end = line + length;
  if (!at) return -1;
  bool hexadecimal = end - at > 1 && at[0] == '0' && at[1] == 'x';
  if (hexadecimal) at += 2;
  int64_t number = 0;
  for (int i = 0; i < 15 && at < end; i++, at++) {
    char c = *at;
    int digit = c >= '0' && c <= '9'                  ? c - '0'
                : c >= 'a' && c <= 'f' && hexadecimal ? c - 'a' + 10
                                                      : -1;
    if (digit < 0) break;
    number = (hexadecimal ? 16 : 10) * number + digit;
  }
  return number;
}

static schedule_space read_space(const char *line, size_t length) {
  static const char *const keys[] = {[SCHEDULE_HBM] = "space=hbm,",
                                     [SCHEDULE_VMEM] = "space=vmem,",
                                     [SCHEDULE_SMEM] = "space=smem,",
                                     [SCHEDULE_SFLAG] = "space=sflag,"};
  for (int i = SCHEDULE_HBM; i < SCHEDULE_SPACES; i++)
    if (find_field(line, length, keys[i])) return (schedule_space)i;
  return SCHEDULE_NOWHERE;
}

static schedule_symbol *find_symbol(schedule_program *program, const char *name,
                                    size_t length) {
  for (int64_t i = 0; i < program->symbol_count; i++) {
    schedule_symbol *symbol = &program->symbols[i];
    if (!strncmp(symbol->name, name, length) && !symbol->name[length])
      return symbol;
  }
  return NULL;
}

static void place(schedule_program *program, schedule_symbol *symbol,
                  schedule_space space, const char *line, size_t length) {
  int64_t offset = read_size(line, length, "offset = ");
  const char *tag = find_field(line, length, "tag = '");
  const char *end =
      tag ? memchr(tag, '\'', (size_t)(line + length - tag)) : NULL;
  symbol->space = space;
  symbol->size = read_size(line, length, "size = ");
  symbol->absolute = find_field(line, length, "fixed_abs") != NULL;
  symbol->placed = offset >= 0 && offset / units[space] <= INT32_MAX;
  if (symbol->placed) symbol->address = (uint32_t)(offset / units[space]);
  if (end)
    symbol->tag = schedule_program_keep(program, tag, (size_t)(end - tag));
}

/* One line of the file: "  #allocation4 [shape = 's32[2]{0}', space=sflag,
 * size = 0x8, offset = 0x4, scoped, tag = 'scratch operand']". */
static void read_allocation(schedule_program *program, const char *line,
                            size_t length) {
  const char *name = memchr(line, '#', length);
  const char *end =
      name ? memchr(name, ' ', (size_t)(line + length - name)) : NULL;
  if (!end || !find_field(end, (size_t)(line + length - end), "[shape = '"))
    return;
  schedule_space space = read_space(line, length);
  int64_t size = read_size(line, length, "size = ");
  int64_t offset = read_size(line, length, "offset = ");
  bool absolute = find_field(line, length, "fixed_abs") != NULL;
  int64_t *total = space == SCHEDULE_VMEM   ? &program->vmem_bytes
                   : space == SCHEDULE_SMEM ? &program->smem_bytes
                                            : NULL;
  if (total && !absolute && size > 0 && offset >= 0 && offset + size > *total)
    *total = offset + size;
  schedule_symbol *symbol = find_symbol(program, name, (size_t)(end - name));
  if (symbol) place(program, symbol, space, line, length);
}

pfl_status listing_read_allocations(schedule_program *program, const char *text,
                                    size_t length, pfl_error *error) {
  for (const char *at = text, *end = text + length; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop) stop = end;
    const char *first = at;
    while (first < stop && *first == ' ') first++;
    if (first < stop && *first == '#')
      read_allocation(program, first, (size_t)(stop - first));
    at = stop + 1;
  }
  program->placed = true;
  for (int64_t i = 0; i < program->symbol_count; i++)
    program->placed &= program->symbols[i].placed;
  return base_text_check(&program->lists[SCHEDULE_LIST_STRINGS], error);
}

void listing_place_symbols(schedule_program *program) {
  /* Far enough apart for any array that a kernel indexes. */
  static const uint32_t spacing[SCHEDULE_SPACES] = {
      [SCHEDULE_NOWHERE] = 1 << 18,
      [SCHEDULE_HBM] = 1 << 18,
      [SCHEDULE_VMEM] = 1 << 18,
      [SCHEDULE_SMEM] = 1 << 14,
      [SCHEDULE_SFLAG] = 1 << 6};
  uint32_t next[SCHEDULE_SPACES] = {0}, spills = 0;
  for (int64_t i = 0; i < program->symbol_count; i++) {
    const schedule_symbol *symbol = &program->symbols[i];
    if (!symbol->placed) continue;
    uint32_t end = symbol->address + 1 +
                   (uint32_t)(base_max(symbol->size, 0) / units[symbol->space]);
    next[symbol->space] = end > next[symbol->space] ? end : next[symbol->space];
  }
  for (int64_t i = 0; i < program->symbol_count; i++) {
    schedule_symbol *symbol = &program->symbols[i];
    if (symbol->placed) continue;
    if (symbol->spill) {
      symbol->address = SCHEDULE_SPILLS + spills++;
      continue;
    }
    symbol->address = next[symbol->space];
    next[symbol->space] += spacing[symbol->space];
  }
}

/* Registers, numbers and addresses of a slot. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/listing_builder.h"

void listing_skip(listing_cursor *cursor) {
  while (*cursor->at == ' ') cursor->at++;
}

bool listing_take(listing_cursor *cursor, const char *word) {
  size_t length = strlen(word);
  listing_skip(cursor);
  if (strncmp(cursor->at, word, length)) return false;
  cursor->at += length;
  return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_';
}

/* ---- Registers ----------------------------------------------------------- */

static const struct {
  const char *prefix;
  int first, count;
} files[] = {{"s", VLIW_SCALARS, 32},
             {"p", VLIW_PREDICATES, 16},
             {"vm", VLIW_MASKS, 16},
             {"v", VLIW_VECTORS, 64}};

/* Up to 9 digits; -1 if there are none or more. */
static int64_t take_number(listing_cursor *cursor) {
  int64_t number = 0;
  int digits = 0;
  for (; is_digit(*cursor->at) && digits < 10; digits++)
    number = 10 * number + (*cursor->at++ - '0');
  return digits && digits < 10 ? number : -1;
}

static pfl_status find_register(listing_builder *builder,
                                listing_cursor *cursor,
                                listing_register *out_register) {
  const char *start = cursor->at;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    size_t length = strlen(files[i].prefix);
    if (strncmp(start, files[i].prefix, length) || !is_digit(start[length]))
      continue;
    cursor->at += length;
    int64_t number = take_number(cursor);
    if (number >= 0 && number < files[i].count) {
      out_register->number = (int16_t)(files[i].first + number);
      return PFL_STATUS_OK;
    }
  }
  return listing_wrong(builder, "'%.12s' is no register of a v5e", start);
}

pfl_status listing_register_read(listing_builder *builder,
                                 listing_cursor *cursor,
                                 listing_register *out_register) {
  const char *start = cursor->at;
  listing_skip(cursor);
  if (*cursor->at == '%') cursor->at++;
  while (*cursor->at >= 'a' && *cursor->at <= 'z') cursor->at++;
  int64_t name = take_number(cursor);
  if (name < 0 || name >= LISTING_NAMES_MAX)
    return listing_wrong(builder, "'%.24s' is no name of a value", start);
  *out_register = (listing_register){-1, (uint32_t)name};
  if (*cursor->at != '_') return PFL_STATUS_OK;
  cursor->at++;
  uint16_t meaning = listing_name_get(builder, (uint32_t)name);
  PFL_TRY(find_register(builder, cursor, out_register));
  if (meaning >= 16)
    out_register->number = (int16_t)(VLIW_OPERANDS + meaning - 16);
  return PFL_STATUS_OK;
}

/* ---- Values -------------------------------------------------------------- */

static pfl_status add_register(listing_builder *builder, listing_cursor *cursor,
                               vliw_value *value) {
  listing_register found;
  PFL_TRY(listing_register_read(builder, cursor, &found));
  int place = value->registers[0] >= 0;
  bool vector = found.number >= VLIW_VECTORS && found.number < VLIW_REGISTERS;
  if (found.number < 0 || vector || value->registers[place] >= 0)
    return listing_wrong(builder, "a scalar operand cannot be read");
  value->registers[place] = found.number;
  value->names[place] = found.name;
  return PFL_STATUS_OK;
}

static pfl_status add_symbol(listing_builder *builder, listing_cursor *cursor,
                             vliw_value *value) {
  const char *start = cursor->at++;
  while (is_word(*cursor->at)) cursor->at++;
  if (value->symbol >= 0)
    return listing_wrong(builder, "an address names two allocations");
  return listing_symbol_find(builder, start, (size_t)(cursor->at - start),
                             &value->symbol);
}

static uint32_t float_bits(double number) {
  float single = (float)number;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  return bits;
}

/* "7", "-7", "$0x1f", "0x1f", "0.125", "1e-3", "inf" */
static pfl_status add_number(listing_builder *builder, listing_cursor *cursor,
                             vliw_value *value) {
  const char *start = cursor->at;
  if (*start == '$') start++;
  bool hexadecimal = start[0] == '0' && start[1] == 'x';
  char *end;
  errno = 0;
  long long whole = strtoll(start, &end, hexadecimal ? 16 : 10);
  if (!hexadecimal && (*end == '.' || *end == 'e' || end == start)) {
    double number = base_double_from(start, &end);
    whole = float_bits(number);
  }
  if (end == start || errno || whole < INT32_MIN || whole > UINT32_MAX)
    return listing_wrong(builder, "'%.24s' is no number", start);
  cursor->at = end;
  value->constant += (uint32_t)whole;
  return PFL_STATUS_OK;
}

static pfl_status add_term(listing_builder *builder, listing_cursor *cursor,
                           vliw_value *value) {
  listing_skip(cursor);
  switch (*cursor->at) {
    case '%': return add_register(builder, cursor, value);
    case '#': return add_symbol(builder, cursor, value);
    default: return add_number(builder, cursor, value);
  }
}

void listing_symbol_space(listing_builder *builder, int32_t symbol,
                          schedule_space space) {
  schedule_symbol *symbols =
      (schedule_symbol *)builder->program->lists[SCHEDULE_LIST_SYMBOLS].bytes;
  if (symbol >= 0 && symbols[symbol].space == SCHEDULE_NOWHERE)
    symbols[symbol].space = space;
}

static schedule_space take_space(listing_cursor *cursor) {
  static const char *const words[] = {[SCHEDULE_HBM] = "hbm:",
                                      [SCHEDULE_VMEM] = "vmem:",
                                      [SCHEDULE_SMEM] = "smem:",
                                      [SCHEDULE_SFLAG] = "sflag:"};
  for (int i = SCHEDULE_HBM; i < SCHEDULE_SPACES; i++)
    if (listing_take(cursor, words[i])) return (schedule_space)i;
  return SCHEDULE_NOWHERE;
}

pfl_status listing_value_read(listing_builder *builder, listing_cursor *cursor,
                              vliw_value *out_value) {
  *out_value = (vliw_value){.registers = {-1, -1}, .symbol = -1};
  int brackets = 0;
  schedule_space space = SCHEDULE_NOWHERE;
  while (listing_take(cursor, "[")) {
    brackets++;
    schedule_space found = take_space(cursor);
    if (found) space = found;
  }
  do PFL_TRY(add_term(builder, cursor, out_value));
  while (brackets && listing_take(cursor, "+"));
  for (; brackets; brackets--)
    if (!listing_take(cursor, "]"))
      return listing_wrong(builder, "'%.24s' where an address must end",
                           cursor->at);
  listing_symbol_space(builder, out_value->symbol, space);
  return PFL_STATUS_OK;
}

/* What a slot costs: the registers it waits for, the units it uses. */
#include <string.h>

#include "schedule/listing_slot.h"

/* ---- Registers ----------------------------------------------------------- */

static void add_read(listing_builder *builder, int16_t number) {
  vliw_bundle *bundle = &builder->bundle;
  const uint8_t *reads =
      (const uint8_t *)builder->program->lists[SCHEDULE_LIST_READS].bytes;
  uint8_t byte = (uint8_t)number;
  if (number < 0 || number >= VLIW_REGISTERS) return;
  for (int i = 0; i < bundle->read_count; i++)
    if (reads[bundle->reads + (uint32_t)i] == byte) return;
  LISTING_ADD(builder, READS, byte);
  bundle->read_count++;
}

/* Every register that the slot names is one it waits for. */
pfl_status listing_reads_add(listing_builder *builder, const listing_slot *s) {
  add_read(builder, s->predicate);
  for (listing_cursor cursor = s->rest; *cursor.at;) {
    listing_register found;
    if (*cursor.at != '%') {
      cursor.at++;
      continue;
    }
    const char *name = cursor.at + 1;
    while (*name >= 'a' && *name <= 'z') name++;
    if (*name < '0' || *name > '9') { /* a call's HLO */
      cursor.at++;
      continue;
    }
    PFL_TRY(listing_register_read(builder, &cursor, &found));
    add_read(builder, found.number);
  }
  return PFL_STATUS_OK;
}

/* ---- Units --------------------------------------------------------------- */

/* The number behind "mxu" or "xlu"; -1 if the word names none. */
static int unit_of(const listing_slot *s, const char *name, int count) {
  for (size_t i = 1; i + 3 < s->word_length; i++)
    if (s->word[i - 1] == '.' && !strncmp(s->word + i, name, 3)) {
      int unit = s->word[i + 3] - '0';
      return unit >= 0 && unit < count ? unit : -1;
    }
  return -1;
}

static bool is_int8(const listing_slot *s) {
  return listing_slot_has(s, "s8") || listing_slot_has(s, "u8");
}

/* A row a cycle for f32 and bf16, whose registers hold 8 and 16 rows; int8 has
 * 32 and twice the rate. What comes out has 8 rows a register. */
static void set_matmul(const listing_slot *s, vliw_effect *effect) {
  bool packed = !listing_slot_has(s, "lmr") &&
                (listing_slot_has(s, "bf16") || is_int8(s));
  effect->kind = VLIW_MATMULS;
  effect->cycles = packed ? 16 : 8;
  effect->results = packed && is_int8(s) ? 4 : packed ? 2 : 1;
  effect->alternate = listing_slot_has(s, "vlgmr");
}

static uint8_t xlu_kind(const listing_slot *s) {
  if (strncmp(s->word, "vxpose", 6)) return VLIW_STARTS_XLU;
  if (listing_slot_has(s, "start")) return VLIW_TRANSPOSE_START;
  if (listing_slot_has(s, "cont")) return VLIW_TRANSPOSE_MORE;
  return listing_slot_has(s, "end") ? VLIW_TRANSPOSE_END : VLIW_STARTS_XLU;
}

static uint8_t pop_kind(const listing_slot *s, int mxu, int xlu) {
  if (mxu >= 0) return VLIW_POPS_MXU;
  if (xlu >= 0)
    return listing_slot_has(s, "trf") ? VLIW_POPS_TRANSPOSE : VLIW_POPS_XLU;
  return listing_slot_has(s, "erf") ? VLIW_POPS_EUP : VLIW_WRITES;
}

static vliw_effect effect_of(const listing_slot *s, vliw_action action) {
  int mxu = unit_of(s, "mxu", VLIW_MXUS), xlu = unit_of(s, "xlu", VLIW_XLUS);
  vliw_effect effect = {.unit = (uint8_t)(mxu >= 0 ? mxu : xlu >= 0 ? xlu : 0)};
  if (action == VLIW_MATMUL && mxu >= 0) {
    set_matmul(s, &effect);
  } else if (action == VLIW_MATPUSH && mxu >= 0) {
    effect.kind = VLIW_PUSHES;
    effect.alternate = listing_slot_has(s, "xpose") &&
                       (listing_slot_has(s, "bf16") || is_int8(s));
  } else if (action == VLIW_POP) {
    effect.kind = pop_kind(s, mxu, xlu);
  } else if (action == VLIW_EUP) {
    effect.kind = VLIW_STARTS_EUP;
  } else if (action == VLIW_PUSH_SCALAR) {
    effect.kind = VLIW_STARTS_SCALAR;
  } else if (action == VLIW_POP_SCALAR && !listing_slot_has(s, "sfrf")) {
    effect.kind = VLIW_POPS_SCALAR;
  } else if (xlu >= 0 && strncmp(s->word, "vset.pattern", 12)) {
    effect.kind = xlu_kind(s);
  }
  return effect;
}

void listing_effect_add(listing_builder *builder, const listing_slot *s,
                        vliw_action action, uint8_t latency) {
  vliw_effect effect = effect_of(s, action);
  bool writes =
      s->destination.number >= 0 && s->destination.number < VLIW_REGISTERS;
  if (!writes && effect.kind == VLIW_WRITES) return;
  effect.latency = latency;
  effect.destination =
      (uint8_t)(writes ? s->destination.number : VLIW_REGISTERS);
  LISTING_ADD(builder, EFFECTS, effect);
  builder->bundle.effect_count++;
  builder->bundle.pops |=
      effect.kind >= VLIW_POPS_MXU && effect.kind <= VLIW_POPS_SCALAR;
}

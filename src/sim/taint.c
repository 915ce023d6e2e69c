#include "sim/taint.h"

#include <string.h>

void sim_taint_all(sim_chip *chip, sim_slot out, uint32_t taint) {
  sim_set_taint(chip, out, taint);
  if (out.kind == SIM_VECTOR)
    memset(chip->shadows[out.index], 1, (size_t)out.count);
}

uint8_t *sim_taint_bytes(sim_chip *chip, sim_slot slot) {
  uint8_t *bytes = chip->shadows[slot.index];
  if (!chip->taints[slot.index]) memset(bytes, 0, (size_t)slot.count);
  return bytes;
}

void sim_taint_elements(sim_chip *chip, sim_slot out, int count,
                        const sim_slot *in) {
  uint32_t taint = 0;
  for (int i = 0; i < count && !taint; i++) taint = sim_taint(chip, in[i]);
  if (!taint || out.kind != SIM_VECTOR) {
    sim_set_taint(chip, out, taint);
    return;
  }
  /* out may be one of the operands: element by element */
  uint8_t *to = chip->shadows[out.index];
  const uint8_t *from[3];
  bool all = false;
  int used = 0;
  for (int i = 0; i < count; i++) {
    if (!sim_taint(chip, in[i])) continue;
    if (in[i].kind != SIM_VECTOR)
      all = true;
    else
      from[used++] = chip->shadows[in[i].index];
  }
  if (all) {
    sim_taint_all(chip, out, taint);
    return;
  }
  for (int64_t e = 0; e < out.count; e++) {
    uint8_t any = 0;
    for (int i = 0; i < used; i++) any |= from[i][e];
    to[e] = any;
  }
  sim_set_taint(chip, out, taint);
}

bool sim_decides(sim_chip *chip, const sim_inst *inst, sim_slot slot) {
  sim_scalar *s = &chip->scalars[slot.index];
  if (!s->taint) return true;
  char place[SIM_PLACE_SIZE];
  sim_hazard_add(chip, SIM_HAZARD_UNWRITTEN, inst->site,
                 "decided by what %s read where nothing was written",
                 sim_place(chip->program, (int32_t)s->taint - 1, place));
  s->taint = 0;
  return false;
}

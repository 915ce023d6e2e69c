#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim/chip.h"

const char *sim_hazard_name(sim_hazard_kind kind) {
  static const char *const names[] = {
#define NAME(name, text, meaning) text,
      SIM_HAZARD_LIST(NAME)
#undef NAME
  };
  return kind < SIM_HAZARD_COUNT ? names[kind] : "?";
}

const char *sim_place(const sim_program *program, int32_t site,
                      char text[SIM_PLACE_SIZE]) {
  if (site < 0 || site >= program->site_count) return "the kernel";
  const sim_site *at = &program->sites[site];
  const char *slash = at->file ? strrchr(at->file, '/') : NULL;
  if (at->file)
    snprintf(text, SIM_PLACE_SIZE, "%s at %s:%d", at->op,
             slash ? slash + 1 : at->file, at->line);
  else
    snprintf(text, SIM_PLACE_SIZE, "%s (op %d)", at->op, site);
  return text;
}

/* The same kind at the same op is one hazard, met more than once. */
static sim_hazard *hazard_of(sim_chip *chip, sim_hazard_kind kind,
                             int32_t site) {
  for (int i = 0; i < chip->hazard_count; i++)
    if (chip->hazards[i].kind == kind && chip->hazard_sites[i] == site)
      return &chip->hazards[i];
  if (chip->hazard_count == SIM_HAZARDS_MAX) {
    chip->more_hazards = true;
    return NULL;
  }
  const sim_program *program = chip->program;
  sim_hazard *hazard = &chip->hazards[chip->hazard_count];
  *hazard = (sim_hazard){.kind = kind, .chip = chip->number};
  if (site >= 0 && site < program->site_count) {
    hazard->op = program->sites[site].op;
    hazard->file = program->sites[site].file;
    hazard->line = program->sites[site].line;
  }
  chip->hazard_sites[chip->hazard_count++] = site;
  return hazard;
}

static void add(sim_chip *chip, sim_hazard_kind kind, int32_t site,
                const char *format, va_list arguments) {
  sim_hazard *hazard = hazard_of(chip, kind, site);
  if (!hazard) return;
  if (!hazard->times++)
    vsnprintf(hazard->text, sizeof hazard->text, format, arguments);
}

void sim_hazard_add(sim_chip *chip, sim_hazard_kind kind, int32_t site,
                    const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  add(chip, kind, site, format, arguments);
  va_end(arguments);
}

const sim_inst *sim_hazard_stop(sim_chip *chip, sim_hazard_kind kind,
                                const sim_inst *inst, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  add(chip, kind, inst->site, format, arguments);
  va_end(arguments);
  chip->state = SIM_FAILED;
  chip->pc = inst;
  return NULL;
}

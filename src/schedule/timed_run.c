/* Bundles, one after the other: the clock, then the scalar side. */
#include <math.h>
#include <string.h>

#include "schedule/timed_chip.h"

#define DELAY_SLOTS 4 /* bundles after a branch that execute all the same */
#define SLOTS_MAX 64

/* ---- Predicates ---------------------------------------------------------- */

static void check_name(chip *c, int16_t number, uint32_t name) {
  if (timed_top(c)->names[number] != name) timed_warn(c, SCHEDULE_WARNING_NAME);
}

static pfl_status raise_missing(chip *c, const char *what, chip_value unknown) {
  char where[160];
  PFL_RAISE(c->slice->error, INVALID_ARGUMENT,
            "%s: %s depends on operand %lld, whose contents are not given or "
            "too short",
            timed_where(c, where), what, (long long)(CHIP_OPERAND - unknown));
}

/* Whether the slot executes. A branch under a predicate that nobody knows is
 * not taken; what moves or stores executes. */
static pfl_status test_predicate(chip *c, const vliw_instruction *instruction,
                                 bool *out_executes) {
  chip_frame *frame = timed_top(c);
  *out_executes = true;
  if (instruction->predicate < 0) return PFL_STATUS_OK;
  check_name(c, instruction->predicate, instruction->predicate_name);
  chip_value value = frame->values[instruction->predicate];
  if (timed_known(value)) {
    *out_executes = (value != 0) != instruction->negated;
    return PFL_STATUS_OK;
  }
  switch ((vliw_action)instruction->action) {
    case VLIW_BRANCH:
      if (value <= CHIP_OPERAND) return raise_missing(c, "a branch", value);
      timed_warn(c, SCHEDULE_WARNING_BRANCH);
      *out_executes = false;
      return PFL_STATUS_OK;
    case VLIW_HALT: *out_executes = false; return PFL_STATUS_OK;
    case VLIW_DMA:
    case VLIW_WAIT:
    case VLIW_FLAG_ADD:
    case VLIW_STORE:
      if (value <= CHIP_OPERAND) return raise_missing(c, "a DMA", value);
      timed_warn(c, SCHEDULE_WARNING_PREDICATE);
      return PFL_STATUS_OK;
    default: /* the result is not known either */
      if (instruction->destination >= 0)
        frame->values[instruction->destination] = value;
      *out_executes = false;
      return PFL_STATUS_OK;
  }
}

/* ---- What touches the world outside -------------------------------------- */

/* A sync flag's number; -1 if it is not known. */
static int64_t flag_number(chip *c, const vliw_value *value) {
  chip_value flag = timed_evaluate(c, value);
  if (timed_known(flag)) return flag & (CHIP_FLAGS - 1);
  timed_warn(c, SCHEDULE_WARNING_FLAG);
  return -1;
}

static pfl_status change_flag(chip *c, const vliw_instruction *instruction) {
  chip_value amount = timed_evaluate(c, &instruction->arguments[1]);
  if (instruction->remote)
    return timed_signal(c, timed_evaluate(c, &instruction->arguments[0]),
                        amount);
  int64_t number = flag_number(c, &instruction->arguments[0]);
  if (number < 0 || !timed_known(amount)) return PFL_STATUS_OK;
  timed_flag_at(c, number, (double)c->core.now);
  int64_t *count = &c->flags[number].count;
  if (instruction->action == VLIW_FLAG_ADD)
    *count += (int32_t)(uint32_t)amount;
  else if (instruction->action == VLIW_FLAG_SET || amount == 0)
    *count = amount; /* claiming a flag (0) clears it; giving it back (1) not */
  return PFL_STATUS_OK;
}

static void read_flag(chip *c, const vliw_instruction *instruction) {
  chip_frame *frame = timed_top(c);
  int64_t number = flag_number(c, &instruction->arguments[0]);
  chip_value value = number < 0 ? CHIP_UNSET
                                : (chip_value)(uint32_t)timed_flag_at(
                                      c, number, (double)c->core.now);
  frame->popped[frame->pop_tail++ % 8] = value;
}

static chip_value pop_scalar(chip *c, const vliw_instruction *instruction) {
  chip_frame *frame = timed_top(c);
  if (!instruction->transfer) return CHIP_VECTOR;
  if (frame->pop_head == frame->pop_tail) return CHIP_UNSET;
  return frame->popped[frame->pop_head++ % 8];
}

/* A check of the kernel that fails, where its addresses are the real ones. */
static void halt(chip *c) {
  if (timed_top(c)->program->placed) timed_warn(c, SCHEDULE_WARNING_HALT);
}

static const schedule_program *find_callee(const chip *c, const char *name) {
  const schedule_request *request = c->slice->request;
  for (int64_t i = 0; i < request->program_count; i++)
    if (!strcmp(request->programs[i]->name, name)) return request->programs[i];
  for (int64_t i = 0; i < request->alias_count; i++)
    if (!strcmp(request->aliases[i].name, name))
      return request->aliases[i].program;
  return NULL;
}

#define ARGUMENTS_MAX 256

static pfl_status call(chip *c, const vliw_instruction *instruction) {
  const schedule_program *program = timed_top(c)->program;
  const vliw_call *called = &program->calls[instruction->extra];
  const schedule_program *callee = find_callee(c, called->callee);
  if (!callee) {
    if (*called->callee && *called->callee != '<')
      timed_warn(c, SCHEDULE_WARNING_CALL);
    return PFL_STATUS_OK;
  }
  chip_value arguments[ARGUMENTS_MAX];
  int count = called->argument_count;
  if (count > ARGUMENTS_MAX) count = ARGUMENTS_MAX;
  for (int i = 0; i < count; i++)
    arguments[i] = timed_evaluate(
        c, &program->call_arguments[called->arguments + (uint32_t)i]);
  return timed_enter(c, callee, arguments, count);
}

/* ---- One slot ------------------------------------------------------------ */

/* What a bundle changes: written when all of its slots have read. */
typedef struct changes {
  int16_t destinations[SLOTS_MAX];
  uint32_t names[SLOTS_MAX];
  chip_value values[SLOTS_MAX];
  int count;
} changes;

static void change(changes *all, const vliw_instruction *instruction,
                   chip_value value) {
  if (instruction->destination < 0) return;
  all->destinations[all->count] = instruction->destination;
  all->names[all->count] = instruction->destination_name;
  all->values[all->count++] = value;
}

static void branch(chip *c, const vliw_instruction *instruction) {
  chip_frame *frame = timed_top(c);
  frame->jump_at = frame->pc + 1 + DELAY_SLOTS;
  frame->jump_to = instruction->extra;
}

static chip_value compute(chip *c, const vliw_instruction *instruction) {
  chip_value arguments[3] = {0};
  for (int i = 0; i < instruction->argument_count; i++)
    arguments[i] = timed_evaluate(c, &instruction->arguments[i]);
  return timed_compute(instruction, arguments);
}

/* Where the runtime put an argument of the program: in units of 512 bytes,
 * beyond the 16 GiB that the compiler gives out, 2 GiB from the next one. */
static chip_value place_parameter(chip_value index) {
  return timed_known(index) ? (1 << 26) + ((index & 31) << 22) : index;
}

/* Under a predicate that nobody knows, nobody knows what is there after. */
static void store(chip *c, const vliw_instruction *instruction) {
  int16_t predicate = instruction->predicate;
  chip_value unknown = predicate < 0 ? 0 : timed_top(c)->values[predicate];
  chip_value address = timed_evaluate(c, &instruction->arguments[0]);
  timed_smem_store(c, address,
                   timed_known(unknown)
                       ? timed_evaluate(c, &instruction->arguments[1])
                       : unknown);
}

static pfl_status execute(chip *c, const vliw_instruction *instruction,
                          changes *all) {
  bool executes;
  const vliw_value *arguments = instruction->arguments;
  PFL_TRY(test_predicate(c, instruction, &executes));
  if (!executes) {
    /* the register keeps what it has, under the new name */
    if (instruction->destination >= 0)
      change(all, instruction, timed_top(c)->values[instruction->destination]);
    return PFL_STATUS_OK;
  }
  switch ((vliw_action)instruction->action) {
    case VLIW_LOAD:
      change(all, instruction,
             timed_smem_load(c, timed_evaluate(c, &arguments[0])));
      return PFL_STATUS_OK;
    case VLIW_STORE: store(c, instruction); return PFL_STATUS_OK;
    case VLIW_BRANCH: branch(c, instruction); return PFL_STATUS_OK;
    case VLIW_HALT: halt(c); return PFL_STATUS_OK;
    case VLIW_DMA:
      return timed_dma(c, &timed_top(c)->program->dmas[instruction->extra]);
    case VLIW_FLAG_ADD:
    case VLIW_FLAG_SET:
    case VLIW_FLAG_CLAIM: return change_flag(c, instruction);
    case VLIW_FLAG_READ: read_flag(c, instruction); return PFL_STATUS_OK;
    case VLIW_POP_SCALAR:
      change(all, instruction, pop_scalar(c, instruction));
      return PFL_STATUS_OK;
    case VLIW_CALL:
    case VLIW_WAIT: return PFL_STATUS_OK; /* see timed_sync */
    case VLIW_UNKNOWN:
      timed_warn(c, SCHEDULE_WARNING_UNKNOWN);
      change(all, instruction, CHIP_UNSET);
      return PFL_STATUS_OK;
    case VLIW_PARAMETER:
      change(all, instruction,
             place_parameter(timed_evaluate(c, &arguments[0])));
      return PFL_STATUS_OK;
    case VLIW_RELOCATION:
      change(all, instruction, timed_evaluate(c, &arguments[0]));
      return PFL_STATUS_OK;
    default:
      change(all, instruction, compute(c, instruction));
      return PFL_STATUS_OK;
  }
}

/* Phis before and pointer casts after the rest: neither is an instruction of
 * the chip, they only give a register's content another name. */
static void rename_phis(chip_frame *frame, const vliw_instruction *all,
                        int count) {
  for (int i = 0; i < count; i++)
    if (all[i].action == VLIW_PHI && all[i].destination >= 0)
      frame->names[all[i].destination] = all[i].destination_name;
}

static void commit(chip_frame *frame, const changes *all) {
  for (int i = 0; i < all->count; i++) {
    frame->values[all->destinations[i]] = all->values[i];
    frame->names[all->destinations[i]] = all->names[i];
  }
}

static void cast_pointers(chip *c, const vliw_instruction *all, int count) {
  chip_frame *frame = timed_top(c);
  for (int i = 0; i < count; i++) {
    if (all[i].action != VLIW_ALIAS || all[i].destination < 0) continue;
    frame->values[all[i].destination] = timed_evaluate(c, &all[i].arguments[0]);
    frame->names[all[i].destination] = all[i].destination_name;
  }
}

static pfl_status execute_bundle(chip *c, const vliw_bundle *bundle) {
  chip_frame *frame = timed_top(c);
  const vliw_instruction *all =
      frame->program->instructions + bundle->instructions;
  int count = bundle->instruction_count;
  changes changed = {.count = 0};
  rename_phis(frame, all, count);
  for (int i = 0; i < count; i++)
    if (all[i].action != VLIW_PHI && all[i].action != VLIW_ALIAS)
      PFL_TRY(execute(c, &all[i], &changed));
  commit(frame, &changed);
  cast_pointers(c, all, count);
  return PFL_STATUS_OK;
}

/* ---- The way through a program ------------------------------------------- */

static pfl_status raise_limit(chip *c) {
  char where[160];
  PFL_RAISE(c->slice->error, DEADLINE_EXCEEDED,
            "%s: not at the end after %lld cycles: an endless loop, or a limit "
            "that is too low",
            timed_where(c, where), (long long)c->slice->cycle_limit);
}

static void close_core_span(chip *c) {
  const chip_frame *frame = timed_top(c);
  timed_span(c, &(schedule_span){.kind = SCHEDULE_SPAN_CORE,
                                 .chip = c->index,
                                 .to_chip = c->index,
                                 .program = frame->program,
                                 .bundle = frame->pc,
                                 .start = c->core_since,
                                 .end = c->core.now});
  c->core_since = c->core.now;
}

pfl_status timed_advance(chip *c) {
  for (;;) {
    chip_frame *frame = timed_top(c);
    const schedule_program *program = frame->program;
    if (frame->pc == frame->jump_at) {
      frame->pc = frame->jump_to;
      frame->jump_at = -1;
    }
    if (frame->pc >= program->bundle_count && c->depth > 1) {
      timed_leave(c);
      continue;
    }
    if (frame->pc >= program->bundle_count) {
      close_core_span(c);
      c->state = CHIP_DONE;
      return PFL_STATUS_OK;
    }
    const vliw_bundle *bundle = &program->bundles[frame->pc];
    schedule_profile *profile = timed_profile(c);
    core_clock_issue(&c->core, program, bundle, profile->stalls[frame->pc]);
    profile->counts[frame->pc]++;
    if (c->core.now > c->slice->cycle_limit) return raise_limit(c);
    if (bundle->syncs) { /* its waits read what its phis name */
      rename_phis(frame, program->instructions + bundle->instructions,
                  bundle->instruction_count);
      c->state = CHIP_SYNCS;
      return PFL_STATUS_OK;
    }
    if (bundle->instruction_count) PFL_TRY(execute_bundle(c, bundle));
    frame->pc++;
  }
}

/* ---- Waits --------------------------------------------------------------- */

/* The waits of the bundle that stands there, each until its flag allows. */
static double when_waits_end(chip *c, schedule_cause *out_cause) {
  chip_frame *frame = timed_top(c);
  const vliw_bundle *bundle = &frame->program->bundles[frame->pc];
  const vliw_instruction *all =
      frame->program->instructions + bundle->instructions;
  double latest = (double)c->core.now;
  *out_cause = SCHEDULE_CAUSE_ISSUE;
  for (int i = 0; i < bundle->instruction_count; i++) {
    if (all[i].action != VLIW_WAIT) continue;
    int16_t predicate = all[i].predicate;
    if (predicate >= 0 && timed_known(frame->values[predicate]) &&
        (frame->values[predicate] != 0) == all[i].negated)
      continue;
    chip_value flag = timed_evaluate(c, &all[i].arguments[0]);
    chip_value amount = timed_evaluate(c, &all[i].arguments[1]);
    *out_cause =
        all[i].transfer ? SCHEDULE_CAUSE_DMA : SCHEDULE_CAUSE_SEMAPHORE;
    if (timed_known(flag) && timed_known(amount))
      latest = fmax(latest, timed_flag_when(c, flag & (CHIP_FLAGS - 1),
                                            (vliw_comparison)all[i].comparison,
                                            (int32_t)(uint32_t)amount));
  }
  return latest;
}

double timed_when(chip *c) {
  schedule_cause cause;
  return when_waits_end(c, &cause);
}

/* The clock of the core counts whole cycles: a wait ends in the first one. */
static void wait_until(chip *c, double time, schedule_cause cause) {
  chip_frame *frame = timed_top(c);
  int64_t before = c->core.now;
  int64_t end = (int64_t)ceil(time);
  if (end > c->core.now) c->core.now = end;
  c->core.now += (int64_t)c->slice->request->model.dma_wait_cycles;
  close_core_span(c);
  c->core_since = c->core.now;
  timed_profile(c)->stalls[frame->pc][cause] += c->core.now - before;
  timed_span(c, &(schedule_span){.kind = SCHEDULE_SPAN_WAIT,
                                 .chip = c->index,
                                 .to_chip = c->index,
                                 .program = frame->program,
                                 .bundle = frame->pc,
                                 .start = before,
                                 .end = c->core.now});
}

/* What is never satisfied counts as come, so that its next use is right. */
static void satisfy(chip *c) {
  chip_frame *frame = timed_top(c);
  const vliw_bundle *bundle = &frame->program->bundles[frame->pc];
  const vliw_instruction *all =
      frame->program->instructions + bundle->instructions;
  for (int i = 0; i < bundle->instruction_count; i++) {
    if (all[i].action != VLIW_WAIT) continue;
    chip_value flag = timed_evaluate(c, &all[i].arguments[0]);
    chip_value amount = timed_evaluate(c, &all[i].arguments[1]);
    if (timed_known(flag) && timed_known(amount))
      c->flags[flag & (CHIP_FLAGS - 1)].count = (int32_t)(uint32_t)amount;
    else
      timed_warn(c, SCHEDULE_WARNING_FLAG);
  }
}

pfl_status timed_sync(chip *c, double time) {
  schedule_cause cause;
  chip_frame *frame = timed_top(c);
  const schedule_program *program = frame->program;
  const vliw_bundle *bundle = &program->bundles[frame->pc];
  when_waits_end(c, &cause);
  if (cause != SCHEDULE_CAUSE_ISSUE) {
    if (isinf(time)) {
      timed_warn(c, SCHEDULE_WARNING_WAIT);
      satisfy(c);
      time = (double)c->core.now;
    }
    wait_until(c, time, cause);
  }
  PFL_TRY(execute_bundle(c, bundle));
  const vliw_instruction *all = program->instructions + bundle->instructions;
  const vliw_instruction *calls = NULL;
  for (int i = 0; i < bundle->instruction_count; i++) {
    bool executes = true;
    if (all[i].action != VLIW_CALL) continue;
    PFL_TRY(test_predicate(c, &all[i], &executes));
    if (executes) calls = &all[i];
  }
  pfl_status status = calls ? call(c, calls) : PFL_STATUS_OK;
  frame->pc++;
  c->state = CHIP_RUNS;
  return status;
}

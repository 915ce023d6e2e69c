/* One chip or four, each at its own time: what happens first goes first. */
#include "schedule/schedule_run.h"

#include <math.h>
#include <string.h>

#include "schedule/timed_chip.h"

const char *schedule_warning_text(schedule_warning_kind kind) {
  static const char *const texts[] = {
#define WARNING_TEXT(name, what) what,
      SCHEDULE_WARNING_LIST(WARNING_TEXT)
#undef WARNING_TEXT
  };
  return texts[kind];
}

/* ---- Results ------------------------------------------------------------- */

static pfl_status create_profile(chip_slice *slice,
                                 const schedule_program *program, int index,
                                 schedule_profile *profile) {
  size_t bundles = (size_t)program->bundle_count;
  size_t counts = bundles * sizeof *profile->counts;
  size_t stalls = bundles * sizeof *profile->stalls;
  *profile = (schedule_profile){.program = program, .chip = index};
  profile->counts = base_allocate(slice->allocator, counts);
  profile->stalls = base_allocate(slice->allocator, stalls);
  if (!profile->counts || !profile->stalls)
    PFL_RAISE(slice->error, RESOURCE_EXHAUSTED, "no memory for a profile");
  memset(profile->counts, 0, counts);
  memset(profile->stalls, 0, stalls);
  return PFL_STATUS_OK;
}

static pfl_status create_profiles(chip_slice *slice) {
  const schedule_request *request = slice->request;
  schedule_result *result = slice->result;
  int64_t count = request->program_count * slice->count;
  result->profiles =
      base_allocate(slice->allocator, (size_t)count * sizeof *result->profiles);
  if (!result->profiles)
    PFL_RAISE(slice->error, RESOURCE_EXHAUSTED, "no memory for profiles");
  memset(result->profiles, 0, (size_t)count * sizeof *result->profiles);
  result->profile_count = count;
  for (int64_t i = 0; i < count; i++)
    PFL_TRY(create_profile(slice, request->programs[i / slice->count],
                           (int)(i % slice->count), &result->profiles[i]));
  return PFL_STATUS_OK;
}

/* Sums over the bundles. */
static void add_up(schedule_profile *profile) {
  const schedule_program *program = profile->program;
  for (int64_t b = 0; b < program->bundle_count; b++) {
    const vliw_bundle *bundle = &program->bundles[b];
    int64_t times = (int64_t)profile->counts[b];
    profile->causes[SCHEDULE_CAUSE_ISSUE] += times * (1 + bundle->delay);
    for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
      profile->causes[cause] += profile->stalls[b][cause];
    for (int e = 0; e < bundle->effect_count; e++) {
      const vliw_effect *effect =
          &program->effects[bundle->effects + (uint32_t)e];
      if (effect->kind == VLIW_MATMULS)
        profile->mxu_busy[effect->unit] += times * effect->cycles;
    }
  }
}

static void finish(chip_slice *slice) {
  schedule_result *result = slice->result;
  for (int i = 0; i < slice->count; i++)
    if (slice->chips[i].core.now > result->cycles)
      result->cycles = slice->chips[i].core.now;
  for (int64_t i = 0; i < result->profile_count; i++)
    add_up(&result->profiles[i]);
  result->warnings = (schedule_warning *)result->lists[0].bytes;
  result->warning_count =
      (int64_t)(result->lists[0].length / sizeof(schedule_warning));
  result->spans = (schedule_span *)result->lists[1].bytes;
  result->span_count =
      (int64_t)(result->lists[1].length / sizeof(schedule_span));
}

void schedule_result_release(schedule_result *result,
                             const pfl_allocator *allocator) {
  for (int64_t i = 0; i < result->profile_count; i++) {
    base_release(allocator, result->profiles[i].counts);
    base_release(allocator, result->profiles[i].stalls);
  }
  base_release(allocator, result->profiles);
  for (int i = 0; i < 2; i++) base_text_release(&result->lists[i]);
  *result = (schedule_result){0};
}

/* ---- Who is next --------------------------------------------------------- */

/* The chip whose next deed comes first; NULL if all are done. */
static chip *find_next(chip_slice *slice, double *out_time) {
  chip *next = NULL;
  for (int i = 0; i < slice->count; i++) {
    chip *c = &slice->chips[i];
    if (c->state == CHIP_DONE) continue;
    double time = timed_when(c);
    if (next && time >= *out_time) continue;
    next = c;
    *out_time = time;
  }
  return next;
}

static pfl_status raise_deadlock(const chip *c) {
  char where[160];
  PFL_RAISE(c->slice->error, FAILED_PRECONDITION,
            "chip %d, %s: every chip waits, and none for what is on its way",
            c->index, timed_where(c, where));
}

static pfl_status run(chip_slice *slice) {
  for (int i = 0; i < slice->count; i++) {
    PFL_TRY(timed_create(slice, i));
    PFL_TRY(timed_advance(&slice->chips[i]));
  }
  double time = 0;
  for (chip *c; (c = find_next(slice, &time));) {
    if (isinf(time) && slice->count > 1) return raise_deadlock(c);
    PFL_TRY(timed_sync(c, time));
    PFL_TRY(timed_advance(c));
  }
  for (int i = 0; i < slice->count; i++) timed_leave(&slice->chips[i]);
  return PFL_STATUS_OK;
}

pfl_status schedule_run(const schedule_request *request,
                        const pfl_allocator *allocator,
                        schedule_result *out_result, pfl_error *error) {
  *out_result = (schedule_result){.chips = request->chips == 4 ? 4 : 1};
  for (int i = 0; i < 2; i++) out_result->lists[i].allocator = *allocator;
  chip_slice *slice = base_allocate(allocator, sizeof *slice);
  if (!slice) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a slice");
  *slice =
      (chip_slice){.request = request,
                   .allocator = allocator,
                   .result = out_result,
                   .count = out_result->chips,
                   .cycle_limit = request->cycle_limit ? request->cycle_limit
                                                       : SCHEDULE_CYCLE_LIMIT,
                   .error = error};
  pfl_status status = create_profiles(slice);
  if (!status) status = run(slice);
  for (int i = 0; i < slice->count; i++)
    if (slice->chips[i].slice) timed_destroy(&slice->chips[i]);
  /* what ran without memory may have come to anything */
  for (int i = 0; i < 2; i++)
    if (out_result->lists[i].failed)
      status = base_text_check(&out_result->lists[i], error);
  if (!status) finish(slice);
  base_release(allocator, slice);
  if (status) schedule_result_release(out_result, allocator);
  return status;
}

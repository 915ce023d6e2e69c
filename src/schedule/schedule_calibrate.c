/* Levenberg and Marquardt's way to the least squares; the slopes by executing
 * every probe's listing with each number a little larger. */
#include "schedule/schedule_calibrate.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { NUMBERS = SCHEDULE_CALIBRATED_COUNT, STEPS = 60 };

static const struct {
  const char *name;
  size_t offset;
} numbers[] = {
#define NUMBER_ROW(name) {#name, offsetof(schedule_model, name)},
    SCHEDULE_CALIBRATED_LIST(NUMBER_ROW)
#undef NUMBER_ROW
};

static double number_of(const schedule_model *model, int which) {
  double number;
  memcpy(&number, (const char *)model + numbers[which].offset, sizeof number);
  return number;
}

static void set_number(schedule_model *model, int which, double number) {
  memcpy((char *)model + numbers[which].offset, &number, sizeof number);
}

/* ---- One prediction ------------------------------------------------------ */

static pfl_status predict(const schedule_probe *probe,
                          const schedule_model *model,
                          const pfl_allocator *allocator, double *out_us,
                          pfl_error *error) {
  schedule_request request = probe->request;
  schedule_result result;
  request.model = *model;
  request.span_limit = 0;
  PFL_TRY(schedule_run(&request, allocator, &result, error));
  *out_us =
      (double)result.cycles / model->clock_ghz / 1000 + model->dispatch_us;
  schedule_result_release(&result, allocator);
  return PFL_STATUS_OK;
}

/* ---- All of them --------------------------------------------------------- */

typedef struct search {
  schedule_probe *probes;
  int64_t count;
  const schedule_model *start;
  const pfl_allocator *allocator;
  bool sought[NUMBERS];
  schedule_model model; /* the best so far */
  double error;         /* its sum of squares */
  /* the normal equations there: of relative steps, and of microseconds for the
   * dispatch, which may be 0 */
  double squares[NUMBERS][NUMBERS], slopes[NUMBERS];
} search;

static double relative(const schedule_probe *probe, double us) {
  return us / probe->measured_us - 1;
}

static pfl_status sum_errors(const search *s, const schedule_model *model,
                             double *out_sum, pfl_error *error) {
  *out_sum = 0;
  for (int64_t i = 0; i < s->count; i++) {
    double us;
    PFL_TRY(predict(&s->probes[i], model, s->allocator, &us, error));
    double off = relative(&s->probes[i], us);
    *out_sum += off * off;
  }
  return PFL_STATUS_OK;
}

static bool is_dispatch(int which) {
  return which == SCHEDULE_CALIBRATED_dispatch_us;
}

/* The number `step` further: by that factor, or microseconds. Within what any
 * chip could be. */
static double moved(const search *s, int which, double number, double step) {
  if (is_dispatch(which)) return fmax(0, number + step);
  double start = number_of(s->start, which);
  return fmin(fmax(number * exp(step), start / 16), start * 16);
}

/* Larger than what whole cycles make of it. */
static double small_step(int which) { return is_dispatch(which) ? 1 : 0.02; }

static pfl_status add_probe(search *s, const schedule_probe *probe,
                            pfl_error *error) {
  double slopes[NUMBERS] = {0}, us, more;
  PFL_TRY(predict(probe, &s->model, s->allocator, &us, error));
  for (int i = 0; i < NUMBERS; i++) {
    if (!s->sought[i]) continue;
    schedule_model model = s->model;
    double number = number_of(&s->model, i), step = small_step(i);
    set_number(&model, i, moved(s, i, number, step));
    PFL_TRY(predict(probe, &model, s->allocator, &more, error));
    slopes[i] = (more - us) / probe->measured_us / step;
  }
  for (int i = 0; i < NUMBERS; i++) {
    s->slopes[i] += slopes[i] * relative(probe, us);
    for (int k = 0; k < NUMBERS; k++) s->squares[i][k] += slopes[i] * slopes[k];
  }
  return PFL_STATUS_OK;
}

static pfl_status find_slopes(search *s, pfl_error *error) {
  memset(s->squares, 0, sizeof s->squares);
  memset(s->slopes, 0, sizeof s->slopes);
  for (int64_t i = 0; i < s->count; i++)
    PFL_TRY(add_probe(s, &s->probes[i], error));
  return PFL_STATUS_OK;
}

/* ---- Steps --------------------------------------------------------------- */

/* Solves (squares + damping diagonal) step = -slopes; what is not sought stays.
 * Gauss, without pivots: the matrix is positive definite. */
static void solve(const search *s, double damping, double step[NUMBERS]) {
  double rows[NUMBERS][NUMBERS + 1];
  for (int i = 0; i < NUMBERS; i++) {
    for (int k = 0; k < NUMBERS; k++) rows[i][k] = s->squares[i][k];
    rows[i][i] += damping * s->squares[i][i] + 1e-15;
    rows[i][NUMBERS] = -s->slopes[i];
  }
  for (int i = 0; i < NUMBERS; i++)
    for (int below = i + 1; below < NUMBERS; below++) {
      double factor = rows[below][i] / rows[i][i];
      for (int k = i; k <= NUMBERS; k++) rows[below][k] -= factor * rows[i][k];
    }
  for (int i = NUMBERS - 1; i >= 0; i--) {
    step[i] = rows[i][NUMBERS];
    for (int k = i + 1; k < NUMBERS; k++) step[i] -= rows[i][k] * step[k];
    step[i] /= rows[i][i];
  }
}

static pfl_status try_step(search *s, double damping, bool *out_better,
                           pfl_error *error) {
  schedule_model model = s->model;
  double step[NUMBERS], sum;
  solve(s, damping, step);
  for (int i = 0; i < NUMBERS; i++)
    if (s->sought[i])
      set_number(&model, i, moved(s, i, number_of(&s->model, i), step[i]));
  PFL_TRY(sum_errors(s, &model, &sum, error));
  *out_better = sum < s->error;
  if (!*out_better) return PFL_STATUS_OK;
  s->model = model;
  s->error = sum;
  return PFL_STATUS_OK;
}

/* Until the errors do not become smaller by a millionth, or are nothing. */
static pfl_status descend(search *s, pfl_error *error) {
  double damping = 1e-3;
  bool moving = true;
  for (int steps = 0; steps < STEPS && moving && s->error > 1e-14; steps++) {
    double before = s->error;
    bool better = false;
    PFL_TRY(find_slopes(s, error));
    for (int tries = 0; tries < 10 && !better; tries++) {
      PFL_TRY(try_step(s, damping, &better, error));
      damping *= better ? 0.2 : 5;
    }
    moving = s->error < (1 - 1e-6) * before;
  }
  return PFL_STATUS_OK;
}

/* ---- What can be found --------------------------------------------------- */

/* The least that one of the probes must say of a number, per factor e, or of
 * the dispatch per microsecond. */
static bool is_felt(const search *s, int which) {
  double least = is_dispatch(which) ? 1e-6 : 1e-3;
  return sqrt(s->squares[which][which]) > least;
}

/* The dispatch to begin with: what the probes that fall short of it least leave
 * over. */
static pfl_status guess_dispatch(search *s, pfl_error *error) {
  double least = INFINITY, us;
  for (int64_t i = 0; i < s->count; i++) {
    PFL_TRY(predict(&s->probes[i], &s->model, s->allocator, &us, error));
    least = fmin(least, s->probes[i].measured_us - us + s->model.dispatch_us);
  }
  s->model.dispatch_us = fmax(0, least);
  return sum_errors(s, &s->model, &s->error, error);
}

static pfl_status choose_numbers(search *s, pfl_error *error) {
  for (int i = 0; i < NUMBERS; i++) s->sought[i] = true;
  PFL_TRY(find_slopes(s, error));
  int64_t sought = 0;
  for (int i = NUMBERS - 1; i >= 0; i--) { /* the dispatch first */
    s->sought[i] = is_felt(s, i) && sought < s->count;
    sought += s->sought[i];
  }
  return PFL_STATUS_OK;
}

static pfl_status check_probes(const schedule_probe *probes, int64_t count,
                               pfl_error *error) {
  if (count < 1) PFL_RAISE(error, INVALID_ARGUMENT, "there are no probes");
  for (int64_t i = 0; i < count; i++)
    if (!(probes[i].measured_us > 0 && probes[i].measured_us < 1e12))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "%.100s took %g us: must be a number above 0", probes[i].name,
                probes[i].measured_us);
  return PFL_STATUS_OK;
}

static pfl_status predict_all(search *s, bool before, pfl_error *error) {
  for (int64_t i = 0; i < s->count; i++) {
    schedule_probe *probe = &s->probes[i];
    PFL_TRY(predict(probe, before ? s->start : &s->model, s->allocator,
                    before ? &probe->before_us : &probe->after_us, error));
  }
  return PFL_STATUS_OK;
}

pfl_status schedule_calibrate(schedule_probe *probes, int64_t count,
                              const schedule_model *start,
                              const pfl_allocator *allocator,
                              schedule_calibration *out_found,
                              pfl_error *error) {
  search s = {.probes = probes,
              .count = count,
              .start = start,
              .allocator = allocator,
              .model = *start};
  double before;
  PFL_TRY(check_probes(probes, count, error));
  PFL_TRY(predict_all(&s, true, error));
  PFL_TRY(sum_errors(&s, start, &before, error));
  PFL_TRY(guess_dispatch(&s, error));
  PFL_TRY(choose_numbers(&s, error));
  PFL_TRY(descend(&s, error));
  PFL_TRY(predict_all(&s, false, error));
  *out_found = (schedule_calibration){.model = s.model,
                                      .before = sqrt(before / (double)count),
                                      .after = sqrt(s.error / (double)count)};
  memcpy(out_found->found, s.sought, sizeof s.sought);
  return PFL_STATUS_OK;
}

/* ---- The file ------------------------------------------------------------ */

void schedule_calibration_write(const schedule_calibration *found,
                                const schedule_probe *probes, int64_t count,
                                const char *of, base_text *out) {
  json_writer json = {.text = out};
  json_begin_object(&json, NULL);
  for (int i = 0; i < NUMBERS; i++)
    if (found->found[i])
      json_write_double(&json, numbers[i].name, number_of(&found->model, i));
  json_begin_object(&json, "about");
  if (of) json_write_string(&json, "measured_on", of);
  json_write_double(&json, "error_before", found->before);
  json_write_double(&json, "error_after", found->after);
  json_begin_array(&json, "probes");
  for (int64_t i = 0; i < count; i++) {
    json_begin_object(&json, NULL);
    json_write_string(&json, "name", probes[i].name);
    json_write_double(&json, "measured_us", probes[i].measured_us);
    json_write_double(&json, "predicted_us", probes[i].before_us);
    json_write_double(&json, "calibrated_us", probes[i].after_us);
    json_end(&json);
  }
  json_end(&json);
  json_end(&json);
  json_end(&json);
  base_text_add_string(out, "\n");
}

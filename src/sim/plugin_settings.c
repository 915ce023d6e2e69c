#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/plugin_parts.h"

typedef enum setting_kind { INTEGER, TEXT } setting_kind;

/* Where a setting goes, and what it may be. */
typedef struct setting {
  const char *name;
  setting_kind kind;
  size_t offset, room; /* room: of a text, with its NUL */
  int64_t low, high;   /* of an integer */
  const char *variable;
} setting;

#define OFFSET(name) offsetof(sim_settings, name)
#define ROOM(name) sizeof((sim_settings *)0)->name

static const setting table[] = {
    {"seed", INTEGER, OFFSET(seed), 0, 0, INT64_MAX, "PFLASH_SIM_SEED"},
    {"hostile", INTEGER, OFFSET(hostile), 0, 0, 1, "PFLASH_SIM_HOSTILE"},
    {"threads", INTEGER, OFFSET(threads), 0, 0, 1024, "PFLASH_SIM_THREADS"},
    {"step_limit", INTEGER, OFFSET(step_limit), 0, 0, INT64_MAX,
     "PFLASH_SIM_STEP_LIMIT"},
    {"topology", TEXT, OFFSET(topology), ROOM(topology), 0, 0,
     "PFLASH_SIM_TOPOLOGY"},
    {"trace", TEXT, OFFSET(trace), ROOM(trace), 0, 0, "PFLASH_SIM_TRACE"},
};
enum { COUNT = sizeof table / sizeof *table };

static pfl_status set_integer(const setting *row, const char *called,
                              int64_t value, sim_settings *settings,
                              pfl_error *error) {
  if (value < row->low || value > row->high)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s is %lld: must be %lld to %lld",
              called, (long long)value, (long long)row->low,
              (long long)row->high);
  memcpy((char *)settings + row->offset, &value, sizeof value);
  return PFL_STATUS_OK;
}

static pfl_status set_text(const setting *row, const char *called,
                           const char *text, size_t size,
                           sim_settings *settings, pfl_error *error) {
  char quoted[BASE_QUOTE_SIZE];
  if (size >= row->room || (size && memchr(text, 0, size)))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is %s: must be shorter than %zu bytes, without NUL", called,
              base_quote(text, size, quoted), row->room);
  char *to = (char *)settings + row->offset;
  if (size) memcpy(to, text, size);
  to[size] = 0;
  return PFL_STATUS_OK;
}

static pfl_status read_variable(const setting *row, sim_settings *settings,
                                pfl_error *error) {
  const char *text = getenv(row->variable);
  if (!text) return PFL_STATUS_OK;
  if (row->kind == TEXT)
    return set_text(row, row->variable, text, strlen(text), settings, error);
  char *end, quoted[BASE_QUOTE_SIZE];
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (!*text || *end || errno)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s is %s: must be an integer",
              row->variable, base_quote(text, strlen(text), quoted));
  return set_integer(row, row->variable, value, settings, error);
}

static const setting *find_row(const PJRT_NamedValue *option) {
  for (int i = 0; i < COUNT; i++)
    if (strlen(table[i].name) == option->name_size &&
        !memcmp(table[i].name, option->name, option->name_size))
      return &table[i];
  return NULL;
}

static pfl_status read_option(const PJRT_NamedValue *option,
                              sim_settings *settings, pfl_error *error) {
  char called[64], quoted[BASE_QUOTE_SIZE];
  if (!option->name)
    PFL_RAISE(error, INVALID_ARGUMENT, "an option of the client has no name");
  const setting *row = find_row(option);
  if (!row)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the simulator has no option %s: there are seed, hostile, "
              "threads, step_limit, topology and trace",
              base_quote(option->name, option->name_size, quoted));
  snprintf(called, sizeof called, "option %s", row->name);
  if (row->kind == TEXT && option->type == PJRT_NamedValue_kString &&
      (option->string_value || !option->value_size))
    return set_text(row, called, option->string_value, option->value_size,
                    settings, error);
  if (row->kind == INTEGER && option->type == PJRT_NamedValue_kInt64)
    return set_integer(row, called, option->int64_value, settings, error);
  if (row->kind == INTEGER && option->type == PJRT_NamedValue_kBool)
    return set_integer(row, called, option->bool_value, settings, error);
  PFL_RAISE(error, INVALID_ARGUMENT, "%s must be %s", called,
            row->kind == TEXT ? "a string" : "an integer");
}

pfl_status sim_settings_read(const PJRT_NamedValue *options, size_t count,
                             sim_settings *out_settings, pfl_error *error) {
  sim_settings settings = {.seed = 1, .hostile = 1, .topology = "v5e:2x2"};
  if (count && !options)
    PFL_RAISE(error, INVALID_ARGUMENT, "create_options is NULL");
  for (int i = 0; i < COUNT; i++)
    PFL_TRY(read_variable(&table[i], &settings, error));
  for (size_t i = 0; i < count; i++) {
    /* with another size the next one would not be where it is looked for */
    if (options[i].struct_size != PJRT_NamedValue_STRUCT_SIZE)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "the struct_size of an option is %zu: must be %d",
                options[i].struct_size, PJRT_NamedValue_STRUCT_SIZE);
    PFL_TRY(read_option(&options[i], &settings, error));
  }
  *out_settings = settings;
  return PFL_STATUS_OK;
}

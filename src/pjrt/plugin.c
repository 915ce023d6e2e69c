#include "pjrt/plugin.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

/* ---- Errors, in one place ------------------------------------------------ */

bool pjrt_has(const PJRT_Api *api, size_t offset) {
  void (*function)(void);
  if (offset + sizeof function > api->struct_size) return false;
  memcpy(&function, (const char *)api + offset, sizeof function);
  return function != NULL;
}

/* The plugin's words, on one line: what disturbs a terminal becomes a space. */
static size_t copy_words(const char *words, size_t size, char *out,
                         size_t capacity) {
  size_t used = 0;
  for (size_t i = 0; i < size && used + 1 < capacity; i++) {
    bool blank = (unsigned char)words[i] <= ' ' || words[i] == 0x7f;
    if (blank && (!used || out[used - 1] == ' ')) continue;
    out[used++] = blank ? ' ' : words[i];
  }
  while (used && out[used - 1] == ' ') used--;
  out[used] = 0;
  return used;
}

static void give_back(const PJRT_Api *api, PJRT_Error *raised) {
  PJRT_Error_Destroy_Args args = PJRT_ARGS(Error_Destroy_Args, .error = raised);
  if (raised) api->PJRT_Error_Destroy(&args);
}

pfl_status pjrt_forward(const pjrt_plugin *plugin, const char *name,
                        PJRT_Error *raised, pfl_error *error) {
  if (!raised) return PFL_STATUS_OK;
  const PJRT_Api *api = plugin->api;
  PJRT_Error_GetCode_Args code = PJRT_ARGS(Error_GetCode_Args, .error = raised);
  PJRT_Error *unread = api->PJRT_Error_GetCode(&code);
  bool coded =
      !unread && code.code >= 1 && code.code <= PFL_STATUS_UNAUTHENTICATED;
  give_back(api, unread); /* what it would say of the first one is lost */
  PJRT_Error_Message_Args message =
      PJRT_ARGS(Error_Message_Args, .error = raised);
  api->PJRT_Error_Message(&message);
  char words[PFL_MESSAGE_SIZE] = "";
  if (message.message)
    copy_words(message.message, message.message_size, words, sizeof words);
  give_back(api, raised);
  return base_error_set(
      error, coded ? (pfl_status)code.code : PFL_STATUS_UNKNOWN, "PJRT_%s: %s",
      name, *words ? words : "the plugin did not say why");
}

pfl_status pjrt_raise_missing(const pjrt_plugin *plugin, const char *name,
                              pfl_error *error) {
  PFL_RAISE(error, UNIMPLEMENTED,
            "the plugin (PJRT %d.%d) has no PJRT_%s: a newer one is needed",
            plugin->api->pjrt_api_version.major_version,
            plugin->api->pjrt_api_version.minor_version, name);
}

pfl_status pjrt_raise_nothing(const char *name, const char *what,
                              pfl_error *error) {
  PFL_RAISE(error, INTERNAL, "PJRT_%s reported success and gave no %s", name,
            what);
}

/* ---- Loading ------------------------------------------------------------- */

/* Without these, errors could not be told, nor what was made given back. */
#define NEED(name) \
  { #name, offsetof(PJRT_Api, PJRT_##name) }
static const struct {
  const char *name;
  size_t offset;
} needed[] = {NEED(Error_Destroy),
              NEED(Error_Message),
              NEED(Error_GetCode),
              NEED(Event_Destroy),
              NEED(Client_Destroy),
              NEED(Buffer_Destroy),
              NEED(Executable_Destroy),
              NEED(LoadedExecutable_Destroy),
              NEED(TopologyDescription_Destroy)};
#undef NEED

/* Reads nothing of the table before it is known to be there. */
static pfl_status check_table(const PJRT_Api *api, const char *name,
                              pfl_error *error) {
  if (!api)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.200s: GetPjrtApi returned no table of functions", name);
  size_t least = offsetof(PJRT_Api, PJRT_Error_Destroy);
  if (api->struct_size < least)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.200s: its table of functions has %zu bytes; even the version "
              "of an old one needs %zu",
              name, api->struct_size, least);
  const PJRT_Api_Version *version = &api->pjrt_api_version;
  if (version->major_version != PJRT_ABI_MAJOR ||
      version->minor_version < PJRT_ABI_MINOR_MIN)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.200s speaks PJRT %d.%d; needed is %d.%d or a newer %d.x", name,
              version->major_version, version->minor_version, PJRT_ABI_MAJOR,
              PJRT_ABI_MINOR_MIN, PJRT_ABI_MAJOR);
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (!pjrt_has(api, needed[i].offset))
      PFL_RAISE(error, FAILED_PRECONDITION,
                "%.200s: its table of functions (%zu bytes) lacks PJRT_%s",
                name, api->struct_size, needed[i].name);
  return PFL_STATUS_OK;
}

pfl_status pjrt_plugin_adopt(const PJRT_Api *api, const char *name,
                             pjrt_plugin *out_plugin, pfl_error *error) {
  PFL_TRY(check_table(api, name, error));
  pjrt_plugin plugin = {.api = api};
  PJRT_Plugin_Initialize_Args args = PJRT_ARGS(Plugin_Initialize_Args, 0);
  PFL_TRY(PJRT_CALL(&plugin, Plugin_Initialize, &args, error));
  *out_plugin = plugin;
  return PFL_STATUS_OK;
}

pfl_status pjrt_plugin_load(const char *path, pjrt_plugin *out_plugin,
                            pfl_error *error) {
  if (access(path, R_OK))
    PFL_RAISE(error, NOT_FOUND, "no plugin can be read at %.300s", path);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char *reason = dlerror();
    PFL_RAISE(error, FAILED_PRECONDITION, "cannot load a plugin: %.400s",
              reason ? reason : path);
  }
  PJRT_GetApi *get_api;
  *(void **)&get_api = dlsym(library, "GetPjrtApi");
  dlclose(library); /* it stays, as NODELETE says */
  if (!get_api)
    PFL_RAISE(error, FAILED_PRECONDITION,
              "%.300s is no PJRT plugin: it has no GetPjrtApi", path);
  return pjrt_plugin_adopt(get_api(), path, out_plugin, error);
}

/* ---- Attributes ---------------------------------------------------------- */

pfl_status pjrt_named_values_check(const PJRT_NamedValue *values, size_t count,
                                   pfl_error *error) {
  if (count && !values) return pjrt_raise_nothing("NamedValue", "array", error);
  for (size_t i = 0; i < count; i++) {
    /* with another size the next one would not be where it is looked for */
    if (values[i].struct_size != PJRT_NamedValue_STRUCT_SIZE)
      PFL_RAISE(error, FAILED_PRECONDITION,
                "the plugin's named values have %zu bytes; this library knows "
                "those of %d",
                values[i].struct_size, PJRT_NamedValue_STRUCT_SIZE);
    bool points = values[i].type == PJRT_NamedValue_kString ||
                  values[i].type == PJRT_NamedValue_kInt64List;
    if (!values[i].name ||
        (points && values[i].value_size && !values[i].string_value))
      return pjrt_raise_nothing("NamedValue", "name or value", error);
  }
  return PFL_STATUS_OK;
}

const PJRT_NamedValue *pjrt_named_value_find(const PJRT_NamedValue *values,
                                             size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (values[i].name_size == strlen(name) &&
        !memcmp(values[i].name, name, values[i].name_size))
      return &values[i];
  return NULL;
}

bool pjrt_named_value_number(const PJRT_NamedValue *value, double *out_number) {
  bool real = value->type == PJRT_NamedValue_kFloat;
  if (!real && value->type != PJRT_NamedValue_kInt64) return false;
  *out_number = real ? (double)value->float_value : (double)value->int64_value;
  return true;
}

const PJRT_NamedValue *pjrt_plugin_attribute(const pjrt_plugin *plugin,
                                             const char *name) {
  PJRT_Plugin_Attributes_Args args = PJRT_ARGS(Plugin_Attributes_Args, 0);
  if (PJRT_CALL(plugin, Plugin_Attributes, &args, NULL) ||
      pjrt_named_values_check(args.attributes, args.num_attributes, NULL))
    return NULL;
  return pjrt_named_value_find(args.attributes, args.num_attributes, name);
}

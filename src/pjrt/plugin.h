/* A PJRT plugin: found, loaded, held to its version, and called.
 *
 *   base_text path = {.allocator = *allocator};
 *   PFL_TRY(pjrt_plugin_find(&path, error));
 *   pjrt_plugin plugin;
 *   PFL_TRY(pjrt_plugin_load(base_text_get(&path), &plugin, error));
 *
 * Threads: a plugin does not change once it is loaded, and what is called
 * through it is safe from any thread as far as the plugin's own functions are
 * (PJRT says they are); one handle is destroyed by one thread, last. */
#ifndef PFL_PJRT_PLUGIN_H
#define PFL_PJRT_PLUGIN_H

#include "base/text.h"
#include "pjrt/pjrt_abi.h"

typedef struct pjrt_plugin {
  const PJRT_Api *api; /* lives as long as the process */
} pjrt_plugin;

/* ---- Loading ------------------------------------------------------------- */

/* The plugin to use, the first there is of
 *   PFLASH_PJRT_PLUGIN   any plugin's path
 *   PFLASH_LIBTPU        the path of libtpu.so
 *   .venv                beside the program, or one or two directories above it
 *   VIRTUAL_ENV          a Python environment with the libtpu package
 *   python3 on PATH      the same, and the user's and the system's packages
 * Python is not run. A file of the last three that neither root nor this user
 * owns is passed over. Sets *out_path, which the caller releases.
 * NOT_FOUND: a variable names no file, or there is none anywhere.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status pjrt_plugin_find(base_text *out_path,
                                          pfl_error *error);

/* The version of the Python package that the library at `path` came with, from
 * the name of the directory beside it; empty if there is none. */
void pjrt_plugin_package_version(const char *path, base_text *out_version);

/* Loads the shared library at `path`, for the rest of the process: none that
 * starts threads can be unloaded. Loading one twice is well.
 * NOT_FOUND: no such file. FAILED_PRECONDITION: no plugin, or one of a version
 * that this library cannot talk to. Whatever the plugin answers. */
PFL_NODISCARD pfl_status pjrt_plugin_load(const char *path,
                                          pjrt_plugin *out_plugin,
                                          pfl_error *error);

/* The same for a plugin that is in the program already. `name` is for
 * messages. */
PFL_NODISCARD pfl_status pjrt_plugin_adopt(const PJRT_Api *api,
                                           const char *name,
                                           pjrt_plugin *out_plugin,
                                           pfl_error *error);

/* Sets what libtpu reads from the environment, where the user has not: without
 * it, it asks a metadata server that only Google's machines have, and waits.
 * With `listing` (an existing directory, or NULL), that the compiler writes
 * what it makes of each kernel there, which becomes the working directory: what
 * it ends with, from which times are predicted, or with `passes` what it has
 * after each of its passes too, a hundred times as much.
 * Before pjrt_plugin_load, and only in a process that has one thread: it
 * changes the environment. RESOURCE_EXHAUSTED; NOT_FOUND, no such directory. */
PFL_NODISCARD pfl_status pjrt_environment_prepare(const char *listing,
                                                  bool passes,
                                                  pfl_error *error);

/* ---- Attributes ---------------------------------------------------------- */

/* Checks an array that a plugin gave: each value of a size that its struct says
 * and this library knows, each name and string there. */
PFL_NODISCARD pfl_status pjrt_named_values_check(const PJRT_NamedValue *values,
                                                 size_t count,
                                                 pfl_error *error);

/* The plugin's attribute `name`; NULL if it has none. */
const PJRT_NamedValue *pjrt_plugin_attribute(const pjrt_plugin *plugin,
                                             const char *name);

/* The value called `name` of those; NULL if there is none. */
const PJRT_NamedValue *pjrt_named_value_find(const PJRT_NamedValue *values,
                                             size_t count, const char *name);

/* Its number, if it is one. */
bool pjrt_named_value_number(const PJRT_NamedValue *value, double *out_number);

/* ---- Calling ------------------------------------------------------------- */

/* A struct of arguments, its size set and the rest zero:
 *   PJRT_Compile_Args args = PJRT_ARGS(Compile_Args, .topology = topology); */
#define PJRT_ARGS(name, ...) \
  ((PJRT_##name){.struct_size = PJRT_##name##_STRUCT_SIZE, __VA_ARGS__})

/* Calls PJRT_<name>(args). UNIMPLEMENTED if the plugin's table has no such
 * function; otherwise its status, with its name and words in the message. */
#define PJRT_CALL(plugin, name, args, error)                                  \
  (pjrt_has((plugin)->api, offsetof(PJRT_Api, PJRT_##name))                   \
       ? pjrt_forward(plugin, #name, (plugin)->api->PJRT_##name(args), error) \
       : pjrt_raise_missing(plugin, #name, error))

/* The same for what gives a handle back: it tells nobody of failure. */
#define PJRT_DESTROY(plugin, name, field, handle)                              \
  do {                                                                         \
    PJRT_##name##_Args pjrt_args_ = PJRT_ARGS(name##_Args, .field = (handle)); \
    if (pjrt_args_.field) PJRT_CALL(plugin, name, &pjrt_args_, NULL);          \
  } while (0)

/* Whether the table reaches to the slot at `offset` and has something there. */
bool pjrt_has(const PJRT_Api *api, size_t offset);

/* Turns a plugin's error into a status and gives it back. */
pfl_status pjrt_forward(const pjrt_plugin *plugin, const char *name,
                        PJRT_Error *raised, pfl_error *error);
pfl_status pjrt_raise_missing(const pjrt_plugin *plugin, const char *name,
                              pfl_error *error);

/* INTERNAL: a call went well and left `what` empty. */
pfl_status pjrt_raise_nothing(const char *name, const char *what,
                              pfl_error *error);

#endif

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

const pfl_allocator sim_heap = {0};

/* Given when there is no memory for another; never given back. */
static PJRT_Error no_memory = {
    {PFL_STATUS_RESOURCE_EXHAUSTED, "no memory on the host"}};

PJRT_Error *sim_answer(pfl_status status, const pfl_error *error) {
  if (!status) return NULL;
  PJRT_Error *raised = base_allocate(&sim_heap, sizeof *raised);
  if (!raised) return &no_memory;
  raised->error = *error;
  return raised;
}

PJRT_Error *sim_raise(pfl_status status, const char *format, ...) {
  pfl_error error = {.status = status};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error.message, sizeof error.message, format, arguments);
  va_end(arguments);
  return sim_answer(status, &error);
}

PJRT_Error *sim_check_args(const void *args, const char *name, size_t least) {
  size_t size;
  if (!args)
    return sim_raise(PFL_STATUS_INVALID_ARGUMENT, "%s was called with NULL",
                     name);
  memcpy(&size, args, sizeof size);
  if (size >= least) return NULL;
  return sim_raise(PFL_STATUS_INVALID_ARGUMENT,
                   "the struct_size of %s's arguments is %zu: must be %zu or "
                   "more",
                   name, size, least);
}

PJRT_Error *sim_raise_null(const char *what) {
  return sim_raise(PFL_STATUS_INVALID_ARGUMENT, "%s is NULL", what);
}

/* ---- The functions ------------------------------------------------------- */

/* These two have no way to complain. */
static bool has_error(const void *args, size_t least) {
  size_t size;
  if (!args) return false;
  memcpy(&size, args, sizeof size);
  return size >= least;
}

void sim_Error_Destroy(PJRT_Error_Destroy_Args *args) {
  if (has_error(args, SIM_END(PJRT_Error_Destroy_Args, error)) &&
      args->error != &no_memory)
    base_release(&sim_heap, args->error);
}

void sim_Error_Message(PJRT_Error_Message_Args *args) {
  if (!has_error(args, SIM_END(PJRT_Error_Message_Args, message_size))) return;
  args->message = args->error ? args->error->error.message : "no error";
  args->message_size = strlen(args->message);
}

PJRT_Error *sim_Error_GetCode(PJRT_Error_GetCode_Args *args) {
  SIM_BEGIN(Error_GetCode, code);
  SIM_NEED(args->error);
  args->code = (PJRT_Error_Code)args->error->error.status;
  return NULL;
}

PJRT_Error *sim_Plugin_Initialize(PJRT_Plugin_Initialize_Args *args) {
  SIM_BEGIN(Plugin_Initialize, extension_start);
  return NULL;
}

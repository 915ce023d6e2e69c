/* pflash-compiler PLUGIN TOPOLOGY OPTIONS [LISTING_DIR [passes]]: compiles the
 * module on stdin with a PJRT plugin and writes the executable to stdout, packed
 * as pjrt/artifact.h says, or how it failed. OPTIONS is a CompileOptionsProto in
 * hexadecimal. It is the process that pjrt_compile starts, and that may die. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pjrt/aot.h"

/* The whole of stdin. */
static pfl_status read_module(base_text *out_module, pfl_error *error) {
  char bytes[1 << 16];
  size_t count;
  while ((count = fread(bytes, 1, sizeof bytes, stdin)) > 0)
    base_text_add(out_module, bytes, count);
  return base_text_check(out_module, error);
}

static pfl_status read_hex(const char *hex, base_text *out_bytes,
                           pfl_error *error) {
  for (; *hex; hex += 2) {
    char pair[3] = {hex[0], hex[1], 0}, *end;
    char byte = (char)strtoul(pair, &end, 16);
    if (end != pair + 2)
      PFL_RAISE(error, INVALID_ARGUMENT,
                "the options are no hexadecimal bytes: \"%.40s\"", hex);
    base_text_add(out_bytes, &byte, 1);
  }
  return base_text_check(out_bytes, error);
}

static pfl_status compile(const pjrt_plugin *plugin, const char *topology_name,
                          const base_text *module, const base_text *options,
                          base_text *out_packed, pfl_error *error) {
  PJRT_TopologyDescription *topology = NULL;
  PJRT_Executable *executable = NULL;
  base_text version = {0};
  pfl_status status =
      pjrt_topology_create(plugin, topology_name, &topology, error);
  if (!status)
    status = pjrt_topology_version(plugin, topology, &version, error);
  if (!status)
    status =
        pjrt_compile_here(plugin, topology, module->bytes, module->length,
                          options->bytes, options->length, &executable, error);
  if (!status)
    status = pjrt_executable_pack(plugin, executable, base_text_get(&version),
                                  out_packed, error);
  pjrt_executable_destroy(plugin, executable);
  pjrt_topology_destroy(plugin, topology);
  base_text_release(&version);
  return status;
}

static pfl_status answer(char **arguments, base_text *out_packed,
                         pfl_error *error) {
  base_text module = {0}, options = {0};
  pjrt_plugin plugin;
  char *path = realpath(arguments[1], NULL); /* the directory may change */
  pfl_status status = pjrt_environment_prepare(
      arguments[4], arguments[4] && arguments[5], error);
  if (!status) status = read_module(&module, error);
  if (!status) status = read_hex(arguments[3], &options, error);
  if (!status)
    status = pjrt_plugin_load(path ? path : arguments[1], &plugin, error);
  if (!status)
    status =
        compile(&plugin, arguments[2], &module, &options, out_packed, error);
  free(path);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

int main(int count, char **arguments) {
  if (count < 4 || count > 6) {
    fprintf(stderr,
            "usage: pflash-compiler PLUGIN TOPOLOGY OPTIONS [LISTING_DIR "
            "[passes]]\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for the answer any more */
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* they are of gigabytes */
  /* what the plugin prints is talk */
  int out = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  base_text packed = {0};
  pfl_error error = {0};
  FILE *stream = fdopen(out, "wb");
  if (answer(arguments, &packed, &error)) {
    base_text_release(&packed);
    if (pjrt_artifact_pack(NULL, &error, &packed, NULL)) return 1;
  }
  bool written =
      stream &&
      fwrite(packed.bytes, 1, packed.length, stream) == packed.length &&
      !fflush(stream);
  _exit(!written); /* a plugin's threads and destructors have nothing to add */
}

#include "pjrt/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/process.h"
#include "pjrt/cache.h"
#include "pjrt/place.h"
#include "pjrt/plugin.h"

enum { PATH_SIZE = 4096, OUTPUT_MOST = 1 << 30, WORDS_SIZE = 400 };

#define SECONDS_DEFAULT 300.0

/* ---- The program --------------------------------------------------------- */

/* <directory of `path`><below>/pflash-compiler, if it can be run. */
static bool find_beside(const char *path, const char *below, base_text *out) {
  const char *slash = strrchr(path, '/');
  char candidate[PATH_SIZE];
  if (!slash || snprintf(candidate, sizeof candidate, "%.*s%s/pflash-compiler",
                         (int)(slash - path), path, below) >= PATH_SIZE)
    return false;
  if (access(candidate, X_OK)) return false;
  base_text_add_string(out, candidate);
  return true;
}

static pfl_status find_compiler(base_text *out, pfl_error *error) {
  const char *named = getenv("PFLASH_COMPILER");
  char path[PATH_SIZE];
  if (named && *named) {
    if (access(named, X_OK))
      PFL_RAISE(error, NOT_FOUND,
                "PFLASH_COMPILER is %.300s: must be a program that can be run",
                named);
    base_text_add_string(out, named);
    return base_text_check(out, error);
  }
  bool found = pjrt_program_path(path, sizeof path) &&
               (find_beside(path, "", out) || find_beside(path, "/..", out));
  if (!found && pjrt_library_path(path, sizeof path))
    found = find_beside(path, "", out) ||
            find_beside(path, "/" PFLASH_BIN_FROM_LIB, out);
  if (!found)
    PFL_RAISE(error, NOT_FOUND,
              "no pflash-compiler beside the program or the library; "
              "PFLASH_COMPILER may name it");
  return base_text_check(out, error);
}

/* ---- The call ------------------------------------------------------------ */

static void add_hex(base_text *text, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    base_text_format(text, "%02x", ((const unsigned char *)bytes)[i]);
}

/* Where a log tells what a compiler died of: the first line that is fatal as
 * glog ("F1125 ...") or LLVM write it, before traces of the stack; or else the
 * last `most` bytes. */
static size_t find_cause(const base_text *log, size_t most) {
  const char *text = base_text_get(log);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    bool glog = *line == 'F' && strspn(line + 1, "0123456789") == 4;
    if (glog || !strncmp(line, "LLVM ERROR", 10)) return (size_t)(line - text);
  }
  return log->length < most ? 0 : log->length - most;
}

/* The log from its cause on, on one line, for a message. */
static const char *last_words(const base_text *log, char *out, size_t size) {
  size_t used = 0;
  for (size_t i = find_cause(log, size - 1); i < log->length && used + 1 < size;
       i++) {
    unsigned char byte = (unsigned char)log->bytes[i];
    bool blank = byte <= ' ' || byte == 0x7f;
    if (!blank || (used && out[used - 1] != ' '))
      out[used++] = blank ? ' ' : (char)byte;
  }
  out[used] = 0;
  return used ? out : "nothing";
}

/* Runs the program; `reply` is then a whole packed artifact, or failure. */
static pfl_status run_compiler(const pjrt_compile_request *request,
                               const char *const *command, base_text *reply,
                               base_text *log, pfl_error *error) {
  char words[WORDS_SIZE];
  base_run run = {
      .command = command,
      .input = request->module,
      .input_size = request->module_size,
      .seconds = request->seconds > 0 ? request->seconds : SECONDS_DEFAULT,
      .output_most = OUTPUT_MOST,
      .stop = request->stop};
  base_process_end end = {.exit_code = -1};
  pfl_status status = base_process_run(&run, reply, log, &end, error);
  if (status == PFL_STATUS_DEADLINE_EXCEEDED)
    PFL_RAISE(error, DEADLINE_EXCEEDED,
              "the TPU compiler gave no answer within %g seconds; it said: %s",
              run.seconds, last_words(log, words, sizeof words));
  PFL_TRY(status);
  if (pjrt_artifact_is_whole(reply->bytes, reply->length)) return PFL_STATUS_OK;
  if (end.signal)
    PFL_RAISE(error, INTERNAL,
              "the TPU compiler died of signal %d; its last words: %s",
              end.signal, last_words(log, words, sizeof words));
  PFL_RAISE(error, INTERNAL,
            "the TPU compiler ended (exit code %d) without an answer; its last "
            "words: %s",
            end.exit_code, last_words(log, words, sizeof words));
}

static pfl_status call_compiler(const pjrt_compile_request *request,
                                const char *plugin, base_text *reply,
                                base_text *log, pfl_error *error) {
  base_text compiler = {.allocator = reply->allocator};
  base_text options = {.allocator = reply->allocator};
  add_hex(&options, request->options, request->options_size);
  pfl_status status = base_text_check(&options, error);
  if (!status) status = find_compiler(&compiler, error);
  if (!status) {
    const char *const command[] = {base_text_get(&compiler),
                                   plugin,
                                   request->topology,
                                   base_text_get(&options),
                                   request->listing,
                                   request->passes ? "passes" : NULL,
                                   NULL};
    status = run_compiler(request, command, reply, log, error);
  }
  base_text_release(&compiler);
  base_text_release(&options);
  return status;
}

/* From the cache, or from the compiler and then to the cache. */
static pfl_status make_artifact(const pjrt_compile_request *request,
                                const char *plugin,
                                const pfl_allocator *allocator, base_text *log,
                                pjrt_artifact *out_artifact, bool *from_cache,
                                pfl_error *error) {
  base_text entry = {.allocator = *allocator};
  base_text packed = {.allocator = *allocator};
  pfl_status status = PFL_STATUS_OK;
  if (!request->uncached)
    status = pjrt_cache_name(request, plugin, &entry, error);
  bool named = !status && entry.length;
  if (named && !request->listing)
    *from_cache =
        pjrt_cache_load(base_text_get(&entry), allocator, out_artifact);
  if (!status && !*from_cache) {
    status = call_compiler(request, plugin, &packed, log, error);
    if (!status)
      status = pjrt_artifact_unpack(packed.bytes, packed.length, allocator,
                                    out_artifact, error);
    if (!status && named)
      pjrt_cache_store(base_text_get(&entry), packed.bytes, packed.length);
  }
  base_text_release(&entry);
  base_text_release(&packed);
  return status;
}

pfl_status pjrt_compile(const pjrt_compile_request *request,
                        const pfl_allocator *allocator,
                        pjrt_artifact *out_artifact, pfl_error *error) {
  *out_artifact = (pjrt_artifact){.allocator = *allocator};
  if (!request->topology || !*request->topology || !request->module_size)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a compile request needs a topology and a module");
  if (request->listing && mkdir(request->listing, 0777) &&
      access(request->listing, W_OK | X_OK))
    PFL_RAISE(error, NOT_FOUND, "cannot write a listing to %.300s",
              request->listing);
  base_text plugin = {.allocator = *allocator}, log = {.allocator = *allocator};
  bool from_cache = false;
  pfl_status status = PFL_STATUS_OK;
  if (request->plugin)
    base_text_add_string(&plugin, request->plugin);
  else
    status = pjrt_plugin_find(&plugin, error);
  if (!status) status = base_text_check(&plugin, error);
  if (!status)
    status = make_artifact(request, base_text_get(&plugin), allocator, &log,
                           out_artifact, &from_cache, error);
  if (request->log) base_text_add(request->log, log.bytes, log.length);
  if (request->out_from_cache) *request->out_from_cache = from_cache;
  base_text_release(&plugin);
  base_text_release(&log);
  return status;
}

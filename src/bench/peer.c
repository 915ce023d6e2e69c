/* A peer and its protocol. */
#include "bench/peer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/safetensors.h"
#include "bench/child.h"
#include "bench/fields.h"
#include "bench/machine.h"
#include "bench/serve.h"
#include "bench/shipped.h"
#include "bench/workload_json.h"
#include "pjrt/place.h"

enum { TITLE_SIZE = 64, PATH_SIZE = 512 };

struct bench_peer {
  bench_child child;
  int32_t threads;
  peer_patience patience;
  char title[TITLE_SIZE];
  char device[PEER_DEVICE_SIZE];
  int64_t chips;
  char directory[PATH_SIZE];
};

/* ---- Finding it -------------------------------------------------------- */

/* $PFLASH_PYTHON, or the .venv of the checkout the script is in, or any. */
static void find_python(const char *script, char *path, size_t capacity) {
  const char *given = getenv("PFLASH_PYTHON");
  const char *slash = strrchr(script, '/');
  snprintf(path, capacity, "%.*s/../../.venv/bin/python", (int)(slash - script),
           script);
  if (given || access(path, X_OK))
    snprintf(path, capacity, "%s", given ? given : "python3");
}

pfl_status peer_find_script(const char *file, char *out_script,
                            char *out_python, size_t capacity,
                            pfl_error *error) {
  if (!shipped_find("peers", file, out_script, capacity))
    PFL_RAISE(error, NOT_FOUND, "no %s in $PFLASH_PEERS, or above the program",
              file);
  find_python(out_script, out_python, capacity);
  return PFL_STATUS_OK;
}

static const char *listed_script(const char *name) {
#define PEER_ROW(id, text, script, what) \
  if (!strcmp(name, text)) return script;
  BENCH_PEER_LIST(PEER_ROW)
#undef PEER_ROW
  return NULL;
}

/* What pflash-peer is to run on: "tpu", or the plugin of "pjrt:PLUGIN"; NULL:
 * the name is of no device. */
static const char *device_of(const char *name) {
  static const char plugin[] = "pjrt:";
  size_t length = strlen(plugin);
  if (!strcmp(name, SERVE_TPU)) return name;
  return strncmp(name, plugin, length) || !name[length] ? NULL : name + length;
}

bool peer_is_known(const char *name) {
  return strchr(name, '/') || device_of(name) || listed_script(name);
}

/* Beside the program, or a test's in the folder above. */
static bool find_server(char path[PATH_SIZE]) {
  static const char *const places[] = {"", "/.."};
  const char *named = getenv("PFLASH_PEER");
  char program[PATH_SIZE];
  if (named && *named)
    return snprintf(path, PATH_SIZE, "%s", named) < PATH_SIZE &&
           !access(path, X_OK);
  if (!pjrt_program_path(program, sizeof program)) return false;
  *strrchr(program, '/') = 0;
  for (int i = 0; i < 2; i++)
    if (snprintf(path, PATH_SIZE, "%s%s/pflash-peer", program, places[i]) <
            PATH_SIZE &&
        !access(path, X_OK))
      return true;
  return false;
}

/* ---- Life -------------------------------------------------------------- */

static pfl_status start_child(bench_peer *peer, const char *name,
                              pfl_error *error) {
  char script[PATH_SIZE], python[PATH_SIZE], threads[3][48];
  const char *command[] = {name, device_of(name), NULL};
  if (command[1]) {
    if (!find_server(script))
      PFL_RAISE(error, NOT_FOUND,
                "no pflash-peer beside the program; PFLASH_PEER may name it");
    command[0] = script;
  } else if (!strchr(name, '/')) {
    PFL_TRY(peer_find_script(listed_script(name), script, python, PATH_SIZE,
                             error));
    command[0] = python;
    command[1] = script;
  }
  static const char *const variables[] = {"OMP", "MKL", "OPENBLAS"};
  for (int i = 0; i < 3; i++)
    snprintf(threads[i], sizeof threads[i], "%s_NUM_THREADS=%d", variables[i],
             peer->threads);
  const char *settings[] = {threads[0], threads[1], threads[2], NULL};
  return child_start(&peer->child, command, settings, error);
}

void peer_stop(bench_peer *peer) {
  if (!peer) return;
  child_stop(&peer->child);
  free(peer);
}

pfl_status peer_start(const char *name, int32_t threads, const char *directory,
                      peer_patience patience, bench_peer **out_peer,
                      pfl_error *error) {
  if (!peer_is_known(name))
    PFL_RAISE(error, INVALID_ARGUMENT, "no peer is called %s", name);
  bench_peer *peer = calloc(1, sizeof *peer);
  if (!peer) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a peer");
  peer->threads = threads;
  peer->patience = patience;
  if (!(patience.ready > 0)) peer->patience.ready = 120;
  if (!(patience.run > 0)) peer->patience.run = 60;
  const char *slash = strrchr(name, '/');
  snprintf(peer->title, sizeof peer->title, "%s", slash ? slash + 1 : name);
  snprintf(peer->directory, sizeof peer->directory, "%s", directory);
  pfl_status status = start_child(peer, name, error);
  if (status != PFL_STATUS_OK)
    peer_stop(peer);
  else
    *out_peer = peer;
  return status;
}

const char *peer_title(const bench_peer *peer) { return peer->title; }

const char *peer_device(const bench_peer *peer) { return peer->device; }

int64_t peer_chips(const bench_peer *peer) { return peer->chips; }

pid_t peer_process(const bench_peer *peer) { return peer->child.process.id; }

/* ---- Questions and answers --------------------------------------------- */

/* Sends `question`, which it releases, and reads the answer, an object. */
static pfl_status ask(bench_peer *peer, base_text *question, double seconds,
                      json_document *out_answer, pfl_error *error) {
  pfl_status status = base_text_check(question, error);
  if (status == PFL_STATUS_OK)
    status = child_send(&peer->child, base_text_get(question), error);
  base_text_release(question);
  PFL_TRY(status);
  const char *line;
  PFL_TRY(child_receive(&peer->child, seconds, &line, error));
  static const pfl_allocator allocator = {0};
  size_t length = strlen(line);
  status = json_parse(line, length, &allocator, out_answer, NULL);
  if (status == PFL_STATUS_OK && out_answer->root->type == JSON_OBJECT)
    return PFL_STATUS_OK;
  if (status == PFL_STATUS_OK) json_release(out_answer);
  char quoted[BASE_QUOTE_SIZE];
  PFL_RAISE(error, UNAVAILABLE, "it answered %s, which is no JSON object",
            base_quote(line, length, quoted));
}

static void write_cell(base_text *text, const bench_peer *peer,
                       const bench_tensors *tensors, const char *inputs) {
  const bench_workload *w = &tensors->workload;
  json_writer json = {.text = text};
  json_begin_object(&json, NULL);
  json_begin_object(&json, "cell");
  workload_json_write(&json, w);
  json_write_int64(&json, "threads", peer->threads);
  json_write_int64(&json, "copies", tensors->copies);
  json_write_string(&json, "inputs", inputs);
  json_end(&json);
  json_end(&json);
}

/* {"ready": its name} or {"skip": why}. */
static pfl_status read_ready(bench_peer *peer, const json_document *answer,
                             pfl_error *error) {
  const char *skip = json_string(json_object_get(answer->root, "skip"));
  const char *ready = json_string(json_object_get(answer->root, "ready"));
  char words[BASE_QUOTE_SIZE];
  if (skip) {
    fields_printable(words, sizeof words, skip);
    PFL_RAISE(error, UNIMPLEMENTED, "%s", words);
  }
  if (!ready)
    PFL_RAISE(error, UNAVAILABLE,
              "it answered a cell with neither \"ready\" nor \"skip\"");
  fields_printable(peer->title, sizeof peer->title, ready);
  const char *device = json_string(json_object_get(answer->root, "device"));
  fields_printable(peer->device, sizeof peer->device, device ? device : "");
  peer->chips = 1;
  json_int64(json_object_get(answer->root, "chips"), &peer->chips);
  if (peer->chips < 1 || peer->chips > PEER_CHIPS_MAX)
    PFL_RAISE(error, UNAVAILABLE, "it answered a cell with %lld chips",
              (long long)peer->chips);
  return PFL_STATUS_OK;
}

pfl_status peer_load(bench_peer *peer, const bench_tensors *tensors,
                     pfl_error *error) {
  char inputs[PATH_SIZE + 32];
  snprintf(inputs, sizeof inputs, "%s/inputs.safetensors", peer->directory);
  PFL_TRY(tensors_write(tensors, inputs, error));
  base_text question = {0};
  json_document answer;
  write_cell(&question, peer, tensors, inputs);
  pfl_status status =
      ask(peer, &question, peer->patience.ready, &answer, error);
  remove(inputs);
  PFL_TRY(status);
  status = read_ready(peer, &answer, error);
  json_release(&answer);
  return status;
}

pfl_status peer_run(bench_peer *peer, double *out_seconds, pfl_error *error) {
  base_text question = {0};
  json_document answer;
  base_text_add_string(&question, "{\"run\":true}");
  double start = machine_now();
  PFL_TRY(ask(peer, &question, peer->patience.run, &answer, error));
  double elapsed = machine_now() - start, seconds = NAN;
  json_double(json_object_get(answer.root, "seconds"), &seconds);
  json_release(&answer);
  /* its clock may differ a little from ours, but not more */
  if (!(seconds > 0 && seconds <= 1.01 * elapsed + 1e-4))
    PFL_RAISE(error, UNAVAILABLE,
              "it answered a run of %g s with {\"seconds\": %g}", elapsed,
              seconds);
  *out_seconds = seconds;
  return PFL_STATUS_OK;
}

/* Finds the workload's outputs in a file a peer wrote. */
static pfl_status match_outputs(const safetensors_file *file,
                                const bench_tensors *tensors,
                                const void *out_data[BENCH_OUTPUTS_MAX],
                                pfl_error *error) {
  const bench_workload *w = &tensors->workload;
  for (int i = 0; i < tensors->output_count; i++) {
    const bench_output *output = &tensors->outputs[i];
    const safetensors_tensor *found = safetensors_find(file, output->name);
    if (!found)
      PFL_RAISE(error, UNAVAILABLE, "it wrote no tensor %s", output->name);
    const int64_t shape[] = {w->batch, output->heads, output->length,
                             w->head_dim};
    if (found->rank != 4 || memcmp(found->shape, shape, sizeof shape))
      PFL_RAISE(error, UNAVAILABLE,
                "it wrote %s in another shape than [%lld, %lld, %lld, %lld]",
                output->name, (long long)shape[0], (long long)shape[1],
                (long long)shape[2], (long long)shape[3]);
    if (found->dtype != w->dtype)
      PFL_RAISE(error, UNAVAILABLE, "it wrote %s as %s, not %s", output->name,
                found->dtype_name, pfl_dtype_name(w->dtype));
    out_data[i] = found->data;
  }
  return PFL_STATUS_OK;
}

pfl_status peer_check(bench_peer *peer, const bench_tensors *tensors,
                      const bench_gate *gate, gate_verdict *out_verdict,
                      pfl_error *error) {
  char outputs[PATH_SIZE + 32];
  snprintf(outputs, sizeof outputs, "%s/outputs.safetensors", peer->directory);
  base_text question = {0};
  json_writer json = {.text = &question};
  json_begin_object(&json, NULL);
  json_write_string(&json, "write", outputs);
  json_end(&json);
  json_document answer;
  PFL_TRY(ask(peer, &question, peer->patience.run, &answer, error));
  json_release(&answer);
  static const pfl_allocator allocator = {0};
  safetensors_file file;
  pfl_status status = safetensors_read(outputs, &allocator, &file, error);
  remove(outputs);
  PFL_TRY(status);
  const void *data[BENCH_OUTPUTS_MAX];
  status = match_outputs(&file, tensors, data, error);
  if (status == PFL_STATUS_OK)
    *out_verdict = gate_check(gate, data, tensors->workload.dtype);
  safetensors_release(&file);
  return status;
}

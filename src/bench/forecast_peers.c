#include "bench/forecast_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "bench/child.h"
#include "bench/fields.h"
#include "bench/peer.h"
#include "bench/prediction_cache.h"
#include "bench/workload_json.h"
#include "pjrt/cache.h"
#include "pjrt/plugin.h"

#define SCRIPT "jax_tpu.py"
enum {
  PATH_SIZE = 512,
  NAMES_MAX = 4,   /* of kernels */
  INPUTS_MAX = 16, /* of a program's kernels */
  WAYS_MAX = 32,   /* of a cell that are asked for */
  STRIKES_MAX = 2  /* failures of the script itself, not of a way */
};
#define INPUTS_BYTES_MAX (1 << 24)
#define SECONDS_VERSIONS 60
#define SECONDS_COMPILE 600

static const pfl_allocator heap;

struct forecast_peers {
  bench_child child;
  base_text plugin;   /* the compiler's path */
  base_text identity; /* the script, its JAX: what an answer hangs on */
  const char *directory;
  int strikes;
};

/* ---- Questions ----------------------------------------------------------- */

static pfl_status ask(forecast_peers *peers, const char *question,
                      double seconds, json_document *out_answer,
                      pfl_error *error) {
  const char *line;
  PFL_TRY(child_send(&peers->child, question, error));
  PFL_TRY(child_receive(&peers->child, seconds, &line, error));
  PFL_TRY(json_parse(line, strlen(line), &heap, out_answer, error));
  if (out_answer->root->type == JSON_OBJECT) return PFL_STATUS_OK;
  json_release(out_answer);
  PFL_RAISE(error, UNAVAILABLE, "it answered no JSON object");
}

/* False if there are no such words. */
static bool copy_words(char *out, size_t size, const json_document *answer,
                       const char *key) {
  const char *words = json_string(json_object_get(answer->root, key));
  if (words) fields_printable(out, size, words);
  return words != NULL;
}

static void write_cell(json_writer *json, const forecast_cell *cell) {
  const bench_workload *w = &cell->workload;
  json_begin_object(json, "cell");
  workload_json_write(json, w);
  json_write_int64(json, "page", w->page);
  json_write_int64(json, "chips", cell->chips);
  json_end(json);
}

/* Without a directory it is what the answer is kept by. */
static void write_question(base_text *text, const forecast_cell *cell, int way,
                           const char *directory) {
  json_writer json = {.text = text};
  json_begin_object(&json, NULL);
  write_cell(&json, cell);
  json_write_int64(&json, "way", way);
  if (directory) json_write_string(&json, "directory", directory);
  json_end(&json);
}

/* ---- Listings ------------------------------------------------------------ */

typedef struct way_inputs {
  json_document document; /* programs' names are in it */
  schedule_input list[INPUTS_MAX];
  int count;
} way_inputs;

static void release_inputs(way_inputs *inputs) {
  for (int i = 0; i < inputs->count; i++) free((void *)inputs->list[i].words);
  json_release(&inputs->document);
}

static pfl_status read_input(const json_value *value, schedule_input *out,
                             pfl_error *error) {
  json_fields f = fields_of(value, "inputs.json", error);
  const json_value *words = fields_array(&f, "words");
  *out = (schedule_input){.program = fields_word(&f, "program"),
                          .operand = fields_int64(&f, "operand", 0, 63)};
  PFL_TRY(f.status);
  uint32_t *copy = calloc(words->length + 1u, sizeof *copy);
  if (!copy) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for inputs");
  out->words = copy;
  for (const json_value *w = json_first(words); w; w = w->next) {
    int64_t word = 0;
    json_int64(w, &word);
    copy[out->count++] = (uint32_t)word;
  }
  return PFL_STATUS_OK;
}

static pfl_status read_inputs(const char *directory, way_inputs *out,
                              pfl_error *error) {
  base_text path = {0}, text = {0};
  base_text_format(&path, "%s/inputs.json", directory);
  pfl_status status = base_text_check(&path, error);
  if (!status)
    status =
        base_file_load(base_text_get(&path), INPUTS_BYTES_MAX, &text, error);
  if (!status)
    status = json_parse(text.bytes, text.length, &heap, &out->document, error);
  const json_value *item = status ? NULL : json_first(out->document.root);
  for (; item && !status && out->count < INPUTS_MAX; item = item->next)
    status = read_input(item, &out->list[out->count++], error);
  base_text_release(&path);
  base_text_release(&text);
  return status;
}

/* A list of names that ends in NULL, of the answer's document. */
static void list_names(const json_document *answer, const char *key,
                       const char *out[NAMES_MAX + 1]) {
  int count = 0;
  const json_value *item = json_first(json_object_get(answer->root, key));
  for (; item && count < NAMES_MAX; item = item->next)
    if (json_string(item)) out[count++] = json_string(item);
  out[count] = NULL;
}

static pfl_status read_way(const json_document *answer, const char *directory,
                           bench_prediction *prediction, pfl_error *error) {
  const char *kernels[NAMES_MAX + 1], *without[NAMES_MAX + 1];
  way_inputs inputs = {.count = 0};
  list_names(answer, "kernels", kernels);
  list_names(answer, "without", without);
  pfl_status status = read_inputs(directory, &inputs, error);
  const predict_listing listing = {.path = directory,
                                   .kernels = kernels,
                                   .without = without,
                                   .inputs = inputs.list,
                                   .input_count = inputs.count,
                                   .chips = 1};
  if (!status) status = predict_read(&listing, prediction, error);
  release_inputs(&inputs);
  return status;
}

/* ---- Ways ---------------------------------------------------------------- */

/* What became of one way of a cell. */
typedef struct peer_way {
  bool done; /* the cell has no such way */
  bench_prediction prediction;
  char title[FORECAST_TITLE_SIZE];
  char reason[PFL_MESSAGE_SIZE]; /* "": it is predicted */
} peer_way;

/* The script answers; *out_way then says what, be it a failure. */
static pfl_status compile_way(forecast_peers *peers, const forecast_cell *cell,
                              int way, const char *directory, peer_way *out_way,
                              pfl_error *error) {
  base_text question = {0};
  json_document answer;
  write_question(&question, cell, way, directory);
  pfl_status status = base_text_check(&question, error);
  if (!status)
    status =
        ask(peers, base_text_get(&question), SECONDS_COMPILE, &answer, error);
  base_text_release(&question);
  PFL_TRY(status);
  json_bool(json_object_get(answer.root, "done"), &out_way->done);
  if (!copy_words(out_way->title, sizeof out_way->title, &answer, "title"))
    snprintf(out_way->title, sizeof out_way->title, "jax");
  if (!out_way->done &&
      !copy_words(out_way->reason, sizeof out_way->reason, &answer, "failed")) {
    pfl_error why = {0};
    if (read_way(&answer, directory, &out_way->prediction, &why))
      snprintf(out_way->reason, sizeof out_way->reason, "%s", why.message);
    snprintf(out_way->prediction.by, sizeof out_way->prediction.by, "%s",
             out_way->title);
  }
  json_release(&answer);
  return PFL_STATUS_OK;
}

/* The name of a kept answer: of whom, by what compiler, to what question. */
static pfl_status name_entry(const forecast_peers *peers,
                             const forecast_cell *cell, int way,
                             base_text *out_path, pfl_error *error) {
  base_text all = {0}, key = {0};
  base_text_add(&all, peers->identity.bytes, peers->identity.length);
  write_question(&all, cell, way, NULL);
  const pjrt_compile_request request = {.topology = PREDICT_TARGET,
                                        .module = base_text_get(&all),
                                        .module_size = all.length};
  pfl_status status = base_text_check(&all, error);
  if (!status)
    status =
        pjrt_cache_name(&request, base_text_get(&peers->plugin), &key, error);
  if (!status && key.length)
    status = prediction_cache_name(&key, out_path, error);
  base_text_release(&all);
  base_text_release(&key);
  return status;
}

static pfl_status predict_anew(forecast_peers *peers, const forecast_cell *cell,
                               int way, peer_way *out_way, pfl_error *error) {
  base_text path = {0};
  base_folder folder;
  base_text_format(&path, "%s/jax", peers->directory);
  pfl_status status = base_text_check(&path, error);
  if (!status)
    status = base_folder_begin(base_text_get(&path), "none", &folder, error);
  if (!status) {
    status = compile_way(peers, cell, way, base_text_get(&folder.temporary),
                         out_way, error);
    pfl_status removed = base_folder_end(&folder, PFL_STATUS_CANCELLED, NULL);
    (void)removed; /* CANCELLED: the directory goes */
  }
  base_text_release(&path);
  return status;
}

static pfl_status predict_way(forecast_peers *peers, const forecast_cell *cell,
                              int way, peer_way *out_way, pfl_error *error) {
  base_text entry = {0};
  *out_way = (peer_way){.done = false};
  pfl_status status = name_entry(peers, cell, way, &entry, error);
  const char *path = base_text_get(&entry);
  if (!status && prediction_cache_load(path, &out_way->prediction)) {
    snprintf(out_way->title, sizeof out_way->title, "%.63s",
             out_way->prediction.by);
  } else if (!status) {
    status = predict_anew(peers, cell, way, out_way, error);
    if (!status && !out_way->done && !*out_way->reason)
      prediction_cache_store(path, &out_way->prediction);
  }
  base_text_release(&entry);
  return status;
}

/* ---- Sides --------------------------------------------------------------- */

/* The side of that kernel, or a new one; NULL: there is no room. */
static forecast_side *find_side(forecast_cell *cell, const char *title) {
  size_t kind = strcspn(title, " ");
  for (int i = 1; i < cell->side_count; i++) {
    forecast_side *side = &cell->sides[i];
    if ((size_t)forecast_side_kind(side) == kind &&
        !strncmp(side->title, title, kind))
      return side;
  }
  if (cell->side_count == FORECAST_SIDES_MAX) return NULL;
  forecast_side *side = &cell->sides[cell->side_count++];
  snprintf(side->reason, sizeof side->reason, "not predicted");
  return side;
}

static void keep_best(forecast_cell *cell, const peer_way *way) {
  forecast_side *side = find_side(cell, way->title);
  const bench_prediction *p = &way->prediction;
  bool failed = *way->reason;
  if (!side ||
      (forecast_side_there(side) && (failed || p->cycles >= side->cycles)))
    return;
  *side = (forecast_side){.cycles = p->cycles,
                          .kernel_cycles = p->kernel_cycles,
                          .warnings = p->warnings};
  memcpy(side->title, way->title, sizeof side->title);
  memcpy(side->reason, way->reason, sizeof side->reason);
}

void forecast_peers_predict(forecast_peers *peers, forecast_cell *cell) {
  peer_way way;
  pfl_error why = {0};
  for (int i = 0; i < WAYS_MAX && peers->strikes < STRIKES_MAX; i++) {
    if (predict_way(peers, cell, i, &way, &why)) {
      peers->strikes++;
      way = (peer_way){.title = "jax"};
      snprintf(way.reason, sizeof way.reason, "%s", why.message);
    }
    if (way.done) break;
    keep_best(cell, &way);
  }
}

/* ---- Life ---------------------------------------------------------------- */

static pfl_status start(forecast_peers *peers, pfl_error *error) {
  char script[PATH_SIZE], python[PATH_SIZE];
  base_text library = {0};
  PFL_TRY(pjrt_plugin_find(&peers->plugin, error));
  PFL_TRY(peer_find_script(SCRIPT, script, python, PATH_SIZE, error));
  PFL_TRY(base_file_load(script, 1 << 20, &peers->identity, error));
  base_text_format(&library, "TPU_LIBRARY_PATH=%s",
                   base_text_get(&peers->plugin));
  pfl_status status = base_text_check(&library, error);
  const char *const command[] = {python, script, NULL};
  const char *const settings[] = {base_text_get(&library), NULL};
  if (!status) status = child_start(&peers->child, command, settings, error);
  base_text_release(&library);
  return status;
}

static pfl_status ask_versions(forecast_peers *peers, char *out_versions,
                               size_t capacity, pfl_error *error) {
  json_document answer;
  char skip[BASE_QUOTE_SIZE] = "it does not say what JAX it has";
  PFL_TRY(ask(peers, "{\"versions\":true}", SECONDS_VERSIONS, &answer, error));
  bool there = copy_words(out_versions, capacity, &answer, "versions");
  if (!there) copy_words(skip, sizeof skip, &answer, "skip");
  json_release(&answer);
  if (!there) PFL_RAISE(error, UNIMPLEMENTED, "%s", skip);
  base_text_add_string(&peers->identity, out_versions);
  return base_text_check(&peers->identity, error);
}

pfl_status forecast_peers_open(const char *directory,
                               forecast_peers **out_peers, char *out_versions,
                               size_t capacity, pfl_error *error) {
  forecast_peers *peers = calloc(1, sizeof *peers);
  if (!peers) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for peers");
  peers->directory = directory;
  pfl_status status = start(peers, error);
  if (!status) status = ask_versions(peers, out_versions, capacity, error);
  if (status)
    forecast_peers_close(peers);
  else
    *out_peers = peers;
  return status;
}

void forecast_peers_close(forecast_peers *peers) {
  if (!peers) return;
  child_stop(&peers->child);
  base_text_release(&peers->plugin);
  base_text_release(&peers->identity);
  free(peers);
}

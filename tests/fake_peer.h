/* A peer that behaves as it is told. The test program is its own peer: run
 * again with PFLASH_FAKE_PEER set, main hands over to fake_peer, which speaks
 * the protocol with one fault in it.
 *
 *   int main(void) {
 *     if (getenv("PFLASH_FAKE_PEER")) return fake_peer();
 *     return CHECK_RUN(...);
 *   }
 */
#ifndef PFL_TESTS_FAKE_PEER_H
#define PFL_TESTS_FAKE_PEER_H

#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/safetensors.h"
#include "check.h"
#include "pallas_flash/pallas_flash.h"

#define FAKE_PEER_PATH "/proc/self/exe"

/* Makes the next peers behave so; NULL: honest. */
static inline void fake_peer_set(const char *fault) {
  CHECK_NEED(!setenv("PFLASH_FAKE_PEER", fault ? fault : "honest", 1));
}

static inline bool fake_fault(const char *fault) {
  return !strcmp(getenv("PFLASH_FAKE_PEER"), fault);
}

typedef struct fake_cell {
  json_document line;
  safetensors_file inputs;
  pfl_context *context;
  float *o, *lse;
  int64_t shape[4];
  double seconds;
} fake_cell;

static inline int64_t fake_number(const fake_cell *cell, const char *name) {
  int64_t number = -1;
  json_int64(json_object_get(json_object_get(cell->line.root, "cell"), name),
             &number);
  CHECK_NEED(number >= 0);
  return number;
}

static inline const char *fake_word(const fake_cell *cell, const char *name) {
  const char *word = json_string(
      json_object_get(json_object_get(cell->line.root, "cell"), name));
  CHECK_NEED(word);
  return word;
}

static inline void fake_load(fake_cell *cell) {
  static const pfl_allocator allocator = {0};
  const char *path = fake_word(cell, "inputs");
  CHECK_NEED(!strcmp(fake_word(cell, "op"), "forward"));
  CHECK_NEED(!strcmp(fake_word(cell, "dtype"), "f32"));
  CHECK_NEED(safetensors_read(path, &allocator, &cell->inputs, NULL) ==
             PFL_STATUS_OK);
  CHECK_NEED(pfl_context_create(NULL, &cell->context, NULL) == PFL_STATUS_OK);
  const safetensors_tensor *q = safetensors_find(&cell->inputs, "q");
  memcpy(cell->shape, q->shape, sizeof cell->shape);
  cell->o = calloc((size_t)q->bytes, 1);
  CHECK_NEED(cell->o);
}

/* Forward of f32 tensors. */
static inline void fake_run(fake_cell *cell) {
  pfl_attention attention = {
      .struct_size = sizeof attention,
      .batch = 1,
      .q_heads = fake_number(cell, "q_heads"),
      .kv_heads = fake_number(cell, "kv_heads"),
      .q_length = fake_number(cell, "q_length"),
      .kv_length = fake_number(cell, "kv_length"),
      .head_dim = fake_number(cell, "head_dim"),
  };
  bool causal = false;
  CHECK_NEED(json_bool(
      json_object_get(json_object_get(cell->line.root, "cell"), "causal"),
      &causal));
  attention.scoring.causal = causal;
  pfl_forward_args args = {
      .struct_size = sizeof args,
      .q = safetensors_find(&cell->inputs, "q")->data,
      .k = safetensors_find(&cell->inputs, "k")->data,
      .v = safetensors_find(&cell->inputs, "v")->data,
      .out_o = cell->o,
  };
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  CHECK_NEED(pfl_attention_forward(cell->context, &attention, &args, NULL) ==
             PFL_STATUS_OK);
  clock_gettime(CLOCK_MONOTONIC, &end);
  cell->seconds = (double)(end.tv_sec - start.tv_sec) +
                  1e-9 * (double)(end.tv_nsec - start.tv_nsec) + 1e-9;
}

static inline void fake_write(fake_cell *cell, const char *path) {
  safetensors_tensor o = {
      .name = fake_fault("other name") ? "out" : "o",
      .dtype = fake_fault("other dtype") ? PFL_DTYPE_BF16 : PFL_DTYPE_F32,
      .rank = 4,
      .data = cell->o,
  };
  memcpy(o.shape, cell->shape, sizeof cell->shape);
  if (fake_fault("other shape")) o.shape[3] /= 2;
  if (fake_fault("other result")) cell->o[3] += 0.01f;
  if (fake_fault("no file")) return;
  if (fake_fault("no tensors")) {
    FILE *file = fopen(path, "wb");
    CHECK_NEED(file && fputs("not a safetensors file", file) >= 0);
    fclose(file);
    return;
  }
  CHECK_NEED(safetensors_write(path, &o, 1, NULL, NULL) == PFL_STATUS_OK);
}

static inline void fake_say(const char *line) {
  fputs(line, stdout);
  fputc('\n', stdout);
  fflush(stdout);
}

static inline void fake_hang(void) {
  for (;;) pause();
}

static inline void fake_answer_cell(fake_cell *cell) {
  if (fake_fault("skip")) {
    fake_say("{\"skip\":\"not on a \\u001b[31mMonday\"}");
    return;
  }
  if (fake_fault("hang on cell")) fake_hang();
  if (fake_fault("neither")) {
    fake_say("{\"maybe\":1}");
    return;
  }
  fake_load(cell);
  fake_say(fake_fault("hostile name")
               ? "{\"ready\":\"<b>\\\"&\\u0007 a name that goes on and on and "
                 "on and on and on and on and on and on\"}"
               : "{\"ready\":\"fake 1.0\"}");
}

static inline void fake_answer_run(fake_cell *cell) {
  if (fake_fault("die on run")) {
    fputs("first words\nlast words\n", stderr);
    exit(3);
  }
  if (fake_fault("crash on run")) abort();
  if (fake_fault("hang on run")) fake_hang();
  fake_run(cell);
  char line[64];
  double seconds = cell->seconds;
  if (fake_fault("too long")) seconds = 1000;
  if (fake_fault("negative")) seconds = -1;
  snprintf(line, sizeof line, "{\"seconds\":%.9f}", seconds);
  if (fake_fault("no number")) snprintf(line, sizeof line, "{\"seconds\":[]}");
  if (fake_fault("garbage")) snprintf(line, sizeof line, "\x01 ready! {");
  if (fake_fault("a list")) snprintf(line, sizeof line, "[1]");
  if (fake_fault("two lines")) { /* in one write, so that both come at once */
    size_t length = strlen(line);
    snprintf(line + length, sizeof line - length, "\n{}");
  }
  fake_say(line);
}

static inline int fake_peer(void) {
  static char line[1 << 16];
  static const pfl_allocator allocator = {0};
  fake_cell cell = {0};
  if (fake_fault("die at once")) {
    fputs("cannot find my libraries\n", stderr);
    return 1;
  }
  if (fake_fault("close output")) {
    close(0);
    close(1);
    fake_hang();
  }
  if (fake_fault("endless line"))
    for (;;)
      if (fputs("{\"ready\":", stdout) < 0 || fflush(stdout)) return 1;
  while (fgets(line, sizeof line, stdin)) {
    json_document request;
    CHECK_NEED(json_parse(line, strlen(line), &allocator, &request, NULL) ==
               PFL_STATUS_OK);
    const char *path = json_string(json_object_get(request.root, "write"));
    if (json_object_get(request.root, "cell")) {
      cell.line = request;
      fake_answer_cell(&cell);
      continue;
    }
    if (path) {
      fake_write(&cell, path);
      fake_say("{\"written\":true}");
    } else {
      fake_answer_run(&cell);
    }
    json_release(&request);
  }
  if (fake_fault("never end")) fake_hang();
  return 0;
}

#endif

#include "pjrt/artifact.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pjrt/sha256.h"

static const char magic[8] = "PFLASH1\n";

enum { HEADER_SIZE = sizeof magic + 8 + SHA256_SIZE, COSTS_MAX = 4096 };

void pjrt_artifact_release(pjrt_artifact *artifact) {
  base_release(&artifact->allocator, artifact->storage);
  *artifact = (pjrt_artifact){.allocator = artifact->allocator};
}

double pjrt_artifact_cost(const pjrt_artifact *artifact, const char *name) {
  for (int64_t i = 0; i < artifact->cost_count; i++)
    if (!strcmp(artifact->costs[i].name, name)) return artifact->costs[i].value;
  return -1;
}

/* ---- Packing ------------------------------------------------------------- */

static void add_number(base_text *text, uint64_t number, int bytes) {
  char out[8];
  for (int i = 0; i < bytes; i++) out[i] = (char)(number >> 8 * i);
  base_text_add(text, out, (size_t)bytes);
}

static void add_text(base_text *text, const void *bytes, size_t size) {
  add_number(text, size, 8);
  base_text_add(text, bytes, size);
}

static void add_artifact(base_text *text, const pjrt_artifact *artifact) {
  add_text(text, artifact->version, strlen(artifact->version));
  const pjrt_compiled_memory *memory = &artifact->memory;
#define ADD_FIELD(name) add_number(text, (uint64_t)memory->name##_bytes, 8);
  PJRT_MEMORY_LIST(ADD_FIELD)
#undef ADD_FIELD
  add_number(text, (uint64_t)memory->peak_bytes, 8);
  add_number(text, (uint64_t)memory->total_bytes, 8);
  add_number(text, (uint64_t)artifact->cost_count, 4);
  for (int64_t i = 0; i < artifact->cost_count; i++) {
    uint64_t bits;
    memcpy(&bits, &artifact->costs[i].value, sizeof bits);
    add_text(text, artifact->costs[i].name, strlen(artifact->costs[i].name));
    add_number(text, bits, 8);
  }
  add_text(text, artifact->executable, artifact->executable_size);
}

pfl_status pjrt_artifact_pack(const pjrt_artifact *artifact,
                              const pfl_error *failure, base_text *out,
                              pfl_error *error) {
  base_text payload = {.allocator = out->allocator};
  add_number(&payload, failure ? (uint64_t)failure->status : 0, 4);
  if (failure)
    add_text(&payload, failure->message, strlen(failure->message));
  else
    add_artifact(&payload, artifact);
  pfl_status status = base_text_check(&payload, error);
  if (!status) {
    uint8_t digest[SHA256_SIZE];
    sha256(payload.bytes, payload.length, digest);
    base_text_add(out, magic, sizeof magic);
    add_number(out, payload.length, 8);
    base_text_add(out, (const char *)digest, sizeof digest);
    base_text_add(out, payload.bytes, payload.length);
    status = base_text_check(out, error);
  }
  base_text_release(&payload);
  return status;
}

/* ---- Unpacking ----------------------------------------------------------- */

/* What is left of the bytes; once something was not there, nothing is. */
typedef struct reader {
  const uint8_t *bytes;
  size_t left;
  bool broken;
} reader;

static const uint8_t *take(reader *from, uint64_t size) {
  if (from->broken || size > from->left) {
    from->broken = true;
    return NULL;
  }
  const uint8_t *taken = from->bytes;
  from->bytes += size;
  from->left -= size;
  return taken;
}

static uint64_t take_number(reader *from, int bytes) {
  const uint8_t *taken = take(from, (uint64_t)bytes);
  uint64_t number = 0;
  for (int i = 0; taken && i < bytes; i++)
    number |= (uint64_t)taken[i] << 8 * i;
  return number;
}

/* Copies it to *place, with a NUL, and moves *place behind it. */
static const char *take_text(reader *from, char **place, size_t *out_size) {
  uint64_t size = take_number(from, 8);
  const uint8_t *taken = take(from, size);
  if (!taken) return "";
  char *copy = *place;
  if (size) memcpy(copy, taken, size);
  copy[size] = 0;
  *place += size + 1;
  if (out_size) *out_size = size;
  return copy;
}

static bool open_payload(const void *bytes, size_t size, reader *out_payload) {
  reader from = {bytes, size, false};
  const uint8_t *found = take(&from, sizeof magic);
  if (!found || memcmp(found, magic, sizeof magic)) return false;
  uint64_t length = take_number(&from, 8);
  const uint8_t *digest = take(&from, SHA256_SIZE);
  if (!digest || from.left != length) return false;
  uint8_t computed[SHA256_SIZE];
  sha256(from.bytes, from.left, computed);
  *out_payload = from;
  return !memcmp(digest, computed, sizeof computed);
}

bool pjrt_artifact_is_whole(const void *bytes, size_t size) {
  reader payload;
  return open_payload(bytes, size, &payload);
}

/* Texts shrink by seven bytes in the copy: their size is replaced by a NUL. */
static pfl_status read_artifact(reader *from, pjrt_artifact *artifact,
                                pfl_error *error) {
  reader ahead = *from;
  take(&ahead, take_number(&ahead, 8));
  take(&ahead, 12 * 8);
  uint64_t cost_count = take_number(&ahead, 4);
  if (ahead.broken || cost_count > COSTS_MAX)
    PFL_RAISE(error, DATA_LOSS, "a packed executable has %llu costs",
              (unsigned long long)cost_count);
  size_t table = (size_t)cost_count * sizeof *artifact->costs;
  artifact->storage = base_allocate(&artifact->allocator, table + from->left);
  if (!artifact->storage)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "no memory for an executable of %zu "
              "bytes",
              from->left);
  artifact->costs = (pjrt_cost *)artifact->storage;
  artifact->cost_count = (int64_t)cost_count;
  char *place = artifact->storage + table;
  artifact->version = take_text(from, &place, NULL);
  pjrt_compiled_memory *memory = &artifact->memory;
#define TAKE_FIELD(name) memory->name##_bytes = (int64_t)take_number(from, 8);
  PJRT_MEMORY_LIST(TAKE_FIELD)
#undef TAKE_FIELD
  memory->peak_bytes = (int64_t)take_number(from, 8);
  memory->total_bytes = (int64_t)take_number(from, 8);
  take_number(from, 4);
  for (uint64_t i = 0; i < cost_count; i++) {
    artifact->costs[i].name = take_text(from, &place, NULL);
    uint64_t bits = take_number(from, 8);
    memcpy(&artifact->costs[i].value, &bits, sizeof bits);
  }
  artifact->executable = take_text(from, &place, &artifact->executable_size);
  if (from->broken || from->left)
    PFL_RAISE(error, DATA_LOSS, "a packed executable is not of its form");
  return PFL_STATUS_OK;
}

/* The status and message that were packed in place of an artifact. */
static pfl_status raise_packed(reader *from, uint64_t code, pfl_error *error) {
  uint64_t size = take_number(from, 8);
  const uint8_t *message = take(from, size);
  if (!message || code > PFL_STATUS_UNAUTHENTICATED || size > INT32_MAX)
    PFL_RAISE(error, DATA_LOSS, "a packed failure is not of its form");
  return base_error_set(error, (pfl_status)code, "%.*s", (int)size,
                        (const char *)message);
}

pfl_status pjrt_artifact_unpack(const void *bytes, size_t size,
                                const pfl_allocator *allocator,
                                pjrt_artifact *out_artifact, pfl_error *error) {
  pjrt_artifact artifact = {.allocator = *allocator};
  *out_artifact = artifact;
  reader payload;
  if (!open_payload(bytes, size, &payload))
    PFL_RAISE(error, DATA_LOSS, "a packed executable of %zu bytes is not whole",
              size);
  uint64_t code = take_number(&payload, 4);
  if (code) return raise_packed(&payload, code, error);
  pfl_status status = read_artifact(&payload, &artifact, error);
  if (status)
    pjrt_artifact_release(&artifact);
  else
    *out_artifact = artifact;
  return status;
}

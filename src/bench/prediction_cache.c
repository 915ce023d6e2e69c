#include "bench/prediction_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/fields.h"
#include "bench/model_hash.h"
#include "pjrt/cache.h"
#include "pjrt/sha256.h"

/* An entry: the SHA-256 of what follows it, a line break, an object. */
enum { ENTRY_MOST = 4096, CYCLES_MOST = 1 << 30 };
#define WORDS_MOST 9007199254740992 /* whole numbers that a double holds */

static const pfl_allocator heap;

static void digest_of(const char *bytes, size_t size,
                      char hex[SHA256_HEX_SIZE]) {
  uint8_t digest[SHA256_SIZE];
  sha256(bytes, size, digest);
  sha256_hex(digest, hex);
}

pfl_status prediction_cache_name(const base_text *key, base_text *out_path,
                                 pfl_error *error) {
  const schedule_model model = schedule_model_default();
  base_text all = {0};
  json_writer json = {.text = &all};
  json_begin_object(&json, NULL);
  json_write_string(&json, "code", PFLASH_MODEL_HASH);
  schedule_model_write(&model, &json);
  json_write_bytes(&json, "key", key->bytes, key->length);
  json_end(&json);
  pfl_status status = base_text_check(&all, error);
  if (status == PFL_STATUS_OK && pjrt_cache_directory(out_path)) {
    char hex[SHA256_HEX_SIZE];
    digest_of(all.bytes, all.length, hex);
    base_text_format(out_path, "/predictions/%s", hex);
    status = base_text_check(out_path, error);
  }
  base_text_release(&all);
  return status;
}

/* ---- One entry ----------------------------------------------------------- */

static pfl_status read_object(const json_value *root, bench_prediction *p) {
  json_fields f = fields_of(root, "prediction", NULL);
  p->cycles = fields_number(&f, "cycles", 0, WORDS_MOST);
  p->kernel_cycles = fields_number(&f, "kernel_cycles", 0, WORDS_MOST);
  p->warnings = fields_int64(&f, "warnings", 0, CYCLES_MOST);
  fields_string(&f, "by", p->by, sizeof p->by);
  return f.status;
}

static bool read_entry(const char *bytes, size_t size,
                       bench_prediction *out_prediction) {
  char hex[SHA256_HEX_SIZE];
  size_t head = SHA256_HEX_SIZE; /* with the line break in the NUL's place */
  json_document document;
  if (size < head || bytes[head - 1] != '\n') return false;
  digest_of(bytes + head, size - head, hex);
  if (memcmp(bytes, hex, head - 1) ||
      json_parse(bytes + head, size - head, &heap, &document, NULL))
    return false;
  bench_prediction read = {0};
  bool whole = !read_object(document.root, &read);
  json_release(&document);
  if (whole) *out_prediction = read;
  return whole;
}

bool prediction_cache_load(const char *path, bench_prediction *out_prediction) {
  base_text entry = {0};
  bool found = *path && pjrt_cache_read(path, ENTRY_MOST, &entry) &&
               read_entry(entry.bytes, entry.length, out_prediction);
  base_text_release(&entry);
  return found;
}

static void write_object(base_text *text, const bench_prediction *p) {
  json_writer json = {.text = text};
  json_begin_object(&json, NULL);
  json_write_double(&json, "cycles", p->cycles);
  json_write_double(&json, "kernel_cycles", p->kernel_cycles);
  json_write_int64(&json, "warnings", p->warnings);
  json_write_string(&json, "by", p->by);
  json_end(&json);
}

/* ---- All of them --------------------------------------------------------- */

typedef struct aged_file {
  char name[SHA256_HEX_SIZE];
  struct timespec written;
} aged_file;

static int compare_age(const void *a, const void *b) {
  const struct timespec *x = &((const aged_file *)a)->written;
  const struct timespec *y = &((const aged_file *)b)->written;
  if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
  return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Entries of the directory, as far as the text has memory for them. */
static base_text list_files(DIR *directory) {
  base_text files = {0};
  for (struct dirent *entry; (entry = readdir(directory));) {
    aged_file file = {.name = ""};
    struct stat info;
    if (strlen(entry->d_name) != SHA256_HEX_SIZE - 1 ||
        fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ||
        !S_ISREG(info.st_mode))
      continue;
    memcpy(file.name, entry->d_name, sizeof file.name);
    file.written = info.st_mtim;
    base_text_add(&files, (const char *)&file, sizeof file);
  }
  return files;
}

/* Removes the oldest until one more has room; then a tenth more, so that it is
 * not done at every turn. */
static void make_room(const char *path) {
  char place[4096];
  if ((size_t)snprintf(place, sizeof place, "%.*s",
                       (int)(strrchr(path, '/') - path), path) >= sizeof place)
    return;
  DIR *directory = opendir(place);
  if (!directory) return;
  base_text files = list_files(directory);
  size_t count = files.length / sizeof(aged_file);
  if (count >= PREDICTIONS_MOST) {
    aged_file *all = (aged_file *)files.bytes;
    qsort(all, count, sizeof *all, compare_age);
    for (size_t i = 0; i < count - PREDICTIONS_MOST * 9 / 10; i++)
      unlinkat(dirfd(directory), all[i].name, 0);
  }
  base_text_release(&files);
  closedir(directory);
}

void prediction_cache_store(const char *path,
                            const bench_prediction *prediction) {
  char hex[SHA256_HEX_SIZE];
  base_text object = {0}, entry = {0};
  if (!*path) return;
  make_room(path);
  write_object(&object, prediction);
  digest_of(object.bytes, object.length, hex);
  base_text_format(&entry, "%s\n%s", hex, base_text_get(&object));
  if (!object.failed && !entry.failed)
    pjrt_cache_store(path, entry.bytes, entry.length);
  base_text_release(&object);
  base_text_release(&entry);
}

/* A directory of a test's own, and files in it. */
#ifndef PFL_TESTS_DIRECTORY_H
#define PFL_TESTS_DIRECTORY_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "check.h"

static char directory[256];

/* Once, first. */
static inline void directory_make(void) {
  const char *temporary = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/pflash-test-XXXXXX",
           temporary ? temporary : "/tmp");
  CHECK_NEED(mkdtemp(directory) && !chmod(directory, 0755));
}

/* Once, last, with everything in it removed. */
static inline void directory_remove(void) { CHECK_NEED(!rmdir(directory)); }

/* The path of `name` in it; good until the next call. */
static inline const char *in_directory(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return path;
}

/* Removes a directory and the files in it; how many there were. */
static inline int folder_remove(const char *path) {
  int count = 0;
  DIR *opened = opendir(path);
  if (!opened) return 0;
  for (struct dirent *entry; (entry = readdir(opened));) {
    char file[768];
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
    CHECK_NEED(!remove(file));
    count++;
  }
  closedir(opened);
  CHECK_NEED(!rmdir(path));
  return count;
}

static inline int files_in_directory(void) {
  int count = 0;
  DIR *opened = opendir(directory);
  CHECK_NEED(opened);
  for (struct dirent *file; (file = readdir(opened));)
    count += strcmp(file->d_name, ".") && strcmp(file->d_name, "..");
  closedir(opened);
  return count;
}

static inline void put_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  CHECK_NEED(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

/* The content of a file in memory of exactly its size. */
static inline char *get_file(const char *path, size_t *out_size) {
  base_file file;
  CHECK_NEED(base_file_open(path, &file, NULL) == PFL_STATUS_OK);
  char *bytes = malloc((size_t)file.size + !file.size);
  CHECK_NEED(bytes &&
             base_file_read(&file, bytes, file.size, 0, NULL) == PFL_STATUS_OK);
  *out_size = (size_t)file.size;
  base_file_close(&file);
  return bytes;
}

#endif

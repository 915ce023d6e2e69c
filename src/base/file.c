#define _XOPEN_SOURCE 700 /* realpath */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

/* A read or write moves at most 2^31 - 4096 bytes on Linux. */
enum { BYTES_AT_ONCE = 1 << 30 };

static pfl_status status_from_errno(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR: return PFL_STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return PFL_STATUS_PERMISSION_DENIED;
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG: return PFL_STATUS_INVALID_ARGUMENT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return PFL_STATUS_RESOURCE_EXHAUSTED;
    default: return PFL_STATUS_UNAVAILABLE;
  }
}

pfl_status base_raise_errno(const char *action, const char *path,
                            pfl_error *error) {
  int number = errno;
  char reason[128] = "";
  if (strerror_r(number, reason, sizeof reason))
    snprintf(reason, sizeof reason, "error %d", number);
  return base_error_set(error, status_from_errno(number),
                        "cannot %s %.200s: %s", action, path, reason);
}

static pfl_status check_regular(mode_t mode, const char *path,
                                pfl_error *error) {
  if (S_ISREG(mode)) return PFL_STATUS_OK;
  PFL_RAISE(error, INVALID_ARGUMENT, "%.200s is %s; it must be a regular file",
            path,
            S_ISDIR(mode)    ? "a directory"
            : S_ISFIFO(mode) ? "a pipe"
            : S_ISSOCK(mode) ? "a socket"
                             : "a device");
}

/* ---- Reading ----------------------------------------------------------- */

pfl_status base_file_open(const char *path, base_file *out_file,
                          pfl_error *error) {
  base_file file = {.path = path};
  /* not to wait for the other end of a pipe */
  file.descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file.descriptor < 0) return base_raise_errno("open", path, error);
  struct stat info;
  pfl_status status = fstat(file.descriptor, &info)
                          ? base_raise_errno("examine", path, error)
                          : check_regular(info.st_mode, path, error);
  file.size = info.st_size;
  if (status)
    base_file_close(&file);
  else
    *out_file = file;
  return status;
}

pfl_status base_file_read(const base_file *file, void *out, int64_t size,
                          int64_t offset, pfl_error *error) {
  for (char *place = out; size;) {
    ssize_t got = pread(file->descriptor, place,
                        (size_t)base_min(size, BYTES_AT_ONCE), (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base_raise_errno("read", file->path, error);
    if (!got)
      PFL_RAISE(error, DATA_LOSS, "%.200s: ends at byte %lld, %lld too early",
                file->path, (long long)offset, (long long)size);
    place += got;
    offset += got;
    size -= got;
  }
  return PFL_STATUS_OK;
}

void base_file_close(base_file *file) {
  close(file->descriptor);
  file->descriptor = -1;
}

static pfl_status load(const base_file *file, base_text *out_text,
                       pfl_error *error) {
  char piece[1 << 14];
  for (int64_t at = 0; at < file->size && !out_text->failed;) {
    int64_t size = file->size - at;
    if (size > (int64_t)sizeof piece) size = sizeof piece;
    PFL_TRY(base_file_read(file, piece, size, at, error));
    base_text_add(out_text, piece, (size_t)size);
    at += size;
  }
  return base_text_check(out_text, error);
}

pfl_status base_file_load(const char *path, int64_t most, base_text *out_text,
                          pfl_error *error) {
  base_file file;
  PFL_TRY(base_file_open(path, &file, error));
  pfl_status status =
      file.size > most
          ? base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                           "%.300s has %lld bytes: must have at most %lld",
                           path, (long long)file.size, (long long)most)
          : load(&file, out_text, error);
  base_file_close(&file);
  return status;
}

/* ---- Writing ----------------------------------------------------------- */

/* Where `path` leads; it need not exist. */
static pfl_status resolve_target(const char *path, char **out_target,
                                 pfl_error *error) {
  struct stat info;
  *out_target = NULL;
  if (!stat(path, &info))
    PFL_TRY(check_regular(info.st_mode, path, error));
  else if (errno != ENOENT)
    return base_raise_errno("write", path, error);
  *out_target = realpath(path, NULL);
  if (!*out_target && errno == ENOENT) *out_target = strdup(path);
  return *out_target ? PFL_STATUS_OK : base_raise_errno("write", path, error);
}

pfl_status base_temporary_name(const char *target, const char *prefix,
                               base_text *out_path, pfl_error *error) {
  uint64_t random;
  if (getrandom(&random, sizeof random, 0) != sizeof random)
    return base_raise_errno("make a random name to write", target, error);
  const char *slash = strrchr(target, '/');
  size_t directory = slash ? (size_t)(slash - target) + 1 : 0;
  base_text_add(out_path, target, directory);
  base_text_format(out_path, "%s%016llx", prefix, (unsigned long long)random);
  return base_text_check(out_path, error);
}

static pfl_status open_temporary(base_output *output, pfl_error *error) {
  PFL_TRY(resolve_target(output->path, &output->target, error));
  PFL_TRY(base_temporary_name(output->target, ".pflash-", &output->temporary,
                              error));
  output->descriptor = open(base_text_get(&output->temporary),
                            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (output->descriptor >= 0) return PFL_STATUS_OK;
  return base_raise_errno("write a new file for", output->path, error);
}

static void release_output(base_output *output) {
  free(output->target);
  base_text_release(&output->temporary);
}

pfl_status base_output_begin(const char *path, base_output *out_output,
                             pfl_error *error) {
  *out_output = (base_output){.path = path, .descriptor = -1};
  pfl_status status = open_temporary(out_output, error);
  if (status) release_output(out_output);
  return status;
}

pfl_status base_output_write(base_output *output, const void *bytes,
                             int64_t size, pfl_error *error) {
  for (const char *place = bytes; size;) {
    ssize_t put =
        write(output->descriptor, place, (size_t)base_min(size, BYTES_AT_ONCE));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return base_raise_errno("write", output->path, error);
    place += put;
    size -= put;
  }
  return PFL_STATUS_OK;
}

pfl_status base_output_end(base_output *output, pfl_status status,
                           pfl_error *error) {
  const char *temporary = base_text_get(&output->temporary);
  if (!status && fsync(output->descriptor))
    status = base_raise_errno("write", output->path, error);
  if (close(output->descriptor) && !status) /* NFS tells of a full disk here */
    status = base_raise_errno("write", output->path, error);
  if (!status && rename(temporary, output->target))
    status = base_raise_errno("replace", output->path, error);
  if (status) unlink(temporary);
  release_output(output);
  return status;
}

#define _GNU_SOURCE /* realpath, nftw, flock */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* Directories open at once while a tree is walked. */
enum { WALK_DEPTH = 16 };

static int remove_entry(const char *path, const struct stat *info, int kind,
                        struct FTW *place) {
  (void)info, (void)kind, (void)place;
  return remove(path);
}

static bool remove_tree(const char *path) {
  return !nftw(path, remove_entry, WALK_DEPTH, FTW_DEPTH | FTW_PHYS);
}

/* Whether a directory may go: it is empty, or holds the marker. */
static pfl_status check_directory(const base_folder *folder, pfl_error *error) {
  int entries = 0;
  bool marked = false;
  DIR *directory = opendir(base_text_get(&folder->target));
  if (!directory) return base_raise_errno("list", folder->path, error);
  for (struct dirent *entry; (entry = readdir(directory));) {
    entries += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    marked |= !strcmp(entry->d_name, folder->marker);
  }
  closedir(directory);
  if (entries && !marked)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s holds files and no %s; it must be an empty directory, or "
              "one that was made here before",
              folder->path, folder->marker);
  return PFL_STATUS_OK;
}

/* Whether what is at the target, if anything, may go. */
static pfl_status check_target(const base_folder *folder, bool *out_there,
                               pfl_error *error) {
  struct stat info;
  *out_there = !stat(base_text_get(&folder->target), &info);
  if (!*out_there) return PFL_STATUS_OK;
  if (!S_ISDIR(info.st_mode))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%.200s is no directory; it must be one, or not be there",
              folder->path);
  return check_directory(folder, error);
}

static void add_without_slashes(base_text *out, const char *path) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  base_text_add(out, path, length);
}

static pfl_status find_target(base_folder *folder, pfl_error *error) {
  bool there;
  char *resolved = realpath(folder->path, NULL);
  if (!resolved && errno != ENOENT)
    return base_raise_errno("write", folder->path, error);
  add_without_slashes(&folder->target, resolved ? resolved : folder->path);
  free(resolved);
  PFL_TRY(base_text_check(&folder->target, error));
  return check_target(folder, &there, error);
}

/* ---- The temporary one --------------------------------------------------- */

static const char temporary_prefix[] = ".pflash-folder-";

/* Opens a directory of ours and locks it; -1: another process has the lock, or
 * it is none. A fresh one may do without where there are no locks. */
static int lock_directory(const char *path, bool fresh) {
  struct stat info, there;
  int lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (lock < 0) return -1;
  bool mine =
      !flock(lock, LOCK_EX | LOCK_NB) || (fresh && errno != EWOULDBLOCK);
  /* whoever had the lock until now may have removed it */
  if (mine && !fstat(lock, &info) && !lstat(path, &there) &&
      info.st_ino == there.st_ino && info.st_uid == geteuid())
    return lock;
  close(lock);
  return -1;
}

/* What killed processes left in the directory of `target`. */
static void sweep(const char *target) {
  const char *slash = strrchr(target, '/');
  base_text path = {0};
  base_text_add(&path, slash ? target : "./", slash ? slash + 1 - target : 2);
  size_t folder = path.length;
  DIR *directory =
      base_text_check(&path, NULL) ? NULL : opendir(base_text_get(&path));
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    if (strncmp(entry->d_name, temporary_prefix, sizeof temporary_prefix - 1))
      continue;
    path.length = folder;
    base_text_add_string(&path, entry->d_name);
    int lock = base_text_check(&path, NULL)
                   ? -1
                   : lock_directory(base_text_get(&path), false);
    if (lock < 0) continue;
    (void)remove_tree(base_text_get(&path));
    close(lock);
  }
  if (directory) closedir(directory);
  base_text_release(&path);
}

/* Another process that sweeps may have taken it before it was locked. */
static pfl_status make_temporary(base_folder *folder, pfl_error *error) {
  const char *target = base_text_get(&folder->target);
  for (int tries = 0; tries < 8 && folder->lock < 0; tries++) {
    folder->temporary.length = 0;
    PFL_TRY(base_temporary_name(target, temporary_prefix, &folder->temporary,
                                error));
    const char *path = base_text_get(&folder->temporary);
    if (mkdir(path, 0777))
      return base_raise_errno("make a directory for", folder->path, error);
    folder->lock = lock_directory(path, true);
  }
  if (folder->lock >= 0) return PFL_STATUS_OK;
  (void)rmdir(base_text_get(&folder->temporary));
  return base_raise_errno("lock a directory for", folder->path, error);
}

/* ---- All of it ----------------------------------------------------------- */

static void release(base_folder *folder) {
  if (folder->lock >= 0) close(folder->lock);
  base_text_release(&folder->target);
  base_text_release(&folder->temporary);
}

pfl_status base_folder_begin(const char *path, const char *marker,
                             base_folder *out_folder, pfl_error *error) {
  *out_folder = (base_folder){.path = path, .marker = marker, .lock = -1};
  pfl_status status = find_target(out_folder, error);
  if (!status) sweep(base_text_get(&out_folder->target));
  if (!status) status = make_temporary(out_folder, error);
  if (status) release(out_folder);
  return status;
}

/* Looks again at what is there: it need not be what was there before. */
static pfl_status take_place(const base_folder *folder, pfl_error *error) {
  const char *target = base_text_get(&folder->target);
  bool there;
  PFL_TRY(check_target(folder, &there, error));
  if (there && !remove_tree(target))
    return base_raise_errno("replace", folder->path, error);
  if (rename(base_text_get(&folder->temporary), target))
    return base_raise_errno("replace", folder->path, error);
  return PFL_STATUS_OK;
}

pfl_status base_folder_end(base_folder *folder, pfl_status status,
                           pfl_error *error) {
  if (!status) status = take_place(folder, error);
  if (status) (void)remove_tree(base_text_get(&folder->temporary));
  release(folder);
  return status;
}

/* Files that are not there, not files or not writable: a message that says so,
 * and nothing half written left behind. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/safetensors.h"
#include "check.h"
#include "directory.h"

static const pfl_allocator heap;

static void unreadable(const char *path, pfl_status wanted,
                       const char *message) {
  safetensors_file file;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = safetensors_read(path, &heap, &file, &error);
  CHECK(status == wanted && error.status == wanted, "%s: %s", path,
        pfl_status_name(status));
  CHECK(strstr(error.message, path) && strstr(error.message, message),
        "%s: \"%s\", wanted \"%s\"", path, error.message, message);
  CHECK(!file.tensors && !file.count, "%s: not empty", path);
}

static void test_no_files(void) {
  const char *path = in_directory("file");
  unreadable(path, PFL_STATUS_NOT_FOUND, "No such file");
  unreadable(directory, PFL_STATUS_INVALID_ARGUMENT, "is a directory; it must");
  unreadable("/dev/zero", PFL_STATUS_INVALID_ARGUMENT, "is a device; it must");
  CHECK_NEED(!mkfifo(path, 0600));
  unreadable(path, PFL_STATUS_INVALID_ARGUMENT, "is a pipe; it must");
  unlink(path);
  put_file(path, "\x0d\0\0\0\0\0\0\0{}          ", 20);
  unreadable(path, PFL_STATUS_DATA_LOSS, "of which 12 are there");
  char below[600], byte;
  snprintf(below, sizeof below, "%s/file", path);
  unreadable(below, PFL_STATUS_NOT_FOUND, "Not a directory");
  base_file file;
  CHECK_NEED(base_file_open(path, &file, NULL) == PFL_STATUS_OK);
  CHECK(file.size == 20, "%d bytes", (int)file.size);
  CHECK(base_file_read(&file, &byte, 1, 20, NULL) == PFL_STATUS_DATA_LOSS,
        "a byte past the end");
  base_file_close(&file);
  unlink(path);
}

static void unwritable(const char *path, pfl_status wanted,
                       const char *message) {
  static char byte;
  safetensors_tensor tensor = {
      .name = "q", .dtype = PFL_DTYPE_I8, .data = &byte};
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = safetensors_write(path, &tensor, 1, NULL, &error);
  CHECK(status == wanted && error.status == wanted, "%s: %s", path,
        pfl_status_name(status));
  CHECK(strstr(error.message, path) && strstr(error.message, message),
        "%s: \"%s\", wanted \"%s\"", path, error.message, message);
}

static void test_no_place(void) {
  struct stat before, after;
  CHECK_NEED(!stat("/dev/null", &before));
  unwritable("/dev/null", PFL_STATUS_INVALID_ARGUMENT, "is a device; it must");
  CHECK(!stat("/dev/null", &after) && after.st_ino == before.st_ino &&
            S_ISCHR(after.st_mode),
        "/dev/null was replaced");
  unwritable(directory, PFL_STATUS_INVALID_ARGUMENT, "is a directory; it must");
  unwritable(in_directory("none/file"), PFL_STATUS_NOT_FOUND, "No such file");
  unwritable("", PFL_STATUS_NOT_FOUND, "No such file");
  CHECK(files_in_directory() == 0, "files are left");
}

/* In a child that is not root, whom permissions do not bind. */
static void test_no_permission(void) {
  CHECK_NEED(!chmod(directory, 0555));
  fflush(stdout);
  pid_t child = fork();
  CHECK_NEED(child >= 0);
  if (!child) {
    check_failures = 0;
    if (!geteuid() && setuid(65534)) _exit(2);
    unwritable(in_directory("file"), PFL_STATUS_PERMISSION_DENIED,
               "Permission denied");
    _exit(check_failures != 0);
  }
  int status;
  CHECK_NEED(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "the child: %d", status);
  chmod(directory, 0755);
}

static int64_t size_of(const char *path) {
  struct stat info;
  return lstat(path, &info) ? -1 : (int64_t)info.st_size;
}

/* A disk that fills while the file is written. */
static void test_full_disk(void) {
  enum { BYTES = 1 << 20 };
  const char *path = in_directory("file");
  put_file(path, "before", 6);
  char *data = calloc(1, BYTES);
  CHECK_NEED(data);
  safetensors_tensor tensor = {.name = "q",
                               .dtype = PFL_DTYPE_I8,
                               .rank = 1,
                               .shape = {BYTES},
                               .data = data};
  struct rlimit before, small;
  CHECK_NEED(!getrlimit(RLIMIT_FSIZE, &before));
  small = before;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  for (small.rlim_cur = 0; small.rlim_cur < BYTES; small.rlim_cur += 100003) {
    pfl_error error = {PFL_STATUS_OK, ""};
    CHECK_NEED(!setrlimit(RLIMIT_FSIZE, &small));
    pfl_status status = safetensors_write(path, &tensor, 1, NULL, &error);
    CHECK_NEED(!setrlimit(RLIMIT_FSIZE, &before));
    CHECK(status == PFL_STATUS_RESOURCE_EXHAUSTED, "%s: %s",
          pfl_status_name(status), error.message);
    CHECK(
        strstr(error.message, path) && strstr(error.message, "File too large"),
        "%s", error.message);
    CHECK(size_of(path) == 6, "%d bytes", (int)size_of(path));
    CHECK(files_in_directory() == 1, "files are left");
  }
  signal(SIGXFSZ, handler);
  free(data);
  unlink(path);
}

static void test_replacing(void) {
  char path[512], link[512];
  strcpy(path, in_directory("file"));
  strcpy(link, in_directory("link"));
  put_file(path, "before", 6);
  CHECK_NEED(!symlink("file", link));
  int8_t byte = 5;
  safetensors_tensor tensor = {
      .name = "q", .dtype = PFL_DTYPE_I8, .data = &byte};
  mode_t mask = umask(027);
  CHECK(safetensors_write(link, &tensor, 1, NULL, NULL) == PFL_STATUS_OK, "write");
  umask(mask);
  struct stat info;
  CHECK(size_of(path) > 6, "%d bytes", (int)size_of(path));
  CHECK(!lstat(link, &info) && S_ISLNK(info.st_mode), "the link is gone");
  CHECK(!stat(path, &info) && (info.st_mode & 0777) == 0640, "mode %o",
        (unsigned)info.st_mode);
  CHECK(files_in_directory() == 2, "files are left");
  unlink(link);
  unlink(path);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_no_files, test_no_place, test_no_permission,
                         test_full_disk, test_replacing);
  directory_remove();
  return failed;
}

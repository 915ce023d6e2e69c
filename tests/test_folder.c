/* A directory appears whole, takes the place of what it may, and of nothing
 * else, and leaves no trace when its filling failed. */
#include "base/folder.h"

#include <signal.h>
#include <sys/wait.h>

#include "directory.h"

static const char marker[] = "marker";

/* Puts files called `names` into a new directory at `path`. */
static pfl_status make(const char *path, const char *const *names,
                       pfl_status filling, pfl_error *error) {
  base_folder folder;
  PFL_TRY(base_folder_begin(path, marker, &folder, error));
  for (; *names; names++) {
    char file[600];
    snprintf(file, sizeof file, "%s/%s", base_text_get(&folder.temporary),
             *names);
    put_file(file, "x", 1);
  }
  return base_folder_end(&folder, filling, error);
}

static bool has(const char *path, const char *name) {
  char file[1100];
  snprintf(file, sizeof file, "%s/%s", path, name);
  return !access(file, F_OK);
}

static void remove_files(const char *path, const char *const *names) {
  for (; *names; names++) {
    char file[1100];
    snprintf(file, sizeof file, "%s/%s", path, *names);
    CHECK(!unlink(file), "%s is not there", file);
  }
  CHECK(!rmdir(path), "%s holds more", path);
}

static const char *const old_names[] = {"marker", "old", NULL};
static const char *const new_names[] = {"marker", "new", NULL};
static const char *const plain_names[] = {"plain", NULL};

static void test_appears(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  char path[300], slashes[310];
  snprintf(path, sizeof path, "%s/folder", directory);
  snprintf(slashes, sizeof slashes, "%s///", path);
  CHECK(!make(slashes, old_names, PFL_STATUS_OK, &error), "%s", error.message);
  CHECK(has(path, "old") && files_in_directory() == 1, "made");
  CHECK(!make(path, new_names, PFL_STATUS_OK, &error), "%s", error.message);
  CHECK(has(path, "new") && !has(path, "old"), "replaced");
  CHECK(files_in_directory() == 1, "something else is left");
  remove_files(path, new_names);
  CHECK_NEED(!mkdir(path, 0777));
  CHECK(!make(path, new_names, PFL_STATUS_OK, &error), "over an empty one: %s",
        error.message);
  remove_files(path, new_names);
}

static void test_link(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  char path[300], link[300];
  snprintf(path, sizeof path, "%s/folder", directory);
  snprintf(link, sizeof link, "%s/link", directory);
  CHECK_NEED(!mkdir(path, 0777) && !symlink("folder", link));
  CHECK(!make(link, new_names, PFL_STATUS_OK, &error), "%s", error.message);
  struct stat info;
  CHECK(!lstat(link, &info) && S_ISLNK(info.st_mode), "the link is gone");
  CHECK_NEED(!unlink(link));
  remove_files(path, new_names);
}

static void refused(const char *path, pfl_status wanted, const char *message) {
  pfl_error error = {PFL_STATUS_OK, ""};
  int before = files_in_directory();
  pfl_status status = make(path, new_names, PFL_STATUS_OK, &error);
  CHECK(status == wanted && error.status == wanted, "%s: %s", path,
        pfl_status_name(status));
  CHECK(strstr(error.message, path) && strstr(error.message, message),
        "%s: \"%s\", wanted \"%s\"", path, error.message, message);
  CHECK(files_in_directory() == before, "%s: something is left", path);
}

static void test_refused(void) {
  pfl_error error;
  char path[300], below[310];
  snprintf(path, sizeof path, "%s/folder", directory);
  snprintf(below, sizeof below, "%s/below", path);
  refused(below, PFL_STATUS_NOT_FOUND, "No such file");
  put_file(path, "x", 1);
  refused(path, PFL_STATUS_INVALID_ARGUMENT, "is no directory");
  refused(below, PFL_STATUS_NOT_FOUND, "Not a directory");
  CHECK_NEED(!unlink(path));
  CHECK_NEED(!make(path, plain_names, PFL_STATUS_OK, &error));
  refused(path, PFL_STATUS_INVALID_ARGUMENT, "holds files and no marker");
  CHECK(has(path, "plain"), "what was there is gone");
  remove_files(path, plain_names);
}

static void test_failed_filling(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  char path[300];
  snprintf(path, sizeof path, "%s/folder", directory);
  pfl_status status = make(path, new_names, PFL_STATUS_ABORTED, &error);
  CHECK(status == PFL_STATUS_ABORTED && !files_in_directory(), "a trace");
  CHECK_NEED(!make(path, old_names, PFL_STATUS_OK, &error));
  status = make(path, new_names, PFL_STATUS_ABORTED, &error);
  CHECK(status == PFL_STATUS_ABORTED && has(path, "old") &&
            files_in_directory() == 1,
        "the older one has changed");
  remove_files(path, old_names);
}

/* Something comes to be at the place while the directory is filled. */
static void test_overtaken(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  char path[300];
  snprintf(path, sizeof path, "%s/folder", directory);
  base_folder folder;
  CHECK_NEED(!base_folder_begin(path, marker, &folder, &error));
  put_file(path, "x", 1);
  pfl_status status = base_folder_end(&folder, PFL_STATUS_OK, &error);
  CHECK(status && files_in_directory() == 1, "%s", pfl_status_name(status));
  CHECK(!unlink(path), "the file is gone");
}

/* What a killed process left behind goes with the next beginning, what a living
 * one works on stays. */
static void test_left_behind(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  char path[300], other[300], file[400];
  snprintf(path, sizeof path, "%s/folder", directory);
  snprintf(other, sizeof other, "%s/other", directory);
  base_folder living;
  CHECK_NEED(!base_folder_begin(other, marker, &living, &error));
  pid_t child = fork();
  CHECK_NEED(child >= 0);
  if (!child) {
    base_folder folder;
    if (base_folder_begin(path, marker, &folder, &error)) _exit(1);
    snprintf(file, sizeof file, "%s/left", base_text_get(&folder.temporary));
    put_file(file, "x", 1);
    raise(SIGKILL);
  }
  int how;
  CHECK_NEED(waitpid(child, &how, 0) == child);
  CHECK(WIFSIGNALED(how) && files_in_directory() == 2, "nothing is left");
  CHECK(!make(path, new_names, PFL_STATUS_OK, &error), "%s", error.message);
  CHECK(files_in_directory() == 2, "%d are there", files_in_directory());
  CHECK(!access(base_text_get(&living.temporary), F_OK), "the living one");
  CHECK(!base_folder_end(&living, PFL_STATUS_OK, &error), "%s", error.message);
  CHECK(!rmdir(other), "the living one's");
  remove_files(path, new_names);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_appears, test_link, test_refused,
                         test_failed_filling, test_overtaken, test_left_behind);
  directory_remove();
  return failed;
}

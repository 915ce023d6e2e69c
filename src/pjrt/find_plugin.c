/* Where a plugin may lie, and the environment it needs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pjrt/place.h"
#include "pjrt/plugin.h"

enum { PATH_SIZE = 4096 };

/* ---- Python's directories ------------------------------------------------ */

/* A file that only root or this user can have put there. */
static bool is_trusted(const char *path) {
  struct stat info;
  return !stat(path, &info) && S_ISREG(info.st_mode) &&
         (info.st_uid == 0 || info.st_uid == geteuid());
}

/* Whether `b` is a newer Python than `a`: "python3.9" comes before
 * "python3.11". */
static bool is_newer(const char *a, const char *b) {
  size_t la = strlen(a), lb = strlen(b);
  return la != lb ? la < lb : strcmp(a, b) < 0;
}

/* Looks for <prefix>/lib/python3*\/<site|dist>-packages/libtpu/libtpu.so and
 * takes that of the newest Python. */
static bool find_in_prefix(const char *prefix, base_text *out_path) {
  char path[PATH_SIZE], newest[64] = "";
  if (snprintf(path, sizeof path, "%s/lib", prefix) >= PATH_SIZE) return false;
  DIR *lib = opendir(path);
  if (!lib) return false;
  for (struct dirent *entry; (entry = readdir(lib));) {
    static const char *const kinds[] = {"site", "dist"};
    for (int k = 0; k < 2; k++) {
      if (strncmp(entry->d_name, "python3", 7) ||
          strlen(entry->d_name) >= sizeof newest ||
          !is_newer(newest, entry->d_name) ||
          snprintf(path, sizeof path, "%s/lib/%s/%s-packages/libtpu/libtpu.so",
                   prefix, entry->d_name, kinds[k]) >= PATH_SIZE ||
          !is_trusted(path))
        continue;
      strcpy(newest, entry->d_name);
      base_text_release(out_path);
      base_text_add_string(out_path, path);
    }
  }
  closedir(lib);
  return *newest != 0;
}

/* `path` without its last `count` names. */
static bool find_above(const char *path, int count, const char *below,
                       base_text *out_path) {
  char prefix[PATH_SIZE];
  size_t length = strlen(path);
  for (int i = 0; i < count; i++)
    while (length && path[--length] != '/')
      ;
  if (length + strlen(below) >= sizeof prefix) return false;
  memcpy(prefix, path, length);
  strcpy(prefix + length, below);
  return find_in_prefix(prefix, out_path);
}

/* The Pythons on PATH, by where their programs lie. */
static bool find_on_path(base_text *out_path) {
  const char *rest = getenv("PATH");
  while (rest && *rest) {
    size_t length = strcspn(rest, ":");
    char python[PATH_SIZE];
    if (length && *rest == '/' && length + sizeof "/python3" < sizeof python) {
      memcpy(python, rest, length);
      strcpy(python + length, "/python3");
      if (!access(python, X_OK) && find_above(python, 2, "", out_path))
        return true;
    }
    rest += length + (rest[length] == ':');
  }
  return false;
}

/* ---- The search ---------------------------------------------------------- */

/* 1: `variable` names a file; 0: it is not set; -1: it names none. */
static int take_variable(const char *variable, base_text *out_path,
                         pfl_error *error) {
  const char *path = getenv(variable);
  if (!path || !*path) return 0;
  if (access(path, R_OK)) {
    base_error_set(error, PFL_STATUS_NOT_FOUND,
                   "%s is %.300s: must be a plugin that can be read", variable,
                   path);
    return -1;
  }
  base_text_add_string(out_path, path);
  return 1;
}

static bool find_installed(base_text *out_path) {
  char program[PATH_SIZE];
  if (pjrt_program_path(program, sizeof program))
    for (int up = 1; up <= 3; up++)
      if (find_above(program, up, "/.venv", out_path)) return true;
  const char *environment = getenv("VIRTUAL_ENV"), *home = getenv("HOME");
  if (environment && *environment && find_in_prefix(environment, out_path))
    return true;
  if (find_on_path(out_path)) return true;
  return (home && *home && find_above(home, 0, "/.local", out_path)) ||
         find_in_prefix("/usr/local", out_path) ||
         find_in_prefix("/usr", out_path);
}

pfl_status pjrt_plugin_find(base_text *out_path, pfl_error *error) {
  static const char *const variables[] = {"PFLASH_PJRT_PLUGIN",
                                          "PFLASH_LIBTPU"};
  int taken = 0;
  for (int i = 0; i < 2 && !taken; i++)
    taken = take_variable(variables[i], out_path, error);
  if (taken < 0) return PFL_STATUS_NOT_FOUND;
  if (!taken && !find_installed(out_path))
    PFL_RAISE(error, NOT_FOUND,
              "no TPU compiler: libtpu.so is in no Python environment here; "
              "fetch it with script/bootstrap --tpu or pip install libtpu, or "
              "name it in PFLASH_LIBTPU");
  return base_text_check(out_path, error);
}

void pjrt_plugin_package_version(const char *path, base_text *out_version) {
  const char *slash = strrchr(path, '/');
  char directory[PATH_SIZE];
  if (!slash || snprintf(directory, sizeof directory, "%.*s/..",
                         (int)(slash - path), path) >= PATH_SIZE)
    return;
  DIR *packages = opendir(directory);
  if (!packages) return;
  for (struct dirent *entry; (entry = readdir(packages));) {
    const char *name = entry->d_name, *end = strstr(name, ".dist-info");
    if (strncmp(name, "libtpu-", 7) || !end) continue;
    base_text_release(out_version);
    base_text_add(out_version, name + 7, (size_t)(end - name) - 7);
  }
  closedir(packages);
}

/* ---- The environment ----------------------------------------------------- */

/* The accelerator is that of the machine which libtpu would otherwise ask a
 * server about; what it compiles for is the topology's affair. */
static const char *const settings[][2] = {
    {"TPU_SKIP_MDS_QUERY", "1"},
    {"TPU_ACCELERATOR_TYPE", "v5litepod-4"},
    {"TPU_WORKER_HOSTNAMES", "localhost"},
    {"ALLOW_MULTIPLE_LIBTPU_LOAD", "1"}, /* compiling shares no chip */
    {"TPU_STDERR_LOG_LEVEL", "2"},       /* errors; warnings are many */
    {"TPU_MIN_LOG_LEVEL", "2"},
};

/* The files that schedule/schedule_dump.h reads. */
static const char final_alone[] =
    "--xla_jf_dump_llo_pass_label_regex=^(final_bundles|post-delay-converter|"
    "final_hlo-static-per-bundle-utilization|deduplication-map)$";

pfl_status pjrt_environment_prepare(const char *listing, bool passes,
                                    pfl_error *error) {
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (setenv(settings[i][0], settings[i][1], 0))
      PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the environment");
  if (!listing) return PFL_STATUS_OK;
  if (chdir(listing))
    PFL_RAISE(error, NOT_FOUND, "cannot write a listing to %.300s", listing);
  const char *flags = getenv("LIBTPU_INIT_ARGS");
  base_text all = {0};
  base_text_format(&all,
                   "%s --xla_jf_dump_to=. --xla_jf_dump_llo_text=true "
                   "--xla_mosaic_enable_llo_source_annotations=true %s",
                   flags ? flags : "",
                   passes ? "--xla_mosaic_dump_to=." : final_alone);
  pfl_status status = base_text_check(&all, error);
  if (!status && setenv("LIBTPU_INIT_ARGS", base_text_get(&all), 1))
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "no memory for the environment");
  base_text_release(&all);
  return status;
}

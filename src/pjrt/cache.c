#include "pjrt/cache.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "pjrt/sha256.h"

enum { HEADERS_MOST = 64, NOTE_MOST = 4096, ENTRY_MOST = 1 << 30 };

/* ---- The compiler's build ------------------------------------------------ */

/* Adds the linker's build id from a segment of notes; false if it has none. */
static bool add_build_id(sha256_state *state, const base_file *file,
                         const Elf64_Phdr *segment) {
  char notes[NOTE_MOST];
  int64_t size = base_min((int64_t)segment->p_filesz, NOTE_MOST), at = 0;
  if (size < 0 ||
      base_file_read(file, notes, size, (int64_t)segment->p_offset, NULL))
    return false;
  while (at + (int64_t)sizeof(Elf64_Nhdr) <= size) {
    Elf64_Nhdr note;
    memcpy(&note, notes + at, sizeof note);
    int64_t text = at + (int64_t)sizeof note + base_round_up(note.n_namesz, 4);
    int64_t next = text + base_round_up(note.n_descsz, 4);
    if (next > size) return false;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz >= 8) {
      sha256_add(state, notes + text, note.n_descsz);
      return true;
    }
    at = next;
  }
  return false;
}

static bool add_elf_build(sha256_state *state, const base_file *file) {
  Elf64_Ehdr header;
  Elf64_Phdr segments[HEADERS_MOST];
  if (base_file_read(file, &header, sizeof header, 0, NULL) ||
      memcmp(header.e_ident, ELFMAG, SELFMAG) ||
      header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_phentsize != sizeof *segments || header.e_phnum > HEADERS_MOST ||
      base_file_read(file, segments, (int64_t)sizeof *segments * header.e_phnum,
                     (int64_t)header.e_phoff, NULL))
    return false;
  for (int i = 0; i < header.e_phnum; i++)
    if (segments[i].p_type == PT_NOTE &&
        add_build_id(state, file, &segments[i]))
      return true;
  return false;
}

/* What tells one build of the plugin from another: its build id, and for want
 * of that its path, time and size. */
static void add_plugin(sha256_state *state, const char *plugin) {
  struct stat info = {0};
  base_file file;
  bool known = false;
  if (!base_file_open(plugin, &file, NULL)) {
    known = add_elf_build(state, &file);
    base_file_close(&file);
  }
  if (known || stat(plugin, &info)) return;
  int64_t facts[3] = {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size};
  sha256_add(state, plugin, strlen(plugin) + 1);
  sha256_add(state, facts, sizeof facts);
}

/* ---- Names --------------------------------------------------------------- */

bool pjrt_cache_directory(base_text *path) {
  const char *named = getenv("PFLASH_CACHE");
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (named) {
    base_text_add_string(path, named);
    return *named;
  }
  if (base && *base == '/')
    base_text_format(path, "%s/pallas-flash", base);
  else if (home && *home == '/')
    base_text_format(path, "%s/.cache/pallas-flash", home);
  else
    return false;
  return true;
}

/* With its size before it, so that no two lists of parts are one run of bytes.
 */
static void add_part(sha256_state *state, const void *bytes, size_t size) {
  uint64_t length = size;
  sha256_add(state, &length, sizeof length);
  if (size) sha256_add(state, bytes, size);
}

static void add_variable(sha256_state *state, const char *name) {
  const char *value = getenv(name);
  add_part(state, value ? value : "", value ? strlen(value) : 0);
}

pfl_status pjrt_cache_name(const pjrt_compile_request *request,
                           const char *plugin, base_text *out_path,
                           pfl_error *error) {
  if (!pjrt_cache_directory(out_path)) return base_text_check(out_path, error);
  sha256_state state;
  uint8_t digest[SHA256_SIZE];
  char hex[SHA256_HEX_SIZE];
  sha256_begin(&state);
  add_part(&state, request->topology, strlen(request->topology));
  add_part(&state, request->options, request->options_size);
  add_part(&state, request->module, request->module_size);
  add_variable(&state, "LIBTPU_INIT_ARGS");
  add_variable(&state, "XLA_FLAGS");
  add_plugin(&state, plugin);
  sha256_end(&state, digest);
  sha256_hex(digest, hex);
  base_text_format(out_path, "/%s", hex);
  return base_text_check(out_path, error);
}

/* ---- Files --------------------------------------------------------------- */

/* Whether only root or this user can have written it. */
static bool is_trusted(const base_file *file) {
  struct stat info;
  return !fstat(file->descriptor, &info) &&
         (info.st_uid == 0 || info.st_uid == geteuid()) &&
         !(info.st_mode & S_IWOTH);
}

/* The allocator's; NULL if it is not there, or not to be read. */
static char *read_trusted(const char *path, int64_t most,
                          const pfl_allocator *allocator, int64_t *out_size) {
  base_file file;
  if (base_file_open(path, &file, NULL)) return NULL;
  char *bytes = file.size <= most && is_trusted(&file)
                    ? base_allocate(allocator, (size_t)file.size + 1)
                    : NULL;
  *out_size = file.size;
  if (bytes && base_file_read(&file, bytes, file.size, 0, NULL)) {
    base_release(allocator, bytes);
    bytes = NULL;
  }
  base_file_close(&file);
  return bytes;
}

bool pjrt_cache_read(const char *path, int64_t most, base_text *out_bytes) {
  int64_t size;
  char *bytes = read_trusted(path, most, &out_bytes->allocator, &size);
  if (bytes) base_text_add(out_bytes, bytes, (size_t)size);
  bool found = bytes && !out_bytes->failed;
  base_release(&out_bytes->allocator, bytes);
  return found;
}

bool pjrt_cache_load(const char *path, const pfl_allocator *allocator,
                     pjrt_artifact *out_artifact) {
  int64_t size;
  char *bytes = read_trusted(path, ENTRY_MOST, allocator, &size);
  bool found = bytes && !pjrt_artifact_unpack(bytes, (size_t)size, allocator,
                                              out_artifact, NULL);
  base_release(allocator, bytes);
  return found;
}

/* Makes the directory of `path`, and those it is in. */
static void make_directories(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash;
       slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
  }
}

void pjrt_cache_store(const char *path, const void *packed, size_t size) {
  base_output output;
  char *copy = strdup(path);
  if (!copy) return;
  make_directories(copy);
  free(copy);
  if (base_output_begin(path, &output, NULL)) return;
  pfl_status status = base_output_write(&output, packed, (int64_t)size, NULL);
  status = base_output_end(&output, status, NULL);
  (void)status; /* without it, the next time compiles again */
}

pfl_status pjrt_cache_examine(base_text *out_directory,
                              pjrt_cache_contents *out_contents,
                              pfl_error *error) {
  *out_contents = (pjrt_cache_contents){0};
  if (!pjrt_cache_directory(out_directory))
    return base_text_check(out_directory, error);
  PFL_TRY(base_text_check(out_directory, error));
  DIR *directory = opendir(base_text_get(out_directory));
  if (!directory) return PFL_STATUS_OK;
  for (struct dirent *entry; (entry = readdir(directory));) {
    struct stat info;
    if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ||
        !S_ISREG(info.st_mode))
      continue;
    out_contents->files++;
    out_contents->bytes += info.st_size;
  }
  closedir(directory);
  return PFL_STATUS_OK;
}

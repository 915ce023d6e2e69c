#include "schedule/schedule_dump.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"

#define FILE_BYTES_MAX ((int64_t)1 << 30) /* no listing is as long */

static const char listing_end[] = "-final_bundles.txt";

static bool ends_in(const char *text, const char *end) {
  size_t length = strlen(text), n = strlen(end);
  return length >= n && !strcmp(text + length - n, end);
}

/* ---- Files --------------------------------------------------------------- */

/* Names in a directory, each ended by a NUL, that `keep` wants. */
static pfl_status list_files(const char *path, bool keep(const char *name),
                             base_text *out_names, pfl_error *error) {
  DIR *directory = opendir(path);
  if (!directory)
    PFL_RAISE(error, NOT_FOUND, "%.300s cannot be listed: %s", path,
              strerror(errno));
  for (const struct dirent *entry; (entry = readdir(directory));)
    if (keep(entry->d_name))
      base_text_add(out_names, entry->d_name, strlen(entry->d_name) + 1);
  closedir(directory);
  return base_text_check(out_names, error);
}

static const char *next_name(const base_text *names, const char *name) {
  if (!name) return names->length ? names->bytes : NULL;
  name += strlen(name) + 1;
  return name < names->bytes + names->length ? name : NULL;
}

/* ---- What lies beside a listing ------------------------------------------ */

static bool is_table(const char *name) {
  return ends_in(name, "-final_hlo-static-per-bundle-utilization.txt") ||
         ends_in(name, "-post-delay-converter.txt");
}

/* The length of "1795-flash.1-" of "1795-flash.1-72-final_bundles.txt". */
static size_t stem_length(const char *name, const char *end) {
  size_t length = strlen(name) - strlen(end);
  while (length && name[length - 1] >= '0' && name[length - 1] <= '9') length--;
  return length;
}

static pfl_status read_table(const char *folder, size_t folder_length,
                             const base_text *names, const char *listing,
                             const char *end, base_text *out_text,
                             pfl_error *error) {
  size_t stem = stem_length(listing, listing_end);
  for (const char *name = NULL; (name = next_name(names, name));) {
    if (!ends_in(name, end) || stem_length(name, end) != stem ||
        strncmp(name, listing, stem))
      continue;
    base_text path = {.allocator = out_text->allocator};
    base_text_add(&path, folder, folder_length);
    base_text_add_string(&path, name);
    pfl_status status = base_text_check(&path, error);
    if (!status)
      status =
          base_file_load(base_text_get(&path), FILE_BYTES_MAX, out_text, error);
    base_text_release(&path);
    return status;
  }
  return PFL_STATUS_OK;
}

static pfl_status read_texts(const char *path, const pfl_allocator *allocator,
                             base_text texts[3], pfl_error *error) {
  const char *name = strrchr(path, '/');
  size_t folder = name ? (size_t)(name + 1 - path) : 0;
  name = path + folder;
  PFL_TRY(base_file_load(path, FILE_BYTES_MAX, &texts[0], error));
  if (!ends_in(name, listing_end)) return PFL_STATUS_OK;
  base_text names = {.allocator = *allocator}, directory = names;
  base_text_add(&directory, folder ? path : ".", folder ? folder : 1);
  pfl_status status = base_text_check(&directory, error);
  if (!status)
    status = list_files(base_text_get(&directory), is_table, &names, error);
  if (!status)
    status = read_table(path, folder, &names, name,
                        "-final_hlo-static-per-bundle-utilization.txt",
                        &texts[1], error);
  if (!status)
    status = read_table(path, folder, &names, name, "-post-delay-converter.txt",
                        &texts[2], error);
  base_text_release(&names);
  base_text_release(&directory);
  return status;
}

pfl_status schedule_program_read(const char *path,
                                 const pfl_allocator *allocator,
                                 schedule_program **out_program,
                                 pfl_error *error) {
  base_text texts[3] = {{.allocator = *allocator},
                        {.allocator = *allocator},
                        {.allocator = *allocator}};
  *out_program = NULL;
  pfl_status status = read_texts(path, allocator, texts, error);
  if (!status)
    status = schedule_program_parse(
        &(schedule_texts){.path = path,
                          .listing = base_text_get(&texts[0]),
                          .listing_length = texts[0].length,
                          .utilization = texts[1].bytes,
                          .utilization_length = texts[1].length,
                          .allocations = texts[2].bytes,
                          .allocations_length = texts[2].length},
        allocator, out_program, error);
  for (int i = 0; i < 3; i++) base_text_release(&texts[i]);
  return status;
}

/* ---- A directory --------------------------------------------------------- */

static bool is_listing(const char *name) {
  return ends_in(name, listing_end) && !strstr(name, "schedule-analysis") &&
         !strstr(name, "<late-");
}

static bool is_map(const char *name) {
  return strstr(name, "-TLP-") && ends_in(name, "deduplication-map.txt");
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static schedule_program *find_program(const schedule_dump *dump,
                                      const char *name) {
  for (int64_t i = 0; i < dump->program_count; i++)
    if (!strcmp(dump->programs[i]->name, name)) return dump->programs[i];
  return NULL;
}

/* A later one of the same name takes the place of an earlier one. */
static void keep_program(schedule_dump *dump, schedule_program *program) {
  for (int64_t i = 0; i < dump->program_count; i++)
    if (!strcmp(dump->programs[i]->name, program->name)) {
      schedule_program_destroy(dump->programs[i]);
      dump->programs[i] = program;
      return;
    }
  base_text_add(&dump->lists[0], (const char *)&program, sizeof program);
  if (dump->lists[0].failed) {
    schedule_program_destroy(program);
    return;
  }
  dump->programs = (schedule_program **)dump->lists[0].bytes;
  dump->program_count++;
}

static void move_top_first(schedule_dump *dump) {
  for (int64_t i = 0; i < dump->program_count; i++) {
    schedule_program *program = dump->programs[i];
    if (!program->top) continue;
    dump->programs[i] = dump->programs[0];
    dump->programs[0] = program;
    dump->has_top = true;
  }
}

/* "key:add\n...\n  add\n  add.1\n": what is called add.1 is add too. */
static void read_aliases(schedule_dump *dump, char *text) {
  const schedule_program *program = NULL;
  for (char *line = text; line && *line;) {
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    if (!strncmp(line, "key:", 4)) {
      program = find_program(dump, line + 4);
    } else if (!strncmp(line, "  ", 2) && program &&
               strcmp(line + 2, program->name)) {
      schedule_alias alias = {line + 2, program};
      base_text_add(&dump->lists[1], (const char *)&alias, sizeof alias);
    }
    line = end ? end + 1 : NULL;
  }
  dump->aliases = (schedule_alias *)dump->lists[1].bytes;
  dump->alias_count = (int64_t)(dump->lists[1].length / sizeof(schedule_alias));
}

static pfl_status read_listings(const char *path, const base_text *names,
                                schedule_dump *dump, pfl_error *error) {
  base_text sorted = {.allocator = dump->lists[0].allocator};
  base_text file = sorted;
  for (const char *name = NULL; (name = next_name(names, name));)
    base_text_add(&sorted, (const char *)&name, sizeof name);
  pfl_status status = base_text_check(&sorted, error);
  const char **all = (const char **)sorted.bytes;
  size_t count = sorted.length / sizeof *all;
  if (count) qsort(all, count, sizeof *all, compare_names);
  for (size_t i = 0; i < count && !status; i++) {
    schedule_program *program;
    file.length = 0;
    base_text_format(&file, "%s/%s", path, all[i]);
    status = base_text_check(&file, error);
    if (!status)
      status = schedule_program_read(
          base_text_get(&file), &dump->lists[0].allocator, &program, error);
    if (!status) keep_program(dump, program);
    if (!status) status = base_text_check(&dump->lists[0], error);
  }
  base_text_release(&sorted);
  base_text_release(&file);
  return status;
}

static pfl_status read_map(const char *path, schedule_dump *dump,
                           pfl_error *error) {
  base_text names = {.allocator = dump->lists[0].allocator}, file = names;
  pfl_status status = list_files(path, is_map, &names, error);
  const char *last = NULL;
  for (const char *name = NULL; (name = next_name(&names, name));)
    if (!last || strcmp(name, last) > 0) last = name;
  if (!status && last) {
    base_text_format(&file, "%s/%s", path, last);
    status = base_text_check(&file, error);
    if (!status)
      status = base_file_load(base_text_get(&file), FILE_BYTES_MAX,
                              &dump->lists[2], error);
    if (!status && dump->lists[2].bytes)
      read_aliases(dump, dump->lists[2].bytes);
  }
  base_text_release(&names);
  base_text_release(&file);
  return status;
}

static pfl_status read_directory(const char *path, schedule_dump *dump,
                                 pfl_error *error) {
  base_text names = {.allocator = dump->lists[0].allocator};
  pfl_status status = list_files(path, is_listing, &names, error);
  if (!status && !names.length)
    status =
        base_error_set(error, PFL_STATUS_NOT_FOUND,
                       "%.300s holds no listing: no *%s", path, listing_end);
  if (!status) status = read_listings(path, &names, dump, error);
  base_text_release(&names);
  if (!status) move_top_first(dump);
  if (!status && dump->has_top) status = read_map(path, dump, error);
  return status;
}

pfl_status schedule_dump_read(const char *path, const pfl_allocator *allocator,
                              schedule_dump *out_dump, pfl_error *error) {
  struct stat about;
  *out_dump = (schedule_dump){.has_top = false};
  for (int i = 0; i < 3; i++) out_dump->lists[i].allocator = *allocator;
  pfl_status status = PFL_STATUS_OK;
  if (!stat(path, &about) && S_ISDIR(about.st_mode)) {
    status = read_directory(path, out_dump, error);
  } else {
    schedule_program *program;
    status = schedule_program_read(path, allocator, &program, error);
    if (!status) keep_program(out_dump, program);
    if (!status) status = base_text_check(&out_dump->lists[0], error);
  }
  if (status) schedule_dump_release(out_dump);
  return status;
}

void schedule_dump_release(schedule_dump *dump) {
  for (int64_t i = 0; i < dump->program_count; i++)
    schedule_program_destroy(dump->programs[i]);
  for (int i = 0; i < 3; i++) base_text_release(&dump->lists[i]);
  *dump = (schedule_dump){.has_top = false};
}

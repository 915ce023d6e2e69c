/* mosaic_text FILE...: reads Mosaic modules, holds them against the rules, and
 * writes each again beside its file, as FILE.again. Says on standard error what
 * is wrong; exit code 1 if anything is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mosaic/ir.h"

static const pfl_allocator heap;

static pfl_status rewrite(const char *path, const char *text, size_t length,
                          pfl_error *error) {
  mo_module *module;
  base_text again = {0};
  PFL_TRY(mo_parse(text, length, &heap, &module, error));
  pfl_status status = mo_verify(module, error);
  mo_print_options options = {.plain = module->plain};
  if (!status) status = mo_print(module, &options, &again, error);
  char name[4096];
  snprintf(name, sizeof name, "%s.again", path);
  FILE *file = status ? NULL : fopen(name, "wb");
  if (!status &&
      (!file || fwrite(again.bytes, 1, again.length, file) != again.length))
    status = base_error_set(error, PFL_STATUS_UNKNOWN, "cannot write %s", name);
  if (file) fclose(file);
  base_text_release(&again);
  mo_module_destroy(module);
  return status;
}

int main(int count, char **arguments) {
  enum { SIZE_MAX_BYTES = 1 << 24 };
  char *text = malloc(SIZE_MAX_BYTES);
  int failures = !text;
  for (int i = 1; text && i < count; i++) {
    pfl_error error = {PFL_STATUS_UNKNOWN, "cannot be read"};
    FILE *file = fopen(arguments[i], "rb");
    size_t length = file ? fread(text, 1, SIZE_MAX_BYTES, file) : 0;
    if (file) fclose(file);
    if (!file || rewrite(arguments[i], text, length, &error)) {
      fprintf(stderr, "%s: %s\n", arguments[i], error.message);
      failures++;
    }
  }
  free(text);
  return failures != 0;
}

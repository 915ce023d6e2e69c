/* sim_module MODULE [operand|result] ELEMENT SHAPE FILE ...: runs the text of a
 * Mosaic module on one hostile simulated chip. ELEMENT is as MLIR spells it,
 * SHAPE "8x128" or "-" without dimensions; operands are read from files of raw
 * elements, results written to some. Prints the hazards; exit code 1 if there
 * are any. PFLASH_SEED sets the seed. */
#include "sim_case.h"

static void *read_file(const char *path, size_t *out_size) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(1);
  }
  fseek(file, 0, SEEK_END);
  *out_size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*out_size + 1);
  CHECK_NEED(bytes && fread(bytes, 1, *out_size, file) == *out_size);
  fclose(file);
  return bytes;
}

static void *add(sim_case *c, const char *role, const char *element,
                 const char *shape) {
  int64_t sizes[MO_RANK_MAX];
  int rank = 0;
  for (char *at = (char *)shape; *at && *at != '-' && rank < MO_RANK_MAX;) {
    sizes[rank++] = strtoll(at, &at, 10);
    if (*at == 'x') at++;
  }
  return sim_case_add(c, !strcmp(role, "result"),
                      mo_element_find(element, strlen(element)),
                      (mo_shape){rank, sizes});
}

static size_t bytes_of(const sim_tensor *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= t->shape[i];
  int bits = mo_element_bits(t->element);
  return (size_t)(bits < 8 ? count : count * bits / 8);
}

int main(int argc, char **argv) {
  CHECK_NEED(argc >= 2 && argc % 4 == 2);
  const char *seed = getenv("PFLASH_SEED");
  pfl_allocator allocator = {0};
  pfl_error error;
  mo_module *module;
  size_t size;
  char *text = read_file(argv[1], &size);
  if (mo_parse(text, size, &allocator, &module, &error)) {
    fprintf(stderr, "%s: %s\n", argv[1], error.message);
    return 1;
  }
  free(text);
  sim_case c;
  sim_case_of_module(&c, module, 1);
  void *results[SIM_CASE_TENSORS];
  const char *paths[SIM_CASE_TENSORS];
  for (int i = 2; i < argc; i += 4) {
    void *bytes = add(&c, argv[i], argv[i + 1], argv[i + 2]);
    if (!strcmp(argv[i], "result")) {
      results[c.kernel.result_count - 1] = bytes;
      paths[c.kernel.result_count - 1] = argv[i + 3];
      continue;
    }
    void *content = read_file(argv[i + 3], &size);
    CHECK_NEED(size == bytes_of(&c.operands[c.kernel.operand_count - 1]));
    memcpy(bytes, content, size);
    free(content);
  }
  c.kernel.vmem_limit_bytes = 100 << 20;
  sim_options options = {.hostile = true,
                         .seed = seed ? strtoull(seed, NULL, 0) : 1};
  if (sim_case_run(&c, &options)) {
    fprintf(stderr, "%s: %s\n", argv[1], c.error.message);
    sim_case_print(&c);
    return 1;
  }
  for (int i = 0; i < c.kernel.result_count; i++) {
    FILE *file = fopen(paths[i], "wb");
    size = bytes_of(&c.results[i]);
    CHECK_NEED(file && fwrite(results[i], 1, size, file) == size);
    CHECK_NEED(!fclose(file));
  }
  sim_case_end(&c);
  return 0;
}

/* cache_in_place: that nobody copies a KV cache. Append and the decode after
 * it go through the real compiler, and from what it made is read:
 *
 *   memory    append's results are its arguments' memory, byte for byte, and
 *             neither program needs any beside
 *   HLO       there is the kernel and nothing else
 *   schedule  append moves the blocks that get tokens, and those alone
 *
 * Exit code 77 where there is no compiler. */
#include "base/memory.h"
#include "check.h"
#include "directory.h"
#include "kernels/tpu_program.h"
#include "pjrt/compile.h"
#include "schedule/schedule_dump.h"
#include "schedule/schedule_run.h"
#include "xla/lower.h"

static const pfl_allocator heap;
static bool missing;

typedef struct place_case {
  int64_t B, Hkv, T, Smax, D, Dv, page;
  pfl_dtype dtype;
  bool int8;
  int chips, head_chips; /* 1: by tokens */
} place_case;

static attention_decode_problem problem_of(const place_case *c) {
  pfl_decode d = {.struct_size = sizeof d,
                  .batch = c->B,
                  .q_heads = 4 * c->Hkv,
                  .kv_heads = c->Hkv,
                  .q_length = c->T,
                  .cache_length = c->page ? 0 : c->Smax,
                  .page_length = c->page,
                  .pages_per_sequence = c->page ? c->Smax / c->page : 0,
                  .page_count = c->page ? c->B * (c->Smax / c->page) : 0,
                  .head_dim = c->D,
                  .v_head_dim = c->Dv,
                  .dtype = c->dtype,
                  .cache_dtype = c->int8 ? PFL_DTYPE_I8 : PFL_DTYPE_DEFAULT};
  attention_decode_problem problem;
  CHECK_NEED(!attention_decode_problem_init(&d, &problem, NULL));
  return problem;
}

static pfl_status compile(const kernels_program *program, const char *listing,
                          pjrt_artifact *out, pfl_error *error) {
  base_text module = {0}, options = {0};
  pfl_status status = xla_lower(program, &module, &options, error);
  if (!status)
    status =
        pjrt_compile(&(pjrt_compile_request){.topology = "v5e:2x2",
                                             .module = module.bytes,
                                             .module_size = module.length,
                                             .options = options.bytes,
                                             .options_size = options.length,
                                             .listing = listing,
                                             .seconds = 240},
                     &heap, out, error);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

/* ---- What XLA made --------------------------------------------------------
 */

/* The listing's file whose name ends so, as text. */
static char *listed_text(const char *listing, const char *end) {
  char path[768] = "";
  DIR *opened = opendir(listing);
  CHECK_NEED(opened);
  for (struct dirent *entry; (entry = readdir(opened));) {
    size_t length = strlen(entry->d_name), tail = strlen(end);
    if (length >= tail && !strcmp(entry->d_name + length - tail, end))
      snprintf(path, sizeof path, "%s/%s", listing, entry->d_name);
  }
  closedir(opened);
  CHECK_NEED(*path);
  size_t size;
  char *bytes = get_file(path, &size), *text = malloc(size + 1);
  CHECK_NEED(text);
  memcpy(text, bytes, size);
  text[size] = 0;
  free(bytes);
  return text;
}

/* Arguments and the kernel, and nothing else: no copy, no fusion. But of a
 * kernel that communicates XLA copies what it gives, o, as it does not let such
 * a one write to what the program returns. */
static void check_hlo(const char *listing, const kernels_kernel *made) {
  const char *kernel = made->name;
  char *text = listed_text(listing, "TLP-hlo.txt");
  int calls = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    char *is = strstr(line, " = ");
    if (!is || strncmp(line + strspn(line, " "), "%", 1)) {
      is = strstr(line, "ROOT %");
      if (!is) continue;
    }
    bool argument = strstr(line, " parameter(") != NULL;
    bool call = strstr(line, "custom_call_target=\"tpu_custom_call\"") != NULL;
    bool part = strstr(line, " get-tuple-element(") || strstr(line, " tuple(");
    bool result = made->communicates && (strstr(line, " copy(%flash_decode") ||
                                         strstr(line, " copy(%get-tuple"));
    CHECK(argument || call || part || result, "%s: XLA does more: %.200s",
          kernel, line);
    calls += call;
  }
  CHECK(calls == 1, "%s: %d calls", kernel, calls);
  free(text);
}

static int64_t output_bytes(const kernels_kernel *kernel, bool in_place) {
  int64_t all = 0;
  for (int i = 0; i < kernel->output_count; i++) {
    const kernels_tensor *t = &kernel->outputs[i];
    int64_t bytes = (int64_t)pfl_dtype_size(t->dtype);
    for (int d = 0; d < t->rank; d++) bytes *= t->shape[d];
    if (t->in_place == in_place) all += bytes;
  }
  return all;
}

/* XLA rounds every buffer up, so that a cache may take a little more. */
static void check_memory(const pjrt_compiled_memory *memory,
                         const kernels_kernel *kernel) {
  int64_t cache = output_bytes(kernel, true);
  int64_t results = kernel->communicates ? output_bytes(kernel, false) : 0;
  CHECK(memory->alias_bytes >= cache && memory->alias_bytes <= cache + 4096,
        "%s: %lld bytes in place, the cache has %lld", kernel->name,
        (long long)memory->alias_bytes, (long long)cache);
  CHECK(memory->temp_bytes <= results, "%s: %lld bytes beside", kernel->name,
        (long long)memory->temp_bytes);
}

/* ---- What the kernel moves ------------------------------------------------
 */

enum { LENGTH = 4090 };

static int64_t operand_of(const kernels_kernel *kernel, const char *name) {
  int i = 0;
  while (i < kernel->input_count && strcmp(kernel->inputs[i].name, name)) i++;
  return i;
}

/* Tokens LENGTH .. LENGTH + T - 1 of every sequence, on one chip. */
static void run_schedule(const place_case *c, const kernels_kernel *kernel,
                         const schedule_program *program,
                         schedule_result *out) {
  uint32_t lengths[8], counts[8], none[8], *table = calloc(4096, sizeof *table);
  CHECK_NEED(table && c->B <= 8);
  for (int64_t b = 0; b < c->B; b++) {
    lengths[b] = LENGTH;
    counts[b] = (uint32_t)c->T;
    none[b] = UINT32_MAX;
  }
  for (uint32_t i = 0; i < 4096; i++) table[i] = i;
  const schedule_input inputs[] = {
      {operand_of(kernel, "lengths"), lengths, c->B},
      {operand_of(kernel, "counts"), counts, c->B},
      {operand_of(kernel, "block_table"), table, 4096},
      {operand_of(kernel, "sources"), none, c->B}};
  const schedule_request request = {.programs = &program,
                                    .program_count = 1,
                                    .inputs = inputs,
                                    .input_count = c->page ? 4 : 2,
                                    .chips = 1,
                                    .model = schedule_model_default()};
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = schedule_run(&request, &heap, out, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  free(table);
}

/* The blocks of 8 words a row that the new tokens lie in, there and back, and
 * the new tokens for each; with a tile for each of lengths and counts, and the
 * table. */
static int64_t most_bytes(const place_case *c) {
  int64_t size = c->int8 ? 1 : (int64_t)pfl_dtype_size(c->dtype);
  int64_t rows = 32 / size, pack = c->D < 128 && !c->int8 ? 128 / c->D : 1;
  int64_t width = base_round_up(c->D * pack, 128);
  int64_t first = LENGTH / (rows * pack);
  int64_t last = (LENGTH + c->T - 1) / (rows * pack);
  int64_t block = rows * width * size;
  int64_t news = c->T * base_round_up(c->D, 128) * size;
  int64_t one = (last - first + 1) * (2 * block + news);
  if (c->int8) one += 2 * (2 * 128 + 128) * 4; /* at most two blocks */
  int64_t numbers = 3 * 1024 + (c->page ? c->B * (c->Smax / c->page) * 4 : 0);
  return 2 * c->B * c->Hkv * one + numbers;
}

static void check_schedule(const place_case *c, const char *listing,
                           const kernels_kernel *kernel) {
  schedule_dump dump;
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK_NEED(!schedule_dump_read(listing, &heap, &dump, &error));
  int programs = 0;
  for (int64_t i = 0; i < dump.program_count; i++) {
    if (dump.programs[i]->top) continue;
    schedule_result result;
    programs++;
    run_schedule(c, kernel, dump.programs[i], &result);
    int64_t moved = 0;
    for (int from = 0; from < SCHEDULE_SPACES; from++)
      for (int to = 0; to < SCHEDULE_SPACES; to++)
        moved += result.profiles[0].traffic[from][to].bytes;
    CHECK(moved > 0 && moved <= most_bytes(c),
          "%lld bytes move, the new tokens' blocks take %lld", (long long)moved,
          (long long)most_bytes(c));
    for (int64_t w = 0; w < result.warning_count; w++)
      CHECK(result.warnings[w].kind == SCHEDULE_WARNING_NAME, "bundle %lld %s",
            (long long)result.warnings[w].bundle,
            schedule_warning_text(result.warnings[w].kind));
    printf("append B=%d Hkv=%d T=%d D=%d page=%d: %lld bytes in %lld cycles\n",
           (int)c->B, (int)c->Hkv, (int)c->T, (int)c->D, (int)c->page,
           (long long)moved, (long long)result.cycles);
    schedule_result_release(&result, &heap);
  }
  CHECK(programs == 1, "%d programs beside the top one", programs);
  schedule_dump_release(&dump);
}

/* ---- Cases ----------------------------------------------------------------
 */

static void check_op(const place_case *c, kernels_op op) {
  attention_decode_problem problem = problem_of(c);
  const kernels_tile by[] = {{"head_chips", c->head_chips}};
  const kernels_request request = {.op = op,
                                   .decode = &problem,
                                   .target = "v5e:2x2",
                                   .chips = c->chips,
                                   .tiles = by,
                                   .tile_count = c->chips > 1};
  kernels_program program;
  pjrt_artifact artifact;
  pfl_error error = {PFL_STATUS_OK, ""};
  char listing[512];
  snprintf(listing, sizeof listing, "%s", in_directory("listing"));
  if (missing) return;
  pfl_status status = kernels_write(&request, &heap, &program, &error);
  CHECK(!status, "%s", error.message);
  if (status) return;
  status = compile(&program, listing, &artifact, &error);
  missing = status == PFL_STATUS_NOT_FOUND;
  if (missing)
    printf("skipped: %s\n", error.message);
  else
    CHECK(!status, "%s: %s", program.name, error.message);
  if (!status) {
    const kernels_kernel *kernel = &program.kernels[0];
    check_memory(&artifact.memory, kernel);
    check_hlo(listing, kernel);
    if (op == KERNELS_APPEND && c->chips == 1)
      check_schedule(c, listing, kernel);
    pjrt_artifact_release(&artifact);
  }
  folder_remove(listing);
  kernels_program_release(&program);
}

static const place_case cases[] = {
    {1, 8, 1, 8192, 128, 128, 0, PFL_DTYPE_BF16, false, 1, 1},
    {2, 8, 4, 8192, 128, 128, 64, PFL_DTYPE_BF16, false, 1, 1},
    {1, 8, 8, 8192, 96, 96, 0, PFL_DTYPE_BF16, false, 4, 1},
    {1, 8, 1, 8192, 128, 128, 0, PFL_DTYPE_BF16, true, 1, 1},
    {2, 4, 2, 8192, 64, 64, 0, PFL_DTYPE_F32, false, 4, 4},
    {2, 8, 1, 8192, 128, 128, 64, PFL_DTYPE_BF16, true, 1, 1}};
enum { CASES = sizeof cases / sizeof *cases };

static void test_append(void) {
  for (int i = 0; i < CASES; i++) check_op(&cases[i], KERNELS_APPEND);
}

static void test_decode(void) {
  for (int i = 0; i < CASES; i += i < 4 ? 2 : 1)
    check_op(&cases[i], KERNELS_DECODE);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_append, test_decode);
  directory_remove();
  return failed ? failed : missing ? 77 : 0;
}

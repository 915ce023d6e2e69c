/* pflash info: this machine, and what the other commands would use of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench/machine.h"
#include "options.h"
#include "pallas_flash/context.h"

typedef struct machine_info {
  bench_machine machine;
  pfl_isa best, used; /* the CPU's newest; by default, PFLASH_ISA heeded */
  int64_t l1d_bytes, l2_bytes, l3_bytes; /* of the first CPU; 0: unknown */
} machine_info;

/* The size of the first CPU's data cache at `level`, shared or not. */
static int64_t cache_bytes(int level) {
  for (int index = 0; index < 8; index++) {
    char path[96], type[16] = "", unit = 0;
    int found_level = 0;
    int64_t bytes = 0;
    static const char *const names[] = {"level", "type", "size"};
    for (int i = 0; i < 3; i++) {
      snprintf(path, sizeof path,
               "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index,
               names[i]);
      FILE *file = fopen(path, "r");
      if (!file) return 0;
      int read = i == 0   ? fscanf(file, "%d", &found_level)
                 : i == 1 ? fscanf(file, "%15s", type)
                          : fscanf(file, "%" SCNd64 "%c", &bytes, &unit);
      fclose(file);
      if (read < 1) return 0;
    }
    if (found_level == level && strcmp(type, "Instruction"))
      return bytes * (unit == 'M' ? 1 << 20 : unit == 'K' ? 1 << 10 : 1);
  }
  return 0;
}

static pfl_status find_facts(machine_info *out_info, pfl_error *error) {
  pfl_context_options options = {.struct_size = sizeof options, .threads = 1};
  pfl_context *context;
  PFL_TRY(pfl_context_create(&options, &context, error));
  out_info->used = pfl_context_isa(context);
  pfl_context_destroy(context);
  out_info->best = pfl_isa_best();
  machine_describe(&out_info->machine);
  out_info->l1d_bytes = cache_bytes(1);
  out_info->l2_bytes = cache_bytes(2);
  out_info->l3_bytes = cache_bytes(3);
  return PFL_STATUS_OK;
}

static void print_size(const char *label, int64_t bytes) {
  if (!bytes)
    printf("%-8s unknown\n", label);
  else if (bytes >= 1 << 30)
    printf("%-8s %.1f GiB\n", label, (double)bytes / (1 << 30));
  else
    printf("%-8s %.0f KiB\n", label, (double)bytes / (1 << 10));
}

static void print_info(const machine_info *info) {
  printf("version  %s\n", pfl_version());
  printf("CPU      %s\n", info->machine.cpu);
  printf("kernels ");
  for (int isa = PFL_ISA_AUTO + 1; isa <= (int)info->best; isa++)
    printf(" %s", pfl_isa_name((pfl_isa)isa));
  printf("\nused     %s\n", pfl_isa_name(info->used));
  printf("threads  %" PRId64 "\n", info->machine.cpus);
  print_size("L1 data", info->l1d_bytes);
  print_size("L2", info->l2_bytes);
  print_size("L3", info->l3_bytes);
  print_size("memory", info->machine.memory_bytes);
}

static pfl_status print_info_json(const machine_info *info, pfl_error *error) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  json_write_string(&json, "version", pfl_version());
  json_write_string(&json, "cpu", info->machine.cpu);
  json_begin_array(&json, "isas");
  for (int isa = PFL_ISA_AUTO + 1; isa <= (int)info->best; isa++)
    json_write_string(&json, NULL, pfl_isa_name((pfl_isa)isa));
  json_end(&json);
  json_write_string(&json, "isa", pfl_isa_name(info->used));
  json_write_int64(&json, "threads", info->machine.cpus);
  json_write_int64(&json, "l1d_bytes", info->l1d_bytes);
  json_write_int64(&json, "l2_bytes", info->l2_bytes);
  json_write_int64(&json, "l3_bytes", info->l3_bytes);
  json_write_int64(&json, "memory_bytes", info->machine.memory_bytes);
  json_end(&json);
  base_text_add_string(&text, "\n");
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}

int info_command(const cli_options *options) {
  machine_info info;
  pfl_error error;
  if (find_facts(&info, &error)) return print_failure(COMMAND_INFO, &error);
  if (!options->json)
    print_info(&info);
  else if (print_info_json(&info, &error))
    return print_failure(COMMAND_INFO, &error);
  return EXIT_DONE;
}

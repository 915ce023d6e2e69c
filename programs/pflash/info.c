/* pflash info: this machine, and what the other commands would use of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench/machine.h"
#include "device/device.h"
#include "options.h"
#include "pallas_flash/context.h"
#include "pjrt/cache.h"
#include "pjrt/plugin.h"

typedef struct machine_info {
  bench_machine machine;
  pfl_isa best, used; /* the CPU's newest; by default, PFLASH_ISA heeded */
  int64_t l1d_bytes, l2_bytes, l3_bytes; /* of the first CPU; 0: unknown */
} machine_info;

/* What TPU programs are compiled with, and can run on. */
typedef struct compiler_info {
  base_text plugin;  /* its path; empty: none */
  base_text package; /* the version of the Python package it is of, or empty */
  pfl_error missing; /* why there is none, and what to do */
  base_text simulator;    /* its path; empty: none */
  pfl_error no_simulator; /* why there is none */
  pfl_error tpu;          /* OK, or why there is none */
  base_text cache;        /* its directory; empty: none */
  pjrt_cache_contents contents;
} compiler_info;

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

static pfl_status find_compiler(compiler_info *out_info, pfl_error *error) {
  pfl_status status = pjrt_plugin_find(&out_info->plugin, &out_info->missing);
  if (status == PFL_STATUS_RESOURCE_EXHAUSTED) {
    *error = out_info->missing;
    return status;
  }
  if (!status)
    pjrt_plugin_package_version(base_text_get(&out_info->plugin),
                                &out_info->package);
  PFL_TRY(base_text_check(&out_info->package, error));
  if (device_find_simulator(&out_info->simulator, &out_info->no_simulator))
    base_text_release(&out_info->simulator);
  out_info->tpu.status = device_find_tpu(&out_info->tpu);
  return pjrt_cache_examine(&out_info->cache, &out_info->contents, error);
}

static void release_compiler(compiler_info *info) {
  base_text_release(&info->plugin);
  base_text_release(&info->package);
  base_text_release(&info->simulator);
  base_text_release(&info->cache);
}

static void print_bytes(int64_t bytes) {
  if (bytes >= 1 << 30)
    printf("%.1f GiB", (double)bytes / (1 << 30));
  else
    printf("%.0f KiB", (double)bytes / (1 << 10));
}

static void print_size(const char *label, int64_t bytes) {
  printf("%-8s ", label);
  if (bytes)
    print_bytes(bytes);
  else
    printf("unknown");
  putchar('\n');
}

static void print_compiler(const compiler_info *info) {
  if (!info->plugin.length)
    printf("libtpu   none: %s\n", info->missing.message);
  else
    printf("libtpu   %s, %s\n",
           info->package.length ? base_text_get(&info->package)
                                : "of unknown version",
           base_text_get(&info->plugin));
  if (info->simulator.length)
    printf("sim      %s\n", base_text_get(&info->simulator));
  else
    printf("sim      none: %s\n", info->no_simulator.message);
  printf("tpu      %s\n",
         info->tpu.status ? info->tpu.message : "there is one");
  if (!info->cache.length) {
    printf("cache    none\n");
    return;
  }
  printf("cache    %s, %" PRId64 " file%s, ", base_text_get(&info->cache),
         info->contents.files, info->contents.files == 1 ? "" : "s");
  print_bytes(info->contents.bytes);
  putchar('\n');
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

static void write_compiler(json_writer *json, const compiler_info *info) {
  if (info->plugin.length) {
    json_begin_object(json, "libtpu");
    json_write_string(json, "path", base_text_get(&info->plugin));
    json_write_string(
        json, "version",
        info->package.length ? base_text_get(&info->package) : NULL);
    json_end(json);
  } else {
    json_write_null(json, "libtpu");
    json_write_string(json, "libtpu_missing", info->missing.message);
  }
  json_write_string(
      json, "simulator",
      info->simulator.length ? base_text_get(&info->simulator) : NULL);
  json_write_bool(json, "tpu", !info->tpu.status);
  if (!info->cache.length) {
    json_write_null(json, "cache");
    return;
  }
  json_begin_object(json, "cache");
  json_write_string(json, "path", base_text_get(&info->cache));
  json_write_int64(json, "files", info->contents.files);
  json_write_int64(json, "bytes", info->contents.bytes);
  json_end(json);
}

static pfl_status print_info_json(const machine_info *info,
                                  const compiler_info *compiler,
                                  pfl_error *error) {
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
  write_compiler(&json, compiler);
  json_end(&json);
  base_text_add_string(&text, "\n");
  pfl_status status = base_text_check(&text, error);
  if (!status) fputs(base_text_get(&text), stdout);
  base_text_release(&text);
  return status;
}

int info_command(const cli_options *options) {
  machine_info info;
  compiler_info compiler = {0};
  pfl_error error;
  pfl_status status = find_facts(&info, &error);
  if (!status) status = find_compiler(&compiler, &error);
  if (!status && options->json) {
    status = print_info_json(&info, &compiler, &error);
  } else if (!status) {
    print_info(&info);
    print_compiler(&compiler);
  }
  release_compiler(&compiler);
  return status ? print_failure(COMMAND_INFO, &error) : EXIT_DONE;
}

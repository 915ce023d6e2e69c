/* Programs on libpflash_sim.so: compiled, refused, serialized and run, on one
 * chip and on four. Kernels are the simplest there are; what they may do wrong
 * is test_sim_hazards's. */
#include "plugin_client.h"

static void test_run(void) {
  const int output = 2;
  xla_call call = make_call(&adder, pair);
  open_client();
  for (int chips = 1; chips <= 4; chips++) {
    xla_program program = make_program(chips, &call, 1, &output, 1);
    pjrt_program loaded;
    PJRT_Buffer *in[8], *out[4];
    compile(&program, &loaded);
    CHECK(loaded.device_count == chips && loaded.output_count == 1, "%lld",
          (long long)loaded.device_count);
    for (int i = 0; i < 2 * chips; i++)
      in[i] = upload_number(i / 2, (float)(10 * i));
    pjrt_run run = {.arguments = in, .argument_count = 2};
    pfl_status status =
        pjrt_program_run(&client, &loaded, &run, NULL, out, &error);
    CHECK(!status, "%s", error.message);
    for (int i = 0; !status && i < chips; i++)
      check_number(out[i], (float)(10 * (4 * i + 1)), 2, "x + y");
    if (!status) pjrt_buffers_destroy(&client, out, chips);
    pjrt_buffers_destroy(&client, in, 2 * chips);
    pjrt_program_unload(&client, &loaded);
  }
  close_client();
}

/* Calls one after the other, outputs that are arguments, or the same value, or
 * also used on the way; and nothing but these is left. */
static void test_chain(void) {
  static const int first[] = {0, 1}, second[] = {2, 0}, third[] = {3, 2};
  static const int outputs[] = {4, 2, 4, 0};
  const xla_call calls[] = {make_call(&adder, first), make_call(&adder, second),
                            make_call(&adder, third)};
  xla_program program = make_program(1, calls, 3, outputs, 4);
  pjrt_program loaded;
  open_client();
  compile(&program, &loaded);
  PJRT_Buffer *in[] = {upload_number(0, 1), upload_number(0, 10)}, *out[4];
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  check_number(out[0], 23, 5, "((x + y) + x) + (x + y)");
  check_number(out[1], 11, 2, "x + y");
  check_number(out[2], 23, 5, "the first again");
  check_number(out[3], 1, 1, "x");
  check_number(in[0], 1, 1, "x as it was");
  CHECK(bytes_in_use(0) == 6 * 131072, "%lld", (long long)bytes_in_use(0));
  pjrt_compiled_memory memory;
  CHECK(!pjrt_program_memory(&client, &loaded, &memory, &error) &&
            memory.argument_bytes == 2 * 131072 &&
            memory.output_bytes == 4 * 131072 && memory.temp_bytes == 131072 &&
            memory.total_bytes == 5 * 131072,
        "%lld", (long long)memory.total_bytes);
  pjrt_buffers_destroy(&client, out, 4);
  pjrt_buffers_destroy(&client, in, 2);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* An argument that is donated is gone, unless it is kept. */
static void test_donation(void) {
  const int output = 2;
  const xla_alias donation = {0, 0};
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  pjrt_program loaded;
  program.donations = &donation;
  program.donation_count = 1;
  open_client();
  compile(&program, &loaded);
  PJRT_Buffer *in[4], *out[2] = {NULL};
  for (int i = 0; i < 4; i++) in[i] = upload_number(i / 2, (float)i);
  static const int64_t kept[] = {0};
  pjrt_run run = {
      .arguments = in, .argument_count = 2, .kept = kept, .kept_count = 1};
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  CHECK(!is_donated(in[0]) && !is_donated(in[2]), "kept");
  check_number(out[1], 5, 2, "x + y");
  check_number(in[0], 0, 1, "x as it was");
  pjrt_buffers_destroy(&client, out, 2);
  run.kept_count = 0;
  CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
  CHECK(is_donated(in[0]) && !is_donated(in[1]) && is_donated(in[2]), "gone");
  check_number(out[1], 5, 2, "x + y");
  CHECK(bytes_in_use(0) == 2 * 131072, "%lld", (long long)bytes_in_use(0));
  pjrt_buffers_destroy(&client, out, 2);
  static float data[PLUGIN_CASE_ITEMS];
  CHECK(download(in[0], data, sizeof data) == PFL_STATUS_INVALID_ARGUMENT,
        "out of a donated buffer");
  CHECK(
      pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
              PFL_STATUS_INVALID_ARGUMENT &&
          strstr(error.message, "argument 0 of chip 0 was deleted or donated"),
      "%s", error.message);
  PJRT_Buffer *twice[] = {in[1], in[1], in[3], in[3]};
  run.arguments = twice;
  CHECK(pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
                PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "is donated and is argument 1 too"),
        "%s", error.message);
  CHECK(!is_donated(in[1]), "refused, and not taken");
  pjrt_buffers_destroy(&client, in, 4);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* A result in its operand's place: not if somebody else still reads it. */
static void test_aliases(void) {
  static const int again[] = {2, 0}, outputs[] = {2, 3};
  const xla_alias alias = {0, 0}, donation = {1, 0};
  xla_call calls[] = {make_call(&adder, pair), make_call(&adder, again)};
  for (int i = 0; i < 2; i++)
    calls[i].aliases = &alias, calls[i].alias_count = 1;
  xla_program program = make_program(1, calls, 2, outputs, 2);
  pjrt_program loaded;
  open_client();
  for (int donated = 0; donated < 2; donated++) {
    program.donations = &donation;
    program.donation_count = donated;
    compile(&program, &loaded);
    PJRT_Buffer *in[] = {upload_number(0, 1), upload_number(0, 10)}, *out[2];
    pjrt_run run = {.arguments = in, .argument_count = 2};
    CHECK_NEED(!pjrt_program_run(&client, &loaded, &run, NULL, out, &error));
    check_number(out[0], 11, 2, "x + y");
    check_number(out[1], 12, 3, "x + y + x");
    if (!donated) check_number(in[0], 1, 1, "x as it was");
    pjrt_buffers_destroy(&client, out, 2);
    pjrt_buffers_destroy(&client, in, 2);
    pjrt_program_unload(&client, &loaded);
  }
  close_client();
}

static void test_bad_runs(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  static const xla_tensor other = {PFL_DTYPE_F32, 2, {128, 256}};
  static const float data[PLUGIN_CASE_ITEMS];
  pjrt_program loaded;
  pjrt_client stranger;
  open_client();
  CHECK_NEED(!plugin_case_client(NULL, 0, &stranger, &error));
  compile(&program, &loaded);
  PJRT_Buffer *x = upload_number(0, 1), *y = upload_number(1, 2), *out[2];
  PJRT_Buffer *shaped = upload(0, &other, data), *abroad = NULL;
  pjrt_upload asked = {.shape = {PFL_DTYPE_F32, 2, {256, 128}}, .data = data};
  CHECK_NEED(!pjrt_buffer_upload(&stranger, &asked, NULL, &abroad, &error));
  const struct {
    PJRT_Buffer *in[4];
    int64_t count;
    const char *words;
  } cases[] = {
      {{x, x, y, x}, 2, "argument 1 of chip 1 is on device 0: must be on "},
      {{x, shaped, y, y}, 2, "argument 1 of chip 0 has another element type"},
      {{abroad, x, y, y}, 2, "is on device 0 of another client"},
      {{x, y}, 1, "2 devices with 1 arguments: the program has 2 with 2"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pjrt_run run = {.arguments = cases[i].in, .argument_count = cases[i].count};
    CHECK(pjrt_program_run(&client, &loaded, &run, NULL, out, &error) ==
                  PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  PJRT_Buffer *all[] = {x, y, shaped};
  pjrt_buffers_destroy(&client, all, 3);
  pjrt_buffer_destroy(&stranger, abroad);
  pjrt_client_destroy(&stranger);
  pjrt_program_unload(&client, &loaded);
  close_client();
}

/* A kernel that gives what it never wrote: the hazard is the error of the run's
 * event, of its outputs, and of what is made of these; the chips go on. */
static void build_unwritten(mo_builder *b) {
  mo_kernel(b, "unwritten", NULL);
  mo_value *x = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *z = mo_operand(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_value *never = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(256, 128));
  mo_store_all(b, mo_add(b, mo_load_all(b, x), mo_load_all(b, never)), z);
  mo_kernel_end(b);
}

static void test_hazard(void) {
  const int output = 2;
  base_text kernel = {0};
  plugin_case_kernel(build_unwritten, &kernel);
  const xla_call bad_call = make_call(&kernel, pair),
                 call = make_call(&adder, pair);
  xla_program bad_program = make_program(2, &bad_call, 1, &output, 1);
  xla_program program = make_program(2, &call, 1, &output, 1);
  static float data[PLUGIN_CASE_ITEMS];
  pjrt_program bad, good;
  open_client();
  compile(&bad_program, &bad);
  compile(&program, &good);
  PJRT_Buffer *in[4], *out[2], *next[2];
  PJRT_Event *done[2], *next_done[2];
  for (int i = 0; i < 4; i++) in[i] = upload_number(i / 2, (float)i);
  pjrt_run run = {.arguments = in, .argument_count = 2};
  CHECK_NEED(!pjrt_program_run(&client, &bad, &run, done, out, &error));
  PJRT_Buffer *mixed[] = {out[0], in[1], out[1], in[3]};
  pjrt_run after = {.arguments = mixed, .argument_count = 2};
  CHECK_NEED(
      !pjrt_program_run(&client, &good, &after, next_done, next, &error));
  for (int i = 0; i < 2; i++) {
    CHECK(pjrt_event_await(&client, done[i], &error) ==
                  PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, "unwritten") &&
              strstr(error.message, "seed 1"),
          "%s", error.message);
    CHECK(
        download(out[i], data, sizeof data) == PFL_STATUS_FAILED_PRECONDITION &&
            strstr(error.message, "unwritten"),
        "%s", error.message);
    CHECK(pjrt_event_await(&client, next_done[i], &error) ==
                  PFL_STATUS_FAILED_PRECONDITION &&
              strstr(error.message, "argument 0 of chip 0 was never made: "),
          "%s", error.message);
  }
  pjrt_buffers_destroy(&client, out, 2);
  pjrt_buffers_destroy(&client, next, 2);
  CHECK(!pjrt_program_run(&client, &good, &run, NULL, out, &error), "%s",
        error.message);
  check_number(out[1], 5, 2, "x + y");
  pjrt_buffers_destroy(&client, out, 2);
  pjrt_buffers_destroy(&client, in, 4);
  pjrt_program_unload(&client, &bad);
  pjrt_program_unload(&client, &good);
  close_client();
  base_text_release(&kernel);
}

/* Chips that talk to their neighbours, under three seeds and none. */
static void test_exchange(void) {
  base_text exchanger = {0};
  plugin_case_kernel(build_exchange, &exchanger);
  static const xla_tensor tile = {PFL_DTYPE_F32, 2, {8, 128}};
  static const int argument = 0, output = 1;
  const xla_call call = {.kernel_name = "exchange",
                         .body = exchanger.bytes,
                         .body_size = exchanger.length,
                         .operands = &argument,
                         .operand_count = 1,
                         .results = &tile,
                         .result_count = 1,
                         .has_communication = true};
  const xla_program program = {.name = "exchange",
                               .replicas = 4,
                               .arguments = &tile,
                               .argument_count = 1,
                               .calls = &call,
                               .call_count = 1,
                               .outputs = &output,
                               .output_count = 1};
  for (int seed = 0; seed < 4; seed++) {
    PJRT_NamedValue options[] = {pjrt_option_integer("hostile", seed > 0),
                                 pjrt_option_integer("seed", seed),
                                 pjrt_option_integer("threads", 1 + seed)};
    pjrt_program loaded;
    float data[8 * 128];
    PJRT_Buffer *in[4], *out[4];
    CHECK_NEED(!plugin_case_client(options, 3, &client, &error));
    compile(&program, &loaded);
    for (int chip = 0; chip < 4; chip++) {
      for (int i = 0; i < 8 * 128; i++) data[i] = (float)(1000 * chip + i);
      in[chip] = upload(chip, &tile, data);
    }
    pjrt_run run = {.arguments = in, .argument_count = 1};
    pfl_status status =
        pjrt_program_run(&client, &loaded, &run, NULL, out, &error);
    CHECK(!status, "%s", error.message);
    for (int chip = 0; !status && chip < 4; chip++) {
      CHECK(!download(out[chip], data, sizeof data), "%s", error.message);
      for (int i = 0; i < 8 * 128; i++)
        CHECK(data[i] == (float)(1000 * (chip + (chip ^ 1)) + 2 * i),
              "chip %d, [%d] is %g", chip, i, (double)data[i]);
      pjrt_buffer_destroy(&client, out[chip]);
    }
    pjrt_buffers_destroy(&client, in, 4);
    pjrt_program_unload(&client, &loaded);
    close_client();
  }
  base_text_release(&exchanger);
}

/* ---- Compiling ----------------------------------------------------------- */

static void test_bad_programs(void) {
  const int output = 2;
  const xla_call call = make_call(&adder, pair);
  xla_program program = make_program(2, &call, 1, &output, 1);
  base_text module = {0}, options = {0}, one = {0};
  CHECK_NEED(!xla_program_write(&program, &module, NULL));
  CHECK_NEED(!xla_options_write(2, NULL, 0, &options, NULL));
  CHECK_NEED(!xla_options_write(1, NULL, 0, &one, NULL));
  open_client();
  const struct {
    const char *text;
    size_t size;
    const base_text *options;
    pfl_status status;
    const char *words;
  } cases[] = {
      {module.bytes, module.length, &one, PFL_STATUS_INVALID_ARGUMENT,
       "the compile options have 1 replicas, the program 2"},
      {"ML\xefR\x0bStableHLO", 14, &one, PFL_STATUS_UNIMPLEMENTED, "bytecode"},
      {module.bytes, module.length - 3, &options, PFL_STATUS_INVALID_ARGUMENT,
       "StableHLO: line 5"},
      {"x", 1, &one, PFL_STATUS_INVALID_ARGUMENT, "StableHLO: line 1"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pjrt_program loaded;
    CHECK(pjrt_program_compile(
              &client, cases[i].text, cases[i].size, cases[i].options->bytes,
              cases[i].options->length, &loaded, &error) == cases[i].status &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
  }
  close_client();
  PJRT_NamedValue option = pjrt_option_text("topology", "v5e:1x1");
  pjrt_program loaded;
  CHECK_NEED(!plugin_case_client(&option, 1, &client, &error));
  CHECK(pjrt_program_compile(&client, module.bytes, module.length,
                             options.bytes, options.length, &loaded,
                             &error) == PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "a program for 2 chips: there is 1"),
        "%s", error.message);
  close_client();
  base_text_release(&module);
  base_text_release(&options);
  base_text_release(&one);
}

/* A kernel that is none, or none that a slice can run, is refused by name. */
static void test_bad_kernels(void) {
  static const struct {
    const char *from, *to, *words;
  } cases[] = {{"arith.addf", "arith.addg", "arith.addg"},
               {"vmem", "sram", "kernel \"vector_add\": "},
               {"256x128", "256x64", "kernel \"vector_add\": "},
               {"}", "{", "kernel \"vector_add\": "}};
  const int output = 2;
  open_client();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    base_text changed = {0};
    const char *at = strstr(adder.bytes, cases[i].from);
    CHECK_NEED(at);
    base_text_add(&changed, adder.bytes, (size_t)(at - adder.bytes));
    base_text_add_string(&changed, cases[i].to);
    base_text_add_string(&changed, at + strlen(cases[i].from));
    xla_call call = make_call(&changed, pair);
    xla_program program = make_program(1, &call, 1, &output, 1);
    pjrt_program loaded;
    CHECK(plugin_case_compile(&client, &program, &loaded, &error) &&
              strstr(error.message, cases[i].words),
          "case %zu: %s", i, error.message);
    base_text_release(&changed);
  }
  close_client();
}

/* Compiled ahead of time, in no client, and loaded; cut or changed anywhere it
 * is refused. */
static void test_serialized(void) {
  const int output = 2;
  xla_call call = make_call(&adder, pair);
  call.cost = (xla_cost){.flops = 1000, .bytes_accessed = 7};
  const xla_call calls[] = {call, call};
  xla_program program = make_program(1, calls, 2, &output, 1);
  base_text module = {0}, options = {0}, packed = {0};
  PJRT_TopologyDescription *topology = NULL;
  PJRT_Executable *executable = NULL;
  pjrt_artifact artifact;
  pjrt_program loaded;
  open_client();
  CHECK_NEED(!xla_program_write(&program, &module, NULL));
  CHECK_NEED(!xla_options_write(1, NULL, 0, &options, NULL));
  CHECK_NEED(
      !pjrt_topology_create(&client.plugin, "v5e:1x1", &topology, &error));
  CHECK_NEED(!pjrt_compile_here(&client.plugin, topology, module.bytes,
                                module.length, options.bytes, options.length,
                                &executable, &error));
  CHECK_NEED(
      !pjrt_executable_pack(&client.plugin, executable, "v", &packed, &error));
  pjrt_executable_destroy(&client.plugin, executable);
  pjrt_topology_destroy(&client.plugin, topology);
  CHECK_NEED(!pjrt_artifact_unpack(packed.bytes, packed.length,
                                   &plugin_case_heap, &artifact, &error));
  CHECK(pjrt_artifact_cost(&artifact, "flops") == 2000 &&
            pjrt_artifact_cost(&artifact, "bytes accessed") == 14,
        "%g flops", pjrt_artifact_cost(&artifact, "flops"));
  char *bytes = malloc(artifact.executable_size);
  CHECK_NEED(bytes);
  memcpy(bytes, artifact.executable, artifact.executable_size);
  CHECK(!pjrt_program_load(&client, bytes, artifact.executable_size, &loaded,
                           &error),
        "%s", error.message);
  pjrt_program_unload(&client, &loaded);
  for (size_t i = 0; i < artifact.executable_size; i += 97) {
    CHECK(pjrt_program_load(&client, bytes, i, &loaded, &error) ==
              PFL_STATUS_DATA_LOSS,
          "%zu bytes: %s", i, error.message);
    bytes[i] ^= 4;
    CHECK(pjrt_program_load(&client, bytes, artifact.executable_size, &loaded,
                            &error) == PFL_STATUS_DATA_LOSS,
          "byte %zu: %s", i, error.message);
    bytes[i] ^= 4;
  }
  /* whole, and of another version or of no program at all */
  pjrt_artifact forged = {
      .version = "another", .executable = "x", .executable_size = 1};
  base_text forgery = {0};
  CHECK_NEED(!pjrt_artifact_pack(&forged, NULL, &forgery, NULL));
  CHECK(pjrt_program_load(&client, forgery.bytes, forgery.length, &loaded,
                          &error) == PFL_STATUS_FAILED_PRECONDITION,
        "%s", error.message);
  base_text_release(&forgery);
  forged.version = base_text_get(&client.version);
  CHECK_NEED(!pjrt_artifact_pack(&forged, NULL, &forgery, NULL));
  CHECK(pjrt_program_load(&client, forgery.bytes, forgery.length, &loaded,
                          &error) == PFL_STATUS_INVALID_ARGUMENT,
        "%s", error.message);
  base_text_release(&forgery);
  free(bytes);
  pjrt_artifact_release(&artifact);
  base_text_release(&module);
  base_text_release(&options);
  base_text_release(&packed);
  close_client();
}

int main(void) {
  plugin_case_kernel(build_vector_add, &adder);
  int failed = CHECK_RUN(test_run, test_chain, test_donation, test_aliases,
                         test_bad_runs, test_hazard, test_exchange,
                         test_bad_programs, test_bad_kernels, test_serialized);
  base_text_release(&adder);
  return failed;
}

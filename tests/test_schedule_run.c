/* DMAs, sync flags, inputs, several chips; and listings that nobody meant. */
#include <math.h>

#include "directory.h"
#include "failing.h"
#include "listing_case.h"
#include "schedule/schedule_dump.h"
#include "schedule/schedule_summary.h"

#define LISTINGS PFLASH_TESTS_DIR "/listings"

/* ---- DMAs ---------------------------------------------------------------- */

#define BYTES_PER_CYCLE (819 / 1.5)
#define LATENCY 750 /* 500 ns at 1.5 GHz */
#define WAIT 6

static void add_pointers(listing_case *c) {
  case_add(c,
           "%s1_s0 = inlined_call_operand.hbm [shape: f32[4096,1024], "
           "index: 0, kind: input, shape index: {}]  ;;  "
           "%s2_s2 = smov.u32 [#allocation3]");
  case_add(c,
           "%s3_s3 = sshll.u32 %s1_s0, 4  ;;  %s4_s4 = sshll.u32 %s2_s2, 4"
           "  ;;  %s5_s3 = int_to_ptr.hbm [resolvable:$true] %s3_s3  ;;  "
           "%s6_s4 = int_to_ptr.vmem [resolvable:$true] %s4_s4");
}

static void add_read(listing_case *c, int64_t granules, int flag) {
  case_addf(c,
            "%%9 = dma.hbm_to_vmem [thread:$0]  /*hbm=*/%%s5_s3, "
            "/*size_in_granules=*/%lld, /*vmem=*/%%s6_s4, "
            "/*dst_syncflagno=*/[#allocation4 + $0x%x]",
            (long long)granules, (unsigned)flag);
}

/* One transfer: its bytes' time, the latency, and the wait's own cycles. */
static void test_dma(void) {
  for (int64_t granules = 1; granules < 100000; granules = granules * 7 + 3) {
    listing_case c = {0};
    add_pointers(&c);
    add_read(&c, granules, 0);
    case_addf(&c, "%%8 = dma.done.wait [#allocation4], %lld",
              (long long)granules);
    case_done(&c);
    int64_t end =
        (int64_t)ceil(3 + (double)granules * 32 / BYTES_PER_CYCLE + LATENCY);
    CHECK(c.result.cycles == end + WAIT + 1, "%lld granules: %lld, not %lld",
          (long long)granules, (long long)c.result.cycles,
          (long long)(end + WAIT + 1));
    const schedule_traffic *read =
        &c.result.profiles[0].traffic[SCHEDULE_HBM][SCHEDULE_VMEM];
    CHECK(read->count == 1 && read->bytes == 32 * granules, "traffic");
    case_release(&c);
  }
}

/* n transfers share the bandwidth, and their latencies pass together. */
static void test_queue(void) {
  enum { N = 9, GRANULES = 2048 };
  listing_case c = {.span_limit = 100};
  add_pointers(&c);
  for (int i = 0; i < N; i++) add_read(&c, GRANULES, i);
  for (int i = 0; i < N; i++)
    case_addf(&c, "%%8 = dma.done.wait [#allocation4 + $0x%x], %d", (unsigned)i,
              GRANULES);
  case_done(&c);
  double moved = N * GRANULES * 32 / BYTES_PER_CYCLE;
  int64_t end = (int64_t)ceil(3 + moved + LATENCY) + WAIT + 1;
  CHECK(llabs(c.result.cycles - end) <= 1, "%lld, not %lld",
        (long long)c.result.cycles, (long long)end);
  int hbm = 0;
  for (int64_t i = 0; i < c.result.span_count; i++)
    hbm += c.result.spans[i].kind == SCHEDULE_SPAN_HBM;
  CHECK(hbm == N, "%d spans", hbm);
  case_release(&c);
}

/* One flag for several transfers: a wait takes what has come, a vsyncadd with a
 * negative number takes it away. */
static void test_flag_counts(void) {
  listing_case c = {0};
  add_pointers(&c);
  for (int i = 0; i < 3; i++) add_read(&c, 100, 0);
  for (int i = 0; i < 3; i++) {
    case_add(&c, "%8 = dma.done.wait [#allocation4], 100");
    case_add(&c, "%8 = vsyncadd [#allocation4], 4294967196");
  }
  case_add(&c, "%7 = vsyncmov [#allocation4]");
  case_add(&c, "%s20_s5 = spop.sfrf %7");
  case_add(&c, "%p21_p1 = scmp.ne.s32.totalorder %s20_s5, 0");
  case_add(&c, "%22 = sbr.rel (%p21_p1) target = $region5");
  case_empty(&c, 5);
  case_add_with(&c, "%23 = vdelay 9999", "Start region 5");
  case_done(&c);
  CHECK(case_warnings(&c, SCHEDULE_WARNING_WAIT) == 0, "waits in vain");
  CHECK(c.result.profiles[0].counts[c.bundles - 3] == 1, "the flag is not 0");
  case_release(&c);
}

static void test_wait_in_vain(void) {
  listing_case c = {0};
  case_add(&c, "%8 = dma.done.wait [#allocation4], 100");
  case_done(&c);
  CHECK(case_warnings(&c, SCHEDULE_WARNING_WAIT) == 1, "not told");
  CHECK(c.result.cycles == 2 + WAIT, "%lld", (long long)c.result.cycles);
  case_release(&c);
}

/* ---- Inputs -------------------------------------------------------------- */

/* A kernel that reads a table into SMEM and loops as often as it says. */
static void add_table_kernel(listing_case *c) {
  case_add(c,
           "%s1_s0 = inlined_call_operand.hbm [shape: s32[16], index: 3, "
           "kind: input, shape index: {}]  ;;  "
           "%s2_s2 = smov.u32 [#allocation5]");
  case_add(c,
           "%s3_s3 = sshll.u32 %s1_s0, 4  ;;  "
           "%s5_s3 = int_to_ptr.hbm [resolvable:$true] %s3_s3");
  case_add(c,
           "%9 = dma.hbm_to_smem /*hbm=*/%s5_s3, /*size_in_granules=*/2, "
           "/*smem=*/%s2_s2, /*dst_syncflagno=*/[#allocation1]");
  case_add(c, "%8 = dma.done.wait [#allocation1], 2");
  case_add(c,
           "%s10_s5 = sld [smem:[#allocation5 + $0x9]]  ;;  "
           "%s11_s6 = smov.u32 0");
  case_add_with(c,
                "%s12_s6 = sphi %s11_s6, %s13_s6  ;;  "
                "%s13_s6 = sadd.s32 1, %s12_s6",
                "Start region 2");
  case_add(c, "%p14_p0 = scmp.lt.s32.totalorder %s13_s6, %s10_s5");
  case_add(c, "%15 = sbr.rel (%p14_p0) target = $region2");
  case_empty(c, 4);
}

static void test_input(void) {
  uint32_t words[16] = {[9] = 23};
  listing_case c = {.inputs = {{3, words, 16}}, .input_count = 1};
  add_table_kernel(&c);
  case_done(&c);
  CHECK(c.result.profiles[0].counts[6] == 23, "%llu trips",
        (unsigned long long)c.result.profiles[0].counts[6]);
  case_release(&c);
}

/* Missing, or too short: an error that names the operand. */
static void test_missing_input(void) {
  uint32_t words[16] = {0};
  for (int given = 0; given < 2; given++) {
    listing_case c = {.inputs = {{3, words, 9}}, .input_count = given};
    add_table_kernel(&c);
    case_run(&c);
    CHECK(c.status == PFL_STATUS_INVALID_ARGUMENT, "%d", c.status);
    CHECK(strstr(c.error.message, "operand 3"), "%s", c.error.message);
    case_release(&c);
  }
}

/* ---- Several chips ------------------------------------------------------- */

static const char four_allocations[] =
    "  #allocation6 [shape = 's32[]', space=sflag, size = 0x4, offset = 0x20, "
    "fixed_abs, tag = 'barrier sync flag number']\n"
    "  #allocation8 [shape = 's32[2]', space=sflag, size = 0x8, offset = 0x0, "
    "scoped, tag = 'scratch operand']\n"
    "  #allocation3 [shape = 'f32[8,128]', space=vmem, size = 0x1000, offset = "
    "0x0, scoped, tag = 'scratch operand']\n"
    "  #allocation10 [shape = 'u32[]', space=smem, size = 0x4, offset = "
    "0xfff8c, fixed_abs, tag = 'replica id location']\n";

/* s24 = the chip at the other end of bits `bits` of the place. */
static void add_neighbour(listing_case *c, int bits) {
  case_add(c, "%s20_s20 = sld [smem:[#allocation10]]");
  case_add(c, "%s21_s21 = sshrl.u32 %s20_s20, 0");
  case_add(c, "%s22_s22 = sor.u32 %s20_s20, %s21_s21"); /* place */
  case_add(c, "%s23_s23 = sand.u32 3, %s22_s22");
  case_addf(c, "%%s24_s24 = sxor.u32 %d, %%s23_s23", bits);
}

#define HOP 1500 /* 1 us */
#define LINK 30  /* bytes a cycle */

/* A message to a neighbour takes a hop, to the chip across two. */
static void test_signal(void) {
  for (int bits = 1; bits < 4; bits++) {
    listing_case c = {.chips = 4, .allocations = four_allocations};
    int hops = bits == 3 ? 2 : 1;
    add_neighbour(&c, bits);
    case_add(&c, "%s25_s25 = sshll.u32 %s24_s24, 17");
    case_add(&c, "%s26_s26 = sor.u32 32776, %s25_s25");
    case_add(&c, "%1 = vsyncadd.remote %s26_s26, 1");
    case_add(&c, "%2 = vsyncadd [#allocation6], 4294967295");
    case_add(&c, "%3 = vwait.ge.trace [#allocation6], 0");
    case_done(&c);
    /* the sld's 5 cycles and the bundles before the message are 13 */
    double end = 13 + hops * HOP + 32.0 / LINK;
    int64_t expected = (int64_t)ceil(end) + WAIT + 1;
    CHECK(c.result.cycles == expected, "over %d: %lld, not %lld", bits,
          (long long)c.result.cycles, (long long)expected);
    CHECK(case_cause(&c, SCHEDULE_CAUSE_SEMAPHORE) > hops * HOP - 13, "cause");
    CHECK(c.result.warning_count == 0, "%s",
          schedule_warning_text(c.result.warnings[0].kind));
    case_release(&c);
  }
}

static void add_send(listing_case *c, int granules) {
  case_add(c,
           "%s30_s25 = smov.u32 [#allocation3]  ;;  "
           "%s31_s26 = sor.u32 134234112, %s24_s24");
  case_add(c,
           "%s32_s27 = sshll.u32 %s30_s25, 4  ;;  %s33_s27 = "
           "int_to_ptr.vmem [resolvable:$true] %s32_s27  ;;  "
           "%s34_s28 = smov.u32 [#allocation8]");
  case_add(c, "%s35_s29 = sor.u32 16384, %s34_s28");
  case_addf(c,
            "%%9 = dma.general /*src=*/%%s33_s27, /*size_in_granules=*/%d, "
            "/*dst=*/%%s33_s27, /*dst_syncflagno=*/%%s35_s29, "
            "/*src_syncflagno=*/[#allocation8 + $0x1], "
            "/*stridedescaddr=*/[#allocation12], /*overrides=*/%%s31_s26, "
            "/*dst_syncflagno_1=*/0",
            granules);
}

static int64_t send_cycles(int bits, int granules) {
  listing_case c = {.chips = 4, .allocations = four_allocations};
  add_neighbour(&c, bits);
  add_send(&c, granules);
  case_addf(&c, "%%8 = dma.done.wait [#allocation8 + $0x1], %d", granules);
  case_addf(&c, "%%8 = dma.done.wait [#allocation8], %d", granules);
  case_done(&c);
  int64_t cycles = c.result.cycles;
  CHECK(c.result.profiles[0].remote.bytes == 32 * granules, "bytes");
  CHECK(c.result.warning_count == 0, "%s",
        schedule_warning_text(c.result.warnings[0].kind));
  case_release(&c);
  return cycles;
}

/* Bytes take their time on a link; a second hop adds its latency and, as the
 * chips along the way send too, waits for them. */
static void test_send(void) {
  int64_t small = send_cycles(1, 30), large = send_cycles(1, 30 * 101);
  CHECK(llabs(large - small - 100 * 32) <= 1, "%lld and %lld", (long long)small,
        (long long)large);
  CHECK(send_cycles(2, 30) == small, "y is as x");
  int64_t across = send_cycles(3, 30);
  CHECK(across - small >= HOP && across - small <= HOP + 64, "%lld",
        (long long)(across - small));
}

/* A program that is launched on four chips tells its neighbour, and gives up if
 * what only the vector side knows says so: nobody knows, so it runs. */
static void test_launch(void) {
  static const char allocations[] =
      "  #allocation6 [shape = 's32[]', space=sflag, size = 0x4, offset = "
      "0x20, "
      "fixed_abs, tag = 'barrier sync flag number']\n"
      "  #allocation7 [shape = 'u32[]', space=smem, size = 0x4, offset = "
      "0xfffa8, fixed_abs, tag = 'program descriptor state']\n"
      "  #allocation8 [shape = 'u32[]', space=smem, size = 0x4, offset = "
      "0xfffd0, fixed_abs, tag = 'launch barrier id']\n"
      "  #allocation10 [shape = 'u32[]', space=smem, size = 0x4, offset = "
      "0xfff8c, fixed_abs, tag = 'replica id location']\n";
  for (int known = 0; known < 2; known++) {
    listing_case c = {.chips = 4, .allocations = allocations};
    case_add(&c, "%s1_s1 = sld [smem:[#allocation7]]");
    case_add(&c, "%s2_s2 = sld [smem:[#allocation8]]");
    case_add(&c, "%p3_p0 = scmp.eq.s32.totalorder %s1_s1, %s2_s2");
    add_neighbour(&c, 1);
    case_add(&c, "%s25_s25 = sshll.u32 %s24_s24, 17");
    case_add(&c, "%s26_s26 = sor.u32 32776, %s25_s25");
    case_add(&c, "%1 = vsyncadd.remote (%p3_p0), %s26_s26, 1");
    case_add(&c, "%3 = vwait.ge.trace [#allocation6], 1");
    case_add(&c, known ? "%s4_s4 = smov.u32 1" : "%s4_s4 = spop %9");
    case_add(&c, "%p5_p1 = scmp.ne.s32.totalorder %s4_s4, 0");
    case_add(&c, "%s6_s6 = smov.u32 2");
    case_add(&c, "%7 = sst [smem:[#allocation7]] (%p5_p1), %s6_s6");
    case_add(&c, "%s8_s8 = sld [smem:[#allocation7]]");
    case_add(&c, "%p9_p2 = scmp.ne.s32.totalorder %s8_s8, 1");
    case_add(&c, "%10 = sbr.rel (%p9_p2) target = $region9");
    case_empty(&c, 4);
    case_add(&c, "%s11_s11 = smov.u32 3"); /* what is launched */
    case_add_with(&c, "", "Start region 9");
    case_done(&c);
    uint64_t ran = c.result.profiles[0].counts[c.bundles - 3];
    CHECK(ran == !known, "%llu times", (unsigned long long)ran);
    CHECK(c.result.cycles > HOP, "%lld", (long long)c.result.cycles);
    case_release(&c);
  }
}

static void test_deadlock(void) {
  listing_case c = {.chips = 4, .allocations = four_allocations};
  case_add(&c, "%3 = vwait.ge.trace [#allocation6], 1");
  case_run(&c);
  CHECK(c.status == PFL_STATUS_FAILED_PRECONDITION, "%d", c.status);
  CHECK(strstr(c.error.message, "bundle 0x0"), "%s", c.error.message);
  case_release(&c);
}

/* The faster links are, the sooner it is over. */
static void test_link_settings(void) {
  int64_t before = 0;
  for (double hop = 4; hop >= 0.5; hop /= 2) {
    listing_case c = {.chips = 4,
                      .allocations = four_allocations,
                      .model = schedule_model_default()};
    c.model.hop_us = hop;
    add_neighbour(&c, 1);
    add_send(&c, 30);
    case_add(&c, "%8 = dma.done.wait [#allocation8], 30");
    case_done(&c);
    CHECK(!before || before - c.result.cycles == (int64_t)(hop * 1500),
          "%.1f us: %lld after %lld", hop, (long long)c.result.cycles,
          (long long)before);
    before = c.result.cycles;
    case_release(&c);
  }
}

/* ---- Real listings of our own kernels ------------------------------------ */

static int64_t run_listing(const char *path, int chips) {
  schedule_program *program;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = schedule_program_read(path, &case_heap, &program, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  CHECK(program->placed && program->vmem_bytes > 0 && program->slots,
        "%s is read without what is beside it", path);
  const schedule_program *programs = program;
  schedule_request request = {.programs = &programs,
                              .program_count = 1,
                              .chips = chips,
                              .model = schedule_model_default()};
  schedule_result result;
  status = schedule_run(&request, &case_heap, &result, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
  int64_t cycles = result.cycles;
  CHECK(result.warning_count == 0, "%s: %s", path,
        schedule_warning_text(result.warnings[0].kind));
  for (int64_t i = 0; i < result.profile_count; i++) {
    int64_t sum = 0;
    for (int cause = 0; cause < SCHEDULE_CAUSES; cause++)
      sum += result.profiles[i].causes[cause];
    CHECK(sum == result.profiles[i].cycles, "%s: %lld of %lld", path,
          (long long)sum, (long long)result.profiles[i].cycles);
  }
  schedule_result_release(&result, &case_heap);
  schedule_program_destroy(program);
  return cycles;
}

/* What the prototype of this model (in Python) gives, to a cycle a wait; the
 * exchange, which that cannot run, as it follows from its listing: 767 until x
 * is in VMEM, 16 to the message, a hop and 32 bytes; 6 to wake, 3 to the send,
 * 4096 bytes and a hop; 6 to wake and 13 to the end. */
static void test_listings(void) {
  int64_t cycles =
      run_listing(LISTINGS "/1-double_buffer.1-72-final_bundles.txt", 1);
  CHECK(llabs(cycles - 8520) <= 17, "%lld", (long long)cycles);
  cycles = run_listing(LISTINGS "/1-exchange.1-72-final_bundles.txt", 4);
  double expected =
      767 + 16 + HOP + 32.0 / LINK + 6 + 3 + 4096.0 / LINK + HOP + 6 + 13;
  CHECK(fabs((double)cycles - expected) <= 4, "%lld, not %.0f",
        (long long)cycles, expected);
}

static void test_directory(void) {
  schedule_dump dump;
  pfl_error error;
  CHECK_NEED(!schedule_dump_read(LISTINGS, &case_heap, &dump, &error));
  CHECK(dump.program_count == 2 && !dump.has_top, "%lld programs",
        (long long)dump.program_count);
  CHECK(!strcmp(dump.programs[0]->name, "double_buffer.1"), "%s",
        dump.programs[0]->name);
  schedule_dump_release(&dump);
  CHECK(schedule_dump_read(PFLASH_TESTS_DIR "/golden", &case_heap, &dump,
                           &error) == PFL_STATUS_NOT_FOUND,
        "a directory without listings");
  CHECK(schedule_dump_read("/nowhere", &case_heap, &dump, &error) ==
            PFL_STATUS_NOT_FOUND,
        "no directory");
}

static void write_file(const char *name, const char *text) {
  FILE *file = fopen(in_directory(name), "w");
  CHECK_NEED(file && fputs(text, file) >= 0 && !fclose(file));
}

static schedule_result run_dump(const schedule_dump *dump) {
  schedule_request request = {
      .programs = (const schedule_program *const *)dump->programs,
      .program_count = dump->program_count,
      .aliases = dump->aliases,
      .alias_count = dump->alias_count,
      .model = schedule_model_default()};
  schedule_result result;
  pfl_error error;
  CHECK_NEED(!schedule_run(&request, &case_heap, &result, &error));
  return result;
}

/* The program around the kernels calls one by its name and by another, and what
 * has no listing; the kernel's loop goes by what it is called with. */
static void test_whole_program(void) {
  directory_make();
  write_file("1-TLP-9-final_bundles.txt",
             "     0   :  { %1 = inlined_call /* <late-initialization> */ }\n"
             "   0x1   :  { %s2_s1 = smov.u32 5 }\n"
             "   0x2   :  { %3 = inlined_call %s2_s1 /* %k.1 = add(%a) */ }\n"
             "   0x3   :  { %s4_s1 = smov.u32 7 }\n"
             "   0x4   :  { %5 = inlined_call %s4_s1 /* %k.2 = add(%k.1) */ }\n"
             "   0x5   :  { %6 = inlined_call %s4_s1 /* %z.1 = x(%k.2) */ }"
             " /* End region 0 :: End region 8 */\n");
  write_file("2-k.1-9-final_bundles.txt",
             "     0   :  { %s1_s0 = inlined_call_operand.<no memory space> "
             "[shape: s32[1], index: 0, kind: input, shape index: {}]  ;;  "
             "%s2_s6 = smov.u32 0 }\n"
             "   0x1 LB: > { %s3_s6 = sphi %s2_s6, %s4_s6  ;;  "
             "%s4_s6 = sadd.s32 1, %s3_s6 } /* Start region 2 */\n"
             "   0x2   : > { %p5_p0 = scmp.lt.s32.totalorder %s4_s6, %s1_s0 }\n"
             "   0x3   : > { %6 = sbr.rel (%p5_p0) target = $region2 }\n"
             "   0x4   : > {}\n   0x5   : > {}\n   0x6   : > {}\n"
             "   0x7   : > {}\n   0x8   :  {} /* exit bundle: %k.1 */\n");
  write_file("1-TLP-00-deduplication-map.txt",
             "key:k.1\nordinal:0\nequivalent_hlos[size=2]:\n  k.1\n  k.2\n");
  schedule_dump dump;
  CHECK_NEED(!schedule_dump_read(directory, &case_heap, &dump, NULL));
  CHECK(dump.has_top && dump.programs[0]->top && dump.alias_count == 1,
        "the map is not read");
  schedule_result result = run_dump(&dump);
  const schedule_profile *top = &result.profiles[0], *k = &result.profiles[1];
  CHECK(k->calls == 2 && k->counts[1] == 5 + 7, "%lld calls, %llu trips",
        (long long)k->calls, (unsigned long long)k->counts[1]);
  int64_t own = 0;
  for (int i = 0; i < SCHEDULE_CAUSES; i++) own += top->causes[i];
  CHECK(own + k->cycles == top->cycles && top->cycles == result.cycles,
        "%lld and %lld of %lld", (long long)own, (long long)k->cycles,
        (long long)result.cycles);
  CHECK(result.warning_count == 1 &&
            result.warnings[0].kind == SCHEDULE_WARNING_CALL &&
            result.warnings[0].bundle == 5,
        "%lld notes, the first: bundle 0x%llx %s",
        (long long)result.warning_count, (long long)result.warnings[0].bundle,
        schedule_warning_text(result.warnings[0].kind));
  schedule_result_release(&result, &case_heap);
  schedule_dump_release(&dump);
  CHECK(folder_remove(directory) == 3, "files");
}

/* ---- What nobody meant --------------------------------------------------- */

/* The text stays until as many more are read as there are buffers. */
static char *read_whole(const char *path, size_t *out_length) {
  FILE *file = fopen(path, "rb");
  CHECK_NEED(file);
  static char buffers[4][1 << 16];
  static int next;
  char *bytes = buffers[next++ % 4];
  *out_length = fread(bytes, 1, sizeof *buffers - 1, file);
  bytes[*out_length] = 0;
  fclose(file);
  return bytes;
}

static void parse_and_run(const char *text, size_t length,
                          const char *utilization, const char *allocations,
                          const pfl_allocator *allocator, pfl_status *out) {
  schedule_texts texts = {
      .path = "hostile",
      .listing = text,
      .listing_length = length,
      .utilization = utilization,
      .utilization_length = utilization ? strlen(utilization) : 0,
      .allocations = allocations,
      .allocations_length = allocations ? strlen(allocations) : 0};
  schedule_program *program;
  pfl_error error = {PFL_STATUS_OK, ""};
  *out = schedule_program_parse(&texts, allocator, &program, &error);
  CHECK(!*out == (program != NULL), "half a program");
  CHECK(!*out || error.message[0], "no message");
  if (*out) return;
  const schedule_program *one = program;
  schedule_request request = {.programs = &one,
                              .program_count = 1,
                              .chips = 4,
                              .cycle_limit = 20000,
                              .span_limit = 50,
                              .model = schedule_model_default()};
  schedule_result result;
  *out = schedule_run(&request, allocator, &result, &error);
  CHECK(!*out || error.message[0], "no message");
  if (!*out) {
    schedule_summary summary;
    *out = schedule_summarize(&result, &result.profiles[0], &request.model,
                              (schedule_work){1e6, 1e6}, allocator, &summary,
                              &error);
    schedule_result_release(&result, allocator);
  }
  schedule_program_destroy(program);
}

/* Cut anywhere, a listing is refused: only the newline at its end may go. */
static void test_truncated(void) {
  size_t length;
  const char *text =
      read_whole(LISTINGS "/1-exchange.1-72-final_bundles.txt", &length);
  const char *end = strstr(text, "/* exit bundle:");
  CHECK_NEED(end);
  for (size_t cut = 0; cut < (size_t)(end - text); cut++) {
    char *copy = malloc(cut + 1); /* its own block: a sanitizer sees the end */
    memcpy(copy, text, cut);
    schedule_texts texts = {
        .path = "cut", .listing = copy, .listing_length = cut};
    schedule_program *program;
    pfl_error error;
    pfl_status status =
        schedule_program_parse(&texts, &case_heap, &program, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "cut at %zu of %zu", cut,
          length);
    schedule_program_destroy(program);
    free(copy);
  }
}

/* Random damage: refused or run to some end, never anything else. */
static void test_damaged(void) {
  static const char *const paths[] = {
      LISTINGS "/1-exchange.1-72-final_bundles.txt",
      LISTINGS "/1-double_buffer.1-72-final_bundles.txt"};
  for (int round = check_cases(3000); round > 0; round--) {
    size_t length;
    char *text = read_whole(paths[round % 2], &length);
    int64_t count = check_between(1, 8);
    for (int64_t i = 0; i < count; i++) {
      size_t at = (size_t)check_between(0, (int64_t)length - 1);
      size_t from = (size_t)check_between(0, (int64_t)length - 1);
      size_t n = (size_t)check_between(1, 12);
      if (at + n > length || from + n > length) continue;
      if (check_between(0, 2))
        memmove(text + at, text + from, n);
      else
        text[at] = (char)check_between(1, 255);
    }
    char *copy = malloc(length);
    memcpy(copy, text, length);
    pfl_status status;
    parse_and_run(copy, length, NULL, four_allocations, &case_heap, &status);
    free(copy);
  }
}

/* The same of the files beside a listing. */
static void test_damaged_tables(void) {
  static const char *const paths[] = {
      LISTINGS "/1-exchange.1-70-final_hlo-static-per-bundle-utilization.txt",
      LISTINGS "/1-exchange.1-69-post-delay-converter.txt"};
  for (int round = check_cases(1000); round > 0; round--) {
    size_t length, sizes[2];
    char *text =
        read_whole(LISTINGS "/1-exchange.1-72-final_bundles.txt", &length);
    char *tables[2];
    for (int i = 0; i < 2; i++) tables[i] = read_whole(paths[i], &sizes[i]);
    for (int64_t i = check_between(1, 6); i > 0; i--) {
      int which = (int)check_between(0, 1);
      size_t at = (size_t)check_between(0, (int64_t)sizes[which] - 1);
      size_t from = (size_t)check_between(0, (int64_t)sizes[which] - 1);
      tables[which][at] = check_between(0, 1) ? tables[which][from]
                                              : (char)check_between(1, 255);
    }
    pfl_status status;
    parse_and_run(text, length, tables[0], tables[1], &case_heap, &status);
  }
}

static void test_foreign(void) {
  static const char *const texts[] = {
      "",
      "no listing at all\n",
      "     0   :  {",
      "     0   :  { %s1_s99 = smov.u32 1 } /* exit bundle: x */\n",
      "     0   :  { %v1_v64 = vmov 1.0 } /* exit bundle: x */\n",
      "     0   :  { %s1 } /* exit bundle: x */\n",
      "   0x1   :  {} /* exit bundle: x */\n",
      "     0   :  { %s1_s1 = smov.u32 99999999999 } /* exit bundle: x */\n",
      "     0   :  { %s1_s1 = sadd.s32 1 } /* exit bundle: x */\n",
      "     0   :  { %1 = dma.hbm_to_vmem 1, 2 } /* exit bundle: x */\n",
      "     0   :  {} /* nothing of an exit */\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    pfl_status status;
    parse_and_run(texts[i], strlen(texts[i]), NULL, NULL, &case_heap, &status);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "'%s': %d", texts[i], status);
  }
}

static void test_other_tables(void) {
  size_t length;
  char *text =
      read_whole(LISTINGS "/1-exchange.1-72-final_bundles.txt", &length);
  pfl_status status;
  parse_and_run(text, length, "== UTILIZATION:\n0 0 0 0 0 0 0 0 0 0 0\n", NULL,
                &case_heap, &status);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "rows of another dump: %d",
        status);
  size_t ignored;
  char *table = read_whole(
      LISTINGS "/1-exchange.1-70-final_hlo-static-per-bundle-utilization.txt",
      &ignored);
  const char *allocations = read_whole(
      LISTINGS "/1-exchange.1-69-post-delay-converter.txt", &ignored);
  parse_and_run(text, length, table, allocations, &case_heap, &status);
  CHECK(!status, "its own tables: %d", status);
  char *four = strstr(table, "    4     4");
  CHECK_NEED(four);
  four[4] = '2'; /* as a v6e has */
  parse_and_run(text, length, table, allocations, &case_heap, &status);
  CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "another chip: %d", status);
}

static void test_memory(void) {
  size_t length;
  char *text =
      read_whole(LISTINGS "/1-exchange.1-72-final_bundles.txt", &length);
  size_t ignored;
  const char *allocations = read_whole(
      LISTINGS "/1-exchange.1-69-post-delay-converter.txt", &ignored);
  for (failing_state state = {0}; failing_next(&state);) {
    pfl_allocator allocator = failing_allocator(&state);
    pfl_status status;
    parse_and_run(text, length, NULL, allocations, &allocator, &status);
    state.done = failing_check(&state, status);
  }
}

int main(void) {
  return CHECK_RUN(test_dma, test_queue, test_flag_counts, test_wait_in_vain,
                   test_input, test_missing_input, test_signal, test_send,
                   test_launch, test_deadlock, test_link_settings,
                   test_listings, test_directory, test_whole_program,
                   test_truncated, test_damaged, test_damaged_tables,
                   test_foreign, test_other_tables, test_memory);
}

/* Calibrating: the numbers that times were made with are found again, those
 * that the times do not tell of stay, and the file is read as it was written.
 * The times are made by the model itself: no chip is near. */
#include <math.h>

#include "directory.h"
#include "listing_case.h"
#include "schedule/schedule_calibrate.h"

static const char allocations[] =
    "  #allocation3 [shape = 'f32[8,128]', space=vmem, size = 0x1000, offset = "
    "0x0, scoped, tag = 'scratch operand']\n"
    "  #allocation6 [shape = 's32[]', space=sflag, size = 0x4, offset = 0x20, "
    "fixed_abs, tag = 'barrier sync flag number']\n"
    "  #allocation8 [shape = 's32[2]', space=sflag, size = 0x8, offset = 0x0, "
    "scoped, tag = 'scratch operand']\n"
    "  #allocation10 [shape = 'u32[]', space=smem, size = 0x4, offset = "
    "0xfff8c, fixed_abs, tag = 'replica id location']\n";

/* ---- Programs ------------------------------------------------------------ */

enum { DELAY = 60000 };

static void add_delays(listing_case *c, int times) {
  for (int i = 0; i < times; i++) case_addf(c, "%%1 = vdelay %d", DELAY);
}

/* Reads, each waited for before the next. */
static void add_reads(listing_case *c, int times, int granules) {
  case_add(c,
           "%s1_s0 = inlined_call_operand.hbm [shape: f32[4096,1024], "
           "index: 0, kind: input, shape index: {}]  ;;  "
           "%s2_s2 = smov.u32 [#allocation3]");
  case_add(c,
           "%s3_s3 = sshll.u32 %s1_s0, 4  ;;  %s4_s4 = sshll.u32 %s2_s2, 4"
           "  ;;  %s5_s3 = int_to_ptr.hbm [resolvable:$true] %s3_s3  ;;  "
           "%s6_s4 = int_to_ptr.vmem [resolvable:$true] %s4_s4");
  for (int i = 0; i < times; i++) {
    case_addf(c,
              "%%9 = dma.hbm_to_vmem [thread:$0]  /*hbm=*/%%s5_s3, "
              "/*size_in_granules=*/%d, /*vmem=*/%%s6_s4, "
              "/*dst_syncflagno=*/[#allocation8]",
              granules);
    case_addf(c, "%%8 = dma.done.wait [#allocation8], %d", granules);
    case_addf(c, "%%7 = vsyncadd [#allocation8], %lld", (1LL << 32) - granules);
  }
}

/* s24 = the neighbour along x. */
static void add_neighbour(listing_case *c) {
  case_add(c, "%s20_s20 = sld [smem:[#allocation10]]");
  case_add(c, "%s24_s24 = sxor.u32 1, %s20_s20");
}

/* Signals to and fro. */
static void add_signals(listing_case *c, int times) {
  add_neighbour(c);
  case_add(c, "%s25_s25 = sshll.u32 %s24_s24, 17");
  case_add(c, "%s26_s26 = sor.u32 32776, %s25_s25");
  for (int i = 0; i < times; i++) {
    case_add(c, "%1 = vsyncadd.remote %s26_s26, 1");
    case_add(c, "%3 = vwait.ge.trace [#allocation6], 1");
    case_add(c, "%2 = vsyncadd [#allocation6], 4294967295");
  }
}

static void add_send(listing_case *c, int granules) {
  add_neighbour(c);
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
  case_addf(c, "%%8 = dma.done.wait [#allocation8], %d", granules);
}

/* ---- Probes -------------------------------------------------------------- */

enum { PROBES = 8, ON_ONE_CHIP = 6 };

typedef struct bench_of_probes {
  listing_case cases[PROBES];
  const schedule_program *programs[PROBES];
  schedule_probe probes[PROBES];
} bench_of_probes;

static void make_probes(bench_of_probes *all) {
  static const char *const names[PROBES] = {"short",     "long",  "read",
                                            "long read", "reads", "mixed",
                                            "signals",   "send"};
  *all = (bench_of_probes){0};
  add_delays(&all->cases[0], 1);
  add_delays(&all->cases[1], 50);
  add_reads(&all->cases[2], 1, 100000);
  add_reads(&all->cases[3], 1, 3000000);
  add_reads(&all->cases[4], 60, 30);
  add_reads(&all->cases[5], 20, 3000);
  add_signals(&all->cases[6], 40);
  add_send(&all->cases[7], 300000);
  for (int i = 0; i < PROBES; i++) {
    listing_case *c = &all->cases[i];
    c->allocations = allocations;
    c->chips = i < ON_ONE_CHIP ? 1 : 4;
    case_done(c);
    all->programs[i] = c->program;
    all->probes[i] = (schedule_probe){.name = names[i],
                                      .request = {.programs = &all->programs[i],
                                                  .program_count = 1,
                                                  .chips = c->chips}};
  }
}

/* Times as a chip with these numbers would have them, off by up to `noise`. */
static void measure(bench_of_probes *all, const schedule_model *chip,
                    double noise) {
  for (int i = 0; i < PROBES; i++) {
    schedule_request request = all->probes[i].request;
    schedule_result result;
    request.model = *chip;
    CHECK_NEED(!schedule_run(&request, &case_heap, &result, NULL));
    double us =
        (double)result.cycles / chip->clock_ghz / 1000 + chip->dispatch_us;
    all->probes[i].measured_us = us * (1 + noise * (2 * check_uniform() - 1));
    schedule_result_release(&result, &case_heap);
  }
}

static void release(bench_of_probes *all) {
  for (int i = 0; i < PROBES; i++) case_release(&all->cases[i]);
}

/* A chip that is none of those documented. */
static schedule_model make_chip(void) {
  schedule_model chip = schedule_model_default();
  chip.clock_ghz *= 0.8 + 0.3 * check_uniform();
  chip.hbm_gbs *= 0.7 + 0.3 * check_uniform();
  chip.dma_latency_ns *= 0.6 + 2 * check_uniform();
  chip.hop_us *= 0.4 + 2 * check_uniform();
  chip.link_bytes_per_cycle *= 0.6 + 0.5 * check_uniform();
  chip.dispatch_us = 200 * check_uniform();
  return chip;
}

static void check_number(const char *name, double found, double expected,
                         double within) {
  CHECK(fabs(found - expected) <= within, "%s is %g, not %g", name, found,
        expected);
}

/* ---- Tests --------------------------------------------------------------- */

/* Without noise what is left is the rounding: waits of some 700 cycles end on
 * whole ones. */
static void test_recovers(void) {
  bench_of_probes all;
  make_probes(&all);
  for (int round = 0; round < 5; round++) {
    const schedule_model chip = make_chip(), start = schedule_model_default();
    schedule_calibration found;
    pfl_error error = {PFL_STATUS_OK, ""};
    measure(&all, &chip, 0);
    CHECK_NEED(!schedule_calibrate(all.probes, PROBES, &start, &case_heap,
                                   &found, &error));
#define CHECK_FOUND(name)                                             \
  CHECK(found.found[SCHEDULE_CALIBRATED_##name], #name " not found"); \
  check_number(#name, found.model.name, chip.name,                    \
               0.002 * chip.name + (strstr(#name, "dispatch") ? 0.05 : 0));
    SCHEDULE_CALIBRATED_LIST(CHECK_FOUND)
#undef CHECK_FOUND
    CHECK(found.after < 1e-3 && found.after < found.before, "%g, before %g",
          found.after, found.before);
    CHECK(found.model.xlu_cycles == start.xlu_cycles, "another number changed");
    for (int i = 0; i < PROBES; i++)
      check_number(all.probes[i].name, all.probes[i].after_us,
                   all.probes[i].measured_us, 1e-3 * all.probes[i].measured_us);
  }
  release(&all);
}

/* Times that are off by up to a per cent: predictions then are about as near,
 * and no number is lost. */
static void test_noise(void) {
  bench_of_probes all;
  make_probes(&all);
  const schedule_model chip = make_chip(), start = schedule_model_default();
  schedule_calibration found;
  measure(&all, &chip, 0.01);
  CHECK_NEED(!schedule_calibrate(all.probes, PROBES, &start, &case_heap, &found,
                                 NULL));
  CHECK(found.after <= 0.01, "%g", found.after);
  check_number("clock_ghz", found.model.clock_ghz, chip.clock_ghz,
               0.05 * chip.clock_ghz);
  check_number("hbm_gbs", found.model.hbm_gbs, chip.hbm_gbs,
               0.05 * chip.hbm_gbs);
  release(&all);
}

/* One chip tells nothing of links; one probe, one number. */
static void test_untold(void) {
  bench_of_probes all;
  make_probes(&all);
  const schedule_model chip = make_chip(), start = schedule_model_default();
  schedule_calibration found;
  measure(&all, &chip, 0);
  CHECK_NEED(!schedule_calibrate(all.probes, ON_ONE_CHIP, &start, &case_heap,
                                 &found, NULL));
  CHECK(!found.found[SCHEDULE_CALIBRATED_hop_us] &&
            !found.found[SCHEDULE_CALIBRATED_link_bytes_per_cycle] &&
            found.model.hop_us == start.hop_us,
        "links of one chip");
  check_number("hbm_gbs", found.model.hbm_gbs, chip.hbm_gbs,
               0.002 * chip.hbm_gbs);
  CHECK_NEED(
      !schedule_calibrate(all.probes, 1, &start, &case_heap, &found, NULL));
  CHECK(found.found[SCHEDULE_CALIBRATED_dispatch_us] &&
            !found.found[SCHEDULE_CALIBRATED_clock_ghz],
        "more than one number of one time");
  release(&all);
}

/* What is written is what --calibration reads. */
static void test_file(void) {
  bench_of_probes all;
  make_probes(&all);
  const schedule_model chip = make_chip(), start = schedule_model_default();
  schedule_calibration found;
  measure(&all, &chip, 0);
  CHECK_NEED(!schedule_calibrate(all.probes, ON_ONE_CHIP, &start, &case_heap,
                                 &found, NULL));
  base_text text = {0};
  schedule_calibration_write(&found, all.probes, ON_ONE_CHIP, "a \"chip\"",
                             &text);
  CHECK_NEED(!base_text_check(&text, NULL));
  char path[400];
  snprintf(path, sizeof path, "%s/calibration.json", directory);
  put_file(path, text.bytes, text.length);
  schedule_model read = start;
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK(!schedule_model_read(path, &case_heap, &read, &error), "%s",
        error.message);
  CHECK(!memcmp(&read, &found.model, sizeof read), "%s", text.bytes);
  CHECK(!strstr(text.bytes, "hop_us"), "%s", text.bytes);
  CHECK(strstr(text.bytes, "\"measured_on\":\"a \\\"chip\\\"\""), "%s",
        text.bytes);
  base_text_release(&text);
  CHECK(!unlink(path), "the file");
  release(&all);
}

static void test_refused(void) {
  bench_of_probes all;
  make_probes(&all);
  const schedule_model start = schedule_model_default();
  schedule_calibration found;
  pfl_error error;
  CHECK(schedule_calibrate(all.probes, 0, &start, &case_heap, &found, &error) ==
            PFL_STATUS_INVALID_ARGUMENT,
        "no probes");
  static const double bad[] = {0, -3, INFINITY, NAN};
  measure(&all, &start, 0);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    all.probes[1].measured_us = bad[i];
    CHECK(schedule_calibrate(all.probes, PROBES, &start, &case_heap, &found,
                             &error) == PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, "long took"),
          "%g", bad[i]);
  }
  release(&all);
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_recovers, test_noise, test_untold, test_file,
                         test_refused);
  directory_remove();
  return failed;
}

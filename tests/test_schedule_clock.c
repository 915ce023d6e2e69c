/* The clock: latencies, rates and queues of a core's units, each in a listing
 * of a few bundles whose cycles follow from docs/cycle-model.md. */

#include "listing_case.h"

/* The cycles that the second bundle waits for the first. */
static int64_t waits(const char *producer, const char *consumer, int between,
                     schedule_cause cause) {
  listing_case c = {0};
  case_add(&c, producer);
  case_empty(&c, between);
  case_add(&c, consumer);
  case_done(&c);
  int64_t waited = case_cause(&c, cause), all = 0;
  for (int i = 1; i < SCHEDULE_CAUSES; i++)
    all += case_cause(&c, (schedule_cause)i);
  CHECK(all == waited, "'%s' then '%s' waits %lld for other causes", producer,
        consumer, (long long)(all - waited));
  CHECK(c.result.cycles == c.bundles + waited, "%lld cycles",
        (long long)c.result.cycles);
  case_release(&c);
  return waited;
}

static void test_latencies(void) {
  static const struct {
    const char *producer, *consumer;
    int latency; /* from issue to the first use */
    schedule_cause cause;
  } rows[] = {
      {"%s1_s1 = smov.u32 7", "%s2_s2 = sadd.s32 1, %s1_s1", 1,
       SCHEDULE_CAUSE_SCALAR},
      {"%s1_s1 = smul.u32 7, 5", "%s2_s2 = sadd.s32 1, %s1_s1", 2,
       SCHEDULE_CAUSE_SCALAR},
      {"%s1_s1 = sld [smem:[#allocation0]]", "%s2_s2 = sadd.s32 1, %s1_s1", 6,
       SCHEDULE_CAUSE_SCALAR},
      {"%p1_p1 = scmp.eq.s32.totalorder 7, 5", "%p2_p2 = pneg %p1_p1", 2,
       SCHEDULE_CAUSE_SCALAR},
      {"%s1_s1 = sld [smem:[#allocation0]]",
       "%v2_v0 = vld [vmem:[%s1_s1 + $0x8] sm:$0xff]", 6,
       SCHEDULE_CAUSE_SCALAR},
      {"%v1_v0 = vld [vmem:[#allocation0] sm:$0xff]",
       "%v2_v1 = vadd.f32 %v1_v0, %v1_v0", 1, SCHEDULE_CAUSE_VECTOR},
      {"%v1_v0 = vadd.f32 1.0, 2.0", "%v2_v1 = vmul.f32 %v1_v0, %v1_v0", 2,
       SCHEDULE_CAUSE_VECTOR},
      {"%vm1_vm0 = vcmp.lt.f32.partialorder %v0_v0, %v0_v0",
       "%v2_v1 = vsel /*vm=*/%vm1_vm0, /*on_true_vy=*/%v0_v0, "
       "/*on_false_vx=*/%v0_v0",
       1, SCHEDULE_CAUSE_VECTOR},
      {"%9 = vexp2.f32 %v0_v0", "%v2_v1 = vpop.erf %9", 6, SCHEDULE_CAUSE_EUP},
      {"%9 = vpush %v0_v0", "%s2_s2 = spop %9", 49, SCHEDULE_CAUSE_SCALAR},
      {"%9 = vmax.xlane.f32.xlu2 %v0_v0", "%v2_v1 = vpop.xlane.xlu2 %9", 115,
       SCHEDULE_CAUSE_XLU},
      {"%9 = vmax.xlane.f32.xlu1 %v0_v0", "%v2_v1 = vpop.xlane.xlu1 %9", 115,
       SCHEDULE_CAUSE_XLU},
      {"%9 = vmatmul.bf16.gmra.mxu0 %v0_v0", "%v2_v1 = vpop.f32.mrf.mxu0", 125,
       SCHEDULE_CAUSE_MXU},
      {"%9 = vmatmul.f32.gmra.mxu3 %v0_v0", "%v2_v1 = vpop.f32.mrf.mxu3", 131,
       SCHEDULE_CAUSE_MXU}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int between = 0; between < 8; between++) {
      int64_t left = rows[i].latency - 1 - between;
      int64_t waited =
          waits(rows[i].producer, rows[i].consumer, between, rows[i].cause);
      CHECK(waited == (left > 0 ? left : 0), "'%s' %d later: waits %lld",
            rows[i].producer, between, (long long)waited);
    }
}

static void test_issue(void) {
  listing_case c = {0};
  case_empty(&c, 41);
  case_done(&c);
  CHECK(c.result.cycles == 42, "%lld", (long long)c.result.cycles);
  CHECK(case_cause(&c, SCHEDULE_CAUSE_ISSUE) == 42, "all of it is issue");
  case_release(&c);
}

static void test_delay(void) {
  listing_case c = {0};
  case_add(&c, "%1 = vdelay 5");
  case_add(&c, "%2 = vdelay 1  ;;  %3 = vdelay 2");
  case_done(&c);
  CHECK(c.result.cycles == 3 + 5 + 3, "%lld", (long long)c.result.cycles);
  case_release(&c);
}

/* n matmuls follow each other, each 16 cycles (f32: 8) after the one before;
 * the results of one come evenly over its cycles. */
static void test_matmul_rate(void) {
  static const struct {
    const char *type;
    int cycles, results, first;
  } types[] = {{"bf16", 16, 2, 125}, {"f32", 8, 1, 125}, {"s8", 16, 4, 115}};
  for (int n = 1; n < 12; n++)
    for (size_t t = 0; t < 3; t++) {
      listing_case c = {0};
      int cycles = types[t].cycles, results = types[t].results;
      for (int i = 0; i < n; i++)
        case_addf(&c, "%%9 = vmatmul.%s.gmra.mxu1 %%v0_v0", types[t].type);
      for (int i = 0; i < n * results; i++)
        case_add(&c, "%v1_v1 = vpop.f32.mrf.mxu1");
      case_done(&c);
      int64_t last =
          (n - 1) * cycles + types[t].first + cycles - cycles / results;
      CHECK(c.result.cycles == last + 2, "%d of %s: %lld cycles", n,
            types[t].type, (long long)c.result.cycles);
      CHECK(c.result.profiles[0].mxu_busy[1] == n * cycles, "busy");
      CHECK(c.result.profiles[0].mxu_busy[0] == 0, "idle");
      case_release(&c);
    }
}

/* A matmul that takes new weights waits for the last push. */
static void test_weights(void) {
  for (int transposed = 0; transposed < 2; transposed++) {
    listing_case c = {0};
    for (int i = 0; i < 16; i++)
      case_addf(&c, "%%9 = vmatpush.%s%s.msra.mxu0 %%v0_v0",
                i % 2 ? "bf16" : "s8", transposed ? ".xpose" : "");
    case_add(&c, "%9 = vmatmul.bf16.vlgmr.msra.gmra.mxu0 %v0_v0");
    case_add(&c, "%v1_v1 = vpop.f32.mrf.mxu0");
    case_done(&c);
    int64_t weights = transposed ? 15 * 8 + 7 : 15 * 4 + 3;
    CHECK(c.result.cycles == weights + 125 + 2, "%lld",
          (long long)c.result.cycles);
    case_release(&c);
  }
}

/* A transpose gives its results when its last operand is in. */
static void test_transpose(void) {
  listing_case c = {0};
  case_add(&c, "%9 = vxpose.xlu0.b32.start [1/3] (short) %v0_v0, 128");
  case_add(&c, "%9 = vxpose.xlu0.b32.cont [2/3] (short) %v0_v0, 128");
  case_add(&c, "%9 = vxpose.xlu0.b32.end [3/3] (short) %v0_v0, 128");
  for (int i = 0; i < 3; i++) case_add(&c, "%v1_v1 = vpop.trf.xlu0");
  case_done(&c);
  CHECK(c.result.cycles == 2 * 8 + 44 + 2 * 8 + 2, "%lld",
        (long long)c.result.cycles);
  case_release(&c);
}

/* The units work beside each other: waiting for one covers the others. */
static void test_overlap(void) {
  listing_case c = {0};
  case_add(&c,
           "%7 = vmatmul.bf16.gmra.mxu0 %v0_v0  ;;  "
           "%8 = vmax.xlane.f32.xlu0 %v0_v0  ;;  %9 = vexp2.f32 %v0_v0");
  case_add(&c, "%v1_v1 = vpop.f32.mrf.mxu0");
  case_add(&c, "%v2_v2 = vpop.xlane.xlu0 %8");
  case_add(&c, "%v3_v3 = vpop.erf %9");
  case_done(&c);
  CHECK(case_cause(&c, SCHEDULE_CAUSE_MXU) == 124, "mxu");
  CHECK(c.result.cycles == 5 + 124, "%lld", (long long)c.result.cycles);
  case_release(&c);
}

/* More results than any queue holds leave the newest. */
static void test_queue_overflow(void) {
  listing_case c = {0};
  for (int i = 0; i < 3000; i++) case_add(&c, "%9 = vexp2.f32 %v0_v0");
  for (int i = 0; i < 3000; i++) case_add(&c, "%v1_v1 = vpop.erf %9");
  case_done(&c);
  CHECK(c.result.cycles < 6001 + 16, "%lld", (long long)c.result.cycles);
  case_release(&c);
}

/* Whatever a random bundle holds, its cycles are issue and waiting, none lost;
 * a longer latency of a unit makes nothing faster. */
static void add_random_bundle(listing_case *c) {
  static const char *const slots[] = {
      "%%9 = vmatmul.bf16.gmra.mxu%d %%v0_v%d",
      "%%v1_v%2$d = vpop.f32.mrf.mxu%1$d",
      "%%9 = vmatpush.bf16.msra.mxu%d %%v0_v%d",
      "%%9 = vmatmul.bf16.vlgmr.msra.gmra.mxu%d %%v0_v%d"};
  char body[512] = "";
  int count = (int)check_between(0, 3);
  for (int i = 0; i < count; i++) {
    char slot[128];
    int kind = (int)check_between(0, 9), unit = (int)check_between(0, 3);
    int number = (int)check_between(0, 7);
    if (kind < 4)
      snprintf(slot, sizeof slot, slots[kind], unit, number);
    else if (kind == 4)
      snprintf(slot, sizeof slot, "%%9 = vadd.xlane.f32.xlu%d %%v0_v%d",
               unit % 3, number);
    else if (kind == 5)
      snprintf(slot, sizeof slot, "%%v1_v%d = vpop.xlane.xlu%d", number,
               unit % 3);
    else if (kind == 6)
      snprintf(slot, sizeof slot, "%%9 = vrcp.f32 %%v0_v%d", number);
    else if (kind == 7)
      snprintf(slot, sizeof slot, "%%v1_v%d = vpop.erf %%9", number);
    else if (kind == 8)
      snprintf(slot, sizeof slot, "%%v1_v%d = vadd.f32 %%v0_v%d, 1.0", number,
               7 - number);
    else
      snprintf(slot, sizeof slot, "%%s1_s%d = sld [smem:[#allocation0]]",
               number);
    size_t length = strlen(body);
    snprintf(body + length, sizeof body - length, "%s%s", i ? "  ;;  " : "",
             slot);
  }
  case_add(c, body);
}

static void test_cycles_add_up(void) {
  for (int round = check_cases(100); round > 0; round--) {
    listing_case c = {0};
    int64_t bundles = check_between(1, 200);
    for (int64_t i = 0; i < bundles; i++) add_random_bundle(&c);
    case_done(&c);
    int64_t sum = 0, before = c.result.cycles;
    for (int i = 0; i < SCHEDULE_CAUSES; i++)
      sum += case_cause(&c, (schedule_cause)i);
    CHECK(sum == before, "%lld of %lld cycles have a cause", (long long)sum,
          (long long)before);
    schedule_result_release(&c.result, &case_heap);
    c.model = schedule_model_default();
    c.model.mxu01_latency_cycles += (double)check_between(0, 9);
    c.model.xlu01_latency_cycles += (double)check_between(0, 9);
    c.model.xlu2_latency_cycles += (double)check_between(0, 9);
    c.model.eup_latency_cycles += (double)check_between(0, 9);
    CHECK_NEED(!case_execute(&c, &case_heap));
    CHECK(c.result.cycles >= before, "slower units: %lld after %lld cycles",
          (long long)c.result.cycles, (long long)before);
    case_release(&c);
  }
}

int main(void) {
  return CHECK_RUN(test_issue, test_delay, test_latencies, test_matmul_rate,
                   test_weights, test_transpose, test_overlap,
                   test_queue_overflow, test_cycles_add_up);
}

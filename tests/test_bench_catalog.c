/* The tables of hardware, prices and others' results: what is shipped is read;
 * what is wrong is refused with the file, the line and the reason. */
#include "bench/catalog.h"

#include "bench/machine.h"
#include "bench/shipped.h"
#include "directory.h"

#define DATA PFLASH_TESTS_DIR "/../bench/data"

/* ---- CSV --------------------------------------------------------------- */

static const char *const abc[] = {"a", "b", "c", NULL};

static void test_fields(void) {
  const char text[] = "b,a,c\r\n\"x, \"\"y\"\"\nz\",1,\r\n,-2.5e1,\"\"";
  csv_table t;
  CHECK_NEED(csv_parse("t.csv", text, (int64_t)strlen(text), abc, &t, NULL) ==
             PFL_STATUS_OK);
  CHECK(t.rows == 2 && t.width == 3, "%lld rows", (long long)t.rows);
  CHECK(!strcmp(csv_cell(&t, 0, 1), "x, \"y\"\nz"), "%s", csv_cell(&t, 0, 1));
  CHECK(!strcmp(csv_cell(&t, 0, 0), "1"), "%s", csv_cell(&t, 0, 0));
  CHECK(!*csv_cell(&t, 0, 2) && !*csv_cell(&t, 1, 1), "empty ones");
  CHECK(t.lines[0] == 2 && t.lines[1] == 4, "lines %lld, %lld",
        (long long)t.lines[0], (long long)t.lines[1]);
  double number;
  CHECK(!csv_number(&t, 1, 0, -100, &number, NULL) && number == -25, "%g",
        number);
  CHECK(!csv_number(&t, 0, 2, 0, &number, NULL) && isnan(number), "%g", number);
  csv_release(&t);
}

static void test_numbers(void) {
  static const char *const wrong[] = {"-1", "0",  "nan",   "inf", "0x10",
                                      " 1", "1 ", "1e999", "1,",  "1.2.3",
                                      ".5", "+1", "one",   "1e",  "--1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char text[64];
    csv_table t;
    pfl_error error = {0};
    double number;
    snprintf(text, sizeof text, "a,b,c\n1,2,3\n\"%s\",,\n", wrong[i]);
    CHECK_NEED(csv_parse("t.csv", text, (int64_t)strlen(text), abc, &t, NULL) ==
               PFL_STATUS_OK);
    CHECK(
        csv_number(&t, 1, 0, 0, &number, &error) == PFL_STATUS_INVALID_ARGUMENT,
        "%s is %g", wrong[i], number);
    CHECK(strstr(error.message, "t.csv:3: a is ") == error.message &&
              strstr(error.message, wrong[i]),
          "%s", error.message);
    csv_release(&t);
  }
}

/* ---- What is shipped --------------------------------------------------- */

static void test_shipped(void) {
  bench_catalog c;
  pfl_error error = {0};
  CHECK(catalog_open(DATA, NULL, &c, &error) == PFL_STATUS_OK, "%s",
        error.message);
  CHECK_NEED(c.chip_count > 0);
  static const char *const chips[] = {"v5e", "L4",   "A10G",
                                      "T4",  "L40S", "Inferentia2"};
  for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
    const catalog_chip *chip = catalog_chip_find(&c, chips[i]);
    CHECK_NEED(chip);
    CHECK(chip->tflops16 > 1 && chip->bandwidth_gb_s > 100, "%s", chip->name);
    CHECK(
        catalog_price_find(&c, chips[i], 1, BENCH_PRICE_ON_DEMAND, NULL, "us"),
        "no price of %s", chips[i]);
  }
  CHECK(!catalog_chip_find(&c, "v5"), "a stranger");
  CHECK(c.model_error.anchors >= 3 && c.model_error.worst < 0.2 &&
            c.model_error.median <= c.model_error.worst,
        "model error %g, %g", c.model_error.median, c.model_error.worst);
  CHECK(strlen(c.tables[1].hash) == 64, "hash %s", c.tables[1].hash);
  catalog_close(&c);
}

/* The one that tests and installations find without being told. */
static void test_found(void) {
  char path[CATALOG_PATH_SIZE];
  CHECK_NEED(!unsetenv("PFLASH_DATA"));
  CHECK(shipped_find("data", "prices.csv", path, sizeof path), "in a checkout");
  CHECK_NEED(!setenv("PFLASH_DATA", "/nowhere", 1));
  bench_catalog c;
  pfl_error error = {0};
  CHECK(catalog_open(NULL, NULL, &c, &error) == PFL_STATUS_NOT_FOUND, "found");
  CHECK(strstr(error.message, "PFLASH_DATA"), "%s", error.message);
  CHECK_NEED(!unsetenv("PFLASH_DATA"));
}

/* The newest of its kind and place, and of several the lowest. */
static void test_prices(void) {
  bench_catalog c;
  CHECK_NEED(catalog_open(DATA, NULL, &c, NULL) == PFL_STATUS_OK);
  const struct {
    const char *chip;
    int64_t chips;
    bench_price_kind kind;
    const char *region;
    double usd;
  } cases[] = {
      {"v5e", 4, BENCH_PRICE_ON_DEMAND, "us-central1", 4.8},
      {"v5e", 1, BENCH_PRICE_SPOT, "us-central1", 0.29771},
      {"L4", 1, BENCH_PRICE_SPOT, "us-central1", 0.39734}, /* of seven dates */
      {"L4", 1, BENCH_PRICE_SPOT, "us-east-1", 0.347},     /* of two zones */
      {"L4", 1, BENCH_PRICE_ON_DEMAND, "us-central1", 0.70683}, /* of two */
      {"L4", 1, BENCH_PRICE_COMMIT_3Y, "us-central1", 0.31807},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const catalog_price *p =
        catalog_price_find(&c, cases[i].chip, cases[i].chips, cases[i].kind,
                           cases[i].region, NULL);
    CHECK_NEED(p);
    CHECK(p->usd_per_hour == cases[i].usd, "case %zu: %g", i, p->usd_per_hour);
  }
  CHECK(!catalog_price_find(&c, "v5e", 4, BENCH_PRICE_COMMIT_1Y, NULL, NULL),
        "nobody published it");
  int64_t regions = 0;
  while (catalog_region_get(&c, "v5e", 4, BENCH_PRICE_SPOT, regions)) regions++;
  CHECK(regions == 7, "%lld regions", (long long)regions);
  catalog_close(&c);
}

/* ---- What is wrong ----------------------------------------------------- */

/* A copy of the shipped files in which the first `from` after the first line of
 * file `which`, or in it if `head`, is `to`. */
static void put_changed(int which, bool head, const char *from,
                        const char *to) {
  for (int i = 0; i < CATALOG_FILES; i++) {
    char path[600], source[600];
    size_t size;
    snprintf(source, sizeof source, "%s/%s", DATA, catalog_file_name(i));
    snprintf(path, sizeof path, "%s", in_directory(catalog_file_name(i)));
    char *bytes = get_file(source, &size);
    char *text = malloc(size + 256);
    CHECK_NEED(text);
    memcpy(text, bytes, size);
    text[size] = 0;
    if (i == which) {
      char *body = head ? text : strchr(text, '\n');
      char *at = strstr(body, from);
      CHECK_NEED(at);
      memmove(at + strlen(to), at + strlen(from),
              strlen(at + strlen(from)) + 1);
      memcpy(at, to, strlen(to));
    }
    put_file(path, text, strlen(text));
    free(bytes);
    free(text);
  }
}

static void remove_copies(void) {
  for (int i = 0; i < CATALOG_FILES; i++)
    CHECK_NEED(!unlink(in_directory(catalog_file_name(i))));
}

static void test_refusals(void) {
  static const struct {
    int file;
    bool head;
    const char *from, *to, *words, *more;
  } cases[] = {
      {CATALOG_PRICES, true, "usd_per_hour,", "usd,", "prices.csv:1: ", "usd"},
      {CATALOG_PRICES, true, ",kind", "",
       "prices.csv:1: column kind is missing", ""},
      {CATALOG_PRICES, true, ",zone", ",kind", "prices.csv:1: ", "there twice"},
      {CATALOG_PRICES, false, ",14.75,", ",-14.75,",
       "prices.csv:2: usd_per_hour", "-14.75"},
      {CATALOG_PRICES, false, ",14.75,", ",,", "prices.csv:2: usd_per_hour",
       "above 0"},
      {CATALOG_PRICES, false, ",14.75,", ",free,", "prices.csv:2: ", "free"},
      {CATALOG_PRICES, false, "capacity-block", "monthly", "prices.csv:2: kind",
       "on-demand, spot"},
      {CATALOG_PRICES, false, "A100-40GB,8", "A100-40GB,0",
       "prices.csv:2: chips", "0"},
      {CATALOG_PRICES, false, "A100-40GB", "A200", "prices.csv:2: chip ",
       "A200"},
      {CATALOG_PRICES, false, "2024-12", "2024-13", "prices.csv:2: as_of",
       "2024-13"},
      {CATALOG_PRICES, false, "2024-12", "2023-02-29", "prices.csv:2: as_of",
       "a date"},
      {CATALOG_PRICES, false, "2024-12", "12/2024", "prices.csv:2: as_of",
       "a date"},
      {CATALOG_PRICES, false, ",us,,", ",us,cheapest,", "prices.csv:2: zone",
       "lowest"},
      {CATALOG_HARDWARE, false, ",197,", ",lots,", "hardware.csv:2: tflops16",
       "lots"},
      {CATALOG_HARDWARE, false, ",819,", ",,", "hardware.csv:2: bandwidth_gb_s",
       ""},
      {CATALOG_HARDWARE, false, ",bf16,", ",bf17,", "hardware.csv:2: float16",
       "fp16"},
      {CATALOG_HARDWARE, false, "v6e,", "v5e,", "hardware.csv:3: chip", "once"},
      {CATALOG_PUBLISHED, false, ",audited,", ",overheard,",
       "published.csv:2: kind", "vendor"},
      {CATALOG_PUBLISHED, false, "9.81226", "1e400", "published.csv:2: value",
       "1e400"},
      {CATALOG_EFFICIENCY, false, "0.75", "1.75", "efficiency.csv:2: high",
       "at most"},
      {CATALOG_EFFICIENCY, false, "0.39", "0.9", "efficiency.csv:2: low",
       "at most"},
      {CATALOG_ANCHORS, false, "144.97", "0", "anchors.csv:2: measured_ms",
       "above 0"},
      {CATALOG_ANCHORS, false, "v5e,", "v9e,", "anchors.csv:2: chip", "v9e"},
      {CATALOG_EFFICIENCY, false, "memory", "compute",
       "efficiency.csv:3: bound", "once"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench_catalog c;
    pfl_error error = {0};
    put_changed(cases[i].file, cases[i].head, cases[i].from, cases[i].to);
    pfl_status status = catalog_open(directory, NULL, &c, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "case %zu: %s", i,
          pfl_status_name(status));
    CHECK(strstr(error.message, cases[i].words) &&
              strstr(error.message, cases[i].more),
          "case %zu: %s", i, error.message);
    CHECK(!c.chips && !c.tables[0].text, "case %zu keeps something", i);
    remove_copies();
  }
}

/* Prices of one's own beside the shipped rest. */
static void test_own_prices(void) {
  const char *path = in_directory("mine.csv");
  const char text[] =
      "provider,sku,chip,chips,usd_per_hour,kind,region,area,zone,as_of,"
      "retrieved,source,note\n"
      "us,desk,L4,1,0.2,on-demand,here,us,,2026-11-01,2026-11-02,bill,\n";
  put_file(path, text, strlen(text));
  bench_catalog c;
  pfl_error error = {0};
  CHECK(catalog_open(DATA, path, &c, &error) == PFL_STATUS_OK, "%s",
        error.message);
  const catalog_price *p =
      catalog_price_find(&c, "L4", 1, BENCH_PRICE_ON_DEMAND, NULL, NULL);
  CHECK(p && p->usd_per_hour == 0.2 && !strcmp(p->region, "here"), "own price");
  catalog_close(&c);
  CHECK_NEED(!unlink(in_directory("mine.csv")));
  CHECK(catalog_open(DATA, in_directory("mine.csv"), &c, &error) ==
            PFL_STATUS_NOT_FOUND,
        "%s", error.message);
}

/* ---- Dates ------------------------------------------------------------- */

static void test_days(void) {
  CHECK(catalog_day("1970-01-01") == 0, "the first");
  CHECK(catalog_day("2000-02-29") == 11016, "%lld",
        (long long)catalog_day("2000-02-29"));
  CHECK(catalog_day("2026-11-23T10:00:00Z") == 20780, "%lld",
        (long long)catalog_day("2026-11-23"));
  static const char *const wrong[] = {"2026-00-01", "2026-13-01", "2026-02-29",
                                      "2100-02-29", "2026-1-01",  "2026-01-32",
                                      "20260101",   "",           "0000-01-01"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    CHECK(catalog_day(wrong[i]) == INT64_MIN, "%s", wrong[i]);
  /* each day is one after the day before, over two leap rules */
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t expected = catalog_day("1899-01-01");
  for (int year = 1899; year <= 2101; year++)
    for (int month = 1; month <= 12; month++) {
      bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
      for (int day = 1; day <= lengths[month - 1] + (leap && month == 2);
           day++) {
        char text[32];
        snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
        CHECK(catalog_day(text) == expected, "%s", text);
        expected++;
      }
    }
  char now[MACHINE_UTC_SIZE];
  CHECK(catalog_day(machine_utc(now)) > 20000, "%s", now);
}

int main(void) {
  directory_make();
  int failed =
      CHECK_RUN(test_fields, test_numbers, test_shipped, test_found,
                test_prices, test_refusals, test_own_prices, test_days);
  directory_remove();
  return failed;
}

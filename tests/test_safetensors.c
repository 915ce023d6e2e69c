/* safetensors: what goes in comes out, and every rule of the format holds with
 * a message of its own. */
#include "base/memory.h"
#include "base/safetensors.h"
#include "check.h"
#include "directory.h"
#include "failing.h"

static const pfl_allocator heap;

/* Size, header and data_size bytes 0, 1, 2, ...; the caller frees it. */
static char *make_file(uint64_t header_size, const char *header, size_t length,
                       size_t data_size, size_t *out_size) {
  *out_size = 8 + length + data_size;
  char *bytes = malloc(*out_size);
  CHECK_NEED(bytes);
  for (int i = 0; i < 8; i++) bytes[i] = (char)(header_size >> 8 * i & 0xff);
  memcpy(bytes + 8, header, length);
  for (size_t i = 0; i < data_size; i++) bytes[8 + length + i] = (char)i;
  return bytes;
}

static void refused(char *bytes, size_t size, const char *message) {
  safetensors_file file;
  pfl_error error = {PFL_STATUS_OK, ""};
  pfl_status status = safetensors_parse(bytes, size, &heap, &file, &error);
  char wanted[PFL_MESSAGE_SIZE];
  snprintf(wanted, sizeof wanted, "safetensors: %s", message);
  CHECK(status == PFL_STATUS_DATA_LOSS && error.status == status,
        "%s, wanted: %s", pfl_status_name(status), wanted);
  CHECK(!strcmp(error.message, wanted), "\"%s\", wanted \"%s\"", error.message,
        wanted);
  CHECK(!file.tensors && !file.count, "%s: not empty", wanted);
  free(bytes);
}

/* ---- What is right ----------------------------------------------------- */

static const char golden[] =
    "\x70\0\0\0\0\0\0\0"
    "{\"q\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
    "\"\xc3\xa9\\\"\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[8,9]}}"
    "  "
    "\0\0\x80\x3f\0\0\0\xc0\xfd";

static void test_golden(void) {
  float q[] = {1, -2};
  int8_t scalar = -3;
  safetensors_tensor tensors[] = {
      {.name = "q",
       .dtype = PFL_DTYPE_F32,
       .rank = 2,
       .shape = {2, 1},
       .data = q},
      {.name = "\xc3\xa9\"", .dtype = PFL_DTYPE_I8, .data = &scalar}};
  const char *path = in_directory("golden");
  CHECK(safetensors_write(path, tensors, 2, NULL, NULL) == PFL_STATUS_OK,
        "write");
  size_t size;
  char *bytes = get_file(path, &size);
  CHECK(size == sizeof golden - 1 && !memcmp(bytes, golden, size),
        "%zu bytes, wanted %zu", size, sizeof golden - 1);
  free(bytes);
  safetensors_file file;
  CHECK_NEED(safetensors_parse(golden, sizeof golden - 1, &heap, &file, NULL) ==
             PFL_STATUS_OK);
  const safetensors_tensor *one = safetensors_find(&file, "\xc3\xa9\"");
  CHECK_NEED(file.count == 2 && one == &file.tensors[1]);
  CHECK(one->dtype == PFL_DTYPE_I8 && one->rank == 0 && one->bytes == 1 &&
            *(int8_t *)one->data == -3,
        "the scalar");
  CHECK(file.tensors[0].shape[0] == 2 && file.tensors[0].shape[1] == 1 &&
            !memcmp(file.tensors[0].data, q, sizeof q),
        "q");
  CHECK(!safetensors_find(&file, "k"), "k");
  safetensors_release(&file);
  safetensors_release(&file); /* once is enough, twice allowed */
  unlink(path);
}

/* The least files there are: no tensors, with and without metadata. */
static void test_empty(void) {
  static const char *const headers[] = {
      "{}", "{}      ", "{\"__metadata__\":{\"a\":\"b\",\"format\":\"pt\"}}",
      "{\"__metadata__\":{}}"};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    size_t size, length = strlen(headers[i]);
    char *bytes = make_file(length, headers[i], length, 0, &size);
    safetensors_file file;
    CHECK(safetensors_parse(bytes, size, &heap, &file, NULL) == PFL_STATUS_OK,
          "%s", headers[i]);
    CHECK(file.count == 0 && !safetensors_find(&file, ""), "%s", headers[i]);
    safetensors_release(&file);
    free(bytes);
  }
}

static bool same_tensor(const safetensors_tensor *a,
                        const safetensors_tensor *b) {
  return !strcmp(a->name, b->name) && a->dtype == b->dtype &&
         a->rank == b->rank && a->bytes == b->bytes &&
         !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) &&
         (!a->bytes || !memcmp(a->data, b->data, (size_t)a->bytes));
}

/* A tensor of random rank, sizes, dtype and bytes. */
static safetensors_tensor random_tensor(char name[16], int number) {
  static const struct {
    const char *name;
    int bytes;
  } others[] = {{"F64", 8}, {"I64", 8},     {"U8", 1},   {"BOOL", 1},
                {"C64", 8}, {"F8_E4M3", 1}, {"NEW32", 4}};
  safetensors_tensor tensor = {.name = name,
                               .dtype = (pfl_dtype)check_between(0, 5)};
  snprintf(name, 16, "t%d\xc3\xa9\n", number);
  int64_t elements = 1, element_bytes = (int64_t)pfl_dtype_size(tensor.dtype);
  tensor.rank = (int)check_between(0, SAFETENSORS_RANK_MAX);
  for (int i = 0; i < tensor.rank; i++) {
    tensor.shape[i] = check_between(check_random() % 8 ? 1 : 0, 5);
    elements *= tensor.shape[i];
  }
  if (!tensor.dtype) {
    int other = (int)check_between(0, sizeof others / sizeof *others - 1);
    strcpy(tensor.dtype_name, others[other].name);
    element_bytes = others[other].bytes;
  }
  tensor.bytes = elements * element_bytes;
  if (!tensor.bytes) return tensor;
  unsigned char *data = tensor.data = malloc((size_t)tensor.bytes);
  CHECK_NEED(data);
  for (int64_t i = 0; i < tensor.bytes; i++)
    data[i] = (unsigned char)check_random();
  return tensor;
}

static void test_round_trip(void) {
  enum { TENSORS = 20 };
  const char *path = in_directory("round");
  for (int i = 0; i < check_cases(100); i++) {
    safetensors_tensor tensors[TENSORS];
    char names[TENSORS][16];
    int64_t count = check_between(0, TENSORS);
    for (int t = 0; t < count; t++) tensors[t] = random_tensor(names[t], t);
    pfl_error error = {PFL_STATUS_OK, ""};
    safetensors_file file;
    CHECK(
        safetensors_write(path, tensors, count, NULL, &error) == PFL_STATUS_OK,
        "%s", error.message);
    CHECK(safetensors_read(path, &heap, &file, &error) == PFL_STATUS_OK, "%s",
          error.message);
    CHECK_NEED(file.count == count);
    for (int t = 0; t < count; t++) {
      const safetensors_tensor *got = safetensors_find(&file, tensors[t].name);
      CHECK(got && same_tensor(got, &tensors[t]), "tensor %d", t);
      CHECK(got && (uintptr_t)got->data % BASE_ALIGNMENT == 0, "tensor %d", t);
      free(tensors[t].data);
    }
    safetensors_release(&file);
  }
  unlink(path);
  CHECK(files_in_directory() == 0, "files are left");
}

/* The header may name tensors in another order than their bytes have; the file
 * gives them in that of the bytes, and empty ones where they stand. */
static void test_order(void) {
  static const char header[] =
      "{\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},"
      "\"z\":{\"shape\":[0],\"data_offsets\":[5,5],\"dtype\":\"F32\"},"
      "\"y\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[3,3]},"
      "\"a\":{\"data_offsets\":[0,3],\"dtype\":\"I8\",\"shape\":[3]}}";
  size_t size;
  char *bytes =
      make_file(sizeof header - 1, header, sizeof header - 1, 5, &size);
  safetensors_file file;
  CHECK_NEED(safetensors_parse(bytes, size, &heap, &file, NULL) ==
             PFL_STATUS_OK);
  CHECK_NEED(file.count == 4);
  for (int i = 0; i < 4; i++)
    CHECK(file.tensors[i].name[0] == "aycz"[i], "%s at %d",
          file.tensors[i].name, i);
  CHECK(!memcmp(file.tensors[2].data, "\3\4", 2), "c");
  CHECK(file.tensors[2].dtype == PFL_DTYPE_DEFAULT &&
            !strcmp(file.tensors[2].dtype_name, "U8"),
        "%s", file.tensors[2].dtype_name);
  safetensors_release(&file);
  free(bytes);
}

/* ---- What is wrong ----------------------------------------------------- */

static void test_sizes(void) {
  size_t size;
  for (size_t length = 0; length < 8; length++) {
    char message[128];
    snprintf(message, sizeof message,
             "%zu bytes long; a safetensors file begins with 8 that give the "
             "header's size",
             length);
    char *bytes = malloc(length + !length);
    CHECK_NEED(bytes);
    memset(bytes, 0, length);
    refused(bytes, length, message);
  }
  char *bytes = make_file((uint64_t)1 << 63, "{}", 2, 0, &size);
  refused(bytes, size,
          "a header of 9223372036854775808 bytes; at most 100000000 are "
          "allowed");
  bytes = make_file(UINT64_MAX, "{}", 2, 0, &size);
  refused(bytes, size,
          "a header of 18446744073709551615 bytes; at most 100000000 are "
          "allowed");
  bytes = make_file(100000001, "{}", 2, 0, &size);
  refused(bytes, size,
          "a header of 100000001 bytes; at most 100000000 are allowed");
  bytes = make_file(100000000, "{}", 2, 0, &size);
  refused(bytes, size, "a header of 100000000 bytes, of which 2 are there");
  bytes = make_file(3, "{}", 2, 0, &size);
  refused(bytes, size, "a header of 3 bytes, of which 2 are there");
  bytes = make_file(0, "{}", 2, 0, &size);
  refused(bytes, size, "the header must begin with '{'");
  bytes = make_file(1, "{}", 2, 0, &size);
  refused(bytes, size,
          "header: byte 1: expected a key in quotes, found the end");
}

#define Q(dtype, shape, offsets)                                              \
  "{\"q\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets \
  "}}"

#define TWO(first, second)                                         \
  "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" first \
  "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" second "}}"

static void test_rules(void) {
  static const struct {
    const char *header;
    size_t data_size;
    const char *message;
  } cases[] = {
      /* grammar */
      {" {}", 0, "the header must begin with '{'"},
      {"[]", 0, "the header must begin with '{'"},
      {"{}x", 0, "header: byte 2: expected the end, found \"x\""},
      {"{\"q\":1,}", 0,
       "header: byte 7: expected a key in quotes, found \"}\""},
      {"{\"\xff\":1}", 0, "header: byte 2: expected UTF-8, found \"\\xff\""},
      {"{\"\\ud800\":1}", 0,
       "header: byte 2: expected a character, found half of a surrogate pair"},
      {"{\"q\":1,\"q\":2}", 0,
       "header: byte 7: expected another key, found \"q\" a second time"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0,
       "header: byte 19: expected another key, found \"__metadata__\" a second "
       "time"},
      /* metadata */
      {"{\"__metadata__\":[]}", 0,
       "__metadata__ must be an object, is an array"},
      {"{\"__metadata__\":null}", 0, "__metadata__ must be an object, is null"},
      {"{\"__metadata__\":{\"a\":\"b\",\"c\":1}}", 0,
       "__metadata__: \"c\" must be a string, is an integer"},
      /* what a tensor is */
      {"{\"q\":1}", 0, "tensor \"q\": must be an object, is an integer"},
      {"{\"a\\u0000b\":1}", 0,
       "tensor \"a\\x00b\": a name must not hold a NUL"},
      {"{\"a\\u001b[2J\":1}", 0,
       "tensor \"a\\x1b[2J\": must be an object, is an integer"},
      {"{\"q\":{}}", 0,
       "tensor \"q\": must have dtype, shape and data_offsets, nothing else"},
      {"{\"q\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0,
       "tensor \"q\": must have dtype, shape and data_offsets, nothing else"},
      {Q("\"U8\"", "[0],\"order\":\"F\"", "[0,0]"), 0,
       "tensor \"q\": must have dtype, shape and data_offsets, nothing else"},
      /* dtype */
      {Q("8", "[0]", "[0,0]"), 0,
       "tensor \"q\": dtype must be a string of 1 to 15 bytes"},
      {Q("\"\"", "[0]", "[0,0]"), 0,
       "tensor \"q\": dtype must be a string of 1 to 15 bytes"},
      {Q("\"U8\\u0000\"", "[0]", "[0,0]"), 0,
       "tensor \"q\": dtype must be a string of 1 to 15 bytes"},
      {Q("\"SIXTEEN_LETTERS_\"", "[0]", "[0,0]"), 0,
       "tensor \"q\": dtype must be a string of 1 to 15 bytes"},
      /* shape */
      {Q("\"U8\"", "4", "[0,4]"), 4,
       "tensor \"q\": shape must be an array, is an integer"},
      {Q("\"U8\"", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4,
       "tensor \"q\": shape has 9 dimensions; at most 8 can be read"},
      {Q("\"U8\"", "[2,-2]", "[0,4]"), 4,
       "tensor \"q\": shape[1] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4.0]", "[0,4]"), 4,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4e0]", "[0,4]"), 4,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[-0]", "[0,0]"), 0,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[\"4\"]", "[0,4]"), 4,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[[4]]", "[0,4]"), 4,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[9223372036854775808]", "[0,4]"), 4,
       "tensor \"q\": shape[0] must be an integer of 0 to 2^63 - 1"},
      /* shapes that overflow */
      {Q("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0,
       "tensor \"q\": shape says more than 2^63 - 1 bits"},
      {Q("\"F32\"", "[2305843009213693952,4]", "[0,0]"), 0,
       "tensor \"q\": shape says more than 2^63 - 1 bits"},
      {Q("\"F32\"", "[1152921504606846976]", "[0,0]"), 0,
       "tensor \"q\": shape says more than 2^63 - 1 bits"},
      {Q("\"NEW\"", "[4294967296,4294967296]", "[0,0]"), 0,
       "tensor \"q\": shape says more than 2^63 - 1 bits"},
      /* data_offsets */
      {Q("\"U8\"", "[4]", "4"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "{\"a\":0,\"b\":4}"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[0]", "[0]"), 0,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "[0,4,8]"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "[-1,3]"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "[0,4.5]"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "[0,18446744073709551620]"), 4,
       "tensor \"q\": data_offsets must be two integers of 0 to 2^63 - 1"},
      {Q("\"U8\"", "[4]", "[4,0]"), 4,
       "tensor \"q\": data_offsets [4, 0] must not decrease"},
      {Q("\"U8\"", "[5]", "[0,5]"), 4,
       "tensor \"q\": data_offsets [0, 5] must end within the 4 bytes of data "
       "that are there"},
      {Q("\"U8\"", "[0]", "[9223372036854775807,9223372036854775807]"), 4,
       "tensor \"q\": data_offsets [9223372036854775807, 9223372036854775807] "
       "must end within the 4 bytes of data that are there"},
      /* dtype and shape against data_offsets */
      {Q("\"F32\"", "[1]", "[0,3]"), 3,
       "tensor \"q\": 1 elements of F32 are 4 bytes, but data_offsets say 3"},
      {Q("\"I64\"", "[]", "[0,4]"), 4,
       "tensor \"q\": 1 elements of I64 are 8 bytes, but data_offsets say 4"},
      {Q("\"F8_E4M3\"", "[2,2]", "[0,8]"), 8,
       "tensor \"q\": 4 elements of F8_E4M3 are 4 bytes, but data_offsets say "
       "8"},
      {Q("\"F4\"", "[3]", "[0,2]"), 2,
       "tensor \"q\": 3 elements of F4 do not fill whole bytes"},
      {Q("\"U8\"", "[0,1000000000]", "[0,4]"), 4,
       "tensor \"q\": 0 elements of U8 are 0 bytes, but data_offsets say 4"},
      /* the data as a whole */
      {"{}", 1, "the tensors end at byte 0 of the data, which has 1"},
      {TWO("[0,4]", "[4,8]"), 9,
       "the tensors end at byte 8 of the data, which has 9"},
      {TWO("[1,5]", "[5,9]"), 9,
       "tensor \"a\" begins at byte 1 of the data, and bytes from 0 on belong "
       "to none"},
      {TWO("[6,10]", "[0,4]"), 10,
       "tensor \"a\" begins at byte 6 of the data, and bytes from 4 on belong "
       "to none"},
      {TWO("[0,4]", "[2,6]"), 8,
       "tensor \"b\" begins at byte 2 of the data, before the tensor in front "
       "of it ends at 4"},
      {TWO("[0,4]", "[0,4]"), 4,
       "tensor \"b\" begins at byte 0 of the data, before the tensor in front "
       "of it ends at 4"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t size, length = strlen(cases[i].header);
    char *bytes =
        make_file(length, cases[i].header, length, cases[i].data_size, &size);
    refused(bytes, size, cases[i].message);
  }
}

/* A dtype that is not the format's: its bytes are what the offsets say. */
static void test_strange_dtype(void) {
  static const char header[] = Q("\"FIFTEEN_LETTERS\"", "[3]", "[0,5]");
  size_t size;
  char *bytes =
      make_file(sizeof header - 1, header, sizeof header - 1, 5, &size);
  safetensors_file file;
  CHECK_NEED(safetensors_parse(bytes, size, &heap, &file, NULL) ==
             PFL_STATUS_OK);
  CHECK(file.tensors[0].dtype == PFL_DTYPE_DEFAULT &&
            file.tensors[0].bytes == 5 &&
            !strcmp(file.tensors[0].dtype_name, "FIFTEEN_LETTERS"),
        "%s", file.tensors[0].dtype_name);
  safetensors_release(&file);
  free(bytes);
}

static void test_deep_header(void) {
  size_t length = 1000000, size;
  char *header = malloc(length);
  CHECK_NEED(header);
  memset(header, '[', length);
  memcpy(header, "{\"q\":", 5);
  char *bytes = make_file(length, header, length, 0, &size);
  refused(bytes, size,
          "header: byte 68: expected at most 64 arrays and objects within each "
          "other");
  free(header);
}

/* Many tensors, and the same many with one name twice. */
static void test_many_tensors(void) {
  for (int repeat = 0; repeat < 2; repeat++) {
    base_text header = {0};
    enum { TENSORS = 20000 };
    for (int i = 0; i < TENSORS; i++)
      base_text_format(&header,
                       "%s\"%d\":{\"dtype\":\"I8\",\"shape\":[1],"
                       "\"data_offsets\":[%d,%d]}",
                       i ? "," : "{",
                       repeat && i == TENSORS - 1 ? TENSORS / 2 : i, i, i + 1);
    base_text_add_string(&header, "}");
    size_t size;
    char *bytes = make_file(header.length, base_text_get(&header),
                            header.length, TENSORS, &size);
    safetensors_file file;
    pfl_error error;
    pfl_status status = safetensors_parse(bytes, size, &heap, &file, &error);
    CHECK(status == (repeat ? PFL_STATUS_DATA_LOSS : PFL_STATUS_OK), "%s",
          error.message);
    CHECK(file.count == (repeat ? 0 : TENSORS), "%d tensors", (int)file.count);
    safetensors_release(&file);
    base_text_release(&header);
    free(bytes);
  }
}

/* Neither a shorter nor a longer file is taken for the whole. */
static void test_truncation(void) {
  for (size_t size = 0; size <= sizeof golden; size++) {
    char *bytes = malloc(size + !size);
    CHECK_NEED(bytes);
    memcpy(bytes, golden, size);
    safetensors_file file;
    pfl_status status = safetensors_parse(bytes, size, &heap, &file, NULL);
    CHECK(status == (size == sizeof golden - 1 ? PFL_STATUS_OK
                                               : PFL_STATUS_DATA_LOSS),
          "%zu bytes: %s", size, pfl_status_name(status));
    safetensors_release(&file);
    free(bytes);
  }
}

static void test_bit_flips(void) {
  size_t size = sizeof golden - 1;
  int taken = 0;
  for (size_t bit = 0; bit < 8 * (size - 9); bit++) {
    char *bytes = malloc(size);
    CHECK_NEED(bytes);
    memcpy(bytes, golden, size);
    bytes[bit / 8] ^= (char)(1 << bit % 8);
    safetensors_file file;
    pfl_error error = {PFL_STATUS_OK, ""};
    pfl_status status = safetensors_parse(bytes, size, &heap, &file, &error);
    CHECK(status == PFL_STATUS_OK || status == PFL_STATUS_DATA_LOSS, "bit %zu",
          bit);
    CHECK(
        error.status == status && (status != PFL_STATUS_OK || file.count == 2),
        "bit %zu", bit);
    taken += status == PFL_STATUS_OK;
    safetensors_release(&file);
    free(bytes);
  }
  /* another letter in a name or a dtype, and little else */
  CHECK(taken > 0 && taken < 60, "%d flips were taken", taken);
}

/* ---- Surroundings ------------------------------------------------------ */

static void test_no_memory(void) {
  const char *path = in_directory("golden");
  put_file(path, golden, sizeof golden - 1);
  for (int from_file = 0; from_file < 2; from_file++)
    for (failing_state state = {0}; failing_next(&state);) {
      pfl_allocator allocator = failing_allocator(&state);
      safetensors_file file;
      pfl_error error;
      pfl_status status =
          from_file ? safetensors_read(path, &allocator, &file, &error)
                    : safetensors_parse(golden, sizeof golden - 1, &allocator,
                                        &file, &error);
      safetensors_release(&file);
      state.done = failing_check(&state, status);
    }
  unlink(path);
}

static void test_write_refuses(void) {
  static int64_t byte;
  const safetensors_tensor good = {
      .name = "q", .dtype = PFL_DTYPE_I8, .data = &byte};
  struct {
    safetensors_tensor tensor;
    const char *message;
  } cases[] = {
      {good, "\"q\" a second time"},
      {good, "tensor \"\": a name must be UTF-8 and not __metadata__"},
      {good, "tensor \"a\\xff\": a name must be UTF-8"},
      {good, "tensor \"__metadata__\": a name must be"},
      {good, "tensor \"k\": rank is 9; it must be 0 to 8"},
      {good, "tensor \"k\": rank is -1; it must be 0 to 8"},
      {good, "tensor \"k\": its sizes must be >= 0 and its bytes"},
      {good, "tensor \"k\": its sizes must be >= 0 and its bytes"},
      {good, "tensor \"k\": data is NULL; 1 bytes are needed"},
      {good, "tensor \"k\": dtype must be a string of 1 to 15 bytes"},
      {good, "tensor \"k\": 1 elements of F64 are 8 bytes, but"},
      {good, "tensor \"k\": dtype must be a string of 1 to 15 bytes"},
      {good, "must be fewer than 2^63 together"},
  };
  enum { CASES = sizeof cases / sizeof *cases };
  for (int i = 4; i < CASES; i++) cases[i].tensor.name = "k";
  cases[1].tensor.name = NULL;
  cases[2].tensor.name = "a\xff";
  cases[3].tensor.name = "__metadata__";
  cases[4].tensor.rank = 9;
  cases[5].tensor.rank = -1;
  cases[6].tensor.rank = cases[7].tensor.rank = 1;
  cases[6].tensor.shape[0] = -1;
  cases[7].tensor.shape[0] = INT64_MAX;
  cases[7].tensor.dtype = PFL_DTYPE_BF16;
  cases[8].tensor.data = NULL;
  for (int i = 9; i < CASES; i++) cases[i].tensor.dtype = PFL_DTYPE_DEFAULT;
  strcpy(cases[10].tensor.dtype_name, "F64");
  cases[10].tensor.bytes = 4;
  memset(cases[11].tensor.dtype_name, 'F', SAFETENSORS_DTYPE_SIZE);
  cases[12].tensor.bytes = INT64_MAX;
  for (int i = 0; i < CASES; i++) {
    pfl_error error = {PFL_STATUS_OK, ""};
    safetensors_tensor tensors[] = {good, cases[i].tensor};
    pfl_status status =
        safetensors_write(in_directory("file"), tensors, 2, NULL, &error);
    CHECK(status == PFL_STATUS_INVALID_ARGUMENT, "case %d: %s", i,
          pfl_status_name(status));
    CHECK(strstr(error.message, cases[i].message), "%s, wanted %s",
          error.message, cases[i].message);
  }
  CHECK(files_in_directory() == 0, "files are left");
}

int main(void) {
  directory_make();
  int failed = CHECK_RUN(test_golden, test_empty, test_round_trip, test_order,
                         test_sizes, test_rules, test_strange_dtype,
                         test_deep_header, test_many_tensors, test_truncation,
                         test_bit_flips, test_no_memory, test_write_refuses);
  directory_remove();
  return failed;
}

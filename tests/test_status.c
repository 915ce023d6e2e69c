/* Statuses and messages: names, numbers, and a buffer that never overflows. */
#include "base/status.h"
#include "check.h"

static pfl_status raise_named(pfl_error *error, const char *name) {
  PFL_RAISE(error, NOT_FOUND, "no tensor %s", name);
}

static pfl_status forward(pfl_error *error, pfl_status status) {
  PFL_TRY(status);
  PFL_RAISE(error, INTERNAL, "went on");
}

static void test_names(void) {
  CHECK(!strcmp(pfl_status_name(PFL_STATUS_OK), "OK"), "0");
  CHECK(!strcmp(pfl_status_name((pfl_status)3), "INVALID_ARGUMENT"), "3");
  CHECK(!strcmp(pfl_status_name((pfl_status)8), "RESOURCE_EXHAUSTED"), "8");
  CHECK(!strcmp(pfl_status_name((pfl_status)16), "UNAUTHENTICATED"), "16");
  CHECK(!strcmp(pfl_status_name((pfl_status)17), "UNKNOWN"), "17");
  CHECK(!strcmp(pfl_status_name((pfl_status)-1), "UNKNOWN"), "-1");
}

static void test_message(void) {
  pfl_error error = {PFL_STATUS_OK, ""};
  CHECK(raise_named(&error, "q") == PFL_STATUS_NOT_FOUND, "the status");
  CHECK(error.status == PFL_STATUS_NOT_FOUND, "the error's status");
  CHECK(!strcmp(error.message, "no tensor q"), "%s", error.message);
  CHECK(raise_named(NULL, "q") == PFL_STATUS_NOT_FOUND, "nobody listens");
}

static void test_long_message_is_cut(void) {
  char name[2 * PFL_MESSAGE_SIZE];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  struct {
    pfl_error error;
    char after[8];
  } guarded = {.after = "after"};
  CHECK(raise_named(&guarded.error, name) == PFL_STATUS_NOT_FOUND, "status");
  CHECK(strlen(guarded.error.message) == PFL_MESSAGE_SIZE - 1, "%d bytes",
        (int)strlen(guarded.error.message));
  CHECK(!strcmp(guarded.after, "after"), "wrote past the message");
}

/* Wherever the cut falls, no part of a character is left. */
static void test_cut_keeps_characters_whole(void) {
  for (int shift = 0; shift < 4; shift++) {
    char name[2 * PFL_MESSAGE_SIZE] = "xxx";
    name[shift] = 0;
    for (int i = 0; i < PFL_MESSAGE_SIZE / 3; i++) strcat(name, "\u20ac");
    pfl_error error;
    CHECK(raise_named(&error, name) == PFL_STATUS_NOT_FOUND, "status");
    size_t head = strlen("no tensor ") + (size_t)shift;
    size_t length = strlen(error.message);
    CHECK((length - head) % 3 == 0, "%d bytes", (int)length);
    CHECK(length > PFL_MESSAGE_SIZE - 8, "%d bytes", (int)length);
  }
}

static void test_forwarding(void) {
  pfl_error error = {PFL_STATUS_OK, "untouched"};
  CHECK(forward(&error, PFL_STATUS_ABORTED) == PFL_STATUS_ABORTED, "forwards");
  CHECK(!strcmp(error.message, "untouched"), "%s", error.message);
  CHECK(forward(&error, PFL_STATUS_OK) == PFL_STATUS_INTERNAL, "goes on");
}

int main(void) {
  return CHECK_RUN(test_names, test_message, test_long_message_is_cut,
                   test_cut_keeps_characters_whole, test_forwarding);
}

/* One client of libpflash_sim.so, and programs for it around z = x + y. */
#ifndef PFL_TESTS_PLUGIN_CLIENT_H
#define PFL_TESTS_PLUGIN_CLIENT_H

#include "plugin_case.h"

static pjrt_client client; /* of most tests */
static pfl_error error;
static base_text adder; /* the kernel, which main writes */

static inline void open_client(void) {
  CHECK_NEED(!plugin_case_client(NULL, 0, &client, &error));
}

static inline int64_t bytes_in_use(int64_t device) {
  pjrt_device_memory memory;
  CHECK_NEED(!pjrt_device_memory_get(&client, device, &memory, &error));
  return memory.bytes_in_use;
}

static inline void close_client(void) {
  for (int64_t i = 0; i < client.device_count; i++)
    CHECK(!bytes_in_use(i), "device %lld has %lld bytes left", (long long)i,
          (long long)bytes_in_use(i));
  pjrt_client_destroy(&client);
}

static inline PJRT_Buffer *upload(int64_t device, const xla_tensor *tensor,
                                  const void *data) {
  PJRT_Buffer *buffer = NULL;
  pjrt_upload asked = {.device = device,
                       .shape = {.dtype = tensor->dtype, .rank = tensor->rank},
                       .data = data};
  memcpy(asked.shape.sizes, tensor->shape, sizeof tensor->shape);
  CHECK_NEED(!pjrt_buffer_upload(&client, &asked, NULL, &buffer, &error));
  return buffer;
}

static inline pfl_status download(PJRT_Buffer *buffer, void *data,
                                  size_t size) {
  return pjrt_buffer_download(&client, buffer,
                              &(pjrt_download){data, size, NULL}, NULL, &error);
}

static const int pair[] = {0, 1};

static inline xla_call make_call(const base_text *kernel, const int *operands) {
  return (xla_call){.kernel_name = "vector_add",
                    .body = kernel->bytes,
                    .body_size = kernel->length,
                    .operands = operands,
                    .operand_count = 2,
                    .results = &plugin_case_tile,
                    .result_count = 1};
}

/* x + y on each of `chips`, for calls that the test fills in. */
static inline xla_program make_program(int chips, const xla_call *calls,
                                       int count, const int *outputs,
                                       int output_count) {
  static const xla_tensor arguments[] = {{PFL_DTYPE_F32, 2, {256, 128}},
                                         {PFL_DTYPE_F32, 2, {256, 128}}};
  return (xla_program){.name = "add",
                       .replicas = chips,
                       .arguments = arguments,
                       .argument_count = 2,
                       .calls = calls,
                       .call_count = count,
                       .outputs = outputs,
                       .output_count = output_count};
}

/* A tile of `number`, and some that differ. */
static inline PJRT_Buffer *upload_number(int64_t device, float number) {
  static float data[PLUGIN_CASE_ITEMS];
  for (int i = 0; i < PLUGIN_CASE_ITEMS; i++) data[i] = number + (float)(i % 5);
  return upload(device, &plugin_case_tile, data);
}

/* Whether it holds `number`, and `times` what upload_number adds to it. */
static inline void check_number(PJRT_Buffer *buffer, float number, float times,
                                const char *what) {
  static float data[PLUGIN_CASE_ITEMS];
  pfl_status status = download(buffer, data, sizeof data);
  CHECK(!status, "%s: %s", what, error.message);
  for (int i = 0; !status && i < PLUGIN_CASE_ITEMS; i++)
    if (data[i] != number + times * (float)(i % 5)) {
      CHECK(0, "%s: [%d] is %g, not %g", what, i, (double)data[i],
            (double)(number + times * (float)(i % 5)));
      break;
    }
}

static inline bool is_donated(PJRT_Buffer *buffer) {
  bool donated = false;
  CHECK_NEED(!pjrt_buffer_is_donated(&client, buffer, &donated, &error));
  return donated;
}

static inline void compile(const xla_program *program, pjrt_program *out) {
  pfl_status status = plugin_case_compile(&client, program, out, &error);
  CHECK(!status, "%s", error.message);
  CHECK_NEED(!status);
}

#endif

/* The numbers that a prediction rests on: the chip's, in one place.
 *
 * docs/cycle-model.md says where each comes from. A calibration file is a JSON
 * object with some of these names: what it does not name keeps its value here.
 * What "about" says is for people (schedule_calibrate.h).
 *
 *   {"hbm_gbs": 760, "dispatch_us": 95} */
#ifndef PFL_SCHEDULE_MODEL_H
#define PFL_SCHEDULE_MODEL_H

#include "base/json.h"

/* X(NAME, default, what it is). */
#define SCHEDULE_MODEL_LIST(X)                                                 \
  X(clock_ghz, 1.5, "cycles a nanosecond")                                     \
  X(hbm_gbs, 819, "bytes a nanosecond between HBM and the chip")               \
  X(dma_latency_ns, 500, "from the last byte of an HBM transfer to its flag")  \
  X(dma_overhead_ns, 0, "of the HBM queue, for each transfer")                 \
  X(local_bytes_per_cycle, 512, "of a DMA that stays on the chip")             \
  X(local_latency_cycles, 50, "of a DMA that stays on the chip")               \
  X(dma_wait_cycles, 6, "from a wait's end to the next bundle")                \
  X(link_bytes_per_cycle, 30, "of one ICI link, one way")                      \
  X(hop_us, 1, "of one ICI link: latency")                                     \
  X(dispatch_us, 0, "of handing a program to the chip, told apart")            \
  X(mxu01_latency_cycles, 125, "from a matmul to its first result, MXU 0, 1")  \
  X(mxu23_latency_cycles, 131, "the same, MXU 2, 3")                           \
  X(int8_lead_cycles, 10, "that int8's first result comes sooner")             \
  X(push_cycles, 4, "of the weight port, for 8 rows of f32 or 16 of bf16")     \
  X(push_latency_cycles, 3, "from the last push to the matmul that uses it")   \
  X(push_transposed_cycles, 8, "of the weight port, transposed")               \
  X(push_transposed_latency_cycles, 7, "from a transposed push to its matmul") \
  X(xlu_cycles, 8, "of an XLU, for each operation")                            \
  X(xlu01_latency_cycles, 115, "from an operation of XLU 0, 1 to its result")  \
  X(xlu2_latency_cycles, 115, "the same, XLU 2")                               \
  X(transpose_latency_cycles, 44,                                              \
    "from a transpose's end to its first result")                              \
  X(eup_latency_cycles, 6, "from a transcendental to its result")              \
  X(vector_to_scalar_cycles, 49,                                               \
    "from a vector's push to the scalar that pops it")

typedef struct schedule_model {
#define SCHEDULE_MODEL_FIELD(name, value, what) double name;
  SCHEDULE_MODEL_LIST(SCHEDULE_MODEL_FIELD)
#undef SCHEDULE_MODEL_FIELD
} schedule_model;

/* A v5e as documented. */
schedule_model schedule_model_default(void);

/* Sets one of them by its name. INVALID_ARGUMENT: there is none of that name,
 * or the value is no number above 0; latencies and overheads may be 0. */
PFL_NODISCARD pfl_status schedule_model_set(schedule_model *model,
                                            const char *name, double value,
                                            pfl_error *error);

/* Takes over what the calibration file says; on failure nothing. NOT_FOUND,
 * INVALID_ARGUMENT as above. */
PFL_NODISCARD pfl_status schedule_model_read(const char *path,
                                             const pfl_allocator *allocator,
                                             schedule_model *model,
                                             pfl_error *error);

/* All of it, as members of the object being written. */
void schedule_model_write(const schedule_model *model, json_writer *json);

#endif

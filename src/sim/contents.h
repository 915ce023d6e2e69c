/* What is known about the bytes of a chip's memories: whether they were ever
 * written, and which DMAs are at work on them. */
#ifndef PFL_SIM_CONTENTS_H
#define PFL_SIM_CONTENTS_H

#include "sim/chip.h"

/* What is known of a byte. */
typedef enum sim_mark {
  SIM_WRITTEN,
  SIM_TAINTED, /* what was stored there comes of what was never written */
  SIM_NEVER
} sim_mark;

/* Nothing of it is written any more; hostile chips poison it. */
void sim_memory_forget(sim_chip *chip, sim_memory *memory);
/* All of it is. */
void sim_memory_know(sim_memory *memory);

/* Bytes to which something tainted was stored last. */
int64_t sim_memory_tainted(const sim_memory *memory);

/* All of a memory, as its plan has it. */
sim_view sim_memory_view(sim_memory *memory);

/* Whether every byte of a view is written. */
bool sim_view_written(const sim_view *view);
/* Marks all of them. */
void sim_view_mark(const sim_view *view, sim_mark mark);

/* The marks of elements, a byte each: a vector's taint, as what is not 0 is
 * tainted. */
void sim_view_read_marks(const sim_view *view, uint8_t *marks);
void sim_view_write_marks(const sim_view *view, const uint8_t *marks);

/* Copies the bytes of one view to another of its shape and element, what is
 * known of them included. */
void sim_view_transfer(const sim_view *to, const sim_view *from);

/* The bits of bytes [first, end): whether all are set; setting or clearing
 * them, which gives how many changed. */
bool sim_bits_all(const uint64_t *bits, int64_t first, int64_t end);
int64_t sim_bits_put(uint64_t *bits, int64_t first, int64_t end, bool value);

#endif

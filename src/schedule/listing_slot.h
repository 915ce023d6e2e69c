/* A slot of a bundle, taken apart. */
#ifndef PFL_SCHEDULE_LISTING_SLOT_H
#define PFL_SCHEDULE_LISTING_SLOT_H

#include "schedule/listing_builder.h"

typedef struct listing_slot {
  listing_register destination; /* number -1: none */
  bool writes;                  /* there is a destination, register or not */
  const char *word;             /* "scmp.eq.s32.totalorder" */
  size_t word_length;
  const listing_word *row;
  int16_t predicate;
  uint32_t predicate_name;
  bool negated;
  bool never;          /* its predicate is a constant, and false */
  listing_cursor rest; /* the arguments */
} listing_slot;

/* Whether the word has `part` as one of what its full stops separate. */
bool listing_slot_has(const listing_slot *s, const char *part);

/* ---- listing_cost.c: what the clock is told of it ------------------------ */

/* The registers that the slot reads. */
PFL_NODISCARD pfl_status listing_reads_add(listing_builder *builder,
                                           const listing_slot *s);

/* What it starts, takes and writes; `latency`: until its result may be used. */
void listing_effect_add(listing_builder *builder, const listing_slot *s,
                        vliw_action action, uint8_t latency);

#endif

/* What a test may ask of fake_plugin.so, a PJRT plugin that does little, counts
 * everything and misbehaves to order. A test that loads it gives its orders
 * through the symbol fake_plugin_orders; where another process loads it they
 * come from the environment:
 *
 *   FAKE_PLUGIN="fail_at=3 dies_in=Compile dies_of=6"
 *
 * Its programs are text, "fake 4 devices 2 outputs 1 taken": output i of row d
 * is a copy of argument i of row (d + i) mod devices, and the first arguments
 * are taken over, which empties them. Row d is device DEVICES - 1 - d. */
#ifndef PFL_TESTS_FAKE_PLUGIN_H
#define PFL_TESTS_FAKE_PLUGIN_H

#include <stdatomic.h>

enum { FAKE_DEVICES = 4, FAKE_DEVICE_BYTES = 1 << 20 };

/* The orders that are numbers; zero asks for nothing. */
#define FAKE_ORDER_LIST(X)                                            \
  X(fail_at)        /* the call, from 1, that fails */                \
  X(empty_at)       /* that succeeds and gives nothing */             \
  X(half_at)        /* that gives the first thing it promises only */ \
  X(late)           /* what takes time ends on another thread */      \
  X(late_fails)     /* and fails there */                             \
  X(larger_structs) /* it cannot do without newer structs' fields */  \
  X(short_values)   /* its named values have an older size */         \
  X(odd_words)      /* its errors have no code and no message */      \
  X(no_table)       /* GetPjrtApi gives none */                       \
  X(table_bytes)    /* the size that the table says it has */         \
  X(major)          /* of its version */                              \
  X(minor)          /* of its version; 0: the one declared */         \
  X(dies_of)        /* a signal; -1: it hangs; -2: it exits with 7 */ \
  X(floods)         /* it writes 16 MB to stdout and stderr, then fails */

typedef struct fake_orders {
#define FAKE_ORDER_FIELD(name) long name;
  FAKE_ORDER_LIST(FAKE_ORDER_FIELD)
#undef FAKE_ORDER_FIELD
  char missing[64];  /* a function that the table has not: "Client_Create" */
  char dies_in[64];  /* the function that dies_of and floods are about */
  char struck[64];   /* out: the function that one of the _at hit */
  atomic_long calls; /* out: so far */
  atomic_long live;  /* out: objects not given back */
} fake_orders;

#endif

/* Pages where a program wants them: where a paged cache is spread over chips,
 * page i of a sequence must lie on chip i modulo the chips, and a page's number
 * modulo the chips says where it lies. */
#ifndef PFL_DEVICE_PAGES_H
#define PFL_DEVICE_PAGES_H

#include "device/spread.h"

enum { DEVICE_PAGED_MAX = 4 };

/* Copies of tensors whose pages are in other places. */
typedef struct device_pages {
  device_tensor table;
  device_tensor kept[DEVICE_PAGED_MAX]; /* k, v, and scales if there are; data
                                           NULL: none */
} device_pages;

/* Whether the program's block_table is spread. */
bool device_pages_needed(const kernels_kernel *kernel);

/* Makes copies of block_table, k, v and scales of `inputs`, of which the pages
 * in use have such numbers; a page that is at places of several chips is on
 * each. `lengths` of the inputs, if there are any, tell what is in use.
 * INVALID_ARGUMENT: a tensor is missing or of another shape. OUT_OF_RANGE: an
 * entry that is no page, or a chip that would need more than the program has
 * room for. RESOURCE_EXHAUSTED. Given back with device_pages_release. */
PFL_NODISCARD pfl_status device_pages_place(
    const kernels_kernel *kernel, int chips, const device_tensor *inputs,
    int count, const pfl_allocator *allocator, device_pages *out_pages,
    pfl_error *error);
void device_pages_release(device_pages *pages, const pfl_allocator *allocator);

#endif

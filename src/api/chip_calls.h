/* The public calls on chips: a program for each problem, made when it is first
 * met and kept, and tensors taken to the chips and back. */
#ifndef PFL_API_CHIP_CALLS_H
#define PFL_API_CHIP_CALLS_H

#include "api/context.h"
#include "device/device.h"

typedef struct api_chips api_chips;

/* Takes hold of the chips that the options name. What device_open says, and
 * INVALID_ARGUMENT: more chips than there are. */
PFL_NODISCARD pfl_status api_chips_open(const pfl_context_options *options,
                                        api_chips **out_chips,
                                        pfl_error *error);
void api_chips_close(api_chips *chips); /* NULL is allowed */

int api_chips_count(const api_chips *chips);

/* Whether that number was asked for: else fewer will do. */
bool api_chips_asked(const api_chips *chips);

const device_slice *api_chips_slice(const api_chips *chips);

/* The context's mutex is held, and problem and arguments are checked. On
 * failure no output has been written to. */
PFL_NODISCARD pfl_status api_chips_forward(pfl_context *context,
                                           const attention_problem *problem,
                                           const pfl_forward_args *args,
                                           pfl_error *error);
PFL_NODISCARD pfl_status api_chips_backward(pfl_context *context,
                                            const attention_problem *problem,
                                            const pfl_backward_args *args,
                                            pfl_error *error);
PFL_NODISCARD pfl_status
api_chips_decode(pfl_context *context, const attention_decode_problem *problem,
                 const pfl_decode_args *args, pfl_error *error);

#endif

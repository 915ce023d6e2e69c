/* Readers of options, as cli_option.read is one. */
#ifndef PFL_BENCH_OPTIONS_H
#define PFL_BENCH_OPTIONS_H

#include <stdbool.h>

#include "options.h"

bool read_comparison(const cli_option *row, const char *text,
                     cli_options *options);
bool read_price(const cli_option *row, const char *text, cli_options *options);
bool read_peer(const cli_option *row, const char *text, cli_options *options);
bool read_bench_device(const cli_option *row, const char *text,
                       cli_options *options);

#endif

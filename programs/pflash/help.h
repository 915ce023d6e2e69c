/* What --help and the manual say. */
#ifndef PFLASH_HELP_H
#define PFLASH_HELP_H

#include "commands.h"
#include "page.h"

/* The help of a command; of NONE, that of pflash. */
void help_print(command which, FILE *file);

/* All of it. docs/cli.md and docs/pflash.1 are this, in two of the styles. */
void help_print_manual(page_style style, FILE *file);

#endif

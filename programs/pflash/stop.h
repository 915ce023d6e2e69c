/* Ending by a signal, but not before what must not be left behind is removed.
 */
#ifndef PFLASH_STOP_H
#define PFLASH_STOP_H

/* From here on SIGINT, SIGTERM and SIGHUP only make the descriptor readable,
 * except those that are ignored. Whoever waits looks at it. */
const int *stop_begin(void);

/* The program dies of the signal now, if one came. */
void stop_end(void);

#endif

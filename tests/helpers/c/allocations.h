/* allocations.h - memory that runs out. On Linux every C test is linked so that the core's malloc and
 * calloc come here first: they are counted, and one of them can be refused. */
#ifndef ALLOCATIONS_H
#define ALLOCATIONS_H

extern long allowed;     /* allocations until one fails; -1: none does */
extern long allocations; /* how many there were */

#endif

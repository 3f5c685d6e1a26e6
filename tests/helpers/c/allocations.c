/* allocations.c - what the linker puts in the place of malloc and calloc (--wrap). */
#include "allocations.h"

#include <stddef.h>

long allowed = -1;
long allocations;

#if defined(__linux__)
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static int refuse(void)
{
    allocations++;
    return allowed >= 0 && allowed-- == 0;
}
void *__wrap_malloc(size_t size) { return refuse() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return refuse() ? NULL : __real_calloc(n, size); }
#endif

/*
 * Freeing what readers may still look at: one writer, many readers, no locks (epochs; Fraser 2004).
 *
 * 1. A reader looks at published memory only between reader_enter and reader_leave.  Outside, in particular
 *    while it is blocked in a system call, it is quiescent: `seen` is 0, and it holds nothing up.
 * 2. The writer first takes memory out of everyone's reach, then retires it under the current epoch, then
 *    raises the epoch.  A reader that entered under a later epoch cannot have found it.
 * 3. So it is freed once every reader is quiescent or has entered under a later epoch.
 * 4. `seen` and the published pointers are read and written in sequentially consistent order: either the
 *    reader finds the new pointer, or the writer finds the reader.  On x86-64 and AArch64 such a load costs
 *    what an acquiring one does; the one dear store is reader_enter's, once a batch.
 */
#ifndef SKYDNS_RECLAIM_H
#define SKYDNS_RECLAIM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE 64 /* octets; what two threads write lies at least this far apart */

#define MAX_READERS 64
/* Threads. One each core is what serves; the control thread looks at all of them at each change. */

#define MAX_RETIRED 1024
/* Pieces of memory waiting. Full, the writer waits for the oldest: a reader leaves within one batch, so that
 * is some 0.3 ms under full load. */

struct reader {
    _Alignas(CACHE_LINE) _Atomic uint64_t seen;
};

struct retired {
    void *memory;
    void (*release)(void *);
    uint64_t epoch;
};

struct epochs {
    _Alignas(CACHE_LINE) _Atomic uint64_t now;
    struct reader *readers[MAX_READERS];
    size_t reader_count;
    struct retired queue[MAX_RETIRED];
    uint64_t first, last; /* queue[first % MAX_RETIRED] is the oldest; `last - first` wait */
};

void epochs_start(struct epochs *epochs);

/* Called while no reader runs. */
void epochs_set_readers(struct epochs *epochs, struct reader **readers, size_t count);

/* Free memory, which no reader can find any more, with `release`, once none still looks at it. */
void epochs_retire(struct epochs *epochs, void *memory, void (*release)(void *));

/* Free what has become free; how many pieces still wait. */
size_t epochs_sweep(struct epochs *epochs);

/* Wait until nothing waits: for a writer that is done. */
void epochs_drain(struct epochs *epochs);

static inline void reader_enter(struct epochs *epochs, struct reader *reader)
{
    atomic_store(&reader->seen, atomic_load(&epochs->now));
}

static inline void reader_leave(struct reader *reader)
{
    atomic_store_explicit(&reader->seen, 0, memory_order_release);
}

#endif

/* The writer's half of the rules in reclaim.h. */
#include "reclaim.h"

#include <sched.h>

void epochs_start(struct epochs *epochs)
{
    atomic_init(&epochs->now, 1); /* 0 means quiescent */
    epochs->reader_count = 0;
    epochs->first = epochs->last = 0;
}

void epochs_set_readers(struct epochs *epochs, struct reader **readers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        epochs->readers[i] = readers[i];
    epochs->reader_count = count;
}

/* The earliest epoch that a reader is in; the current one where all are quiescent. */
static uint64_t oldest_seen(struct epochs *epochs)
{
    uint64_t oldest = atomic_load(&epochs->now);

    for (size_t i = 0; i < epochs->reader_count; i++) {
        uint64_t seen = atomic_load(&epochs->readers[i]->seen);
        if (seen && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

size_t epochs_sweep(struct epochs *epochs)
{
    uint64_t oldest = oldest_seen(epochs);

    for (; epochs->first < epochs->last; epochs->first++) {
        struct retired *piece = &epochs->queue[epochs->first % MAX_RETIRED];
#ifdef FREE_AT_ONCE /* a test's proof that the stress under sanitizers sees what this prevents */
        oldest = UINT64_MAX;
#endif
        if (piece->epoch >= oldest)
            break;
        piece->release(piece->memory);
    }
    return (size_t)(epochs->last - epochs->first);
}

void epochs_retire(struct epochs *epochs, void *memory, void (*release)(void *))
{
    if (!memory)
        return;
    while (epochs_sweep(epochs) >= MAX_RETIRED)
        sched_yield(); /* the reader may need this very core */
    epochs->queue[epochs->last++ % MAX_RETIRED] = (struct retired){memory, release, atomic_load(&epochs->now)};
    atomic_fetch_add(&epochs->now, 1);
}

void epochs_drain(struct epochs *epochs)
{
    while (epochs_sweep(epochs))
        sched_yield();
}

/* See ring.h. */
#include "ring.h"

#include <stdlib.h>

bool ring_push(struct ring *ring, struct miss *miss)
{
    uint64_t at = atomic_fetch_add(&ring->next, 1) % RING_PLACES;
    struct miss *old = atomic_exchange(&ring->place[at], miss);

    free(old);
    return !old;
}

size_t ring_take(struct ring *ring, struct miss **found, size_t most)
{
    uint64_t first = atomic_load(&ring->next);
    size_t taken = 0;

    for (size_t i = 0; i < RING_PLACES && taken < most; i++) {
        _Atomic(struct miss *) *place = &ring->place[(first + i) % RING_PLACES];
        if (atomic_load(place) && (found[taken] = atomic_exchange(place, NULL)))
            taken++;
    }
    return taken;
}

size_t ring_depth(struct ring *ring)
{
    size_t depth = 0;

    for (size_t i = 0; i < RING_PLACES; i++)
        depth += atomic_load(&ring->place[i]) != NULL;
    return depth;
}

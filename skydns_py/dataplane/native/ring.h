/*
 * Questions that the threads could not answer, on their way to the slow path.
 *
 * 1. A place is taken by adding to `next`, and filled by exchanging pointers.  What the exchange gives back is
 *    a question that nobody fetched in time: the newest wins its place, and the oldest is counted and freed.
 * 2. The one reader empties every place at each call, oldest first.  A writer fills its place before it raises
 *    the event, so whatever the interleaving, the reader that the event wakes finds the question.
 */
#ifndef SKYDNS_RING_H
#define SKYDNS_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_PLACES 1024
/* Questions that wait: some 60 ms of the slow path's work. A flood of odd queries costs others the wait behind
 * it and, beyond that, their question; 4 MB at the most, as a question has at most MAX_QUERY octets. */

struct miss;

struct ring {
    _Alignas(64) _Atomic uint64_t next;
    _Alignas(64) _Atomic(struct miss *) place[RING_PLACES];
};

/* Put a question in; false where one had to give way. The ring frees with `free`. */
bool ring_push(struct ring *ring, struct miss *miss);

/* Take up to `most` questions out; how many. */
size_t ring_take(struct ring *ring, struct miss **found, size_t most);

/* How many wait. */
size_t ring_depth(struct ring *ring);

#endif

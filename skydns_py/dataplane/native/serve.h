/*
 * Threads that serve, one for each socket.
 *
 * 1. A thread sleeps in recvmmsg and is quiescent there.  What woke it is taken in a batch: as many datagrams as
 *    wait, BATCH at the most; all replies leave by one sendmmsg.  Idle, a query is a batch of one and waits for
 *    nothing.
 * 2. Replies are made in the buffer that the query came in.  Buffers lie `buffer_step` apart, which is no power of
 *    two: at 4096 the first lines of all of them would share one set of the first-level cache.
 * 3. A thread looks at `stop` at each wake-up, and wakes up each STOP_CHECK_MS even if nothing comes.  So no
 *    signal and no second system call a batch is needed to end it.
 * 4. A reply leaves from the address that was asked: by the socket's own, or on a wildcard socket by the packet
 *    information that came with the query (ip(7); RFC 3542 section 6).  The interface is left to the routes,
 *    except for a link-local address, which means nothing without it.
 * 5. A batch is answered in three passes: read the questions and ask for their slots, ask for the entries in
 *    them, answer.  Profile (perf, A out of 10 000 names): 91 % of a query is the kernel's, and of the rest four
 *    fifths were two cache misses in table_find.  They overlap now, which halved our part.
 * 6. Sending never blocks: a reply that the kernel has no room for is dropped and counted; the client asks again.
 */
#ifndef SKYDNS_SERVE_H
#define SKYDNS_SERVE_H

#include "plane.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#define BATCH 64          /* datagrams; some 0.3 ms of work, which is also how long a change waits to free memory */
#define STOP_CHECK_MS 200 /* milliseconds */
#define CONTROL_SIZE 64   /* octets: room for one in6_pktinfo with its header */

struct place {
    struct sockaddr_storage peer;
    _Alignas(8) uint8_t control[CONTROL_SIZE];
};

struct thread {
    struct reader reader; /* first: it has its own cache line */
    struct counters counters;
    uint32_t turns[TURNS];
    struct plane *plane;
    pthread_t id;
    bool running; /* `id` is valid */
    atomic_bool stop;
    int socket;
    uint16_t index;
    bool wildcard;
    size_t buffer_step;
    uint8_t *buffers;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_parts[BATCH], out_parts[BATCH];
    struct place places[BATCH];
    struct request requests[BATCH];
};

/* For misses, by serve_miss.c. */
struct miss *miss_new(const struct thread *thread, const struct msghdr *message, const uint8_t *packet, size_t length,
                      uint64_t now_ns);
void source_control(struct msghdr *message);
uint64_t now_ns(void);

#endif

/*
 * The plane: the tables, the threads that serve from them, and what one control thread does to both.
 *
 * 1. The control thread alone changes tables, zones and search path, and never while holding anything that a
 *    serving thread could wait for: serving threads wait for nothing but their sockets.
 * 2. A serving thread touches no Python object and no lock of the interpreter.
 * 3. Until `ready` is set, everything is a miss: an empty table must not deny what the source has yet to list.
 */
#ifndef SKYDNS_PLANE_H
#define SKYDNS_PLANE_H

#include "counters.h"
#include "packet.h"
#include "ring.h"

#include "api.h"

#define MAX_QUERY 4096 /* octets read of a datagram: far more than any query; a longer one fails to parse */
#define LEAST_EDNS SMALLEST_PAYLOAD

struct thread;

struct plane {
    struct table names, clients;
    _Atomic(struct zones *) zones;
    _Atomic(struct search *) search;
    atomic_bool wildcards, ready;
    uint16_t edns_size;
    int event; /* eventfd: a miss waits */
    struct epochs epochs;
    struct ring ring;
    size_t thread_count;
    struct thread *threads[MAX_READERS];
    struct counters stopped; /* of threads that have ended, and the control thread's own */
    uint32_t turns[TURNS];
};

/* What is published now; within reader_enter, or by the control thread. */
void plane_open(struct plane *plane, struct published *now, uint32_t *turns);

/* IPv4 as a mapped IPv6 address; false where `size` is neither 4 nor 16. */
bool client_from(struct client *client, const uint8_t *address, size_t size);

#endif

/*
 * What is served beside the names themselves: the zones with their SOA, and the search path for short names.
 *
 * 1. Both are small, made whole by the control thread, published by one pointer and never changed after.
 * 2. A zone keeps its place in the array for ever: entries name their zone by it.
 * 3. An open subtree is a name below which any name may exist without being in the table.
 */
#ifndef SKYDNS_ZONES_H
#define SKYDNS_ZONES_H

#include "table.h"

#define MAX_ZONES 1024
/* Zones and open subtrees. Whoever configures them pays: a negative answer looks at each, some 2 ns apiece. */

#define MAX_SOA 512 /* octets of an SOA record; a longer one leaves no room in a reply of 512 */

#define MAX_NETWORKS 4096
/* Networks mapped to namespaces. A short name from a client that is no pod looks at each, some 2 ns apiece. */

struct zone {
    uint8_t apex_length;
    bool open;              /* rule 3 */
    uint16_t soa_length;    /* 0: too long, the slow path cuts it */
    uint32_t ttl;           /* seconds, of the SOA */
    uint8_t apex[MAX_KEY];  /* lower-case wire name */
    uint8_t soa[MAX_SOA];   /* the record, whose first two octets are to become a pointer to its owner */
};

struct zones {
    size_t count;
    struct zone zone[];
};

/* A client's address: IPv4 as the last four octets behind ten zeros and two of 0xff (RFC 4291 section 2.5.5.2). */
struct client {
    uint8_t address[16];
    bool v4;
};

struct network {
    struct client base;
    uint8_t bits; /* of the 128 */
    uint8_t label_length;
    uint8_t label[64]; /* the namespace as a wire label */
};

struct suffix {
    uint8_t length;
    uint8_t name[MAX_KEY];
};

struct search {
    bool autopath;              /* go on with a search that a client has begun (short.c) */
    struct suffix branch, zone; /* `svc.ZONE` and `ZONE` */
    struct table worldly;       /* last labels that are never a namespace */
    size_t network_count;
    struct network network[]; /* the longest prefix first */
};

/* A copy with room for, and at `index`, this zone; NULL where memory is short. `soa` NULL: an open subtree. */
struct zones *zones_with(const struct zones *old, size_t index, const struct zone *zone);

struct search *search_new(const uint8_t *zone, size_t length, size_t networks, int autopath);
void search_free(void *search);

/* The namespace of an address by the networks, as a wire label, or NULL. */
const struct network *search_network(const struct search *search, const struct client *client);

#endif

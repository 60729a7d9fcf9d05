/*
 * From a query to its reply, in place, without allocation and without a loop that a packet could lengthen.
 *
 * 1. Only plain queries are recognised: one question, no record but an OPT without options, no octet more.
 *    Everything else is declined with 0 and the packet is left as it came: the slow path decides.
 * 2. Nothing is written before all is decided, and then never beyond the limit: 512 octets, or by EDNS the
 *    smaller of the client's size and ours.
 * 3. What is answered, `answers/respond.py` would answer with the same octets, rotation apart.
 * 4. A name ends at its first zero octet.  One with a zero octet inside a label does not end there by its
 *    labels, and is declined, as the Python path does.
 */
#ifndef SKYDNS_PACKET_H
#define SKYDNS_PACKET_H

#include "zones.h"

#define DNS_HEADER 12      /* octets (RFC 1035 section 4.1.1) */
#define SMALLEST_PAYLOAD 512
#define OPT_SIZE 11        /* octets of an OPT record without options (RFC 6891 section 6.1.2) */
#define MAX_REPLY 65535

#define TURNS 256
/* Counters for rotation, chosen by name and type, each thread's own. Two names that share one make each
 * other's rotation uneven, nothing worse; 1 kB stays in the first-level cache. */

enum outcome {
    DECLINED,
    ANSWERED,
    NO_DATA,
    NO_NAME,
    CUT,
    SHORT_ANSWERED,
    SHORT_NO_DATA,
    AUTOPATH_ANSWERED,
    AUTOPATH_NO_DATA,
    OUTCOMES
};

/* What is published now, and the thread's turns. */
struct published {
    struct table *names, *clients;
    const struct zones *zones;
    struct search *search; /* NULL: short names are off */
    uint32_t *turns;
    bool wildcards; /* a label `*` or `any` may stand for others */
    uint16_t edns_size;
};

/* One question. `client` may be NULL: then names outside the zones are declined, and no search goes on. */
struct request {
    const struct published *now;
    const struct client *client;
    /* Set by packet_read. */
    uint64_t hash;
    uint64_t starts[4]; /* bit n: a label, or the root, starts at octet n of the name */
    enum outcome outcome;
    uint16_t type, flags, edns_bits, limit;
    uint16_t tail; /* where the question ends, a packet offset */
    uint8_t name_size, opt_size;
    uint8_t name[MAX_KEY + 9]; /* lower-case, then zeros up to a multiple of 8 */
};

/* Whether a label of the question's name, or the root, starts at this octet of it. */
static inline bool starts_at(const struct request *request, size_t at)
{
    return request->starts[at / 64] >> at % 64 & 1;
}

/* Whether a packet is a plain query; then the fields above say what it asks. */
bool packet_read(struct request *request, const uint8_t *packet, size_t length);

/* Turn a query that packet_read took into its reply and return the octets of that, or 0 with the packet as it
 * was.  `packet` has room for MAX(SMALLEST_PAYLOAD, edns_size) octets. */
size_t packet_answer(struct request *request, uint8_t *packet);

/* For short.c. */
size_t packet_finish(const struct request *request, uint8_t *packet, uint16_t flags, const uint16_t counts[3],
                     size_t at);
const struct answer *entry_answer(const struct entry *entry, uint16_t type, const uint8_t **records);
uint8_t *put16(uint8_t *at, uint32_t value);
uint8_t *put32(uint8_t *at, uint32_t value);
size_t turn_of(const struct request *request, uint64_t hash, const struct answer *answer);
void put_rotated(uint8_t *to, const uint8_t *records, const struct answer *answer, size_t first, size_t octets);
bool has_wildcard(const uint8_t *name, size_t length);
size_t answer_short(struct request *request, uint8_t *packet);
bool answer_rest(struct request *request, uint8_t *packet, size_t *made);

#endif

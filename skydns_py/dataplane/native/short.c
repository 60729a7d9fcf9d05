/*
 * Short names: a name outside every zone, tried against the search path of the client; and autopath, the rest of a
 * search that the client began itself (answers/search.py has the rules and why they hold).
 *
 * 1. The order is NS.svc.ZONE for the client's namespace, svc.ZONE, ZONE; one label has only the first.  The
 *    first candidate that owns records wins, whatever type was asked.
 * 2. A candidate that may exist though it is not in the table, or that is not packed yet, ends this: the slow
 *    path knows.  So does one that needs an alias followed.
 * 3. The reply is a CNAME to the candidate and its records, moved: an owner that pointed to the question points
 *    to the candidate's name inside the CNAME, any other pointer moves by the same distance as its target.
 * 4. A name NAME.NS.svc.ZONE that does not exist, from a client in NS, is answered by NAME.svc.ZONE or NAME.ZONE
 *    in the same way.  Where nothing is left to try, the caller denies the name.  A client that is no pod pays one
 *    probe and the networks for this, and only for names below svc.ZONE.
 */
#include "packet.h"

#include <string.h>

#define TYPE_CNAME 5
#define TYPE_ANY 255
#define RECORD_HEAD 12 /* octets of a record whose owner is a pointer, before its rdata */

/* The name tried, and where it goes in the packet. */
struct candidate {
    const struct entry *entry;
    uint64_t hash;
    size_t length;
    uint8_t name[MAX_KEY];
};

/* The last of the labels in the first `octets` of the question's name, its length octet first; `count` is how many
 * there are, of which 2 means more than 1. */
static const uint8_t *last_label(const struct request *request, size_t octets, int *count)
{
    size_t at = 0, last = 0;

    for (*count = 0; at < octets; at += 1u + request->name[at]) {
        last = at;
        *count += *count < 2;
    }
    return request->name + last;
}

/* Real top-level domains and reserved ones. */
static bool is_top_level(const struct request *request, const uint8_t *label)
{
    struct table *worldly = &request->now->search->worldly;

    return table_find(worldly, table_hash(worldly, label, 1u + label[0]), label, 1u + label[0]) != NULL;
}

/* Names that are never ours, whatever the cluster has. */
static bool is_worldly(const struct request *request, const uint8_t *last, int count)
{
    return count == 1 ? memcmp(last, "\11localhost", 10) == 0 : is_top_level(request, last);
}

/* A last label that means a part of the zone, never a namespace. */
static bool is_branch(const uint8_t *last)
{
    return memcmp(last, "\3svc", 4) == 0 || memcmp(last, "\3pod", 4) == 0;
}

/* The namespace of the client, as a wire label; `length` 0 where it has none. */
static const uint8_t *namespace_of(const struct request *request, size_t *length)
{
    const struct client *client = request->client;
    uint64_t hash = table_hash(request->now->clients, client->address, sizeof client->address);
    const struct entry *pod = table_find(request->now->clients, hash, client->address, sizeof client->address);
    const struct network *network;

    if (pod) {
        *length = pod->count ? pod->answers[0].length : 0;
        return entry_records(pod);
    }
    network = search_network(request->now->search, client);
    *length = network ? network->label_length : 0;
    return network ? network->label : NULL;
}

static bool is_within(const struct candidate *candidate, const struct zone *zone)
{
    size_t at = 0;

    while (candidate->length - at > zone->apex_length)
        at += 1u + candidate->name[at];
    return candidate->length - at == zone->apex_length &&
           memcmp(candidate->name + at, zone->apex, zone->apex_length) == 0;
}

/* Whether a name that is not in the table may exist all the same. */
static bool may_exist(const struct request *request, const struct candidate *candidate)
{
    if (request->now->wildcards && has_wildcard(candidate->name, candidate->length))
        return true;
    for (size_t i = 0; i < request->now->zones->count; i++)
        if (request->now->zones->zone[i].open && is_within(candidate, &request->now->zones->zone[i]))
            return true;
    return false;
}

enum found { NOTHING, FOUND, UNKNOWN };

/* The first `own` octets of the question's name below `label` (of `label_length` octets, which may be 0) and
 * `suffix`. */
static enum found try(const struct request *request, struct candidate *candidate, size_t own, const uint8_t *label,
                      size_t label_length, const struct suffix *suffix)
{
    candidate->length = own + label_length + suffix->length;
    if (candidate->length > MAX_KEY)
        return NOTHING;
    memcpy(candidate->name, request->name, own);
    if (label_length)
        memcpy(candidate->name + own, label, label_length);
    memcpy(candidate->name + own + label_length, suffix->name, suffix->length);
    candidate->hash = table_hash(request->now->names, candidate->name, candidate->length);
    candidate->entry = table_find(request->now->names, candidate->hash, candidate->name, candidate->length);
    if (!candidate->entry)
        return may_exist(request, candidate) ? UNKNOWN : NOTHING;
    if (candidate->entry->zone >= request->now->zones->count)
        return UNKNOWN; /* lazy */
    return candidate->entry->count ? FOUND : NOTHING;
}

/* Rule 1. */
static enum found find_candidate(const struct request *request, struct candidate *candidate)
{
    const struct search *search = request->now->search;
    size_t label_length, own = request->name_size - 1u;
    int labels;
    const uint8_t *last = last_label(request, own, &labels), *label;
    enum found found = NOTHING;

    if (!labels || is_worldly(request, last, labels))
        return UNKNOWN;
    label = namespace_of(request, &label_length);
    if (label_length)
        found = try(request, candidate, own, label, label_length, &search->branch);
    if (labels > 1 && found == NOTHING && !is_branch(last))
        found = try(request, candidate, own, NULL, 0, &search->branch);
    if (labels > 1 && found == NOTHING)
        found = try(request, candidate, own, NULL, 0, &search->zone);
    return found;
}

/* How many octets of the question's name lie above its client's first search domain, whose own label is `*label`;
 * 0 where it is not below that. */
static size_t searched_octets(const struct request *request, const uint8_t **label)
{
    const struct suffix *branch = &request->now->search->branch;
    size_t at = (size_t)request->name_size - branch->length, length;

    if (request->name_size <= branch->length || !starts_at(request, at) ||
        memcmp(request->name + at, branch->name, branch->length) != 0)
        return 0;
    *label = namespace_of(request, &length);
    if (!length || length >= at || !starts_at(request, at - length) ||
        memcmp(request->name + at - length, *label, length) != 0)
        return 0;
    return at - length;
}

/* Whether the first `own` octets of the question's name are a name in the zone. */
static bool is_full(const struct request *request, size_t own)
{
    const struct suffix *zone = &request->now->search->zone;
    size_t octets = zone->length - 1u;

    return own >= octets && starts_at(request, own - octets) &&
           memcmp(request->name + own - octets, zone->name, octets) == 0;
}

/* Whether there is anything called `last` in the namespace: then the question is about that. */
static enum found find_owner(const struct request *request, const uint8_t *last)
{
    size_t length = request->name_size - (size_t)(last - request->name);
    uint64_t hash = table_hash(request->now->names, last, length);
    const struct entry *entry = table_find(request->now->names, hash, last, length);

    if (!entry)
        return NOTHING;
    return entry->zone >= request->now->zones->count ? UNKNOWN : FOUND; /* lazy, so that it may be another's hash */
}

/* Rule 4. */
static enum found find_rest(const struct request *request, struct candidate *candidate)
{
    const struct search *search = request->now->search;
    const uint8_t *last, *label;
    size_t own = searched_octets(request, &label);
    enum found found;
    int labels;

    if (!own)
        return NOTHING;
    last = last_label(request, own, &labels);
    if (is_worldly(request, last, labels) || is_top_level(request, label) || is_full(request, own))
        return NOTHING;
    found = labels > 1 ? find_owner(request, last) : NOTHING;
    if (found != NOTHING)
        return found == FOUND ? NOTHING : UNKNOWN;
    if (!is_branch(last))
        found = try(request, candidate, own, NULL, 0, &search->branch);
    return found == NOTHING ? try(request, candidate, own, NULL, 0, &search->zone) : found;
}

/* Rule 3, for `octets` of records that lie at `at` and were made for a question of their own; false where they
 * are not as answers/packed.py makes them. */
static bool move(uint8_t *at, size_t octets, uint32_t owner, uint32_t distance)
{
    uint8_t *end = at + octets;

    while (at < end) {
        uint8_t *start = at;
        while (at < end && *at && *at < 0xc0)
            at += 1 + *at;
        if (at >= end || end - at < RECORD_HEAD - 1)
            return false;
        if (*at++) {
            uint32_t pointer = (uint32_t)at[-1] << 8 | at[0];
            if (at - 1 == start)
                put16(start, pointer == (0xc000 | DNS_HEADER) ? 0xc000 | owner : pointer + distance);
            at++;
        }
        if (end - at < 10)
            return false;
        at += 10 + ((size_t)at[8] << 8 | at[9]);
    }
    return at == end;
}

static uint8_t *put_alias(const struct request *request, uint8_t *at, const struct candidate *candidate)
{
    const struct zone *zone = &request->now->zones->zone[candidate->entry->zone];

    at = put16(put16(put16(at, 0xc000 | DNS_HEADER), TYPE_CNAME), 1);
    at = put16(put32(at, zone->ttl), (uint32_t)candidate->length);
    memcpy(at, candidate->name, candidate->length);
    return at + candidate->length;
}

/* The candidate exists and has no such type: CNAME and its zone's SOA. */
static size_t no_data(struct request *request, uint8_t *packet, const struct candidate *candidate, size_t room)
{
    const struct zone *zone = &request->now->zones->zone[candidate->entry->zone];
    size_t alias = RECORD_HEAD + candidate->length;
    uint8_t *at = packet + request->tail;

    if (!zone->soa_length || alias + zone->soa_length > room)
        return 0;
    at = put_alias(request, at, candidate);
    memcpy(at, zone->soa, zone->soa_length);
    put16(at, 0xc000 | (uint32_t)(at - packet - zone->apex_length));
    request->outcome = SHORT_NO_DATA;
    return packet_finish(request, packet, 0, (const uint16_t[3]){1, 1, 0}, (size_t)(at - packet) + zone->soa_length);
}

/* CNAME and records. Records that are not as they should be leave the packet as it was. */
static size_t data(struct request *request, uint8_t *packet, const struct candidate *candidate,
                   const struct answer *answer, const uint8_t *records)
{
    uint32_t owner = request->tail + (uint32_t)RECORD_HEAD;
    uint32_t distance = owner + (uint32_t)candidate->length - (uint32_t)(DNS_HEADER + candidate->length + 4);
    uint16_t counts[3] = {(uint16_t)(1 + answer->answers), 0, (uint16_t)answer->additionals};
    uint8_t opt[OPT_SIZE], *at;

    memcpy(opt, packet + request->tail, request->opt_size);
    at = put_alias(request, packet + request->tail, candidate);
    put_rotated(at, records, answer, turn_of(request, candidate->hash, answer), answer->length);
    if (!move(at, answer->length, owner, distance)) {
        memcpy(packet + request->tail, opt, request->opt_size);
        return 0;
    }
    request->outcome = SHORT_ANSWERED;
    return packet_finish(request, packet, 0, counts, (size_t)(at - packet) + answer->length);
}

static size_t answer_candidate(struct request *request, uint8_t *packet, const struct candidate *candidate)
{
    size_t room = (size_t)request->limit - request->tail - request->opt_size;
    const struct answer *answer;
    const uint8_t *records;

    if (request->type == TYPE_ANY)
        return 0;
    answer = entry_answer(candidate->entry, request->type, &records);
    if (answer)
        return RECORD_HEAD + candidate->length + answer->length > room
                   ? 0
                   : data(request, packet, candidate, answer, records);
    if (entry_answer(candidate->entry, TYPE_CNAME, &records))
        return 0;
    return no_data(request, packet, candidate, room);
}

size_t answer_short(struct request *request, uint8_t *packet)
{
    struct candidate candidate;

    return find_candidate(request, &candidate) == FOUND ? answer_candidate(request, packet, &candidate) : 0;
}

/* For a name in a zone that does not exist: false where nothing is left to try, else `*made` is as for the others. */
bool answer_rest(struct request *request, uint8_t *packet, size_t *made)
{
    struct candidate candidate;
    enum found found = find_rest(request, &candidate);

    if (found == NOTHING)
        return false;
    *made = found == FOUND ? answer_candidate(request, packet, &candidate) : 0;
    if (*made)
        request->outcome = request->outcome == SHORT_ANSWERED ? AUTOPATH_ANSWERED : AUTOPATH_NO_DATA;
    return true;
}

/* The packet function; its rules stand in packet.h. Constants are those of RFC 1035 section 4.1. */
#define _GNU_SOURCE
#include "packet.h"

#include <string.h>

#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_TC 0x0200
#define FLAG_RD 0x0100
#define NOT_PLAIN 0xfa00 /* QR, any opcode but QUERY, TC */
#define CLASS_IN 1
#define TYPE_CNAME 5
#define TYPE_OPT 41
#define NXDOMAIN 3
#define DNSSEC_OK 0x8000 /* RFC 3225 section 3 */

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

uint8_t *put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put16(put16(at, value >> 16), value);
}

/* Eight octets with ASCII's capitals made small. Length octets are at most 63, below every letter. */
static uint64_t lower8(uint64_t octets)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = 0x80 * each;
    uint64_t low7 = octets & ~high;
    uint64_t from_a = low7 + (0x80 - 'A') * each, past_z = low7 + (0x7f - 'Z') * each;

    return octets | (~octets & (from_a ^ past_z) & high) >> 2;
}

static void set_lower(struct request *request, const uint8_t *name)
{
    uint64_t word;
    size_t size = request->name_size;

    memset(request->name + (size & ~(size_t)7), 0, 8);
    memcpy(request->name, name, size);
    for (size_t at = 0; at < size; at += 8) {
        memcpy(&word, request->name + at, 8);
        word = lower8(word);
        memcpy(request->name + at, &word, 8);
    }
}

static void set_start(struct request *request, size_t at)
{
    request->starts[at / 64] |= UINT64_C(1) << at % 64;
}

/* The labels of a name whose only zero octet is its last: whether they fill it (rule 4). */
static bool read_labels(struct request *request, const uint8_t *name)
{
    size_t at = 0, last = request->name_size - 1u;

    memset(request->starts, 0, sizeof request->starts);
    while (at < last && name[at] < 64) {
        set_start(request, at);
        at += 1u + name[at];
    }
    if (at != last)
        return false;
    set_start(request, last);
    return true;
}

/* What follows the question: nothing, or an OPT of version 0 without options (RFC 6891 section 6.1.2). */
static bool read_edns(struct request *request, const uint8_t *opt, size_t length, uint32_t additionals)
{
    uint32_t payload;

    request->limit = SMALLEST_PAYLOAD;
    request->opt_size = 0;
    request->edns_bits = 0;
    if (length == 0)
        return additionals == 0;
    if (length != OPT_SIZE || additionals != 1)
        return false;
    if (opt[0] != 0 || get16(opt + 1) != TYPE_OPT || get16(opt + 5) != 0 || get16(opt + 9) != 0)
        return false;
    payload = get16(opt + 3);
    if (payload > SMALLEST_PAYLOAD)
        request->limit = payload < request->now->edns_size ? (uint16_t)payload : request->now->edns_size;
    request->opt_size = OPT_SIZE;
    request->edns_bits = (uint16_t)(get16(opt + 7) & DNSSEC_OK);
    return true;
}

bool packet_read(struct request *request, const uint8_t *packet, size_t length)
{
    const uint8_t *name = packet + DNS_HEADER, *zero;
    size_t most = length - DNS_HEADER;

    request->outcome = DECLINED;
    request->type = 0;
    if (length < DNS_HEADER + 5 || get16(packet + 2) & NOT_PLAIN || get16(packet + 4) != 1)
        return false;
    if (get16(packet + 6) | get16(packet + 8))
        return false;
    zero = memchr(name, 0, most < MAX_KEY ? most : MAX_KEY);
    if (!zero || (size_t)(zero - packet) + 5 > length || get16(zero + 3) != CLASS_IN)
        return false;
    request->flags = (uint16_t)(get16(packet + 2) & FLAG_RD);
    request->type = (uint16_t)get16(zero + 1);
    request->name_size = (uint8_t)(zero + 1 - name);
    request->tail = (uint16_t)(zero + 5 - packet);
    if (!read_edns(request, packet + request->tail, length - request->tail, get16(packet + 10)))
        return false;
    if (!read_labels(request, name))
        return false;
    set_lower(request, name);
    request->hash = table_hash(request->now->names, request->name, request->name_size);
    return true;
}

/* Types that are no lookup of a type: 0, OPT, and TKEY to ANY (RFC 6895 section 3.1). */
static bool is_special(uint16_t type)
{
    return type == 0 || type == TYPE_OPT || (type >= 249 && type <= 255);
}

const struct answer *entry_answer(const struct entry *entry, uint16_t type, const uint8_t **records)
{
    const uint8_t *at = entry_records(entry);

    for (size_t i = 0; i < entry->count; at += entry->answers[i++].length) {
        if (entry->answers[i].type == type) {
            *records = at;
            return &entry->answers[i];
        }
    }
    return NULL;
}

/* Header and OPT around the records, which end at the packet offset `at`; the octets of the whole. */
size_t packet_finish(const struct request *request, uint8_t *packet, uint16_t flags, const uint16_t counts[3],
                     size_t at)
{
    uint8_t *header = packet + 2, *opt = packet + at;
    bool edns = request->opt_size != 0;

    header = put16(header, FLAG_QR | FLAG_AA | flags | request->flags);
    header = put16(header + 2, counts[0]); /* QDCOUNT is 1 as it came */
    header = put16(header, counts[1]);
    put16(header, (uint32_t)counts[2] + edns);
    if (edns) {
        *opt++ = 0;
        opt = put16(put16(opt, TYPE_OPT), request->now->edns_size);
        opt = put16(put16(opt, 0), request->edns_bits);
        put16(opt, 0);
    }
    return at + request->opt_size;
}

/* Which record comes first: the next in turn, in octets from the first. */
size_t turn_of(const struct request *request, uint64_t hash, const struct answer *answer)
{
    uint32_t *turn;

    if (!answer->stride)
        return 0;
    turn = &request->now->turns[(hash + answer->type) % TURNS];
    return (size_t)((*turn)++ % answer->answers) * answer->stride;
}

/* `octets` of the records, from `first` on and then from their start. */
void put_rotated(uint8_t *to, const uint8_t *records, const struct answer *answer, size_t first, size_t octets)
{
    size_t head = answer->length - first;

    if (head > octets)
        head = octets;
    memcpy(to, records + first, head);
    memcpy(to + head, records, octets - head);
}

/* Where records do not fit, as many as do with TC set (RFC 2181 section 9), if they are alike; else the slow
 * path, which knows what may be left out. */
static size_t positive(struct request *request, uint8_t *packet, const struct answer *answer,
                       const uint8_t *records)
{
    size_t room = (size_t)request->limit - request->tail - request->opt_size, octets = answer->length;
    uint16_t counts[3] = {(uint16_t)answer->answers, 0, (uint16_t)answer->additionals}, flags = 0;

    request->outcome = ANSWERED;
    if (octets > room) {
        if (!answer->stride)
            return 0;
        counts[0] = (uint16_t)(room / answer->stride);
        octets = (size_t)counts[0] * answer->stride;
        flags = FLAG_TC;
        request->outcome = CUT;
    }
    put_rotated(packet + request->tail, records, answer, turn_of(request, request->hash, answer), octets);
    return packet_finish(request, packet, flags, counts, request->tail + octets);
}

/* NODATA or NXDOMAIN, with the zone's SOA (RFC 2308 section 3). */
static size_t negative(struct request *request, uint8_t *packet, const struct zone *zone, uint16_t rcode)
{
    size_t owner = DNS_HEADER + request->name_size - (size_t)zone->apex_length;
    uint8_t *at = packet + request->tail;

    if (!zone->soa_length || request->tail + zone->soa_length + OPT_SIZE > SMALLEST_PAYLOAD)
        return 0;
    memcpy(at, zone->soa, zone->soa_length);
    put16(at, 0xc000 | (uint32_t)owner);
    request->outcome = rcode ? NO_NAME : NO_DATA;
    return packet_finish(request, packet, rcode, (const uint16_t[3]){0, 1, 0},
                         (size_t)request->tail + zone->soa_length);
}

bool has_wildcard(const uint8_t *name, size_t length)
{
    return memmem(name, length, "\1*", 2) || memmem(name, length, "\3any", 4);
}

static bool is_below(const struct request *request, const struct zone *zone)
{
    size_t start = (size_t)request->name_size - zone->apex_length;

    return zone->apex_length <= request->name_size && starts_at(request, start) &&
           memcmp(request->name + start, zone->apex, zone->apex_length) == 0;
}

/* The longest zone or open subtree that the name lies below; `itself`: whether the name is a zone's own. */
static const struct zone *zone_around(const struct request *request, bool *itself)
{
    const struct zone *found = NULL;

    *itself = false;
    for (size_t i = 0; i < request->now->zones->count; i++) {
        const struct zone *zone = &request->now->zones->zone[i];
        if (!is_below(request, zone))
            continue;
        if (zone->apex_length == request->name_size)
            *itself = true;
        else if (!found || zone->apex_length > found->apex_length)
            found = zone;
    }
    return found;
}

/* A name that is not in the table: in a zone it does not exist, elsewhere it may be a short one. Where its client
 * searches, something else may be meant either way. */
static size_t answer_absent(struct request *request, uint8_t *packet)
{
    bool itself, searches = request->client && request->now->search;
    const struct zone *zone = zone_around(request, &itself);
    size_t made;

    if (!zone)
        return itself || !searches ? 0 : answer_short(request, packet);
    if (zone->open || (request->now->wildcards && has_wildcard(request->name, request->name_size)))
        return 0;
    if (searches && request->now->search->autopath && answer_rest(request, packet, &made))
        return made;
    return negative(request, packet, zone, NXDOMAIN);
}

static size_t answer_entry(struct request *request, uint8_t *packet, const struct entry *entry)
{
    const uint8_t *records;
    const struct answer *answer;

    if (entry->zone >= request->now->zones->count)
        return 0; /* lazy */
    answer = entry_answer(entry, request->type, &records);
    if (answer)
        return positive(request, packet, answer, records);
    if (is_special(request->type) || entry_answer(entry, TYPE_CNAME, &records))
        return 0;
    return negative(request, packet, &request->now->zones->zone[entry->zone], 0);
}

size_t packet_answer(struct request *request, uint8_t *packet)
{
    const struct entry *entry = table_find(request->now->names, request->hash, request->name, request->name_size);
    size_t length;

    if (entry)
        length = answer_entry(request, packet, entry);
    else
        length = is_special(request->type) ? 0 : answer_absent(request, packet);
    if (!length)
        request->outcome = DECLINED;
    return length;
}

/* A small plane with one of everything, made without Python: for the fuzzer and the stress under sanitizers. */
#ifndef SKYDNS_FIXTURE_H
#define SKYDNS_FIXTURE_H

#include "plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONE_TEXT "cluster.local"

#define REQUIRE(claim)                                                       \
    do {                                                                     \
        if (!(claim)) {                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                         \
        }                                                                    \
    } while (0)

/* A dotted name in wire form; its octets. */
static inline size_t wire_name(const char *text, uint8_t *name)
{
    size_t size = 0;

    while (*text) {
        size_t label = strcspn(text, ".");
        name[size++] = (uint8_t)label;
        memcpy(name + size, text, label);
        size += label;
        text += label + (text[label] == '.');
    }
    name[size++] = 0;
    return size;
}

/* `count` records of a type at the question, each with `size` octets of rdata that end in a number. */
static inline size_t wire_records(uint8_t *records, uint16_t type, size_t count, size_t size, uint8_t mark)
{
    uint8_t *at = records;

    for (size_t i = 0; i < count; i++) {
        at = put16(put16(put16(at, 0xc00c), type), 1);
        at = put16(put32(at, 5), (uint32_t)size);
        memset(at, mark, size);
        put16(at + size - 2, (uint32_t)i);
        at += size;
    }
    return (size_t)(at - records);
}

static inline void fixture_name(struct plane *plane, const char *text, uint16_t type, size_t count, size_t size,
                                uint8_t mark)
{
    static uint8_t records[1 << 16];
    uint8_t name[MAX_KEY];
    size_t length = wire_name(text, name), octets = wire_records(records, type, count, size, mark);
    struct answer head = {.length = (uint32_t)octets, .answers = (uint32_t)count, .type = type};

    head.stride = count > 1 ? (uint32_t)(octets / count) : 0;
    REQUIRE(plane_replace(plane, name, length, 0, 1, (uint8_t *)&head, records, octets) >= 0);
}

static inline void fixture_bare(struct plane *plane, const char *text, uint16_t zone)
{
    uint8_t name[MAX_KEY];
    size_t length = wire_name(text, name);

    REQUIRE(plane_replace(plane, name, length, zone, 0, NULL, NULL, 0) >= 0);
}

/* An SRV record and the address of its target. */
static inline void fixture_srv(struct plane *plane, const char *text, const char *target)
{
    uint8_t name[MAX_KEY], records[600], *at;
    size_t length = wire_name(text, name), size = wire_name(target, records + 18);
    struct answer head = {.answers = 1, .additionals = 1, .type = 33};

    at = put16(put16(put16(records, 0xc00c), 33), 1);
    at = put16(put32(at, 5), (uint32_t)(6 + size));
    at = put16(put32(at, 100), 80) + size;
    at = put16(put16(put16(at, 0xc000 | (uint32_t)(12 + length + 4 + 18)), 1), 1);
    at = put32(put16(put32(at, 5), 4), 0x0a000001);
    head.length = (uint32_t)(at - records);
    REQUIRE(plane_replace(plane, name, length, 0, 1, (uint8_t *)&head, records, head.length) >= 0);
}

static inline void fixture_zone(struct plane *plane, size_t index, const char *apex, uint32_t ttl, int open)
{
    uint8_t name[MAX_KEY], soa[200];
    size_t length = wire_name(apex, name);

    wire_records(soa, 6, 1, 80, 1);
    REQUIRE(plane_set_zone(plane, index, name, length, ttl, soa, open ? 0 : 92, open) >= 0);
}

static inline void fixture_search(struct plane *plane)
{
    uint8_t zone[MAX_KEY];
    struct search *search = search_new(zone, wire_name(ZONE_TEXT, zone), 2, 1);

    REQUIRE(search);
    REQUIRE(!search_add_network(search, (const uint8_t[]){127, 0, 0, 0}, 4, 9, (const uint8_t *)"\5my-ns", 6));
    REQUIRE(!search_add_network(search, (const uint8_t[16]){0xfd}, 16, 7, (const uint8_t *)"\5other", 6));
    REQUIRE(!search_add_label(plane, search, (const uint8_t *)"\3com", 4));
    plane_set_search(plane, search);
}

static inline struct plane *fixture(uint16_t edns_size)
{
    struct plane *plane = plane_new(edns_size);

    REQUIRE(plane);
    fixture_zone(plane, 0, ZONE_TEXT, 5, 0);
    fixture_zone(plane, 1, "in-addr.arpa", 5, 0);
    fixture_zone(plane, 2, "pod." ZONE_TEXT, 0, 1);
    fixture_search(plane);
    fixture_bare(plane, ZONE_TEXT, 0);
    fixture_bare(plane, "svc." ZONE_TEXT, 0);
    fixture_bare(plane, "lazy.my-ns.svc." ZONE_TEXT, LAZY_ZONE);
    fixture_name(plane, "my-service.my-ns.svc." ZONE_TEXT, 1, 1, 4, 7);
    fixture_name(plane, "six.my-ns.svc." ZONE_TEXT, 28, 3, 16, 7);
    fixture_name(plane, "wide.my-ns.svc." ZONE_TEXT, 1, 200, 4, 7);
    fixture_name(plane, "text.my-ns.svc." ZONE_TEXT, 16, 1, 2000, 7);
    fixture_name(plane, "alias.my-ns.svc." ZONE_TEXT, 5, 1, 20, 3);
    fixture_name(plane, "star.svc." ZONE_TEXT, 1, 2, 4, 7);
    fixture_name(plane, "web.other.svc." ZONE_TEXT, 1, 3, 4, 7);
    fixture_bare(plane, "lazy.other.svc." ZONE_TEXT, LAZY_ZONE);
    fixture_name(plane, "old.other." ZONE_TEXT, 1, 1, 4, 7);
    fixture_srv(plane, "_http._tcp.my-service.my-ns.svc." ZONE_TEXT, "my-service.my-ns.svc." ZONE_TEXT);
    REQUIRE(plane_set_client(plane, (const uint8_t[]){10, 5, 0, 1}, 4, (const uint8_t *)"\5my-ns", 6) == 0);
    REQUIRE(plane_set_client(plane, (const uint8_t[]){10, 5, 0, 2}, 4, NULL, 0) == 0);
    plane_set_ready(plane, 1);
    return plane;
}

#endif

/* The control thread's side of plane.h, but for the threads (serve.c). */
#define _GNU_SOURCE
#include "plane.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Lifetime */

struct plane *plane_new(uint16_t edns_size)
{
    struct plane *plane;

    if (edns_size < LEAST_EDNS)
        return NULL;
    plane = aligned_alloc(CACHE_LINE, sizeof *plane);
    if (!plane)
        return NULL;
    memset(plane, 0, sizeof *plane);
    plane->edns_size = edns_size;
    plane->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epochs_start(&plane->epochs);
    if (!table_start(&plane->names) || !table_start(&plane->clients) || plane->event < 0) {
        plane_free(plane);
        return NULL;
    }
    return plane;
}

void plane_free(struct plane *plane)
{
    struct miss *miss;

    if (!plane)
        return;
    plane_stop(plane);
    epochs_drain(&plane->epochs);
    while (ring_take(&plane->ring, &miss, 1))
        free(miss);
    table_end(&plane->names);
    table_end(&plane->clients);
    free(atomic_load(&plane->zones));
    search_free(atomic_load(&plane->search));
    if (plane->event >= 0)
        close(plane->event);
    free(plane);
}

int plane_event(struct plane *plane)
{
    return plane->event;
}

void plane_set_ready(struct plane *plane, int ready)
{
    atomic_store(&plane->ready, ready != 0);
}

void plane_set_wildcards(struct plane *plane, int wildcards)
{
    atomic_store(&plane->wildcards, wildcards != 0);
}

/* Zones and names */

static bool same_zone(const struct zone *one, const struct zone *other)
{
    return one->ttl == other->ttl && one->open == other->open && one->soa_length == other->soa_length &&
           one->apex_length == other->apex_length && !memcmp(one->apex, other->apex, one->apex_length) &&
           !memcmp(one->soa, other->soa, one->soa_length);
}

int plane_set_zone(struct plane *plane, size_t index, const uint8_t *apex, size_t length, uint32_t ttl,
                   const uint8_t *soa, size_t soa_length, int open)
{
    struct zones *old = atomic_load(&plane->zones), *new;
    struct zone zone = {.apex_length = (uint8_t)length, .open = open != 0, .ttl = ttl};

    if (length > MAX_KEY)
        return -1;
    memcpy(zone.apex, apex, length);
    if (soa_length <= sizeof zone.soa) {
        zone.soa_length = (uint16_t)soa_length;
        memcpy(zone.soa, soa, soa_length);
    }
    if (old && index < old->count && same_zone(&old->zone[index], &zone))
        return TABLE_UNCHANGED;
    new = zones_with(old, index, &zone);
    if (!new)
        return -1;
    atomic_store(&plane->zones, new);
    epochs_retire(&plane->epochs, old, free);
    return TABLE_DONE;
}

/* A name that has answers or none lies in its zone: replies point into its end. */
static bool is_placed(struct plane *plane, const uint8_t *name, size_t length, uint16_t index)
{
    const struct zones *zones = atomic_load(&plane->zones);
    const struct zone *zone;

    if (!zones || index >= zones->count)
        return false;
    zone = &zones->zone[index];
    return zone->apex_length <= length && !memcmp(name + length - zone->apex_length, zone->apex, zone->apex_length);
}

int plane_replace(struct plane *plane, const uint8_t *name, size_t length, uint16_t zone, size_t count,
                  const uint8_t *heads, const uint8_t *records, size_t octets)
{
    struct entry *entry;

    if (zone == LAZY_ZONE)
        return length > MAX_KEY || count ? -1 : (int)table_list(&plane->names, &plane->epochs, name, length);
    if (!is_placed(plane, name, length, zone))
        return -1;
    entry = entry_new(name, length, zone, count, heads, records, octets);
    return entry ? table_put(&plane->names, &plane->epochs, entry) : -1;
}

/* `octets` of names, one after the other, each of which exists and is packed when it is asked for. */
int plane_list(struct plane *plane, const uint8_t *names, size_t octets)
{
    size_t length;

    for (; octets; names += length, octets -= length) {
        length = name_length(names, octets);
        if (!length || table_list(&plane->names, &plane->epochs, names, length) == TABLE_FAILED)
            return -1;
    }
    return 0;
}

int plane_remove(struct plane *plane, const uint8_t *name, size_t length)
{
    return table_remove(&plane->names, &plane->epochs, name, length);
}

size_t plane_names(struct plane *plane)
{
    return plane->names.live;
}

size_t plane_waiting(struct plane *plane)
{
    return epochs_sweep(&plane->epochs);
}

/* The answers of a name into `views`, which has MAX_ANSWERS places: how many, -1 without the name, -2 lazy. */
int plane_find(struct plane *plane, const uint8_t *name, size_t length, struct view *views)
{
    const struct entry *entry = table_find(&plane->names, table_hash(&plane->names, name, length), name, length);
    const uint8_t *records;

    if (!entry)
        return -1;
    if (entry->zone == LAZY_ZONE)
        return -2;
    records = entry_records(entry);
    for (size_t i = 0; i < entry->count; records += entry->answers[i++].length) {
        const struct answer *answer = &entry->answers[i];
        views[i] = (struct view){records,            answer->length, answer->answers, answer->additionals,
                                 answer->stride,     answer->type};
    }
    return entry->count;
}

/* The search path */

bool client_from(struct client *client, const uint8_t *address, size_t size)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (size != 4 && size != 16)
        return false;
    memcpy(client->address, mapped, sizeof mapped);
    memcpy(client->address + 16 - size, address, size);
    client->v4 = !memcmp(client->address, mapped, sizeof mapped);
    return true;
}

int plane_set_client(struct plane *plane, const uint8_t *address, size_t size, const uint8_t *label, size_t length)
{
    struct answer head = {.length = (uint32_t)length};
    struct client client;
    struct entry *entry;

    if (!client_from(&client, address, size) || length > 64)
        return -1;
    entry = entry_new(client.address, sizeof client.address, 0, length != 0, (const uint8_t *)&head, label, length);
    return entry ? table_put(&plane->clients, &plane->epochs, entry) : -1;
}

int plane_remove_client(struct plane *plane, const uint8_t *address, size_t size)
{
    struct client client;

    if (!client_from(&client, address, size))
        return -1;
    return table_remove(&plane->clients, &plane->epochs, client.address, sizeof client.address);
}

/* Networks are added in the order in which they are tried, no more of them than search_new was told. */
int search_add_network(struct search *search, const uint8_t *address, size_t size, unsigned bits,
                       const uint8_t *label, size_t length)
{
    struct network *network = &search->network[search->network_count];

    if (!client_from(&network->base, address, size) || length > sizeof network->label || bits > 8 * size)
        return -1;
    network->base.v4 = size == 4; /* a mapped network is one of IPv6 */
    network->bits = (uint8_t)(bits + (size == 4 ? 96 : 0));
    network->label_length = (uint8_t)length;
    memcpy(network->label, label, length);
    search->network_count++;
    return TABLE_DONE;
}

int search_add_label(struct plane *plane, struct search *search, const uint8_t *label, size_t length)
{
    struct entry *entry = entry_new(label, length, 0, 0, NULL, NULL, 0);

    return entry ? table_put(&search->worldly, &plane->epochs, entry) : -1;
}

/* The search path belongs to the plane from here on; NULL switches short names off. */
void plane_set_search(struct plane *plane, struct search *search)
{
    epochs_retire(&plane->epochs, atomic_exchange(&plane->search, search), search_free);
}

/* One packet, by the control thread */

void plane_open(struct plane *plane, struct published *now, uint32_t *turns)
{
    static const struct zones none;
    const struct zones *zones = atomic_load(&plane->zones);

    now->names = &plane->names;
    now->clients = &plane->clients;
    now->zones = zones ? zones : &none;
    now->search = atomic_load(&plane->search);
    now->turns = turns;
    now->wildcards = atomic_load_explicit(&plane->wildcards, memory_order_relaxed);
    now->edns_size = plane->edns_size;
}

size_t plane_answer(struct plane *plane, const uint8_t *packet, size_t length, const uint8_t *client, size_t size,
                    uint8_t *reply)
{
    struct published now;
    struct request request;
    struct client from;

    if (length > SMALLEST_PAYLOAD) /* no plain query is as long */
        return 0;
    plane_open(plane, &now, plane->turns);
    request.now = &now;
    request.client = size && client_from(&from, client, size) ? &from : NULL;
    memcpy(reply, packet, length);
    return packet_read(&request, reply, length) ? packet_answer(&request, reply) : 0;
}

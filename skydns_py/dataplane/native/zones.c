/* See zones.h. */
#include "zones.h"

#include <stdlib.h>
#include <string.h>

struct zones *zones_with(const struct zones *old, size_t index, const struct zone *zone)
{
    size_t had = old ? old->count : 0, count = index < had ? had : index + 1;
    struct zones *zones;

    if (index > had || count > MAX_ZONES)
        return NULL;
    zones = malloc(sizeof *zones + count * sizeof zones->zone[0]);
    if (!zones)
        return NULL;
    if (had)
        memcpy(zones->zone, old->zone, had * sizeof zones->zone[0]);
    zones->zone[index] = *zone;
    zones->count = count;
    return zones;
}

struct search *search_new(const uint8_t *zone, size_t length, size_t networks, int autopath)
{
    static const uint8_t branch[] = "\3svc";
    const size_t more = sizeof branch - 1;
    struct search *search;

    if (length + more > MAX_KEY || networks > MAX_NETWORKS)
        return NULL;
    search = calloc(1, sizeof *search + networks * sizeof search->network[0]);
    if (!search)
        return NULL;
    if (!table_start(&search->worldly)) {
        search_free(search);
        return NULL;
    }
    search->autopath = autopath != 0;
    memcpy(search->zone.name, zone, length);
    memcpy(search->branch.name, branch, more);
    memcpy(search->branch.name + more, zone, length);
    search->zone.length = (uint8_t)length;
    search->branch.length = (uint8_t)(length + more);
    return search;
}

void search_free(void *memory)
{
    struct search *search = memory;

    if (search)
        table_end(&search->worldly);
    free(search);
}

static bool is_in(const struct client *client, const struct network *network)
{
    size_t whole = network->bits / 8, rest = network->bits % 8;

    if (client->v4 != network->base.v4 || memcmp(client->address, network->base.address, whole) != 0)
        return false;
    return !rest || (client->address[whole] ^ network->base.address[whole]) >> (8 - rest) == 0;
}

const struct network *search_network(const struct search *search, const struct client *client)
{
    for (size_t i = 0; i < search->network_count; i++)
        if (is_in(client, &search->network[i]))
            return &search->network[i];
    return NULL;
}

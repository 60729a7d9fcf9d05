/*
 * Replays what a Python test did to a table, under the sanitizers and without Python: each step is an octet and
 * fields, a field its length in four octets (in the machine's order) and then that many octets.
 *
 *     Z index ttl open apex soa · N zone count name heads records · L names · R name · W on · C address label
 *     S zone · P client packet reply       a number is a field of four octets; S takes no networks
 *
 * A reply must be as long as Python had it and have the same header and question: records may be rotated.
 *
 * usage: replay EDNS_SIZE FILE
 */
#include "fixture.h"

struct field {
    uint32_t size;
    uint8_t *octets; /* of that very size, so that the sanitizer sees one read beyond */
};

static FILE *steps;

static struct field next_field(void)
{
    struct field field;

    REQUIRE(fread(&field.size, sizeof field.size, 1, steps) == 1);
    field.octets = malloc(field.size);
    REQUIRE(fread(field.octets, 1, field.size, steps) == field.size);
    return field;
}

static uint32_t next_number(void)
{
    struct field field = next_field();
    uint32_t number;

    REQUIRE(field.size == sizeof number);
    memcpy(&number, field.octets, sizeof number);
    free(field.octets);
    return number;
}

static void set_zone(struct plane *plane)
{
    uint32_t index = next_number(), ttl = next_number(), open = next_number();
    struct field apex = next_field(), soa = next_field();

    REQUIRE(plane_set_zone(plane, index, apex.octets, apex.size, ttl, soa.octets, soa.size, (int)open) >= 0);
    free(apex.octets);
    free(soa.octets);
}

static void replace(struct plane *plane)
{
    uint32_t zone = next_number(), count = next_number();
    struct field name = next_field(), heads = next_field(), records = next_field();

    REQUIRE(heads.size == count * sizeof(struct answer));
    REQUIRE(plane_replace(plane, name.octets, name.size, (uint16_t)zone, count, heads.octets, records.octets,
                          records.size) >= 0);
    free(name.octets);
    free(heads.octets);
    free(records.octets);
}

static void list_names(struct plane *plane)
{
    struct field names = next_field();

    REQUIRE(plane_list(plane, names.octets, names.size) == 0);
    free(names.octets);
}

static void take_name(struct plane *plane)
{
    struct field name = next_field();

    REQUIRE(plane_remove(plane, name.octets, name.size) >= 0);
    free(name.octets);
}

static void set_client_step(struct plane *plane)
{
    struct field address = next_field(), label = next_field();

    REQUIRE(plane_set_client(plane, address.octets, address.size, label.octets, label.size) >= 0);
    free(address.octets);
    free(label.octets);
}

static void set_search(struct plane *plane)
{
    struct field zone = next_field();
    struct search *search = search_new(zone.octets, zone.size, 0, 1);

    REQUIRE(search);
    REQUIRE(!search_add_label(plane, search, (const uint8_t *)"\3com", 4));
    REQUIRE(!search_add_label(plane, search, (const uint8_t *)"\5local", 6));
    plane_set_search(plane, search);
    free(zone.octets);
}

static void ask(struct plane *plane)
{
    static uint8_t reply[MAX_REPLY];
    struct field client = next_field(), packet = next_field(), expected = next_field();
    size_t length = plane_answer(plane, packet.octets, packet.size, client.octets, client.size, reply);

    REQUIRE(length == expected.size);
    if (length)
        REQUIRE(!memcmp(reply, expected.octets, 12 + strlen((char *)reply + 12) + 5));
    free(client.octets);
    free(packet.octets);
    free(expected.octets);
}

int main(int count, char **arguments)
{
    struct plane *plane;
    unsigned asked = 0;
    int step;

    REQUIRE(count == 3);
    plane = plane_new((uint16_t)atoi(arguments[1]));
    steps = fopen(arguments[2], "rb");
    REQUIRE(plane && steps);
    while ((step = getc(steps)) != EOF) {
        switch (step) {
        case 'Z': set_zone(plane); break;
        case 'N': replace(plane); break;
        case 'L': list_names(plane); break;
        case 'R': take_name(plane); break;
        case 'W': plane_set_wildcards(plane, (int)next_number()); break;
        case 'C': set_client_step(plane); break;
        case 'S': set_search(plane); break;
        case 'P': ask(plane); asked++; break;
        default: REQUIRE(!"a step that is known");
        }
    }
    fclose(steps);
    plane_free(plane);
    printf("%u packets\n", asked);
    return 0;
}

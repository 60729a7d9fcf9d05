/*
 * libFuzzer's entry to the packet function: the first octet chooses client and settings, the rest is the packet.
 * Beside what the sanitizers see, a reply must fit, keep ID and question, and be a response; a declined packet
 * must be as it came.  With STANDALONE it is a program that runs the files it is given.
 */
#include "fixture.h"

static struct plane *planes[2];

/* Slots keep a hash above their pointers, which hides what they hold from the leak check; the stress, which frees
 * its plane, has it on. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static const uint8_t clients[4][16] = {{10, 5, 0, 1}, {10, 5, 0, 2}, {127, 0, 0, 1}, {0xfd, 1}};
static const size_t client_sizes[4] = {4, 4, 4, 16};

static void check_reply(const uint8_t *packet, size_t length, const uint8_t *reply, size_t made, uint16_t most)
{
    REQUIRE(made >= 12 + 5 && length >= 12 + 5);
    REQUIRE(made <= 512 || (packet[11] == 1 && made <= most));
    REQUIRE(memcmp(packet, reply, 2) == 0 && reply[2] & 0x80);
    size_t end = 12 + strlen((const char *)packet + 12) + 5;
    REQUIRE(end <= length && end <= made && memcmp(packet + 12, reply + 12, end - 12) == 0);
}

static void run_in_place(struct plane *plane, const uint8_t *packet, size_t length, const struct client *client)
{
    uint32_t turns[TURNS] = {0};
    struct published now;
    struct request request = {.now = &now, .client = client};
    uint8_t *copy = malloc(MAX_QUERY); /* of this very size, for the sanitizer to watch its end */

    plane_open(plane, &now, turns);
    memcpy(copy, packet, length);
    if (!packet_read(&request, copy, length) || !packet_answer(&request, copy))
        REQUIRE(memcmp(copy, packet, length) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t reply[MAX_QUERY];
    struct client client;
    size_t made, who;
    struct plane *plane;

    if (!planes[0]) {
        planes[0] = fixture(512);
        planes[1] = fixture(MAX_QUERY);
    }
    if (size < 1 || size > MAX_QUERY)
        return 0;
    plane = planes[data[0] & 1];
    who = data[0] >> 1 & 3;
    plane_set_wildcards(plane, data[0] >> 3 & 1);
    uint8_t *packet = malloc(size); /* exact, so that reading one octet too many is seen */
    memcpy(packet, data + 1, size - 1);
    made = plane_answer(plane, packet, size - 1, clients[who], data[0] & 16 ? 0 : client_sizes[who], reply);
    if (made)
        check_reply(packet, size - 1, reply, made, plane->edns_size);
    REQUIRE(client_from(&client, clients[who], client_sizes[who]));
    run_in_place(plane, packet, size - 1, &client);
    free(packet);
    return 0;
}

#ifdef STANDALONE
int main(int count, char **files)
{
    static uint8_t data[MAX_QUERY + 1];

    for (int i = 1; i < count; i++) {
        FILE *file = fopen(files[i], "rb");
        REQUIRE(file);
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    plane_free(planes[0]);
    plane_free(planes[1]);
    printf("%d files\n", count - 1);
    return 0;
}
#endif

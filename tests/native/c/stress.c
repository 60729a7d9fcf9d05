/*
 * Everything at once, for ThreadSanitizer and AddressSanitizer: two threads serve while the control thread
 * replaces, removes and grows, changes zones, search path and clients, fetches misses and reads counters, and two
 * clients ask.  Names with an even number always exist: each of their answers must come, and be whole.
 *
 * usage: stress SECONDS
 */
#define _GNU_SOURCE
#include "fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NAMES 400
#define SERVERS 2
#define WINDOW 16
#define WAIT_MS 5000

static atomic_bool done;
static struct sockaddr_in place;

struct asker {
    pthread_t id;
    unsigned asked, lost, wrong;
};

static void text_of(unsigned number, char *text, size_t size)
{
    snprintf(text, size, "svc-%u.my-ns.svc." ZONE_TEXT, number);
}

static void put_name(struct plane *plane, unsigned number, uint8_t mark)
{
    char text[100];

    text_of(number, text, sizeof text);
    fixture_name(plane, text, 1, 1 + number % 3, 4, mark);
}

static void drop_name(struct plane *plane, unsigned number)
{
    char text[100];
    uint8_t name[MAX_KEY];

    text_of(number, text, sizeof text);
    REQUIRE(plane_remove(plane, name, wire_name(text, name)) >= 0);
}

/* List an odd name, or a new one, without answers. */
static void list_name(struct plane *plane, unsigned number)
{
    char text[100];
    uint8_t name[MAX_KEY];

    text_of(number, text, sizeof text);
    REQUIRE(plane_list(plane, name, wire_name(text, name)) == 0);
}

/* Even ones in full, others short or in the client's first search domain (those are misses now and then). */
static size_t make_query(unsigned number, uint8_t *packet)
{
    char text[100];
    uint8_t header[12] = {(uint8_t)(number >> 8), (uint8_t)number, 1, 0, 0, 1};

    if (number % 4 == 1)
        snprintf(text, sizeof text, "svc-%u", number);
    else if (number % 4 == 3)
        snprintf(text, sizeof text, "svc-%u.my-ns.my-ns.svc." ZONE_TEXT, number);
    else
        text_of(number, text, sizeof text);
    memcpy(packet, header, 12);
    uint8_t *at = packet + 12 + wire_name(text, packet + 12);
    at = put16(put16(at, 1), 1);
    return (size_t)(at - packet);
}

/* All records of one answer carry one mark: it was not put together from two generations. */
static bool is_whole(const uint8_t *reply, size_t length, unsigned number)
{
    size_t at = 12 + strlen((const char *)reply + 12) + 5;

    if (length < at || (reply[3] & 15) || reply[7] != 1 + number % 3)
        return false;
    for (size_t i = 0; i < reply[7]; i++)
        if (reply[at + 16 * i + 12] != reply[at + 12])
            return false;
    return length == at + 16u * reply[7];
}

static void ask_window(struct asker *asker, int fd, unsigned first)
{
    uint8_t packet[600];

    for (unsigned i = 0; i < WINDOW; i++)
        send(fd, packet, make_query((first + i) % NAMES, packet), 0);
    for (unsigned i = 0; i < WINDOW; i++) {
        ssize_t length = recv(fd, packet, sizeof packet, 0);
        if (length < 12) {
            asker->lost++;
            continue;
        }
        unsigned number = (unsigned)packet[0] << 8 | packet[1];
        if (number % 2 == 0 && !is_whole(packet, (size_t)length, number))
            asker->wrong++;
    }
    asker->asked += WINDOW;
}

static void *ask(void *argument)
{
    struct asker *asker = argument;
    struct timeval wait = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    REQUIRE(fd >= 0 && !connect(fd, (struct sockaddr *)&place, sizeof place));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    for (unsigned first = 0; !atomic_load(&done); first += WINDOW + 1)
        ask_window(asker, fd, first);
    close(fd);
    return NULL;
}

/* The slow path: REFUSED for all that comes. */
static void answer_misses(struct plane *plane)
{
    struct miss *found[64];
    size_t count;

    while ((count = plane_take(plane, found, 64)) > 0) {
        for (size_t i = 0; i < count; i++) {
            found[i]->packet[2] |= 0x80;
            found[i]->packet[3] = 5;
            plane_send(plane, found[i], found[i]->packet, found[i]->length);
            miss_free(found[i]);
        }
    }
}

static void change(struct plane *plane, unsigned round)
{
    uint64_t values[COUNTER_COUNT];
    uint8_t label[7] = "\5my-ns";

    for (unsigned number = 0; number < NAMES; number++) {
        if (number % 2 && (round + number) % 5 == 0)
            drop_name(plane, number);
        else if (number % 2 && (round + number) % 5 == 2)
            list_name(plane, number);
        else
            put_name(plane, number, (uint8_t)round);
        if (number % 16 == 0)
            answer_misses(plane);
    }
    for (unsigned number = NAMES; number < NAMES + 2000 && round % 8 == 0; number++) {
        if (number % 3)
            list_name(plane, number);
        else
            put_name(plane, number, 0);
        if (number % 16 == 0)
            answer_misses(plane);
    }
    for (unsigned number = NAMES; number < NAMES + 2000 && round % 8 == 4; number++) {
        drop_name(plane, number);
        if (number % 16 == 0)
            answer_misses(plane);
    }
    fixture_zone(plane, 0, ZONE_TEXT, round + 1, 0);
    fixture_search(plane);
    plane_set_wildcards(plane, round % 2);
    plane_set_client(plane, (const uint8_t[]){127, 0, 0, 1}, 4, label, round % 3 ? 6 : 0);
    if (round % 3 == 1)
        plane_remove_client(plane, (const uint8_t[]){127, 0, 0, 1}, 4);
    for (size_t thread = 0; thread <= plane_threads(plane); thread++)
        plane_counters(plane, thread, values);
    plane_depth(plane);
}

static int open_server(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t size = sizeof place;

    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    REQUIRE(!bind(fd, (struct sockaddr *)&place, sizeof place));
    REQUIRE(!getsockname(fd, (struct sockaddr *)&place, &size));
    return fd;
}

int main(int count, char **arguments)
{
    struct plane *plane = fixture(1232);
    struct asker askers[2] = {{0}};
    int fds[SERVERS];
    uint8_t wildcard[SERVERS] = {0};
    time_t end = time(NULL) + (count > 1 ? atoi(arguments[1]) : 1);
    unsigned round = 0;

    for (unsigned number = 0; number < NAMES; number++)
        put_name(plane, number, 0);
    for (int i = 0; i < SERVERS; i++)
        fds[i] = open_server();
    REQUIRE(plane_start(plane, fds, wildcard, SERVERS) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(!pthread_create(&askers[i].id, NULL, ask, &askers[i]));
    while (time(NULL) < end)
        change(plane, ++round);
    atomic_store(&done, true);
    for (int i = 0; i < 40; i++) { /* the last windows' misses */
        struct pollfd event = {.fd = plane_event(plane), .events = POLLIN};
        poll(&event, 1, 5);
        answer_misses(plane);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(askers[i].id, NULL);
    REQUIRE(plane_stop(plane) == 0);
    plane_free(plane);
    for (int i = 0; i < SERVERS; i++)
        close(fds[i]);
    printf("rounds %u asked %u lost %u wrong %u\n", round, askers[0].asked + askers[1].asked,
           askers[0].lost + askers[1].lost, askers[0].wrong + askers[1].wrong);
    REQUIRE(round && askers[0].asked && askers[1].asked);
    REQUIRE(!askers[0].wrong && !askers[1].wrong && !askers[0].lost && !askers[1].lost);
    return 0;
}

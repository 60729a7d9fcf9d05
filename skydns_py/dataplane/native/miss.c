/* Questions for the slow path, and its replies; with the addresses that both need. */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(COUNT_MISS_MORE - COUNT_MISS_64 == 15, "buckets of count_slow");
_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) <= CONTROL_SIZE, "room for one");
_Static_assert(CMSG_SPACE(sizeof(struct in_pktinfo)) <= CONTROL_SIZE, "room for one");

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_info(const struct cmsghdr *control, int level, int type, size_t size)
{
    return control->cmsg_level == level && control->cmsg_type == type && control->cmsg_len >= CMSG_LEN(size);
}

/* Turn the packet information that came with a query into that of its reply (serve.h, rule 4). */
void source_control(struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);

    if (control && is_info(control, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        info = (struct in_pktinfo){.ipi_spec_dst = info.ipi_addr};
        memcpy(CMSG_DATA(control), &info, sizeof info);
    } else if (control && is_info(control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
            info.ipi6_ifindex = 0;
        memcpy(CMSG_DATA(control), &info, sizeof info);
    } else {
        message->msg_control = NULL;
        message->msg_controllen = 0;
    }
}

static void set_peer(struct miss *miss, const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *from = (const struct sockaddr_in *)peer;
        miss->host_size = 4;
        miss->port = ntohs(from->sin_port);
        memcpy(miss->host, &from->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *from = (const struct sockaddr_in6 *)peer;
        miss->host_size = 16;
        miss->port = ntohs(from->sin6_port);
        miss->scope = from->sin6_scope_id;
        memcpy(miss->host, &from->sin6_addr, 16);
    }
}

static void set_local(struct miss *miss, const struct msghdr *message)
{
    struct msghdr copy = *message;
    struct cmsghdr *control = CMSG_FIRSTHDR(&copy);

    if (control && is_info(control, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        miss->local_size = 4;
        memcpy(miss->local, &info.ipi_addr, 4);
    } else if (control && is_info(control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        miss->local_size = 16;
        miss->interface = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        memcpy(miss->local, &info.ipi6_addr, 16);
    }
}

struct miss *miss_new(const struct thread *thread, const struct msghdr *message, const uint8_t *packet, size_t length,
                      uint64_t now)
{
    struct miss *miss = calloc(1, sizeof *miss + length);

    if (!miss)
        return NULL;
    miss->arrived_ns = now;
    miss->length = (uint32_t)length;
    miss->socket = thread->index;
    set_peer(miss, message->msg_name);
    set_local(miss, message);
    memcpy(miss->packet, packet, length);
    return miss;
}

void miss_free(struct miss *miss)
{
    free(miss);
}

/* Take what waits, `most` at most. The event is lowered first, so that what comes meanwhile raises it anew, and
 * raised again where something may be left. */
size_t plane_take(struct plane *plane, struct miss **found, size_t most)
{
    uint64_t raised = 1;
    size_t taken;

    if (read(plane->event, &raised, sizeof raised) < 0 && errno != EAGAIN)
        return 0;
    taken = ring_take(&plane->ring, found, most);
    raised = 1;
    if (taken == most && write(plane->event, &raised, sizeof raised) < 0)
        return taken; /* it is raised already, as far as it goes */
    return taken;
}

/* The reply's way back */

static socklen_t peer_of(struct sockaddr_storage *peer, const struct miss *miss)
{
    memset(peer, 0, sizeof *peer);
    if (miss->host_size == 4) {
        struct sockaddr_in *to = (struct sockaddr_in *)peer;
        to->sin_family = AF_INET;
        to->sin_port = htons(miss->port);
        memcpy(&to->sin_addr, miss->host, 4);
        return sizeof *to;
    }
    struct sockaddr_in6 *to = (struct sockaddr_in6 *)peer;
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(miss->port);
    to->sin6_scope_id = miss->scope;
    memcpy(&to->sin6_addr, miss->host, 16);
    return sizeof *to;
}

static void put_info(struct msghdr *message, int level, int type, const void *info, size_t size)
{
    struct cmsghdr *control;

    message->msg_controllen = CMSG_SPACE(size);
    control = CMSG_FIRSTHDR(message);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), info, size);
}

static void set_source(struct msghdr *message, uint8_t *control, const struct miss *miss)
{
    if (!miss->local_size)
        return;
    memset(control, 0, CONTROL_SIZE);
    message->msg_control = control;
    if (miss->local_size == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, miss->local, 4);
        put_info(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = miss->interface};
        memcpy(&info.ipi6_addr, miss->local, 16);
        put_info(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

static void count_slow(struct counters *counters, const struct miss *miss, const uint8_t *reply, size_t length)
{
    uint64_t spent = (now_ns() - miss->arrived_ns) / 1000;

    count(counters, COUNT_MISS_64 + bucket(spent, 64, 15), 1);
    count(counters, COUNT_MISS_SUM, spent);
    count(counters, COUNT_RCODE_0 + (length > 3 ? reply[3] & 15u : 0), 1);
    count(counters, COUNT_REPLY_64 + bucket(length, 64, 4), 1);
    count(counters, COUNT_REPLY_SUM, length);
}

int plane_send(struct plane *plane, const struct miss *miss, const uint8_t *reply, size_t length)
{
    struct sockaddr_storage peer;
    _Alignas(8) uint8_t control[CONTROL_SIZE];
    struct iovec part = {(void *)(uintptr_t)reply, length};
    struct msghdr message = {.msg_name = &peer, .msg_iov = &part, .msg_iovlen = 1};

    if (miss->socket >= plane->thread_count)
        return -EBADF; /* stopped meanwhile */
    message.msg_namelen = peer_of(&peer, miss);
    set_source(&message, control, miss);
    count_slow(&plane->stopped, miss, reply, length);
    if (sendmsg(plane->threads[miss->socket]->socket, &message, MSG_DONTWAIT) >= 0)
        return TABLE_DONE;
    count(&plane->stopped, COUNT_SEND_ERRORS, 1);
    return -errno;
}

/* Counters */

struct counter_text {
    const char *group, *name;
};

#define COUNTER_TEXT(name, group, text) {group, text},
static const struct counter_text counter_texts[] = {COUNTERS(COUNTER_TEXT)};

size_t counter_count(void)
{
    return COUNTER_COUNT;
}

const char *counter_group(size_t counter)
{
    return counter < COUNTER_COUNT ? counter_texts[counter].group : NULL;
}

const char *counter_name(size_t counter)
{
    return counter < COUNTER_COUNT ? counter_texts[counter].name : NULL;
}

/* Those of thread number `thread`, or of the control thread and threads that have ended where there is none. */
void plane_counters(struct plane *plane, size_t thread, uint64_t *values)
{
    struct counters *counters =
        thread < plane->thread_count ? &plane->threads[thread]->counters : &plane->stopped;

    for (size_t i = 0; i < COUNTER_COUNT; i++)
        values[i] = atomic_load_explicit(&counters->value[i], memory_order_relaxed);
}

size_t plane_depth(struct plane *plane)
{
    return ring_depth(&plane->ring);
}

/* The serving threads; their rules stand in serve.h. */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert(COUNT_QUERY_MORE - COUNT_QUERY_64 == 4, "buckets of count_query");
_Static_assert(COUNT_REPLY_MORE - COUNT_REPLY_64 == 4, "buckets of count_reply");
_Static_assert(COUNT_OUTCOME_AUTOPATH_NO_DATA - COUNT_OUTCOME_ANSWERED == AUTOPATH_NO_DATA - ANSWERED, "outcomes");
_Static_assert(COUNT_RCODE_15 - COUNT_RCODE_0 == 15, "response codes");

/* Counting */

static unsigned type_counter(uint16_t type)
{
    switch (type) {
    case 1: return COUNT_TYPE_A;
    case 2: return COUNT_TYPE_NS;
    case 5: return COUNT_TYPE_CNAME_;
    case 6: return COUNT_TYPE_SOA;
    case 12: return COUNT_TYPE_PTR;
    case 15: return COUNT_TYPE_MX;
    case 16: return COUNT_TYPE_TXT;
    case 28: return COUNT_TYPE_AAAA;
    case 33: return COUNT_TYPE_SRV;
    case 65: return COUNT_TYPE_HTTPS;
    case 255: return COUNT_TYPE_ANY_;
    default: return COUNT_TYPE_OTHER;
    }
}

static void count_reply(struct counters *counters, const uint8_t *reply, size_t length)
{
    count(counters, COUNT_RCODE_0 + (reply[3] & 15u), 1);
    count(counters, COUNT_REPLY_64 + bucket(length, 64, 4), 1);
    count(counters, COUNT_REPLY_SUM, length);
}

static void count_query(struct counters *counters, size_t length)
{
    count(counters, COUNT_QUERY_64 + bucket(length, 64, 4), 1);
    count(counters, COUNT_QUERY_SUM, length);
}

/* One batch */

static void set_client(struct client *client, const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET)
        client_from(client, (const uint8_t *)&((const struct sockaddr_in *)peer)->sin_addr, 4);
    else
        client_from(client, (const uint8_t *)&((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
}

/* Shorter than a header, or a response: no reply at all (answers/query.py, rule 1). */
static bool is_silent(const uint8_t *packet, size_t length)
{
    return length < DNS_HEADER || packet[2] & 0x80;
}

static void pass_on(struct thread *thread, const struct msghdr *message, const uint8_t *packet, size_t length)
{
    struct miss *miss = miss_new(thread, message, packet, length, now_ns());

    count(&thread->counters, COUNT_MISSES, 1);
    if (!miss || !ring_push(&thread->plane->ring, miss))
        count(&thread->counters, COUNT_OVERWRITTEN, 1);
}

enum fate { SILENT, PASSED_ON, PLAIN };

/* First pass: what is to become of a datagram. */
static enum fate read_query(struct thread *thread, const struct published *now, unsigned i, bool ready)
{
    const uint8_t *packet = thread->in_parts[i].iov_base;
    size_t length = thread->in[i].msg_len;
    struct request *request = &thread->requests[i];

    count_query(&thread->counters, length);
    if (is_silent(packet, length))
        return SILENT;
    request->now = now;
    if (!ready || !packet_read(request, packet, length))
        return PASSED_ON;
    table_expect_slot(now->names, request->hash);
    return PLAIN;
}

/* The reply, made and queued as number `replies`; false where none is due from here. */
static bool answer(struct thread *thread, unsigned i, unsigned replies)
{
    struct request *request = &thread->requests[i];
    struct msghdr *message = &thread->in[i].msg_hdr, *out = &thread->out[replies].msg_hdr;
    uint8_t *packet = message->msg_iov->iov_base;
    struct client client;
    size_t made;

    set_client(&client, message->msg_name);
    request->client = &client;
    count(&thread->counters, type_counter(request->type), 1);
    made = packet_answer(request, packet);
    if (!made)
        return false;
    count(&thread->counters, COUNT_OUTCOME_ANSWERED + (request->outcome - ANSWERED), 1);
    count_reply(&thread->counters, packet, made);
    thread->out_parts[replies] = (struct iovec){packet, made};
    *out = *message;
    out->msg_iov = &thread->out_parts[replies];
    if (thread->wildcard)
        source_control(out);
    return true;
}

/* The replies to a batch of `received` datagrams, made ready to be sent: how many; `*missed`: any was passed on. */
static unsigned answer_batch(struct thread *thread, unsigned received, bool *missed)
{
    bool ready = atomic_load(&thread->plane->ready);
    struct published now;
    enum fate fates[BATCH];
    unsigned replies = 0;

    plane_open(thread->plane, &now, thread->turns);
    for (unsigned i = 0; i < received; i++)
        fates[i] = read_query(thread, &now, i, ready);
    for (unsigned i = 0; i < received; i++)
        if (fates[i] == PLAIN)
            table_expect_entry(now.names, thread->requests[i].hash);
    for (unsigned i = 0; i < received; i++) {
        if (fates[i] == PLAIN && answer(thread, i, replies)) {
            replies++;
        } else if (fates[i] == SILENT) {
            count(&thread->counters, COUNT_SILENT, 1);
        } else {
            pass_on(thread, &thread->in[i].msg_hdr, thread->in_parts[i].iov_base, thread->in[i].msg_len);
            *missed = true;
        }
    }
    return replies;
}

/* One datagram's failure does not keep the others. */
static void send_batch(struct thread *thread, unsigned replies)
{
    unsigned sent = 0;

    while (sent < replies) {
        int now = sendmmsg(thread->socket, thread->out + sent, replies - sent, MSG_DONTWAIT);
        if (now > 0) {
            sent += (unsigned)now;
        } else if (now == 0 || errno != EINTR) {
            count(&thread->counters, COUNT_SEND_ERRORS, 1);
            sent++;
        }
    }
}

/* A thread */

/* What the kernel wrote into the headers last time is the room for the next. */
static void set_room(struct thread *thread, unsigned used)
{
    for (unsigned i = 0; i < used; i++) {
        thread->in[i].msg_hdr.msg_namelen = sizeof thread->places[i].peer;
        thread->in[i].msg_hdr.msg_controllen = thread->wildcard ? CONTROL_SIZE : 0;
        thread->in[i].msg_hdr.msg_flags = 0;
    }
}

static void serve_batch(struct thread *thread, unsigned received)
{
    struct plane *plane = thread->plane;
    const uint64_t one = 1;
    bool missed = false;
    unsigned replies;

    count(&thread->counters, COUNT_RECEIVED, received);
    count(&thread->counters, COUNT_BATCHES, 1);
    reader_enter(&plane->epochs, &thread->reader);
    replies = answer_batch(thread, received, &missed);
    reader_leave(&thread->reader);
    send_batch(thread, replies);
    if (missed && write(plane->event, &one, sizeof one) < 0)
        return; /* the event is raised already, as far as it goes */
}

static void *serve(void *argument)
{
    struct thread *thread = argument;

    while (!atomic_load(&thread->stop)) {
        int received = recvmmsg(thread->socket, thread->in, BATCH, MSG_WAITFORONE, NULL);
        if (received > 0) {
            serve_batch(thread, (unsigned)received);
            set_room(thread, (unsigned)received);
        } else if (received < 0 && errno != EAGAIN && errno != EINTR) {
            count(&thread->counters, COUNT_RECEIVE_ERRORS, 1);
            if (errno == EBADF || errno == ENOTSOCK)
                break;
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* whatever it is, do not spin on it */
        }
    }
    return NULL;
}

static void thread_free(struct thread *thread)
{
    if (thread)
        free(thread->buffers);
    free(thread);
}

/* Rule 2. */
static void set_buffers(struct thread *thread)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct msghdr *message = &thread->in[i].msg_hdr;
        thread->in_parts[i] = (struct iovec){thread->buffers + i * thread->buffer_step, MAX_QUERY};
        message->msg_iov = &thread->in_parts[i];
        message->msg_iovlen = 1;
        message->msg_name = &thread->places[i].peer;
        message->msg_control = thread->wildcard ? thread->places[i].control : NULL;
    }
    set_room(thread, BATCH);
}

static struct thread *thread_new(struct plane *plane, int socket, uint16_t index, bool wildcard)
{
    struct thread *thread = aligned_alloc(CACHE_LINE, sizeof *thread);

    if (!thread)
        return NULL;
    memset(thread, 0, sizeof *thread);
    thread->plane = plane;
    thread->socket = socket;
    thread->index = index;
    thread->wildcard = wildcard;
    thread->buffer_step = (plane->edns_size > MAX_QUERY ? plane->edns_size : MAX_QUERY) + CACHE_LINE;
    thread->buffers = malloc(BATCH * thread->buffer_step);
    if (!thread->buffers) {
        thread_free(thread);
        return NULL;
    }
    set_buffers(thread);
    return thread;
}

/* Signals are the main thread's: Python's handlers run there. */
static int thread_run(struct thread *thread)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread->id, NULL, serve, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->running = !failed;
    return failed;
}

/* Blocking, so that the thread sleeps in recvmmsg, but never for long (rule 3). */
static int set_blocking(int socket)
{
    struct timeval wait = {.tv_usec = STOP_CHECK_MS * 1000};
    int flags = fcntl(socket, F_GETFL);

    if (flags < 0 || fcntl(socket, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return errno;
    return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 ? errno : 0;
}

/* Make all threads, then start them; a failure ends those that run. */
int plane_start(struct plane *plane, const int *sockets, const uint8_t *wildcard, size_t count)
{
    struct reader *readers[MAX_READERS];
    int failed = 0;

    if (plane->thread_count || count > MAX_READERS)
        return -1;
    for (size_t i = 0; i < count && !failed; i++) {
        struct thread *thread = thread_new(plane, sockets[i], (uint16_t)i, wildcard[i]);
        failed = thread ? set_blocking(sockets[i]) : ENOMEM;
        if (!thread)
            break;
        plane->threads[plane->thread_count++] = thread;
        readers[i] = &thread->reader;
    }
    epochs_set_readers(&plane->epochs, readers, plane->thread_count);
    for (size_t i = 0; i < count && !failed; i++)
        failed = thread_run(plane->threads[i]);
    if (failed)
        plane_stop(plane);
    return -failed;
}

/* What a thread counted outlives it. */
static void keep_counters(struct plane *plane, struct thread *thread)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        count(&plane->stopped, i, atomic_load(&thread->counters.value[i]));
}

int plane_stop(struct plane *plane)
{
    for (size_t i = 0; i < plane->thread_count; i++)
        atomic_store(&plane->threads[i]->stop, true);
    for (size_t i = 0; i < plane->thread_count; i++) {
        if (plane->threads[i]->running)
            pthread_join(plane->threads[i]->id, NULL);
        keep_counters(plane, plane->threads[i]);
        thread_free(plane->threads[i]);
    }
    plane->thread_count = 0;
    epochs_set_readers(&plane->epochs, NULL, 0);
    return TABLE_DONE;
}

size_t plane_threads(struct plane *plane)
{
    return plane->thread_count;
}

/* What Python sees of the data plane: read by build.py as it is, and included by plane.h, nowhere else.
 *
 * Calls come from one thread, the control thread; serving threads are made and ended by them alone. Results are
 * 0 for done, 1 for nothing to do, -1 where memory is short or an argument is out of bounds, -errno from the
 * system.  Names are lower-case wire names; addresses have 4 or 16 octets. */

struct plane;
struct search;

/* A question on its way to the slow path. Addresses have `host_size` octets (4 or 16). */
struct miss {
    uint64_t arrived_ns; /* CLOCK_MONOTONIC */
    uint32_t length;     /* octets of the packet */
    uint32_t scope;      /* of a link-local IPv6 client */
    uint32_t interface;  /* that `local` belongs to, where it is link-local; else 0 */
    uint16_t socket;     /* index into the sockets given to plane_start */
    uint16_t port;       /* of the client */
    uint8_t host_size;
    uint8_t local_size;  /* 0: the socket has one address, from which it sends anyway */
    uint8_t host[16];
    uint8_t local[16];   /* the address that was asked */
    uint8_t packet[];
};

/* One type at a name, as it lies in the table; valid until the next change. */
struct view {
    const uint8_t *records;
    uint32_t length, answers, additionals, stride;
    uint16_t type;
};

struct plane *plane_new(uint16_t edns_size);
void plane_free(struct plane *plane);
int plane_event(struct plane *plane);
void plane_set_ready(struct plane *plane, int ready);
void plane_set_wildcards(struct plane *plane, int wildcards);

int plane_set_zone(struct plane *plane, size_t index, const uint8_t *apex, size_t length, uint32_t ttl,
                   const uint8_t *soa, size_t soa_length, int open);
int plane_replace(struct plane *plane, const uint8_t *name, size_t length, uint16_t zone, size_t count,
                  const uint8_t *heads, const uint8_t *records, size_t octets);
int plane_list(struct plane *plane, const uint8_t *names, size_t octets);
int plane_remove(struct plane *plane, const uint8_t *name, size_t length);
size_t plane_names(struct plane *plane);
size_t plane_waiting(struct plane *plane);
int plane_find(struct plane *plane, const uint8_t *name, size_t length, struct view *views);

int plane_set_client(struct plane *plane, const uint8_t *address, size_t size, const uint8_t *label, size_t length);
int plane_remove_client(struct plane *plane, const uint8_t *address, size_t size);
struct search *search_new(const uint8_t *zone, size_t length, size_t networks, int autopath);
int search_add_network(struct search *search, const uint8_t *address, size_t size, unsigned bits,
                       const uint8_t *label, size_t length);
int search_add_label(struct plane *plane, struct search *search, const uint8_t *label, size_t length);
void plane_set_search(struct plane *plane, struct search *search);

size_t plane_answer(struct plane *plane, const uint8_t *packet, size_t length, const uint8_t *client, size_t size,
                    uint8_t *reply);

int plane_start(struct plane *plane, const int *sockets, const uint8_t *wildcard, size_t count);
int plane_stop(struct plane *plane);
size_t plane_take(struct plane *plane, struct miss **found, size_t most);
void miss_free(struct miss *miss);
int plane_send(struct plane *plane, const struct miss *miss, const uint8_t *reply, size_t length);

size_t counter_count(void);
const char *counter_group(size_t counter);
const char *counter_name(size_t counter);
size_t plane_threads(struct plane *plane);
void plane_counters(struct plane *plane, size_t thread, uint64_t *values);
size_t plane_depth(struct plane *plane);

/* Which names exist. `moved` has 128 places and takes the offsets of the names above that began or ceased to exist
 * with this one; the result is how many. The state is 0, or 1 for one that exists plus 2 for one that is owned.
 * existence_own_all takes names one after the other; its `moved` has 256 places for each, and takes where in `names`
 * each name above begins and ends. */
struct existence;
struct existence *existence_new(void);
void existence_free(struct existence *existence);
int existence_put(struct existence *existence, const uint8_t *name, size_t length);
int existence_begin(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved);
int existence_own(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved);
int existence_own_all(struct existence *existence, const uint8_t *names, size_t octets, uint32_t *moved);
int existence_disown(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved);
int existence_state(const struct existence *existence, const uint8_t *name, size_t length);

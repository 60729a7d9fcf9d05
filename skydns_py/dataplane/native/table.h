/*
 * Immutable entries by key (a lower-case wire name, an address or a label), read by many while one writes.
 *
 * 1. Open addressing, linear probing.  A slot is one atomic word: 48 bits of pointer and 16 of the key's hash.
 *    So a slot that holds another key is passed without touching its entry, and replacing an entry is one store.
 * 2. An entry never changes once it is in a slot.  What leaves a slot is retired (reclaim.h).
 * 3. A removed entry leaves a mark, so that runs of slots stay whole.  Slots are copied to a new array when
 *    three quarters are used, marks included; readers go on in the old array, which still holds what it held.
 * 4. Keys are hashed with a secret (siphash.h): who chooses names cannot choose slots.
 * 5. A key that is listed, and has no answers yet, has no entry: its slot holds 62 bits of its hash instead of a
 *    pointer.  Most of a cluster's names are never asked for; a slot is 14 octets on average, an entry beside it was
 *    64 more.  A name that is not listed and hashes to one that is goes the slow path, which knows better; two listed
 *    ones that do share a slot, so that the second is not found once the first has an entry or is gone: among a
 *    million names there are such two with a probability of 10^-7, and without the secret nobody can make them.
 * 6. An entry is one piece of memory: 8 octets, the answers' heads, the key, the answers' records.
 */
#ifndef SKYDNS_TABLE_H
#define SKYDNS_TABLE_H

#include "reclaim.h"

#include <stdbool.h>

#define TAG_SHIFT 48      /* bits of a slot that are pointer */
#define HOME_SHIFT 2      /* bits of a hash that say nothing about its slot: rule 5 takes them for marks */
#define MAX_KEY 255       /* octets: a wire name (RFC 1035 section 2.3.4) */
#define LAZY_ZONE 0xffff  /* the name exists; its answers are computed when asked for */
#define MAX_ANSWERS 255   /* types at one name; the schema and SkyDNS together make ten */

/* One type's records. `length` octets follow those of the answer before; `stride` is the octets of each record
 * where they are to be rotated, else 0.  Counts may pass 16 bits: such an answer is cut when it is sent. */
struct answer {
    uint32_t length, answers, additionals, stride;
    uint16_t type, unused;
};

struct entry {
    uint32_t home; /* where `table_home` begins, before the mask */
    uint16_t zone; /* index into the zones served; LAZY_ZONE for the one that stands for all of rule 5 */
    uint8_t key_length;
    uint8_t count;
    struct answer answers[]; /* `count` of them, then the key, then the records */
};

_Static_assert(sizeof(struct answer) == 20, "packed by table.py as =4I2H");
_Static_assert(sizeof(struct entry) == 8, "what an entry adds to its key");
_Static_assert(sizeof(void *) == 8, "a slot keeps a hash above 48 bits of pointer");

struct slots {
    size_t mask;
    _Atomic uint64_t slot[];
};

struct table {
    _Atomic(struct slots *) slots;
    size_t used, live; /* slots that are not empty, and those of them that hold an entry; the writer's */
    uint64_t secret[2];
};

static inline const uint8_t *entry_key(const struct entry *entry)
{
    return (const uint8_t *)(entry->answers + entry->count);
}

static inline const uint8_t *entry_records(const struct entry *entry)
{
    return entry_key(entry) + entry->key_length;
}

/* The octets of the wire name that `name` begins with; 0 where none ends within `most` octets or MAX_KEY. */
static inline size_t name_length(const uint8_t *name, size_t most)
{
    size_t at = 0;

    while (at < most && name[at])
        at += 1u + name[at];
    return at < most && at < MAX_KEY ? at + 1 : 0;
}

/* False where memory or randomness is short. */
bool table_start(struct table *table);

/* Free all; no reader is left. */
void table_end(struct table *table);

uint64_t table_hash(const struct table *table, const uint8_t *key, size_t length);

/* The slot where the search for a key with this hash begins. */
static inline size_t table_home(const struct slots *slots, uint64_t hash)
{
    return hash >> HOME_SHIFT & slots->mask;
}

/* The entry of a key whose `table_hash` is `hash`, or NULL; one of zone LAZY_ZONE for a key that is only
 * listed.  For readers within reader_enter, and the writer. */
const struct entry *table_find(struct table *table, uint64_t hash, const uint8_t *key, size_t length);

/* An entry that is in no table yet: `heads` are `count` structs of `answer`, `records` what they describe, octets
 * in all.  NULL where memory is short or the parts do not fit together. */
struct entry *entry_new(const uint8_t *key, size_t key_length, uint16_t zone, size_t count, const uint8_t *heads,
                        const uint8_t *records, size_t octets);

enum table_result { TABLE_FAILED = -1, TABLE_DONE = 0, TABLE_UNCHANGED = 1 };

/* Publish an entry in place of the one with its key, if any. It belongs to the table then, also on failure
 * (memory is short) and where the same was there already, which is left untouched. */
enum table_result table_put(struct table *table, struct epochs *epochs, struct entry *entry);

/* List a key without an entry (rule 5); an entry that it had is retired. */
enum table_result table_list(struct table *table, struct epochs *epochs, const uint8_t *key, size_t length);

/* Take a key out. */
enum table_result table_remove(struct table *table, struct epochs *epochs, const uint8_t *key, size_t length);

/* Ask the processor for the slot that `table_find` will look at first. */
static inline void table_expect_slot(struct table *table, uint64_t hash)
{
    struct slots *slots = atomic_load(&table->slots);
    __builtin_prefetch((const void *)&slots->slot[table_home(slots, hash)]);
}

/* The same for the entry in that slot, whichever it is. */
static inline void table_expect_entry(struct table *table, uint64_t hash)
{
    struct slots *slots = atomic_load(&table->slots);
    uintptr_t entry = atomic_load(&slots->slot[table_home(slots, hash)]) & ((UINT64_C(1) << TAG_SHIFT) - 1);

    __builtin_prefetch((const void *)entry);
    __builtin_prefetch((const void *)(entry + CACHE_LINE));
}

#endif

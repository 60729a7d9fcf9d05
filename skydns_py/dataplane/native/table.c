/* The table of table.h: its rules are numbered there. */
#define _GNU_SOURCE
#include "table.h"

#include "siphash.h"

#include <stdlib.h>
#include <sys/random.h>

#define EMPTY 0
#define REMOVED 1 /* no entry has this address, nor the bit of LAZY in its own */
#define LAZY 2
#define FEWEST_SLOTS 64

static const struct entry lazy = {.zone = LAZY_ZONE};

static struct entry *pointer(uint64_t word)
{
    return (struct entry *)(uintptr_t)(word & ((UINT64_C(1) << TAG_SHIFT) - 1));
}

static bool is_entry(uint64_t word)
{
    return word > REMOVED && !(word & LAZY);
}

static uint64_t lazy_word(uint64_t hash)
{
    return (hash & ~UINT64_C(3)) | LAZY;
}

static uint64_t slot_word(const struct entry *entry, uint64_t hash)
{
    return (uint64_t)(uintptr_t)entry | hash >> TAG_SHIFT << TAG_SHIFT;
}

static size_t entry_size(const struct entry *entry)
{
    size_t size = (size_t)(entry_records(entry) - (const uint8_t *)entry);

    for (size_t i = 0; i < entry->count; i++)
        size += entry->answers[i].length;
    return size;
}

static struct slots *slots_new(size_t count)
{
    struct slots *slots = calloc(1, sizeof *slots + count * sizeof slots->slot[0]);

    if (slots)
        slots->mask = count - 1;
    return slots;
}

bool table_start(struct table *table)
{
    struct slots *slots = slots_new(FEWEST_SLOTS);

    atomic_init(&table->slots, slots);
    table->used = table->live = 0;
    return slots && getrandom(table->secret, sizeof table->secret, 0) == sizeof table->secret;
}

void table_end(struct table *table)
{
    struct slots *slots = atomic_load(&table->slots);

    for (size_t i = 0; slots && i <= slots->mask; i++)
        if (is_entry(atomic_load(&slots->slot[i])))
            free(pointer(atomic_load(&slots->slot[i])));
    free(slots);
    atomic_store(&table->slots, NULL);
}

uint64_t table_hash(const struct table *table, const uint8_t *key, size_t length)
{
    return siphash(table->secret, key, length);
}

static bool holds(const struct entry *entry, const uint8_t *key, size_t length)
{
    return entry->key_length == length && memcmp(entry_key(entry), key, length) == 0;
}

/* Whether the word stands for the key, whose hash this is (rules 1 and 5). */
static bool is_for(uint64_t word, uint64_t hash, const uint8_t *key, size_t length)
{
    if (word >> TAG_SHIFT != hash >> TAG_SHIFT || word == REMOVED)
        return false;
    return word & LAZY ? word == lazy_word(hash) : holds(pointer(word), key, length);
}

/* The slot that holds the key; else NULL, and `free_slot`, where asked for, is the one to put it into. */
static _Atomic uint64_t *probe(struct slots *slots, uint64_t hash, const uint8_t *key, size_t length,
                               _Atomic uint64_t **free_slot)
{
    uint64_t word;
    size_t at = table_home(slots, hash);

    for (; (word = atomic_load(&slots->slot[at])) != EMPTY; at = (at + 1) & slots->mask) {
        if (is_for(word, hash, key, length))
            return &slots->slot[at];
        if (word == REMOVED && free_slot && !*free_slot)
            *free_slot = &slots->slot[at];
    }
    if (free_slot && !*free_slot)
        *free_slot = &slots->slot[at];
    return NULL;
}

const struct entry *table_find(struct table *table, uint64_t hash, const uint8_t *key, size_t length)
{
    struct slots *slots = atomic_load(&table->slots);
    uint64_t word;

    for (size_t at = table_home(slots, hash);; at = (at + 1) & slots->mask) {
        word = atomic_load(&slots->slot[at]);
        if (word == EMPTY)
            return NULL;
        if (is_for(word, hash, key, length))
            return word & LAZY ? &lazy : pointer(word);
    }
}

/* Whether the heads add up to the records, so that nobody ever reads beyond an entry. */
static bool is_whole(const struct entry *entry, size_t octets)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < entry->count; i++) {
        const struct answer *answer = &entry->answers[i];
        sum += answer->length;
        if (answer->stride && (!answer->answers || (uint64_t)answer->stride * answer->answers != answer->length))
            return false;
    }
    return sum == octets;
}

/* As memcpy, which may not be given a null pointer even for nothing. */
static void copy(void *to, const void *from, size_t octets)
{
    if (octets)
        memcpy(to, from, octets);
}

struct entry *entry_new(const uint8_t *key, size_t key_length, uint16_t zone, size_t count, const uint8_t *heads,
                        const uint8_t *records, size_t octets)
{
    struct entry *entry;

    if (key_length > MAX_KEY || count > MAX_ANSWERS)
        return NULL;
    entry = malloc(sizeof *entry + count * sizeof entry->answers[0] + key_length + octets);
    if (!entry || (uint64_t)(uintptr_t)entry >> TAG_SHIFT) {
        free(entry);
        return NULL;
    }
    entry->home = 0;
    entry->zone = zone;
    entry->key_length = (uint8_t)key_length;
    entry->count = (uint8_t)count;
    copy(entry->answers, heads, count * sizeof entry->answers[0]);
    copy(entry->answers + count, key, key_length);
    copy((uint8_t *)(entry->answers + count) + key_length, records, octets);
    if (!is_whole(entry, octets)) {
        free(entry);
        return NULL;
    }
    return entry;
}

/* Copy what is live into `count` slots, which is a power of two. */
static bool rebuild(struct table *table, struct epochs *epochs, size_t count)
{
    struct slots *old = atomic_load(&table->slots), *new = slots_new(count);

    if (!new)
        return false;
    for (size_t i = 0; i <= old->mask; i++) {
        uint64_t word = atomic_load(&old->slot[i]);
        if (word == EMPTY || word == REMOVED)
            continue;
        size_t at = table_home(new, word & LAZY ? word : (uint64_t)pointer(word)->home << HOME_SHIFT);
        while (atomic_load_explicit(&new->slot[at], memory_order_relaxed) != EMPTY)
            at = (at + 1) & new->mask;
        atomic_store_explicit(&new->slot[at], word, memory_order_relaxed);
    }
    atomic_store(&table->slots, new);
    table->used = table->live;
    epochs_retire(epochs, old, free);
    return true;
}

/* Room for one more entry: twice the slots where half are live, as many where most were marks. */
static bool make_room(struct table *table, struct epochs *epochs)
{
    size_t count = atomic_load(&table->slots)->mask + 1;

    if (4 * (table->used + 1) <= 3 * count)
        return true;
    while (2 * table->live >= count)
        count *= 2;
    while (count > FEWEST_SLOTS && 8 * table->live < count)
        count /= 2;
    return rebuild(table, epochs, count);
}

/* Set the key's slot, and retire what was there. */
static enum table_result store(struct table *table, struct epochs *epochs, _Atomic uint64_t *slot,
                               _Atomic uint64_t *free_slot, uint64_t word)
{
    uint64_t old;

    if (!slot) {
        table->used += atomic_load(free_slot) == EMPTY;
        table->live++;
        atomic_store(free_slot, word);
        return TABLE_DONE;
    }
    old = atomic_load(slot);
    atomic_store(slot, word);
    if (is_entry(old))
        epochs_retire(epochs, pointer(old), free);
    return TABLE_DONE;
}

static bool is_same(const struct entry *one, const struct entry *other)
{
    return entry_size(one) == entry_size(other) && memcmp(one, other, entry_size(one)) == 0;
}

enum table_result table_put(struct table *table, struct epochs *epochs, struct entry *entry)
{
    uint64_t hash = table_hash(table, entry_key(entry), entry->key_length), word;
    _Atomic uint64_t *slot, *free_slot = NULL;

    entry->home = (uint32_t)(hash >> HOME_SHIFT);
    if (!make_room(table, epochs)) {
        free(entry);
        return TABLE_FAILED;
    }
    slot = probe(atomic_load(&table->slots), hash, entry_key(entry), entry->key_length, &free_slot);
    if (slot && is_entry(word = atomic_load(slot)) && is_same(pointer(word), entry)) {
        free(entry);
        return TABLE_UNCHANGED;
    }
    return store(table, epochs, slot, free_slot, slot_word(entry, hash));
}

enum table_result table_list(struct table *table, struct epochs *epochs, const uint8_t *key, size_t length)
{
    uint64_t hash = table_hash(table, key, length);
    _Atomic uint64_t *slot, *free_slot = NULL;

    if (!make_room(table, epochs))
        return TABLE_FAILED;
    slot = probe(atomic_load(&table->slots), hash, key, length, &free_slot);
    if (slot && atomic_load(slot) & LAZY)
        return TABLE_UNCHANGED;
    return store(table, epochs, slot, free_slot, lazy_word(hash));
}

enum table_result table_remove(struct table *table, struct epochs *epochs, const uint8_t *key, size_t length)
{
    struct slots *slots = atomic_load(&table->slots);
    _Atomic uint64_t *slot = probe(slots, table_hash(table, key, length), key, length, NULL);

    if (!slot)
        return TABLE_UNCHANGED;
    table->live--;
    return store(table, epochs, slot, NULL, REMOVED);
}

/* See existence.h. */
#define _GNU_SOURCE
#include "existence.h"

#include "plane.h"
#include "siphash.h"

#include <stdlib.h>
#include <sys/random.h>

#define FEWEST_SLOTS 64
#define OWNED 1
#define CHILD 2

_Static_assert(sizeof(struct fingerprint) == 16, "four a cache line");

struct existence *existence_new(void)
{
    struct existence *existence = calloc(1, sizeof *existence);

    if (!existence)
        return NULL;
    existence->mask = FEWEST_SLOTS - 1;
    existence->slots = calloc(FEWEST_SLOTS, sizeof existence->slots[0]);
    if (!existence->slots ||
        getrandom(existence->secret, sizeof existence->secret, 0) != sizeof existence->secret) {
        existence_free(existence);
        return NULL;
    }
    return existence;
}

void existence_free(struct existence *existence)
{
    if (existence)
        free(existence->slots);
    free(existence);
}

static struct fingerprint fingerprint_of(const struct existence *existence, const uint8_t *name, size_t length)
{
    uint64_t low = siphash(existence->secret + 2, name, length);

    return (struct fingerprint){siphash(existence->secret, name, length), (uint32_t)low | 1, 0};
}

/* The slot that has the fingerprint, or the empty one where it would go. */
static struct fingerprint *place_of(const struct existence *existence, const struct fingerprint *wanted)
{
    size_t at = wanted->high & existence->mask;
    struct fingerprint *slot = &existence->slots[at];

    while (slot->low && (slot->low != wanted->low || slot->high != wanted->high)) {
        at = (at + 1) & existence->mask;
        slot = &existence->slots[at];
    }
    return slot;
}

/* Copy what exists into `count` slots. */
static bool rebuild(struct existence *existence, size_t count)
{
    struct fingerprint *old = existence->slots, *new = calloc(count, sizeof *new);
    size_t had = existence->mask + 1;

    if (!new)
        return false;
    existence->slots = new;
    existence->mask = count - 1;
    for (size_t i = 0; i < had; i++)
        if (old[i].state)
            *place_of(existence, &old[i]) = old[i];
    existence->used = existence->live;
    free(old);
    return true;
}

/* Room for all the names that one call may add: a name and those above it. */
static bool make_room(struct existence *existence)
{
    size_t count = existence->mask + 1;

    if (4 * (existence->used + MAX_LABELS) <= 3 * count)
        return true;
    while (2 * (existence->live + MAX_LABELS) >= count)
        count *= 2;
    return rebuild(existence, count);
}

/* Add to a name's state; what it was before. */
static uint32_t add(struct existence *existence, const uint8_t *name, size_t length, uint32_t step)
{
    struct fingerprint wanted = fingerprint_of(existence, name, length), *slot = place_of(existence, &wanted);
    uint32_t before = slot->state;

    if (!slot->low) {
        *slot = wanted;
        existence->used++;
    }
    slot->state += step;
    existence->live += !before && slot->state;
    existence->live -= before && !slot->state;
    return before;
}

int existence_state(const struct existence *existence, const uint8_t *name, size_t length)
{
    struct fingerprint wanted = fingerprint_of(existence, name, length);
    uint32_t state = place_of(existence, &wanted)->state;

    return (state != 0) + 2 * (state & OWNED);
}

/* Tell the names above that one begins (CHILD) or ceases (-CHILD) to exist; the offsets of those that do likewise. */
static int tell_above(struct existence *existence, const uint8_t *name, size_t length, uint32_t step, uint8_t *moved)
{
    size_t at = 0;
    int count = 0;

    for (;;) {
        if (name[at])
            at += 1u + name[at]; /* the root's parent is itself, as in zone/names.py */
        if (at >= length)
            return -1;
        uint32_t before = add(existence, name + at, length - at, step);
        if (step == CHILD ? before : before + step)
            return count;
        moved[count++] = (uint8_t)at;
    }
}

static bool is_name(const uint8_t *name, size_t length)
{
    return length && name_length(name, length) == length;
}

int existence_own(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved)
{
    int state;

    if (!is_name(name, length) || !make_room(existence))
        return -1;
    state = existence_state(existence, name, length);
    if (!(state & 2))
        add(existence, name, length, OWNED);
    return state ? 0 : tell_above(existence, name, length, CHILD, moved);
}

int existence_own_all(struct existence *existence, const uint8_t *names, size_t octets, uint32_t *moved)
{
    uint8_t above[MAX_LABELS];
    int count = 0;

    for (size_t at = 0, length; at < octets; at += length) {
        length = name_length(names + at, octets - at);
        int began = existence_own(existence, names + at, length, above);
        if (began < 0)
            return -1;
        for (int i = 0; i < began; i++, count++) {
            moved[2 * count] = (uint32_t)(at + above[i]);
            moved[2 * count + 1] = (uint32_t)(at + length);
        }
    }
    return count;
}

int existence_disown(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved)
{
    if (!is_name(name, length))
        return -1;
    if (existence_state(existence, name, length) < 2)
        return 0; /* nothing owned it */
    if (add(existence, name, length, (uint32_t)-OWNED) != OWNED)
        return 0; /* names below still exist */
    return tell_above(existence, name, length, (uint32_t)-CHILD, moved);
}

/* A zone, which is there from the start: nobody is told. */
int existence_put(struct existence *existence, const uint8_t *name, size_t length)
{
    if (!is_name(name, length) || !make_room(existence))
        return -1;
    if (existence_state(existence, name, length) < 2)
        add(existence, name, length, OWNED);
    return 0;
}

/* Tell the names above that this one exists, as existence_own does for one that is new. */
int existence_begin(struct existence *existence, const uint8_t *name, size_t length, uint8_t *moved)
{
    return is_name(name, length) && make_room(existence) ? tell_above(existence, name, length, CHILD, moved) : -1;
}

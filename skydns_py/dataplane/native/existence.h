/*
 * Which names exist, as zone/existence.py has it, by their fingerprints: 16 octets a name instead of 140.
 *
 * 1. A fingerprint is 96 bits of a keyed hash.  Two of a million names share one with a probability of 10^-17, and
 *    nobody can look for such two without the key.  The name itself is kept nowhere.
 * 2. `state` is twice the number of existing names one label below, plus one where something owns the name; a name
 *    exists while it is not 0.  Slots of names that exist no more are marks until the next rebuild.
 * 3. The control thread alone comes here.
 */
#ifndef SKYDNS_EXISTENCE_H
#define SKYDNS_EXISTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_LABELS 128 /* with the root, in 255 octets */

struct fingerprint {
    uint64_t high;
    uint32_t low; /* of a slot in use never 0 */
    uint32_t state;
};

struct existence {
    struct fingerprint *slots;
    size_t mask, used, live;
    uint64_t secret[4];
};

#endif

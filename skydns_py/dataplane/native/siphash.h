/*
 * SipHash-1-3 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys strangers choose.
 *
 * 1. Whoever creates Services chooses names, so an unkeyed hash would let them put all names into one run of
 *    slots and make every lookup as slow as a list.  The key is random for each process and never leaves it.
 * 2. One round a word and three at the end are what hash tables use (Rust and Python do): some 20 ns for a name.
 */
#ifndef SKYDNS_SIPHASH_H
#define SKYDNS_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t sip_rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(struct sip *v)
{
    v->a += v->b;
    v->b = sip_rotate(v->b, 13) ^ v->a;
    v->a = sip_rotate(v->a, 32);
    v->c += v->d;
    v->d = sip_rotate(v->d, 16) ^ v->c;
    v->a += v->d;
    v->d = sip_rotate(v->d, 21) ^ v->a;
    v->c += v->b;
    v->b = sip_rotate(v->b, 17) ^ v->c;
    v->c = sip_rotate(v->c, 32);
}

static inline void sip_take(struct sip *v, uint64_t word)
{
    v->d ^= word;
    sip_round(v);
    v->a ^= word;
}

/* The hash of size octets under the 128-bit key. The order of octets in a word is the machine's: nothing of
 * this is stored or sent. */
static inline uint64_t siphash(const uint64_t key[2], const uint8_t *octets, size_t size)
{
    struct sip v = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                    key[1] ^ 0x7465646279746573};
    uint64_t word;
    size_t at = 0;

    for (; at + 8 <= size; at += 8) {
        memcpy(&word, octets + at, 8);
        sip_take(&v, word);
    }
    word = 0;
    memcpy(&word, octets + at, size - at);
    sip_take(&v, word ^ (uint64_t)size << 56);
    v.c ^= 0xff;
    sip_round(&v);
    sip_round(&v);
    sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

#endif

/*
 * What a thread counts. Each has its own, and is the only one to write them; anyone may read at any time and
 * sees each number as it was a moment ago.  The lists give the names that `counters()` uses.
 */
#ifndef SKYDNS_COUNTERS_H
#define SKYDNS_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* C name, group, name in the group. Buckets of sizes and times are named by their upper bound, inclusive. */
#define COUNTERS(X)                                                                                         \
    X(RECEIVED, "", "received")                                                                             \
    X(SILENT, "", "silent")                                                                                 \
    X(MISSES, "", "misses")                                                                                 \
    X(OVERWRITTEN, "", "overwritten")                                                                       \
    X(RECEIVE_ERRORS, "", "receive_errors")                                                                 \
    X(SEND_ERRORS, "", "send_errors")                                                                       \
    X(BATCHES, "", "batches")                                                                               \
    X(OUTCOME_ANSWERED, "outcomes", "answer")                                                               \
    X(OUTCOME_NO_DATA, "outcomes", "nodata")                                                                \
    X(OUTCOME_NO_NAME, "outcomes", "nxdomain")                                                              \
    X(OUTCOME_CUT, "outcomes", "truncated")                                                                 \
    X(OUTCOME_SHORT, "outcomes", "short answer")                                                            \
    X(OUTCOME_SHORT_NO_DATA, "outcomes", "short nodata")                                                    \
    X(OUTCOME_AUTOPATH, "outcomes", "autopath answer")                                                      \
    X(OUTCOME_AUTOPATH_NO_DATA, "outcomes", "autopath nodata")                                              \
    X(RCODE_0, "rcodes", "0") X(RCODE_1, "rcodes", "1") X(RCODE_2, "rcodes", "2")                           \
    X(RCODE_3, "rcodes", "3") X(RCODE_4, "rcodes", "4") X(RCODE_5, "rcodes", "5")                           \
    X(RCODE_6, "rcodes", "6") X(RCODE_7, "rcodes", "7") X(RCODE_8, "rcodes", "8")                           \
    X(RCODE_9, "rcodes", "9") X(RCODE_10, "rcodes", "10") X(RCODE_11, "rcodes", "11")                       \
    X(RCODE_12, "rcodes", "12") X(RCODE_13, "rcodes", "13") X(RCODE_14, "rcodes", "14")                     \
    X(RCODE_15, "rcodes", "15")                                                                             \
    X(TYPE_A, "types", "A") X(TYPE_NS, "types", "NS") X(TYPE_CNAME_, "types", "CNAME")                      \
    X(TYPE_SOA, "types", "SOA") X(TYPE_PTR, "types", "PTR") X(TYPE_MX, "types", "MX")                       \
    X(TYPE_TXT, "types", "TXT") X(TYPE_AAAA, "types", "AAAA") X(TYPE_SRV, "types", "SRV")                   \
    X(TYPE_HTTPS, "types", "HTTPS") X(TYPE_ANY_, "types", "ANY") X(TYPE_OTHER, "types", "other")            \
    X(QUERY_64, "query_octets", "64") X(QUERY_128, "query_octets", "128")                                   \
    X(QUERY_256, "query_octets", "256") X(QUERY_512, "query_octets", "512")                                 \
    X(QUERY_MORE, "query_octets", "+Inf")                                                                   \
    X(REPLY_64, "reply_octets", "64") X(REPLY_128, "reply_octets", "128")                                   \
    X(REPLY_256, "reply_octets", "256") X(REPLY_512, "reply_octets", "512")                                 \
    X(REPLY_MORE, "reply_octets", "+Inf")                                                                   \
    X(MISS_64, "miss_microseconds", "64") X(MISS_128, "miss_microseconds", "128")                           \
    X(MISS_256, "miss_microseconds", "256") X(MISS_512, "miss_microseconds", "512")                         \
    X(MISS_1024, "miss_microseconds", "1024") X(MISS_2048, "miss_microseconds", "2048")                     \
    X(MISS_4096, "miss_microseconds", "4096") X(MISS_8192, "miss_microseconds", "8192")                     \
    X(MISS_16384, "miss_microseconds", "16384") X(MISS_32768, "miss_microseconds", "32768")                 \
    X(MISS_65536, "miss_microseconds", "65536") X(MISS_131072, "miss_microseconds", "131072")               \
    X(MISS_262144, "miss_microseconds", "262144") X(MISS_524288, "miss_microseconds", "524288")             \
    X(MISS_1048576, "miss_microseconds", "1048576") X(MISS_MORE, "miss_microseconds", "+Inf")               \
    X(MISS_SUM, "", "miss_microseconds_sum")                                                                \
    X(QUERY_SUM, "", "query_octets_sum")                                                                    \
    X(REPLY_SUM, "", "reply_octets_sum")

#define COUNTER_NAME(name, group, text) COUNT_##name,
enum counter { COUNTERS(COUNTER_NAME) COUNTER_COUNT };

struct counters {
    _Atomic uint64_t value[COUNTER_COUNT];
};

/* No locked instruction: nobody else writes here. */
static inline void count(struct counters *counters, size_t counter, uint64_t step)
{
    uint64_t value = atomic_load_explicit(&counters->value[counter], memory_order_relaxed);
    atomic_store_explicit(&counters->value[counter], value + step, memory_order_relaxed);
}

/* How many times the bound `first` has to be doubled to hold `value`, at the most `most`. */
static inline unsigned bucket(uint64_t value, uint64_t first, unsigned most)
{
    unsigned found = 0;

    while (found < most && value > first << found)
        found++;
    return found;
}

#endif

/* The records and index entries of the samples of one stream: see sums.py, whose other half this is.

   The rules are written once for each type of sums, over the samples in time order; what is added to a sum is added one
   term after another, as the bytes depend on the order.  Times and sums must come out to the last bit, so nothing here
   may be contracted into one rounding (-ffp-contract=off). */

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef int32_t i32;
typedef int64_t i64;
typedef uint64_t u64;

enum { DONE = 0, OVERFLOWS = 1, LEFT = -1 };
enum { VALID = 0xFF, INVALID = 0x00, RECORD = 25 };
/* records.CHANGE and records.MOST_WEIGHT; sums of integers beyond NEAR are left to the caller, who knows the limit. */
#define CHANGE 1e-8
#define MOST_WEIGHT ((i64)2147483647)
#define NEAR 4611686018427387904.0

/* Of integers and of floats, by the type of the stream. */
union number {
    double real;
    i64 whole;
};

/* sums.Running. */
struct running {
    union number total, square;
    double last, interval, listed;
    union number mean, rms;
};

/* Samples [low, high) of a piece of `count`, as sums.SPAN has it; bad: which are no data, or NULL. */
struct span {
    double start, interval;
    i64 count, low, high;
    const void *mean, *rms;
    const u8 *bad;
};

struct entry {
    double time, interval;
};

/* So that the caller can tell that both halves mean the same. */
i64 sums_size_of_struct(int number)
{
    static const size_t sizes[] = {sizeof(struct running), sizeof(struct span), sizeof(struct entry)};
    return number >= 0 && number < 3 ? (i64)sizes[number] : -1;
}

/* What is written, and what decides on the entries of the index. */
struct out {
    u8 *to;
    struct entry *entry, *first;
    double last, listed;
};

static void put(struct out *out, int valid, double time, double interval, int opens, const void *total,
                const void *square)
{
    double step = time - out->last;
    if (fabs(step - out->listed) >= CHANGE || (opens && fabs(step - interval) >= CHANGE)) {
        out->entry->time = out->last;
        out->entry->interval = step;
        out->entry++;
    }
    out->last = time;
    out->listed = step;
    out->to[0] = valid ? VALID : INVALID;
    memcpy(out->to + 1, &time, 8);
    memcpy(out->to + 9, total, 8);
    memcpy(out->to + 17, square, 8);
    out->to += RECORD;
}

/* The raw samples behind the second record of a gap. */
static i64 weight_of(double seconds, double rate)
{
    double inside = seconds * rate - 2;
    if (!(inside > 0))
        return 0;
    return inside >= (double)MOST_WEIGHT ? MOST_WEIGHT : (i64)inside;
}

static int fits(const struct span *span, double rate)
{
    double weight = span->interval * rate;
    return span->count > 0 && span->low >= 0 && span->low < span->high && span->high <= span->count &&
           isfinite(span->start) && weight >= 0 && weight < 9e15 && span->mean && span->rms;
}

/* A float is no data if it is not finite, or its square is not. */
#define FLOAT_IS_BAD(m, r) (!isfinite(m) || !isfinite((r) * (r)))
#define WHOLE_IS_BAD(m, r) 0
#define FLOAT_ADD(sum, value, weight) (sum += (value) * (double)(weight))
/* Within NEAR nothing leaves the range of its type; what goes beyond it is not used. */
#define WHOLE_ADD(sum, value, weight)                                                       \
    (absolute_##sum += fabs((double)(value) * (double)(weight)),                            \
     sum = (i64)((u64)sum + (u64)(value) * (u64)(weight)))
#define FLOAT_SQUARE(value) ((value) * (value))
#define WHOLE_SQUARE(value) ((i64)((u64)(value) * (u64)(value)))
#define FLOAT_START(sum)
#define WHOLE_START(sum) double absolute_##sum = fabs((double)sum);
#define FLOAT_END (isfinite(total) && isfinite(square) ? DONE : OVERFLOWS)
#define WHOLE_END (absolute_total < NEAR && absolute_square < NEAR ? DONE : LEFT)

/* MAKE(name, type of samples, of sums, which member of a number, prefix of the rules above) */
#define MAKE(NAME, FROM, SUM, MEMBER, RULE)                                                                    \
    static int NAME(struct running *at, double rate, const struct span *spans, i64 n, struct out *out)         \
    {                                                                                                          \
        SUM total = at->total.MEMBER, square = at->square.MEMBER, mean = at->mean.MEMBER, rms = at->rms.MEMBER;\
        double interval = at->interval;                                                                        \
        RULE##_START(total) RULE##_START(square)                                                               \
        for (i64 number = 0; number < n; number++) {                                                           \
            const struct span *span = spans + number;                                                          \
            const FROM *means = span->mean, *all_rms = span->rms;                                              \
            const u8 *bad = span->bad;                                                                         \
            i64 count = span->count, weight = (i64)(span->interval * rate);                                    \
            double time = span->start + (double)span->low * span->interval;                                    \
            int opens = 1;                                                                                     \
            if (out->last > 0 && time - out->last > interval) {                                                \
                double seconds = time - out->last, early = out->last + 1 / rate, late = time - 1 / rate;       \
                RULE##_ADD(total, mean, 1);                                                                    \
                RULE##_ADD(square, RULE##_SQUARE(rms), 1);                                                     \
                put(out, 0, early, span->interval, 1, &total, &square);                                        \
                opens = 0;                                                                                     \
                if (late > early) {                                                                            \
                    i64 inside = weight_of(seconds, rate);                                                     \
                    RULE##_ADD(total, mean, inside);                                                           \
                    RULE##_ADD(square, RULE##_SQUARE(rms), inside);                                            \
                    put(out, 0, late, span->interval, 0, &total, &square);                                     \
                }                                                                                              \
            }                                                                                                  \
            /* A zero also zeroes its neighbours, but the first sample does not zero the second. */            \
            int no_mean[3] = {0, 0, 0}, no_rms[3] = {0, 0, 0};                                                 \
            for (i64 n = span->low - 1; n <= span->high; n++) {                                                \
                no_mean[0] = no_mean[1], no_mean[1] = no_mean[2], no_mean[2] = 0;                              \
                no_rms[0] = no_rms[1], no_rms[1] = no_rms[2], no_rms[2] = 0;                                   \
                if (n >= 0 && n < count) {                                                                     \
                    SUM m = means[n], r = all_rms[n];                                                          \
                    int none = (bad && bad[n]) || RULE##_IS_BAD(m, r);                                         \
                    no_mean[2] = none || m == 0;                                                               \
                    no_rms[2] = none || r == 0;                                                                \
                }                                                                                              \
                i64 here = n - 1;                                                                              \
                if (here < span->low)                                                                          \
                    continue;                                                                                  \
                int valid = !(no_mean[1] || no_mean[2] || (here > 1 && no_mean[0]));                           \
                if (valid) {                                                                                   \
                    mean = means[here];                                                                        \
                    rms = no_rms[2] || (here > 1 && no_rms[0]) ? 0 : (SUM)all_rms[here];                       \
                }                                                                                              \
                RULE##_ADD(total, mean, weight);                                                               \
                RULE##_ADD(square, RULE##_SQUARE(rms), weight);                                                \
                put(out, valid, span->start + (double)here * span->interval, span->interval, opens, &total,    \
                    &square);                                                                                  \
                opens = 0;                                                                                     \
            }                                                                                                  \
            interval = span->interval;                                                                         \
        }                                                                                                      \
        at->total.MEMBER = total, at->square.MEMBER = square, at->mean.MEMBER = mean, at->rms.MEMBER = rms;    \
        at->interval = interval;                                                                               \
        return RULE##_END;                                                                                     \
    }

MAKE(of_float, float, double, real, FLOAT)
MAKE(of_double, double, double, real, FLOAT)
MAKE(of_int, i32, i64, whole, WHOLE)

/* Whether spans follow one another, from `reach` on. */
static int follow(const struct span *spans, i64 n, double reach)
{
    for (i64 number = 0; number < n; number++) {
        if (!(spans[number].start >= reach))
            return 0;
        reach = spans[number].start + (double)spans[number].count * spans[number].interval;
    }
    return 1;
}

/* The records of spans, of a stream that stands at `at`, which is then where it stands after them.  type: 0 float, 1
   double, 2 int.  arranged: the spans are in order, and belong behind what the stream has; else that is looked at.
   records: room for so many; entries: as many.  made: set to how many of each there are.  DONE; OVERFLOWS if a sum
   leaves the range of its type; LEFT, and nothing of it counts, for what the caller is to do itself. */
int sums_extend(int type, struct running *at, double rate, const struct span *spans, i64 n, int arranged, u8 *records,
                struct entry *entries, i64 room, i64 *made)
{
    struct out out = {records, entries, entries, at->last, at->listed};
    int done;
    if (n < 1 || !(rate > 0) || type < 0 || type > 2)
        return LEFT;
    for (i64 number = 0; number < n; number++) {
        if (!fits(spans + number, rate) || spans[number].high - spans[number].low > room - 2)
            return LEFT;
        room -= spans[number].high - spans[number].low + 2;
    }
    if (!arranged && !follow(spans, n, at->last > 0 ? at->last + (at->interval > 0 ? at->interval : 0) : -INFINITY))
        return LEFT;
    done = (type == 0 ? of_float : type == 1 ? of_double : of_int)(at, rate, spans, n, &out);
    at->last = out.last;
    at->listed = out.listed;
    made[0] = (out.to - records) / RECORD;
    made[1] = out.entry - out.first;
    return done;
}

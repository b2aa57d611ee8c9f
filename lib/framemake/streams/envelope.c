/* The smallest and the largest mean and rms of blocks of records: see envelope.py, whose other half this is. */

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef int64_t i64;
typedef uint64_t u64;

enum { RECORD = 25, BLOCK = 64 };

/* As envelope.py has it: of mean and of rms; of the block's last record all but whether it is valid. */
struct entry {
    double low[2], high[2];
    u8 last[RECORD - 1];
};

i64 envelope_size(void) { return sizeof(struct entry); }

/* The difference of two sums, which are integers or not. */
static double less(const u8 *sum, const u8 *before, int whole)
{
    if (whole) {
        u64 a, b;
        memcpy(&a, sum, 8);
        memcpy(&b, before, 8);
        return (double)(i64)(a - b);
    }
    double a, b;
    memcpy(&a, sum, 8);
    memcpy(&b, before, 8);
    return a - b;
}

/* One block; before: the record before it.  counts: the raw samples behind each. */
static void block(const u8 *records, const u8 *before, int whole, const double *counts, struct entry *entry)
{
    for (int kind = 0; kind < 2; kind++) {
        double low = INFINITY, high = -INFINITY;
        const u8 *last = before + 9 + 8 * kind;
        for (int n = 0; n < BLOCK; n++) {
            const u8 *sum = records + RECORD * n + 9 + 8 * kind;
            double value = less(sum, last, whole) / counts[n];
            last = sum;
            if (kind)
                value = sqrt(value < 0 ? 0 : value);
            value += 0.0; /* there is no zero below zero */
            if (records[RECORD * n] && counts[n] > 0 && isfinite(value)) {
                low = value < low ? value : low;
                high = value > high ? value : high;
            }
        }
        entry->low[kind] = low;
        entry->high[kind] = high;
    }
    memcpy(entry->last, records + RECORD * (BLOCK - 1) + 1, RECORD - 1);
}

/* The entries of blocks that follow one another.  records: those of the blocks, with the one before them if `ahead`;
   first: the number of the first block's first record.  whole: the sums are integers.  Runs of records: the number of
   the record that begins each, the raw samples behind that, and behind each of the others. */
void envelope(const u8 *records, int ahead, i64 first, i64 blocks, int whole, const i64 *begins, const double *at_first,
              const double *inner, i64 runs, struct entry *entries)
{
    static const u8 nothing[RECORD];
    const u8 *before = ahead ? records : nothing;
    i64 run = 0;
    records += ahead ? RECORD : 0;
    for (i64 number = 0; number < blocks; number++) {
        double counts[BLOCK];
        for (i64 n = 0, at = first + BLOCK * number; n < BLOCK; n++, at++) {
            while (run + 1 < runs && begins[run + 1] <= at)
                run++;
            counts[n] = at == begins[run] ? at_first[run] : inner[run];
        }
        block(records, before, whole, counts, entries + number);
        before = records + RECORD * (BLOCK - 1);
        records += RECORD * BLOCK;
    }
}

/* The chunks of a row of samples, shuffled and compressed: see pack.py, whose other half this is.

   Source: LibLZF's format, as HDF5's filter LZF reads it.  A byte below 32 begins so many literal bytes, and one; any
   other has in its upper 3 bits the length of a match, less 2, and in its lower 5, with the byte at the end, how far
   back that lies, less 1; where the 3 bits are all set, a byte between adds to the length.

   Where nothing has matched for a while, only every second position is tried, then every third, and so on: bytes of
   noise, of which samples have many, take a fifth of the time, for a thousandth more bytes. */

#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef int64_t i64;
typedef uint64_t u64;

enum { BITS = 13, FARTHEST = 1 << 13, LONGEST = 264, MOST_LITERALS = 32, PATIENCE = 6 };

static u32 load3(const u8 *from)
{
    u32 word;
    memcpy(&word, from, 4);
    return word & 0xffffff;
}

static u64 load8(const u8 *from)
{
    u64 word;
    memcpy(&word, from, 8);
    return word;
}

static u32 slot_of(u32 word) { return (word * 2654435761u) >> (32 - BITS); }

/* Append literal bytes; NULL if there is no room for them. */
static u8 *literal(u8 *to, const u8 *end, const u8 *from, i64 count)
{
    while (count > 0) {
        i64 some = count < MOST_LITERALS ? count : MOST_LITERALS;
        if (end - to < some + 1)
            return NULL;
        *to++ = (u8)(some - 1);
        memcpy(to, from, (size_t)some);
        to += some;
        from += some;
        count -= some;
    }
    return to;
}

/* How many bytes are the same from two positions on, at most `most`; the first 3 are known to be. */
static i64 same(const u8 *before, const u8 *here, i64 most)
{
    i64 length = 3;
    for (; length + 8 <= most; length += 8) {
        u64 differ = load8(before + length) ^ load8(here + length);
        if (differ)
            return length + (__builtin_ctzll(differ) >> 3);
    }
    while (length < most && before[length] == here[length])
        length++;
    return length;
}

/* Compress bytes; how many they become, 0 if that is more than there is room for. */
static i64 compressed(const u8 *from, i64 count, u8 *to, i64 room)
{
    u32 table[1 << BITS]; /* where three bytes were seen last, and 1 */
    const u8 *begin = to, *end = to + room;
    i64 at = 0, done = 0, misses = 0, last = count - 12;
    memset(table, 0, sizeof table);
    while (at < last) {
        u32 word = load3(from + at), slot = slot_of(word);
        i64 before = (i64)table[slot] - 1, back = at - before - 1;
        table[slot] = (u32)(at + 1);
        if (before < 0 || back >= FARTHEST || load3(from + before) != word) {
            at += 1 + (misses++ >> PATIENCE);
            continue;
        }
        i64 length = same(from + before, from + at, count - at < LONGEST ? count - at : LONGEST), told = length - 2;
        if (!(to = literal(to, end, from + done, at - done)) || end - to < 3)
            return 0;
        *to++ = (u8)((back >> 8) + ((told < 7 ? told : 7) << 5));
        if (told >= 7)
            *to++ = (u8)(told - 7);
        *to++ = (u8)back;
        at += length;
        done = at;
        misses = 0;
        for (i64 each = at - 2; each < at && at < last; each++)
            table[slot_of(load3(from + each))] = (u32)(each + 1);
    }
    to = literal(to, end, from + done, count - done);
    return to ? to - begin : 0;
}

/* All first bytes, then all second ones, and so on. */
static void shuffled(const u8 *from, i64 count, i64 size, i64 filled, u8 *to)
{
    if (size == 4)
        for (i64 n = 0; n < filled; n++) {
            u32 word;
            memcpy(&word, from + 4 * n, 4);
            to[n] = (u8)word;
            to[count + n] = (u8)(word >> 8);
            to[2 * count + n] = (u8)(word >> 16);
            to[3 * count + n] = (u8)(word >> 24);
        }
    else
        for (i64 byte = 0; byte < size; byte++)
            for (i64 n = 0; n < filled; n++)
                to[byte * count + n] = from[size * n + byte];
}

/* Pack a row of samples of `size` bytes, 4 or 8, in chunks of so many; how many bytes that makes.

   holds: whether each chunk has a sample; one that has none is left out.  filler: the sample that fills up the last
   chunk.  work: room for a chunk; out: for all of them.  sizes: set to the bytes of each chunk, 0 for one
   that is left out, and those of the samples for one that would not become smaller: it is only shuffled. */
i64 pack(const u8 *samples, i64 count, i64 size, i64 chunk, const u8 *holds, const u8 *filler, u8 *work, u8 *out,
         i64 *sizes)
{
    u8 *to = out;
    for (i64 number = 0; number * chunk < count; number++) {
        i64 first = number * chunk, some = count - first < chunk ? count - first : chunk;
        sizes[number] = 0;
        if (!holds[number])
            continue;
        shuffled(samples + first * size, chunk, size, some, work);
        for (i64 byte = 0; byte < size; byte++)
            memset(work + byte * chunk + some, filler[byte], (size_t)(chunk - some));
        if (!(sizes[number] = compressed(work, chunk * size, to, chunk * size - 1))) {
            sizes[number] = chunk * size;
            memcpy(to, work, (size_t)(chunk * size));
        }
        to += sizes[number];
    }
    return to - out;
}

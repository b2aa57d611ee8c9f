/* The vectors of frame files of format 8, many in one call: see frames8.py, whose other half this is.

   Source: LIGO-T970130 (frame format version 8) for the structures; the codecs as frameCPP writes and reads them.

   Nothing in a file is trusted: each length and position is held against what is there before it is used, and what is
   verified by a checksum is so before it is decoded.  Whatever is wrong or only out of the ordinary is ODD: nothing of
   it is given, and frameCPP is asked.  So this need not know every kind of file, nor the reason of a fault. */

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef int64_t i64;
typedef uint64_t u64;

/* zlib's, which the caller finds; NULL for none. */
typedef int (*inflater)(u8 *to, unsigned long *room, const u8 *from, unsigned long count);

enum { ABSENT = 0, TAKEN = 1, LOOKED = 2, ODD = 3 };
enum { ADC = 0, PROC = 1, SIM = 2 };
enum { I1 = 0, I2 = 1, F8 = 2, F4 = 3, I4 = 4, I8 = 5, U2 = 9, U4 = 10, U8 = 11, U1 = 12 };
enum { RAW = 0, GZIP = 1, DIFF_GZIP = 3, ZERO_2 = 5, ZERO_4 = 8, ZERO_8 = 10, LITTLE = 256 };

/* Length, type of checksum, class, instance; a reference; what is looked at before it is known how much there is. */
#define BEGIN 14
#define REFERENCE 6
#define HEAD 40
#define LONGEST_OWNER (1 << 20)
#define MOST_DICTIONARY 1000
/* What a vector may become, and how many times its bytes beyond a size that is allowed to all. */
#define MOST_BYTES ((u64)1 << 30)
#define FREE_BYTES ((u64)1 << 26)
#define MOST_TIMES 2000
/* More than a read of eight bytes can go beyond what is there. */
#define MARGIN 16
#define EXACT ((i64)1 << 53)

/* --- what the caller gives and gets: frames8.py has the same as numpy and ctypes know it ------------------- */

struct file {
    i64 size, end;      /* bytes; where the table of contents begins, behind all structures */
    i64 id;             /* another for each file that is opened */
    i64 ahead;          /* bytes that are read at once, at least */
    int32_t number;     /* file descriptor */
    int32_t swap;       /* the greatest byte first: 1, or 0 */
    int32_t verified;   /* every structure has a checksum */
    int32_t vector;     /* class of FrVect */
    int32_t owner[3];   /* class of FrAdcData, FrProcData, FrSimData; -1 for none */
    int32_t failed;     /* set: the errno of a read that the system did not give, 0 for none */
};

/* What a channel is to be if it is taken, and where its samples go. */
struct spot {
    i64 count;
    double dt, offset;
    u8 *out;            /* rows of samples, as floats or as they are */
    u8 *good;           /* rows of flags, or NULL: then only samples that are good are written */
    i64 out_stride, good_stride; /* bytes a row */
    i64 rows, columns;  /* of both */
    const i64 *pieces;  /* (column, first sample, end sample) of each */
    i64 n_pieces;
    int32_t type;
    int32_t floats;     /* samples become float32 or float64, the smaller one that is exact */
};

struct channel {
    i64 position, name_at; /* of its structure in the file, 0 for none; of its name among the names */
    i64 row;
    i64 count;
    double dt, offset;
    float bias, slope;
    int32_t name_size;  /* the zero behind it counted */
    int32_t spot;       /* the one it is expected to be; -1 for none: then it is only looked at */
    int32_t kind;
    int32_t status;
    int32_t type;
    int32_t unit, units; /* numbers of texts: of the vector, and of FrAdcData */
    int32_t nbits;
    u8 masked, lost, said, spare[5]; /* some samples are not good; some are integers that no float holds; see SAYS_ */
};


/* Memory that is kept from call to call, and what of a file is in it. */
struct room {
    u8 *window, *samples, *mask, *good;
    i64 window_room, samples_room, mask_room, good_room;
    i64 id, from, to;
    int failed; /* errno of a read */
};

/* Distinct texts of one call, one after another, each without its zero. */
struct texts {
    char *all;
    i64 *at;            /* where each begins, and the last one ends */
    i64 room, most, used, count;
};

/* So that the caller can tell that both halves mean the same. */
i64 size_of_struct(int number)
{
    static const size_t sizes[] = {sizeof(struct file), sizeof(struct spot), sizeof(struct channel),
                                   sizeof(struct texts)};
    return number >= 0 && number < 4 ? (i64)sizes[number] : -1;
}

/* --- memory and bytes --------------------------------------------------------------------------------------- */

struct room *room_new(void) { return calloc(1, sizeof(struct room)); }

void room_free(struct room *room)
{
    if (!room)
        return;
    free(room->window);
    free(room->samples);
    free(room->mask);
    free(room->good);
    free(room);
}

/* At least `count` bytes and the margin; what was there is lost.  0 if there is no memory. */
static int grown(u8 **memory, i64 *room, i64 count)
{
    if (*room >= count && *memory)
        return 1;
    if (count < 0 || count > INT64_MAX / 2)
        return 0;
    free(*memory);
    *room = 0;
    *memory = malloc((size_t)count + MARGIN);
    if (!*memory)
        return 0;
    memset(*memory + count, 0, MARGIN);
    *room = count;
    return 1;
}

/* Where `count` bytes from a position of the file on are in memory, read if need be; NULL if they are not there. */
static const u8 *at(const struct file *file, struct room *room, i64 position, i64 count)
{
    i64 want, got = 0;
    if (position < 0 || count < 0 || position > file->end || count > file->end - position)
        return NULL;
    if (room->id == file->id && position >= room->from && position + count <= room->to)
        return room->window + (position - room->from);
    want = count > file->ahead ? count : file->ahead;
    if (want > file->end - position)
        want = file->end - position;
    room->id = 0;
    if (!grown(&room->window, &room->window_room, want))
        return NULL;
    while (got < want) {
        ssize_t some = pread(file->number, room->window + got, (size_t)(want - got), (off_t)(position + got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            room->failed = errno;
        if (some <= 0)
            break;
        got += some;
    }
    if (got < count)
        return NULL;
    /* What the eight bytes that are read at a time may go beyond is no bytes of another file. */
    memset(room->window + got, 0, MARGIN);
    room->id = file->id;
    room->from = position;
    room->to = position + got;
    return room->window;
}

static u64 load(const u8 *from, int size, int swap)
{
    u64 value = 0;
    for (int byte = 0; byte < size; byte++)
        value |= (u64)from[swap ? size - 1 - byte : byte] << (8 * byte);
    return value;
}

static u64 load8(const u8 *from)
{
    u64 value;
    memcpy(&value, from, 8);
    return value;
}

/* --- the checksum of POSIX cksum ---------------------------------------------------------------------------- */

#define POLYNOMIAL 0x04C11DB7u
static u32 crc_table[8][256];

static u32 crc_plain(u32 crc, const u8 *raw, i64 count)
{
    while (count >= 8) {
        u32 high = crc ^ ((u32)raw[0] << 24 | (u32)raw[1] << 16 | (u32)raw[2] << 8 | raw[3]);
        crc = crc_table[7][high >> 24] ^ crc_table[6][high >> 16 & 255] ^ crc_table[5][high >> 8 & 255] ^
              crc_table[4][high & 255] ^ crc_table[3][raw[4]] ^ crc_table[2][raw[5]] ^ crc_table[1][raw[6]] ^
              crc_table[0][raw[7]];
        raw += 8;
        count -= 8;
    }
    while (count-- > 0)
        crc = crc << 8 ^ crc_table[0][crc >> 24 ^ *raw++];
    return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
/* x to these powers, modulo the polynomial: 64 bytes are folded onto the 64 that follow, and 16 onto 16. */
static u64 x_576, x_512, x_192, x_128;
static int has_clmul;

static u64 x_to(int power)
{
    u32 value = 1;
    while (power-- > 0)
        value = value << 1 ^ (value >> 31 ? POLYNOMIAL : 0);
    return value;
}

#define FOLDED(value, keys, next) \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(value, keys, 0x11), _mm_clmulepi64_si128(value, keys, 0x00)), next)
#define BLOCK(number) _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(raw + 16 * (number))), order)

/* The sixteen bytes of the greatest first, that the first `count` (a multiple of 64, 128 at least) amount to. */
__attribute__((target("pclmul,ssse3"))) static void crc_fold(const u8 *raw, i64 count, u8 *folded)
{
    const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i by_64 = _mm_set_epi64x((long long)x_576, (long long)x_512);
    const __m128i by_16 = _mm_set_epi64x((long long)x_192, (long long)x_128);
    __m128i a = BLOCK(0), b = BLOCK(1), c = BLOCK(2), d = BLOCK(3);
    for (raw += 64, count -= 64; count >= 64; raw += 64, count -= 64) {
        a = FOLDED(a, by_64, BLOCK(0));
        b = FOLDED(b, by_64, BLOCK(1));
        c = FOLDED(c, by_64, BLOCK(2));
        d = FOLDED(d, by_64, BLOCK(3));
    }
    b = FOLDED(a, by_16, b);
    c = FOLDED(b, by_16, c);
    d = FOLDED(c, by_16, d);
    _mm_storeu_si128((__m128i *)folded, _mm_shuffle_epi8(d, order));
}
#endif

__attribute__((constructor)) static void crc_begin(void)
{
    for (u32 byte = 0; byte < 256; byte++) {
        u32 crc = byte << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc << 1 ^ (crc >> 31 ? POLYNOMIAL : 0);
        crc_table[0][byte] = crc;
    }
    for (u32 byte = 0; byte < 256; byte++)
        for (int more = 1; more < 8; more++)
            crc_table[more][byte] =
                crc_table[more - 1][byte] << 8 ^ crc_table[0][crc_table[more - 1][byte] >> 24];
#if defined(__x86_64__) && defined(__GNUC__)
    x_576 = x_to(576);
    x_512 = x_to(512);
    x_192 = x_to(192);
    x_128 = x_to(128);
    __builtin_cpu_init();
    has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("ssse3");
#endif
}

u32 cksum(const u8 *raw, i64 count)
{
    u32 crc = 0;
    i64 left = count;
#if defined(__x86_64__) && defined(__GNUC__)
    if (has_clmul && count >= 256) {
        u8 folded[16];
        i64 some = count / 64 * 64;
        crc_fold(raw, some, folded);
        crc = crc_plain(0, folded, 16);
        raw += some;
        left -= some;
    }
#endif
    crc = crc_plain(crc, raw, left);
    for (u64 length = (u64)count; length; length >>= 8) {
        u8 byte = (u8)length;
        crc = crc_plain(crc, &byte, 1);
    }
    return ~crc;
}

/* Whether a whole structure agrees with its checksum.  frameCPP takes a checksum of 0, or of no type, for none. */
static int is_sound(const struct file *file, const u8 *raw, i64 length)
{
    u32 told = (u32)load(raw + length - 4, 4, file->swap);
    if (raw[8] > 1)
        return 0;
    if (raw[8] == 0 || told == 0)
        return !file->verified;
    return told == cksum(raw, length - 4);
}

/* --- structures --------------------------------------------------------------------------------------------- */

/* What is read one after another within the bytes of a structure; bad once it would have gone beyond them. */
struct cursor {
    const u8 *raw;
    i64 at, end;
    int swap, bad;
};

static u64 number(struct cursor *c, int size)
{
    u64 value;
    if (c->bad || size > c->end - c->at) {
        c->bad = 1;
        return 0;
    }
    value = load(c->raw + c->at, size, c->swap);
    c->at += size;
    return value;
}

static double real8(struct cursor *c)
{
    u64 bits = number(c, 8);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static float real4(struct cursor *c)
{
    u32 bits = (u32)number(c, 4);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static void skip(struct cursor *c, i64 count)
{
    if (c->bad || count < 0 || count > c->end - c->at)
        c->bad = 1;
    else
        c->at += count;
}

/* A text, its size without the zero behind it. */
static const u8 *text(struct cursor *c, i64 *size)
{
    i64 count = (i64)number(c, 2);
    const u8 *begin = c->raw + c->at;
    *size = 0;
    skip(c, count);
    if (c->bad || count == 0)
        return begin;
    if (begin[count - 1] != 0)
        c->bad = 1;
    *size = count - 1;
    return begin;
}

struct reference {
    u32 kind, instance;
};

static struct reference reference(struct cursor *c)
{
    struct reference found;
    found.kind = (u32)number(c, 2);
    found.instance = (u32)number(c, 4);
    return found;
}

static int is_none(struct reference r) { return r.kind == 0 && r.instance == 0; }

/* The number of a text among those of this call; -1 if it is not of plain characters, or there are too many. */
static int32_t text_number(struct texts *texts, const u8 *begin, i64 size)
{
    for (i64 byte = 0; byte < size; byte++)
        if (begin[byte] == 0 || begin[byte] > 127)
            return -1;
    for (i64 n = texts->count - 1; n >= 0; n--)
        if (texts->at[n + 1] - texts->at[n] == size && !memcmp(texts->all + texts->at[n], begin, (size_t)size))
            return (int32_t)n;
    if (texts->count >= texts->most || size > texts->room - texts->used)
        return -1;
    memcpy(texts->all + texts->used, begin, (size_t)size);
    texts->used += size;
    texts->at[++texts->count] = texts->used;
    return (int32_t)(texts->count - 1);
}

/* What was found of a vector; positions are those in the file. */
struct vector {
    i64 position, length, data, bytes, count;
    double dx, start;
    int32_t type, compress, unit;
    int available;
    struct reference next;
};

static int size_of(int32_t type)
{
    switch (type) {
    case I1:
    case U1:
        return 1;
    case I2:
    case U2:
        return 2;
    case I4:
    case U4:
    case F4:
        return 4;
    case I8:
    case U8:
    case F8:
        return 8;
    default:
        return 0;
    }
}

/* The vector that a reference means, looked for at a position, behind the dictionary of structures if that is there.
   whole: all of it is read, and verified.  0 if it is not there, or odd. */
static int vector_at(const struct file *file, struct room *room, struct reference meant, i64 position, int whole,
                     struct texts *texts, struct vector *v)
{
    const u8 *raw;
    struct cursor c;
    i64 size;
    u64 length, count;
    int tries;
    for (tries = 0; tries < MOST_DICTIONARY; tries++) {
        if (!(raw = at(file, room, position, BEGIN)))
            return 0;
        length = load(raw, 8, file->swap);
        if (length < BEGIN + 4 || length > (u64)(file->end - position))
            return 0;
        if (raw[9] == meant.kind && load(raw + 10, 4, file->swap) == meant.instance)
            break;
        if (raw[9] != 1 && raw[9] != 2)
            return 0;
        position += (i64)length;
    }
    if (tries == MOST_DICTIONARY || raw[9] != file->vector)
        return 0;
    v->position = position;
    v->length = (i64)length;
    if (whole) {
        if (!(raw = at(file, room, position, v->length)) || !is_sound(file, raw, v->length))
            return 0;
        c = (struct cursor){raw, BEGIN, v->length - 4, file->swap, 0};
    } else {
        if (raw[8] > 1 || (file->verified && raw[8] == 0))
            return 0;
        size = BEGIN + 2 + 0xFFFF + 20;
        if (size > v->length)
            size = v->length;
        /* Most names are short: more is read only if it must be. */
        if (size > 512)
            size = 512;
        if (!(raw = at(file, room, position, size)))
            return 0;
        c = (struct cursor){raw, BEGIN, size, file->swap, 0};
    }
    raw = text(&c, &size);
    v->available = size >= 19 && !memcmp(raw, "Available_data_for_", 19);
    v->compress = (int32_t)number(&c, 2);
    v->type = (int32_t)number(&c, 2);
    count = number(&c, 8);
    length = number(&c, 8);
    if (c.bad || length > (u64)(v->length - 4 - c.at))
        return 0;
    v->data = position + c.at;
    v->bytes = (i64)length;
    if (whole) {
        skip(&c, v->bytes);
    } else {
        i64 begin = c.at + v->bytes, rest = v->length - begin;
        if (rest > (1 << 18) || !(raw = at(file, room, position + begin, rest)))
            return 0;
        c = (struct cursor){raw, 0, rest - 4, file->swap, 0};
        if (file->verified && load(raw + rest - 4, 4, file->swap) == 0)
            return 0;
    }
    if (number(&c, 4) != 1 || number(&c, 8) != count)
        return 0;
    v->dx = real8(&c);
    v->start = real8(&c);
    text(&c, &size);
    raw = text(&c, &size);
    v->next = reference(&c);
    if (c.bad || c.at != c.end)
        return 0;
    v->unit = texts ? text_number(texts, raw, size) : 0;
    size = size_of(v->type);
    if (v->unit < 0 || !size || count == 0 || count > MOST_BYTES / (u64)size)
        return 0;
    if (count * (u64)size > FREE_BYTES && count * (u64)size / MOST_TIMES > (u64)v->bytes)
        return 0;
    v->count = (i64)count;
    return 1;
}

/* --- codecs ------------------------------------------------------------------------------------------------- */

static void swapped(u8 *raw, i64 count, int size)
{
    for (i64 n = 0; n < count; n++, raw += size)
        for (int byte = 0; byte < size / 2; byte++) {
            u8 other = raw[byte];
            raw[byte] = raw[size - 1 - byte];
            raw[size - 1 - byte] = other;
        }
}

/* The running sum of words, modulo their range. */
static void summed(u8 *raw, i64 count, int size)
{
#define SUMMED(TYPE)                                       \
    {                                                      \
        TYPE sum = 0, *words = (TYPE *)(void *)raw;        \
        for (i64 n = 0; n < count; n++)                    \
            words[n] = sum = (TYPE)(sum + words[n]);       \
    }
    if (size == 1)
        SUMMED(uint8_t)
    else if (size == 2)
        SUMMED(uint16_t)
    else if (size == 4)
        SUMMED(uint32_t)
    else
        SUMMED(uint64_t)
#undef SUMMED
}

/* Zero-suppression of words of 2 or 4 bytes: see ZERO in unpacked.  There are at least 8 bytes behind `bytes`. */
#define ZERO(NAME, TYPE, CODE)                                                                  \
    static int NAME(const u8 *from, i64 bytes, TYPE *to, i64 count)                             \
    {                                                                                           \
        u64 at = 16, all = 8 * (u64)bytes;                                                      \
        TYPE sum = 0;                                                                           \
        i64 block;                                                                              \
        if (bytes < 2 || bytes > INT64_MAX / 8 || !(block = from[0] | from[1] << 8))            \
            return 0;                                                                           \
        while (count > 0) {                                                                     \
            i64 some = count < block ? count : block;                                           \
            int bits;                                                                           \
            if (all - at < CODE)                                                                \
                return 0;                                                                       \
            bits = (int)(load8(from + (at >> 3)) >> (at & 7) & ((1u << CODE) - 1)) + 1;         \
            at += CODE;                                                                         \
            count -= some;                                                                      \
            if (bits == 1) {                                                                    \
                while (some-- > 0)                                                              \
                    *to++ = sum;                                                                \
                continue;                                                                       \
            }                                                                                   \
            if ((all - at) / (u64)bits < (u64)some)                                             \
                return 0;                                                                       \
            u64 base = ((u64)1 << (bits - 1)) - 1, mask = base << 1 | 1;                        \
            while (some-- > 0) {                                                                \
                u64 word = load8(from + (at >> 3)) >> (at & 7);                                 \
                if (CODE == 6 && (at & 7) + (u64)bits > 64)                                     \
                    word |= (u64)from[(at >> 3) + 8] << (64 - (at & 7));                        \
                sum = (TYPE)(sum + (TYPE)((word & mask) - base));                               \
                *to++ = sum;                                                                    \
                at += (u64)bits;                                                                \
            }                                                                                   \
        }                                                                                       \
        return 1;                                                                               \
    }
ZERO(zero_2, uint16_t, 4)
ZERO(zero_4, uint32_t, 5)
ZERO(zero_8, uint64_t, 6)
#undef ZERO

/* The samples of a vector, whose bytes have been verified, the least byte first; NULL if they cannot be had.  memory:
   where they are put, NULL to have those that are not packed where they are, until something else is read.

   Zero-suppression is a stream of bits, those of least value first: 16 of the size of a block; then of each block 4, 5
   or 6 (for words of 2, 4 or 8 bytes) of n - 1, and its words in n bits each, less 2^(n-1) - 1; for n of 1 there are
   none, and they are 0.  The samples, floats as words, are their running sum. */
static const u8 *unpacked(const struct file *file, struct room *room, const struct vector *v, inflater inflate,
                          u8 **memory, i64 *memory_room)
{
    int size = size_of(v->type), codec = v->compress & 255;
    i64 bytes = v->count * size;
    const u8 *raw = at(file, room, v->data, v->bytes);
    if (!raw || v->compress & ~(255 | LITTLE))
        return NULL;
    /* The mark tells the order of the samples: that of the file, but for a mixture that is left to frameCPP. */
    if (((v->compress & LITTLE) == 0) != file->swap)
        return NULL;
    if (codec == RAW && v->bytes != bytes)
        return NULL;
    if (!memory)
        return raw;
    if (!grown(memory, memory_room, bytes))
        return NULL;
    switch (codec) {
    case RAW:
        memcpy(*memory, raw, (size_t)bytes);
        break;
    case GZIP:
    case DIFF_GZIP: {
        unsigned long room_left = (unsigned long)bytes;
        if (!inflate || (codec == DIFF_GZIP && (v->type == F4 || v->type == F8)))
            return NULL;
        if (inflate(*memory, &room_left, raw, (unsigned long)v->bytes) != 0 || room_left != (unsigned long)bytes)
            return NULL;
        break;
    }
    case ZERO_2:
        return size == 2 && !file->swap && zero_2(raw, v->bytes, (void *)*memory, v->count) ? *memory : NULL;
    case ZERO_4:
        return size == 4 && !file->swap && zero_4(raw, v->bytes, (void *)*memory, v->count) ? *memory : NULL;
    case ZERO_8:
        return size == 8 && !file->swap && zero_8(raw, v->bytes, (void *)*memory, v->count) ? *memory : NULL;
    default:
        return NULL;
    }
    if (file->swap && size > 1)
        swapped(*memory, v->count, size);
    if (codec == DIFF_GZIP)
        summed(*memory, v->count, size);
    return *memory;
}

/* --- a channel ---------------------------------------------------------------------------------------------- */

/* What the structure of a channel says. */
struct owner {
    double offset, rate;
    struct reference data, aux;
    int valid; /* its dataValid */
};

static int owner_at(const struct file *file, struct room *room, int kind, struct channel *told, const char *names,
                    struct texts *texts, struct owner *owner, i64 *behind)
{
    const u8 *raw, *name;
    struct cursor c;
    i64 size;
    u64 length;
    if (!(raw = at(file, room, told->position, BEGIN)))
        return 0;
    length = load(raw, 8, file->swap);
    if (length < BEGIN + 4 || length > LONGEST_OWNER || raw[9] != file->owner[kind])
        return 0;
    if (!(raw = at(file, room, told->position, (i64)length)) || !is_sound(file, raw, (i64)length))
        return 0;
    c = (struct cursor){raw, BEGIN, (i64)length - 4, file->swap, 0};
    name = text(&c, &size);
    if (c.bad || size + 1 != told->name_size || memcmp(name, names + told->name_at, (size_t)size))
        return 0;
    text(&c, &size);
    owner->rate = 0;
    owner->valid = 0;
    owner->aux = (struct reference){0, 0};
    if (kind == ADC) {
        skip(&c, 8);
        told->nbits = (int32_t)number(&c, 4);
        told->bias = real4(&c);
        told->slope = real4(&c);
        raw = text(&c, &size);
        if (c.bad || (told->units = text_number(texts, raw, size)) < 0)
            return 0;
        owner->rate = real8(&c);
        owner->offset = real8(&c);
        skip(&c, 12);
        owner->valid = (int)number(&c, 2);
        owner->data = reference(&c);
        owner->aux = reference(&c);
        skip(&c, REFERENCE);
    } else if (kind == PROC) {
        /* Type 1 is a series in time; what else may be one is told by the unit of its axis, and left to frameCPP. */
        if (number(&c, 2) != 1)
            return 0;
        skip(&c, 2);
        owner->offset = real8(&c);
        skip(&c, 8 + 8 + 4 + 8 + 8);
        i64 parameters = (i64)number(&c, 2);
        skip(&c, 8 * parameters);
        while (parameters-- > 0 && !c.bad)
            text(&c, &size);
        owner->data = reference(&c);
        skip(&c, 4 * REFERENCE);
    } else {
        skip(&c, 8);
        owner->offset = real8(&c);
        skip(&c, 12);
        owner->data = reference(&c);
        skip(&c, 3 * REFERENCE);
    }
    *behind = told->position + (i64)length;
    return !c.bad && c.at == c.end && !is_none(owner->data);
}

/* Unset the flags of `count` samples, an equal block for each of `words`, where its word is set or, for `set` 0, not
   1.  0 if they are no equal blocks, 2 if any was unset, else 1. */
static int flagged(u8 *good, i64 count, const u8 *raw, i64 words, int size, int set)
{
    i64 each;
    int any = 0;
    if (words == 0 || count % words)
        return 0;
    each = count / words;
    for (i64 n = 0; n < words; n++) {
        int bad = set ? (raw[size * n] || raw[size * n + size - 1]) : raw[n] != 1;
        any |= bad;
        if (bad)
            memset(good + n * each, 0, (size_t)each);
    }
    return 1 + any;
}

/* Unset the flags of integers that float64 does not hold exactly; whether there are any. */
static int inexact(u8 *good, const u8 *raw, i64 count, int32_t type)
{
    int any = 0;
    for (i64 n = 0; n < count; n++) {
        u64 word = load8(raw + 8 * n);
        int over = type == U8 ? word > (u64)EXACT : (i64)word > EXACT || (i64)word < -EXACT;
        if (over) {
            any = 1;
            if (good)
                good[n] = 0;
        }
    }
    return any;
}

/* Samples [first, first + count) of a type as floats, or as they are; good: flags of these, NULL for all, others keep
   what `to` has. */
static void put(u8 *to, const u8 *from, i64 first, i64 count, int32_t type, int floats, const u8 *good)
{
    int size = size_of(type);
    from += first * size;
#define PUT(FROM, TO)                                                       \
    {                                                                       \
        const FROM *source = (const FROM *)(const void *)from;              \
        TO *target = (TO *)(void *)to;                                      \
        if (!good)                                                          \
            for (i64 n = 0; n < count; n++)                                 \
                target[n] = (TO)source[n];                                  \
        else                                                                \
            for (i64 n = 0; n < count; n++)                                 \
                if (good[n])                                                \
                    target[n] = (TO)source[n];                              \
        return;                                                             \
    }
    if (!floats || type == F4 || type == F8) {
        if (!good)
            memcpy(to, from, (size_t)(count * size));
        else if (size == 1)
            PUT(uint8_t, uint8_t)
        else if (size == 2)
            PUT(uint16_t, uint16_t)
        else if (size == 4)
            PUT(uint32_t, uint32_t)
        else
            PUT(uint64_t, uint64_t)
        return;
    }
    switch (type) {
    case I1:
        PUT(int8_t, float)
    case U1:
        PUT(uint8_t, float)
    case I2:
        PUT(int16_t, float)
    case U2:
        PUT(uint16_t, float)
    case I4:
        PUT(int32_t, double)
    case U4:
        PUT(uint32_t, double)
    case I8:
        PUT(int64_t, double)
    case U8:
        PUT(uint64_t, double)
    }
#undef PUT
}

/* Bytes of a sample where it goes. */
static int size_out(const struct spot *spot)
{
    int size = size_of(spot->type);
    return !spot->floats || size > 2 ? (spot->floats && size == 4 && spot->type != F4 ? 8 : size) : 4;
}

/* Whether all that is asked for lies within what was given. */
static int fits(const struct spot *spot, i64 row)
{
    if (row < 0 || row >= spot->rows)
        return 0;
    for (i64 n = 0; n < spot->n_pieces; n++) {
        const i64 *piece = spot->pieces + 3 * n;
        if (piece[0] < 0 || piece[1] < 0 || piece[2] < piece[1] || piece[2] > spot->count ||
            piece[0] > spot->columns || piece[2] - piece[1] > spot->columns - piece[0])
            return 0;
    }
    return 1;
}

/* What a frame says of samples that a day does not have, bits as model.Flaw has them. */
enum { SAYS_DATA_VALID = 1, SAYS_MASK = 2, SAYS_AVAILABLE = 4, SAYS_NAN = 8, SAYS_INTEGER = 16 };

/* Whether a sample that is good is NaN. */
static int any_nan(const u8 *samples, i64 count, int32_t type, const u8 *good)
{
    int found = 0;
#define LOOK(FROM)                                                        \
    {                                                                     \
        FROM each; /* it may lie at any byte */                           \
        if (!good)                                                        \
            for (i64 n = 0; n < count; n++) {                             \
                memcpy(&each, samples + n * (i64)sizeof each, sizeof each); \
                found |= each != each;                                    \
            }                                                             \
        else                                                              \
            for (i64 n = 0; n < count; n++) {                             \
                memcpy(&each, samples + n * (i64)sizeof each, sizeof each); \
                found |= good[n] && each != each;                         \
            }                                                             \
    }
    if (type == F4)
        LOOK(float)
    else if (type == F8)
        LOOK(double)
#undef LOOK
    return found;
}

static int taken(const struct file *file, struct room *room, const struct channel *told, const struct spot *spot,
                 const struct owner *owner, const struct vector *data, const struct vector *second,
                 const struct vector *mask, inflater inflate, u8 *masked, u8 *lost, u8 *said)
{
    const u8 *samples, *words;
    i64 count = data->count;
    int size, fit, flags = 0, says = 0;
    if (!fits(spot, told->row))
        return 0;
    /* Floats of which all are good are copied once, to where they go. */
    int as_they_are = (data->compress & 255) == RAW && !file->swap && (data->type == F4 || data->type == F8) &&
                      !mask && !second && !owner->valid;
    samples = unpacked(file, room, data, inflate, as_they_are ? NULL : &room->samples, &room->samples_room);
    if (!samples)
        return 0;
    /* dataValid: 2 says that samples are missing, and that a second vector tells which. */
    int all_bad = owner->valid && !(owner->valid == 2 && second);
    if (all_bad || mask || second || data->type == I8 || data->type == U8) {
        if (!grown(&room->good, &room->good_room, count))
            return 0;
        memset(room->good, all_bad ? 0 : 1, (size_t)count);
        flags = all_bad;
        says = all_bad ? SAYS_DATA_VALID : 0;
    }
    /* An auxiliary vector is free-form: only 16-bit words that divide the samples are a CDS mask, and not one alone. */
    if (mask && !all_bad && (mask->type == I2 || mask->type == U2) && mask->count > 1) {
        if (!(words = unpacked(file, room, mask, inflate, &room->mask, &room->mask_room)))
            return 0;
        fit = flagged(room->good, count, words, mask->count, 2, 1);
        flags |= fit != 0;
        says |= fit == 2 ? SAYS_MASK : 0;
    }
    if (second && second->available) {
        if (second->type != I1 && second->type != U1)
            return 0;
        if (!(words = unpacked(file, room, second, inflate, &room->mask, &room->mask_room)))
            return 0;
        fit = flagged(room->good, count, words, second->count, 1, 0);
        if (!fit)
            memset(room->good, 0, (size_t)count);
        says |= fit == 1 ? 0 : SAYS_AVAILABLE;
        flags = 1;
    }
    if (data->type == I8 || data->type == U8) {
        *lost = (u8)inexact(room->good, samples, count, data->type);
        flags |= *lost;
        says |= *lost ? SAYS_INTEGER : 0;
    }
    *masked = (u8)flags;
    *said = (u8)(says | (any_nan(samples, count, data->type, flags ? room->good : NULL) ? SAYS_NAN : 0));
    size = size_out(spot);
    for (i64 n = 0; n < spot->n_pieces; n++) {
        i64 column = spot->pieces[3 * n], first = spot->pieces[3 * n + 1], some = spot->pieces[3 * n + 2] - first;
        u8 *to = spot->out + told->row * spot->out_stride + column * size;
        put(to, samples, first, some, data->type, spot->floats, flags && !spot->good ? room->good + first : NULL);
        if (spot->good) {
            u8 *good = spot->good + told->row * spot->good_stride + column;
            if (flags)
                memcpy(good, room->good + first, (size_t)some);
            else
                memset(good, 1, (size_t)some);
        }
    }
    return 1;
}

static int one(const struct file *file, struct room *room, const char *const *names, struct channel *told,
               const struct spot *spots, i64 n_spots, struct texts *texts, inflater inflate)
{
    struct owner owner;
    struct vector data, second, mask;
    int whole, has_second, has_mask, kind = told->kind;
    const struct spot *spot = told->spot >= 0 && told->spot < n_spots ? spots + told->spot : NULL;
    i64 behind;
    told->masked = told->lost = told->said = 0;
    if (!told->position || kind < ADC || kind > SIM)
        return ABSENT;
    if (!owner_at(file, room, kind, told, names[kind], texts, &owner, &behind))
        return ODD;
    whole = spot != NULL;
    if (!vector_at(file, room, owner.data, behind, whole, texts, &data))
        return ODD;
    behind = data.position + data.length;
    has_second = !is_none(data.next);
    if (has_second) {
        if (!vector_at(file, room, data.next, behind, whole, NULL, &second) || !is_none(second.next))
            return ODD;
        behind = second.position + second.length;
    }
    has_mask = !is_none(owner.aux);
    if (has_mask && (!vector_at(file, room, owner.aux, behind, whole, NULL, &mask) || !is_none(mask.next)))
        return ODD;
    told->unit = data.unit;
    told->type = data.type;
    told->count = data.count;
    told->dt = data.dx;
    if (!(told->dt > 0) && kind == ADC && owner.rate > 0)
        told->dt = 1 / owner.rate;
    told->offset = owner.offset + data.start;
    if (!spot || spot->type != told->type || spot->count != told->count || spot->dt != told->dt ||
        spot->offset != told->offset)
        return LOOKED;
    return taken(file, room, told, spot, &owner, &data, has_second ? &second : NULL, has_mask ? &mask : NULL, inflate,
                 &told->masked, &told->lost, &told->said)
               ? TAKEN
               : ODD;
}

/* Look at channels in one frame, and take the samples of those that are what they are expected to be.  names: those
   of each kind, as the table of contents has them.  How many were taken. */
i64 take(struct file *file, struct room *room, const char *const *names, struct channel *channels, i64 count,
         const struct spot *spots, i64 n_spots, struct texts *texts, inflater inflate)
{
    i64 done = 0;
    texts->used = texts->count = texts->at[0] = 0;
    room->failed = 0;
    for (i64 n = 0; n < count; n++) {
        channels[n].status = one(file, room, names, channels + n, spots, n_spots, texts, inflate);
        done += channels[n].status == TAKEN;
    }
    file->failed = room->failed;
    return done;
}

/* Statistics of rows of samples, all of which are there: see statistics.py, whose other half this is. */

#include <stdint.h>

typedef int64_t i64;

/* Sums go by lanes, so that a processor takes several at once, and rounding errors grow with an eighth of the count. */
enum { LANES = 8 };

#define STATISTICS(NAME, SAMPLE)                                                              \
    static void NAME(const SAMPLE *from, i64 count, double *result)                           \
    {                                                                                         \
        double sum[LANES] = {0}, square[LANES] = {0}, mean, all = 0;                          \
        SAMPLE least[LANES], most[LANES], smallest = from[0], largest = from[0];              \
        i64 whole = count / LANES * LANES;                                                    \
        for (int lane = 0; lane < LANES; lane++)                                              \
            least[lane] = most[lane] = from[0];                                               \
        for (i64 n = 0; n < whole; n += LANES)                                                \
            for (int lane = 0; lane < LANES; lane++) {                                        \
                SAMPLE each = from[n + lane];                                                 \
                sum[lane] += (double)each;                                                    \
                least[lane] = each < least[lane] ? each : least[lane];                        \
                most[lane] = each > most[lane] ? each : most[lane];                           \
            }                                                                                 \
        for (i64 n = whole; n < count; n++) {                                                 \
            sum[n - whole] += (double)from[n];                                                \
            smallest = from[n] < smallest ? from[n] : smallest;                               \
            largest = from[n] > largest ? from[n] : largest;                                  \
        }                                                                                     \
        for (int lane = 0; lane < LANES; lane++) {                                            \
            all += sum[lane];                                                                 \
            smallest = least[lane] < smallest ? least[lane] : smallest;                       \
            largest = most[lane] > largest ? most[lane] : largest;                            \
        }                                                                                     \
        mean = all / (double)count;                                                           \
        for (i64 n = 0; n < whole; n += LANES)                                                \
            for (int lane = 0; lane < LANES; lane++) {                                        \
                double off = (double)from[n + lane] - mean;                                   \
                square[lane] += off * off;                                                    \
            }                                                                                 \
        for (i64 n = whole; n < count; n++)                                                   \
            square[n - whole] += ((double)from[n] - mean) * ((double)from[n] - mean);         \
        all = 0;                                                                              \
        for (int lane = 0; lane < LANES; lane++)                                              \
            all += square[lane];                                                              \
        result[0] = (double)smallest;                                                         \
        result[1] = (double)largest;                                                          \
        result[2] = mean;                                                                     \
        result[3] = all;                                                                      \
    }

STATISTICS(of_float, float)
STATISTICS(of_double, double)

/* Smallest, largest, mean and sum of squared deviations of each row, set in `result`, 4 a row.  stride: bytes from one
   row to the next; size: of a sample, 4 or 8. */
void statistics(const char *rows, i64 height, i64 width, i64 stride, i64 size, double *result)
{
    for (i64 row = 0; row < height; row++)
        if (size == 4)
            of_float((const float *)(const void *)(rows + row * stride), width, result + 4 * row);
        else
            of_double((const double *)(const void *)(rows + row * stride), width, result + 4 * row);
}

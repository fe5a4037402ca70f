// The buckets in which Go's runtime/metrics counts sizes of allocations.
#pragma once

#include <array>
#include <cstddef>
#include <limits>

namespace gort::record {

/// Bucket i has sizes of at least [i] and less than [i + 1] bytes: Go's size classes, plus one for
/// the upper bound that is not in.
inline constexpr std::array<double, 69> size_bounds{
    1,     9,     17,
    25,    33,    49,
    65,    81,    97,
    113,   129,   145,
    161,   177,   193,
    209,   225,   241,
    257,   289,   321,
    353,   385,   417,
    449,   481,   513,
    577,   641,   705,
    769,   897,   1025,
    1153,  1281,  1409,
    1537,  1793,  2049,
    2305,  2689,  3073,
    3201,  3457,  4097,
    4865,  5377,  6145,
    6529,  6785,  6913,
    8193,  9473,  9729,
    10241, 10881, 12289,
    13569, 14337, 16385,
    18433, 19073, 20481,
    21761, 24577, 27265,
    28673, 32769, std::numeric_limits<double>::infinity()};
constexpr std::size_t size_buckets = size_bounds.size() - 1;

}  // namespace gort::record

// How much of the guide's host of 4 GB this one is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

namespace exercise {

/// In bytes, what this program may have: what the machine has left, or the container's limit.
inline double memory_to_be_had() {
  double bytes = std::numeric_limits<double>::infinity();
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    double kib = 0;
    if (word == "MemAvailable:" && in >> kib) bytes = kib * 1024;
  }
  // In a container the mount's top is its own group.
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    double limit = 0;
    if (std::ifstream(path) >> limit) bytes = std::min(bytes, limit);
  }
  return bytes;
}

/// The share of the guide's memory that is used here: all of it where 4 GB are to be had.
inline double host_scale() { return std::min(1.0, memory_to_be_had() / 4e9); }

}  // namespace exercise

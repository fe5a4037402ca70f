// Malformed text for the parsers of /proc and of control groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace gort::test {

/// Text made of what such files consist of, cut and mixed.
class scribbler {
 public:
  explicit scribbler(std::uint64_t seed) : random_(seed) {}

  std::string text() {
    static const std::vector<std::string> pieces{"0",
                                                 "::",
                                                 "/",
                                                 "\n",
                                                 " ",
                                                 ",",
                                                 "cpu",
                                                 "cgroup2",
                                                 "cgroup",
                                                 "max",
                                                 "100000",
                                                 " - ",
                                                 "..",
                                                 "\\040",
                                                 "\\",
                                                 "1:cpu:",
                                                 "-1",
                                                 "/cg/unified",
                                                 "0::/",
                                                 "rw,cpu",
                                                 "99999999",
                                                 "41 31 0:38 / ",
                                                 std::string(1, 0),
                                                 "\xff"};
    std::string out;
    for (int n = below(40); n > 0; --n)
      out += pieces[static_cast<std::size_t>(below(pieces.size()))];
    if (below(50) == 0) out.append(static_cast<std::size_t>(below(20'000)), 'a');
    return out;
  }

  template <class N>
  int below(N n) {
    return static_cast<int>(random_() % static_cast<std::uint64_t>(n));
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace gort::test

// Reads a CPU profile: as much of profile.proto as the exercises need. The numbers are those of the
// format's fields.
#pragma once

#include <zlib.h>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <protozero/pbf_reader.hpp>

namespace exercise {

using label_texts = std::map<std::string, std::string>;

/// "" if it is not gzip's.
inline std::string gunzip(std::string_view packed) {
  z_stream z{};
  constexpr int gzip = 16;
  if (inflateInit2(&z, MAX_WBITS + gzip) != Z_OK) return {};
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK) {
    constexpr std::size_t piece = 65536;
    const std::size_t before = out.size();
    out.resize(before + piece);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    z.avail_out = piece;
    state = inflate(&z, Z_NO_FLUSH);
    out.resize(before + piece - z.avail_out);
  }
  inflateEnd(&z);
  return state == Z_STREAM_END ? out : std::string();
}

/// What has the same stack and labels.
struct cpu_sample {
  std::int64_t cpu_ns = 0;
  label_texts labels;
  std::vector<std::string> functions;  // innermost first
};

class cpu_profile_reader {
 public:
  explicit cpu_profile_reader(std::string_view packed) : whole_(gunzip(packed)) {
    message from(whole_);
    while (from.next()) {
      switch (from.tag()) {
        case 4: add_location(from.get_message()); break;
        case 5: {
          const auto [id, name] = two_numbers(from.get_message(), 1, 2);
          names_[id] = name;
          break;
        }
        case 6: texts_.push_back(from.get_string()); break;
        default: from.skip();
      }
    }
  }

  std::vector<cpu_sample> samples() const {
    std::vector<cpu_sample> out;
    message from(whole_);
    while (from.next(2)) add_sample(from.get_message(), out.emplace_back());
    return out;
  }

 private:
  using message = protozero::pbf_reader;

  static std::pair<std::uint64_t, std::uint64_t> two_numbers(message from, unsigned first,
                                                             unsigned second) {
    std::pair<std::uint64_t, std::uint64_t> out;
    while (from.next()) {
      if (from.tag() == first)
        out.first = from.get_uint64();
      else if (from.tag() == second)
        out.second = from.get_uint64();
      else
        from.skip();
    }
    return out;
  }
  // Packed or not.
  template <class F>
  static void each_number(message& from, F f) {
    if (from.wire_type() == protozero::pbf_wire_type::varint) return f(from.get_uint64());
    for (const std::uint64_t value : from.get_packed_uint64()) f(value);
  }

  void add_location(message from) {
    std::uint64_t id = 0;
    std::vector<std::uint64_t> functions;
    while (from.next()) {
      switch (from.tag()) {
        case 1: id = from.get_uint64(); break;
        case 4: functions.push_back(two_numbers(from.get_message(), 1, 2).first); break;
        default: from.skip();
      }
    }
    functions_[id] = std::move(functions);
  }
  void add_sample(message from, cpu_sample& to) const {
    while (from.next()) {
      switch (from.tag()) {
        case 1:
          each_number(from, [&](std::uint64_t location) {
            for (const std::uint64_t function : functions_.at(location))
              to.functions.push_back(texts_.at(names_.at(function)));
          });
          break;
        case 2:  // how many, then nanoseconds
          each_number(from, [&](std::uint64_t v) { to.cpu_ns = static_cast<std::int64_t>(v); });
          break;
        case 3: {
          const auto [key, text] = two_numbers(from.get_message(), 1, 2);
          to.labels[texts_.at(key)] = texts_.at(text);
          break;
        }
        default: from.skip();
      }
    }
  }

  std::string whole_;
  std::vector<std::string> texts_;
  std::map<std::uint64_t, std::uint64_t> names_;                   // of functions: numbers of texts
  std::map<std::uint64_t, std::vector<std::uint64_t>> functions_;  // of locations
};

/// CPU time in ns by labels; what had none is under the empty set.
inline std::map<label_texts, std::int64_t> cpu_by_labels(std::string_view packed) {
  std::map<label_texts, std::int64_t> out;
  for (const cpu_sample& each : cpu_profile_reader(packed).samples())
    out[each.labels] += each.cpu_ns;
  return out;
}

}  // namespace exercise

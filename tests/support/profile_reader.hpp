// Reads profile.proto back, and refuses what `go tool pprof` would refuse, and what stores of
// profiles do.
#pragma once

#include <zlib.h>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <protozero/pbf_reader.hpp>

#include "base/sanitizer.hpp"
#include "report/utf8.hpp"

namespace gort::test {

struct read_line {
  std::string function;
  std::string system_name;
  std::string file;
  std::int64_t line = 0;
};
struct read_location {
  std::uint64_t mapping = 0;
  std::uint64_t address = 0;
  std::vector<read_line> lines;
};
struct read_mapping {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::string file;
  std::string build_id;
  bool has_functions = false;
};
struct read_sample {
  std::vector<read_location> stack;
  std::vector<std::int64_t> values;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::int64_t> numbers;

  /// "leaf caller ... root", inlined functions too.
  std::string functions() const {
    std::string out;
    for (const read_location& each : stack) {
      for (const read_line& line : each.lines) out += line.function + " ";
    }
    return out;
  }
  bool passes(std::string_view function) const {
    for (const read_location& each : stack) {
      for (const read_line& line : each.lines) {
        if (line.function == function) return true;
      }
    }
    return false;
  }
};

struct read_profile {
  std::vector<std::string> types;  // "type/unit"
  std::string period_type;
  std::string default_type;
  std::int64_t period = 0;
  std::int64_t time_ns = 0;
  std::int64_t duration_ns = 0;
  std::vector<read_mapping> mappings;
  std::vector<read_sample> samples;

  std::int64_t total(std::size_t type = 0) const {
    std::int64_t sum = 0;
    for (const read_sample& each : samples) sum += each.values[type];
    return sum;
  }
  /// Of all samples in which the function has a frame.
  std::int64_t through(std::string_view function, std::size_t type = 0) const {
    std::int64_t sum = 0;
    for (const read_sample& each : samples) sum += each.passes(function) ? each.values[type] : 0;
    return sum;
  }
  std::string all_stacks() const {
    std::string out;
    for (const read_sample& each : samples)
      out += std::to_string(each.values[0]) + ": " + each.functions() + "\n";
    return out;
  }
};

/// "" if it is no gzip file.
inline std::string gunzip(std::string_view packed) {
  z_stream z{};
  if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) return {};
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK) {
    const std::size_t before = out.size();
    out.resize(before + 65536);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    z.avail_out = 65536;
    state = inflate(&z, Z_NO_FLUSH);
    out.resize(before + 65536 - z.avail_out);
  }
  inflateEnd(&z);
  return state == Z_STREAM_END ? out : std::string();
}

class profile_reader {
 public:
  static read_profile read(const std::string& message) {
    profile_reader reader;
    reader.first_pass(message);
    reader.second_pass(message);
    return std::move(reader.out_);
  }

 private:
  using message = protozero::pbf_reader;

  struct function {
    std::int64_t name = 0;
    std::int64_t system_name = 0;
    std::int64_t file = 0;
  };
  struct line {
    std::uint64_t function = 0;
    std::int64_t line = 0;
  };
  struct location {
    std::uint64_t mapping = 0;
    std::uint64_t address = 0;
    std::vector<line> lines;
  };

  const std::string& text(std::int64_t index) {
    static const std::string none;
    if (index < 0 || static_cast<std::size_t>(index) >= texts_.size()) {
      ADD_FAILURE() << "string " << index << " of " << texts_.size();
      return none;
    }
    return texts_[static_cast<std::size_t>(index)];
  }

  // Tables; they may come in any order.
  void first_pass(const std::string& whole) {
    message m(whole);
    while (m.next()) {
      switch (m.tag()) {
        case 3: add_mapping(m.get_message()); break;
        case 4: add_location(m.get_message()); break;
        case 5: add_function(m.get_message()); break;
        case 6: texts_.push_back(m.get_string()); break;
        default: m.skip();
      }
    }
    EXPECT_FALSE(texts_.empty());
    EXPECT_TRUE(!texts_.empty() && texts_[0].empty());
    EXPECT_EQ(std::set<std::string>(texts_.begin(), texts_.end()).size(), texts_.size());
    for (const std::string& each : texts_) EXPECT_EQ(each, report::as_utf8(each)) << "is no UTF-8";
  }

  void add_mapping(message m) {
    std::int64_t file = 0, build = 0;
    read_mapping& to = out_.mappings.emplace_back();
    while (m.next()) {
      switch (m.tag()) {
        case 1: EXPECT_EQ(m.get_uint64(), out_.mappings.size()); break;
        case 2: to.low = m.get_uint64(); break;
        case 3: to.high = m.get_uint64(); break;
        case 5: file = m.get_int64(); break;
        case 6: build = m.get_int64(); break;
        case 7: to.has_functions = m.get_bool(); break;
        default: m.skip();
      }
    }
    mapping_texts_.emplace_back(file, build);
  }
  void add_location(message m) {
    std::uint64_t id = 0;
    location to;
    while (m.next()) {
      switch (m.tag()) {
        case 1: id = m.get_uint64(); break;
        case 2: to.mapping = m.get_uint64(); break;
        case 3: to.address = m.get_uint64(); break;
        case 4: {
          message l = m.get_message();
          line& one = to.lines.emplace_back();
          while (l.next()) {
            if (l.tag() == 1)
              one.function = l.get_uint64();
            else if (l.tag() == 2)
              one.line = l.get_int64();
            else
              l.skip();
          }
          break;
        }
        default: m.skip();
      }
    }
    EXPECT_NE(id, 0u);
    EXPECT_TRUE(locations_.emplace(id, to).second) << "location " << id << " twice";
    EXPECT_TRUE(addresses_.insert(to.address).second) << "an address with two locations";
  }
  void add_function(message m) {
    std::uint64_t id = 0;
    function to;
    while (m.next()) {
      switch (m.tag()) {
        case 1: id = m.get_uint64(); break;
        case 2: to.name = m.get_int64(); break;
        case 3: to.system_name = m.get_int64(); break;
        case 4: to.file = m.get_int64(); break;
        default: m.skip();
      }
    }
    EXPECT_NE(id, 0u);
    EXPECT_TRUE(functions_.emplace(id, to).second) << "function " << id << " twice";
  }

  void second_pass(const std::string& whole) {
    for (std::size_t i = 0; i < out_.mappings.size(); ++i) {
      out_.mappings[i].file = text(mapping_texts_[i].first);
      out_.mappings[i].build_id = text(mapping_texts_[i].second);
    }
    message m(whole);
    while (m.next()) {
      switch (m.tag()) {
        case 1: out_.types.push_back(type_of(m.get_message())); break;
        case 2: add_sample(m.get_message()); break;
        case 9: out_.time_ns = m.get_int64(); break;
        case 10: out_.duration_ns = m.get_int64(); break;
        case 11: out_.period_type = type_of(m.get_message()); break;
        case 12: out_.period = m.get_int64(); break;
        case 14: out_.default_type = text(m.get_int64()); break;
        default: m.skip();
      }
    }
    for (const read_sample& each : out_.samples) EXPECT_EQ(each.values.size(), out_.types.size());
  }

  std::string type_of(message m) {
    std::string type, unit;
    while (m.next()) (m.tag() == 1 ? type : unit) = text(m.get_int64());
    return type + "/" + unit;
  }

  void add_sample(message m) {
    read_sample& to = out_.samples.emplace_back();
    while (m.next()) {
      if (m.tag() == 1 && m.wire_type() == protozero::pbf_wire_type::length_delimited) {
        for (const std::uint64_t id : m.get_packed_uint64()) to.stack.push_back(full(id));
      } else if (m.tag() == 2 && m.wire_type() == protozero::pbf_wire_type::length_delimited) {
        for (const std::int64_t value : m.get_packed_int64()) to.values.push_back(value);
      } else if (m.tag() == 3) {
        add_label(to, m.get_message());
      } else {
        ADD_FAILURE() << "an unexpected field of a sample";
        m.skip();
      }
    }
  }
  void add_label(read_sample& to, message m) {
    std::string key, value;
    std::int64_t number = 0;
    while (m.next()) {
      if (m.tag() == 1)
        key = text(m.get_int64());
      else if (m.tag() == 2)
        value = text(m.get_int64());
      else if (m.tag() == 3)
        number = m.get_int64();
      else
        m.skip();
    }
    EXPECT_FALSE(to.numbers.contains(key) || to.labels.contains(key)) << "two labels " << key;
    if (number != 0)
      to.numbers[key] = number;
    else
      to.labels[key] = value;
  }
  read_location full(std::uint64_t id) {
    const auto found = locations_.find(id);
    if (found == locations_.end()) {
      ADD_FAILURE() << "no location " << id;
      return {};
    }
    read_location to{found->second.mapping, found->second.address, {}};
    EXPECT_LE(to.mapping, out_.mappings.size());
    for (const line& each : found->second.lines) {
      EXPECT_EQ(functions_.count(each.function), 1u);
      const function& f = functions_[each.function];
      to.lines.push_back({text(f.name), text(f.system_name), text(f.file), each.line});
    }
    return to;
  }

  read_profile out_;
  std::vector<std::string> texts_;
  std::vector<std::pair<std::int64_t, std::int64_t>> mapping_texts_;
  std::map<std::uint64_t, location> locations_;
  std::set<std::uint64_t> addresses_;
  std::map<std::uint64_t, function> functions_;
};

}  // namespace gort::test

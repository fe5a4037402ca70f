// The packets of a Perfetto trace: tracks, and what happens on them.
//
// The numbers of fields are those of Perfetto's trace_packet.proto, track_event.proto,
// track_descriptor.proto and interned_data.proto. Names and stacks stand in the first packet that
// needs them, and have numbers from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "report/perfetto/trace_reader.hpp"

namespace gort::report {

/// A track's number. 0: everything's own.
using track_id = std::uint64_t;

class perfetto_packets {
 public:
  explicit perfetto_packets(const std::function<void(std::string_view)>& to) : to_(to) {}

  /// Before what refers to them. parent 0: none.
  void process(track_id id, std::string_view name);
  void track(track_id id, track_id parent, std::string_view name);
  void counter(track_id id, track_id parent, std::string_view name);

  struct more {
    std::span<const read_frame> stack{};  // leaf first
    std::uint64_t flow_from = 0;          // an arrow begins here
    std::uint64_t flow_to = 0;            // and ends here
    std::string_view key{}, value{};
  };
  void begin(std::int64_t at_ns, track_id on, std::string_view name, const more& m);
  void end(std::int64_t at_ns, track_id on);
  void instant(std::int64_t at_ns, track_id on, std::string_view name, const more& m);
  void count(std::int64_t at_ns, track_id on, std::int64_t value);

 private:
  enum class kind : std::int32_t { begin = 1, end = 2, instant = 3, counter = 4 };
  void event(std::int64_t at_ns, track_id on, kind what, std::string_view name, const more& m,
             std::int64_t value = 0);
  void describe(track_id id, track_id parent, std::string_view name, bool is_process,
                bool is_counter);
  void write();

  // Texts that have numbers, and those that the packet at hand has to tell of.
  struct table {
    std::unordered_map<std::string, std::uint64_t> numbers;
    std::vector<std::pair<std::uint64_t, std::string_view>> fresh;
    std::uint64_t number_of(std::string_view text);
  };

  const std::function<void(std::string_view)>& to_;
  table names_, values_;
  std::string packet_, out_, stack_;
  bool is_first_ = true;
};

}  // namespace gort::report

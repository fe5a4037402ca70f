// Reads a Perfetto trace back, and refuses what is not by its schema, or would not be shown: fields
// of another type, events on tracks that nobody has described, ends without a beginning.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <protozero/pbf_reader.hpp>

#include "report/utf8.hpp"

namespace gort::test {

struct perfetto_slice {
  std::uint64_t track = 0;
  std::int64_t begin_ns = 0, end_ns = 0;
  std::string name;
  std::map<std::string, std::string> notes;
  bool is_instant = false;
};

struct perfetto_track {
  std::string name;
  std::uint64_t parent = 0;
};

class perfetto_reader {
 public:
  std::map<std::uint64_t, perfetto_track> tracks;
  std::vector<perfetto_slice> slices;  // in the order in which they began
  std::vector<std::int64_t> counts;
  std::size_t arrows = 0;  // that have both ends

  explicit perfetto_reader(std::string_view file) {
    message trace(file.data(), file.size());
    while (trace.next()) {
      require(trace.tag() == 1 && is_bytes(trace), "a packet");
      packet(trace.get_message());
    }
    require(!is_first_, "no packets");
    for (const auto& [track, open] : open_) require(open.empty(), "slices stay open");
  }

  /// How many on tracks below one of that name.
  std::size_t count_below(std::string_view parent, std::string_view name) const {
    std::size_t n = 0;
    for (const perfetto_slice& s : slices) n += s.name == name && is_below(s.track, parent);
    return n;
  }
  bool is_below(std::uint64_t track, std::string_view parent) const {
    for (auto at = tracks.find(track); at != tracks.end(); at = tracks.find(at->second.parent))
      if (at->second.name == parent) return true;
    return false;
  }

 private:
  using message = protozero::pbf_reader;
  using wire = protozero::pbf_wire_type;

  static void require(bool yes, const char* what) {
    if (!yes) throw std::runtime_error(what);
  }
  static bool is_bytes(const message& m) { return m.wire_type() == wire::length_delimited; }
  static bool is_number(const message& m) { return m.wire_type() == wire::varint; }

  void packet(message p) {
    std::int64_t at_ns = -1;
    std::uint64_t sequence = 0, flags = 0;
    int payloads = 0;
    message event, descriptor;
    while (p.next()) {
      switch (p.tag()) {
        case 8:
          require(is_number(p), "time");
          at_ns = static_cast<std::int64_t>(p.get_uint64());
          break;
        case 10:
          require(is_number(p), "sequence");
          sequence = p.get_uint32();
          break;
        case 11:
          require(is_bytes(p), "event");
          event = p.get_message();
          ++payloads;
          break;
        case 12:
          require(is_bytes(p), "texts");
          texts(p.get_message());
          break;
        case 13:
          require(is_number(p), "flags");
          flags = p.get_uint32();
          break;
        case 60:
          require(is_bytes(p), "track");
          descriptor = p.get_message();
          ++payloads;
          break;
        default: throw std::runtime_error("an unknown field of a packet");
      }
    }
    require(sequence == 1, "not on the sequence");
    require(flags == (is_first_ ? 1 : 2), "the sequence must begin once, and need what was told");
    is_first_ = false;
    require(payloads == 1, "a packet says one thing");
    if (descriptor.length() != 0)
      track(descriptor);
    else
      happened(event, at_ns);
  }

  using numbered = std::map<std::uint64_t, std::string>;

  void texts(message all) {
    while (all.next()) {
      require(all.tag() == 2 || all.tag() == 29, "an unknown table");
      numbered& to = all.tag() == 2 ? names_ : values_;
      std::uint64_t id = 0;
      std::string text;
      message one = all.get_message();
      while (one.next()) {
        require(one.tag() == 1 || one.tag() == 2, "an unknown field of a text");
        if (one.tag() == 1)
          id = one.get_uint64();
        else
          text = one.get_string();
      }
      require(text == report::as_utf8(text), "a text that is no UTF-8");
      require(id != 0 && to.emplace(id, text).second, "a text twice");
    }
  }
  static const std::string& known(const numbered& all, std::uint64_t id) {
    const auto at = all.find(id);
    require(at != all.end(), "a text that nobody has told");
    return at->second;
  }

  void track(message t) {
    std::uint64_t id = 0;
    perfetto_track made;
    while (t.next()) {
      switch (t.tag()) {
        case 1:
          require(is_number(t), "uuid");
          id = t.get_uint64();
          break;
        case 2:
          require(is_bytes(t), "name");
          made.name = t.get_string();
          require(made.name == report::as_utf8(made.name), "a name that is no UTF-8");
          break;
        case 3: {
          message process = t.get_message();
          while (process.next()) {
            if (process.tag() == 6)
              made.name = process.get_string();
            else
              require(process.tag() == 1, "an unknown field of a process"), process.skip();
          }
          break;
        }
        case 5:
          require(is_number(t), "parent");
          made.parent = t.get_uint64();
          break;
        case 8:
          require(t.get_message().length() == 0, "counter");
          counters_.insert(id);
          break;
        default: throw std::runtime_error("an unknown field of a track");
      }
    }
    require(id != 0 && !made.name.empty(), "a track without number or name");
    require(made.parent == 0 || tracks.contains(made.parent), "below an unknown track");
    tracks[id] = made;
  }

  void happened(message e, std::int64_t at_ns) {
    require(at_ns > 0, "an event without a time");
    perfetto_slice s;
    int type = 0;
    std::vector<std::uint64_t> from, to;
    std::int64_t value = -1;
    while (e.next()) {
      switch (e.tag()) {
        case 4: note(e.get_message(), s); break;
        case 9:
          require(is_number(e), "type");
          type = e.get_enum();
          break;
        case 11:
          require(is_number(e), "track");
          s.track = e.get_uint64();
          break;
        case 10:
          require(is_number(e), "name");
          s.name = known(names_, e.get_uint64());
          break;
        case 30:
          require(is_number(e), "value");
          value = e.get_int64();
          break;
        case 47:
          require(e.wire_type() == wire::fixed64, "flow");
          from.push_back(e.get_fixed64());
          break;
        case 48:
          require(e.wire_type() == wire::fixed64, "flow");
          to.push_back(e.get_fixed64());
          break;
        default: throw std::runtime_error("an unknown field of an event");
      }
    }
    require(tracks.contains(s.track), "on an unknown track");
    require((type == 4) == counters_.contains(s.track), "counters count, others do not");
    for (const std::uint64_t id : from) require(flows_.insert(id).second, "an arrow twice");
    for (const std::uint64_t id : to) require(flows_.erase(id) == 1, "an arrow from nowhere");
    arrows += to.size();
    if (type == 4) return counts.push_back(value);
    std::vector<std::size_t>& open = open_[s.track];
    s.begin_ns = s.end_ns = at_ns;
    s.is_instant = type == 3;
    if (type == 1 || type == 3) {
      require(!s.name.empty(), "a slice without a name");
      if (type == 1) open.push_back(slices.size());
      slices.push_back(std::move(s));
      return;
    }
    require(type == 2 && !open.empty(), "an end without a beginning");
    perfetto_slice& ended = slices[open.back()];
    require(ended.begin_ns <= at_ns, "an end before the beginning");
    ended.end_ns = at_ns;
    open.pop_back();
  }

  void note(message n, perfetto_slice& to) {
    std::string key, value;
    while (n.next()) {
      if (n.tag() == 10) {
        require(is_bytes(n), "an annotation's name");
        key = n.get_string();
      } else {
        require(n.tag() == 17 && is_number(n), "an unknown annotation");
        value = known(values_, n.get_uint64());
      }
    }
    require(!key.empty(), "an annotation without a name");
    to.notes[key] = value;
  }

  bool is_first_ = true;
  numbered names_, values_;
  std::set<std::uint64_t> counters_, flows_;
  std::map<std::uint64_t, std::vector<std::size_t>> open_;
};

}  // namespace gort::test

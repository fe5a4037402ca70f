// The wire form is protozero's business; here is what goes into it. The numbers of fields are those
// of profile.proto.
//
// Where a mapping's flags say that functions are known, tools do not look for them. Else they ask
// the binary, or the symbol endpoint, and put what they find in place of all that is said of the
// mapping: Go's tool puts lines without names there. So functions are said to be known if every
// address has one, as Go does; and if debug information has told of any: one sample in a linkage
// table's stub, which has no name, takes no other's away.
#include "report/pprof/proto.hpp"

#include <zlib.h>
#include <array>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include <protozero/pbf_builder.hpp>

#include "os/mappings.hpp"
#include "report/pprof/frames.hpp"
#include "report/utf8.hpp"

namespace gort::report {

namespace {

using number = protozero::pbf_tag_type;

enum class profile_field : number {
  sample_type = 1,
  sample = 2,
  mapping = 3,
  location = 4,
  function = 5,
  string_table = 6,
  time_nanos = 9,
  duration_nanos = 10,
  period_type = 11,
  period = 12,
  default_sample_type = 14,
};
enum class value_type_field : number { type = 1, unit = 2 };
enum class sample_field : number { location_id = 1, value = 2, label = 3 };
enum class label_field : number { key = 1, str = 2, num = 3, num_unit = 4 };
enum class mapping_field : number {
  id = 1,
  memory_start = 2,
  memory_limit = 3,
  file_offset = 4,
  filename = 5,
  build_id = 6,
  has_functions = 7,
  has_filenames = 8,
  has_line_numbers = 9,
  has_inline_frames = 10,
};
enum class location_field : number { id = 1, mapping_id = 2, address = 3, line = 4 };
enum class line_field : number { function_id = 1, line = 2 };
enum class function_field : number { id = 1, name = 2, system_name = 3, filename = 4 };

template <class Field>
using builder = protozero::pbf_builder<Field>;

class encoder {
 public:
  explicit encoder(const profile_data& data)
      : data_(data), out_(text_), maps_(os::code_mappings()) {
    text_index("");
    known_.resize(maps_.size());
  }

  std::string encode() {
    for (const value_type& each : data_.types()) put_type(profile_field::sample_type, each);
    put_type(profile_field::period_type, data_.period_type);
    put_nonzero(out_, profile_field::period, data_.period);
    put_nonzero(out_, profile_field::time_nanos, data_.time_ns);
    put_nonzero(out_, profile_field::duration_nanos, data_.duration_ns);
    if (!data_.default_type.empty())
      out_.add_int64(profile_field::default_sample_type, text_index(data_.default_type));
    for (const profile_data::sample& each : data_.samples()) put_sample(each);
    for (std::size_t i = 0; i < maps_.size(); ++i) put_mapping(i);
    for (const std::string_view each : texts_in_order_)
      out_.add_string(profile_field::string_table, each.data(), each.size());
    return std::move(text_);
  }

 private:
  // A mapping's flags: everything that is in the profile of it has one.
  struct all_known {
    bool any = false;
    bool any_line = false;
    bool functions = true;
    bool files = true;
    bool lines = true;
  };

  template <class Message, class Field>
  static void put_nonzero(Message& to, Field field, std::int64_t value) {
    if (value != 0) to.add_int64(field, value);
  }

  std::int64_t text_index(std::string_view text) {
    const auto [at, is_new] =
        texts_.try_emplace(as_utf8(text), static_cast<std::int64_t>(texts_.size()));
    if (is_new) texts_in_order_.push_back(at->first);  // a node's key stays where it is
    return at->second;
  }

  void put_type(profile_field where, const value_type& what) {
    builder<value_type_field> to(out_, where);
    put_nonzero(to, value_type_field::type, text_index(what.type));
    put_nonzero(to, value_type_field::unit, text_index(what.unit));
  }

  void put_sample(const profile_data::sample& what) {
    std::vector<std::uint64_t> ids;  // their messages come before: one at a time is under way
    for (const void* pc : names_.without_start(what.frames)) ids.push_back(location_id(pc));
    builder<sample_field> to(out_, profile_field::sample);
    to.add_packed_uint64(sample_field::location_id, ids.begin(), ids.end());
    to.add_packed_int64(sample_field::value, what.values.begin(), what.values.end());
    for (const sample_label& each : what.labels) {
      builder<label_field> label(to, sample_field::label);
      label.add_int64(label_field::key, text_index(each.key));
      put_nonzero(label, label_field::str, text_index(each.text));
      put_nonzero(label, label_field::num, each.number);
      put_nonzero(label, label_field::num_unit, text_index(each.unit));
    }
  }

  std::uint64_t location_id(const void* pc) {
    const auto [at, is_new] = locations_.try_emplace(pc, locations_.size() + 1);
    const std::uint64_t id = at->second;
    if (!is_new) return id;
    const source_place& place = names_.at(pc);
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(pc) - 1;
    const std::uint64_t mapping = note_mapping(address, place);
    std::vector<std::uint64_t> functions;
    for (const source_line& each : place.lines) functions.push_back(function_id(each));
    builder<location_field> to(out_, profile_field::location);
    to.add_uint64(location_field::id, id);
    if (mapping != 0) to.add_uint64(location_field::mapping_id, mapping);
    to.add_uint64(location_field::address, address);
    for (std::size_t i = 0; i < functions.size(); ++i) {
      builder<line_field> line(to, location_field::line);
      line.add_uint64(line_field::function_id, functions[i]);
      put_nonzero(line, line_field::line, place.lines[i].line);
    }
    return id;
  }

  // The number of the mapping that holds the address; 0: none does.
  std::uint64_t note_mapping(std::uintptr_t address, const source_place& place) {
    for (std::size_t i = 0; i < maps_.size(); ++i) {
      if (address < maps_[i].low || address >= maps_[i].high) continue;
      all_known& flags = known_[i];
      flags.any = true;
      if (place.lines.empty()) flags.functions = false;
      for (const source_line& each : place.lines) {
        flags.files = flags.files && !each.file.empty();
        flags.lines = flags.lines && each.line != 0;
        flags.any_line = flags.any_line || each.line != 0;
      }
      return i + 1;
    }
    return 0;
  }

  std::uint64_t function_id(const source_line& what) {
    const std::array<std::int64_t, 3> texts{text_index(what.function), text_index(what.linker_name),
                                            text_index(what.file)};
    const auto [at, is_new] = functions_.try_emplace(texts, functions_.size() + 1);
    if (is_new) {
      builder<function_field> to(out_, profile_field::function);
      to.add_uint64(function_field::id, at->second);
      to.add_int64(function_field::name, texts[0]);
      to.add_int64(function_field::system_name, texts[1]);
      put_nonzero(to, function_field::filename, texts[2]);
    }
    return at->second;
  }

  void put_mapping(std::size_t which) {
    const os::code_mapping& what = maps_[which];
    const all_known& flags = known_[which];
    const std::int64_t file = text_index(what.file);
    const std::int64_t build = text_index(what.build_id);
    builder<mapping_field> to(out_, profile_field::mapping);
    to.add_uint64(mapping_field::id, which + 1);
    to.add_uint64(mapping_field::memory_start, what.low);
    to.add_uint64(mapping_field::memory_limit, what.high);
    if (what.file_offset != 0) to.add_uint64(mapping_field::file_offset, what.file_offset);
    to.add_int64(mapping_field::filename, file);
    put_nonzero(to, mapping_field::build_id, build);
    if (!flags.any || !(flags.functions || flags.any_line)) return;
    to.add_bool(mapping_field::has_functions, true);
    if (flags.files) to.add_bool(mapping_field::has_filenames, true);
    if (flags.files && flags.lines) {
      to.add_bool(mapping_field::has_line_numbers, true);
      to.add_bool(mapping_field::has_inline_frames, true);
    }
  }

  struct texts_hash {
    std::size_t operator()(const std::array<std::int64_t, 3>& texts) const noexcept {
      constexpr std::size_t factor = 0x9e3779b97f4a7c15u;
      std::size_t hash = 0;
      for (const std::int64_t each : texts) hash = (hash + static_cast<std::size_t>(each)) * factor;
      return hash;
    }
  };

  const profile_data& data_;
  std::string text_;
  builder<profile_field> out_;
  std::vector<os::code_mapping> maps_;
  std::vector<all_known> known_;
  frame_names names_;
  std::unordered_map<std::string, std::int64_t> texts_;
  std::vector<std::string_view> texts_in_order_;
  std::unordered_map<const void*, std::uint64_t> locations_;
  std::unordered_map<std::array<std::int64_t, 3>, std::uint64_t, texts_hash> functions_;
};

}  // namespace

std::string encode_proto(const profile_data& data) { return encoder(data).encode(); }

std::string gzip(std::string_view text) {
  z_stream z{};
  constexpr int with_gzip_head = 16, memory = 8;
  if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + with_gzip_head, memory,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  struct end {
    z_stream& z;
    ~end() { deflateEnd(&z); }
  } at_end{z};
  std::string out;
  constexpr std::size_t piece = std::size_t{64} << 10;
  // zlib counts in 32 bits.
  constexpr std::size_t most = std::size_t{1} << 30;
  int flush = Z_NO_FLUSH;
  do {
    const std::string_view part = text.substr(0, most);
    text.remove_prefix(part.size());
    flush = text.empty() ? Z_FINISH : Z_NO_FLUSH;
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    z.avail_in = static_cast<uInt>(part.size());
    do {
      const std::size_t before = out.size();
      out.resize(before + piece);
      z.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      z.avail_out = static_cast<uInt>(piece);
      deflate(&z, flush);
      out.resize(before + piece - z.avail_out);
    } while (z.avail_out == 0);
  } while (flush != Z_FINISH);
  return out;
}

}  // namespace gort::report

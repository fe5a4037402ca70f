#include "report/perfetto/packets.hpp"

#include <string>

#include <protozero/pbf_builder.hpp>

#include "report/utf8.hpp"

namespace gort::report {

namespace {

using number = protozero::pbf_tag_type;
enum class trace_field : number { packet = 1 };
enum class packet_field : number {
  timestamp = 8,
  sequence_id = 10,
  track_event = 11,
  interned_data = 12,
  sequence_flags = 13,
  track_descriptor = 60,
};
enum class event_field : number {
  debug_annotations = 4,
  type = 9,
  name_iid = 10,
  track_uuid = 11,
  counter_value = 30,
  flow_ids = 47,
  terminating_flow_ids = 48,
};
enum class annotation_field : number { name = 10, string_value_iid = 17 };
enum class interned_field : number { event_names = 2, annotation_values = 29 };
enum class text_field : number { iid = 1, text = 2 };
enum class track_field : number { uuid = 1, name = 2, process = 3, parent_uuid = 5, counter = 8 };
enum class process_field : number { pid = 1, name = 6 };

template <class Field>
using builder = protozero::pbf_builder<Field>;

template <class Message>
void annotate(Message& to, std::string_view key, std::uint64_t value) {
  builder<annotation_field> one(to, event_field::debug_annotations);
  one.add_string(annotation_field::name, key.data(), key.size());
  one.add_uint64(annotation_field::string_value_iid, value);
}

template <class Message, class Texts>
void put(Message& to, interned_field where, Texts& fresh) {
  for (const auto& [id, text] : fresh) {
    builder<text_field> one(to, where);
    one.add_uint64(text_field::iid, id);
    one.add_string(text_field::text, text.data(), text.size());
  }
  fresh.clear();
}

}  // namespace

std::uint64_t perfetto_packets::table::number_of(std::string_view text) {
  const auto [at, is_new] = numbers.try_emplace(as_utf8(text), numbers.size() + 1);
  if (is_new) fresh.emplace_back(at->second, at->first);  // a node's key stays where it is
  return at->second;
}

// All on one sequence, which says at its beginning that nothing came before; what has a name needs
// what was told before.
void perfetto_packets::write() {
  {
    builder<packet_field> p(packet_);
    constexpr std::uint32_t begins_anew = 1, needs_names = 2;
    p.add_uint32(packet_field::sequence_id, 1);
    p.add_uint32(packet_field::sequence_flags, is_first_ ? begins_anew : needs_names);
    is_first_ = false;
  }
  out_.clear();
  builder<trace_field>(out_).add_message(trace_field::packet, packet_);
  to_(out_);
  packet_.clear();
}

void perfetto_packets::describe(track_id id, track_id parent, std::string_view name,
                                bool is_process, bool is_counter) {
  const std::string text = as_utf8(name);
  {
    builder<packet_field> p(packet_);
    builder<track_field> t(p, packet_field::track_descriptor);
    t.add_uint64(track_field::uuid, id);
    if (parent != 0) t.add_uint64(track_field::parent_uuid, parent);
    if (is_process) {
      builder<process_field> of(t, track_field::process);
      of.add_int32(process_field::pid, 1);
      of.add_string(process_field::name, text);
    } else {
      t.add_string(track_field::name, text);
    }
    if (is_counter) t.add_message(track_field::counter, "", 0);
  }
  write();
}

void perfetto_packets::process(track_id id, std::string_view name) {
  describe(id, 0, name, true, false);
}
void perfetto_packets::track(track_id id, track_id parent, std::string_view name) {
  describe(id, parent, name, false, false);
}
void perfetto_packets::counter(track_id id, track_id parent, std::string_view name) {
  describe(id, parent, name, false, true);
}

void perfetto_packets::event(std::int64_t at_ns, track_id on, kind what, std::string_view name,
                             const more& m, std::int64_t value) {
  const std::uint64_t name_id = name.empty() ? 0 : names_.number_of(name);
  const std::uint64_t value_id = m.key.empty() ? 0 : values_.number_of(m.value);
  stack_.clear();
  for (const read_frame& f : m.stack) {
    stack_.append(f.function);
    if (!f.file.empty())
      stack_.append(" ").append(f.file).append(":").append(std::to_string(f.line));
    stack_.append("\n");
  }
  const std::uint64_t stack_id = stack_.empty() ? 0 : values_.number_of(stack_);
  {
    builder<packet_field> p(packet_);
    p.add_uint64(packet_field::timestamp, static_cast<std::uint64_t>(at_ns));
    if (!names_.fresh.empty() || !values_.fresh.empty()) {
      builder<interned_field> texts(p, packet_field::interned_data);
      put(texts, interned_field::event_names, names_.fresh);
      put(texts, interned_field::annotation_values, values_.fresh);
    }
    builder<event_field> e(p, packet_field::track_event);
    e.add_enum(event_field::type, static_cast<std::int32_t>(what));
    e.add_uint64(event_field::track_uuid, on);
    if (name_id != 0) e.add_uint64(event_field::name_iid, name_id);
    if (what == kind::counter) e.add_int64(event_field::counter_value, value);
    if (m.flow_from != 0) e.add_fixed64(event_field::flow_ids, m.flow_from);
    if (m.flow_to != 0) e.add_fixed64(event_field::terminating_flow_ids, m.flow_to);
    if (value_id != 0) annotate(e, m.key, value_id);
    if (stack_id != 0) annotate(e, "stack", stack_id);
  }
  write();
}

void perfetto_packets::begin(std::int64_t at_ns, track_id on, std::string_view name,
                             const more& m) {
  event(at_ns, on, kind::begin, name, m);
}
void perfetto_packets::end(std::int64_t at_ns, track_id on) { event(at_ns, on, kind::end, {}, {}); }
void perfetto_packets::instant(std::int64_t at_ns, track_id on, std::string_view name,
                               const more& m) {
  event(at_ns, on, kind::instant, name, m);
}
void perfetto_packets::count(std::int64_t at_ns, track_id on, std::int64_t value) {
  event(at_ns, on, kind::counter, {}, {}, value);
}

}  // namespace gort::report

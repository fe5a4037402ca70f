#include "report/pprof/text.hpp"

#include <algorithm>
#include <charconv>

#include "report/quoted.hpp"

namespace gort::report {

namespace {

template <class Number>
void append(std::string& to, Number number, int base) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number, base).ptr;
  to.append(digits, end);
}

}  // namespace

void append_labels(std::string& to, const std::vector<sample_label>& labels) {
  if (labels.empty()) return;
  const auto emit = [&](std::string_view piece) { to += piece; };
  to += "# labels: {";
  bool first = true;
  for (const sample_label& each : labels) {
    if (!first) to += ", ";
    first = false;
    quote(each.key, emit);
    to += ":";
    quote(each.text, emit);
  }
  to += "}\n";
}

void append_number(std::string& to, std::int64_t number) { append(to, number, 10); }

void append_hex(std::string& to, std::uintptr_t number) {
  to += "0x";
  append(to, number, 16);
}

void append_addresses(std::string& to, profile_data::stack frames) {
  for (const void* pc : frames) {
    to += ' ';
    append_hex(to, reinterpret_cast<std::uintptr_t>(pc));
  }
}

void append_frames(std::string& to, frame_names& names, profile_data::stack frames,
                   bool inner_too) {
  const profile_data::stack shown = names.without_start(frames);
  bool any = false;
  for (const bool all : {inner_too, true}) {
    if (any) break;
    for (const void* pc : shown) {
      const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(pc) - 1;
      const source_place& place = names.at(pc);
      if (place.lines.empty() && (any || all)) {
        to += "#\t";
        append_hex(to, address);
        to += "\n";
      }
      for (const source_line& each : place.lines) {
        if (!any && !all && each.internal) continue;
        any = true;
        to += "#\t";
        append_hex(to, address);
        (to += "\t") += each.function;
        if (each.offset != 0) {
          to += "+";
          append_hex(to, each.offset - 1);
        }
        (to += "\t") += each.file.empty() ? "??" : each.file;
        to += ":";
        append_number(to, each.line);
        to += "\n";
      }
    }
  }
}

std::string counts_as_text(std::string_view name, const profile_data& data) {
  const std::size_t value = data.shown_first();
  std::vector<const profile_data::sample*> sorted;
  for (const profile_data::sample& each : data.samples()) sorted.push_back(&each);
  std::ranges::sort(sorted, [value](const auto* a, const auto* b) {
    if (a->values[value] != b->values[value]) return a->values[value] > b->values[value];
    if (a->frames != b->frames) return a->frames < b->frames;
    return a->labels < b->labels;
  });
  std::string out(name);
  out += " profile: total ";
  append_number(out, data.total(value));
  out += "\n";
  frame_names names;
  for (const profile_data::sample* each : sorted) {
    append_number(out, each->values[value]);
    out += " @";
    append_addresses(out, each->frames);
    out += "\n";
    append_labels(out, each->labels);
    append_frames(out, names, each->frames, false);
    out += "\n";
  }
  return out;
}

}  // namespace gort::report

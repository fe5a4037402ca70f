// debug::stack_usage(): the marks of src/stack/usage.hpp with the names of who created whom.
#include "stack/usage.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gort/debug.hpp>

#include "report/names.hpp"
#include "report/symbolizer.hpp"
#include "report/text_sink.hpp"
#include "sched/gmp/inspect.hpp"
#include "stack/slots.hpp"

namespace gort::debug {

namespace {

void name_creator(stack_usage_entry& entry) {
  if (entry.creation_pc == nullptr) {
    entry.created_by = "run";
    return;
  }
  report::symbolize(
      entry.creation_pc,
      [](const report::symbol& s, void* raw) {
        auto& to = *static_cast<stack_usage_entry*>(raw);
        if (!to.created_by.empty() || !report::is_creator(s)) return;
        to.created_by = s.function;
        to.file = s.file == nullptr ? "" : s.file;
        to.line = s.line;
      },
      &entry);
}

}  // namespace

std::vector<stack_usage_entry> stack_usage() {
  sched::measure_living_stacks();
  std::vector<stack::site> sites;
  std::size_t there = 0;
  do {  // again if some were added meanwhile
    sites.resize(there + 8);
    there = stack::copy_sites(sites.data(), sites.size());
  } while (there > sites.size());
  sites.resize(there);
  std::vector<stack_usage_entry> out;
  for (const stack::site& each : sites) {
    stack_usage_entry& entry = out.emplace_back();
    entry.creation_pc = each.creation_pc;
    entry.name = each.name;
    entry.measured = each.goroutines;
    entry.high_water_bytes = each.bytes_max;
    entry.usable_bytes = sched::usable_stack_bytes(each.size_class);
    name_creator(entry);
  }
  std::sort(out.begin(), out.end(), [](const stack_usage_entry& a, const stack_usage_entry& b) {
    return a.high_water_bytes > b.high_water_bytes;
  });
  return out;
}

std::string describe_stack_usage(const std::vector<stack_usage_entry>& usage) {
  std::string text;
  for (const stack_usage_entry& each : usage) {
    text += std::to_string(each.high_water_bytes) + " of " + std::to_string(each.usable_bytes) +
            " bytes, " + std::to_string(each.measured) + " measured";
    if (!each.name.empty()) text += ", \"" + each.name + "\"";
    text += ", created by " + (each.created_by.empty() ? "??" : each.created_by);
    if (!each.file.empty()) text += " at " + each.file + ":" + std::to_string(each.line);
    text += "\n";
  }
  return text;
}

}  // namespace gort::debug

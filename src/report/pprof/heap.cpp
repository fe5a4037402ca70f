#include "report/pprof/heap.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/runtime.hpp>

#include "os/process_facts.hpp"
#include "record/heap.hpp"
#include "record/managed_heap.hpp"
#include "report/pprof/sampled.hpp"
#include "report/pprof/text.hpp"

namespace gort::pprof {

namespace {

using record::event_table;
using record::heap_events;
using record::heap_profile;

// Innermost: the allocator itself, which is the same everywhere.
bool is_allocator(const report::source_place& place) {
  if (place.lines.empty()) return false;
  // "malloc.localalias" is malloc: of names of one address either may be found.
  std::string_view name = place.lines.back().function;
  name = name.substr(0, name.find('.'));
  constexpr std::string_view whole[] = {"malloc",        "calloc",         "realloc", "memalign",
                                        "aligned_alloc", "posix_memalign", "valloc",  "pvalloc"};
  constexpr std::string_view beginnings[] = {
      "operator new",          "gort::malloc_profile::",    "std::allocator<",
      "std::__new_allocator<", "__gnu_cxx::new_allocator<", "gort::managed::",
      "gort::gc::make<",       "gort::gc::make_array<",     "gort::gc::allocator<"};
  return std::ranges::find(whole, name) != std::end(whole) ||
         std::ranges::any_of(beginnings, [&](auto each) { return name.starts_with(each); });
}

report::profile_data::stack without_allocator(report::frame_names& names,
                                              report::profile_data::stack frames) {
  auto left = frames;
  while (!left.empty() && is_allocator(names.at(left.front()))) left = left.subspan(1);
  return left.empty() ? frames : left;
}

struct sampled {
  heap_profile::amount allocated, in_use;
};
sampled read(const event_table::bucket& from) noexcept {
  // Frees first: they are fewer than the allocations that are read after them.
  const heap_profile::amount freed{from.sum(heap_profile::frees),
                                   from.sum(heap_profile::freed_bytes)};
  const heap_profile::amount allocated{from.sum(heap_profile::allocations),
                                       from.sum(heap_profile::allocated_bytes)};
  return {allocated,
          {std::max<std::int64_t>(0, allocated.blocks - freed.blocks),
           std::max<std::int64_t>(0, allocated.bytes - freed.bytes)}};
}

report::profile_data collect(std::string default_type) {
  report::profile_data data({{"alloc_objects", "count"},
                             {"alloc_space", "bytes"},
                             {"inuse_objects", "count"},
                             {"inuse_space", "bytes"}});
  const std::int64_t rate = heap_events.rate_bytes();
  data.period_type = {"space", "bytes"};
  data.period = rate;
  data.default_type = std::move(default_type);
  data.time_ns = report::unix_time_ns();
  report::frame_names names;
  heap_events.table().for_each([&](const event_table::bucket& each) {
    const sampled raw = read(each);
    const heap_profile::amount all = heap_profile::scaled(raw.allocated, rate);
    const heap_profile::amount now = heap_profile::scaled(raw.in_use, rate);
    const std::array<std::int64_t, 4> values{all.blocks, all.bytes, now.blocks, now.bytes};
    std::vector<report::sample_label> labels = report::labels_of(each);
    report::add_label(labels, {"bytes", "", static_cast<std::int64_t>(each.tag()), ""});
    data.add(without_allocator(names, each.frames()), values, labels);
  });
  return data;
}

// Go's lines, in Go's order; those that have no meaning here are 0.
void append_mem_stats(std::string& to) {
  runtime::mem_stats m;
  runtime::read_mem_stats(m);
  const auto line = [&](std::string_view name, auto... values) {
    ((to += "# ") += name) += " =";
    std::string_view between = " ";
    ((to += std::exchange(between, " / "),
      report::append_number(to, static_cast<std::int64_t>(values))),
     ...);
    to += '\n';
  };
  const auto list = [&](std::string_view name, std::span<const std::uint64_t> values) {
    ((to += "# ") += name) += " = [";
    std::string_view between;
    for (const std::uint64_t each : values) {
      to += std::exchange(between, " ");
      report::append_number(to, static_cast<std::int64_t>(each));
    }
    to += "]\n";
  };
  to += "\n# runtime.MemStats\n";
  line("Alloc", m.alloc);
  line("TotalAlloc", m.total_alloc);
  line("Sys", m.sys);
  line("Lookups", 0);
  line("Mallocs", m.mallocs);
  line("Frees", m.frees);
  line("HeapAlloc", m.heap_alloc);
  line("HeapSys", m.heap_sys);
  line("HeapIdle", m.heap_idle);
  line("HeapInuse", m.heap_inuse);
  line("HeapReleased", m.heap_released);
  line("HeapObjects", m.heap_objects);
  line("Stack", m.stack_inuse, m.stack_sys);
  line("MSpan", m.mspan_inuse, m.mspan_sys);
  line("MCache", m.mcache_inuse, m.mcache_sys);
  line("BuckHashSys", m.buck_hash_sys);
  line("GCSys", m.gc_sys);
  line("OtherSys", m.other_sys);
  line("NextGC", m.next_gc);
  line("LastGC", m.last_gc);
  list("PauseNs", m.pause_ns);
  list("PauseEnd", m.pause_end);
  line("NumGC", m.num_gc);
  line("NumForcedGC", m.num_forced_gc);
  char digits[32];
  const char* end =
      std::to_chars(digits, std::end(digits), m.gc_cpu_fraction, std::chars_format::fixed, 9).ptr;
  ((to += "# GCCPUFraction = ") += std::string_view(digits, end)) += '\n';
  to += "# DebugGC = false\n";
  line("MaxRSS", os::peak_resident_bytes());
}

}  // namespace

void prepare_heap() {
  if (const record::managed_heap* heap = record::the_managed_heap(); heap != nullptr)
    heap->collect_if_used();
}

std::int64_t heap_count() { return report::count_of(heap_events.table()); }

report::profile_data collect_heap() { return collect(""); }
report::profile_data collect_allocs() { return collect("alloc_space"); }

// Go's text, with numbers as they were sampled: who reads it scales them. The header says twice the
// rate, as it always did.
void write_heap_text(const sink& to, int) {
  struct row {
    const event_table::bucket* from;
    sampled numbers;
  };
  std::vector<row> rows;
  sampled total;
  heap_events.table().for_each([&](const event_table::bucket& each) {
    const sampled numbers = read(each);
    rows.push_back({&each, numbers});
    total.allocated.blocks += numbers.allocated.blocks;
    total.allocated.bytes += numbers.allocated.bytes;
    total.in_use.blocks += numbers.in_use.blocks;
    total.in_use.bytes += numbers.in_use.bytes;
  });
  std::ranges::stable_sort(rows, std::greater<>{},
                           [](const row& each) { return each.numbers.in_use.bytes; });
  std::string text = "heap profile: ";
  const auto append = [&](const sampled& numbers) {
    report::append_number(text, numbers.in_use.blocks);
    text += ": ";
    report::append_number(text, numbers.in_use.bytes);
    text += " [";
    report::append_number(text, numbers.allocated.blocks);
    text += ": ";
    report::append_number(text, numbers.allocated.bytes);
    text += "] @";
  };
  // Go's: the same number twice would mean to readers that allocations are not counted.
  if (total.allocated.blocks == total.in_use.blocks) ++total.allocated.blocks;
  append(total);
  text += " heap/";
  report::append_number(text, 2 * heap_events.rate_bytes());
  text += '\n';
  report::frame_names names;
  for (const row& each : rows) {
    const auto frames = without_allocator(names, each.from->frames());
    append(each.numbers);
    report::append_addresses(text, frames);
    text += '\n';
    report::append_labels(text, report::labels_of(*each.from));
    report::append_frames(text, names, frames, true);
    text += '\n';
  }
  append_mem_stats(text);
  to(text);
}

}  // namespace gort::pprof

// gort::expvar: what is published, and Go's text of it.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gort/error.hpp>
#include <gort/expvar.hpp>
#include <gort/mutex.hpp>

#include "os/text_file.hpp"
#include "report/metrics/mem_stats.hpp"
#include "report/utf8.hpp"
#include "sched/gmp/current.hpp"

namespace gort::expvar {

namespace {

using function = std::function<std::string()>;

std::string command_line() {
  // Arguments, each with a zero behind it.
  const std::string text = os::read_text_file("/proc/self/cmdline", std::size_t{1} << 20);
  std::string out = "[";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    (out += at == 0 ? "" : ",") += quoted(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  return out + "]";
}

std::string decimal(double value) {
  char digits[32];
  return {digits, std::to_chars(digits, std::end(digits), value, std::chars_format::fixed, 9).ptr};
}

// As encoding/json writes Go's struct.
std::string memory_statistics() {
  const runtime::mem_stats m = report::current_mem_stats();
  const std::pair<std::string_view, std::uint64_t> fields[] = {
      {"Alloc", m.alloc},
      {"TotalAlloc", m.total_alloc},
      {"Sys", m.sys},
      {"Lookups", 0},
      {"Mallocs", m.mallocs},
      {"Frees", m.frees},
      {"HeapAlloc", m.heap_alloc},
      {"HeapSys", m.heap_sys},
      {"HeapIdle", m.heap_idle},
      {"HeapInuse", m.heap_inuse},
      {"HeapReleased", m.heap_released},
      {"HeapObjects", m.heap_objects},
      {"StackInuse", m.stack_inuse},
      {"StackSys", m.stack_sys},
      {"MSpanInuse", m.mspan_inuse},
      {"MSpanSys", m.mspan_sys},
      {"MCacheInuse", m.mcache_inuse},
      {"MCacheSys", m.mcache_sys},
      {"BuckHashSys", m.buck_hash_sys},
      {"GCSys", m.gc_sys},
      {"OtherSys", m.other_sys},
      {"NextGC", m.next_gc},
      {"LastGC", m.last_gc},
      {"PauseTotalNs", m.pause_total_ns},
  };
  std::string out = "{";
  for (const auto& [name, value] : fields)
    ((out += '"') += name) += "\":" + std::to_string(value) + ",";
  const auto list = [&](std::string_view name, std::span<const std::uint64_t> values) {
    ((out += '"') += name) += "\":[";
    for (std::size_t i = 0; i < values.size(); ++i)
      (out += i == 0 ? "" : ",") += std::to_string(values[i]);
    out += "],";
  };
  list("PauseNs", m.pause_ns);
  list("PauseEnd", m.pause_end);
  out += "\"NumGC\":" + std::to_string(m.num_gc);
  out += ",\"NumForcedGC\":" + std::to_string(m.num_forced_gc);
  out += ",\"GCCPUFraction\":" + decimal(m.gc_cpu_fraction);
  out += ",\"EnableGC\":true,\"DebugGC\":false";
  // Go's struct has room for so many sizes, of which the first is 0. Those of ours are fewer.
  constexpr std::size_t sizes = 61;
  out += ",\"BySize\":[";
  for (std::size_t i = 0; i < sizes; ++i) {
    const runtime::mem_stats::of_size each =
        i != 0 && i <= m.by_size.size() ? m.by_size[i - 1] : runtime::mem_stats::of_size{};
    out += (i == 0 ? "{\"Size\":" : ",{\"Size\":") + std::to_string(each.size) +
           ",\"Mallocs\":" + std::to_string(each.mallocs) +
           ",\"Frees\":" + std::to_string(each.frees) + "}";
  }
  return out + "]}";
}

struct published {
  gort::mutex lock;
  std::map<std::string, function, std::less<>> all{{"cmdline", command_line},
                                                   {"memstats", memory_statistics}};
};

// Never destroyed: goroutines may read while static destructors run.
published& those() {
  static auto* made = new published;
  return *made;
}

}  // namespace

void publish(std::string_view name, function json) {
  if (json == nullptr) throw runtime_error("expvar: no function for " + std::string(name));
  published& to = those();
  to.lock.lock();
  const bool fresh = to.all.try_emplace(std::string(name), std::move(json)).second;
  to.lock.unlock();
  if (!fresh) throw runtime_error("Reuse of exported var name: " + std::string(name));
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t size = report::character_bytes(text);
    const char c = text.front();
    const auto u = static_cast<unsigned char>(c);
    constexpr char digits[] = "0123456789abcdef";
    if (size != 1) {
      out += size == 0 ? "\\ufffd" : text.substr(0, size);
      text.remove_prefix(std::max<std::size_t>(size, 1));
      continue;
    }
    text.remove_prefix(1);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (u < 0x20 || c == '<' || c == '>' || c == '&' || u == 0x7f)
      ((out += "\\u00") += digits[u >> 4]) += digits[u & 15];
    else
      out += c;
  }
  return out + '"';
}

std::string json() {
  sched::start_runtime();
  std::map<std::string, function, std::less<>> all;
  published& from = those();
  from.lock.lock();
  all = from.all;  // what they call may publish
  from.lock.unlock();
  std::string out = "{\n";
  bool first = true;
  for (const auto& [name, value] : all) {
    if (!std::exchange(first, false)) out += ",\n";
    (out += quoted(name) + ": ") += value();
  }
  return out + "\n}\n";
}

}  // namespace gort::expvar

#include "report/go_trace/names.hpp"

#include <cstring>

#include "report/names.hpp"
#include "report/symbolizer.hpp"

namespace gort::report {

const std::vector<trace_names::known_frame>& trace_names::at(std::uint64_t return_address) {
  const auto [place, is_new] = known_.try_emplace(return_address);
  if (!is_new) return place->second;
  struct gathered {
    std::vector<known_frame>& to;
    std::uint64_t pc;
  } all{place->second, return_address};
  symbolize(
      reinterpret_cast<const void*>(return_address),
      [](const symbol& s, void* raw) {
        auto& into = *static_cast<gathered*>(raw);
        // Inlined calls: addresses of their own [format-4].
        constexpr int nth_at = 56;
        const std::uint64_t pc =
            s.inlined ? into.pc | (std::uint64_t{into.to.size()} + 1) << nth_at : into.pc;
        into.to.push_back(
            {{pc, s.function, s.file == nullptr ? "" : s.file, static_cast<std::uint64_t>(s.line)},
             is_internal(s),
             is_plumbing(s)});
      },
      &all);
  return place->second;
}

// What a goroutine begins with is an instance of a template of ours: the user's function is its
// argument. Its address is not that of its first instruction, to which a call at the end of the
// function before it returns, if that call never does. Nor is that what the frame has: a sample
// may be of that instruction, in the function under its own name [format-4].
trace_frame trace_names::entry(std::uint64_t function) {
  constexpr std::uint64_t no_instruction = std::uint64_t{0xff} << 56;
  trace_frame found{(function + 1) | no_instruction, "goroutine", "", 0};
  for (const known_frame& each : at(function + 1)) {
    found.file = each.frame.file;
    found.line = each.frame.line;
    std::string name = each.frame.function;
    if (take_lambda_argument(name.data())) {
      name.resize(std::strlen(name.c_str()));
      found.function = name;
      return found;
    }
    constexpr std::string_view before = "gort::detail::closure<";
    const std::size_t begin = name.find(before);
    const std::size_t end = name.rfind('>', name.rfind('>') - 1);
    if (begin != name.npos && end != name.npos && end > begin)
      found.function = name.substr(begin + before.size(), end - begin - before.size());
    else if (!each.plumbing)
      found.function = name;
  }
  return found;
}

void trace_names::frames_of(stack_key key, std::vector<trace_frame>& to) {
  if (is_entry(key)) {
    to.push_back(entry(static_cast<std::uint64_t>(key) & ~entry_mark));
    return;
  }
  const auto pcs = stacks_.stack_at(static_cast<std::uint32_t>(key));
  for (const std::uint64_t pc : pcs) {
    for (const known_frame& each : at(pc)) {
      if (!each.internal) to.push_back(each.frame);
    }
  }
  if (!to.empty()) return;
  for (const std::uint64_t pc : pcs) {
    for (const known_frame& each : at(pc)) {
      if (!each.plumbing) to.push_back(each.frame);
    }
  }
  if (to.empty() && !pcs.empty() && !at(pcs[0]).empty()) to.push_back(at(pcs[0])[0].frame);
}

}  // namespace gort::report

#include "report/pprof/frames.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "report/names.hpp"
#include "report/symbolizer.hpp"

namespace gort::report {

namespace {

// The function by which a goroutine begins is of use only where it has not run yet: then what it
// will call is meant.
constexpr std::string_view beginnings[] = {"gort::detail::invoke_inline<",
                                           "gort::detail::invoke_boxed<"};

std::string readable(const char* function) {
  std::string out(function);
  for (const std::string_view each : beginnings) {
    if (!out.starts_with(each)) continue;
    std::string lambda(out);
    if (take_lambda_argument(lambda.data())) out = lambda.c_str();
    break;
  }
  return out;
}

struct gathered {
  std::vector<source_line> lines;
  std::vector<bool> plumbing;
};

void gather(const symbol& s, void* raw) {
  if (std::strcmp(s.function, "??") == 0) return;
  auto& to = *static_cast<gathered*>(raw);
  source_line line;
  line.function = readable(s.function);
  line.linker_name = s.linker_name == nullptr ? s.function : s.linker_name;
  if (s.file != nullptr) line.file = s.file;
  line.line = s.line;
  line.offset = s.offset;
  line.inlined = s.inlined;
  line.internal = is_internal(s);
  line.of_a_library = !is_creator(s) || line.function.starts_with("gort::");
  to.lines.push_back(std::move(line));
  to.plumbing.push_back(is_plumbing(s));
}

}  // namespace

frame_names::frame_names() { refresh_symbols(); }

const source_place& frame_names::at(const void* return_address) {
  const auto found = known_.find(return_address);
  if (found != known_.end()) return found->second;
  gathered all;
  symbolize(return_address, gather, &all);
  source_place place;
  place.plumbing =
      !all.lines.empty() && std::ranges::all_of(all.plumbing, [](bool each) { return each; });
  for (std::size_t i = 0; i < all.lines.size(); ++i) {
    if (place.plumbing || !all.plumbing[i]) place.lines.push_back(std::move(all.lines[i]));
  }
  // The one that is left last is the function that the others count as inlined into.
  if (!place.lines.empty()) place.lines.back().inlined = false;
  return known_.emplace(return_address, std::move(place)).first->second;
}

profile_data::stack frame_names::without_start(profile_data::stack frames) {
  std::size_t kept = frames.size();
  while (kept != 0 && at(frames[kept - 1]).plumbing) --kept;
  return kept == 0 ? frames : frames.first(kept);
}

}  // namespace gort::report

#include "prometheus/names.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gort::prometheus {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_legal(std::string_view name) noexcept {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// Of what is between two bounds, the ones that stay.
std::vector<double> thin_out(std::span<const double> finite, double factor) {
  std::vector<double> out;
  double current = finite[0];
  for (const double x : finite.subspan(1)) {
    const bool far = current >= 0 ? x >= current * factor : x >= current / factor;
    if (!far && x != infinity) continue;
    out.push_back(current);
    current = x;
  }
  out.push_back(current);
  return out;
}

}  // namespace

std::string name_of(std::string_view runtime_name, bool is_counter) {
  constexpr std::string_view ours = "/gort/";
  const std::size_t colon = runtime_name.find(':');
  if (colon == std::string_view::npos || !runtime_name.starts_with('/')) return {};
  std::string out = runtime_name.starts_with(ours) ? "" : "go_";
  for (const char c : runtime_name.substr(1, colon - 1)) out += c == '/' || c == '-' ? '_' : c;
  out += '_';
  for (const char c : runtime_name.substr(colon + 1)) {
    if (c == '/')
      out += "_per_";
    else
      out += c == '-' || c == '*' ? '_' : c;
  }
  if (is_counter) out += "_total";
  return is_legal(out) ? out : std::string();
}

reduced_buckets reduce(std::span<const double> bounds, std::string_view unit) {
  const bool open_below = bounds.front() == -infinity;
  const std::span<const double> rest = bounds.subspan(open_below ? 1 : 0);
  std::vector<double> kept;
  if (unit == "bytes")
    kept = thin_out(rest, 2);
  else if (unit == "seconds")
    kept = thin_out(rest, 10);
  else
    kept.assign(rest.begin(), rest.end());
  if (unit == "seconds") {
    const auto beyond = std::ranges::find_if(kept, [](double x) { return x > 1; });
    if (beyond != kept.end()) {
      *beyond = infinity;
      kept.erase(beyond + 1, kept.end());
    }
  }
  // What is below the first bound that stays belongs to the first bucket.
  reduced_buckets out;
  for (std::size_t i = 1; i < kept.size(); ++i) {
    const auto end =
        static_cast<std::size_t>(std::ranges::lower_bound(bounds, kept[i]) - bounds.begin());
    const bool last = kept[i] == infinity;
    out.all.push_back({.end = last ? bounds.size() - 1 : end,
                       .upper_bound = last ? infinity : std::nextafter(kept[i], -infinity),
                       .lower_bound = out.all.empty() ? 0 : kept[i - 1]});
  }
  return out;
}

}  // namespace gort::prometheus

// Patterns of the mux: their syntax, and how two of them relate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/container/small_vector.hpp>

namespace gort::http {

/// One segment of a pattern's path. A path is split at its slashes; one that ends in a slash has a
/// last segment "/".
struct pattern_segment {
  enum class kind { literal, wildcard, multi } is;
  std::string text;  // literal: decoded; else the name, empty for a trailing slash

  friend bool operator==(const pattern_segment&, const pattern_segment&) = default;
};

struct pattern {
  std::string text;
  std::string method;  // empty: any
  std::string host;    // empty: any
  std::vector<pattern_segment> segments;

  /// Throws std::invalid_argument.
  static pattern parse(std::string_view text);

  /// Whether neither is more specific and some request matches both.
  bool conflicts_with(const pattern& other) const;
};

/// Seen from the left one.
enum class relation { equal, more_general, more_specific, disjoint, overlaps };
relation relation_of_paths(const pattern& a, const pattern& b);
relation relation_of_methods(const pattern& a, const pattern& b);

/// The segments of a path, undecoded. So many need no memory from the heap.
using path_segments = boost::container::small_vector<std::string_view, 16>;

/// Those of a request's path: views of `path`, which begins with a slash.
void split_path(std::string_view path, path_segments& out);

}  // namespace gort::http

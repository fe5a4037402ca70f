#include "http/pattern.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "http/text.hpp"

namespace gort::http {

namespace {

[[noreturn]] void refuse(std::string_view pattern, std::string_view why) {
  throw std::invalid_argument("http: pattern \"" + std::string(pattern) +
                              "\": " + std::string(why));
}

bool is_name(std::string_view name) {
  const auto letter = [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || is_digit(c); });
}

using kind = pattern_segment::kind;

pattern_segment parse_segment(std::string_view whole, std::string_view text, bool last) {
  const std::size_t brace = text.find_first_of("{}");
  if (brace == text.npos) {
    std::string decoded;
    if (!percent_decode(text, decoded)) refuse(whole, "bad escape");
    if (decoded == "/") decoded = "%2F";  // as the mux writes that segment of a request
    return {kind::literal, std::move(decoded)};
  }
  if (text.front() != '{' || text.back() != '}' || text.find_first_of("{}", 1) != text.size() - 1) {
    refuse(whole, "a wildcard is a whole segment, {name}");
  }
  std::string_view name = text.substr(1, text.size() - 2);
  if (name == "$") {
    if (!last) refuse(whole, "{$} must be at the end");
    return {kind::literal, "/"};
  }
  const bool multi = name.ends_with("...");
  if (multi) name.remove_suffix(3);
  if (multi && !last) refuse(whole, "{name...} must be at the end");
  if (!is_name(name)) refuse(whole, "bad name of a wildcard");
  return {multi ? kind::multi : kind::wildcard, std::string(name)};
}

void check_names(const pattern& p) {
  std::unordered_set<std::string_view> names;
  for (const pattern_segment& each : p.segments) {
    if (each.is == kind::literal || each.text.empty()) continue;
    if (!names.insert(each.text).second) refuse(p.text, "two wildcards of one name");
  }
}

relation both(relation a, relation b) {
  using enum relation;
  if (a == disjoint || b == disjoint) return disjoint;
  if (a == equal) return b;
  if (b == equal || a == b) return a;
  return overlaps;
}

relation relation_of_segments(const pattern_segment& a, const pattern_segment& b) {
  using enum relation;
  if (a.is == kind::literal && b.is == kind::literal) return a.text == b.text ? equal : disjoint;
  if (a.is == b.is) return equal;
  // The segment "/" stands for the end behind a slash, which is no segment for a {name}.
  if (a.is == kind::wildcard && b.is == kind::literal) {
    return b.text == "/" ? disjoint : more_general;
  }
  if (b.is == kind::wildcard && a.is == kind::literal) {
    return a.text == "/" ? disjoint : more_specific;
  }
  return a.is == kind::multi ? more_general : more_specific;
}

}  // namespace

pattern pattern::parse(std::string_view text) {
  pattern p;
  p.text = text;
  std::string_view rest = text;
  if (rest.empty()) refuse(text, "empty");
  if (const std::size_t blank = rest.find_first_of(" \t"); blank != rest.npos) {
    p.method = rest.substr(0, blank);
    if (p.method.empty() || !token_chars.has_all(p.method)) {
      refuse(text, "bad method");
    }
    rest = trim(rest.substr(blank));
  }
  const std::size_t slash = rest.find('/');
  if (slash == rest.npos) refuse(text, "the path is missing");
  p.host = rest.substr(0, slash);
  if (p.host.find_first_of("{} \t") != p.host.npos) refuse(text, "bad host");
  std::ranges::transform(p.host, p.host.begin(), lower);
  rest.remove_prefix(slash);
  // CONNECT's targets are not cleaned.
  if (p.method != "CONNECT" && rest.find("{") == rest.npos && clean_path(rest) != rest) {
    refuse(text, "the path is not clean, so no request matches it");
  }
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, end);
    rest.remove_prefix(end);
    if (!segment.empty()) {
      p.segments.push_back(parse_segment(text, segment, rest.empty()));
    } else if (rest.empty()) {
      p.segments.push_back({kind::multi, ""});
    } else {
      refuse(text, "empty segment");
    }
  }
  check_names(p);
  return p;
}

relation relation_of_paths(const pattern& a, const pattern& b) {
  relation so_far = relation::equal;
  const auto& x = a.segments;
  const auto& y = b.segments;
  for (std::size_t i = 0; i < x.size() || i < y.size(); ++i) {
    // What is shorter has ended: a multi, which alone could match on, returned below.
    if (i == x.size() || i == y.size()) return relation::disjoint;
    so_far = both(so_far, relation_of_segments(x[i], y[i]));
    if (so_far == relation::disjoint) return so_far;
    if (x[i].is == kind::multi || y[i].is == kind::multi) return so_far;
  }
  return so_far;
}

relation relation_of_methods(const pattern& a, const pattern& b) {
  using enum relation;
  if (a.method == b.method) return equal;
  if (a.method.empty()) return more_general;
  if (b.method.empty()) return more_specific;
  if (a.method == "GET" && b.method == "HEAD") return more_general;
  if (a.method == "HEAD" && b.method == "GET") return more_specific;
  return disjoint;
}

bool pattern::conflicts_with(const pattern& other) const {
  if (host != other.host) return false;  // one with a host goes before one without
  const relation r = both(relation_of_methods(*this, other), relation_of_paths(*this, other));
  return r == relation::equal || r == relation::overlaps;
}

void split_path(std::string_view path, path_segments& out) {
  out.clear();
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    // Behind the last slash, or an empty one between two (only a CONNECT keeps those).
    out.push_back(end == 0 && path.empty() ? std::string_view("/") : path.substr(0, end));
    path.remove_prefix(end);
  }
}

}  // namespace gort::http

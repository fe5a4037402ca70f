#include "prometheus/negotiation.hpp"

#include <charconv>
#include <optional>
#include <string>

namespace gort::prometheus {

namespace {

std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

// The part before the separator, which is taken off the rest.
std::string_view cut(std::string_view& rest, char separator) noexcept {
  const std::size_t at = rest.find(separator);
  const std::string_view first = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return trim(first);
}

struct wish {
  std::string what;
  std::string version;
  double weight = 1;
};

wish parse(std::string_view text) {
  wish out;
  out.what = lower(cut(text, ';'));
  while (!text.empty()) {
    std::string_view value = cut(text, ';');
    const std::string name = lower(cut(value, '='));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    if (name == "version") out.version = value;
    if (name == "q") {
      double q = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), q);
      out.weight = error == std::errc{} && end == value.data() + value.size() ? q : 0;
    }
  }
  return out;
}

template <class F>
void for_each_wish(std::string_view list, F f) {
  while (!list.empty()) f(parse(cut(list, ',')));
}

}  // namespace

bool prefers_open_metrics(std::string_view accept) {
  double text = 0, open = 0;
  int text_at = 0, open_at = 0, at = 0;  // of equal weights the first one counts
  const auto note = [&](double& best, int& where, double weight) {
    if (weight > best) best = weight, where = at;
  };
  for_each_wish(accept, [&](const wish& w) {
    ++at;
    if (w.what == "application/openmetrics-text" &&
        (w.version.empty() || w.version == "1.0.0" || w.version == "0.0.1"))
      note(open, open_at, w.weight);
    if (w.what == "text/plain" && (w.version.empty() || w.version == "0.0.4"))
      note(text, text_at, w.weight);
  });
  return open > text || (open > 0 && open == text && open_at < text_at);
}

bool accepts_gzip(std::string_view accept_encoding) {
  std::optional<bool> named, any;
  for_each_wish(accept_encoding, [&](const wish& w) {
    if (w.what == "gzip" || w.what == "x-gzip") named = w.weight > 0;
    if (w.what == "*") any = w.weight > 0;
  });
  return named.value_or(any.value_or(false));
}

}  // namespace gort::prometheus

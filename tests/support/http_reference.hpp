// A second reader of requests, to compare the server with: RFC 9112 as it is written, slow, one
// pass over the whole text, and nothing of ours in it.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace gort::test {

/// What a server that serves every request would have read: "METHOD target body\n" for each, up to
/// the first that is malformed or cut short.
class reference_reader {
 public:
  explicit reference_reader(std::string_view in) : rest_(in) {
    while (read_one()) continue;
  }
  const std::vector<std::string>& requests() const { return requests_; }

 private:
  static bool is_tchar(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           (c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
  }
  static bool is_token(std::string_view s) {
    return !s.empty() && std::ranges::all_of(s, is_tchar);
  }
  static bool is_text(std::string_view s) {
    return std::ranges::none_of(s, [](char c) {
      const auto u = static_cast<unsigned char>(c);
      return (u < 32 && c != '\t') || u == 127;
    });
  }
  static std::string_view trimmed(std::string_view s) {
    while (!s.empty() && (s[0] == ' ' || s[0] == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
    return s;
  }
  static std::string lowered(std::string_view s) {
    std::string out(s);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
  }

  /// A line that ends with CR LF and has no other control characters.
  bool line(std::string_view& out) {
    const std::size_t end = rest_.find('\n');
    if (end == rest_.npos || end == 0 || rest_[end - 1] != '\r') return false;
    out = rest_.substr(0, end - 1);
    rest_.remove_prefix(end + 1);
    return is_text(out);
  }

  bool read_one() {
    std::string_view l;
    do {
      if (!line(l)) return false;
    } while (l.empty());
    const std::size_t a = l.find(' ');
    const std::size_t b = l.rfind(' ');
    if (a == l.npos || b == a || !is_token(l.substr(0, a))) return false;
    const std::string method(l.substr(0, a));
    const std::string target(l.substr(a + 1, b - a - 1));
    const std::string_view version = l.substr(b + 1);
    if (target.empty() || target.find_first_of(" \t#") != target.npos || version.size() != 8 ||
        !version.starts_with("HTTP/1.") || version[7] < '0' || version[7] > '9') {
      return false;
    }
    const bool is_old = version[7] == '0';
    std::vector<std::string> lengths, codings;
    bool close = false, keep = false;
    for (;;) {
      if (!line(l)) return false;
      if (l.empty()) break;
      const std::size_t colon = l.find(':');
      if (colon == l.npos || !is_token(l.substr(0, colon))) return false;
      const std::string name = lowered(l.substr(0, colon));
      const std::string value(trimmed(l.substr(colon + 1)));
      if (name == "content-length") lengths.push_back(value);
      if (name == "transfer-encoding") codings.push_back(lowered(value));
      if (name == "connection") {
        const std::string list = ',' + lowered(value) + ',';
        for (std::size_t at = 0; at + 1 < list.size();) {
          const std::size_t next = list.find(',', at + 1);
          const std::string_view one =
              trimmed(std::string_view(list).substr(at + 1, next - at - 1));
          close |= one == "close";
          keep |= one == "keep-alive";
          at = next;
        }
      }
    }
    std::string body;
    if (!codings.empty()) {
      if (codings.size() != 1 || codings[0] != "chunked" || !lengths.empty() || is_old)
        return false;
      if (!read_chunks(body)) return false;
    } else if (!lengths.empty()) {
      std::size_t n = 0;
      for (const std::string& s : lengths) {
        if (s != lengths[0] || s.empty() || s.size() > 12) return false;
        if (s.find_first_not_of("0123456789") != s.npos) return false;
        n = std::stoull(s);
      }
      if (n > rest_.size()) return false;
      body = rest_.substr(0, n);
      rest_.remove_prefix(n);
    }
    requests_.push_back(method + ' ' + target + ' ' + body);
    return !close && (!is_old || keep);
  }

  bool read_chunks(std::string& body) {
    for (;;) {
      std::string_view l;
      if (!line(l)) return false;
      const std::size_t digits = std::min(l.find_first_not_of("0123456789abcdefABCDEF"), l.size());
      const std::string_view behind = trimmed(l.substr(digits));
      if (digits == 0 || (!behind.empty() && behind[0] != ';')) return false;
      if (behind.empty() && digits != l.size()) return false;
      std::string number(l.substr(0, digits));
      number.erase(0, std::min(number.find_first_not_of('0'), number.size()));
      if (number.size() > 8) return false;
      const std::size_t n = number.empty() ? 0 : std::stoull(number, nullptr, 16);
      if (n == 0) break;
      if (rest_.size() < n + 2 || rest_.substr(n, 2) != "\r\n") return false;
      body += rest_.substr(0, n);
      rest_.remove_prefix(n + 2);
    }
    for (std::string_view l;;) {
      if (!line(l)) return false;
      if (l.empty()) return true;
      if (const std::size_t colon = l.find(':'); colon == l.npos || !is_token(l.substr(0, colon))) {
        return false;
      }
    }
  }

  std::string_view rest_;
  std::vector<std::string> requests_;
};

}  // namespace gort::test

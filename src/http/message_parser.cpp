#include "http/message_parser.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "http/text.hpp"

namespace gort::http {

namespace {

// Bytes above ASCII are let through, as Go does; a fragment is never sent (RFC 9112 3.2).
constexpr char_set target_chars(
    [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '#'; });

/// "HTTP/d.d"; 1.x only.
refusal read_version(std::string_view text, int& minor) noexcept {
  if (text == "HTTP/1.1") {
    minor = 1;
    return refusal::none;
  }
  if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
      !is_digit(text[7])) {
    return refusal::malformed;
  }
  if (text[5] != '1') return refusal::unsupported_version;
  minor = text[7] == '0' ? 0 : 1;
  return refusal::none;
}

}  // namespace

std::size_t message_parser::put_head(std::span<char> head, refusal& why) {
  why = refusal::none;
  if (head.size() > std::numeric_limits<std::uint32_t>::max()) {
    why = refusal::malformed;
    return 0;
  }
  head_ = head.data();
  for (;;) {
    const void* found = std::memchr(head_ + searched_, '\n', head.size() - searched_);
    if (found == nullptr) {
      searched_ = head.size();
      // Whoever speaks another protocol need not wait for a line's end.
      if (line_ == 0 && !begins_well({head_, head.size()})) why = refusal::malformed;
      return 0;
    }
    const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - head_);
    if (end == line_ || head_[end - 1] != '\r') {  // [parse-1]
      why = refusal::malformed;
      return 0;
    }
    const std::string_view line(head_ + line_, end - 1 - line_);
    line_ = searched_ = end + 1;
    if (!has_start_line_) {
      why = is_request_ ? put_request_line(line) : put_status_line(line);
      has_start_line_ = true;
    } else if (line.empty()) {
      why = finish();
      return why == refusal::none ? line_ : 0;
    } else {
      why = put_field(line);
    }
    if (why != refusal::none) return 0;
  }
}

bool message_parser::begins_well(std::string_view head) const noexcept {
  if (head.empty()) return true;
  if (is_request_) return is_token_char(head[0]);
  constexpr std::string_view begin = "HTTP/1.";
  return begin.starts_with(head.substr(0, begin.size()));
}

/// method SP target SP version
refusal message_parser::put_request_line(std::string_view line) {
  const auto take = [&line](const char_set& allowed) {
    const std::string_view word = line.substr(0, allowed.prefix(line));
    line.remove_prefix(word.size());
    const bool good = !word.empty() && line.starts_with(' ');
    line.remove_prefix(good ? 1 : 0);
    return good ? word : std::string_view();
  };
  const std::string_view m = take(token_chars);
  if (m.empty()) return refusal::malformed;
  const std::string_view t = take(target_chars);
  if (t.empty()) return refusal::malformed;
  method = cut(m);
  target = cut(t);
  return read_version(line, minor);
}

/// version 1*SP 3DIGIT [ SP reason ]
refusal message_parser::put_status_line(std::string_view line) {
  if (const refusal bad = read_version(line.substr(0, 8), minor); bad != refusal::none) return bad;
  std::string_view rest = line.substr(8);
  const std::size_t blanks = std::min(rest.find_first_not_of(' '), rest.size());
  if (blanks == 0) return refusal::malformed;
  rest.remove_prefix(blanks);
  const std::string_view code = rest.substr(0, rest.find(' '));
  const auto number = parse_decimal(code);
  if (code.size() != 3 || !number || *number < 100 || has_control(rest)) return refusal::malformed;
  status = static_cast<int>(*number);
  reason = cut(trim(rest.substr(3)));
  return refusal::none;
}

message_parser::meaning message_parser::meaning_of(std::string_view name) noexcept {
  switch (name.size()) {
    case 4: return equal_fold(name, "Host") ? meaning::host : meaning::none;
    case 6: return equal_fold(name, "Expect") ? meaning::expect : meaning::none;
    case 10: return equal_fold(name, "Connection") ? meaning::connection : meaning::none;
    case 14: return equal_fold(name, "Content-Length") ? meaning::length : meaning::none;
    case 17: return equal_fold(name, "Transfer-Encoding") ? meaning::coding : meaning::none;
    default: return meaning::none;
  }
}

refusal message_parser::put_field(std::string_view line) {
  if (line[0] == ' ' || line[0] == '\t') return fold(line);
  if (const refusal bad = settle(); bad != refusal::none) return bad;
  const std::size_t colon = token_chars.prefix(line);
  if (colon == 0 || colon == line.size() || line[colon] != ':') return refusal::malformed;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (has_control(value)) return refusal::malformed;
  if (fields.size() >= fields_max_) return refusal::too_many_fields;
  fields.push_back({cut(name), cut(value)});
  last_ = meaning_of(name);
  return refusal::none;
}

/// Onto the value of the last field: moved up to it, behind one blank.
refusal message_parser::fold(std::string_view line) {
  if (is_request_ || fields.empty() || has_control(line)) return refusal::malformed;
  const std::string_view more = trim(line);
  slice& value = fields.back().value;
  if (more.empty()) return refusal::none;
  char* end = head_ + value.at + value.size;
  if (value.size != 0) *end++ = ' ';
  std::memmove(end, more.data(), more.size());
  value.size = static_cast<std::uint32_t>(end + more.size() - (head_ + value.at));
  return refusal::none;
}

/// The last field's value is complete.
refusal message_parser::settle() {
  if (last_ == meaning::none) return refusal::none;
  const slice where = fields.back().value;
  const std::string_view value = where.of(head_);
  switch (std::exchange(last_, meaning::none)) {
    case meaning::connection:
      if (list_has(value, "close")) close_ = true;
      if (list_has(value, "keep-alive")) asks_to_keep_ = true;
      return refusal::none;
    case meaning::length: return put_length(value);
    case meaning::coding: return put_coding(value);
    case meaning::host:
      ++hosts;
      host = where;
      return refusal::none;
    case meaning::expect:
      (equal_fold(value, "100-continue") ? expects_continue : expects_other) |= !value.empty();
      return refusal::none;
    case meaning::none: break;
  }
  return refusal::none;
}

refusal message_parser::put_length(std::string_view value) {
  const auto number = parse_decimal(value);
  if (!number || (length_ && value != length_text_.of(head_))) return refusal::malformed;
  length_ = number;
  length_text_ = cut(value);
  return refusal::none;
}

refusal message_parser::put_coding(std::string_view value) {
  if (std::exchange(has_coding_, true) || minor == 0) return refusal::malformed;
  chunked_ = equal_fold(value, "chunked");
  if (chunked_) return refusal::none;
  // Where a request ends is known only if it is chunked once, last of all (RFC 9112 6.3).
  const std::size_t comma = value.rfind(',');
  const bool is_last = comma != value.npos && equal_fold(trim(value.substr(comma + 1)), "chunked");
  const bool only_last = is_last && !list_has(value.substr(0, comma), "chunked");
  return !is_request_ || only_last ? refusal::unsupported_coding : refusal::malformed;
}

refusal message_parser::finish() {
  if (const refusal bad = settle(); bad != refusal::none) return bad;
  if (has_coding_ && length_) {  // [parse-2]
    if (is_request_) return refusal::malformed;
    length_.reset();
    close_ = true;
  }
  return refusal::none;
}

}  // namespace gort::http

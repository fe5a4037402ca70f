// Problem: find out what a head says and where its message ends, so that no other reader of the
// same bytes (a proxy in front, a server behind) can come to a different answer. The head becomes
// offsets into the input buffer, without copies.
//
// Invariants
//   [parse-1] A line ends with CR LF and holds neither alone, nor any other control character but
//             the tab.
//   [parse-2] A request with Transfer-Encoding is chunked and nothing else, is HTTP/1.1, and has no
//             Content-Length. A response may have both: the length is dropped, as RFC 9112 6.3
//             says, and the connection not used again.
//   [parse-3] Content-Length is a number; several are the same text.
//   [parse-4] A line folded onto the next (obs-fold) is refused in a request. In a response it is
//             joined with one blank, inside the buffer (RFC 9112 5.2: a client MUST).
//   [parse-5] Each byte is looked at once or twice, however the head is cut into pieces.
//   [parse-6] At most `fields_max` fields, whose views cost more than their text may.
// Responses are also read where they lack the blank behind the status code, or have more than one
// before it: servers send such.
//
// Rejected: Boost.Beast's parser, which was here first. It takes line feeds in a chunk's extension,
// folded trailers, Proxy-Connection for Connection and "keep-alive, close" for keep-alive, and
// refuses every version behind 1.1; none of that can be changed from outside. The fuzz test still
// asks it: what this one takes, it must read the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace gort::http {

/// Why a message is not taken.
enum class refusal : std::uint8_t {
  none,
  malformed,
  too_many_fields,
  unsupported_coding,   // well framed, in a coding that we cannot undo
  unsupported_version,  // HTTP, but not 1.x
};

/// A text of the head, as an offset from its first byte: the buffer may move while it arrives.
struct slice {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
  std::string_view of(const char* head) const noexcept { return {head + at, size}; }
};
struct field_slices {
  slice name;
  slice value;
};

class message_parser {
 public:
  /// Go: http.DefaultMaxHeaderValueCount.
  static constexpr std::size_t fields_max_default = 500;

  slice method, target, reason;
  int minor = 1;  // 0 or 1: what is newer is read as 1.1 (RFC 9110 2.5)
  int status = 0;
  std::vector<field_slices>& fields;
  unsigned hosts = 0;
  slice host;
  bool expects_continue = false;
  bool expects_other = false;

  message_parser(const message_parser&) = delete;
  message_parser& operator=(const message_parser&) = delete;

  /// Parses what is in `head`, all bytes of the message so far; returns how many belong to the
  /// header that is now complete, 0 if more are needed or it is refused.
  std::size_t put_head(std::span<char> head, refusal& why);

  // Of a complete head.
  bool chunked() const noexcept { return chunked_; }
  std::optional<std::uint64_t> content_length() const noexcept { return length_; }
  bool keep_alive() const noexcept { return !close_ && (minor >= 1 || asks_to_keep_); }

 protected:
  /// `found` gets the fields; it is cleared first.
  message_parser(bool is_request, std::vector<field_slices>& found, std::size_t fields_max) noexcept
      : fields(found), is_request_(is_request), fields_max_(fields_max) {
    fields.clear();
  }
  ~message_parser() = default;

 private:
  /// Fields that say something to us.
  enum class meaning : std::uint8_t { none, connection, length, coding, host, expect };

  static meaning meaning_of(std::string_view name) noexcept;
  slice cut(std::string_view text) const noexcept {
    return {static_cast<std::uint32_t>(text.data() - head_),
            static_cast<std::uint32_t>(text.size())};
  }
  bool begins_well(std::string_view head) const noexcept;
  refusal put_request_line(std::string_view line);
  refusal put_status_line(std::string_view line);
  refusal put_field(std::string_view line);
  refusal fold(std::string_view line);
  refusal settle();
  refusal put_length(std::string_view value);
  refusal put_coding(std::string_view value);
  refusal finish();

  const bool is_request_;
  const std::size_t fields_max_;
  char* head_ = nullptr;      // valid inside put_head()
  std::size_t line_ = 0;      // where the line begins that is not complete
  std::size_t searched_ = 0;  // no line feed from there up to here
  bool has_start_line_ = false;
  meaning last_ = meaning::none;  // of the last field, whose value may still grow
  bool close_ = false;
  bool asks_to_keep_ = false;
  bool has_coding_ = false;
  bool chunked_ = false;
  slice length_text_;
  std::optional<std::uint64_t> length_;
};

struct request_parser final : message_parser {
  explicit request_parser(std::vector<field_slices>& found,
                          std::size_t fields_max = fields_max_default) noexcept
      : message_parser(true, found, fields_max) {}
};
struct response_parser final : message_parser {
  explicit response_parser(std::vector<field_slices>& found,
                           std::size_t fields_max = fields_max_default) noexcept
      : message_parser(false, found, fields_max) {}
};

}  // namespace gort::http

// URLs, as far as a client needs them: RFC 3986, with the zones of RFC 6874 and 9844.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

namespace gort::http {

struct url {
  bool tls = false;
  std::string host;        // "example.com", "::1": for certificates; no zone
  std::string host_field;  // "example.com:8080", "[fe80::1]": a zone is this machine's own business
  std::string authority;   // the same with the zone, as it was written: "[fe80::1%25eth0]"
  std::string address;     // for dialing: "example.com:80", "[fe80::1%eth0]:80"
  std::string target;      // "/path?query", in visible ASCII

  /// "http" or "https"; bytes beyond ASCII are escaped. Errors: errc::bad_url; for user names,
  /// hosts that are no ASCII names (names of other scripts need their "xn--" form), control
  /// characters and blanks too.
  static url parse(std::string_view text, std::error_code& error);

  /// What `reference`, a Location field, means in an answer from this URL (RFC 3986, 5.2). Blanks
  /// and bytes beyond ASCII are escaped.
  std::string resolve(std::string_view reference) const;
  /// Whether a reference names its host, or else is relative to that of its answer.
  static bool names_host(std::string_view reference) noexcept;

  std::string to_string() const { return (tls ? "https://" : "http://") + authority + target; }
};

}  // namespace gort::http

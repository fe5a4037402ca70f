// URLs, as far as a client needs them.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

namespace gort::http {

struct url {
  bool tls = false;
  std::string host;       // "example.com", "::1"
  std::string authority;  // for the Host field: "example.com:8080"
  std::string address;    // for dialing: "example.com:80"
  std::string target;     // "/path?query"

  /// "http" or "https". Errors: errc::bad_url; user names are not supported.
  static url parse(std::string_view text, std::error_code& error);
  /// What `reference` means in an answer from this URL: absolute, or relative to it.
  std::string resolve(std::string_view reference) const;
  std::string to_string() const { return (tls ? "https://" : "http://") + authority + target; }
};

}  // namespace gort::http

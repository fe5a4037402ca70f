/// What can go wrong on the network beyond what the system reports by errno.
#pragma once

#include <system_error>

namespace gort::net {

/// Error codes of the category "net", with Go's texts. System errors (connection refused, broken
/// pipe) come in std::system_category() instead.
enum class errc {
  closed = 1,       ///< use of closed network connection. Go: net.ErrClosed
  timed_out,        ///< i/o timeout: a deadline has passed; == std::errc::timed_out. Go:
                    ///< os.ErrDeadlineExceeded
  no_such_host,     ///< the name has no address
  name_server,      ///< the name could not be looked up; trying again may help
  missing_port,     ///< missing port in address
  invalid_address,  ///< not an address
  no_address,       ///< no suitable address found
};

/// The category "net".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), category()};
}

}  // namespace gort::net

template <>
struct std::is_error_code_enum<gort::net::errc> : std::true_type {};

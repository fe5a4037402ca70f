/// What can go wrong in HTTP beyond what the network reports.
#pragma once

#include <system_error>

namespace gort::http {

/// Error codes of the category "http".
enum class errc {
  server_closed = 1,    ///< serve() after shutdown() or close(). Go: http.ErrServerClosed
  malformed,            ///< the peer's message breaks the protocol
  unexpected_eof,       ///< the connection ended inside a message. Go: io.ErrUnexpectedEOF
  header_too_large,     ///< more bytes of header than the limit
  body_too_large,       ///< more bytes of body than the limit. Go: http.MaxBytesError
  body_not_allowed,     ///< the request method or status does not allow a body
  content_length,       ///< wrote more than the declared Content-Length
  body_closed,          ///< read after the handler returned or the response was closed
  bad_url,              ///< not an http or https URL
  too_many_redirects,   ///< stopped after the limit of redirects
  body_not_replayable,  ///< a redirect or retry needs the body again, which was a stream
  tls,                  ///< the handshake or a record failed
  certificate,          ///< the peer's certificate could not be verified
  unsupported_protocol  ///< TLS is not built in
};

/// The category "http".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), category()};
}

}  // namespace gort::http

template <>
struct std::is_error_code_enum<gort::http::errc> : std::true_type {};

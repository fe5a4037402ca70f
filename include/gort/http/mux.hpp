/// The request multiplexer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <gort/http/message.hpp>

namespace gort::http {

namespace detail {
struct mux_state;
}

/// Calls the handler whose pattern matches the request best; is itself a handler. Copies refer to
/// the same table, and so does what was moved from. Registering and serving may overlap. Go:
/// http.ServeMux.
///
/// Patterns are those of Go 1.22: "[METHOD ][HOST]/path".
///   /items          exactly this path
///   /items/         this and all below it; /items is redirected to it
///   /items/{id}     one segment, request.path_value("id")
///   /files/{p...}   the rest, slashes included
///   /{$}            only the root
///   GET /x          GET and HEAD; POST /x is answered 405 with Allow
///   example.com/x   only that host; goes before patterns without host
/// Of two patterns that match, the more specific one wins, whatever the order of registration; two
/// of which neither is more specific are refused. Paths with "//", "/./" or "/../" are redirected
/// to the clean one.
class mux {
 public:
  mux();
  mux(const mux&) = default;  // and no moves, as client
  mux& operator=(const mux&) = default;

  /// Throws std::invalid_argument for a malformed pattern, and for one that conflicts with an
  /// earlier one, naming both.
  void handle(std::string_view pattern, handler h);
  /// The pattern that would serve the request; "" for 404 and 405.
  std::string match(std::string_view method, std::string_view host, std::string_view path) const;

  void operator()(request& r, response_writer& w) const;

 private:
  std::shared_ptr<detail::mux_state> state_;
};

}  // namespace gort::http

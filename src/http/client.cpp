#include <gort/http/client.hpp>

#include <algorithm>
#include <utility>

#include "http/client_exchange.hpp"
#include "http/read_all.hpp"
#include "http/text.hpp"
#include "http/url.hpp"

namespace gort::http {

using detail::client_exchange;
using detail::client_state;

namespace {

void check(const std::error_code& error, const std::string& what) {
  if (error) throw std::system_error(error, what);
}

/// What a redirect makes of the request; false: it cannot be followed.
bool redirect_request(client_request& r, int code, const url& from, const url& to,
                      bool names_host) {
  if (code == status::temporary_redirect || code == status::permanent_redirect) {
    if (r.body_reader) return false;
  } else if (r.method != "GET" && r.method != "HEAD") {
    r.method = "GET";
    r.body.clear();
    r.body_reader = nullptr;
    r.content_length.reset();
    for (const char* name : {"Content-Type", "Content-Encoding", "Content-Language"}) {
      r.header.del(name);
    }
  }
  // What was meant for one server is no business of another.
  if (from.address != to.address || (from.tls && !to.tls)) {
    for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) r.header.del(name);
  }
  if (names_host) r.header.del("Host");
  return true;
}

bool is_redirect(int code) noexcept {
  return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

bool is_method(std::string_view m) noexcept {
  return !m.empty() && token_chars.has_all(m);
}

}  // namespace

// --- client
// ---------------------------------------------------------------------------------------

client::client(client_options options)
    : state_(std::make_shared<client_state>(std::move(options))) {}

response client::do_(context ctx, const client_request& original, std::error_code& error) {
  error.clear();
  const client_options& options = state_->options;
  if (!is_method(original.method)) {
    error = std::make_error_code(std::errc::invalid_argument);
    return {};
  }
  url to = url::parse(original.url, error);
  if (error) return {};
  const client_request* request = &original;
  client_request changed;  // by a redirect
  const auto until = gort::detail::time_after(options.timeout);
  for (int redirects = 0;;) {
    std::unique_ptr<client_exchange> exchange;
    bool may_retry = false;
    bool fresh = false;
    do {
      // One context per attempt: what cancels a connection must not reach the next one.
      auto [own, cancel] = options.timeout == options.timeout.zero()
                               ? cancelable_context{ctx, cancel_function()}
                               : with_deadline(ctx, until);
      error = own.err();
      if (error) return {};
      std::unique_ptr<detail::client_connection> c;
      if (!fresh) c = state_->take((to.tls ? "https " : "http ") + to.address);
      if (c == nullptr) c = state_->connect(own, to, error);
      if (error) return {};
      exchange = std::make_unique<client_exchange>(state_, own, std::move(cancel));
      exchange->perform(std::move(c), to, *request, error, may_retry);
      fresh = true;  // others in the pool may have died with the first
    } while (error && may_retry);
    if (error) return {};
    exchange->final_url = to.to_string();

    const std::string location(exchange->fields.get("Location"));
    if (!is_redirect(exchange->status) || location.empty() || options.max_redirects == 0) {
      return response(std::move(exchange));
    }
    url next = url::parse(to.resolve(location), error);
    if (error) return {};
    if (request == &original) {
      changed = original;
      request = &changed;
    }
    if (!redirect_request(changed, exchange->status, to, next, url::names_host(location))) {
      return response(std::move(exchange));
    }
    if (++redirects > options.max_redirects) {
      error = errc::too_many_redirects;
      return {};
    }
    // A short body is read, so that the connection can be used again.
    std::byte scratch[2048];
    exchange->read(scratch, error);
    error.clear();
    to = std::move(next);
  }
}

response client::do_(context ctx, const client_request& request) {
  std::error_code error;
  response r = do_(std::move(ctx), request, error);
  check(error, request.method + " " + request.url);
  return r;
}

response client::get(context ctx, const std::string& target) {
  return do_(std::move(ctx), {.url = target});
}

response client::head(const std::string& target) {
  return do_(background(), {.method = "HEAD", .url = target});
}

response client::post(context ctx, const std::string& target, std::string_view content_type,
                      std::string body) {
  client_request r{.method = "POST", .url = target, .body = std::move(body)};
  r.header.set("Content-Type", content_type);
  return do_(std::move(ctx), r);
}

void client::close_idle_connections() { state_->close_idle(); }

// --- response
// -------------------------------------------------------------------------------------

response::response() noexcept = default;
response::response(std::unique_ptr<client_exchange> exchange) noexcept
    : exchange_(std::move(exchange)) {}
response::response(response&&) noexcept = default;
response& response::operator=(response&&) noexcept = default;
response::~response() = default;

int response::status() const noexcept { return exchange_ ? exchange_->status : 0; }
const headers& response::header() const noexcept {
  static const headers none;
  return exchange_ ? exchange_->fields : none;
}
std::optional<std::uint64_t> response::content_length() const noexcept {
  return exchange_ ? exchange_->length : std::nullopt;
}
const std::string& response::url() const noexcept {
  static const std::string none;
  return exchange_ ? exchange_->final_url : none;
}
bool response::reused_connection() const noexcept { return exchange_ && exchange_->reused; }

std::size_t response::read(std::span<std::byte> into, std::error_code& error) {
  if (exchange_) return exchange_->read(into, error);
  error = errc::body_closed;
  return 0;
}

std::size_t response::read(std::span<std::byte> into) {
  std::error_code error;
  const std::size_t n = read(into, error);
  check(error, "http: reading the response");
  return n;
}

std::string response::body(std::size_t limit) {
  constexpr std::size_t believed_max = 64 * 1024;  // of what a server declares
  std::size_t left = limit;
  const std::uint64_t declared = exchange_ ? exchange_->length.value_or(0) : 0;
  const std::uint64_t expected = std::min<std::uint64_t>({declared, believed_max, limit});
  return read_all(static_cast<std::size_t>(expected), [&](std::span<std::byte> into) {
    const std::size_t n = read(into);
    if (n > left) {
      close();
      check(errc::body_too_large, "http: reading the response");
    }
    left -= n;
    return n;
  });
}

void response::close() noexcept {
  if (exchange_) exchange_->close();
}

}  // namespace gort::http

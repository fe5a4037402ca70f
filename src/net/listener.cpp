// Listening, and accepting in spite of everything.
#include <gort/net/listener.hpp>

#include <algorithm>
#include <chrono>

#include "net/io.hpp"

namespace gort::net {

using poll::descriptor;
using poll::operation;
using poll::verdict;

listener listen(std::string_view address, const listen_options& options, std::error_code& error) {
  bool any = false;
  endpoint at = parse_local(address, any, error);
  if (error) return {};
  const int fd = open_bound(at, any, SOCK_STREAM, options.reuse_port, error);
  if (fd < 0) return {};
  if (at.is_ip()) set_tcp_defaults(fd);
  const int backlog = options.backlog > 0 ? options.backlog : SOMAXCONN;
  if (const int result = os::listen_socket(fd, backlog); result < 0) {
    os::close_descriptor(fd);
    error = system_error_of(result);
    return {};
  }
  int problem = 0;
  descriptor* d = poll::adopt(fd, problem);
  if (d == nullptr) {
    os::close_descriptor(fd);
    error = system_error_of(-problem);
    return {};
  }
  d->remove_path = at.family() == family::local;
  d->quick_reads = at.is_ip();  // what its connections will be
  return listener(detail::socket_handle(d));
}

listener listen(std::string_view address, const listen_options& options) {
  return or_throw("listen", address,
                  [&](std::error_code& e) { return listen(address, options, e); });
}

namespace {

// The connection at the head of the queue has failed; there may be others.
bool is_of_connection(std::int64_t result) noexcept {
  switch (-result) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH: return true;
    default: return false;
  }
}

bool is_shortage(std::int64_t result) noexcept {
  switch (-result) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC: return true;  // the last: too many registrations with epoll
    default: return false;
  }
}

}  // namespace

conn listener::accept(std::error_code& error) {
  using std::chrono::nanoseconds;
  constexpr nanoseconds pause_first = std::chrono::milliseconds(5);
  constexpr nanoseconds pause_last = std::chrono::seconds(1);
  error.clear();
  operation op(handle_.get(), &descriptor::read);
  if (!op) {
    error = errc::closed;
    return {};
  }
  nanoseconds pause = pause_first;
  for (;;) {
    verdict v = op.prepare();
    std::int64_t result = v == verdict::go ? os::accept_socket(op.fd()) : 0;
    if (v == verdict::go && result >= 0) {
      auto handle = own(static_cast<int>(result), handle_.get()->quick_reads, error);
      if (handle.get() != nullptr) return conn(std::move(handle));
      result = -error.value();
      error.clear();
    }
    if (v == verdict::go && result < 0) {
      if (is_of_connection(result)) continue;
      if (result == -EAGAIN) {
        v = op.wait();
      } else if (is_shortage(result)) {
        v = op.pause(pause.count());
        pause = std::min(pause * 2, pause_last);
      } else {
        error = system_error_of(result);
        return {};
      }
    }
    if (v != verdict::go) {
      error = error_of(v);
      return {};
    }
  }
}

conn listener::accept() {
  return or_throw("accept", handle_.get(), [&](std::error_code& e) { return accept(e); });
}

void listener::close(std::error_code& error) noexcept { close_socket(handle_.get(), error); }
void listener::close() {
  or_throw("close", handle_.get(), [&](std::error_code& e) { close(e); });
}
void listener::set_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, true, false, error);
}
void listener::set_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_deadline(when, e); });
}

bool listener::is_open() const noexcept { return net::is_open(handle_.get()); }
endpoint listener::local_endpoint() const { return local_of(handle_.get()); }
int listener::native_handle() const noexcept { return number_of(handle_.get()); }

}  // namespace gort::net

// Listening, and accepting in spite of everything.
#include <gort/net/listener.hpp>

#include <algorithm>
#include <chrono>
#include <memory>

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
  std::unique_ptr<os::socket_file> file;
  if (at.family() == family::local && at.path()[0] != '@') {
    file = os::socket_file::made_at(at.path().c_str());
  }
  const int backlog = options.backlog > 0 ? options.backlog : SOMAXCONN;
  const int result = os::listen_socket(fd, backlog);
  int problem = -result;
  descriptor* d = result == 0 ? poll::adopt(fd, problem) : nullptr;
  if (d == nullptr) {
    os::close_descriptor(fd);
    if (file != nullptr) file->remove();
    error = system_error_of(-problem);
    return {};
  }
  if (options.unlink_on_close) d->file = file.release();
  d->quick_reads.store_relaxed(at.is_ip());  // what its connections will be
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

conn listener::accept(endpoint& from, std::error_code& error) {
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
  os::socket_address address;
  for (;;) {
    verdict v = op.prepare();
    std::int64_t result = v == verdict::go ? os::accept_socket(op.fd(), address) : 0;
    if (v == verdict::go && result >= 0) {
      const bool is_quick = handle_.get()->quick_reads.load_relaxed();
      auto handle = own(static_cast<int>(result), is_quick, error);
      if (handle.get() != nullptr) {
        from = from_system(address);
        return conn(std::move(handle));
      }
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

conn listener::accept(std::error_code& error) {
  endpoint ignored;
  return accept(ignored, error);
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
// Connections inherit options: they are no quicker than their listener.
int listener::native_handle() const noexcept { return give_number_of(handle_.get()); }

}  // namespace gort::net

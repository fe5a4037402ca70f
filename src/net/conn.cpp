// Connections: the system calls behind them, and how long they go on.
#include <gort/net/conn.hpp>

#include <algorithm>
#include <limits>

#include "net/io.hpp"

namespace gort::net {

using poll::descriptor;
using poll::operation;
using poll::verdict;

conn conn::adopt(int fd, std::error_code& error) {
  error.clear();
  int protocol = 0;
  int result = os::get_option(fd, SOL_SOCKET, SO_PROTOCOL, protocol);
  if (result == 0) result = os::make_non_blocking(fd);
  int problem = -result;
  descriptor* d = result == 0 ? poll::adopt(fd, problem) : nullptr;
  if (d == nullptr) {
    error = system_error_of(-problem);
    return {};
  }
  d->quick_reads.store_relaxed(protocol == IPPROTO_TCP && os::is_plain_tcp(fd));
  return conn(detail::socket_handle(d));
}

namespace {

/// One read into what room() gives. `readable`: ask for room and the system at once; else not
/// before there is something.
template <class Room>
std::size_t receive_into(descriptor* d, bool readable, const Room& room, std::error_code& error) {
  error.clear();
  operation op(d, &descriptor::read);
  if (!op) {
    error = errc::closed;
    return 0;
  }
  for (;;) {
    verdict v = op.prepare_read(&readable);
    std::byte first;
    if (v == verdict::go && (readable || os::receive(op.fd(), &first, 1, MSG_PEEK) != -EAGAIN)) {
      const std::span<std::byte> into = room();
      if (into.empty()) return 0;
      const std::int64_t got = os::receive(op.fd(), into.data(), into.size(), 0);
      if (got >= 0) {
        const auto bytes = static_cast<std::size_t>(got);
        op.note_read(into.size(), bytes);
        return bytes;
      }
      if (got != -EAGAIN) {
        error = system_error_of(got);
        return 0;
      }
    }
    if (v == verdict::go) v = op.wait();
    if (v != verdict::go) {
      error = error_of(v);
      return 0;
    }
    readable = true;
  }
}

}  // namespace

std::size_t conn::read(std::span<std::byte> into, std::error_code& error) {
  if (into.empty()) {  // there is nothing to wait for
    error = is_open() ? std::error_code() : errc::closed;
    return 0;
  }
  return receive_into(
      handle_.get(), true, [into] { return into; }, error);
}

std::size_t conn::read_when_readable(const std::function<std::span<std::byte>()>& room,
                                     std::error_code& error) {
  return receive_into(handle_.get(), false, room, error);
}

void conn::wait_readable(std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::read);
  if (!op) {
    error = errc::closed;
    return;
  }
  bool waited = false;
  verdict v = op.prepare_read(&waited);
  if (v == verdict::go && !waited) {
    std::byte first;
    if (os::receive(op.fd(), &first, 1, MSG_PEEK) == -EAGAIN) v = op.wait();
  }
  error = error_of(v);
}

bool conn::has_input() const noexcept {
  const poll::hold open(handle_.get());
  std::byte first;
  return !open || os::receive(open.fd(), &first, 1, MSG_PEEK) != -EAGAIN;
}

std::size_t conn::write_some(std::span<const std::byte> from, std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  const std::int64_t sent =
      when_ready(op, error, [&](int fd) { return os::send(fd, from.data(), from.size()); });
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

std::size_t conn::write(std::span<const std::byte> from, std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  std::size_t done = 0;
  do {
    const std::int64_t sent = when_ready(
        op, error, [&](int fd) { return os::send(fd, from.data() + done, from.size() - done); });
    if (sent < 0) break;
    done += static_cast<std::size_t>(sent);
  } while (done < from.size());
  return done;
}

std::size_t conn::write_vectored(std::span<const std::span<const std::byte>> pieces,
                                 std::error_code& error) {
  constexpr std::size_t pieces_per_call = 64;
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  std::size_t done = 0;
  std::size_t at = 0;      // the first piece that is not sent
  std::size_t offset = 0;  // how much of it is
  do {
    iovec batch[pieces_per_call];
    std::size_t count = 0;
    for (std::size_t i = at; i < pieces.size() && count < pieces_per_call; ++i) {
      const auto rest = i == at ? pieces[i].subspan(offset) : pieces[i];
      if (rest.empty()) continue;
      batch[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
    }
    const std::int64_t sent = when_ready(
        op, error, [&](int fd) { return count == 0 ? 0 : os::send_pieces(fd, batch, count); });
    if (sent < 0) break;
    done += static_cast<std::size_t>(sent);
    offset += static_cast<std::size_t>(sent);
    while (at < pieces.size() && offset >= pieces[at].size()) offset -= pieces[at++].size();
  } while (at < pieces.size());
  return done;
}

std::size_t conn::send_file(int file, std::int64_t offset, std::size_t count,
                            std::error_code& error) {
  constexpr std::size_t bytes_per_call = 1 << 30;  // the system takes just under 2 GiB
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  std::size_t done = 0;
  do {  // once at least: it may be closed
    const std::int64_t sent = when_ready(op, error, [&](int fd) {
      return os::send_file(fd, file, offset + static_cast<std::int64_t>(done),
                           std::min(count - done, bytes_per_call));
    });
    if (sent <= 0) break;  // an error, or the end of the file
    done += static_cast<std::size_t>(sent);
  } while (done < count);
  return done;
}

namespace {

// A system call on an open socket that does not block.
template <class Call>
void apply(descriptor* d, std::error_code& error, Call call) {
  error.clear();
  poll::hold open(d);
  if (!open) {
    error = errc::closed;
  } else if (const int result = call(open.fd()); result < 0) {
    error = system_error_of(result);
  }
}

int seconds_of(std::chrono::seconds s) noexcept {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp<std::int64_t>(s.count(), -1, most));
}

}  // namespace

void conn::close_write(std::error_code& error) {
  apply(handle_.get(), error, [](int fd) { return os::shutdown_writes(fd); });
}

void conn::set_no_delay(bool on, std::error_code& error) {
  apply(handle_.get(), error,
        [&](int fd) { return os::set_option(fd, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0); });
}

void conn::set_keep_alive(std::chrono::seconds idle, std::error_code& error) {
  apply(handle_.get(), error, [&](int fd) { return set_keep_alive_options(fd, seconds_of(idle)); });
}

void conn::set_linger(std::chrono::seconds wait, std::error_code& error) {
  apply(handle_.get(), error, [&](int fd) { return os::set_linger(fd, seconds_of(wait)); });
}

void conn::close(std::error_code& error) noexcept { close_socket(handle_.get(), error); }

void conn::set_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, true, true, error);
}
void conn::set_read_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, true, false, error);
}
void conn::set_write_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, false, true, error);
}

bool conn::is_open() const noexcept { return net::is_open(handle_.get()); }
endpoint conn::local_endpoint() const { return local_of(handle_.get()); }
endpoint conn::remote_endpoint() const { return remote_of(handle_.get()); }
int conn::native_handle() const noexcept { return give_number_of(handle_.get()); }

// --- the same, throwing

conn conn::adopt(int fd) {
  return or_throw("adopt", std::string_view(), [&](std::error_code& e) { return adopt(fd, e); });
}
std::size_t conn::read(std::span<std::byte> into) {
  return or_throw("read", handle_.get(), [&](std::error_code& e) { return read(into, e); });
}
void conn::wait_readable() {
  or_throw("read", handle_.get(), [&](std::error_code& e) { wait_readable(e); });
}
std::size_t conn::read_when_readable(const std::function<std::span<std::byte>()>& room) {
  return or_throw("read", handle_.get(),
                  [&](std::error_code& e) { return read_when_readable(room, e); });
}
std::size_t conn::write(std::span<const std::byte> from) {
  return or_throw("write", handle_.get(), [&](std::error_code& e) { return write(from, e); });
}
std::size_t conn::write_some(std::span<const std::byte> from) {
  return or_throw("write", handle_.get(), [&](std::error_code& e) { return write_some(from, e); });
}
std::size_t conn::write_vectored(std::span<const std::span<const std::byte>> pieces) {
  return or_throw("writev", handle_.get(),
                  [&](std::error_code& e) { return write_vectored(pieces, e); });
}
std::size_t conn::send_file(int fd, std::int64_t offset, std::size_t count) {
  return or_throw("sendfile", handle_.get(),
                  [&](std::error_code& e) { return send_file(fd, offset, count, e); });
}
void conn::close_write() {
  or_throw("close", handle_.get(), [&](std::error_code& e) { close_write(e); });
}
void conn::close() {
  or_throw("close", handle_.get(), [&](std::error_code& e) { close(e); });
}
void conn::set_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_deadline(when, e); });
}
void conn::set_read_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_read_deadline(when, e); });
}
void conn::set_write_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_write_deadline(when, e); });
}
void conn::set_no_delay(bool on) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_no_delay(on, e); });
}
void conn::set_keep_alive(std::chrono::seconds idle) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_keep_alive(idle, e); });
}
void conn::set_linger(std::chrono::seconds wait) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_linger(wait, e); });
}

}  // namespace gort::net

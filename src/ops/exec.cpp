// Programs, waited for in the netpoller by a descriptor of the process. (Starting them:
// exec_start.cpp.)
//
// Invariants
//   [exec-1] `how`, `ended` and `nobody_knows` are guarded by the turn of the descriptor's read
//            side: the first who waits reaps, the others find the result.
//   [exec-2] A process is only ever named by its descriptor, which comes with it: so no signal
//            reaches one that has the number since, whoever else reaps.
//   [exec-3] Descriptors for the program are none of 0, 1, 2: putting one of them into its place
//            cannot overwrite another that is still needed.
//
// Rejected: SIGCHLD (a handler is the program's to choose, and one signal may stand for several
// children); a thread for each child that waits; a Unix socket as the program's input, though
// writing to one raises no SIGPIPE (it cannot be opened as /dev/stdin, and bash takes it for
// rshd's).
#include <gort/exec.hpp>

#include <array>
#include <cctype>
#include <cerrno>
#include <string_view>
#include <utility>

#include <gort/blocking.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/error.hpp>
#include <gort/wait_group.hpp>

#include "net/io.hpp"
#include "ops/exec_start.hpp"
#include "os/pipe.hpp"
#include "os/spawn.hpp"

namespace gort::exec {

namespace {

std::error_code system_error_number(int number) noexcept {
  return {number, std::system_category()};
}

[[noreturn]] void throw_error(std::error_code error, std::string_view what) {
  throw std::system_error(error, "exec: " + std::string(what));
}

template <class F>
auto or_throw(std::string_view what, F f) {
  std::error_code error;
  if constexpr (std::is_void_v<decltype(f(error))>) {
    f(error);
    if (error) throw_error(error, what);
  } else {
    auto made = f(error);
    if (error) throw_error(error, what);
    return made;
  }
}

// An open descriptor that is on its way somewhere else.
class passing {
 public:
  passing() noexcept = default;
  explicit passing(int fd) noexcept : fd_(fd) {}
  passing(passing&& other) noexcept : fd_(other.release()) {}
  passing& operator=(passing&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~passing() {
    if (fd_ >= 0) os::close_descriptor(fd_);
  }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// Both sides of one of the program's streams.
struct ends {
  passing ours;  // of a pipe()
  passing theirs;
};

ends open_stream(redirect to, int number, const passing& merged, std::error_code& error) {
  ends made;
  int result;
  if (to == redirect::pipe()) {
    int both[2];
    result = os::make_pipe(number == 0 ? os::pipe_end::writes : os::pipe_end::reads, both);
    if (result == 0) {
      made.ours = passing(both[0]);
      result = both[1];
    }
  } else if (to == redirect::null()) {
    result = os::open_null();
  } else if (to == redirect::merge()) {
    result = os::copy_descriptor(merged.get());
  } else if (to == redirect::inherit()) {
    result = os::copy_descriptor(number);
    if (result == -EBADF) result = os::open_null();  // closed here
  } else {
    result = os::copy_descriptor(to.value());
  }
  if (result < 0)
    error = system_error_number(-result);
  else
    made.theirs = passing(result);
  return made;
}

detail::socket_handle watched(passing& fd, std::error_code& error) {
  int failed = 0;
  poll::descriptor* adopted = poll::adopt(fd.get(), failed);
  if (adopted == nullptr) {
    error = system_error_number(failed);
    return {};
  }
  fd.release();
  return detail::socket_handle(adopted);
}

}  // namespace

std::string exit_state::to_string() const {
  if (signal == 0) return code < 0 ? "exit status unknown" : "exit status " + std::to_string(code);
  const char* text = os::signal_text(signal);
  std::string name = text == nullptr ? "signal " + std::to_string(signal) : text;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return "signal: " + name + (core_dumped ? " (core dumped)" : "");
}

std::size_t input_stream::write(std::span<const std::byte> from, std::error_code& error) {
  error.clear();
  poll::operation op(handle_.get(), &poll::descriptor::write);
  std::size_t done = 0;
  do {
    const std::int64_t put = net::when_ready(op, error, [&](int fd) {
      return os::write_some(fd, from.data() + done, from.size() - done);
    });
    if (put < 0) break;
    done += static_cast<std::size_t>(put);
  } while (done < from.size());
  return done;
}

std::size_t input_stream::write(std::span<const std::byte> from) {
  return or_throw("write", [&](std::error_code& e) { return write(from, e); });
}

void input_stream::close(std::error_code& error) noexcept {
  net::close_socket(handle_.get(), error);
}

void input_stream::close() {
  or_throw("close", [&](std::error_code& e) { close(e); });
}

std::size_t output_stream::read(std::span<std::byte> into, std::error_code& error) {
  error.clear();
  poll::operation op(handle_.get(), &poll::descriptor::read);
  const std::int64_t got = net::when_ready(
      op, error, [&](int fd) { return os::read_some(fd, into.data(), into.size()); });
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

std::size_t output_stream::read(std::span<std::byte> into) {
  return or_throw("read", [&](std::error_code& e) { return read(into, e); });
}

std::string output_stream::read_all(std::error_code& error) {
  constexpr std::size_t step = 16 << 10;
  std::string all;
  for (std::size_t used = 0;;) {
    if (all.size() - used < step) all.resize(all.size() + all.size() / 2 + step);
    const std::size_t got =
        read(std::as_writable_bytes(std::span(all.data() + used, all.size() - used)), error);
    used += got;
    if (got == 0) {
      all.resize(used);
      return all;
    }
  }
}

std::string output_stream::read_all() {
  return or_throw("read", [&](std::error_code& e) { return read_all(e); });
}

void output_stream::close() noexcept {
  if (handle_.get() != nullptr) poll::close(*handle_.get());
}

struct process::state {
  int pid = 0;
  detail::socket_handle watched;
  context ctx;
  std::optional<after_func_stop> when_cancelled;
  detail::atomic<std::uint32_t> cancelled;  // it is, and SIGKILL is sent for that
  detail::atomic<std::uint32_t> gone;       // as `ended`, for those who have no turn
  bool ended = false;                       // [exec-1]
  bool nobody_knows = false;                // likewise: how it has ended
  exit_state how;                           // likewise
  input_stream in;
  output_stream out;
  output_stream err;

  int kill(int signal) noexcept {
    // Relaxed: only for those who know already that it has ended. Where the system reaps by itself
    // it may still take signals for a moment.
    if (gone.load_relaxed() != 0) return -ESRCH;
    const poll::hold open(watched.get());
    return open ? os::signal_process(open.fd(), signal) : -ESRCH;
  }
};

process::process() noexcept = default;
process::process(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
process::process(process&&) noexcept = default;
process& process::operator=(process&&) noexcept = default;
process::~process() = default;

process::state& process::checked() const {
  if (state_ == nullptr) gort::detail::throw_runtime_error("exec: not started");
  return *state_;
}

int process::pid() const { return checked().pid; }
input_stream& process::in() { return checked().in; }
output_stream& process::out() { return checked().out; }
output_stream& process::err() { return checked().err; }

exit_state process::wait(std::error_code& error) {
  error.clear();
  checked();
  const std::shared_ptr<state> s = state_;
  poll::operation turn(s->watched.get(), &poll::descriptor::read);
  if (!s->ended) {
    os::end_of_program how;
    if (net::when_ready(turn, error, [&](int fd) { return os::reap_process(fd, how); }) < 0) {
      s->nobody_knows = error == std::errc::no_child_process;
      if (!s->nobody_knows) return {};
    }
    s->how = {how.code, how.signal, how.core_dumped};
    s->ended = true;
    s->gone.store_relaxed(1);
    if (s->when_cancelled) (*s->when_cancelled)();
  }
  if (s->nobody_knows) error = std::make_error_code(std::errc::no_child_process);
  // Acquire pairs with the release in start().
  if (s->how.signal == os::kill_signal && s->cancelled.load_acquire() != 0) error = s->ctx.err();
  return s->how;
}

exit_state process::wait() {
  return or_throw("wait", [&](std::error_code& e) { return wait(e); });
}

void process::kill(int signal, std::error_code& error) noexcept {
  const int result = state_ == nullptr ? -ESRCH : state_->kill(signal);
  error = result < 0 ? system_error_number(-result) : std::error_code();
}

void process::kill(int signal) {
  std::error_code error;
  kill(signal, error);
  if (error) throw_error(error, "kill");
}

void process::kill() { kill(os::kill_signal); }

process start(context ctx, const command& what, std::error_code& error) {
  error = ctx.err();
  if (error) return {};
  const auto s = std::make_shared<process::state>();
  std::array<ends, 3> streams;
  const std::array wanted{what.in, what.out, what.err};
  for (int i = 0; i < 3 && !error; ++i) {
    const auto at = static_cast<std::size_t>(i);
    streams[at] = open_stream(wanted[at], i, streams[1].theirs, error);
  }
  if (error) return {};

  if (streams[0].ours.get() >= 0) s->in = input_stream(watched(streams[0].ours, error));
  if (!error && streams[1].ours.get() >= 0) s->out = output_stream(watched(streams[1].ours, error));
  if (!error && streams[2].ours.get() >= 0) s->err = output_stream(watched(streams[2].ours, error));
  if (error) return {};

  const os::started made = start_with(
      what, {streams[0].theirs.get(), streams[1].theirs.get(), streams[2].theirs.get()}, error);
  if (error) return {};
  s->pid = made.number;
  passing descriptor(made.descriptor);
  s->watched = watched(descriptor, error);
  if (error) {
    blocking([&] { os::discard_process(descriptor.get()); });
    return {};
  }
  if (ctx.node() != nullptr) {
    s->ctx = ctx;
    s->when_cancelled = after_func(std::move(ctx), [weak = std::weak_ptr(s)] {
      const auto alive = weak.lock();
      // Before the signal: who sees that it was killed must find out why. Release pairs with the
      // acquire in wait().
      if (alive == nullptr) return;
      alive->cancelled.store_release(1);
      alive->kill(os::kill_signal);
    });
  }
  return process(s);
}

process start(context ctx, const command& what) {
  return or_throw(what.program, [&](std::error_code& e) { return start(std::move(ctx), what, e); });
}

process start(const command& what) { return start(background(), what); }

result output(const context& ctx, command what, std::error_code& error) {
  what.out = redirect::pipe();
  if (what.err == redirect::null()) what.err = redirect::pipe();
  const auto running = std::make_shared<process>(start(ctx, what, error));
  if (error) return {};
  std::error_code not_open;
  running->in().close(not_open);           // nobody else can
  const auto stop_listening = [running] {  // its own children may hold the pipes
    running->out().close();
    running->err().close();
  };
  std::optional<after_func_stop> when_cancelled;
  if (ctx.node() != nullptr) when_cancelled = after_func(ctx, stop_listening);
  result all;
  std::error_code out_error, err_error;
  wait_group both;
  both.go([&] { all.out = running->out().read_all(out_error); });
  if (what.err == redirect::pipe()) both.go([&] { all.err = running->err().read_all(err_error); });
  all.state = running->wait(error);
  std::optional<cancelable_context> patience;
  std::optional<after_func_stop> when_over;
  if (what.wait_delay != what.wait_delay.zero()) {
    patience = with_timeout(background(), what.wait_delay);
    when_over = after_func(patience->ctx, stop_listening);
  }
  both.wait();
  if (when_over) (*when_over)();
  if (when_cancelled) (*when_cancelled)();
  if (error) return all;
  error = out_error ? out_error : err_error;
  if (error == net::errc::closed)  // by stop_listening()
    error = ctx.err() ? ctx.err() : std::make_error_code(std::errc::timed_out);
  return all;
}

result output(const context& ctx, command what) {
  const std::string program = what.program;
  return or_throw(program, [&](std::error_code& e) { return output(ctx, std::move(what), e); });
}

result output(command what) { return output(background(), std::move(what)); }

}  // namespace gort::exec

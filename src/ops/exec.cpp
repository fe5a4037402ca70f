// Programs: started by posix_spawn, waited for in the netpoller by a descriptor of the process.
//
// Invariants
//   [exec-1] `how` and `ended` are guarded by the turn of the descriptor's read side: the first who
//            waits reaps, the others find the result.
//   [exec-2] Signals go by descriptor, so they never reach a process that has the number since.
//   [exec-3] Descriptors for the program are none of 0, 1, 2: putting one of them into its place
//            cannot overwrite another that is still needed.
//
// Rejected: SIGCHLD (a handler is the program's to choose, and one signal may stand for several
// children); a thread for each child that waits.
#include <gort/exec.hpp>

#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include <gort/blocking.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/wait_group.hpp>

#include "net/io.hpp"
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
  auto made = f(error);
  if (error) throw_error(error, what);
  return made;
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
  if (to.value() == redirect::pipe().value()) {
    int both[2];
    result = os::make_stream(number != 0, both);
    if (result == 0) {
      made.ours = passing(both[0]);
      result = both[1];
    }
  } else if (to.value() == redirect::null().value()) {
    result = os::open_null();
  } else if (to.value() == redirect::merge().value()) {
    result = os::copy_descriptor(merged.get());
  } else if (to.value() == redirect::inherit().value()) {
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

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> made;
  made.reserve(texts.size() + 1);
  for (std::string& each : texts) made.push_back(each.data());
  made.push_back(nullptr);
  return made;
}

}  // namespace

std::string exit_state::to_string() const {
  if (signal == 0) return "exit status " + std::to_string(code);
  const char* text = os::signal_text(signal);
  std::string name = text == nullptr ? "signal " + std::to_string(signal) : text;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return "signal: " + name + (core_dumped ? " (core dumped)" : "");
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
  bool ended = false;                       // [exec-1]
  exit_state how;                           // likewise
  net::conn in;
  output_stream out;
  output_stream err;

  int kill(int signal) noexcept {
    const poll::hold open(watched.get());
    return open ? os::signal_process(open.fd(), signal) : -ESRCH;
  }
};

process::process() noexcept = default;
process::process(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
process::process(process&&) noexcept = default;
process& process::operator=(process&&) noexcept = default;
process::~process() = default;

int process::pid() const noexcept { return state_->pid; }
net::conn& process::in() noexcept { return state_->in; }
output_stream& process::out() noexcept { return state_->out; }
output_stream& process::err() noexcept { return state_->err; }

exit_state process::wait(std::error_code& error) {
  error.clear();
  const std::shared_ptr<state> s = state_;
  poll::operation turn(s->watched.get(), &poll::descriptor::read);
  if (!s->ended) {
    os::end_of_program how;
    if (net::when_ready(turn, error, [&](int fd) { return os::reap_process(fd, how); }) < 0)
      return {};
    s->how = {how.code, how.signal, how.core_dumped};
    s->ended = true;
    if (s->when_cancelled) (*s->when_cancelled)();
  }
  // Acquire pairs with the release in start().
  if (s->how.signal == os::kill_signal && s->cancelled.load_acquire() != 0) error = s->ctx.err();
  return s->how;
}

exit_state process::wait() {
  return or_throw("wait", [&](std::error_code& e) { return wait(e); });
}

void process::kill(int signal, std::error_code& error) noexcept {
  const int result = state_->kill(signal);
  error = result < 0 ? system_error_number(-result) : std::error_code();
}

void process::kill(int signal) {
  std::error_code error;
  kill(signal, error);
  if (error) throw_error(error, "kill");
}

void process::kill() { kill(os::kill_signal); }

process start(const context& ctx, const command& what, std::error_code& error) {
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

  std::vector<std::string> arguments = what.arguments;
  arguments.insert(arguments.begin(), what.program);
  std::vector<std::string> environment = what.environment.value_or(std::vector<std::string>());
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  os::program order{};
  order.name = what.program.c_str();
  order.arguments = argument_pointers.data();
  order.environment = what.environment ? environment_pointers.data() : nullptr;
  order.directory = what.directory.empty() ? nullptr : what.directory.c_str();
  for (std::size_t i = 0; i < 3; ++i) order.streams[i] = streams[i].theirs.get();
  const int failed = blocking([&] { return os::start_program(order, s->pid); });
  if (failed != 0) {
    error = system_error_number(failed);
    return {};
  }

  passing by_number(os::open_process(s->pid));
  if (by_number.get() < 0)
    error = system_error_number(-by_number.get());
  else
    s->watched = watched(by_number, error);
  if (!error && streams[0].ours.get() >= 0) s->in = net::conn(watched(streams[0].ours, error));
  if (!error && streams[1].ours.get() >= 0) s->out = output_stream(watched(streams[1].ours, error));
  if (!error && streams[2].ours.get() >= 0) s->err = output_stream(watched(streams[2].ours, error));
  if (error) {
    blocking([&] { os::discard_child(s->pid); });
    return {};
  }
  if (ctx.node() != nullptr) {
    s->ctx = ctx;
    s->when_cancelled = after_func(ctx, [weak = std::weak_ptr(s)] {
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

process start(const context& ctx, const command& what) {
  return or_throw(what.program, [&](std::error_code& e) { return start(ctx, what, e); });
}

process start(const command& what) { return start(background(), what); }

result output(const context& ctx, command what, std::error_code& error) {
  what.out = redirect::pipe();
  if (what.err.value() < 0 && what.err.value() != redirect::merge().value())
    what.err = redirect::pipe();
  const auto running = std::make_shared<process>(start(ctx, what, error));
  if (error) return {};
  std::optional<after_func_stop> when_cancelled;
  if (ctx.node() != nullptr) {
    when_cancelled = after_func(ctx, [running] {  // its own children may hold the pipes
      running->out().close();
      running->err().close();
    });
  }
  result all;
  std::error_code out_error, err_error;
  wait_group both;
  both.go([&] { all.err = running->err().read_all(err_error); });
  all.out = running->out().read_all(out_error);
  both.wait();
  all.state = running->wait(error);
  if (when_cancelled) (*when_cancelled)();
  if (!error) error = ctx.err() && out_error == net::errc::closed ? ctx.err() : out_error;
  if (!error && err_error != net::errc::closed) error = err_error;  // not a pipe, or as above
  return all;
}

result output(const context& ctx, command what) {
  const std::string program = what.program;
  return or_throw(program, [&](std::error_code& e) { return output(ctx, std::move(what), e); });
}

result output(command what) { return output(background(), std::move(what)); }

}  // namespace gort::exec

/// Starting programs, as a process that must not fork() and go on can. Go: package os/exec.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <gort/context.hpp>
#include <gort/detail/socket_handle.hpp>
#include <gort/net/errors.hpp>

namespace gort::exec {

/// What one of the program's standard streams is connected to.
class redirect {
 public:
  /// /dev/null.
  static redirect null() noexcept { return redirect(-1); }
  /// What this process has there.
  static redirect inherit() noexcept { return redirect(-2); }
  /// A stream of process: in(), out() or err().
  static redirect pipe() noexcept { return redirect(-3); }
  /// Standard error only: where standard output goes.
  static redirect merge() noexcept { return redirect(-4); }
  /// An open descriptor, which stays the caller's. A negative one is an error of start().
  static redirect to(int fd) noexcept { return redirect(fd < 0 ? no_descriptor : fd); }

  int value() const noexcept { return value_; }
  friend bool operator==(redirect, redirect) noexcept = default;

 private:
  static constexpr int no_descriptor = -5;
  explicit redirect(int value) noexcept : value_(value) {}
  int value_;
};

/// What to start. Go: exec.Cmd.
struct command {
  /// A path, or a name to be looked for in this process's PATH if it has no slash.
  std::string program;
  /// Without the program's own name, which goes before them.
  std::vector<std::string> arguments = {};
  /// "NAME=value" each, of several with one name the last counts; none: this process's.
  std::optional<std::vector<std::string>> environment = std::nullopt;
  /// Where it runs; empty: here. A relative `program` is looked for there.
  std::string directory = {};
  redirect in = redirect::null();
  redirect out = redirect::null();
  redirect err = redirect::null();
  /// output() only: how long after the program's end the pipes are listened to that its own
  /// children may still hold; 0: without limit. Go: WaitDelay.
  std::chrono::nanoseconds wait_delay{0};
};

/// How a program has ended. Go: os.ProcessState.
struct exit_state {
  int code = -1;   // exit status; -1: ended by a signal, or unknown
  int signal = 0;  // 0: none
  bool core_dumped = false;

  bool success() const noexcept { return code == 0; }
  /// "exit status 1", "signal: killed", "signal: aborted (core dumped)".
  std::string to_string() const;
};

/// What the program reads, a pipe. Move-only; closes when destroyed. Members may be called from any
/// number of goroutines and plain threads, and block only those; one call's bytes stay together.
class input_stream {
 public:
  /// Not connected: every operation gives net::errc::closed.
  input_stream() noexcept = default;
  explicit input_stream(detail::socket_handle handle) noexcept : handle_(std::move(handle)) {}

  /// Blocks until the pipe has taken all bytes; returns how many it has, which is all of them
  /// unless there is an error: std::errc::broken_pipe if nobody reads any more (SIGPIPE is never
  /// raised), net::errc::closed after close(), else the system's.
  std::size_t write(std::span<const std::byte> from, std::error_code& error);
  std::size_t write(std::span<const std::byte> from);
  /// The end of the program's input. Wakes who writes. A second call gives net::errc::closed. Never
  /// blocks.
  void close(std::error_code& error) noexcept;
  void close();

 private:
  detail::socket_handle handle_;
};

/// What the program writes. Move-only; closes when destroyed. Members may be called from any number
/// of goroutines and plain threads, and block only those.
class output_stream {
 public:
  output_stream() noexcept = default;
  explicit output_stream(detail::socket_handle handle) noexcept : handle_(std::move(handle)) {}

  /// Blocks until at least one byte is there; 0 without an error: the end. Errors:
  /// net::errc::closed after close(), else the system's.
  std::size_t read(std::span<std::byte> into, std::error_code& error);
  std::size_t read(std::span<std::byte> into);
  /// Up to the end.
  std::string read_all(std::error_code& error);
  std::string read_all();
  /// Wakes who reads. The program gets SIGPIPE when it writes on.
  void close() noexcept;

 private:
  detail::socket_handle handle_;
};

/// A started program. Move-only. Destroying it leaves the program alone; one that was never waited
/// for stays in the system's list of processes after its end until this process ends, as in Go.
/// Members may be called from any number of goroutines and plain threads. Go: os.Process.
class process {
 public:
  struct state;
  /// None, as after a failed start() or a move: the members throw runtime_error("exec: not
  /// started"), or report std::errc::no_such_process.
  process() noexcept;
  explicit process(std::shared_ptr<state> s) noexcept;
  process(process&&) noexcept;
  process& operator=(process&&) noexcept;
  ~process();

  int pid() const;
  /// Where the program reads. Not connected unless `in` is a pipe().
  input_stream& in();
  output_stream& out();
  output_stream& err();

  /// Blocks the goroutine (or plain thread), and no thread of gort, until the program has ended;
  /// at once when called again. If a context's end has killed it, `error` is the context's.
  /// std::errc::no_child_process: it has ended, but another part of this process has waited for it,
  /// or SIGCHLD is ignored, and so nobody knows how (Linux 6.15 and later do). Does not touch the
  /// streams.
  exit_state wait(std::error_code& error);
  exit_state wait();

  /// Sends a signal; never blocks, never hits another process. std::errc::no_such_process: it has
  /// ended and been waited for.
  void kill(int signal, std::error_code& error) noexcept;
  void kill(int signal);
  /// SIGKILL.
  void kill();

 private:
  state& checked() const;

  std::shared_ptr<state> state_;
};

/// Starts a program: no fork handlers run, it starts with an empty signal mask, SIGPIPE at its
/// default, no descriptors but the three streams. SIGKILL is sent to it when ctx is cancelled
/// before it has ended. Blocks the thread for as long as the system needs to load it; one program
/// after the other. What it inherits from a thread, and whose end PR_SET_PDEATHSIG tells it: of a
/// goroutine in lock_os_thread() and of a plain thread it is their own, else one that lasts as long
/// as the process. Throws, or reports, std::errc::no_such_file_or_directory, permission_denied and
/// so on; invalid_argument if there is a NUL in any text of the command; the context's error if
/// that is cancelled already; function_not_supported before Linux 5.4. Go: exec.CommandContext,
/// Start.
process start(context ctx, const command& what, std::error_code& error);
process start(context ctx, const command& what);
process start(const command& what);

struct result {
  exit_state state;
  std::string out;
  std::string err;
};

/// Starts it with pipes for `out`, and for `err` if that is null(), collects what comes until
/// nobody can write there any more (wait_delay), and waits. If ctx is cancelled it is killed and
/// what it has left running is not listened to further. An exit status other than 0 is no error.
/// std::errc::timed_out: wait_delay has passed. Go: Cmd.Output.
result output(const context& ctx, command what, std::error_code& error);
result output(const context& ctx, command what);
result output(command what);

}  // namespace gort::exec

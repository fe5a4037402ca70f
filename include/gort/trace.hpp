/// The execution trace, in the format that `go tool trace` reads. Go: package runtime/trace.
///
/// What it shows and what it costs: docs/trace.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <gort/context.hpp>

namespace gort::trace {

/// Where a trace is written: called with some bytes after the others, on one goroutine or thread at
/// a time. May block, and call all of this but stop() for the trace that it is of: that throws
/// runtime_error. What it throws ends the writing, and comes out of stop() or write_to().
using sink = std::function<void(std::string_view)>;

/// What goes wrong: error codes of the category "trace", with Go's texts.
enum class errc {
  already_enabled = 1,     // start(): "tracing is already enabled"
  recorder_enabled,        // "cannot enable a enabled flight recorder"
  other_recorder_enabled,  // "flight recorder already enabled"
  recorder_disabled,       // "cannot snapshot a disabled flight recorder"
  snapshot_in_progress,    // "call to WriteTo for trace.FlightRecorder already in progress"
  no_memory,               // for the buffers
};
std::error_code make_error_code(errc e) noexcept;

struct options {
  /// With the stacks of blocking, waking, starting, of calls and yields. They are what the tool's
  /// profiles are made of; without them an event costs about a third.
  bool stacks = true;
  /// For what is recorded and not yet written, at most 512 MiB. What finds no room is lost, and
  /// counted.
  std::size_t buffer_bytes = std::size_t{64} << 20;
};

/// How a trace went.
struct counts {
  std::uint64_t events = 0;       // recorded and written
  std::uint64_t lost_events = 0;  // no room for them
  std::uint64_t lost_stacks = 0;  // events that stand without theirs
  /// What had to be put in so that the rest makes sense; 0 where nothing was lost.
  std::uint64_t repairs = 0;
  char first_repair[160] = {};  // what, and where: for a report of a fault
  std::uint64_t bytes = 0;
};

/// Starts to record, and to write to `to` about once a second. Stops the world for a moment. Throws
/// std::system_error if a trace is being written already, or the sink is empty. Blocks. Any thread.
/// Go: trace.Start.
void start(sink to, options how = {});
/// The same, with the error in `error`.
void start(sink to, options how, std::error_code& error);

/// Ends the trace; when it returns, all of it has been written. Throws what the sink has thrown. No
/// trace: does nothing; another call is at it: waits until that has been. Blocks. Any thread. Go:
/// trace.Stop.
counts stop();

/// Something is recorded, for a trace or a flight recorder. Never blocks. Go: trace.IsEnabled.
bool is_enabled() noexcept;

namespace detail {
std::uint64_t task_of(const context& ctx) noexcept;
std::uint64_t begin_region(const context& ctx, std::string_view name) noexcept;
void end_region(std::uint64_t task, std::string_view name) noexcept;
void write_log(const context& ctx, std::string_view category, std::string_view message) noexcept;
}  // namespace detail

/// A piece of work that several goroutines may take part in: whatever is given context() belongs to
/// it. Ends at the end of the scope, or by end(); on any goroutine. Throws std::bad_alloc. Go:
/// trace.NewTask.
class task {
 public:
  /// Below the task of `parent`, if that has one.
  task(gort::context parent, std::string_view name);
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() { end(); }

  const gort::context& context() const noexcept { return context_; }
  /// Later calls do nothing. Go: Task.End.
  void end() noexcept;

 private:
  gort::context context_;
  std::uint64_t id_ = 0;
};

/// A stretch of one goroutine's time. Must end on that goroutine, and before those that were begun
/// before it: so it is bound to a scope. Costs one look while nothing is recorded. Go:
/// trace.StartRegion.
class region {
 public:
  /// `name` is kept: up to 1024 bytes of it count.
  region(const context& ctx, std::string_view name) : is_on_(is_enabled()) {
    if (is_on_) [[unlikely]] {
      name_ = name;
      task_ = detail::begin_region(ctx, name);
    }
  }
  region(const region&) = delete;
  region& operator=(const region&) = delete;
  ~region() { end(); }

  /// Later calls do nothing. Go: Region.End.
  void end() noexcept {
    if (is_on_) [[unlikely]]
      detail::end_region(task_, name_);
    is_on_ = false;
  }

 private:
  bool is_on_;
  std::uint64_t task_ = 0;
  std::string name_;
};

/// Calls f() in a region of that name; returns what it returns. Go: trace.WithRegion.
template <class F>
decltype(auto) with_region(const context& ctx, std::string_view name, F&& f) {
  const region around(ctx, name);
  return std::forward<F>(f)();
}

/// A line in the trace, at this moment, for the task of `ctx`. `message` is a text, or a function
/// that returns one and is called only while something is recorded. Each is cut at 1024 bytes. Go:
/// trace.Log, Logf.
template <class Message>
void log(const context& ctx, std::string_view category, Message&& message) {
  if (!is_enabled()) [[likely]]
    return;
  if constexpr (std::is_invocable_v<Message>)
    detail::write_log(ctx, category, std::forward<Message>(message)());
  else
    detail::write_log(ctx, category, message);
}

/// Keeps the last seconds of events in memory, to be written when something has gone wrong. One at
/// a time in a process; a trace may be written beside it. Go: trace.FlightRecorder.
class flight_recorder {
 public:
  struct config {
    /// What is at least this old may be forgotten.
    std::chrono::nanoseconds min_age = std::chrono::seconds(10);
    /// Of the memory for events. Where both cannot be had, this wins: the newest stay. (They take
    /// about four times as much as in the file.) At most 512 MiB.
    std::size_t max_bytes = std::size_t{10} << 20;
    bool stacks = true;
  };

  flight_recorder() : flight_recorder(config()) {}
  explicit flight_recorder(const config& c) noexcept : config_(c) {}
  flight_recorder(const flight_recorder&) = delete;
  flight_recorder& operator=(const flight_recorder&) = delete;
  ~flight_recorder() { stop(); }

  /// Throws std::system_error if this or another one is on. Any thread.
  void start();
  /// The same, with the error in `error`.
  void start(std::error_code& error);
  /// Forgets what it has. Any thread.
  void stop() noexcept;
  bool enabled() const noexcept;
  /// Writes what it has, as a complete trace; it goes on recording. Stops the world for a moment.
  /// Throws std::system_error if it is off, another call is in progress, or the sink is empty, and
  /// what the sink throws. Returns the number of bytes. Blocks. Any thread. Go: WriteTo.
  std::size_t write_to(const sink& to);
  /// The same, with the error in `error`, and 0 then: two requests may be slow at once, and the
  /// second one's snapshot would be the first one's. What the sink throws comes out.
  std::size_t write_to(const sink& to, std::error_code& error);
  /// Of the write_to() that has ended last. Any thread.
  counts last() const noexcept;

 private:
  config config_;
  counts last_;  // guarded by the lock of all recording
};

/// Makes of a trace in Go's format (also one that Go 1.22 to 1.24 has written) one that Perfetto
/// opens (https://ui.perfetto.dev); `gort trace convert` does the same with files, and it is what
/// an endpoint answers with that is asked for `format=perfetto`. `to` is called with some bytes
/// after the others. Throws std::runtime_error if it cannot be read (where it breaks off, what was
/// before has been written), and what `to` throws. Any thread. In the library gort::pprof.
void to_perfetto(std::string_view trace, const sink& to);

}  // namespace gort::trace

template <>
struct std::is_error_code_enum<gort::trace::errc> : std::true_type {};

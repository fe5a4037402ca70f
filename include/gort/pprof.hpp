/// Profiles, as Go's package runtime/pprof has them and as `go tool pprof` reads them. Link
/// gort::pprof. The page docs/profiles.md says what each profile shows. (Guide: "Profiling".)
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <gort/context.hpp>

namespace gort::detail {
struct label_set;
label_set* retain_labels(label_set* labels) noexcept;
void release_labels(label_set* labels) noexcept;
}  // namespace gort::detail

namespace gort::pprof {

/// Where a profile is written: called with one piece after the other. What it throws ends the
/// writing and goes to the caller. Go: io.Writer.
using sink = std::function<void(std::string_view piece)>;

/// What a profile that is to begin may meet: error codes of the category "pprof".
enum class errc {
  cpu_profile_in_use = 1,  // Go: "cpu profiling already in use"
  wall_profile_in_use,
};
std::error_code make_error_code(errc e) noexcept;

namespace detail {
struct profile_access;
struct custom_stacks;
}  // namespace detail

/// A collection of stacks with numbers: one of the runtime's, which lookup() finds, or one that the
/// program adds to. Lives as long as the process. All members may be called from goroutines and
/// plain threads, at the same time too. Go: pprof.Profile.
class profile {
 public:
  profile(const profile&) = delete;
  profile& operator=(const profile&) = delete;
  ~profile();

  const std::string& name() const noexcept { return name_; }
  /// How many stacks there are now: goroutines, threads, what was added. Go: Count.
  std::int64_t count() const;

  /// debug 0: profile.proto, packed by gzip. 1: text, with the names of functions. More: the same,
  /// except for "goroutine", where 2 prints a dump of all goroutines as a crash does. Throws
  /// std::bad_alloc, runtime_error for an empty sink, and what the sink throws. Blocks while the
  /// sink does. Go: WriteTo.
  void write_to(const sink& to, int debug = 0) const;

  /// Adds the caller's stack under a key, which stands for a thing that exists: the address of a
  /// connection, say. `skip` leaves out so many of the innermost callers; 32 frames are kept at
  /// most. Throws runtime_error if the key is there already, and for a profile of the runtime's.
  /// Some microseconds. Go: Add (whose keys are any comparable values).
  void add(const void* key, int skip = 0);
  /// Takes it away again; does nothing if it is not there, or for a profile of the runtime's. Go:
  /// Remove.
  void remove(const void* key);

 private:
  friend struct detail::profile_access;
  explicit profile(std::string name);

  std::string name_;
  const struct built_in* built_in_ = nullptr;  // a profile of the runtime's
  std::unique_ptr<detail::custom_stacks> custom_;
};

/// The profile of that name, or null: one of those that docs/profiles.md lists, or what
/// new_profile() made. Go: pprof.Lookup.
profile* lookup(std::string_view name) noexcept;
/// All that there are, by name. Go: pprof.Profiles.
std::vector<profile*> profiles();
/// Makes one that the program adds stacks to: of connections that are open, say. Throws
/// runtime_error for an empty name and one that is in use. Go: pprof.NewProfile.
profile* new_profile(std::string_view name);

// --- labels: keys and values that say on whose behalf a goroutine works. All profiles have them,
// dumps show them. A goroutine that is started has those of its starter. They need gort::core
// only.

/// Keys and values, sorted by key: immutable, cheap to copy. Go: LabelSet.
class label_set {
 public:
  label_set() noexcept = default;
  label_set(const label_set& other) noexcept : held_(gort::detail::retain_labels(other.held_)) {}
  label_set(label_set&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  label_set& operator=(label_set other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~label_set() { gort::detail::release_labels(held_); }

  std::size_t size() const noexcept;
  bool empty() const noexcept { return held_ == nullptr; }
  /// The n-th key and value, "" from size() on; they last as long as this set or a copy of it.
  std::pair<std::string_view, std::string_view> operator[](std::size_t n) const noexcept;
  /// The value of a key.
  std::optional<std::string_view> find(std::string_view key) const noexcept;

  // For the library: takes a reference over, gives it away, lends it.
  explicit label_set(gort::detail::label_set* taken) noexcept : held_(taken) {}
  gort::detail::label_set* release() && noexcept { return std::exchange(held_, nullptr); }
  gort::detail::label_set* get() const noexcept { return held_; }

 private:
  gort::detail::label_set* held_ = nullptr;  // null: no labels
};

namespace detail {
label_set make_labels(std::span<const std::string_view> keys_and_values);
label_set merged(const label_set& base, const label_set& more);  // those of `more` win
context context_with(context parent, label_set all);
}  // namespace detail

/// Labels from keys and values in turn, `labels("endpoint", path, "method", method)`. Of the same
/// key the last one counts. Throws std::bad_alloc. Go: pprof.Labels.
template <class... Text>
requires(std::convertible_to<const Text&, std::string_view>&&...) label_set
    labels(const Text&... keys_and_values) {
  static_assert(sizeof...(Text) % 2 == 0, "uneven number of arguments to pprof.Labels");
  const std::array<std::string_view, sizeof...(Text)> all{std::string_view(keys_and_values)...};
  return detail::make_labels(all);
}

/// The calling goroutine's labels, or plain thread's. Never blocks. Go: none.
label_set goroutine_labels() noexcept;
/// Sets them; an empty set: none. Nothing sets them back. Go: SetGoroutineLabels.
void set_goroutine_labels(label_set labels) noexcept;

/// The labels that with_labels() has put into a context.
label_set labels_of(const context& ctx) noexcept;
/// Sets the calling goroutine's labels to those of the context. Go: SetGoroutineLabels.
inline void set_goroutine_labels(const context& ctx) noexcept {
  set_goroutine_labels(labels_of(ctx));
}
/// A context with the parent's labels and these; of the same key these count. The goroutine's do
/// not change. Throws std::bad_alloc. Go: WithLabels.
inline context with_labels(context parent, const label_set& more) {
  label_set all = detail::merged(labels_of(parent), more);
  return detail::context_with(std::move(parent), std::move(all));
}

namespace detail {
/// Sets the calling goroutine's labels, and puts them back as they were.
class label_scope {
 public:
  explicit label_scope(label_set now) noexcept : before_(goroutine_labels()) {
    set_goroutine_labels(std::move(now));
  }
  ~label_scope() { set_goroutine_labels(std::move(before_)); }
  label_scope(const label_scope&) = delete;
  label_scope& operator=(const label_scope&) = delete;

 private:
  label_set before_;
};
}  // namespace detail

/// Calls f() with these labels added to those that the calling goroutine has, and returns what it
/// returns; afterwards it has its own again, also if f throws. Some 100 ns, and an allocation where
/// there were labels before. Throws std::bad_alloc. Go: pprof.Do, without a context.
template <class F>
requires std::invocable<F>
decltype(auto) with_labels(const label_set& more, F&& f) {
  const detail::label_scope scope(detail::merged(goroutine_labels(), more));
  return std::forward<F>(f)();
}

/// Calls f(ctx) with a context that has the parent's labels and these, which are the calling
/// goroutine's meanwhile. Go: pprof.Do.
template <class F>
requires std::invocable<F, const context&>
decltype(auto) with_labels(context parent, const label_set& more, F&& f) {
  const context ctx = with_labels(std::move(parent), more);
  const detail::label_scope scope(labels_of(ctx));
  return std::forward<F>(f)(ctx);
}

/// A context's value of a key. Go: pprof.Label.
std::optional<std::string> label(const context& ctx, std::string_view key);
/// The calling goroutine's.
std::optional<std::string> label(std::string_view key);

/// Calls f(key, value) for each, sorted by key, until it returns false (if it returns anything).
template <class F>
void for_labels(const label_set& all, F&& f) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [key, value] = all[i];
    if constexpr (std::is_void_v<std::invoke_result_t<F&, std::string_view, std::string_view>>)
      f(key, value);
    else if (!f(key, value))
      return;
  }
}
/// The same for those of a context. Go: ForLabels.
template <class F>
void for_labels(const context& ctx, F&& f) {
  for_labels(labels_of(ctx), std::forward<F>(f));
}
/// The same for the calling goroutine's.
template <class F>
requires std::invocable<F&, std::string_view, std::string_view>
void for_labels(F&& f) { for_labels(goroutine_labels(), std::forward<F>(f)); }

// --- CPU time by labels, exactly

/// The CPU time of all goroutines that had these labels while they used it: those that have ended,
/// those that run at this moment and all others, since runtime::set_cpu_accounting() has first
/// switched it on. An empty set: of those that had none.
struct labeled_cpu_time {
  label_set labels;
  std::chrono::nanoseconds time{};
};
/// One for each set of labels, in no order. What runs is asked for its time until now; one that has
/// not been switched to since the accounting began counts when it is next left. The same numbers,
/// by who started the goroutines too: the profile "cputime". Throws std::bad_alloc. Any thread.
std::vector<labeled_cpu_time> cpu_time_by_labels();

// --- the CPU profile: where the process computes

/// Begins to look, at each thread of the process, where it is, whenever it has used 10 ms more of
/// CPU time (or as set_cpu_profile_rate() says). Throws runtime_error("cpu profiling already in
/// use") or for an empty sink, and std::system_error where the system refuses: a timer for the
/// calling thread, or to tell which threads there are. SIGPROF is taken until the profile ends; who
/// has a handler for it still gets his own. Any thread. Go: StartCPUProfile.
void start_cpu_profile(sink to);
/// The same, with the error in `error`: errc::cpu_profile_in_use, invalid_argument for an empty
/// sink, or the system's.
void start_cpu_profile(sink to, std::error_code& error);

/// Ends it, and writes it to the sink; returns when that is done. Does nothing if there is none.
/// Throws std::bad_alloc and what the sink throws; the profile is then lost. Called by that sink:
/// throws runtime_error. Go: StopCPUProfile.
void stop_cpu_profile();

/// For the profiles to come: samples for a second of CPU time. 0 and less: 100, the default. The
/// kernel looks at CPU clocks 100 to 1000 times a second (CONFIG_HZ); what is more than that is
/// counted and not looked at. While a profile is on it says so on stderr, and changes nothing. Any
/// thread. Go: runtime.SetCPUProfileRate.
void set_cpu_profile_rate(int hz);

// --- the wall profile: where goroutines are, whether they compute or wait

/// Begins to look, a hundred times a second, at 32 goroutines picked at random (at all, if there
/// are not more), which costs the same whatever their number. The profile says how much time
/// goroutines have spent where, in nanoseconds (its value `wall`; an estimate), with a label
/// `state`: running, runnable, syscall, or what a goroutine waits for, as dumps call it. Plain
/// threads and goroutines that have not run yet are not in it. Throws runtime_error("wall profiling
/// already in use") or for an empty sink, std::system_error where the system has no membarrier(2),
/// or no memory. Any thread. Go: none (fgprof looks at all goroutines, and stops the world for it).
void start_wall_profile(sink to);
/// The same, with the error in `error`.
void start_wall_profile(sink to, std::error_code& error);
/// Ends it, as stop_cpu_profile() does.
void stop_wall_profile();

/// How good the stacks of the CPU profile are: of the one that is on, or of the last.
struct cpu_profile_stacks {
  std::int64_t stacks = 0;
  std::int64_t cut = 0;  // of these, such as could not be followed to their end
  std::int64_t frames = 0;
  std::int64_t frames_without_pointer = 0;  // of these, such as keep no frame pointer
};
cpu_profile_stacks last_cpu_profile_stacks() noexcept;

}  // namespace gort::pprof

template <>
struct std::is_error_code_enum<gort::pprof::errc> : std::true_type {};

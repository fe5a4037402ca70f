#include "report/dump.hpp"

#include <gort/detail/atomic.hpp>

#include "os/clock.hpp"
#include "report/crash.hpp"
#include "report/frame_cache.hpp"
#include "report/labels.hpp"
#include "report/names.hpp"
#include "report/quoted.hpp"
#include "report/snapshot.hpp"
#include "report/symbolizer.hpp"
#include "report/trace.hpp"

namespace gort::report {

namespace {

// A frame as two lines; several for inlined calls.
struct frame_printer {
  text_sink& out;
  const dump_options& options;
  const void* pc;

  enum class which : std::uint8_t { visible, not_plumbing, not_inlined } shown;

  bool shows(const symbol& s) const noexcept {
    switch (shown) {
      case which::visible: return options.internal_frames || !is_internal(s);
      case which::not_plumbing: return !is_plumbing(s);
      case which::not_inlined: return !s.inlined;
    }
    return true;
  }

  static void print(const symbol& s, void* raw) {
    auto& me = *static_cast<frame_printer*>(raw);
    if (!me.shows(s)) return;
    me.out << s.function << "(...)\n\t" << (s.file == nullptr ? "??" : s.file) << ":"
           << static_cast<std::uint64_t>(s.line);
    if (s.offset != 0) {
      me.out << " +";
      me.out.hex(s.offset);
    }
    // Without a name that is all there is to look up elsewhere.
    const bool has_name = s.file != nullptr || std::string_view(s.function) != "??";
    if (!has_name || (me.options.internal_frames && !s.inlined)) {
      me.out << " pc=";
      me.out.hex(me.pc);
    }
    me.out << "\n";
  }
};

// What one dump at a time remembers; the others look everything up.
struct memory {
  detail::atomic<std::uint32_t> taken;
  frame_cache frames;
  frame_cache creators;
} shared_memory;

// The visible frames of one goroutine.
//
// What waits is a function of gort's whose name ends in _slow; the function that the user has
// called is inlined in front of it and says the same. But a compiler may have made a tail call of
// it, and then nothing else says so: it is held back until the next frame is known.
class trace_printer {
 public:
  trace_printer(text_sink& out, const dump_options& options, memory* remembered) noexcept
      : out_(out), options_(options), remembered_(remembered) {}

  void frame(const void* pc) noexcept {
    const auto look_up = [&](text_sink& to) { print_symbols(to, pc, which::visible); };
    std::string_view text;
    char room[frame_cache::text_bytes_max];
    if (remembered_ != nullptr) {
      if (!remembered_->frames.find(pc, look_up, text)) return print_long(look_up);
    } else {
      text_sink into{std::span<char>(room)};
      look_up(into);
      if (into.used() == sizeof(room)) return print_long(look_up);
      text = {room, into.used()};
    }
    if (text.empty()) return;
    shown_ = true;
    if (!says_the_same(text)) out_ << held();
    held_bytes_ = 0;
    if (ends_in_slow(text) && !options_.internal_frames)
      held_bytes_ = text.copy(held_, sizeof(held_));
    else
      out_ << text;
  }

  void elided(std::size_t count) noexcept {
    flush();
    out_ << "..." << std::uint64_t{count} << " frames elided...\n";
  }

  void flush() noexcept {
    out_ << held();
    held_bytes_ = 0;
  }

  /// Something, where nothing of these was visible.
  void last_resort(const void* const* pcs, std::size_t count) noexcept {
    if (shown_) return;
    for (std::size_t i = 0; i < count; ++i) {
      if (print_symbols(out_, pcs[i], which::not_plumbing)) return;
    }
    if (count != 0) print_symbols(out_, pcs[0], which::not_inlined);
  }

 private:
  using which = frame_printer::which;

  bool print_symbols(text_sink& to, const void* pc, which shown) const noexcept {
    const std::uint64_t before = to.written();
    frame_printer printer{to, options_, pc, shown};
    symbolize(pc, frame_printer::print, &printer);
    return to.written() != before;
  }
  template <class LookUp>
  void print_long(LookUp look_up) noexcept {
    flush();
    look_up(out_);
    shown_ = true;
  }
  std::string_view held() const noexcept { return {held_, held_bytes_}; }

  static constexpr std::string_view mark = "_slow(...)\n";
  static bool ends_in_slow(std::string_view text) noexcept {
    return text.starts_with("gort::") && text.substr(0, text.find('\n') + 1).ends_with(mark);
  }
  // "gort::mutex::lock" for "gort::mutex::lock_slow".
  bool says_the_same(std::string_view text) const noexcept {
    const std::string_view name = held().substr(0, held().find(mark));
    return !name.empty() && text.starts_with(name) && text.substr(name.size()).starts_with("(...)");
  }

  text_sink& out_;
  const dump_options& options_;
  memory* remembered_;
  char held_[frame_cache::text_bytes_max];
  std::size_t held_bytes_ = 0;
  bool shown_ = false;
};

void print_trace(text_sink& out, const trace& frames, const dump_options& options,
                 memory* remembered) noexcept {
  trace_printer printer(out, options, remembered);
  const std::size_t inner = frames.inner_count();
  for (std::size_t i = 0; i < inner; ++i) printer.frame(frames.inner[i]);
  const std::size_t rest = frames.count - inner;
  const std::size_t kept = frames.outer_count();
  if (rest > kept) printer.elided(rest - kept);
  for (std::size_t i = rest - kept; i < rest; ++i) printer.frame(frames.outer[i % trace::half]);
  printer.flush();
  printer.last_resort(frames.inner, inner);
}

// Who started it: the function, or (place) where that stands.
struct creator_printer {
  text_sink& out;
  bool place;
  bool done = false;

  static void print(const symbol& s, void* raw) {
    auto& me = *static_cast<creator_printer*>(raw);
    if (me.done || !is_creator(s)) return;
    me.done = true;
    if (!me.place) {
      me.out << "created by " << s.function;
      return;
    }
    me.out << "\n\t" << (s.file == nullptr ? "??" : s.file) << ":"
           << static_cast<std::uint64_t>(s.line);
    if (s.offset != 0) {
      me.out << " +";
      me.out.hex(s.offset);
    }
    me.out << "\n";
  }
};

void print_creator(text_sink& out, const sched::goroutine_view& view, memory* remembered) noexcept {
  if (view.creation_pc == nullptr) return;
  bool known = false;
  // The goroutine's number stands in the middle of what can be remembered.
  for (const bool place : {false, true}) {
    const auto look_up = [&](text_sink& to) {
      creator_printer printer{to, place};
      symbolize(view.creation_pc, creator_printer::print, &printer);
      known = known || printer.done;
    };
    const char* key = static_cast<const char*>(view.creation_pc) - (place ? 0 : 1);
    std::string_view text;
    if (remembered != nullptr && remembered->creators.find(key, look_up, text)) {
      out << text;
      known = known || !text.empty();
    } else {
      look_up(out);
    }
    if (!known) return;
    if (!place && view.parent_id != 0) out << " in goroutine " << view.parent_id;
  }
}

const char* status_word(sched::g_status status) noexcept {
  switch (status) {
    case sched::g_status::idle: return "idle";
    case sched::g_status::runnable: return "runnable";
    case sched::g_status::running: return "running";
    case sched::g_status::syscall: return "syscall";
    case sched::g_status::waiting: return "waiting";
    case sched::g_status::dead: return "dead";
  }
  return "?";
}

// Quoted where a parser might stumble.
void print_label_text(text_sink& out, std::string_view text) noexcept {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./#@+";
  if (!text.empty() && text.find_first_not_of(plain) == text.npos)
    out << text;
  else
    quote(text, [&](std::string_view piece) { out << piece; });
}

// As Go shows labels, the name first.
void print_labels(text_sink& out, std::string_view name, const detail::label_set* labels) noexcept {
  if (name.empty() && labels == nullptr) return;
  std::string_view before = " {";
  const auto print = [&](std::string_view key, std::string_view value) {
    out << before;
    print_label_text(out, key);
    out << ": ";
    print_label_text(out, value);
    before = ", ";
  };
  if (!name.empty()) print("name", name);
  if (labels != nullptr) {
    for (const auto& [key, value] : texts_of(*labels).all) print(key, value);
  }
  out << "}";
}

void print_header(text_sink& out, const sched::goroutine_view& view,
                  const detail::label_set* labels) noexcept {
  constexpr std::int64_t minute_ns = 60'000'000'000;
  out << "goroutine " << view.id << " [" << state_text(view);
  if (view.is_leaked) out << " (leaked)";
  const bool waits =
      view.status == sched::g_status::waiting || view.status == sched::g_status::syscall;
  if (waits && view.waiting_since_ns != 0) {
    const std::int64_t waited_ns = os::monotonic_ns() - view.waiting_since_ns;
    if (waited_ns >= minute_ns)
      out << ", " << static_cast<std::uint64_t>(waited_ns / minute_ns) << " minutes";
  }
  if (view.is_locked) out << ", locked to thread";
  out << "]";
  print_labels(out, view.name, labels);
  out << ":\n";
}

void print_one(text_sink& out, const sched::goroutine_view& view, const trace& frames,
               const detail::label_set* labels, const dump_options& options,
               memory* remembered) noexcept {
  print_header(out, view, labels);
  if (frames.count != 0)
    print_trace(out, frames, options, remembered);
  else if (view.thread.id != 0 && !view.is_current)
    out << "\tgoroutine running on other thread; stack unavailable\n";
  print_creator(out, view, remembered);
}

}  // namespace

const char* state_text(const sched::goroutine_view& view) noexcept {
  if (view.status == sched::g_status::waiting && view.reason != detail::wait_reason::none)
    return detail::wait_reason_text(view.reason);
  return status_word(view.status);
}

void print_goroutine(text_sink& out, const sched::goroutine_view& view,
                     const dump_options& options) noexcept {
  trace frames;
  walk_stack(view, options.internal_frames, frames);
  // Its own thread prints: nobody drops them meanwhile.
  const detail::label_set* labels =
      view.labels == nullptr ? nullptr : sched::plain_labels(view.labels->load_relaxed());
  print_one(out, view, frames, labels, options, nullptr);
}

void print_goroutine_at(text_sink& out, const trace& frames) noexcept {
  dump_options options;
  options.internal_frames = traceback_level() >= base::traceback::system;
  sched::goroutine_view own = sched::current_goroutine();
  own.is_current = true;  // also of a plain thread, which is shown as goroutine 0
  own.status = sched::g_status::running;
  const detail::label_set* labels =
      own.labels == nullptr ? nullptr : sched::plain_labels(own.labels->load_relaxed());
  print_one(out, own, frames, labels, options, nullptr);
}

void print_all_goroutines(text_sink& out, const dump_options& options,
                          const sched::goroutine_view* seen_as) noexcept {
  const sched::goroutine_view own = seen_as != nullptr ? *seen_as : sched::current_goroutine();
  snapshot seen;
  take_snapshot(
      seen, {.handlers_too = options.internal_frames, .process_ends = options.process_ends}, own);
  // Acquire pairs with the release below: what the last dump has written.
  memory* remembered = shared_memory.taken.exchange_acquire(1) == 0 ? &shared_memory : nullptr;
  if (remembered != nullptr) {
    remembered->frames.clear();
    remembered->creators.clear();
  }
  bool first = true;
  std::uint64_t printed = 0, beyond = 0;
  seen.sort(own.id);  // the caller's, then the others, oldest first, as in Go
  seen.for_each(
      [&](const sched::goroutine_view& view, const trace& frames, const detail::label_set* labels) {
        if (out.closed()) return;
        if (options.shows != nullptr && !options.shows(options.shows_argument, view, labels))
          return;
        if (options.limit != 0 && printed == options.limit) {
          ++beyond;
          return;
        }
        ++printed;
        if (!first) out << "\n";
        first = false;
        print_one(out, view, frames, labels, options, remembered);
      });
  if (beyond != 0) out << "\n" << beyond << " more goroutines; only so many were asked for\n";
  if (seen.lost() != 0)
    out << "\n" << std::uint64_t{seen.lost()} << " more goroutines, which could not be shown\n";
  if (remembered != nullptr) remembered->taken.store_release(0);  // pairs with the exchange above
}

}  // namespace gort::report

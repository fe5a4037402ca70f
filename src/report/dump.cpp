#include "report/dump.hpp"

#include <gort/detail/atomic.hpp>

#include "os/clock.hpp"
#include "report/frame_cache.hpp"
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

  static void print(const symbol& s, void* raw) {
    auto& me = *static_cast<frame_printer*>(raw);
    if (!me.options.internal_frames && is_internal(s)) return;
    me.out << s.function << "(...)\n\t" << (s.file == nullptr ? "??" : s.file) << ":"
           << static_cast<std::uint64_t>(s.line);
    if (s.offset != 0) {
      me.out << " +";
      me.out.hex(s.offset);
    }
    if (me.options.internal_frames && !s.inlined) {
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

void print_frame(text_sink& out, const void* pc, const dump_options& options,
                 memory* remembered) noexcept {
  const auto look_up = [&](text_sink& to) {
    frame_printer printer{to, options, pc};
    symbolize(pc, frame_printer::print, &printer);
  };
  if (remembered == nullptr || remembered->frames.print(out, pc, look_up) < 0) look_up(out);
}

void print_trace(text_sink& out, const trace& frames, const dump_options& options,
                 memory* remembered) noexcept {
  const std::size_t inner = frames.inner_count();
  for (std::size_t i = 0; i < inner; ++i) print_frame(out, frames.inner[i], options, remembered);
  const std::size_t rest = frames.count - inner;
  const std::size_t kept = frames.outer_count();
  if (rest > kept) out << "..." << std::uint64_t{rest - kept} << " frames elided...\n";
  for (std::size_t i = rest - kept; i < rest; ++i)
    print_frame(out, frames.outer[i % trace::half], options, remembered);
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

void print_creator(text_sink& out, const sched::goroutine_view& view,
                   memory* remembered) noexcept {
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
    const int printed = remembered != nullptr ? remembered->creators.print(out, key, look_up) : -1;
    if (printed < 0) look_up(out);
    known = known || printed > 0;
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

void print_header(text_sink& out, const sched::goroutine_view& view) noexcept {
  constexpr std::int64_t minute_ns = 60'000'000'000;
  out << "goroutine " << view.id << " [";
  if (view.status == sched::g_status::waiting && view.reason != detail::wait_reason::none)
    out << detail::wait_reason_text(view.reason);
  else
    out << status_word(view.status);
  if (view.status == sched::g_status::waiting && view.waiting_since_ns != 0) {
    const std::int64_t waited_ns = os::monotonic_ns() - view.waiting_since_ns;
    if (waited_ns >= minute_ns)
      out << ", " << static_cast<std::uint64_t>(waited_ns / minute_ns) << " minutes";
  }
  out << "]:\n";
}

void print_one(text_sink& out, const sched::goroutine_view& view, const trace& frames,
               const dump_options& options, memory* remembered) noexcept {
  print_header(out, view);
  if (frames.count != 0)
    print_trace(out, frames, options, remembered);
  else if (view.status == sched::g_status::running && !view.is_current)
    out << "\tgoroutine running on other thread; stack unavailable\n";
  print_creator(out, view, remembered);
}

// Stops the world, which is started again, or of which user code goes on: that holds the locks
// that printing may need.
void take_snapshot(snapshot& to, const dump_options& options,
                   const sched::goroutine_view& own) noexcept {
  struct visit {
    snapshot& to;
    const dump_options& options;
    std::uint64_t own_id;
    bool stopped;

    void one(const sched::goroutine_view& view) noexcept {
      trace frames;  // without a stop only our own stack stays as it is
      if (stopped || view.is_current) walk_stack(view, options.internal_frames, frames);
      to.add(view, frames);
    }
  } all{to, options, own.id, sched::stop_the_world_for_dump()};
  if (own.id != 0) all.one(own);
  sched::for_each_goroutine(
      [](const sched::goroutine_view& view, void* raw) {
        auto& each = *static_cast<visit*>(raw);
        if (view.id != each.own_id) each.one(view);
      },
      &all);
  if (!all.stopped) return;
  if (options.process_ends)
    sched::let_user_code_go_after_dump();
  else
    sched::start_the_world_after_dump();
}

}  // namespace

void print_goroutine(text_sink& out, const sched::goroutine_view& view,
                     const dump_options& options) noexcept {
  trace frames;
  walk_stack(view, options.internal_frames, frames);
  print_one(out, view, frames, options, nullptr);
}

void print_all_goroutines(text_sink& out, const dump_options& options,
                          const sched::goroutine_view* seen_as) noexcept {
  const sched::goroutine_view own = seen_as != nullptr ? *seen_as : sched::current_goroutine();
  snapshot seen;
  take_snapshot(seen, options, own);
  // Acquire pairs with the release below: what the last dump has written.
  memory* remembered = shared_memory.taken.exchange_acquire(1) == 0 ? &shared_memory : nullptr;
  if (remembered != nullptr) {
    remembered->frames.clear();
    remembered->creators.clear();
  }
  bool first = true;
  const auto print = [&](const sched::goroutine_view& view, const trace& frames) {
    if (!first) out << "\n";
    first = false;
    print_one(out, view, frames, options, remembered);
  };
  // The caller's, then main's, then the others, as in Go.
  constexpr int turns = 3;
  for (int turn = 0; turn < turns; ++turn) {
    seen.for_each([&](const sched::goroutine_view& view, const trace& frames) {
      const bool is_own = own.id != 0 && view.id == own.id;
      if (turn == (is_own ? 0 : view.id == 1 ? 1 : 2)) print(view, frames);
    });
  }
  if (seen.lost() != 0)
    out << "\n" << std::uint64_t{seen.lost()} << " more goroutines; no memory to show them\n";
  if (remembered != nullptr) remembered->taken.store_release(0);  // pairs with the exchange above
}

}  // namespace gort::report

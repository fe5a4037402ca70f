#include "report/dump.hpp"

#include <unwind.h>
#include <algorithm>

#include "arch/unwind.hpp"
#include "os/clock.hpp"
#include "report/frame_cache.hpp"
#include "report/symbolizer.hpp"

namespace gort::report {

namespace {

constexpr std::size_t half_frames_max = 50;  // innermost and outermost, as Go prints

// Return addresses of a stack: the first 50 and the last 50.
struct trace {
  const void* inner[half_frames_max];
  const void* outer[half_frames_max];  // a ring
  std::size_t count = 0;
  bool in_parked = false;   // past gort_unwind_from
  bool from_fault = false;  // those before the interrupted one belong to the handler

  void add(const void* pc) noexcept {
    if (count < half_frames_max)
      inner[count] = pc;
    else
      outer[(count - half_frames_max) % half_frames_max] = pc;
    ++count;
  }
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* raw) {
  auto& to = *static_cast<trace*>(raw);
  // A return address lies behind its call; the address that a signal has interrupted does not.
  int interrupted = 0;
  const auto* pc = reinterpret_cast<const char*>(_Unwind_GetIPInfo(context, &interrupted));
  if (pc == nullptr) return _URC_END_OF_STACK;
  if (interrupted != 0) ++pc;
  if (to.in_parked && to.from_fault && interrupted != 0) {
    to.count = 0;
    to.from_fault = false;
  }
  if (to.in_parked) {
    to.add(pc);
  } else {
    // Frames of this file come first, up to and including the trampoline.
    const auto* begin = reinterpret_cast<const char*>(&gort_unwind_from);
    to.in_parked = pc > begin && pc <= gort_unwind_from_end;
  }
  return _URC_NO_REASON;
}

void walk(void* raw) { _Unwind_Backtrace(collect, raw); }

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

// Guarded by the turn to stop the world.
frame_cache frames_of_dump;
frame_cache creators_of_dump;

void print_frame(text_sink& out, const void* pc, const dump_options& options) noexcept {
  const auto look_up = [&](text_sink& to) {
    frame_printer printer{to, options, pc};
    symbolize(pc, frame_printer::print, &printer);
  };
  if (!options.remember || frames_of_dump.print(out, pc, look_up) < 0) look_up(out);
}

void print_trace(text_sink& out, const trace& frames, const dump_options& options) noexcept {
  const std::size_t inner = frames.count < half_frames_max ? frames.count : half_frames_max;
  for (std::size_t i = 0; i < inner; ++i) print_frame(out, frames.inner[i], options);
  if (frames.count <= half_frames_max) return;
  const std::size_t rest = frames.count - half_frames_max;
  const std::size_t kept = rest < half_frames_max ? rest : half_frames_max;
  if (rest > kept) out << "..." << std::uint64_t{rest - kept} << " frames elided...\n";
  for (std::size_t i = rest - kept; i < rest; ++i)
    print_frame(out, frames.outer[i % half_frames_max], options);
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
                   const dump_options& options) noexcept {
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
    const int printed = options.remember ? creators_of_dump.print(out, key, look_up) : -1;
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

}  // namespace

void print_goroutine(text_sink& out, const sched::goroutine_view& view,
                     const dump_options& options) noexcept {
  print_header(out, view);
  trace frames;
  frames.from_fault = view.from_fault && !options.internal_frames;
  if (view.is_current) {
    frames.in_parked = true;
    walk(&frames);
    print_trace(out, frames, options);
  } else if (view.saved_sp != nullptr && !options.stacks_may_move) {
    gort_unwind_from(view.saved_sp, walk, &frames);
    print_trace(out, frames, options);
  } else if (view.status == sched::g_status::running) {
    out << "\tgoroutine running on other thread; stack unavailable\n";
  }
  print_creator(out, view, options);
}

std::size_t innermost_frames(const sched::goroutine_view& view, const void** pcs,
                             std::size_t room) noexcept {
  trace frames;
  frames.from_fault = view.from_fault;
  gort_unwind_from(view.saved_sp, walk, &frames);
  const std::size_t found = std::min({room, frames.count, half_frames_max});
  std::copy_n(frames.inner, found, pcs);
  return found;
}

void print_all_goroutines(text_sink& out, const dump_options& options,
                          const sched::goroutine_view* seen_as) noexcept {
  const bool stopped = sched::stop_the_world_for_dump();
  dump_options actual = options;
  actual.stacks_may_move = !stopped;
  actual.remember = stopped;
  if (stopped) {
    frames_of_dump.clear();
    creators_of_dump.clear();
  }
  struct printer {
    text_sink& out;
    const dump_options& options;
    bool first = true;
    std::uint64_t own_id = 0;

    void one(const sched::goroutine_view& view) noexcept {
      if (!first) out << "\n";
      first = false;
      print_goroutine(out, view, options);
    }
  } all{out, actual};
  const sched::goroutine_view own = seen_as != nullptr ? *seen_as : sched::current_goroutine();
  if (own.id != 0) {
    all.own_id = own.id;
    all.one(own);
  }
  // Main before the others, as in Go.
  sched::for_each_goroutine(
      [](const sched::goroutine_view& view, void* raw) {
        auto& to = *static_cast<printer*>(raw);
        if (view.id == 1 && to.own_id != 1) to.one(view);
      },
      &all);
  sched::for_each_goroutine(
      [](const sched::goroutine_view& view, void* raw) {
        auto& to = *static_cast<printer*>(raw);
        if (view.id != 1 && view.id != to.own_id) to.one(view);
      },
      &all);
  if (stopped) sched::start_the_world_after_dump();
}

}  // namespace gort::report

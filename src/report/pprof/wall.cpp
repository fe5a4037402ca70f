// The wall profile: where goroutines are, whether they compute or wait, by looking at some of them
// a hundred times a second (sched/taking/look.hpp). Its cost does not grow with their number.
//
// A look stands for the time since the one before, of as many goroutines as there are for each that
// is looked at: so the sum of all values is, on average, the time that all goroutines have existed
// meanwhile, and those of one stack the time that goroutines have spent there.
//
// Invariants
//   [wall-1] As [cpu-1]: the table is written inside the gate, by the thread that looks and by
//            handlers; it is read to the end and emptied with the gate closed.
//   [wall-2] One at a time, as [cpu-2].
//   [wall-3] The thread that looks drops references to labels outside of the gate: that may free
//            memory, and wait for who is parked in malloc.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gort/error.hpp>
#include <gort/pprof.hpp>

#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/interrupted.hpp"
#include "os/preempt.hpp"
#include "record/event_table.hpp"
#include "record/gate.hpp"
#include "report/asleep.hpp"
#include "report/pprof/built_in.hpp"
#include "report/pprof/recording.hpp"
#include "report/pprof/sampled.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/own_stack.hpp"
#include "sched/parts/note.hpp"
#include "sched/taking/look.hpp"
#include "sched/threads/helper.hpp"
#include "stack/walk.hpp"

namespace gort::pprof {

namespace {

using gort::detail::wait_reason;
using record::event_table;
using sched::g_status;

constexpr std::int64_t wall_period_ns = 10'000'000;
constexpr unsigned looks_per_period = 32;
constexpr std::size_t wall_frames_max = 128;

// The sums of a bucket, whose tag is a state.
constexpr std::size_t looks_sum = 0, wall_ns_sum = 1;

constinit report::recording wall_recording;  // [wall-2]

constinit event_table wall_table;  // [wall-1]
constinit record::gate wall_door;
gort::detail::atomic<std::int64_t> wall_began_ns{0};
std::int64_t wall_began_unix_ns = 0;

std::uintptr_t tag_of(g_status what, wait_reason why) noexcept {
  return static_cast<std::uintptr_t>(what) << 8 | static_cast<std::uintptr_t>(why);
}

// As dumps call them.
std::string text_of_tag(std::uintptr_t tag) {
  const auto what = static_cast<g_status>(tag >> 8);
  switch (what) {
    case g_status::running: return "running";
    case g_status::runnable: return "runnable";
    case g_status::syscall: return "syscall";
    default: break;
  }
  const char* why = gort::detail::wait_reason_text(static_cast<wait_reason>(tag & 0xff));
  return *why == 0 ? "waiting" : why;
}

void note_look(std::span<const void* const> frames, std::uintptr_t tag,
               const event_table::labels& labels, std::int64_t ns) noexcept {
  event_table::bucket* where = wall_table.find_or_add(frames, tag, labels);
  if (where == nullptr) return;
  where->add(looks_sum, 1);
  where->add(wall_ns_sum, ns);
}

void standing(sched::g& it, g_status what, const stack::frame_state& from,
              const stack::stack_bounds& bounds, std::int64_t ns) noexcept {
  const void* pcs[wall_frames_max];
  const stack::walked found = stack::walk(from, bounds, pcs, wall_frames_max);
  const wait_reason why = what == g_status::waiting ? it.reason.load_relaxed() : wait_reason::none;
  // It does not run: its labels stay.
  note_look({pcs, found.frames}, tag_of(what, why), sched::labels_of_own(&it), ns);
}

// [wall-3]. Of the thread that looks.
std::array<gort::detail::label_set*, looks_per_period> held;
std::size_t held_count = 0;

void asleep(sched::g& it, const os::thread_handle& thread, const stack::stack_bounds& bounds,
            std::int64_t ns) noexcept {
  // It does not see the barrier that has made sure of what the thread had written.
  if constexpr (base::with_tsan) return;
  report::trace seen;
  report::walk_asleep(thread, bounds, seen);
  gort::detail::label_set* labels = nullptr;
  {
    const gort::detail::inside_gort inside;  // [label-1]
    labels = sched::hold_labels(it.labels);
  }
  note_look({seen.inner, seen.inner_count()}, tag_of(g_status::syscall, wait_reason::none),
            sched::labels_of_set(labels), ns);
  if (labels != nullptr) held[held_count++] = labels;
}

// In a handler.
void running(sched::g& it, const void* context, std::int64_t ns) noexcept {
  constexpr std::size_t walk_needs = 12 << 10;
  if (os::room_on_signal_stack(context) < walk_needs || !wall_door.enter()) return;
  const void* pcs[wall_frames_max];
  const os::interrupted_place at = os::place_interrupted(context);
  const stack::frame_state from = stack::interrupted_frame(at.pc, at.registers, at.count);
  const sched::own_stack own = sched::own_stack_at(from.sp());
  const stack::walked found = stack::walk(from, own.bounds, pcs, wall_frames_max);
  note_look({pcs, found.frames}, tag_of(g_status::running, wait_reason::none),
            sched::labels_of_own(&it), ns);
  wall_door.leave();
}

void unseen(sched::g&, std::int64_t ns) noexcept {
  note_look({}, tag_of(g_status::running, wait_reason::none), {}, ns);
}

constexpr sched::look_functions wall_looks{standing, asleep, running, unseen};

sched::note wall_note;

void look_once(std::int64_t period_ns, std::uint64_t& random) noexcept {
  if (!wall_door.enter()) return;
  (void)sched::look_around(wall_looks, looks_per_period, period_ns, random);
  wall_door.leave();
  while (held_count != 0) sched::drop_reference(held[--held_count]);
}

void wall_main() {
  std::uint64_t random = static_cast<std::uint64_t>(os::monotonic_ns()) | 1;
  std::int64_t last_ns = 0;
  for (;;) {
    const bool on = wall_recording.running();
    (void)wall_note.sleep(on ? os::monotonic_ns() + wall_period_ns : -1);
    const std::int64_t now_ns = os::monotonic_ns();
    // Since the last look, or since the beginning.
    if (on) look_once(now_ns - std::max(last_ns, wall_began_ns.load_relaxed()), random);
    last_ns = now_ns;
  }
}

bool start_wall_thread() noexcept {
  static const int error = sched::start_helper(wall_main, "gort-wall");
  return error == 0;
}

report::profile_data take_wall_table() {
  report::profile_data data({{"samples", "count"}, {"wall", "nanoseconds"}});
  data.period_type = {"wall", "nanoseconds"};
  data.period = wall_period_ns;
  data.time_ns = wall_began_unix_ns;
  data.duration_ns = os::monotonic_ns() - wall_began_ns.load_relaxed();
  wall_table.for_each([&](const event_table::bucket& each) {
    std::vector<report::sample_label> labels = report::labels_of(each);
    report::add_label(labels, {"state", text_of_tag(each.tag())});
    data.add(each.frames(), std::array<std::int64_t, 2>{each.sum(looks_sum), each.sum(wall_ns_sum)},
             labels);
  });
  return data;
}

}  // namespace

void start_wall_profile(sink where, std::error_code& error) {
  if (!wall_recording.begin(where != nullptr, errc::wall_profile_in_use, error)) return;
  constexpr std::size_t table_bytes = std::size_t{32} << 20;
  const bool barrier = os::fences_running_threads();
  if (!barrier || !wall_table.prepare(table_bytes) || !start_wall_thread()) {
    wall_recording.abandon();
    error.assign(barrier ? ENOMEM : ENOSYS, std::generic_category());
    return;
  }
  wall_began_ns.store_relaxed(os::monotonic_ns());
  wall_began_unix_ns = report::unix_time_ns();
  wall_door.open();
  wall_recording.started(std::move(where));
  wall_note.wake();
}

void start_wall_profile(sink where) {
  if (where == nullptr) throw runtime_error("wall profile: no sink to write it to");
  std::error_code error;
  start_wall_profile(std::move(where), error);
  report::throw_refusal(error, "wall profile");
}

void stop_wall_profile() {
  wall_recording.stop([] { wall_door.close(); },
                      [] {
                        const sink where = wall_recording.take_sink();
                        write_proto(take_wall_table(), where);
                      },
                      [] { report::empty(wall_table); });
}

}  // namespace gort::pprof

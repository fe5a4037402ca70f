// The CPU profile: a stack for each so many milliseconds of CPU time of any thread.
//
// Life of a sample: a thread's timer goes off (os/cpu_timers.hpp); the handler, on that thread,
// walks what it has interrupted (stack/walk.hpp) and adds it to a table (record/event_table.hpp),
// with the labels of the goroutine whose stack that is. When the profile ends, the table is read.
//
// Invariants
//   [cpu-1] The table is written by handlers that are inside the gate; it is emptied, and read to
//           the end, with the gate closed.
//   [cpu-2] One profile at a time (report/pprof/recording.hpp): who starts or stops it has what
//           follows to itself.
//   [cpu-3] A sample stands for the time since the thread's last one: what the kernel, which looks
//           once per tick, has left out counts with it; not what a thread has used while it blocked
//           the signal, which was spent elsewhere.
#include <algorithm>
#include <array>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

#include <gort/error.hpp>
#include <gort/pprof.hpp>

#include "os/clock.hpp"
#include "os/cpu_timers.hpp"
#include "os/interrupted.hpp"
#include "os/write.hpp"
#include "record/event_table.hpp"
#include "record/gate.hpp"
#include "report/go_trace/observer.hpp"
#include "report/pprof/built_in.hpp"
#include "report/pprof/recording.hpp"
#include "report/pprof/sampled.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/own_stack.hpp"
#include "sched/parts/note.hpp"
#include "sched/threads/helper.hpp"
#include "stack/walk.hpp"

namespace gort::pprof {

// Frames that stand for what cannot be shown: functions, so that they have a name.
// Never called; they differ, so that nobody merges them.
[[gnu::noinline, gnu::used]] int lost_profile_event() noexcept { return 1; }
[[gnu::noinline, gnu::used]] int stack_cut_off() noexcept { return 2; }

namespace {

constexpr std::size_t frames_max = 128;
constexpr int default_rate_hz = 100;
constexpr std::int64_t second_ns = 1'000'000'000;

constinit report::recording cpu_recording;  // [cpu-2]
gort::detail::atomic<int> rate_hz{default_rate_hz};

constinit record::event_table table;  // [cpu-1]
constinit record::gate door;

// Of one profile; written by who starts it, before the gate is open.
std::int64_t period_ns = 0;
std::uint32_t missed_max = 0;
std::int64_t began_ns = 0;  // CLOCK_MONOTONIC
std::int64_t began_unix_ns = 0;

// How good the stacks were.
gort::detail::atomic<std::int64_t> stacks, stacks_cut, frames, frames_without_pointer;

const void* frame_of(int (*function)() noexcept) noexcept {
  return reinterpret_cast<const char*>(reinterpret_cast<void*>(function)) + 1;
}

[[gnu::noinline]] void take_sample(std::uint32_t missed, const void* context) noexcept {
  const void* pcs[frames_max + 1];
  const os::interrupted_place at = os::place_interrupted(context);
  const stack::frame_state from = stack::interrupted_frame(at.pc, at.registers, at.count);
  const sched::own_stack own = sched::own_stack_at(from.sp());
  stack::walked found = stack::walk(from, own.bounds, pcs, frames_max);
  stacks.fetch_add_relaxed(1);
  frames.fetch_add_relaxed(static_cast<std::int64_t>(found.frames));
  frames_without_pointer.fetch_add_relaxed(static_cast<std::int64_t>(found.without_frame_pointer));
  if (found.cut) {
    stacks_cut.fetch_add_relaxed(1);
    pcs[found.frames++] = frame_of(stack_cut_off);
  }
  report::note_cpu_sample(pcs, found.frames, own.whose);
  record::event_table::bucket* where =
      table.find_or_add({pcs, found.frames}, 0, sched::labels_of_own(own.whose));
  if (where == nullptr) return;  // lost, and counted there
  where->add(0, 1 + std::min(missed, missed_max));
}

// In a handler of signals, on any thread.
void on_timer(std::uint32_t missed, const void* context) noexcept {
  constexpr std::size_t walk_needs = 12 << 10;
  if (os::room_on_signal_stack(context) < walk_needs) return;
  if (!door.enter()) return;
  take_sample(missed, context);
  door.leave();
}

// --- the thread that looks for other threads

sched::note profiler_note;

void profiler_main() {
  constexpr std::int64_t look_each_ns = 20'000'000;
  constexpr int looks_per_thorough_one = 25;
  for (int looks = 0;; ++looks) {
    (void)profiler_note.sleep(cpu_recording.running() ? os::monotonic_ns() + look_each_ns : -1);
    if (os::cpu_timers_run.load_relaxed())
      (void)os::find_new_threads(looks % looks_per_thorough_one == 0);  // or the next time
  }
}

bool start_profiler_thread() noexcept {
  static const int error = sched::start_helper(profiler_main, "gort-profiler");
  return error == 0;
}

// The table; nobody writes any more.
report::profile_data take_table() {
  report::profile_data data({{"samples", "count"}, {"cpu", "nanoseconds"}});
  data.period_type = {"cpu", "nanoseconds"};
  data.period = period_ns;
  data.time_ns = began_unix_ns;
  data.duration_ns = os::monotonic_ns() - began_ns;
  table.for_each([&](const record::event_table::bucket& each) {
    const std::array<std::int64_t, 2> values{each.sum(0), each.sum(0) * period_ns};
    data.add(each.frames(), values, report::labels_of(each));
  });
  if (const auto lost = static_cast<std::int64_t>(table.lost()); lost != 0) {
    const void* frame = frame_of(lost_profile_event);
    data.add({&frame, 1}, std::array<std::int64_t, 2>{lost, lost * period_ns});
  }
  return data;
}

}  // namespace

void start_cpu_profile(sink where, std::error_code& error) {
  if (!cpu_recording.begin(where != nullptr, errc::cpu_profile_in_use, error)) return;
  constexpr std::size_t table_bytes = std::size_t{32} << 20;
  if (!table.prepare(table_bytes) || !start_profiler_thread()) {
    cpu_recording.abandon();
    error = std::make_error_code(std::errc::not_enough_memory);
    return;
  }
  period_ns = second_ns / rate_hz.load_relaxed();
  // Several ticks may miss a thread that shares its CPU with many.
  constexpr std::int64_t missed_ns_max = second_ns / 5;
  missed_max = static_cast<std::uint32_t>(missed_ns_max / period_ns);
  began_ns = os::monotonic_ns();
  began_unix_ns = report::unix_time_ns();
  for (auto* each : {&stacks, &stacks_cut, &frames, &frames_without_pointer})
    each->store_relaxed(0);
  door.open();
  if (const int refused = os::start_cpu_timers(period_ns, on_timer); refused != 0) {
    door.close();
    cpu_recording.abandon();
    error.assign(refused, std::generic_category());
    return;
  }
  cpu_recording.started(std::move(where));
  profiler_note.wake();
}

void start_cpu_profile(sink where) {
  if (where == nullptr) throw runtime_error("cpu profile: no sink to write it to");
  std::error_code error;
  start_cpu_profile(std::move(where), error);
  report::throw_refusal(error, "CPU profile");
}

void stop_cpu_profile() {
  cpu_recording.stop(
      [] {
        os::stop_cpu_timers();
        door.close();
      },
      [] {
        const sink where = cpu_recording.take_sink();
        write_proto(take_table(), where);
      },
      [] { report::empty(table); });
}

void set_cpu_profile_rate(int hz) {
  if (!cpu_recording.idle()) {
    constexpr std::string_view text =
        "runtime: cannot set cpu profile rate until previous profile has finished.\n";
    os::write_all(os::stderr_fd, text.data(), text.size());
    return;
  }
  constexpr int most_hz = 1'000'000;
  rate_hz.store_relaxed(hz <= 0 ? default_rate_hz : std::min(hz, most_hz));
}

cpu_profile_stacks last_cpu_profile_stacks() noexcept {
  return {stacks.load_relaxed(), stacks_cut.load_relaxed(), frames.load_relaxed(),
          frames_without_pointer.load_relaxed()};
}

}  // namespace gort::pprof

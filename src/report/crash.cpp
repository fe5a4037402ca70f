// Panics and fatal errors.
//
// An exception that no frame of its goroutine handles reaches the end-of-stack mark of the entry
// trampoline during the search phase; the C++ runtime then calls std::terminate() with every frame
// still in place. Our handler prints it as Go prints a panic.
//
// Invariant [crash-1]: one thread reports; others that fail meanwhile wait for the process to end.
// A failure of the reporting thread itself ends the process with status 4.
#include "report/crash.hpp"

#include <exception>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "os/errno.hpp"
#include "os/thread.hpp"
#include "os/write.hpp"
#include "report/dump.hpp"
#include "report/mutex_cycles.hpp"
#include "report/place.hpp"
#include "report/sched_trace.hpp"
#include "report/thrown.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::report {

namespace {

std::terminate_handler previous_handler = nullptr;  // written once, at the start
detail::atomic<std::uint8_t> program_level;         // set_traceback()
detail::atomic<int> reporter;                       // the thread that reports; 0: none

void print_traceback(text_sink& out, bool fatal) noexcept {
  const base::traceback level = traceback_level();
  print_sched_trace_of_crash(out);
  if (level == base::traceback::none) return;
  dump_options options;
  options.process_ends = true;
  options.internal_frames = level >= base::traceback::system;
  out << "\n";
  const sched::goroutine_view own = sched::current_goroutine();
  if (fatal || level >= base::traceback::all || own.id == 0)
    print_all_goroutines(out, options);
  else
    print_goroutine(out, own, options);
}

[[noreturn]] void terminate_goroutine() noexcept {
  if (sched::current_goroutine().id == 0) {  // a plain thread: not our business
    if (previous_handler != nullptr) previous_handler();
    os::abort_now();
  }
  begin_report();
  {
    text_sink out(os::stderr_fd);
    if (std::current_exception() != nullptr) {
      out << "panic: ";
      print_exception(out);
      out << "\n";
    } else {
      out << "panic: std::terminate called\n";
    }
    print_traceback(out, false);
  }
  end_process();
}

}  // namespace

void begin_report() noexcept {
  const int self = os::thread_id();
  int first = 0;
  if (reporter.cas_acq_rel(first, self)) return;  // pairs with itself: the first one reports
  if (first == self) {
    constexpr std::string_view text = "stack trace unavailable\n";
    os::write_all(os::stderr_fd, text.data(), text.size());
    constexpr int failed_while_failing = 4;
    os::exit_now(failed_while_failing);
  }
  for (;;) os::sleep_ns(1'000'000'000);  // [crash-1]
}

bool reporting_here() noexcept {
  // Set by this thread or not at all.
  return reporter.load_relaxed() == os::thread_id();
}

base::traceback traceback_level() noexcept {
  static const base::traceback from_environment = base::env_traceback();
  const auto raised = static_cast<base::traceback>(program_level.load_relaxed());
  return raised > from_environment ? raised : from_environment;
}

void end_process(int status) noexcept {
  if (traceback_level() == base::traceback::crash) os::abort_now();
  os::exit_now(status);
}

}  // namespace gort::report

namespace gort::sched {

int install_reports() noexcept {
  report::find_library();
  report::previous_handler = std::set_terminate(report::terminate_goroutine);
  report::install_overflow_report();
  if (base::godebug("deadlockcheck", 0) > 0) debug::set_deadlock_check(true);
  return report::install_sigquit();
}

bool report_is_under_way() noexcept {
  // A hint, except for a thread that is parked in place: it has written this before.
  const int by = report::reporter.load_relaxed();
  return (by != 0 && by != os::thread_id()) || report::quit_was_asked();
}

void report_fatal(const char* text, const char* before, int status) noexcept {
  report::begin_report();
  {
    report::text_sink out(os::stderr_fd);
    out << before << "fatal error: " << text << "\n";
    out.flush();
    // Everybody stands still, so the world may be stopped for it.
    if (std::string_view(text).ends_with("deadlock!")) report::print_mutex_cycles(out);
    report::print_traceback(out, true);
  }
  report::end_process(status);
}

}  // namespace gort::sched

namespace gort::debug {

void set_traceback(std::string_view level) noexcept {
  // A flag of its own; readers need no more than the value.
  report::program_level.store_relaxed(static_cast<std::uint8_t>(base::parse_traceback(level)));
}

std::string stack() {
  std::string text(1024, '\0');
  for (;;) {
    const std::size_t used = runtime::stack(std::span(text.data(), text.size()), false);
    if (used < text.size()) {
      text.resize(used);
      return text;
    }
    text.resize(text.size() * 2);
  }
}

void print_stack() {
  report::text_sink out(os::stderr_fd);
  out << stack();
}

}  // namespace gort::debug

namespace gort::runtime {

std::size_t stack(std::span<char> buffer, bool all) {
  const os::errno_kept names_are_looked_up;
  report::text_sink out(buffer);
  report::dump_options options;
  options.internal_frames = report::traceback_level() >= base::traceback::system;
  if (all) {
    report::print_all_goroutines(out, options);
  } else {
    sched::goroutine_view own = sched::current_goroutine();
    own.is_current = true;  // also for a plain thread, which is shown as goroutine 0
    own.status = sched::g_status::running;
    report::print_goroutine(out, own, options);
  }
  return out.used();
}

}  // namespace gort::runtime

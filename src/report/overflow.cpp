// A stack overflow as Go reports it.
//
// Problem: the fault comes at any instruction of user code or of gort, with no stack left. The
// handler runs on the thread's alternate stack, which is small; printing needs more (a demangler's
// arrays grow with the names). So the handler switches to a stack made for this at the start, and
// the report comes from there, reading the overflown one through the signal's frame.
//
// Invariants
//   [overflow-1] The lines that say what happened are out before anything that could fail or wait:
//                unwinding, symbols, stopping the world. A watchdog ends the process if one hangs.
//   [overflow-2] Code that was interrupted inside gort may hold its spin locks: then the world is
//                not stopped, and only the goroutine itself is shown.
//   [overflow-3] Code that was interrupted inside malloc may hold its locks: then nothing of the
//                report calls it, and names stay as the linker knows them.
#include <cstdlib>

#include "arch/context.hpp"
#include "base/sanitizer.hpp"
#include "os/fault.hpp"
#include "os/loaded.hpp"
#include "os/memory.hpp"
#include "os/signals.hpp"
#include "os/write.hpp"
#include "report/crash.hpp"
#include "report/dump.hpp"
#include "report/symbolizer.hpp"
#include "report/trace.hpp"
#include "stack/slots.hpp"

namespace gort::report {

namespace {

constexpr std::size_t report_stack_bytes = std::size_t{1} << 20;
constexpr unsigned patience_s = 120;  // a dump of 100 000 goroutines takes seconds
constexpr int gave_up = 4;

char* report_stack = nullptr;  // written once, at the start; used by whoever reports [crash-1]

struct job {
  const void* sp;
  std::size_t limit_bytes;
  void* handler_sp;  // the handler's context: the way into the overflown stack
};

// One of the innermost frames belongs to whatever provides malloc.
bool inside_malloc(const sched::goroutine_view& view) noexcept {
  const auto object_of = [](const void* address) {
    os::loaded_object found;
    os::find_loaded(reinterpret_cast<std::uintptr_t>(address), found);
    return found.object;
  };
  const void* allocator = object_of(reinterpret_cast<void*>(&std::malloc));
  if (allocator == nullptr || allocator == object_of(&report_stack))
    return false;  // linked statically: not told apart
  const void* pcs[16];
  const std::size_t count = innermost_frames(view, pcs, std::size(pcs));
  for (std::size_t i = 0; i < count; ++i) {
    if (object_of(pcs[i]) == allocator) return true;
  }
  return false;
}

void print_facts(text_sink& out, const job& what, const sched::goroutine_view& own) noexcept {
  out << "runtime: goroutine stack exceeds " << std::uint64_t{what.limit_bytes}
      << "-byte limit\nruntime: sp=";
  out.hex(what.sp) << " stack=[";
  out.hex(own.stack_low) << ", ";
  out.hex(own.stack_high) << "]\nruntime: goroutine " << own.id;
  if (!own.name.empty()) out << " \"" << own.name << "\"";
  out << " overflowed its stack\nfatal error: stack overflow\n";
  out.flush();
}

// On the report's stack.
GORT_LEFT_BY_SWITCH void report_overflow(void* raw) {
  base::after_switch(nullptr);
  const job& what = *static_cast<const job*>(raw);
  {
    text_sink out(os::stderr_fd);
    sched::goroutine_view own = sched::current_goroutine();
    own.is_current = false;
    own.in_handler = true;
    own.saved_sp = what.handler_sp;
    print_facts(out, what, own);
    os::exit_after(patience_s, "stack trace unavailable\n", gave_up);
    const base::traceback level = traceback_level();
    if (level != base::traceback::none) {
      out << "\n";
      // ThreadSanitizer complains about malloc in any handler, and stops to do so.
      use_linker_names(base::with_tsan || inside_malloc(own));
      dump_options options;
      options.process_ends = true;
      options.internal_frames = level >= base::traceback::system;
      if (sched::current_is_inside())
        print_goroutine(out, own, options);  // [overflow-2]
      else
        print_all_goroutines(out, options, &own);
    }
  }
  end_process();
}

void on_fault(const os::fault& fault) noexcept {
  if (reporting_here()) begin_report();  // the report itself has failed: this ends the process
  const sched::overflow_verdict found = sched::judge_fault(fault.address, fault.sp);
  if (!found.is_one || report_stack == nullptr) return;
  begin_report();
  job what{fault.sp, found.limit_bytes, nullptr};
  void* to = arch::make_context(report_stack + report_stack_bytes, report_overflow, &what);
  base::before_switch_to_stack(report_stack, report_stack_bytes);
  arch::switch_context(&what.handler_sp, to);
  __builtin_unreachable();
}

}  // namespace

void install_overflow_report() noexcept {
  report_stack = static_cast<char*>(os::reserve(report_stack_bytes));
  os::handle_faults(on_fault);
}

}  // namespace gort::report

// SIGQUIT: prints every goroutine and ends with status 2, whatever GOTRACEBACK says.
//
// The handler may interrupt anything, so it copies the registers and wakes a thread that has been
// waiting for this; that thread stops the world and prints. If it is not done within 10 s, the
// process ends with status 4 all the same.
#include <gort/detail/atomic.hpp>

#include "os/signals.hpp"
#include "os/thread.hpp"
#include "os/write.hpp"
#include "report/crash.hpp"
#include "report/dump.hpp"
#include "sched/parts/note.hpp"

namespace gort::report {

namespace {

sched::note quit_note;
detail::atomic<std::uint32_t> asked;
os::register_set registers;  // written by the handler that won `asked`, read by the reporter

void on_quit(const os::register_set& at) noexcept {
  if (asked.exchange_acq_rel(1) != 0) return;  // the note's wake publishes `registers`
  registers = at;
  quit_note.wake();
}

void reporter_main(void*) {
  quit_note.sleep();
  constexpr unsigned patience_s = 10;
  constexpr int gave_up = 4;
  os::exit_after(patience_s, "stack trace unavailable\n", gave_up);
  begin_report();
  {
    text_sink out(os::stderr_fd);
    out << "SIGQUIT: quit\nPC=";
    out.hex(registers.pc) << " m=0 sigcode=0\n\n";
    dump_options options;
    options.process_ends = true;
    options.internal_frames = true;
    print_all_goroutines(out, options);
    out << "\n";
    for (std::size_t i = 0; i < registers.count; ++i) {
      std::string_view name = registers.values[i].name;
      out << name;
      for (std::size_t pad = name.size(); pad < 7; ++pad) out << " ";
      out.hex(registers.values[i].value) << "\n";
    }
  }
  end_process();
}

}  // namespace

bool quit_was_asked() noexcept { return asked.load_relaxed() != 0; }  // a hint

int install_sigquit() noexcept {
  if (!os::quit_is_default()) return 0;
  constexpr std::size_t stack_bytes = 512 << 10;
  if (os::start_thread(reporter_main, nullptr, "gort-report", stack_bytes) != 0) return 0;
  os::handle_quit(on_quit);
  return 1;
}

}  // namespace gort::report

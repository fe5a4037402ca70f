// The observer that passes the static probes (src/os/static_probes.hpp). sysmon switches it on
// while somebody is attached to any, so a process that nobody looks at pays nothing for them; what
// happens in the first moment after somebody has attached is missed: 10 ms, or until sysmon is
// awake.
#include "os/static_probes.hpp"
#include "sched/gmp/observer.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::report {

namespace {

namespace probe = os::probe;
using sched::g;
using sched::m;
using sched::moment;
using sched::p;

std::uint64_t id_of(const g* who) noexcept { return who == nullptr ? 0 : who->id; }
int index_of(const m* who) noexcept { return who == nullptr ? -1 : who->index; }

void created(const moment&, detail::spawn_record& born, g* by) noexcept {
  probe::goroutine_create(born.id, id_of(by), born.creation_pc);
}
void started(const moment& at, g& it, std::int64_t runnable_since_ns) noexcept {
  probe::goroutine_start(it.id, at.mine == nullptr ? -1 : at.mine->index,
                         runnable_since_ns == 0 ? -1 : at.now_ns - runnable_since_ns);
}
void blocked(const moment&, g& it, detail::wait_reason why) noexcept {
  probe::goroutine_block(it.id, static_cast<int>(why), wait_reason_text(why));
}
void unblocked(const moment&, g& it, g* by, std::int64_t) noexcept {
  probe::goroutine_unblock(it.id, id_of(by));
}
void yielded(const moment&, g& it) noexcept { probe::goroutine_yield(it.id); }
void preempted(const moment&, g& it) noexcept { probe::goroutine_preempt(it.id); }
void ended(const moment&, g& it) noexcept { probe::goroutine_end(it.id); }
void syscall_begun(const moment&, g& it) noexcept { probe::syscall_begin(it.id, 1); }
void syscall_ended(const moment&, g& it) noexcept { probe::syscall_end(it.id, 1); }
void syscall_left(const moment&, g& it) noexcept { probe::syscall_end(it.id, 0); }
void p_started(const moment& at) noexcept { probe::proc_start(at.mine->index, index_of(at.here)); }
void p_stopped(const moment& at) noexcept { probe::proc_stop(at.mine->index, index_of(at.here)); }
void p_taken(const moment&, m& victim, p& what, g& it, bool found) noexcept {
  if (found) probe::syscall_begin(it.id, 0);
  probe::proc_stop(what.index, victim.index);
}
void m_sleeps(const moment& at, g*) noexcept { probe::thread_sleep(index_of(at.here)); }
void m_woke(const moment& at, g*) noexcept { probe::thread_wake(index_of(at.here)); }

constexpr sched::observer table{
    .created = created,
    .started = started,
    .blocked = blocked,
    .unblocked = unblocked,
    .yielded = yielded,
    .preempted = preempted,
    .ended = ended,
    .syscall_begun = syscall_begun,
    .syscall_ended = syscall_ended,
    .syscall_left = syscall_left,
    .p_started = p_started,
    .p_stopped = p_stopped,
    .p_taken = p_taken,
    .m_sleeps = m_sleeps,
    .m_woke = m_woke,
    .wants_times = true,
};

}  // namespace

}  // namespace gort::report

namespace gort::sched {

void follow_static_probes() noexcept {
  static bool on = false;  // sysmon's
  const bool wanted = os::probe::is_anybody_attached();
  if (wanted == on) return;
  on = wanted;
  if (wanted)
    observe(observers::probes, report::table);
  else
    stop_observing(observers::probes);
}

}  // namespace gort::sched

#include "os/cpu_timers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <iterator>
#include <utility>

#include <gort/detail/spin_lock.hpp>

#include "os/caught.hpp"
#include "os/clock.hpp"
#include "os/interrupted.hpp"
#include "os/memory.hpp"
#include "os/pipe.hpp"
#include "os/previous_action.hpp"
#include "os/proc.hpp"
#include "os/signals.hpp"
#include "os/system_call.hpp"

namespace gort::os {

constinit detail::atomic<bool> cpu_timers_run{false};

namespace {

// Written before the handler is set. Of the last time one may still be on its way [timers-2].
constinit detail::atomic<cpu_timer_function> function{nullptr};
constinit previous_action previous;  // likewise
char mark;                           // its address is ours alone
// Written before cpu_timers_run is; who still looks for threads of the last time may read it.
constinit detail::atomic<std::int64_t> period_ns{0};

// The table, by the thread's number: 0, or one more than the timer's number, and above it in which
// look into /proc its thread was there. Reserved once; a few pages of it are ever touched.
constexpr int threads_max = 1 << 22;  // the kernel's own limit
constexpr unsigned look_shift = 32;
constinit detail::atomic<detail::atomic<std::uint64_t>*> table{nullptr};
// Looks into /proc are made one at a time. The directory is open while a profile runs: later there
// may be no descriptor left. Guarded by the lock.
constinit detail::spin_lock looking;
constinit int directory = -1;
struct stat directory_is;
// The numbers that were ever used lie between.
constinit detail::atomic<int> lowest{threads_max}, highest{-1};
constinit detail::atomic<std::uint32_t> look{1};

int timer_in(std::uint64_t entry) noexcept { return static_cast<int>(entry & 0xffffffff) - 1; }
std::uint64_t entry_of(int timer, std::uint32_t seen_in) noexcept {
  return std::uint64_t{seen_in} << look_shift | (static_cast<std::uint32_t>(timer) + 1);
}

void delete_timer(std::uint64_t entry) noexcept {
  if (entry != 0) system_call(SYS_timer_delete, timer_in(entry), 0, 0, 0);
}

void widen(int thread) noexcept {
  for (int seen = lowest.load_relaxed(); thread < seen && !lowest.cas_relaxed(seen, thread);) {
  }
  for (int seen = highest.load_relaxed(); thread > seen && !highest.cas_relaxed(seen, thread);) {
  }
}

// The threads' timers should not all go off at once.
std::int64_t some_phase_ns() noexcept {
  std::uint64_t x = static_cast<std::uint64_t>(monotonic_ns()) * 0x9e3779b97f4a7c15u;
  x ^= x >> 32;
  return 1 + static_cast<std::int64_t>(x % static_cast<std::uint64_t>(period_ns.load_relaxed()));
}

timespec to_timespec(std::int64_t ns) noexcept {
  constexpr std::int64_t second_ns = 1'000'000'000;
  return {static_cast<time_t>(ns / second_ns), static_cast<long>(ns % second_ns)};
}

// Makes a timer for a thread that has none. 0 or an errno value: the system refuses it.
int make_timer(int thread, std::uint32_t seen_in) noexcept {
  detail::atomic<std::uint64_t>* slots = table.load_acquire();  // pairs with start_cpu_timers()
  if (slots == nullptr || thread <= 0 || thread >= threads_max) return 0;
  if (slots[thread].load_relaxed() != 0) return 0;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event.sigev_value.sival_ptr = &mark;
  event._sigev_un._tid = thread;
  // The kernel's encoding of one thread's CPU time.
  constexpr unsigned clock_bits = 3, one_thread = 4, cpu_time = 2;
  const auto clock =
      static_cast<int>(~static_cast<unsigned>(thread) << clock_bits | one_thread | cpu_time);
  int timer = 0;
  const long refused = system_call(SYS_timer_create, clock, word(&event), word(&timer), 0);
  if (refused != 0) return static_cast<int>(-refused);
  widen(thread);
  std::uint64_t none = 0;
  const std::uint64_t entry = entry_of(timer, seen_in);
  // Sequentially consistent, as in stop_cpu_timers(): either that one finds the entry, or this one
  // sees that there is no profile any more. Not armed before: at most a timer that never fires.
  if (!slots[thread].cas_seq_cst(none, entry)) {
    delete_timer(entry);
    return 0;
  }
  if (!cpu_timers_run.load_seq_cst()) {
    if (std::uint64_t own = entry; slots[thread].cas_relaxed(own, 0)) delete_timer(entry);
    return 0;
  }
  itimerspec when{};
  when.it_value = to_timespec(some_phase_ns());
  when.it_interval = to_timespec(period_ns.load_relaxed());
  return static_cast<int>(-system_call(SYS_timer_settime, timer, 0, word(&when), 0));
}

void on_timer(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  if (info->si_code == SI_TIMER && info->si_value.sival_ptr == &mark) {
    const cpu_timer_function f = function.load_relaxed();  // ordered by sigaction()
    f(static_cast<std::uint32_t>(std::max(0, info->si_overrun)), context);
    restart_interrupted_call(context);
    errno = saved_errno;
    return;
  }
  errno = saved_errno;
  if (settle_sent(signal)) return;
  if (previous.pass_on(signal, info, context) != previous_action::outcome::by_default) return;
  std::signal(signal, SIG_DFL);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);  // taken when this returns
}

int open_directory() noexcept {
  int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  fd = above_streams(fd);
  if (fd < 0) return -fd;
  const detail::spin_guard guard(looking);
  directory = fd;
  return fstat(fd, &directory_is) == 0 ? 0 : errno;
}

// The program may have closed it, with all others that it did not know, and its number may be
// somebody else's by now. With the lock.
bool has_directory() noexcept {
  struct stat is;
  if (directory >= 0 && fstat(directory, &is) == 0 && is.st_dev == directory_is.st_dev &&
      is.st_ino == directory_is.st_ino)
    return true;
  directory = -1;
  return false;
}

void close_directory() noexcept {
  const detail::spin_guard guard(looking);
  if (has_directory()) close(std::exchange(directory, -1));
}

// 0 or an errno value: then they are not known, or not all of them. With the lock.
template <class F>
int for_each_thread(F f) noexcept {
  if (!has_directory()) return EBADF;
  long got = system_call(SYS_lseek, directory, 0, SEEK_SET, 0);
  alignas(8) char entries[4096];
  while (got >= 0) {
    got = system_call(SYS_getdents64, directory, word(entries), sizeof(entries), 0);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      // struct linux_dirent64
      constexpr std::size_t length_at = 16, name_at = 19;
      std::uint16_t length;
      std::copy_n(entries + at + length_at, sizeof(length), reinterpret_cast<char*>(&length));
      const char* name = entries + at + name_at;
      int thread = 0;
      std::from_chars(name, entries + at + length, thread);
      if (thread > 0) f(thread);
      at += length;
    }
  }
  return static_cast<int>(-got);
}

void delete_all() noexcept {
  detail::atomic<std::uint64_t>* slots = table.load_relaxed();
  for (int i = lowest.load_relaxed(), last = highest.load_relaxed(); i <= last; ++i) {
    // Looked at first: nearly all are empty. Sequentially consistent: see make_timer().
    if (slots[i].load_seq_cst() != 0) delete_timer(slots[i].exchange_seq_cst(0));
  }
}

}  // namespace

int make_own_cpu_timer() noexcept {
  // As if the look that is under way had found it [timers-4].
  return make_timer(static_cast<int>(system_call(SYS_gettid, 0, 0, 0, 0)), look.load_relaxed() + 1);
}

int start_cpu_timers(std::int64_t each_ns, cpu_timer_function f) noexcept {
  if (table.load_relaxed() == nullptr) {
    constexpr std::size_t bytes = sizeof(detail::atomic<std::uint64_t>) * threads_max;
    void* memory = reserve(bytes);
    if (memory == nullptr) return ENOMEM;
    // Release pairs with the acquire in make_timer(): it is zero, and all is there.
    table.store_release(static_cast<detail::atomic<std::uint64_t>*>(memory));
  }
  if (const int error = open_directory(); error != 0) return error;
  period_ns.store_relaxed(each_ns);
  function.store_relaxed(f);
  previous.set(handler_stays(SIGPROF));
  struct sigaction action {};
  action.sa_sigaction = on_timer;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | previous.restart_flag();
  action.sa_mask = all_but_synchronous_signals();
  if (sigaction(SIGPROF, &action, nullptr) != 0) {
    const int error = errno;
    handler_leaves(SIGPROF, nullptr);
    close_directory();
    return error;
  }
  cpu_timers_run.store_seq_cst(true);  // pairs with the load in make_timer()
  int error = make_own_cpu_timer();
  if (error == 0) error = find_new_threads(true);
  if (error != 0) stop_cpu_timers();
  return error;
}

void stop_cpu_timers() noexcept {
  cpu_timers_run.store_seq_cst(false);  // pairs with the load in make_timer()
  delete_all();
  close_directory();
  struct sigaction now {};
  sigaction(SIGPROF, nullptr, &now);
  const bool still_ours = (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_timer;
  if (still_ours) {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPROF, &ignore, nullptr);  // [timers-2]
  }
  handler_leaves(SIGPROF, still_ours ? &previous.action() : nullptr);
}

int find_new_threads(bool thorough) noexcept {
  static int known = 0;  // guarded by it
  const detail::spin_guard guard(looking);
  const int count = thread_count();
  if (!thorough && count == known) return 0;
  known = count;
  const int saved_errno = errno;
  const std::uint32_t now = look.load_relaxed() + 1;
  look.store_relaxed(now);
  detail::atomic<std::uint64_t>* slots = table.load_relaxed();
  const int error = for_each_thread([&](int thread) {
    if (thread >= threads_max) return;
    std::uint64_t entry = slots[thread].load_relaxed();
    if (entry == 0)
      (void)make_timer(thread, now);  // refused: at the next thorough look, perhaps
    else
      slots[thread].cas_relaxed(entry, entry_of(timer_in(entry), now));
  });
  for (int i = lowest.load_relaxed(), last = highest.load_relaxed(); error == 0 && i <= last; ++i) {
    std::uint64_t entry = slots[i].load_relaxed();
    const bool gone = entry != 0 && static_cast<std::int32_t>((entry >> look_shift) - now) < 0;
    if (gone && slots[i].cas_relaxed(entry, 0)) delete_timer(entry);
  }
  errno = saved_errno;
  return error;
}

}  // namespace gort::os

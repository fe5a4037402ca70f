// What a command becomes before the system sees it, and the thread that starts it.
//
// Problem: for Linux the parent of a process is a thread. A process that asks for a signal at its
// parent's death (PR_SET_PDEATHSIG: bwrap --die-with-parent, setpriv --pdeathsig, many supervisors)
// gets it when the thread ends that has started it, and threads of gort end when they are too many.
//
// So a goroutine's processes are started by a thread that does nothing else and lasts. But whoever
// has locked a goroutine to its thread may have done so to give that thread a namespace, an
// affinity, fewer capabilities, which its processes are to inherit; and a plain thread is its
// owner's. These start their processes themselves, as they would with posix_spawn(3).
//
// Invariants
//   [start-1] `turn` is held during a start: the starting thread has one order at a time; and no
//             process of ours executes a file while another one, just begun, still has a copy of
//             the descriptor to which that file was written (ETXTBSY; Go: ForkLock).
//
// Rejected: threads that have started a process never end (how many then?); the starter's thread
// (loading a program from a slow disk must not hold up the making of Ms).
#include "ops/exec_start.hpp"

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <unordered_set>

#include <gort/blocking.hpp>
#include <gort/mutex.hpp>

#include "sched/gmp/current.hpp"
#include "sched/gmp/g.hpp"
#include "sched/parts/note.hpp"
#include "sched/threads/helper.hpp"

namespace gort::exec {

namespace {

struct job {
  const os::program* what;
  os::started* into;
  int error = 0;
  sched::note done;
};

mutex turn;                  // [start-1]
bool thread_exists = false;  // guarded by turn
job* given = nullptr;        // the same; handed over by the note
sched::note work;

void starting_thread() {
  for (;;) {
    work.sleep();
    job& now = *given;
    now.error = os::start_program(*now.what, *now.into);
    now.done.wake();
  }
}

int start_elsewhere(const os::program& what, os::started& into) {
  if (!thread_exists) {
    const int error = blocking([] { return sched::start_helper(starting_thread, "gort-exec"); });
    if (error != 0) return error;
    thread_exists = true;
  }
  job now;
  now.what = &what;
  now.into = &into;
  given = &now;
  blocking([&] {
    work.wake();
    now.done.sleep();
  });
  return now.error;
}

bool owns_its_thread() noexcept {
  const detail::g* self = detail::current_g();
  return !detail::is_goroutine(*self) || self->os_thread_locks.load_relaxed() != 0;
}

int start_in_turn(const os::program& what, os::started& into) {
  const std::lock_guard guard(turn);
  if (!owns_its_thread()) return start_elsewhere(what, into);
  return blocking([&] { return os::start_program(what, into); });
}

bool has_nul(std::string_view text) noexcept { return text.find('\0') != text.npos; }

template <class Texts>
bool any_has_nul(const Texts& texts) noexcept {
  for (const std::string& each : texts) {
    if (has_nul(each)) return true;
  }
  return false;
}

// As execvp(3), with this process's PATH.
std::vector<std::string> files_to_try(const std::string& program) {
  if (program.empty() || program.find('/') != program.npos) return {program};
  const char* variable = std::getenv("PATH");
  std::string_view path = variable == nullptr ? "/bin:/usr/bin" : variable;
  std::vector<std::string> files;
  for (;;) {
    const std::size_t end = path.find(':');
    std::string file(path.substr(0, end));
    if (!file.empty()) file += '/';
    files.push_back(file + program);
    if (end == path.npos) return files;
    path.remove_prefix(end + 1);
  }
}

// Of several settings of one name the last counts, as in Go; getenv(3) would find the first.
std::vector<std::string> last_settings(const std::vector<std::string>& all) {
  std::unordered_set<std::string_view> known;
  std::vector<std::string> kept;
  for (std::size_t i = all.size(); i-- > 0;) {
    const std::string_view setting = all[i];
    const std::size_t end = setting.find('=');
    if (end == setting.npos || known.insert(setting.substr(0, end)).second) kept.push_back(all[i]);
  }
  return {kept.rbegin(), kept.rend()};
}

// What execve(2) takes.
class array_of_texts {
 public:
  explicit array_of_texts(std::vector<std::string> texts) : texts_(std::move(texts)) {
    for (std::string& each : texts_) pointers_.push_back(each.data());
    pointers_.push_back(nullptr);
  }
  array_of_texts(const array_of_texts&) = delete;
  array_of_texts& operator=(const array_of_texts&) = delete;
  char* const* data() const noexcept { return pointers_.data(); }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

}  // namespace

os::started start_with(const command& what, const int (&streams)[3], std::error_code& error) {
  os::started made;
  // The system would see the part before a NUL: not what has been checked before.
  if (has_nul(what.program) || has_nul(what.directory) || any_has_nul(what.arguments) ||
      (what.environment && any_has_nul(*what.environment))) {
    error = std::error_code(EINVAL, std::system_category());
    return made;
  }
  std::vector<std::string> all = what.arguments;
  all.insert(all.begin(), what.program);
  const array_of_texts arguments(std::move(all));
  const array_of_texts files(files_to_try(what.program));
  std::optional<array_of_texts> environment;
  if (what.environment) environment.emplace(last_settings(*what.environment));
  os::program order{};
  order.files = files.data();
  order.arguments = arguments.data();
  order.environment = environment ? environment->data() : nullptr;
  order.directory = what.directory.empty() ? nullptr : what.directory.c_str();
  for (std::size_t i = 0; i < 3; ++i) order.streams[i] = streams[i];
  if (const int failed = start_in_turn(order, made); failed != 0)
    error = std::error_code(failed, std::system_category());
  return made;
}

}  // namespace gort::exec

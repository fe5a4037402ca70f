// The explorer at work; included by each model, once.
//
// An execution is replayed from the start along `path`, the choices made so far, and extended. Then
// the deepest choice that still has an alternative is changed. Sleep sets (Godefroid): a thread
// whose move was already tried at an earlier point, and is independent of everything done since,
// need not be moved now: that order has been covered.
#pragma once

#include <ucontext.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "model/explorer.hpp"

namespace gort::model {
namespace engine {

struct operation {
  const void* address = nullptr;
  bool write = false;
  bool with_all = false;  // blocking: taken to depend on everything
};

inline bool dependent(const operation& a, const operation& b) {
  return a.with_all || b.with_all || (a.address == b.address && (a.write || b.write));
}

struct thread_state {
  ucontext_t context{};
  std::unique_ptr<char[]> stack;
  std::function<void()> body;
  bool ended = false;
  operation next;               // what it is about to do
  std::function<bool()> ready;  // set while blocked
  clock present;
};

// One choice; sets of threads are bit masks.
struct node {
  unsigned can = 0;
  unsigned sleeping = 0;
  unsigned tried = 0;
  unsigned independent = 0;  // of the move chosen
  int chosen = -1;
};

struct moved {
  int thread;
  operation what;
};

struct world {
  limits bounds;
  std::vector<thread_state> threads;
  ucontext_t main{};
  int running = -1;
  std::vector<node> path;
  std::string failure;
  std::vector<moved> trace;
  std::vector<std::pair<const char*, std::size_t>> dead;  // what has been destroyed
};

inline world*& here() {
  static world* w = nullptr;
  return w;
}

constexpr std::size_t stack_bytes = 64 << 10;

inline thread_state& mine(world& w) { return w.threads[static_cast<std::size_t>(w.running)]; }

inline void thread_main() {
  world& w = *here();
  thread_state& me = mine(w);
  me.body();
  me.ended = true;
  swapcontext(&me.context, &w.main);
}

inline bool enabled(const thread_state& t) {
  if (t.ended) return false;
  return !t.ready || t.ready();
}

inline void move(world& w, std::size_t which) {
  w.running = static_cast<int>(which);
  ++w.threads[which].present.seen[which];
  swapcontext(&w.main, &w.threads[which].context);
  w.running = -1;
}

inline void stop_before(world& w, const operation& next) {
  thread_state& me = mine(w);
  me.next = next;
  swapcontext(&me.context, &w.main);
}

inline void start_threads(world& w, const scenario& what) {
  w.threads.clear();
  w.threads.resize(what.threads.size());
  w.failure.clear();
  w.trace.clear();
  w.dead.clear();
  for (std::size_t i = 0; i < w.threads.size(); ++i) {
    thread_state& t = w.threads[i];
    t.body = what.threads[i];
    t.stack = std::make_unique<char[]>(stack_bytes);
    getcontext(&t.context);
    t.context.uc_stack.ss_sp = t.stack.get();
    t.context.uc_stack.ss_size = stack_bytes;
    makecontext(&t.context, thread_main, 0);
  }
  // Before its first access a thread touches nothing shared.
  for (std::size_t i = 0; i < w.threads.size(); ++i) move(w, i);
}

// Fills in a new point of choice; false: all that could be done here has been covered.
inline bool choose(const world& w, node& at, const node* parent) {
  for (std::size_t i = 0; i < w.threads.size(); ++i) {
    if (enabled(w.threads[i])) at.can |= 1u << i;
  }
  if (parent != nullptr) at.sleeping = (parent->sleeping | parent->tried) & parent->independent;
  const unsigned open = at.can & ~at.sleeping;
  if (open != 0) at.chosen = __builtin_ctz(open);
  return open != 0;
}

// One execution. False: it led to what is covered already.
inline bool run_once(world& w, const scenario& what) {
  start_threads(w, what);
  for (std::size_t depth = 0;; ++depth) {
    if (!w.failure.empty()) return true;
    bool all_ended = true;
    bool anybody = false;
    for (const thread_state& t : w.threads) {
      all_ended = all_ended && t.ended;
      anybody = anybody || enabled(t);
    }
    if (all_ended) return true;
    if (!anybody) {
      w.failure = "deadlock: nobody can move";
      return true;
    }
    if (static_cast<int>(depth) > w.bounds.steps_max) {
      w.failure = "too many steps: a loop without end?";
      return true;
    }
    if (depth == w.path.size()) {
      node fresh;
      const bool open = choose(w, fresh, depth == 0 ? nullptr : &w.path[depth - 1]);
      w.path.push_back(fresh);
      if (!open) return false;
    }
    node& at = w.path[depth];
    const auto chosen = static_cast<std::size_t>(at.chosen);
    thread_state& mover = w.threads[chosen];
    at.independent = 0;
    for (std::size_t i = 0; i < w.threads.size(); ++i) {
      if (i != chosen && !dependent(w.threads[i].next, mover.next)) at.independent |= 1u << i;
    }
    w.trace.push_back({at.chosen, mover.next});
    mover.ready = nullptr;
    move(w, chosen);
  }
}

// Turns to the next schedule; false: there is none.
inline bool backtrack(world& w) {
  while (!w.path.empty()) {
    node& last = w.path.back();
    if (last.chosen >= 0) {
      last.tried |= 1u << last.chosen;
      const unsigned open = last.can & ~last.sleeping & ~last.tried;
      if (open != 0) {
        last.chosen = __builtin_ctz(open);
        return true;
      }
    }
    w.path.pop_back();
  }
  return false;
}

inline std::string schedule_of(const world& w) {
  std::string text;
  for (const moved& m : w.trace) {
    char line[96];
    std::snprintf(line, sizeof(line), "  thread %d %s %p\n", m.thread,
                  m.what.with_all ? "waits on"
                  : m.what.write  ? "writes"
                                  : "reads",
                  m.what.address);
    text += line;
  }
  return text;
}

}  // namespace engine

// A sleeper is woken by futex_wake_on() alone: a change of the word that nobody announces is a lost
// wake-up, and shows as a deadlock.
struct bed {
  const void* address;
  std::shared_ptr<bool> asleep;
};
inline std::vector<bed>& beds() {
  static std::vector<bed> all;
  return all;
}

inline outcome explore(const std::function<scenario()>& make, limits bounds) {
  engine::world w;
  w.bounds = bounds;
  outcome result;
  auto told = std::chrono::steady_clock::now();
  for (;;) {
    beds().clear();
    scenario what = make();
    engine::here() = &w;
    const bool fresh = engine::run_once(w, what);
    if (fresh && w.failure.empty()) {
      w.running = -1;
      what.at_end();
    }
    engine::here() = nullptr;
    result.executions += fresh;
    if (!w.failure.empty()) {
      result.failed = true;
      result.report = w.failure + "\n" + engine::schedule_of(w);
      return result;
    }
    if (!engine::backtrack(w)) {
      result.complete = true;
      return result;
    }
    if (result.executions >= bounds.executions_max) return result;
    if (const auto time = std::chrono::steady_clock::now(); time - told > std::chrono::seconds(2)) {
      told = time;
      std::fprintf(stderr, "... %ld executions\n", result.executions);
    }
  }
}

inline int self() noexcept { return engine::here() == nullptr ? -1 : engine::here()->running; }

inline clock& now() noexcept { return engine::mine(*engine::here()).present; }

inline void check_alive(const void* address) noexcept {
  for (const auto& [from, bytes] : engine::here()->dead) {
    const auto offset =
        reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(from);
    check(offset >= bytes, "access to an object that has been destroyed");
  }
}

inline void step(const void* address, bool write) noexcept {
  if (self() < 0) return;
  engine::stop_before(*engine::here(), {address, write, false});
  check_alive(address);
}

inline void wait_until(const void* address, const std::function<bool()>& ready) noexcept {
  if (self() < 0) return;
  engine::mine(*engine::here()).ready = ready;
  engine::stop_before(*engine::here(), {address, true, true});
  check_alive(address);
}

// Taken to depend on everything: the explorer must try it before and after each other's move.
inline void destroyed(const void* from, std::size_t bytes) noexcept {
  if (self() < 0) return;
  engine::stop_before(*engine::here(), {from, true, true});
  engine::here()->dead.emplace_back(static_cast<const char*>(from), bytes);
}

inline void futex_wait_on(const void* address,
                          const std::function<bool()>& still_expected) noexcept {
  step(address, true);
  if (self() < 0 || !still_expected()) return;
  auto asleep = std::make_shared<bool>(true);
  beds().push_back({address, asleep});
  wait_until(address, [asleep] { return !*asleep; });
}

inline void futex_wake_on(const void* address) noexcept {
  step(address, true);
  for (bed& each : beds()) {
    if (each.address == address) *each.asleep = false;
  }
  std::erase_if(beds(), [](const bed& each) { return !*each.asleep; });
}

inline void check(bool holds, const char* what) noexcept {
  if (holds) return;
  if (engine::here() != nullptr && engine::here()->failure.empty()) engine::here()->failure = what;
  if (self() >= 0) wait_until(nullptr, [] { return false; });  // the execution ends here
}

inline void acquire(const clock& from) noexcept {
  if (self() >= 0) now().join(from);
}
// What a thread does after a release is not covered by it: its present moves on.
inline void release_store(clock& to, bool release) noexcept {
  if (self() < 0) return;
  to = release ? now() : clock{};
  ++now().seen[static_cast<std::size_t>(self())];
}
inline void release_rmw(clock& to) noexcept {
  if (self() < 0) return;
  to.join(now());
  ++now().seen[static_cast<std::size_t>(self())];
}

}  // namespace gort::model

// Names to addresses, by the C library.
//
// Problem: getaddrinfo(3) blocks its thread for as long as name servers take, 10 s and more if they
// are dead, and cannot be interrupted. So it runs in a thread of its own that the caller may stop
// waiting for. Threads are made on demand and end with their answer: 50 us for making one are small
// beside a look-up, and an idle program has none. Their number must have a bound, and names that
// cannot be looked up must not use it up for those that can.
//
// Invariants
//   [look-1] A look-up is in `queue` or in `running`; a running one has a helper, a thread that
//            refers to it. All of it but `host` is guarded by `lock`.
//   [look-2] Callers who ask for the same name share a look-up. One whose callers have all gone is
//            alone: it is not joined, since what made them go may be over for a new one, unless two
//            of its name run already. So a name has two helpers at most.
//   [look-3] A helper is *young* for 100 ms, while somebody waits for it. 16 young ones may be at a
//            time: a crowd of quick names shares 16 threads. Slow ones and those whose callers have
//            gone do not count, so the head of the queue starts within 200 ms, until 500 exist (as
//            many as Go allows).
//   [look-4] Names that the hosts file has are looked up in a helper beyond those bounds, 16 at
//   most,
//            so they wait for no other kind of name. Whether the file has a name is looked up when
//            it would have to wait.
//   [look-5] The queue moves when a helper ends, when callers go, and by `alarm`, which is set
//            whenever somebody waits in a queue.
//   [look-6] The helper and the caller share nothing but a channel with room for the answer.
//   [look-7] Nor has it anything of the caller's thread (a network namespace, a priority), since
//            others may share the answer, and helpers that end start those that wait.
//
// Rejected: c-ares (another resolver that disagrees with the system's about nsswitch.conf, mDNS and
// containers' hosts files); getaddrinfo_a (its threads are unbounded and it allocates in signals);
// answering from the hosts file here (the order of its addresses, and what precedes it, are the C
// library's business).
#include "net/look_ups.hpp"

#include <netdb.h>
#include <algorithm>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/mutex.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>

#include "net/hosts_file.hpp"
#include "net/io.hpp"
#include "os/clock.hpp"
#include "sched/threads/helper.hpp"

namespace gort::net {

namespace {

constexpr std::size_t young_max = 16;
constexpr std::size_t local_max = 16;
constexpr std::int64_t young_ns = 100'000'000;

std::error_code error_of_lookup(int status, int system_error) noexcept {
  switch (status) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
      return errc::no_such_host;
    case EAI_SYSTEM: return {system_error, std::system_category()};
    case EAI_MEMORY: return std::make_error_code(std::errc::not_enough_memory);
    default: return errc::name_server;
  }
}

answer ask_the_library(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  answer result;
  if (const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list); status != 0) {
    result.error = error_of_lookup(status, errno);
    return result;
  }
  for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
    os::socket_address a;
    if (each->ai_addrlen > sizeof a.storage) continue;
    std::copy_n(reinterpret_cast<const char*>(each->ai_addr), each->ai_addrlen,
                reinterpret_cast<char*>(&a.storage));
    a.bytes = each->ai_addrlen;
    if (endpoint e = from_system(a); e.is_ip()) result.found.push_back(std::move(e));
  }
  freeaddrinfo(list);
  if (result.found.empty()) result.error = errc::no_such_host;
  return result;
}

struct pending {
  std::string host;
  bool is_local = false;         // in the hosts file [look-4]
  std::int64_t started_ns = -1;  // of the monotonic clock; below 0: in its queue
  std::list<std::shared_ptr<pending>>::iterator place;  // there
  std::vector<chan<answer>> callers;
};
using pending_ptr = std::shared_ptr<pending>;

class desk {
 public:
  answer ask(const context& ctx, std::string_view host);

 private:
  pending_ptr join_locked(std::string_view host);
  bool has_place_locked(bool is_local, std::int64_t now_ns) const;
  void enqueue_locked(const pending_ptr& fresh);
  void dequeue_locked(const pending_ptr& p);
  void move_queue_locked();
  bool start_locked(const pending_ptr& next);
  void leave(const pending_ptr& from, const chan<answer>& reply);
  void end(const pending_ptr& ended, const answer& result);
  static void helper_main(void* raw);

  mutex lock_;
  std::list<pending_ptr> queue_;   // guarded by lock_, as is all below; the head is the next
  std::list<pending_ptr> locals_;  // likewise, of those that the hosts file has
  std::unordered_map<std::string_view, pending_ptr> queued_;  // both, by name
  std::vector<pending_ptr> running_;                          // in the order of their starts
  bool alarm_is_set_ = false;
  timer alarm_;
  hosts_file hosts_{"/etc/hosts"};
};

desk& the_desk() {
  static desk& the = *new desk;  // helpers may outlive static objects
  return the;
}

answer desk::ask(const context& ctx, std::string_view host) {
  const chan<answer> reply = make_chan<answer>(1);  // [look-6]
  pending_ptr mine;
  {
    std::unique_lock guard(lock_);
    bool is_local = false;
    if (!has_place_locked(false, os::monotonic_ns())) {
      guard.unlock();
      is_local = hosts_.has(host);
      guard.lock();
    }
    mine = join_locked(host);
    if (mine == nullptr) {
      mine = std::make_shared<pending>();
      mine->host = host;
      mine->is_local = is_local;
      enqueue_locked(mine);
    }
    mine->callers.push_back(reply);
    move_queue_locked();
  }
  answer result;
  bool is_canceled = false;
  select(reply.on_recv([&](std::optional<answer> a) { result = std::move(*a); }),
         ctx.done().on_recv([&] { is_canceled = true; }));
  if (is_canceled) {
    leave(mine, reply);
    result.error = ctx.err();
  }
  return result;
}

// [look-2]
pending_ptr desk::join_locked(std::string_view host) {
  std::size_t running = 0;
  pending_ptr youngest;
  for (const pending_ptr& p : running_) {
    if (p->host != host) continue;
    if (!p->callers.empty()) return p;
    youngest = p;
    ++running;
  }
  if (const auto found = queued_.find(host); found != queued_.end()) return found->second;
  return running >= helpers_per_name_max ? youngest : nullptr;
}

// [look-3], [look-4]
bool desk::has_place_locked(bool is_local, std::int64_t now_ns) const {
  std::size_t same_kind = 0;
  std::size_t young = 0;
  for (const pending_ptr& p : running_) {
    if (p->is_local != is_local) continue;
    ++same_kind;
    if (!p->callers.empty() && now_ns - p->started_ns < young_ns) ++young;
  }
  return is_local ? same_kind < local_max : same_kind < helpers_max && young < young_max;
}

void desk::enqueue_locked(const pending_ptr& fresh) {
  auto& queue = fresh->is_local ? locals_ : queue_;
  fresh->place = queue.insert(queue.end(), fresh);
  queued_.emplace(fresh->host, fresh);
}

void desk::dequeue_locked(const pending_ptr& p) {
  queued_.erase(p->host);
  (p->is_local ? locals_ : queue_).erase(p->place);
}

void desk::move_queue_locked() {
  const std::int64_t now_ns = os::monotonic_ns();
  for (auto* waiting : {&locals_, &queue_}) {
    while (!waiting->empty() && has_place_locked(waiting == &locals_, now_ns)) {
      const pending_ptr next = waiting->front();
      if (!start_locked(next)) break;
      dequeue_locked(next);
    }
  }
  if ((queue_.empty() && locals_.empty()) || alarm_is_set_) return;
  alarm_is_set_ = true;  // [look-5]
  alarm_ = after_func(std::chrono::nanoseconds(young_ns), [this] {
    std::lock_guard guard(lock_);
    alarm_is_set_ = false;
    move_queue_locked();
  });
}

// False: no thread can be had now, but the end of another one will bring the next attempt.
bool desk::start_locked(const pending_ptr& next) {
  constexpr std::size_t stack_bytes = 512 << 10;  // name-service modules are what needs it
  auto handed = std::make_unique<pending_ptr>(next);
  const int problem = blocking([&] {
    return sched::start_passing_helper(&helper_main, handed.get(), "gort-resolve", stack_bytes);
  });
  if (problem != 0) {
    if (!running_.empty()) return false;
    next->started_ns = os::monotonic_ns();  // it has left the queue, and is answered
    for (const chan<answer>& c : next->callers) c.send({{}, system_error_of(-problem)});
    next->callers.clear();
    return true;
  }
  static_cast<void>(handed.release());  // the helper's
  next->started_ns = os::monotonic_ns();
  running_.push_back(next);
  return true;
}

void desk::helper_main(void* raw) {
  const std::unique_ptr<pending_ptr> mine(static_cast<pending_ptr*>(raw));
  the_desk().end(*mine, ask_the_library((*mine)->host));
}

void desk::end(const pending_ptr& ended, const answer& result) {
  std::vector<chan<answer>> callers;
  {
    std::lock_guard guard(lock_);
    callers.swap(ended->callers);
    std::erase(running_, ended);
    move_queue_locked();
  }
  for (const chan<answer>& c : callers) c.send(result);
}

void desk::leave(const pending_ptr& from, const chan<answer>& reply) {
  std::lock_guard guard(lock_);
  std::erase(from->callers, reply);
  if (from->callers.empty() && from->started_ns < 0) dequeue_locked(from);
  move_queue_locked();  // one more that does not count [look-3]
}

}  // namespace

answer look_up(const context& ctx, std::string_view host) { return the_desk().ask(ctx, host); }

}  // namespace gort::net

#include "sched/gmp/cpu_accounts.hpp"

#include <chrono>

#include <gort/runtime.hpp>

#include "os/clock.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/observer.hpp"
#include "sched/gmp/seams.hpp"

namespace gort::sched::cpu_accounts {

namespace {

using bucket = record::event_table::bucket;

constinit record::event_table table;
detail::spin_lock switch_lock;  // for keep()

// On whose account `whose`, which this thread runs or is about to, spends its time; null: nobody's.
bucket* account_of(const g& whose) noexcept {
  if (whose.kind != g_kind::goroutine || whose.id == 0) return nullptr;
  const void* const site = whose.creation_pc;
  const std::size_t frames = site == nullptr ? 0 : 1;
  return table.find_or_add({&site, frames}, 0, labels_of_own(&whose));
}

// What the thread has used since the last time goes to whom it belongs. `whose`: the goroutine;
// null: it is gone.
void charge(m& here, g* whose) noexcept {
  const std::int64_t now_ns = os::own_thread_cpu_ns();
  // Acquire-release, as in settle(): one of the two has the time in between [cpu-time-1].
  const std::int64_t since_ns = here.samples.cpu_since_ns.exchange_acq_rel(now_ns);
  bucket* account = here.samples.cpu_account.load_relaxed();  // ours [cpu-time-2]
  // It began before anybody kept accounts.
  if (account == nullptr && whose != nullptr) account = account_of(*whose);
  if (account != nullptr && since_ns != 0) account->add(used_ns, now_ns - since_ns);
  const std::int64_t own_since_ns = here.samples.cpu_own_since_ns.load_relaxed();
  if (whose != nullptr && own_since_ns != 0) whose->cpu_ns += now_ns - own_since_ns;
  here.samples.cpu_own_since_ns.store_relaxed(now_ns);
}

void begin(m& here, bucket* account) noexcept {
  here.samples.cpu_account.store_release(account);  // pairs with settle() [cpu-time-2]
  if (account != nullptr) account->add(stretches, 1);
}

void switched(m& here, g& from, g& to) noexcept {
  charge(here, &from == &to ? nullptr : &from);
  begin(here, account_of(to));
}

constexpr observer those_that_switch{.switched = switched};

}  // namespace

bool is_kept() noexcept { return seam::is_wanted(seam::at::switched); }

bool keep(bool on) noexcept {
  const detail::spin_guard guard(switch_lock);
  const bool before = is_kept();
  if (on == before) return before;
  if (!on) {
    stop_observing(observers::cpu_accounts);
    return before;
  }
  constexpr std::size_t table_bytes_max = std::size_t{16} << 20;
  if (!table.prepare(table_bytes_max)) return before;
  {
    detail::spin_guard all(sched.lock);
    for (m* each = sched.all_ms; each != nullptr; each = each->all_next) {
      // What they have from an earlier time is old. A thread that has begun to charge itself then
      // writes a reading of its own clock, which is as good as ours.
      each->samples.cpu_account.store_relaxed(nullptr);
      const std::int64_t now_ns = os::thread_cpu_ns(each->thread.load_relaxed());
      each->samples.cpu_since_ns.store_relaxed(now_ns > 0 ? now_ns : 0);
      each->samples.cpu_own_since_ns.store_relaxed(now_ns > 0 ? now_ns : 0);
    }
  }
  observe(observers::cpu_accounts, those_that_switch);
  return before;
}

std::int64_t own_ns() noexcept {
  const g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return os::own_thread_cpu_ns();
  const detail::inside_gort inside;
  const std::int64_t since_ns = self->m->samples.cpu_own_since_ns.load_relaxed();
  return self->cpu_ns + (is_kept() && since_ns != 0 ? os::own_thread_cpu_ns() - since_ns : 0);
}

void settle() noexcept {
  if (!is_kept()) return;
  const detail::spin_guard guard(sched.lock);
  for (m* each = sched.all_ms; each != nullptr; each = each->all_next) {
    std::int64_t since_ns = each->samples.cpu_since_ns.load_acquire();  // pairs with charge()
    bucket* account = each->samples.cpu_account.load_acquire();         // pairs with begin()
    if (since_ns == 0 || account == nullptr) continue;
    const std::int64_t now_ns = os::thread_cpu_ns(each->thread.load_relaxed());
    // Acquire-release pairs with charge().
    if (now_ns > since_ns && each->samples.cpu_since_ns.cas_acq_rel(since_ns, now_ns))
      account->add(used_ns, now_ns - since_ns);
  }
}

const record::event_table& accounts() noexcept { return table; }

detail::label_set* change_labels(g& self, detail::label_set* now) noexcept {
  const bool goroutine = self.kind == g_kind::goroutine;
  if (!goroutine || !is_kept()) [[likely]]
    return exchange_labels(self.labels, now);
  const detail::inside_gort inside;
  charge(*self.m, &self);
  detail::label_set* before = exchange_labels(self.labels, now);
  begin(*self.m, account_of(self));
  return before;
}

void ends(g& self) noexcept {
  const detail::inside_gort inside;
  charge(*self.m, &self);
  self.m->samples.cpu_account.store_relaxed(nullptr);
}

}  // namespace gort::sched::cpu_accounts

namespace gort::runtime {

bool set_cpu_accounting(bool on) noexcept { return sched::cpu_accounts::keep(on); }

std::chrono::nanoseconds goroutine_cpu_time() noexcept {
  return std::chrono::nanoseconds(sched::cpu_accounts::own_ns());
}

}  // namespace gort::runtime

// Goroutines as reports see them.
#include "sched/inspect.hpp"

#include "sched/current.hpp"
#include "sched/schedule.hpp"
#include "sched/stack_size.hpp"

namespace gort::sched {

namespace {

goroutine_view view_of(const g& each, bool current) noexcept {
  goroutine_view view;
  view.id = each.id;
  view.parent_id = each.parent_id;
  view.creation_pc = each.creation_pc;
  view.status = each.status.load_relaxed();
  view.reason = each.reason.load_relaxed();
  view.waiting_since_ns = each.waiting_since_ns.load_relaxed();
  // Acquire pairs with the releases in finish_switch() and park_in_place(): the saved context is
  // complete.
  view.saved_sp = each.on_cpu.load_acquire() == on_cpu_here ? nullptr : each.saved_sp;
  view.stack_low = each.stack_low;
  view.stack_high = &each;
  if (each.extra != nullptr && each.extra->name != nullptr) view.name = each.extra->name;
  view.is_current = current;
  return view;
}

goroutine_view view_of(const spawn_record& each) noexcept {
  goroutine_view view;
  view.id = each.id;
  view.parent_id = each.parent_id;
  view.creation_pc = each.creation_pc;
  view.status = g_status::runnable;
  view.entry_pc = reinterpret_cast<const void*>(each.invoke);
  if (each.extra != nullptr && each.extra->name != nullptr) view.name = each.extra->name;
  return view;
}

struct visitor {
  void (*f)(const goroutine_view&, void*);
  void* argument;
  const g* self;

  static bool shown(runnable r) noexcept { return is_unstarted(r) && !is_system(*as_record(r)); }

  void unstarted(runnable r) const {
    if (shown(r)) f(view_of(*as_record(r)), argument);
  }

  // Threads without a P may add to it at any time, so it is read under the lock: some at a time, as
  // f may allocate. Nobody takes anything off while the world is stopped.
  void unstarted_of(const runnable_list& list) const {
    constexpr std::size_t batch = 16;
    goroutine_view views[batch];
    runnable last = 0;
    for (bool more = true; more;) {
      std::size_t count = 0;
      {
        detail::spin_guard guard(sched.lock);
        runnable r = last == 0 ? list.head : link_of(last);
        for (; r != 0 && count < batch; r = link_of(r)) {
          last = r;
          if (shown(r)) views[count++] = view_of(*as_record(r));
        }
        more = r != 0;
      }
      for (std::size_t i = 0; i < count; ++i) f(views[i], argument);
    }
  }
};

}  // namespace

void for_each_goroutine(void (*f)(const goroutine_view&, void*), void* argument) noexcept {
  visitor visit{f, argument, arch::load_current_g()};
  for_each_started(
      [](g& each, void* raw) {
        auto* v = static_cast<visitor*>(raw);
        if (!is_system(each)) v->f(view_of(each, &each == v->self), v->argument);
      },
      &visit);
  // Not started: they are in the queues and nowhere else.
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    sched.all_ps[i]->queue.for_each([&](runnable r) { visit.unstarted(r); });
    sched.all_ps[i]->nursery.for_each([&](runnable r) { visit.unstarted(r); });
  }
  visit.unstarted_of(sched.global_queue);
  visit.unstarted_of(sched.held_back);
}

goroutine_view current_goroutine() noexcept {
  const g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return {};
  goroutine_view view = view_of(*self, true);
  view.saved_sp = nullptr;
  view.status = g_status::running;
  return view;
}

overflow_verdict judge_fault(const void* address, const void* sp) noexcept {
  const g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return {};
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto low = reinterpret_cast<std::uintptr_t>(self->stack_low);
  if (at < low || at >= low + stack::guard_bytes(self->stack_class)) return {};
  // A push faults a word below the stack pointer, a frame without probes far above it.
  constexpr std::uintptr_t below_sp_max = 4096;
  if (reinterpret_cast<std::uintptr_t>(sp) > at + below_sp_max) return {};
  return {true, stack_limit_of(*self)};
}

bool current_is_inside() noexcept {
  return __atomic_load_n(own_inside_count(), __ATOMIC_RELAXED) != 0;
}

void fatal(const char* text) noexcept { report_fatal(text); }

}  // namespace gort::sched

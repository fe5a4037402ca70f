// Goroutines as reports see them.
#include "sched/gmp/inspect.hpp"

#include "sched/gmp/current.hpp"
#include "sched/gmp/labels.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

namespace {

goroutine_view view_of(const g& each, std::uint32_t where, bool current) noexcept {
  goroutine_view view;
  view.labels = const_cast<label_word*>(&each.labels);  // a reader claims it [label-1]
  view.id = each.id;
  view.parent_id = each.parent_id;
  view.creation_pc = each.creation_pc;
  view.status = each.status.load_relaxed();
  if (view.status == g_status::waiting && each.readied.load_relaxed() != no_wake_up)
    view.status = g_status::runnable;  // [seam-3]
  if (view.status == g_status::running && each.announced.load_relaxed() != 0)
    view.status = g_status::syscall;  // it has parked in there, and goes on
  view.reason = each.reason.load_relaxed();
  view.waiting_since_ns = each.waiting_since_ns.load_relaxed();
  if (where != on_cpu_here) {
    view.saved_sp = each.saved_sp;
  } else if (each.m != nullptr) {
    view.thread = each.m->thread.load_relaxed();  // written before it ran anything
  }
  if (where != on_cpu_nowhere && each.m != nullptr) view.m_index = each.m->index;
  view.stack_low = each.stack_low;
  view.stack_high = &each;
  view.guard_bytes = stack::guard_bytes(each.stack_class);
  view.is_current = current;
  view.is_locked = each.os_thread_locks.load_relaxed() != 0;
  view.is_leaked = each.is_leaked.load_relaxed() != 0 && view.status == g_status::waiting;
  view.in_handler = where == on_cpu_only_there;  // or it is locked, and no handler is found
  return view;
}

goroutine_view view_of(const g& each, bool current) noexcept {
  // Acquire pairs with the releases in finish_switch() and park_in_place(): the saved context is
  // complete.
  return view_of(each, each.on_cpu.load_acquire(), current);
}

goroutine_view view_of(const spawn_record& each) noexcept {
  goroutine_view view;
  view.id = each.id;
  view.parent_id = each.parent_id;
  view.creation_pc = each.creation_pc;
  view.status = g_status::runnable;
  view.entry_pc = reinterpret_cast<const void*>(each.invoke);
  view.labels_before_start = each.labels;
  if (each.extra != nullptr && each.extra->name != nullptr) view.name = each.extra->name;
  return view;
}

struct visitor {
  void (*f)(const goroutine_view&, void*);
  void* argument;
  const g* self;
  bool system_too = false;

  // A goroutine whose thread sleeps in a call may return from it and end at any time, and its name
  // with it: that goes under the lock (drop_extra()).
  void started(const g& each) const {
    goroutine_view view = view_of(each, &each == self);
    constexpr std::size_t name_bytes_max = 120;
    char name[name_bytes_max];
    {
      detail::spin_guard guard(sched.lock);
      if (each.extra != nullptr && each.extra->name != nullptr) {
        const std::string_view whole(each.extra->name);
        view.name = {name, whole.copy(name, name_bytes_max)};
      }
    }
    f(view, argument);
  }

  bool shown(runnable r) const noexcept {
    return is_unstarted(r) && (system_too || !is_system(*as_record(r)));
  }

  void unstarted(runnable r) const {
    if (shown(r)) f(view_of(*as_record(r)), argument);
  }

  // Threads without a P may add to it at any time, so it is read under the lock: some at a time, as
  // f may allocate. Nobody takes anything off while the world is stopped; else the first ones, with
  // their names, are all that is safe. Returns how many are left out.
  std::size_t unstarted_of(const runnable_list& list, bool stays) const {
    constexpr std::size_t batch = 16, name_bytes_max = 40;
    goroutine_view views[batch];
    char names[batch][name_bytes_max];
    runnable last = 0;
    std::size_t left_out = 0;
    for (bool more = true; more;) {
      std::size_t count = 0;
      {
        detail::spin_guard guard(sched.lock);
        runnable r = last == 0 ? list.head : link_of(last);
        for (; r != 0 && count < batch; r = link_of(r)) {
          last = r;
          if (!shown(r)) continue;
          goroutine_view& view = views[count];
          view = view_of(*as_record(r));
          view.name = {names[count], view.name.copy(names[count], name_bytes_max)};
          if (!stays) view.labels_before_start = nullptr;  // its reference goes with it
          ++count;
        }
        more = r != 0;
        for (; !stays && r != 0; r = link_of(r)) left_out += shown(r) ? 1 : 0;
      }
      for (std::size_t i = 0; i < count; ++i) f(views[i], argument);
      if (!stays) break;
    }
    return left_out;
  }
};

}  // namespace

void show_started(const g& each, void (*f)(const goroutine_view&, void*), void* argument) noexcept {
  if (each.id != 0 && !is_system(each)) visitor{f, argument, arch::load_current_g()}.started(each);
}

void for_each_goroutine(void (*f)(const goroutine_view&, void*), void* argument,
                        dump_stop stopped) noexcept {
  visitor visit{f, argument, arch::load_current_g()};
  for_each_started(
      [](g& each, void* raw) {
        if (!is_system(each)) static_cast<visitor*>(raw)->started(each);
      },
      &visit);
  for_each_unstarted(f, argument, stopped);
}

std::size_t for_each_unstarted(void (*f)(const goroutine_view&, void*), void* argument,
                               dump_stop stopped, bool system_too) noexcept {
  const visitor visit{f, argument, arch::load_current_g(), system_too};
  const bool stays = stopped == dump_stop::whole;
  // A P's own queues have no lock: who computes on may come into gort, and take from them.
  const int procs = stays ? proc_count() : 0;
  for (int i = 0; i < procs; ++i) {
    sched.all_ps[i]->queue.for_each([&](runnable r) { visit.unstarted(r); });
    sched.all_ps[i]->nursery.for_each([&](runnable r) { visit.unstarted(r); });
  }
  return visit.unstarted_of(sched.global_queue, stays) + visit.unstarted_of(sched.held_back, stays);
}

detail::label_set* labels_of_view(const goroutine_view& view) noexcept {
  if (view.labels == nullptr) return add_reference(view.labels_before_start);
  const detail::inside_gort inside;  // [label-1]
  return hold_labels(*view.labels);
}

goroutine_view view_of_parked(const g& parked) noexcept { return view_of(parked, false); }
goroutine_view view_of_claimed(const g& parked) noexcept {
  return view_of(parked, on_cpu_nowhere, false);
}

goroutine_view current_goroutine() noexcept {
  const g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return {};
  goroutine_view view = view_of(*self, true);
  view.saved_sp = nullptr;
  view.status = g_status::running;
  if (self->extra != nullptr && self->extra->name != nullptr) view.name = self->extra->name;
  return view;
}

bool current_is_inside() noexcept {
  return __atomic_load_n(own_inside_count(), __ATOMIC_RELAXED) != 0;
}

void fatal(const char* text) noexcept { report_fatal(text); }

}  // namespace gort::sched

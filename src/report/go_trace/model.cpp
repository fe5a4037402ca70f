#include "report/go_trace/model.hpp"

#include <algorithm>

namespace gort::report {

namespace {

// The format's numbers.
std::uint64_t number_of(trace_model::state s) noexcept {
  switch (s) {
    case trace_model::state::runnable: return 1;
    case trace_model::state::running: return 2;
    case trace_model::state::in_call: return 3;
    case trace_model::state::waiting: return 4;
  }
  return 0;
}

constexpr std::string_view preempted = "preempted";

}  // namespace

void trace_model::emit(std::uint64_t thread, wire type,
                       std::initializer_list<std::uint64_t> arguments) {
  out_.event(thread, now_ns_, type, arguments);
}

// --- what there is, and generations

void trace_model::add_proc(std::uint64_t p, bool held, std::uint64_t thread) {
  proc& made = procs_[p];
  made.is = held ? p_state::running : p_state::idle;
  made.thread = held ? thread : 0;
  if (held) threads_[thread].p = p;
}

void trace_model::add_goroutine(std::uint64_t id, state s, std::uint64_t thread, stack_key stack) {
  goroutine& made = goroutines_[id];
  made.is = s;
  made.stack = stack;
  if (!made.is_bound()) return;
  thread_state& on = threads_[thread];
  // Running without a P: a stray.
  if (s == state::running && on.p == no_proc) made.is = state::in_call;
  if (on.g != 0) {
    made.is = state::runnable;
    return;
  }
  made.thread = thread;
  on.g = id;
  if (made.is == state::in_call && on.p != no_proc) procs_[on.p].is = p_state::in_call;
}

void trace_model::start(std::int64_t at_ns, std::int64_t settled_ns) {
  now_ns_ = at_ns;
  settled_ns_ = settled_ns;
  generation_began_ns_ = at_ns;
  out_.begin();
  out_.begin_generation();
  mention_the_held();
  for (auto& [id, g] : goroutines_) touch(id, g);
}

void trace_model::next_generation(std::int64_t at_ns) {
  close_stop();
  out_.end_generation();
  now_ns_ = generation_began_ns_ = std::max(at_ns, now_ns_);
  procs_announced_ = false;
  out_.begin_generation();
  mention_the_held();
  restate_collecting();
}

void trace_model::end() {
  close_stop();
  out_.end_generation();
}

// A P, and who runs: what a thread holds must be known before it does anything.
void trace_model::mention_the_held() {
  for (auto& [number, p] : procs_) touch(number, p);
  for (auto& [thread, on] : threads_) {
    if (on.g != 0) touch(on.g, goroutines_[on.g]);
  }
  announce_where_one_runs();
}

void trace_model::touch(std::uint64_t id, proc& p) {
  if (p.generation == out_.generation()) return;
  p.generation = out_.generation();
  p.sequence = 0;
  const bool held = p.is != p_state::idle;
  const std::uint64_t status = p.is == p_state::running ? 1 : p.is == p_state::idle ? 2 : 3;
  out_.event(held ? p.thread : trace_file::no_thread, generation_began_ns_, wire::proc_status,
             {id, status});
}

void trace_model::touch(std::uint64_t id, goroutine& g) {
  if (g.generation == out_.generation()) return;
  g.generation = out_.generation();
  g.sequence = 0;
  const std::uint64_t thread = g.is_bound() ? g.thread : trace_file::no_thread;
  if (g.stack != stack_key::none && g.is == state::waiting)
    out_.event(thread, generation_began_ns_, wire::go_status_stack,
               {id, thread, number_of(g.is), out_.stack(g.stack)});
  else
    out_.event(thread, generation_began_ns_, wire::go_status, {id, thread, number_of(g.is)});
}

std::uint64_t trace_model::next_of(std::uint64_t id, proc& p) {
  touch(id, p);
  return ++p.sequence;
}

std::uint64_t trace_model::next_of(std::uint64_t id, goroutine& g) {
  touch(id, g);
  return ++g.sequence;
}

// GOMAXPROCS stands on a goroutine: one that runs, or the next that does.
void trace_model::announce_procs(std::uint64_t thread) {
  if (procs_announced_ || proc_count_ == 0) return;
  procs_announced_ = true;
  emit(thread, wire::procs_change, {proc_count_, 0});
}

void trace_model::announce_where_one_runs() {
  for (auto& [thread, on] : threads_) {
    if (on.g != 0 && on.p != no_proc && goroutines_[on.g].is == state::running)
      announce_procs(thread);
  }
}

// A stop must not reach into another generation: the tool looks its kind up in the wrong table.
void trace_model::close_stop() {
  if (stop_open_on_ == 0) return;
  if (const goroutine* g = find(stop_open_on_); g != nullptr && g->is == state::running)
    emit(g->thread, wire::stw_end, {});
  stop_open_on_ = 0;
}

// --- transitions

void trace_model::set_runnable(goroutine& g) {
  if (g.is_bound()) threads_[g.thread].g = 0;
  g.is = state::runnable;
  g.thread = 0;
}

// Its P is lost while it is in user code.
void trace_model::lose_p(std::uint64_t thread) {
  thread_state& on = threads_[thread];
  proc& p = procs_[on.p];
  if (on.g != 0) {
    goroutine& g = goroutines_[on.g];
    if (g.is == state::running) {
      if (stop_open_on_ == on.g) close_stop();
      emit(thread, wire::go_syscall_begin, {next_of(on.p, p), 0});
      g.is = state::in_call;
    }
  }
  emit(thread, wire::proc_stop, {});
  p.is = p_state::idle;
  p.thread = 0;
  on.p = no_proc;
}

// One that is not the program's.
void trace_model::borrow_p(std::uint64_t thread) {
  std::uint64_t chosen = spare_procs;
  while (procs_[chosen].is != p_state::idle) ++chosen;
  proc& p = procs_[chosen];
  emit(thread, wire::proc_start, {chosen, next_of(chosen, p)});
  p.is = p_state::running;
  p.thread = thread;
  threads_[thread].p = chosen;
}

bool trace_model::has_spare_p(std::uint64_t thread) {
  const std::uint64_t p = threads_[thread].p;
  return p != no_proc && p >= spare_procs;
}

// False: it has no P to go on with.
bool trace_model::leave_call(std::uint64_t thread) {
  thread_state& on = threads_[thread];
  if (on.p == no_proc) return false;
  goroutine& g = goroutines_[on.g];
  proc& p = procs_[on.p];
  if (p.is == p_state::in_call) {
    emit(thread, wire::go_syscall_end, {});
    p.is = p_state::running;
    g.is = state::running;
    return true;
  }
  const std::uint64_t id = on.g;
  emit(thread, wire::go_syscall_end_blocked, {});
  emit(thread, wire::go_start, {id, next_of(id, g)});
  g.is = state::running;
  return true;
}

void trace_model::repair(std::string_view what) {
  if (repairs_++ != 0 || applied_ == nullptr) return;
  const trace_event& e = *applied_;
  first_repair_.append(what);
  const auto add = [this](std::string_view name, std::int64_t number) {
    first_repair_.append(name).append(std::to_string(number));
  };
  add("; event of kind ", static_cast<int>(e.kind));
  add(" and id ", static_cast<std::int64_t>(e.id));
  add(", thread ", static_cast<std::int64_t>(e.thread));
  add(e.has_p ? " with P, " : " without P, ", e.at_ns - settled_ns_);
  first_repair_.append(" ns after what has been seen");
}

// A repair: off its thread.
void trace_model::unbind(std::uint64_t id, goroutine& g) {
  repair("it runs elsewhere");
  if (g.is == state::running) {
    if (stop_open_on_ == id) close_stop();
    emit(g.thread, wire::go_stop, {out_.text(preempted), 0});
  } else {
    thread_state& on = threads_[g.thread];
    if (on.p != no_proc && procs_[on.p].is == p_state::in_call) lose_p(g.thread);
    emit(g.thread, wire::go_syscall_end_blocked, {});
  }
  set_runnable(g);
}

void trace_model::create_outside(std::uint64_t id, goroutine& g) {
  emit(outside_thread, wire::go_create_syscall, {id});
  emit(outside_thread, wire::go_syscall_end_blocked, {});
  g.generation = out_.generation();
}

void trace_model::unblock(std::uint64_t thread, std::uint64_t id, goroutine& g, stack_key stack) {
  emit(thread, wire::go_unblock, {id, next_of(id, g), out_.stack(stack)});
  g.is = state::runnable;
}

bool trace_model::start_on(std::uint64_t thread, std::uint64_t id, bool force) {
  thread_state& on = threads_[thread];
  goroutine* g = find(id);
  if (g != nullptr && on.g == id) return running_on(thread, id, force);
  if (g == nullptr) {
    if (!force) return false;
    repair("nobody has created it");
    ++now_ns_;  // after whatever ended one of that number
    g = &goroutines_[id];
    create_outside(id, *g);
  }
  if (g->is_bound()) {
    if (!force) return false;
    unbind(id, *g);
  }
  if (g->is == state::waiting) {
    if (!force) return false;
    repair("it waits");
    unblock(outside_thread, id, *g, stack_key::none);
  }
  if (on.g != 0) {
    if (!force) return false;
    unbind(on.g, goroutines_[on.g]);
  }
  if (on.p == no_proc) {
    if (!force) return false;
    repair("its thread has no P");
    borrow_p(thread);
  }
  emit(thread, wire::go_start, {id, next_of(id, *g)});
  g->is = state::running;
  g->thread = thread;
  on.g = id;
  announce_procs(thread);
  return true;
}

bool trace_model::running_on(std::uint64_t thread, std::uint64_t id, bool force) {
  thread_state& on = threads_[thread];
  if (on.g != id) {
    // Its start is missing.
    if (!force) return false;
    repair("its start is missing");
    return start_on(thread, id, true);
  }
  if (goroutines_[id].is == state::running) return true;
  if (leave_call(thread)) return true;
  if (!force) return false;
  repair("its call has no P");
  borrow_p(thread);
  return leave_call(thread);
}

void trace_model::cpu_sample(std::int64_t at_ns, std::uint64_t thread, std::uint64_t g,
                             stack_key stack) {
  const thread_state* on = threads_.find(thread);
  const bool has_p = on != nullptr && on->p != no_proc;
  out_.cpu_sample(at_ns, thread, has_p ? static_cast<std::int64_t>(on->p) : -1, g, stack);
}

}  // namespace gort::report

// What each of the recorder's events is in Go's trace. The transitions: trace_model.cpp.
#include <gort/detail/wait_reason.hpp>

#include "base/short_text.hpp"
#include "report/go_trace/model.hpp"

namespace gort::report {

using record::trace_kind;

namespace {

// Go's words for its trace, which the tool's views go by; they are not those of dumps.
std::string_view block_reason(std::uint8_t detail) noexcept {
  using detail::wait_reason;
  switch (static_cast<wait_reason>(detail)) {
    case wait_reason::chan_receive: return "chan receive";
    case wait_reason::chan_send: return "chan send";
    case wait_reason::chan_receive_nil:
    case wait_reason::chan_send_nil:
    case wait_reason::select_no_cases: return "forever";
    case wait_reason::select: return "select";
    case wait_reason::sleep: return "sleep";
    case wait_reason::io_wait: return "network";
    case wait_reason::sync_cond_wait: return "sync.(*Cond).Wait";
    case wait_reason::semacquire:
    case wait_reason::sync_mutex_lock:
    case wait_reason::sync_rw_mutex_rlock:
    case wait_reason::sync_rw_mutex_lock:
    case wait_reason::sync_wait_group_wait: return "sync";
    case wait_reason::finalizer_wait: return "system goroutine wait";
    case wait_reason::gc_cycle: return "wait until GC ends";
    case wait_reason::preempted: return "preempted";
    case wait_reason::none: break;
  }
  return "unspecified";
}

std::string_view stop_reason(std::uint8_t detail) noexcept {
  return detail == static_cast<std::uint8_t>(record::stop_reason::yield) ? "runtime.Gosched"
                                                                         : "preempted";
}

std::string_view world_reason(std::uint8_t detail) noexcept {
  switch (static_cast<record::world_reason>(detail)) {
    case record::world_reason::gomaxprocs: return "GOMAXPROCS";
    case record::world_reason::all_goroutines: return "all goroutines stack trace";
    case record::world_reason::mem_stats: return "read mem stats";
    case record::world_reason::trace: return "start trace";
    case record::world_reason::other: break;
  }
  return "unknown";
}

}  // namespace

bool trace_model::apply(const trace_event& e, bool force) {
  if (e.at_ns > now_ns_) now_ns_ = e.at_ns;
  applied_ = &e;
  // One that has a P is no stray, or it is still to come that it has one.
  const bool done = (!e.has_p && act_as_stray(e)) || dispatch(e, force);
  if (done) ++events_;
  return done;
}

// Its thread has no P, and may be shown in a call.
bool trace_model::act_as_stray(const trace_event& e) {
  switch (e.kind) {
    case trace_kind::create:
    case trace_kind::block:
    case trace_kind::task_begin:
    case trace_kind::task_end:
    case trace_kind::region_begin:
    case trace_kind::region_end:
    case trace_kind::log: break;
    default: return false;
  }
  const thread_state* on = threads_.find(e.thread);
  if (on == nullptr || on->g == 0 || on->p != no_proc) return false;
  if (e.kind == trace_kind::block && on->g != e.id) return false;
  borrow_p(e.thread);
  leave_call(e.thread);
  dispatch(e, true);
  lose_p(e.thread);
  return true;
}

bool trace_model::dispatch(const trace_event& e, bool force) {
  bool done = true;
  switch (e.kind) {
    case trace_kind::create: done = create(e); break;
    case trace_kind::start: done = start_on(e.thread, e.id, force); break;
    case trace_kind::block: done = block(e, force); break;
    case trace_kind::stop: done = stop(e, force); break;
    case trace_kind::end: done = finish(e, force); break;
    case trace_kind::unblock: done = ready(e, force); break;
    case trace_kind::call_begin: done = begin_call(e, force); break;
    case trace_kind::call_end: done = end_call(e, force); break;
    case trace_kind::call_left: done = leave_for_queue(e, force); break;
    case trace_kind::strays: done = stray(e, force); break;
    case trace_kind::world_stop:
    case trace_kind::world_start: done = stop_world(e, force); break;
    case trace_kind::task_begin:
    case trace_kind::task_end:
    case trace_kind::region_begin:
    case trace_kind::region_end:
    case trace_kind::log: done = annotate(e, force); break;
    case trace_kind::p_gets: done = gain_p(e, force); break;
    case trace_kind::p_loses: done = give_p(e, force); break;
    case trace_kind::procs:
      proc_count_ = e.id;
      procs_announced_ = false;
      announce_where_one_runs();
      break;
    case trace_kind::cpu_sample: cpu_sample(e.at_ns, e.thread, e.id, stack_key{e.words[0]}); break;
    case trace_kind::lost: note_loss(e); break;
    case trace_kind::gc_begin:
    case trace_kind::gc_end:
    case trace_kind::sweep_begin:
    case trace_kind::sweep_end:
    case trace_kind::gc_rest: collect(e); break;
    case trace_kind::heap_alloc:
    case trace_kind::heap_goal: done = show_heap(e, force); break;
    case trace_kind::assist_begin:
    case trace_kind::assist_end: done = assist(e, force); break;
    case trace_kind::none:
    case trace_kind::time: break;
  }
  return done;
}

bool trace_model::create(const trace_event& e) {
  if (knows(e.id)) {
    if (e.at_ns > settled_ns_) repair("it exists already");
    return true;
  }
  goroutine& made = goroutines_[e.id];
  made.generation = out_.generation();
  const thread_state* on = threads_.find(e.thread);
  if (on == nullptr || on->p == no_proc) {
    create_outside(e.id, made);
    return true;
  }
  // In a call that was announced it still has its P.
  if (on->g != 0 && goroutines_[on->g].is == state::in_call) leave_call(e.thread);
  emit(e.thread, wire::go_create,
       {e.id, out_.stack(e.words[1] == 0 ? stack_key::none : entry_key(e.words[1])), stack_of(e)});
  return true;
}

// Before the trace began for good: whoever came back from a call then, without a P, may have been
// looked at when it had left again.
bool trace_model::was_seen(const trace_event& e, state left_for) {
  const goroutine* known = e.at_ns > settled_ns_ ? nullptr : find(e.id);
  return known != nullptr && known->is == left_for;
}

bool trace_model::block(const trace_event& e, bool force) {
  if (was_seen(e, state::waiting)) return true;
  if (!running_on(e.thread, e.id, force)) return false;
  if (stop_open_on_ == e.id) close_stop();
  goroutine& g = goroutines_[e.id];
  emit(e.thread, wire::go_block, {out_.word(block_reason(e.detail)), stack_of(e)});
  g.stack = stack_key{e.words[0]};
  set_runnable(g);
  g.is = state::waiting;
  return true;
}

bool trace_model::stop(const trace_event& e, bool force) {
  if (was_seen(e, state::runnable)) return true;
  const goroutine* known = find(e.id);
  if (known != nullptr && known->is == state::runnable && !force) return false;
  if (!running_on(e.thread, e.id, force)) return false;
  if (stop_open_on_ == e.id) close_stop();
  emit(e.thread, wire::go_stop, {out_.word(stop_reason(e.detail)), stack_of(e)});
  set_runnable(goroutines_[e.id]);
  return true;
}

bool trace_model::finish(const trace_event& e, bool force) {
  if (e.at_ns <= settled_ns_ && !knows(e.id)) return true;  // that was seen
  if (!running_on(e.thread, e.id, force)) return false;
  if (stop_open_on_ == e.id) close_stop();
  end_assist(e.thread, e.id);
  emit(e.thread, wire::go_destroy, {});
  threads_[e.thread].g = 0;
  goroutines_.erase(e.id);
  regions_.erase(e.id);
  return true;
}

bool trace_model::ready(const trace_event& e, bool force) {
  goroutine* g = find(e.id);
  if (g == nullptr || g->is != state::waiting) {
    if (e.at_ns <= settled_ns_) return true;  // that was seen
    if (e.detail == record::told_again && g != nullptr && g->is == state::runnable) return true;
    if (force) repair("it does not wait");
    return force;
  }
  unblock(e.thread, e.id, *g, stack_key{e.words[0]});
  return true;
}

bool trace_model::begin_call(const trace_event& e, bool force) {
  if (!running_on(e.thread, e.id, force)) return false;
  if (stop_open_on_ == e.id) close_stop();
  const std::uint64_t p = threads_[e.thread].p;
  emit(e.thread, wire::go_syscall_begin, {next_of(p, procs_[p]), stack_of(e)});
  procs_[p].is = p_state::in_call;
  goroutines_[e.id].is = state::in_call;
  return true;
}

bool trace_model::end_call(const trace_event& e, bool force) {
  return running_on(e.thread, e.id, force);
}

// The call is over, but nobody has a P for it.
bool trace_model::leave_for_queue(const trace_event& e, bool force) {
  goroutine* g = find(e.id);
  if (g == nullptr || !g->is_bound() || g->thread != e.thread) {
    if (g == nullptr || g->is != state::runnable) repair("it is in no call");
    return true;
  }
  if (threads_[e.thread].p != no_proc) {
    if (!force) return false;
    repair("the call's thread has its P");
    lose_p(e.thread);
  }
  emit(e.thread, wire::go_syscall_end_blocked, {});
  set_runnable(*g);
  return true;
}

// Its thread goes on where it was parked, and has no P.
bool trace_model::stray(const trace_event& e, bool force) {
  const std::uint64_t thread = e.words[0];
  const thread_state& on = threads_[thread];
  const goroutine* g = find(e.id);
  if (g != nullptr && on.g == e.id && g->is == state::in_call) return true;  // that was seen
  const bool may = on.p == no_proc && on.g == 0 && g != nullptr && g->is == state::runnable;
  if (!may && !force) return false;
  if (on.p == no_proc) borrow_p(thread);
  (void)start_on(thread, e.id, true);
  lose_p(thread);
  return true;
}

bool trace_model::gain_p(const trace_event& e, bool force) {
  const std::uint64_t thread = e.words[0];
  thread_state& on = threads_[thread];
  if (on.p == e.id) return true;
  proc& p = procs_[e.id];
  if (has_spare_p(thread)) lose_p(thread);
  if (p.is != p_state::idle || on.p != no_proc) {
    if (!force) return false;
    repair("the P or its thread is taken");
    if (p.is != p_state::idle) lose_p(p.thread);
    if (on.p != no_proc) lose_p(thread);
  }
  emit(thread, wire::proc_start, {e.id, next_of(e.id, p)});
  p.is = p_state::running;
  p.thread = thread;
  on.p = e.id;
  return true;
}

bool trace_model::give_p(const trace_event& e, bool force) {
  const std::uint64_t thread = e.words[0];
  if (threads_[thread].p != e.id) {
    if (force) repair("the thread does not have the P");
    return force;
  }
  lose_p(thread);
  return true;
}

bool trace_model::stop_world(const trace_event& e, bool force) {
  if (e.kind == trace_kind::world_start) {
    if (stop_open_on_ == e.id) close_stop();
    return true;
  }
  if (!running_on(e.thread, e.id, force)) return false;
  close_stop();
  emit(e.thread, wire::stw_begin, {out_.text(world_reason(e.detail)), stack_of(e)});
  stop_open_on_ = e.id;
  return true;
}

bool trace_model::annotate(const trace_event& e, bool force) {
  const thread_state* on = threads_.find(e.thread);
  if (on == nullptr || on->g == 0) {          // its start is missing
    if (e.at_ns <= settled_ns_) return true;  // or it has been seen elsewhere
    if (force) ++lost_;
    return force;
  }
  const std::uint64_t id = on->g;
  if (!running_on(e.thread, id, force)) return false;
  switch (e.kind) {
    case trace_kind::task_begin:
      if (!tasks_.insert(e.id).second) return true;
      emit(e.thread, wire::task_begin, {e.id, e.words[1], out_.text(e.text), stack_of(e)});
      break;
    case trace_kind::task_end:
      tasks_.erase(e.id);
      emit(e.thread, wire::task_end, {e.id, stack_of(e)});
      break;
    case trace_kind::region_begin:
      regions_[id].emplace_back(e.id, e.text);
      emit(e.thread, wire::region_begin, {e.id, out_.text(e.text), stack_of(e)});
      break;
    case trace_kind::region_end: {
      // Not the innermost that is open: ended on another goroutine, or out of order.
      std::vector<region>& open = regions_[id];
      if (!open.empty() && open.back() != region{e.id, e.text}) {
        ++lost_;
        return true;
      }
      if (!open.empty()) open.pop_back();
      emit(e.thread, wire::region_end, {e.id, out_.text(e.text), stack_of(e)});
      break;
    }
    default: {
      const std::string_view text(e.text);
      emit(e.thread, wire::user_log,
           {e.id, out_.text(text.substr(0, e.words[1])), out_.text(text.substr(e.words[1])),
            stack_of(e)});
    }
  }
  return true;
}

// Where a goroutine runs, the trace itself says so too.
void trace_model::note_loss(const trace_event& e) {
  lost_ += e.id;
  const thread_state* on = threads_.find(e.thread);
  if (on == nullptr || on->g == 0 || goroutines_[on->g].is != state::running) return;
  base::short_text text;
  text << "lost " << static_cast<std::int64_t>(e.id) << " events";
  emit(e.thread, wire::user_log, {0, out_.text("gort"), out_.text(text.c_str()), 0});
}

}  // namespace gort::report

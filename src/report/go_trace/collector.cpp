// Collections of the managed heap in Go's trace.
//
// The format wants a goroutine with a P for the marks of a collection, and a P for sweeps. The
// collector has neither, so it gets both for as long as a cycle takes. What is told of a cycle that
// began before the trace is left out.
#include "report/go_trace/model.hpp"

namespace gort::report {

using record::trace_kind;

void trace_model::begin_collecting(const trace_event& e) {
  const std::uint64_t thread = e.words[0];
  if (threads_[thread].p != no_proc || threads_[thread].g != 0)
    return;  // it is not the collector's
  borrow_p(thread);
  goroutine& made = goroutines_[e.id];
  made = {};
  made.generation = out_.generation();
  emit(thread, wire::go_create, {e.id, out_.stack(entry_key(e.words[1])), 0});
  start_on(thread, e.id, true);
  emit(thread, wire::gc_begin, {++gc_sequence_, 0});
  collects_ = gc_phase::marking;
  collector_ = e.id;
  collector_thread_ = thread;
}

// Whatever it was doing: the rest may have been lost.
void trace_model::end_collecting() {
  if (collects_ == gc_phase::marking) emit(collector_thread_, wire::gc_end, {++gc_sequence_});
  if (collects_ == gc_phase::sweeping) emit(collector_thread_, wire::sweep_end, {0, 0});
  emit(collector_thread_, wire::go_destroy, {});
  threads_[collector_thread_].g = 0;
  goroutines_.erase(collector_);
  lose_p(collector_thread_);
  collects_ = gc_phase::none;
  collector_ = 0;
}

void trace_model::collect(const trace_event& e) {
  if (e.kind == trace_kind::gc_begin) {
    if (collects_ != gc_phase::none) end_collecting();
    return begin_collecting(e);
  }
  if (e.kind == trace_kind::gc_end && collects_ == gc_phase::marking) {
    emit(collector_thread_, wire::gc_end, {++gc_sequence_});
    collects_ = gc_phase::marked;
  } else if (e.kind == trace_kind::sweep_begin && collects_ == gc_phase::marked) {
    emit(collector_thread_, wire::sweep_begin, {0});
    collects_ = gc_phase::sweeping;
  } else if (e.kind == trace_kind::sweep_end && collects_ == gc_phase::sweeping) {
    emit(collector_thread_, wire::sweep_end, {e.words[1], e.words[2]});
    collects_ = gc_phase::marked;
  } else if (e.kind == trace_kind::gc_rest && collects_ != gc_phase::none) {
    end_collecting();
  }
}

// In a generation that begins in the middle of a marking.
void trace_model::restate_collecting() {
  if (collects_ == gc_phase::marking) emit(collector_thread_, wire::gc_active, {++gc_sequence_});
}

bool trace_model::show_heap(const trace_event& e, bool force) {
  const bool by_collector = e.words[0] != 0;
  const std::uint64_t thread = by_collector ? e.words[0] : e.thread;
  const thread_state* on = threads_.find(thread);
  if (on == nullptr || on->p == no_proc) return by_collector || force;
  emit(thread, e.kind == trace_kind::heap_alloc ? wire::heap_alloc : wire::heap_goal, {e.id});
  return true;
}

bool trace_model::assist(const trace_event& e, bool force) {
  if (e.at_ns <= settled_ns_ && threads_[e.thread].g != e.id) return true;  // as in was_seen()
  if (!running_on(e.thread, e.id, force)) return false;
  end_assist(e.thread, e.id);
  if (e.kind == trace_kind::assist_end) return true;
  emit(e.thread, wire::assist_begin, {stack_of(e)});
  assisting_.insert(e.id);
  return true;
}

void trace_model::end_assist(std::uint64_t thread, std::uint64_t id) {
  if (assisting_.erase(id) != 0) emit(thread, wire::assist_end, {});
}

}  // namespace gort::report

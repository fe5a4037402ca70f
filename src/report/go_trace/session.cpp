#include "report/go_trace/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <gort/detail/park.hpp>
#include <gort/error.hpp>
#include <gort/time.hpp>

#include "record/event_clock.hpp"
#include "record/trace_samples.hpp"
#include "report/go_trace/observer.hpp"
#include "report/go_trace/rewind.hpp"
#include "report/go_trace/snapshot.hpp"
#include "report/symbolizer.hpp"
#include "sched/switching/system_goroutine.hpp"

namespace gort::report {

namespace {

constexpr std::int64_t generation_ns_max = 1'000'000'000;
constexpr std::uint64_t generation_bytes_max = std::uint64_t{32} << 20;
constexpr auto period = std::chrono::milliseconds(50);
constexpr std::size_t chunks_at_rest = 16;
constexpr std::size_t chunks_for_bursts = 512;  // beside what a recorder keeps

class guard {
 public:
  explicit guard(mutex& m) noexcept : m_(m) { m_.lock(); }
  ~guard() { m_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  mutex& m_;
};

void count_repairs(const trace_model& in, trace::counts& how) {
  how.repairs = in.repairs();
  how.first_repair[in.first_repair().copy(how.first_repair, sizeof(how.first_repair) - 1)] = '\0';
}

}  // namespace

detail::atomic<std::uint32_t> trace_session::is_on;

trace_session& trace_session::only() {
  static trace_session& one = *new trace_session;  // threads use it until the very end
  return one;
}

trace_session::stream::stream(trace_file::sink bytes_go_to)
    : names(trace_stacks()),
      file(std::move(bytes_go_to),
           [this](stack_key key, std::vector<trace_frame>& frames) {
             names.frames_of(key, frames);
           }),
      model(file),
      lost_stacks_before(trace_stacks().lost()) {}

trace_session::live_stream::live_stream(trace::sink to)
    : stream([this](std::string_view bytes) { waiting += bytes; }), at_end{std::move(to), {}} {}

void trace_session::receiver::write(std::string_view bytes) {
  if (failed != nullptr) return;
  try {
    to(bytes);
  } catch (...) {
    failed = std::current_exception();
  }
}

// Memory for the lanes, and the tables, if nobody else uses them.
bool trace_session::open(std::size_t buffer_bytes) {
  const bool others = stream_ != nullptr || recorder_.has_value();
  const std::size_t wanted = std::max(buffer_bytes / record::trace_chunk::bytes, chunks_at_rest);
  // The first time. Nobody else records then.
  record::tune_event_clock([](std::int64_t ns) { gort::sleep(std::chrono::nanoseconds(ns)); });
  chunks_ = others ? std::max(chunks_, wanted) : wanted;
  if (!record::open_trace_pool(chunks_)) return false;
  if (others || snapshot_of_.load_relaxed() != nullptr) return true;
  reader_.take(nullptr);  // what was left by the last one
  record::begin_losses();
  return reset_trace_stacks();
}

void trace_session::observe_no_more() noexcept {
  if (stream_ != nullptr || recorder_.has_value()) return;
  is_on.store_relaxed(0);  // a hint
  record::trace_samples_gate.close();
  sched::stop_observing(sched::observers::trace);
  record::open_trace_pool(chunks_at_rest);
}

void trace_session::fill(trace_model& to, const trace_snapshot& seen) const {
  to.set_proc_count(seen.procs);
  for (std::uint64_t p = 0; p < seen.procs; ++p)
    to.add_proc(p, seen.holds_p && p == seen.own_p, seen.own_thread);
  for (std::size_t i = 0; i < seen.count; ++i) {
    const trace_snapshot::goroutine& g = seen.goroutines[i];
    to.add_goroutine(g.id, g.is, g.thread, stack_key{g.stack});
  }
}

std::error_code trace_session::start(trace::sink to, const trace::options& how) {
  const guard held(lock_);
  if (stream_ != nullptr) return trace::errc::already_enabled;
  if (!open(how.buffer_bytes) || !start_reader([](trace_session& self) { self.read_stream(); }))
    return trace::errc::no_memory;
  auto made = std::make_shared<live_stream>(std::move(to));
  refresh_symbols();
  trace_snapshot seen;
  const bool with_stacks = how.stacks || (recorder_.has_value() && recorder_->how.stacks);
  if (!seen.take(with_stacks ? &trace_with_stacks : &trace_without_stacks, with_stacks))
    return trace::errc::no_memory;
  record::trace_samples_gate.open();
  is_on.store_relaxed(1);  // a hint
  fill(made->model, seen);
  made->model.start(seen.began_ns, seen.settled_ns);
  made->began_ns = made->generation_ns = seen.began_ns;
  stream_ = std::move(made);
  return {};
}

// Of the runtime's own, as Go's. It ends where nothing came of it.
bool trace_session::start_reader(void (*reads)(trace_session&)) {
  return sched::start_system_goroutine(
      "trace reader",
      [](detail::spawn_record* record) {
        void (*run)(trace_session&);
        std::memcpy(&run, record->storage, sizeof(run));
        detail::spawn_free(record);
        run(only());
      },
      reinterpret_cast<void*>(reads));
}

// [session-2]
void trace_session::read_stream() {
  std::shared_ptr<live_stream> mine;
  {
    const guard held(lock_);
    mine = stream_;
  }
  while (mine != nullptr) {
    gort::sleep(period);
    {
      const guard held(lock_);
      if (stream_ != mine) return;  // stop() does the rest
      step(false);
    }
    hand_over(*mine);
  }
}

void trace_session::read_for_recorder() {
  for (;;) {
    gort::sleep(period);
    const guard held(lock_);
    if (!recorder_.has_value()) {
      recorder_is_read_ = false;
      return;
    }
    if (stream_ == nullptr) step(false);
  }
}

// [session-4]
void trace_session::hand_over(live_stream& s) {
  const guard is_ours(s.turn);
  std::string piece;
  const auto calls = [&](const void* by) {
    const guard held(lock_);
    s.called_by = by;
    if (by != nullptr) piece.swap(s.waiting);
  };
  calls(detail::current_g());
  if (!piece.empty()) s.at_end.write(piece);
  calls(nullptr);
}

void trace_session::step(bool last) {
  if (stream_ == nullptr) {
    reader_.take(nullptr);
    forget_the_old();
    return;
  }
  stream& s = *stream_;
  const std::int64_t complete_ns = reader_.take(&s.order);
  s.untold_losses = record::untold_losses();  // before a chunk becomes free, and they are told
  s.order.drop_before(s.began_ns);
  s.order.run(s.model, complete_ns);
  s.order.settle();
  forget_the_old();
  if (last) return s.model.end();
  const std::int64_t now_ns = record::event_ns();
  if (now_ns - s.generation_ns < generation_ns_max &&
      s.file.generation_bytes() < generation_bytes_max)
    return;
  s.generation_ns = now_ns;
  s.model.next_generation(now_ns);
}

trace::counts trace_session::stop() {
  std::shared_ptr<live_stream> ended;
  trace::counts how;
  bool is_mine = false;
  {
    const guard held(lock_);
    ended = stream_ != nullptr ? stream_ : ended_.lock();  // of which a part may still wait
    if (ended == nullptr) return how;
    if (ended->called_by == detail::current_g())
      throw runtime_error("trace: stop() is called by the sink of the trace");
    if (stream_ != nullptr) {
      // What comes from now on is dropped: the seams fall silent one after the other.
      live_stream& s = *stream_;
      step(true);
      how.events = s.model.events();
      how.lost_events = s.model.lost() + s.untold_losses;
      count_repairs(s.model, how);
      how.lost_stacks = trace_stacks().lost() - s.lost_stacks_before;
      how.bytes = s.file.bytes();
      ended_ = std::exchange(stream_, nullptr);
      is_mine = true;
      observe_no_more();
    }
  }
  hand_over(*ended);
  if (is_mine && ended->at_end.failed != nullptr) std::rethrow_exception(ended->at_end.failed);
  return how;
}

// --- the flight recorder

std::error_code trace_session::start_recorder(const void* who,
                                              const trace::flight_recorder::config& how) {
  const guard held(lock_);
  if (recorder_.has_value()) {
    return recorder_->who == who ? trace::errc::recorder_enabled
                                 : trace::errc::other_recorder_enabled;
  }
  if (!open(how.max_bytes + chunks_for_bursts * record::trace_chunk::bytes))
    return trace::errc::no_memory;
  if (!recorder_is_read_)
    recorder_is_read_ = start_reader([](trace_session& self) { self.read_for_recorder(); });
  if (!recorder_is_read_) return trace::errc::no_memory;
  // Nothing of the snapshot is needed but the moment at which all know.
  trace_snapshot seen;
  const bool with_stacks = how.stacks || stream_ != nullptr;
  if (!seen.take(with_stacks ? &trace_with_stacks : &trace_without_stacks, false))
    return trace::errc::no_memory;
  record::trace_samples_gate.open();
  is_on.store_relaxed(1);  // a hint
  recorder_ = recorder{who, how, seen.settled_ns};
  recorder_of_.store_relaxed(who);
  reader_.keep(true);
  return {};
}

void trace_session::drop_kept() noexcept {
  for (record::trace_chunk* each : reader_.kept()) record::free_chunk(*each);
  reader_.kept().clear();
}

void trace_session::stop_recorder(const void* who) noexcept {
  const guard held(lock_);
  if (!recorder_.has_value() || recorder_->who != who) return;
  recorder_.reset();
  recorder_of_.store_relaxed(nullptr);
  reader_.keep(false);
  reader_.forget_samples_before(record::event_ns());
  drop_kept();
  observe_no_more();
}

// Whole chunks, oldest first: those that are older than the wish, and those beyond the bound.
void trace_session::forget_the_old() {
  if (!recorder_.has_value()) return;
  auto& kept = reader_.kept();
  const std::int64_t old_ns = record::event_ns() - recorder_->how.min_age.count();
  const std::size_t most = recorder_->how.max_bytes / record::trace_chunk::bytes;
  while (!kept.empty() && (kept.size() > most || kept.front()->read_ns < old_ns)) {
    recorder_->forgotten_ns = std::max(recorder_->forgotten_ns, kept.front()->read_ns);
    record::free_chunk(*kept.front());
    kept.pop_front();
  }
  reader_.forget_samples_before(std::max(recorder_->forgotten_ns, old_ns));
}

// It ends, whatever is thrown.
struct trace_session::snapshot_end {
  trace_session& of;
  bool has_begun = false;
  ~snapshot_end() {
    if (!has_begun) return;
    const guard held(of.lock_);
    of.snapshot_of_.store_relaxed(nullptr);
  }
};

std::error_code trace_session::write_recorder(const void* who, const trace::sink& to,
                                              trace::counts& how, trace::counts& last) {
  snapshot_end ending{*this};
  trace_order events;
  trace_snapshot seen;
  std::int64_t began_ns = 0;
  std::uint64_t untold = 0;
  // [session-1]. Looked at again under the lock.
  if (records_for(who) && snapshot_of_.load_relaxed() == who)
    return trace::errc::snapshot_in_progress;
  {
    const guard held(lock_);
    if (!recorder_.has_value() || recorder_->who != who) return trace::errc::recorder_disabled;
    if (snapshot_of_.load_relaxed() != nullptr) return trace::errc::snapshot_in_progress;
    snapshot_of_.store_relaxed(who);
    ending.has_begun = true;
    refresh_symbols();
    if (!seen.take(nullptr, recorder_->how.stacks)) return trace::errc::no_memory;
    trace_order* streamed = stream_ == nullptr ? nullptr : &stream_->order;
    reader_.take(streamed);
    if (streamed != nullptr) streamed->settle();
    reader_.look_again(events, streamed);
    if (streamed != nullptr) streamed->settle();
    untold = record::untold_losses();
    began_ns = recorder_->forgotten_ns + 1;
  }
  // The sink may block: nobody waits for it but those that want a snapshot too.
  receiver at_end{to, {}};
  const auto made =
      std::make_unique<stream>([&at_end](std::string_view bytes) { at_end.write(bytes); });
  made->order = std::move(events);
  made->order.drop_before(began_ns);
  rewind_to(began_ns, made->order, seen, made->model);
  made->model.start(began_ns, began_ns);
  made->order.run(made->model, seen.began_ns);
  made->model.end();
  how.events = made->model.events();
  how.lost_events = made->model.lost() + untold;
  count_repairs(made->model, how);
  how.bytes = made->file.bytes();
  if (at_end.failed != nullptr) std::rethrow_exception(at_end.failed);
  const guard held(lock_);
  last = how;
  return {};
}

trace::counts trace_session::counts_in(const trace::counts& last) noexcept {
  const guard held(lock_);
  return last;
}

}  // namespace gort::report

// Execution traces, which are sent while they are recorded.
//
// Problem: only one trace is recorded at a time, and who writes it down holds up all that is asked
// of it. A client that has stalled must hold up nobody: neither the end of its trace nor the next
// one that asks.
//
// So what has been recorded waits here, and the request's handler sends it as fast as its client
// takes it; another goroutine ends the trace when it is due. Beyond a bound of what waits the trace
// ends at once, so that it is shorter, and whole. What is in the recorder's own buffers still
// comes.
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gort/cond.hpp>
#include <gort/context.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "http/debug/endpoints.hpp"

namespace gort::http::debug {

namespace {

// Between the reader of the trace, which never waits, and the handler.
class outbox {
 public:
  /// False: more waits than should.
  bool put(std::string_view piece) {
    constexpr std::size_t bytes_max = std::size_t{64} << 20;
    const std::lock_guard held(lock_);
    waiting_ += piece;
    changed_.signal();
    return waiting_.size() <= bytes_max;
  }
  void close() {
    const std::lock_guard held(lock_);
    is_closed_ = true;
    changed_.signal();
  }
  /// Waits for some. Empty: that was all.
  std::string take() {
    std::unique_lock held(lock_);
    changed_.wait(held, [this] { return is_closed_ || !waiting_.empty(); });
    return std::exchange(waiting_, {});
  }

 private:
  mutex lock_;
  cond changed_;
  std::string waiting_;     // guarded by lock_, as is:
  bool is_closed_ = false;  // nothing comes any more
};

// A trace that is under way.
class recording {
 public:
  recording(const context& whole, std::chrono::nanoseconds time, std::error_code& error)
      : cancelable_(with_cancel(whole)) {
    const auto keep = [this](std::string_view piece) {
      if (!waiting_.put(piece)) cancelable_.cancel();
    };
    trace::start(keep, {}, error);
    if (error) return;
    ending_.go([this, time] {
      select(cancelable_.ctx.done().on_recv(), after(time).on_recv());
      try {
        trace::stop();
      } catch (const std::exception&) {
        failed_ = std::current_exception();
      }
      waiting_.close();
    });
  }
  ~recording() {
    cancelable_.cancel();
    ending_.wait();
  }
  recording(const recording&) = delete;
  recording& operator=(const recording&) = delete;

  /// Calls f with each piece of it, until it has ended.
  template <class F>
  void for_each_piece(F f) {
    for (std::string piece = waiting_.take(); !piece.empty(); piece = waiting_.take()) f(piece);
    if (failed_ != nullptr) std::rethrow_exception(failed_);
  }

 private:
  cancelable_context cancelable_;
  outbox waiting_;
  std::exception_ptr failed_;  // written before waiting_ is closed
  wait_group ending_;
};

}  // namespace

void serve_trace(request& r, response_writer& w) {
  const bool is_pprofs = r.path().starts_with("/debug/pprof/");
  parameters given(r, w, {"seconds", "format"});
  const std::chrono::nanoseconds time =
      given.time("seconds", std::chrono::seconds(is_pprofs ? 1 : 5));
  const bool for_perfetto = given.word("format", {"go", "perfetto"}) == "perfetto";
  if (!given.good()) return;
  r.extend_write_timeout(time);
  std::error_code error;
  recording running(r.context(), time, error);
  if (error) {
    return refuse(w, status::internal_server_error, "Could not enable tracing: " + error.message());
  }
  set_binary(w, for_perfetto ? "trace.perfetto-trace" : "trace");
  const auto write = writer_to(w);
  std::string whole;  // what Perfetto's format is made of, when it has ended
  running.for_each_piece([&](std::string_view piece) {
    if (for_perfetto) {
      whole += piece;
      return;
    }
    write(piece);
    w.flush(error);
    if (error) throw abort_handler();
  });
  if (for_perfetto) trace::to_perfetto(whole, write);
}

}  // namespace gort::http::debug

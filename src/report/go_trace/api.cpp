// gort::trace: what programs call.
#include <gort/trace.hpp>

#include <utility>

#include "report/go_trace/observer.hpp"
#include "report/go_trace/session.hpp"

namespace gort::trace {

namespace {

using record::trace_kind;

class trace_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "trace"; }
  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::already_enabled: return "tracing is already enabled";
      case errc::recorder_enabled: return "cannot enable a enabled flight recorder";
      case errc::other_recorder_enabled: return "flight recorder already enabled";
      case errc::recorder_disabled: return "cannot snapshot a disabled flight recorder";
      case errc::snapshot_in_progress:
        return "call to WriteTo for trace.FlightRecorder already in progress";
      case errc::no_memory: return "no memory for a trace";
    }
    return "unknown error";
  }
};

const context_key<std::uint64_t> task_key;
gort::detail::atomic<std::uint64_t> last_task;

}  // namespace

std::error_code make_error_code(errc e) noexcept {
  static const trace_category category;
  return {static_cast<int>(e), category};
}

void start(sink to, options how, std::error_code& error) {
  error = to == nullptr ? std::make_error_code(std::errc::invalid_argument)
                        : report::trace_session::only().start(std::move(to), how);
}

void start(sink to, options how) {
  std::error_code error;
  start(std::move(to), how, error);
  if (error) throw std::system_error(error);
}

counts stop() { return report::trace_session::only().stop(); }

bool is_enabled() noexcept {
  return report::trace_session::is_on.load_relaxed() != 0;  // a hint
}

namespace detail {

std::uint64_t task_of(const context& ctx) noexcept {
  const std::uint64_t* id = ctx.value(task_key);
  return id == nullptr ? 0 : *id;
}

std::uint64_t begin_region(const context& ctx, std::string_view name) noexcept {
  const std::uint64_t task = task_of(ctx);
  report::note_in_trace(trace_kind::region_begin, task, 0, name);
  return task;
}

void end_region(std::uint64_t task, std::string_view name) noexcept {
  report::note_in_trace(trace_kind::region_end, task, 0, name);
}

void write_log(const context& ctx, std::string_view category, std::string_view message) noexcept {
  report::note_in_trace(trace_kind::log, task_of(ctx), 0, category, message);
}

}  // namespace detail

task::task(gort::context parent, std::string_view name) : id_(last_task.fetch_add_relaxed(1) + 1) {
  const std::uint64_t above = detail::task_of(parent);
  context_ = with_value(std::move(parent), task_key, id_);
  if (is_enabled()) report::note_in_trace(trace_kind::task_begin, id_, above, name);
}

void task::end() noexcept {
  const std::uint64_t id = std::exchange(id_, 0);
  if (id != 0 && is_enabled()) report::note_in_trace(trace_kind::task_end, id, 0, {});
}

void flight_recorder::start(std::error_code& error) {
  error = report::trace_session::only().start_recorder(this, config_);
}

void flight_recorder::start() {
  std::error_code error;
  start(error);
  if (error) throw std::system_error(error);
}

void flight_recorder::stop() noexcept { report::trace_session::only().stop_recorder(this); }

bool flight_recorder::enabled() const noexcept {
  return report::trace_session::only().records_for(this);
}

std::size_t flight_recorder::write_to(const sink& to, std::error_code& error) {
  counts how;
  error = to == nullptr ? std::make_error_code(std::errc::invalid_argument)
                        : report::trace_session::only().write_recorder(this, to, how, last_);
  return how.bytes;
}

std::size_t flight_recorder::write_to(const sink& to) {
  std::error_code error;
  const std::size_t bytes = write_to(to, error);
  if (error) throw std::system_error(error);
  return bytes;
}

counts flight_recorder::last() const noexcept {
  return report::trace_session::only().counts_in(last_);
}

}  // namespace gort::trace

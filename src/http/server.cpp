#include <gort/http/server.hpp>

#include <mutex>
#include <stdexcept>
#include <utility>

#include <gort/go.hpp>
#include <gort/select.hpp>

#include "http/connection.hpp"
#include "http/server_state.hpp"
#include "os/write.hpp"
#include "sched/stacks/stack_size.hpp"

namespace gort::http {

// --- server::state
// --------------------------------------------------------------------------------

namespace {
std::size_t fields_max_of(const server_options& o) noexcept {
  if (o.max_header_fields != 0) return o.max_header_fields;
  if (o.max_header_bytes == 0) return SIZE_MAX;
  return o.max_header_bytes / (sizeof(field_slices) + sizeof(headers::field));
}
}  // namespace

server::state::state(handler h, server_options o)
    : serve(std::move(h)), options(std::move(o)), fields_max_(fields_max_of(options)) {
  auto [ctx, cancel] = with_cancel(options.base_context);
  base = ctx;
  cancel_ = std::move(cancel);
}

void server::state::log(std::string_view line) const {
  if (options.log) return options.log(line);
  std::string text(line);
  text += '\n';
  os::write_all(os::stderr_fd, text.data(), text.size());
}

void server::state::enter(connection& c) {
  std::lock_guard guard(lock_);
  c.list_next = first_;
  if (first_ != nullptr) first_->list_previous = &c;
  first_ = &c;
  count_.store_relaxed(count_.load_relaxed() + 1);
  if (stopping.load_relaxed()) c.end(false);
}

void server::state::leave(connection& c) noexcept {
  std::lock_guard guard(lock_);
  if (c.list_next != nullptr) c.list_next->list_previous = c.list_previous;
  (c.list_previous != nullptr ? c.list_previous->list_next : first_) = c.list_next;
  count_.store_relaxed(count_.load_relaxed() - 1);
  look_whether_drained_locked();
}

void server::state::look_whether_drained_locked() noexcept {
  if (!stopping.load_relaxed() || first_ != nullptr || is_drained_) return;
  is_drained_ = true;
  drained_.close();
}

bool server::state::wait_for_room() {
  std::unique_lock guard(lock_);
  const std::size_t most = options.max_connections;
  room_.wait(guard, [&] { return most == 0 || accepted_ < most || stopping.load_relaxed(); });
  if (stopping.load_relaxed()) return false;
  ++accepted_;
  return true;
}

void server::state::give_room() noexcept {
  std::lock_guard guard(lock_);
  --accepted_;
  room_.signal();
}

bool server::state::add_closer(closer& c) {
  std::lock_guard guard(lock_);
  if (stopping.load_relaxed()) return false;
  closers_.push_back(&c);
  return true;
}

void server::state::remove_closer(closer& c) noexcept {
  std::lock_guard guard(lock_);
  std::erase(closers_, &c);
}

void server::state::add_on_shutdown(std::function<void()> f) {
  std::lock_guard guard(lock_);
  on_shutdown_.push_back(std::move(f));
}

std::vector<std::function<void()>> server::state::on_shutdown() {
  std::lock_guard guard(lock_);
  return on_shutdown_;
}

void server::state::stop(bool all) {
  std::lock_guard guard(lock_);
  stopping.store_seq_cst(true);  // pairs with the load in connection::run() [srv-3]
  for (closer* c : closers_) c->close();
  room_.broadcast();
  for (connection* c = first_; c != nullptr; c = c->list_next) c->end(all);
  if (all) cancel_();  // now, so that whoever this wakes finds its connection gone
  look_whether_drained_locked();
}

// --- server
// ---------------------------------------------------------------------------------------

namespace {
handler checked(handler h) {
  if (!h) throw std::invalid_argument("http: nil handler");
  return h;
}
server_options checked(server_options o) {
  if (o.stack > sched::stack_bytes_max) {
    throw std::invalid_argument("http: server_options.stack: at most 1 GiB is possible");
  }
  return o;
}
}  // namespace

server::server(handler h, server_options options)
    : state_(std::make_shared<state>(checked(std::move(h)), checked(std::move(options)))) {}

server::~server() {
  state_->stop(true);
  state_->drained().recv();
}

void server::serve_connection(std::unique_ptr<stream> s) {
  if (s == nullptr) throw std::invalid_argument("http: nil connection");
  const std::shared_ptr<state> keep = state_;
  connection(*keep, std::move(s)).run();
}

void server::register_on_shutdown(std::function<void()> f) {
  if (!f) throw std::invalid_argument("http: nil function");
  state_->add_on_shutdown(std::move(f));
}

std::error_code server::shutdown(const context& ctx) {
  state_->stop(false);
  for (auto& f : state_->on_shutdown()) go({.name = "http on_shutdown"}, std::move(f));
  std::error_code error;
  select(state_->drained().on_recv([] {}), ctx.done().on_recv([&] { error = ctx.err(); }));
  return error;
}

void server::close() { state_->stop(true); }

std::size_t server::connections() const noexcept { return state_->count(); }

}  // namespace gort::http

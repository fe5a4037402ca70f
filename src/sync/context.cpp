// Contexts: a tree of nodes, each of which knows its parent; a cancellable node is a hook in the
// list of its nearest cancellable ancestor.
//
// Invariants
//   [ctx-1] `lock` guards `err_value`, `cause`, `hooks` and every hook's links while it is in the
//           list. The channel `done` is closed under it, with the other two written: who finds it
//           closed may read them without the lock, and they count for nobody who does not.
//   [ctx-2] A hook is taken off the list under the lock and then called without it, once. `running`
//           is set under the lock and cleared after the call; remove_hook() waits for that, so a
//           hook that is not on the list and not running is nobody's.
//   [ctx-3] A node holds a reference to its parent, and its hook refers to the node without one:
//           the node takes its hook off the parent before it dies.
//   [ctx-4] Trees may be deep: neither cancelling nor dropping one recurses. Hooks that are nodes
//           are not called; their own hooks join the queue of those that are to be told. And who
//           drops the last reference to a node goes on with its parent.
//   [ctx-5] Cancelling may run on the scheduler's stack (a deadline): it copies and calls nothing
//           of the user's.
//
// Rejected: a goroutine per child that waits for the parent (what a first version in Go did).
#include <gort/context.hpp>

#include <string>
#include <utility>

#include <gort/detail/cancel_hook.hpp>
#include <gort/detail/spin_hint.hpp>
#include <gort/detail/timer_node.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "os/thread.hpp"
#include "sync/chan_access.hpp"

namespace gort {

namespace {

class context_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "context"; }
  std::string message(int value) const override {
    return value == static_cast<int>(context_error::canceled) ? "context canceled"
                                                              : "context deadline exceeded";
  }
};

const context_category category;

}  // namespace

std::error_code make_error_code(context_error e) noexcept {
  return {static_cast<int>(e), category};
}

namespace detail {

struct context_node : cancel_hook, timer_node, std::enable_shared_from_this<context_node> {
  context parent;
  context_node* canceler = nullptr;  // nearest cancellable node, itself or above; null: none
  std::optional<std::chrono::steady_clock::time_point> deadline;
  const void* key = nullptr;
  std::shared_ptr<const void> value;
  bool values_only = false;  // without_cancel()

  // Of a cancellable node:
  spin_lock lock;
  atomic<int> err_value;
  std::exception_ptr cause;
  std::exception_ptr deadline_cause;  // immutable once the timer is armed
  chan<unit> done;
  cancel_hook* hooks = nullptr;

  context_node()
      : cancel_hook(&told), timer_node([](timer_node& self, std::int64_t) {
          auto& me = static_cast<context_node&>(self);
          me.cancel(context_error::deadline_exceeded, me.deadline_cause);
        }) {}

  ~context_node() {
    detach();
    context_ref up = std::move(parent.node_);
    while (up != nullptr && up.use_count() == 1) {  // [ctx-4]; nobody else can get one from us
      context_ref(up).reset();  // an acquire of the others' last use, which use_count() is not
      up->detach();
      up = std::exchange(up->parent.node_, nullptr);
    }
  }

  void detach() noexcept {
    timer_stop(*this);
    leave_parent();
  }
  void leave_parent() noexcept { remove_hook(parent, *this); }

  bool is_done() const noexcept { return chan_access::core(done).is_closed(); }

  // As a hook: marks the kind, is not called.
  static void told(cancel_hook&) noexcept {}

  void cancel(context_error why, const std::exception_ptr& with) noexcept {
    cancel_hook* queue = nullptr;
    cancel_hook** end = &queue;
    cancel_this(why, with, end);
    while (queue != nullptr) {
      cancel_hook& first = *queue;
      queue = first.next;
      if (queue == nullptr) end = &queue;
      if (first.canceled == &told)
        static_cast<context_node&>(first).cancel_this(why, with, end);
      else
        first.canceled(first);
      first.running.store_release(0);  // pairs with the acquire in remove_hook()
    }
  }

 private:
  // This node alone; its hooks go to the end of the queue.
  void cancel_this(context_error why, const std::exception_ptr& with, cancel_hook**& end) noexcept {
    waiter* woken = nullptr;
    {
      spin_guard guard(lock);
      if (err_value.load_relaxed() != 0) return;
      cause = with;
      err_value.store_relaxed(static_cast<int>(why));  // published by the closing [ctx-1]
      static_cast<void>(chan_access::core(done).close_quietly(woken));
      *end = std::exchange(hooks, nullptr);
      for (; *end != nullptr; end = &(*end)->next) {
        (*end)->linked = false;
        (*end)->running.store_relaxed(1);  // under the lock [ctx-2]
      }
    }
    chan_core::wake(woken);
    // As in Go: what is over keeps no processor awake. (Most have no timer; one that fires is in no
    // heap.)
    if (heap.load_relaxed() != nullptr) timer_stop(*this);
  }
};

bool add_hook(const context& ctx, cancel_hook& hook) noexcept {
  context_node* node = ctx.node() == nullptr ? nullptr : ctx.node()->canceler;
  if (node == nullptr) return true;
  spin_guard guard(node->lock);
  if (node->err_value.load_relaxed() != 0) return false;
  hook.next = node->hooks;
  hook.prev = nullptr;
  if (node->hooks != nullptr) node->hooks->prev = &hook;
  node->hooks = &hook;
  hook.linked = true;
  return true;
}

bool remove_hook(const context& ctx, cancel_hook& hook) noexcept {
  context_node* node = ctx.node() == nullptr ? nullptr : ctx.node()->canceler;
  if (node == nullptr) return false;
  {
    spin_guard guard(node->lock);
    if (hook.linked) {
      (hook.prev != nullptr ? hook.prev->next : node->hooks) = hook.next;
      if (hook.next != nullptr) hook.next->prev = hook.prev;
      hook.linked = false;
      return true;
    }
  }
  // Acquire pairs with the release in cancel().
  for (unsigned round = 0; hook.running.load_acquire() != 0; ++round) {
    constexpr unsigned pauses = 16;
    spin_pause(pauses);
    yield_now();
    os::give_way(round);  // who cancels may be a thread that no goroutine makes room for
  }
  return false;
}

context with_value_erased(context parent, const void* key, std::shared_ptr<const void> value) {
  auto node = std::make_shared<context_node>();
  node->key = key;
  node->value = std::move(value);
  if (parent.node() != nullptr) {
    node->canceler = parent.node()->canceler;
    node->deadline = parent.node()->deadline;
  }
  node->parent = std::move(parent);
  return make_context_of(std::move(node));
}

namespace {

struct after_hook : cancel_hook, std::enable_shared_from_this<after_hook> {
  context ctx;
  void (*start)(void*);
  std::shared_ptr<void> f;
  atomic<std::uint32_t> decided;              // started or stopped
  std::shared_ptr<after_hook> while_pending;  // the context's reference; dropped when decided
  wait_group pending;                         // until the function has returned or been stopped

  explicit after_hook(context c) : cancel_hook(&run), ctx(std::move(c)) { pending.add(1); }

  bool decide() noexcept { return decided.exchange_acq_rel(1) == 0; }  // pairs with itself

  static void run(cancel_hook& self) noexcept {
    auto& me = static_cast<after_hook&>(self);
    if (!me.decide()) return;
    // The goroutine outlives this call and drops the context's reference.
    go([keep = me.shared_from_this()] {
      remove_hook(keep->ctx, *keep);  // waits until run() has returned
      keep->while_pending.reset();
      struct at_end {
        after_hook& hook;
        ~at_end() { hook.pending.done(); }
      } end{*keep};
      keep->start(keep->f.get());
    });
  }
};

}  // namespace

std::shared_ptr<cancel_hook> after_func_erased(context of, void (*start)(void*),
                                               std::shared_ptr<void> f) {
  auto hook = std::make_shared<after_hook>(std::move(of));
  const context& ctx = hook->ctx;
  hook->start = start;
  hook->f = std::move(f);
  if (ctx.node() != nullptr && ctx.node()->canceler != nullptr) {
    hook->while_pending = hook;
    if (!add_hook(ctx, *hook)) after_hook::run(*hook);
  }
  return hook;
}

bool stop_after_func(cancel_hook& hook) noexcept {
  auto& me = static_cast<after_hook&>(hook);
  const std::shared_ptr<after_hook> keep = me.shared_from_this();
  if (!me.decide()) return false;
  remove_hook(me.ctx, me);
  me.while_pending.reset();
  me.pending.done();
  return true;
}

bool stop_and_wait_after_func(cancel_hook& hook) noexcept {
  auto& me = static_cast<after_hook&>(hook);
  const std::shared_ptr<after_hook> keep = me.shared_from_this();
  if (stop_after_func(hook)) return true;
  me.pending.wait();
  return false;
}

}  // namespace detail

context make_context_of(detail::context_ref node) noexcept {
  context made;
  made.node_ = std::move(node);
  return made;
}

chan<unit>::receiver context::done() const {
  if (node_ == nullptr || node_->canceler == nullptr) return {};
  return node_->canceler->done;
}

std::error_code context::err() const noexcept {
  if (node_ == nullptr || node_->canceler == nullptr || !node_->canceler->is_done()) return {};
  return make_error_code(static_cast<context_error>(node_->canceler->err_value.load_relaxed()));
}

std::exception_ptr context::cause() const {
  const std::error_code error = err();
  if (!error) return nullptr;
  if (node_->canceler->cause != nullptr) return node_->canceler->cause;  // final [ctx-1]
  return std::make_exception_ptr(std::system_error(error));
}

std::optional<std::chrono::steady_clock::time_point> context::deadline() const noexcept {
  return node_ == nullptr ? std::nullopt : node_->deadline;
}

const void* context::value_of(const void* key) const noexcept {
  for (const detail::context_node* n = node_.get(); n != nullptr; n = n->parent.node().get()) {
    if (n->key == key) return n->value.get();
  }
  return nullptr;
}

void cancel_function::operator()(std::exception_ptr cause) const {
  // A copy: whoever finds the context done may destroy this function, and the context.
  const detail::context_ref node = node_;
  if (node == nullptr) return;
  node->cancel(context_error::canceled, cause);
  detail::timer_stop(*node);
  node->leave_parent();
}

namespace {

detail::context_ref make_cancelable(context of) {
  auto node = std::make_shared<detail::context_node>();
  node->parent = std::move(of);
  const context& parent = node->parent;
  node->canceler = node.get();
  node->done = make_chan<unit>();
  if (parent.node() != nullptr) node->deadline = parent.node()->deadline;
  if (!detail::add_hook(parent, *node)) {
    const detail::context_node& from = *parent.node()->canceler;
    // Ordered by the lock, under which add_hook() has seen that it is set.
    node->cancel(static_cast<context_error>(from.err_value.load_relaxed()), from.cause);
  }
  return node;
}

}  // namespace

cancelable_context with_cancel(context parent) {
  auto node = make_cancelable(std::move(parent));
  return {make_context_of(node), cancel_function(node)};
}

cancelable_context with_deadline(context parent, std::chrono::steady_clock::time_point when) {
  return with_deadline_cause(std::move(parent), when, std::exception_ptr());
}

cancelable_context with_deadline_cause(context parent, std::chrono::steady_clock::time_point when,
                                       std::exception_ptr cause) {
  auto node = make_cancelable(std::move(parent));
  if (!node->deadline || when < *node->deadline) {
    node->deadline = when;
    node->deadline_cause = std::move(cause);
    if (when <= std::chrono::steady_clock::now())
      node->cancel(context_error::deadline_exceeded, node->deadline_cause);
    else if (!node->is_done())  // a hint: what has been cancelled needs no timer
      detail::timer_start(*node, detail::deadline_at(when));
  }
  return {make_context_of(node), cancel_function(node)};
}

context without_cancel(const context& parent) {
  auto node = std::make_shared<detail::context_node>();
  node->parent = parent;
  return make_context_of(std::move(node));
}

}  // namespace gort

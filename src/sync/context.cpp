// Contexts: a tree of nodes, each of which knows its parent; a cancellable node is a hook in the
// list of its nearest cancellable ancestor.
//
// Invariants
//   [ctx-1] `lock` guards `err`, `cause`, `hooks` and every hook's links while it is in the list.
//           `err_value` mirrors err for readers without the lock: written once, before the hooks
//           run.
//   [ctx-2] A hook is taken off the list under the lock and then called without it, once. `running`
//           is set under the lock and cleared after the call; remove_hook() waits for that, so a
//           hook that is not on the list and not running is nobody's.
//   [ctx-3] A node holds a reference to its parent, and its hook refers to the node without one:
//   the
//           node takes its hook off the parent before it dies.
//   [ctx-4] canceled() of a child node cancels that node; depth of recursion is the depth of the
//   tree.
//
// Rejected: a goroutine per child that waits for the parent (what a first version in Go did).
#include <gort/context.hpp>

#include <string>

#include <gort/detail/cancel_hook.hpp>
#include <gort/detail/spin_hint.hpp>
#include <gort/detail/timer_node.hpp>
#include <gort/go.hpp>

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
  chan<unit> done;
  cancel_hook* hooks = nullptr;

  context_node()
      : cancel_hook([](cancel_hook& self) noexcept {
          auto& me = static_cast<context_node&>(self);
          const context_node& from = *me.parent.node()->canceler;
          // Ordered by the call: the parent's fields are final.
          me.cancel(static_cast<context_error>(from.err_value.load_relaxed()), from.cause);
        }),
        timer_node([](timer_node& self, std::int64_t) {
          static_cast<context_node&>(self).cancel(context_error::deadline_exceeded, nullptr);
        }) {}

  ~context_node() {
    timer_stop(*this);
    leave_parent();
  }

  void leave_parent() noexcept { remove_hook(parent, *this); }

  void cancel(context_error why, const std::exception_ptr& with) noexcept {
    cancel_hook* told = nullptr;
    {
      spin_guard guard(lock);
      if (err_value.load_relaxed() != 0) return;
      cause = with;
      // Release pairs with the acquire in context::err() and cause().
      err_value.store_release(static_cast<int>(why));
      told = hooks;
      hooks = nullptr;
      for (cancel_hook* h = told; h != nullptr; h = h->next) {
        h->linked = false;
        h->running.store_relaxed(1);  // under the lock [ctx-2]
      }
    }
    done.close();
    while (told != nullptr) {
      cancel_hook* rest = told->next;
      told->canceled(*told);
      told->running.store_release(0);  // pairs with the acquire in remove_hook()
      told = rest;
    }
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
  while (hook.running.load_acquire() != 0) {
    constexpr unsigned pauses = 16;
    spin_pause(pauses);
    yield_now();
  }
  return false;
}

context with_value_erased(const context& parent, const void* key,
                          std::shared_ptr<const void> value) {
  auto node = std::make_shared<context_node>();
  node->parent = parent;
  node->key = key;
  node->value = std::move(value);
  if (parent.node() != nullptr) {
    node->canceler = parent.node()->canceler;
    node->deadline = parent.node()->deadline;
  }
  return make_context_of(std::move(node));
}

namespace {

struct after_hook : cancel_hook, std::enable_shared_from_this<after_hook> {
  context ctx;
  void (*start)(void*);
  std::shared_ptr<void> f;
  atomic<std::uint32_t> decided;              // started or stopped
  std::shared_ptr<after_hook> while_pending;  // the context's reference; dropped when decided

  explicit after_hook(const context& c) : cancel_hook(&run), ctx(c) {}

  bool decide() noexcept { return decided.exchange_acq_rel(1) == 0; }  // pairs with itself

  static void run(cancel_hook& self) noexcept {
    auto& me = static_cast<after_hook&>(self);
    if (!me.decide()) return;
    // The goroutine outlives this call and drops the context's reference.
    go([keep = me.shared_from_this()] {
      remove_hook(keep->ctx, *keep);  // waits until run() has returned
      keep->while_pending.reset();
      keep->start(keep->f.get());
    });
  }
};

}  // namespace

std::shared_ptr<cancel_hook> after_func_erased(const context& ctx, void (*start)(void*),
                                               std::shared_ptr<void> f) {
  auto hook = std::make_shared<after_hook>(ctx);
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
  return true;
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
  if (node_ == nullptr || node_->canceler == nullptr) return {};
  // Acquire pairs with the release in cancel().
  const int value = node_->canceler->err_value.load_acquire();
  return value == 0 ? std::error_code() : make_error_code(static_cast<context_error>(value));
}

std::exception_ptr context::cause() const {
  const std::error_code error = err();
  if (!error) return nullptr;
  if (node_->canceler->cause != nullptr) return node_->canceler->cause;  // final, see err()
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
  if (node_ == nullptr) return;
  node_->cancel(context_error::canceled, cause);
  detail::timer_stop(*node_);
  node_->leave_parent();
}

namespace {

detail::context_ref make_cancelable(const context& parent) {
  auto node = std::make_shared<detail::context_node>();
  node->parent = parent;
  node->canceler = node.get();
  node->done = make_chan<unit>();
  if (parent.node() != nullptr) node->deadline = parent.node()->deadline;
  if (!detail::add_hook(parent, *node)) {
    const detail::context_node& from = *parent.node()->canceler;
    // Acquire pairs with the release in cancel().
    node->cancel(static_cast<context_error>(from.err_value.load_acquire()), from.cause);
  }
  return node;
}

}  // namespace

cancelable_context with_cancel(const context& parent) {
  auto node = make_cancelable(parent);
  return {make_context_of(node), cancel_function(node)};
}

cancelable_context with_deadline(const context& parent,
                                 std::chrono::steady_clock::time_point when) {
  auto node = make_cancelable(parent);
  if (!node->deadline || when < *node->deadline) {
    node->deadline = when;
    if (when <= std::chrono::steady_clock::now())
      node->cancel(context_error::deadline_exceeded, nullptr);
    else if (node->err_value.load_acquire() == 0)  // pairs with the release in cancel()
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

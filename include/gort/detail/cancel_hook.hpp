// What is told when a context is cancelled: children, after_func(), and waits that give up then.
#pragma once

#include <gort/context.hpp>
#include <gort/detail/park.hpp>

namespace gort::detail {

/// A member of a context's list. Guarded by that context's lock while `linked`.
struct cancel_hook {
  using function = void (*)(cancel_hook& self) noexcept;
  explicit cancel_hook(function f) noexcept : canceled(f) {}
  cancel_hook(const cancel_hook&) = delete;
  cancel_hook& operator=(const cancel_hook&) = delete;

  function canceled;  // called once, without locks, on whatever thread cancels; must not block
  cancel_hook* next = nullptr;
  cancel_hook* prev = nullptr;
  bool linked = false;
  atomic<std::uint32_t> running;  // 1 while canceled() runs
};

/// Adds the hook; false: the context is cancelled already, nothing was added. True also for
/// contexts that never are.
bool add_hook(const context& ctx, cancel_hook& hook) noexcept;
/// Takes it off; true if it was on. Waits for a call in progress: the hook may then be destroyed.
bool remove_hook(const context& ctx, cancel_hook& hook) noexcept;

/// Lets the cancellation of `ctx` end a park(): it claims the ticket and readies the owner.
class cancel_wait : cancel_hook {
 public:
  static constexpr std::uint32_t canceled_index = 0xfffffff0;

  cancel_wait(const context& ctx, park_ticket& ticket, g* owner) noexcept
      : cancel_hook(&claim), ctx_(ctx), ticket_(ticket), owner_(owner) {
    if (!add_hook(ctx_, *this)) claim(*this);
  }
  /// After park(): nobody refers to the ticket any more.
  void disarm() noexcept { remove_hook(ctx_, *this); }

 private:
  static void claim(cancel_hook& self) noexcept {
    auto& me = static_cast<cancel_wait&>(self);
    g* owner = me.owner_;
    if (me.ticket_.claim(canceled_index)) ready(owner);
  }

  context ctx_;
  park_ticket& ticket_;
  g* owner_;
};

}  // namespace gort::detail

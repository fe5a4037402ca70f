#include "stack/walk.hpp"

#include <gort/detail/atomic.hpp>

#include "base/sanitizer.hpp"
#include "os/asleep.hpp"
#include "os/memory.hpp"

namespace gort::stack {

namespace {

constexpr std::uintptr_t word_bytes = sizeof(std::uintptr_t);

// How to step over one frame. With a return address, in one word.
struct quick_rule {
  enum class how : std::uint8_t { unknown, by_sp, by_fp, outermost };
  how is = how::unknown;
  std::uint64_t frame_words = 0;   // from that register to the frame's end
  std::uint64_t caller_words = 0;  // from there down to the caller's frame pointer; 0: unchanged

  static constexpr unsigned how_bits = 2, frame_bits = 8, caller_bits = 7;
  static constexpr unsigned bits = how_bits + frame_bits + caller_bits;
  static constexpr unsigned address_bits = 64 - bits;

  // Of user space; arm64's instructions leave two bits free.
  static constexpr std::uint64_t address_part(std::uintptr_t pc) noexcept {
    return arch::dense_code_address(pc);
  }
  static bool is_storable(std::uintptr_t pc) noexcept {
    return address_part(pc) >> address_bits == 0;
  }
  bool fits() const noexcept {
    return is != how::unknown && frame_words >> frame_bits == 0 && caller_words >> caller_bits == 0;
  }
  std::uint64_t packed(std::uintptr_t pc) const noexcept {
    return address_part(pc) << bits | frame_words << (how_bits + caller_bits) |
           caller_words << how_bits | static_cast<std::uint64_t>(is);
  }
  static quick_rule unpacked(std::uint64_t word) noexcept {
    quick_rule out;
    out.is = static_cast<how>(word & ((1u << how_bits) - 1));
    out.caller_words = word >> how_bits & ((1u << caller_bits) - 1);
    out.frame_words = word >> (how_bits + caller_bits) & ((1u << frame_bits) - 1);
    return out;
  }
};

// [walk-3] Relaxed everywhere: a word says all that there is to say.
constexpr std::size_t table_size = 4096;
detail::atomic<std::uint64_t> table[table_size];

// Two places for each address, side by side: of two that share them neither drives the other out.
std::size_t first_place(std::uintptr_t pc) noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15u;
  constexpr unsigned index_bits = 12;
  static_assert(table_size == std::size_t{1} << index_bits);
  return pc * factor >> (64 - index_bits);
}
detail::atomic<std::uint64_t>& place_of(std::uintptr_t pc, std::size_t which) noexcept {
  return table[first_place(pc) ^ which];
}

// The quick form of what the tables say; unknown: they say something that has none.
quick_rule quick_of(const caller_rules& rules) noexcept {
  using how = caller_rules::rule::how;
  quick_rule out;
  const auto& return_rule = rules.rules[arch::dwarf_return_address];
  if (return_rule.is == how::undefined) {
    out.is = quick_rule::how::outermost;
    return out;
  }
  const bool by_fp = rules.base == arch::dwarf_frame_pointer;
  if (rules.block != nullptr || rules.signal_frame || rules.offset < 0 ||
      rules.offset % static_cast<std::int64_t>(word_bytes) != 0 ||
      !(by_fp || rules.base == arch::dwarf_stack_pointer))
    return out;
  const auto& caller = rules.rules[arch::dwarf_frame_pointer];
  if (caller.is == how::at && caller.n < 0 && caller.n % static_cast<std::int64_t>(word_bytes) == 0)
    out.caller_words = static_cast<std::uint64_t>(-caller.n) / word_bytes;
  else if (caller.is != how::same)
    return out;
  if (return_rule.is != how::at ||
      return_rule.n != arch::return_address_offset(-static_cast<std::int64_t>(out.caller_words) *
                                                   static_cast<std::int64_t>(word_bytes)))
    return out;
  out.frame_words = static_cast<std::uint64_t>(rules.offset) / word_bytes;
  out.is = by_fp ? quick_rule::how::by_fp : quick_rule::how::by_sp;
  return out;
}

// What a step over a frame by frame pointers needs, and what is remembered of it.
struct place {
  std::uintptr_t pc;
  std::uintptr_t sp;
  std::uintptr_t fp;
  bool is_return_address;
};

class walker {
 public:
  walker(const frame_state& from, const stack_bounds& bounds, bool exact,
         walk_trail* trail) noexcept
      : trail_(trail),
        from_sp_(from.sp()),
        state_(from),
        at_{from.pc, from.sp(), from.values[arch::dwarf_frame_pointer], from.is_return_address},
        bounds_(bounds),
        exact_(exact),
        grows_(bounds.high == 0) {
    if (grows_) {
      // In an epilogue the tables still say where a register was kept that has just been popped.
      constexpr std::uintptr_t kept_below_sp = 128;  // by signals, on x86
      bounds_.low = at_.sp - kept_below_sp;
      bounds_.high = (at_.sp & ~(os::page_bytes - 1)) + os::page_bytes;
    }
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    constexpr std::uintptr_t tables_need = 8 << 10;  // [walk-4]
    may_interpret_ =
        finds_without_lock() && !(bounds.holds(here) && here - bounds.low < tables_need);
  }

  walked run(const void** pcs, std::size_t room) noexcept {
    walked out;
    if (at_.pc == 0 || room == 0 || at_.sp < bounds_.low || at_.sp > bounds_.high) {
      out.cut = room != 0;
      return out;
    }
    for (;;) {
      pcs[out.frames++] = reinterpret_cast<const void*>(at_.pc + (at_.is_return_address ? 0 : 1));
      if (out.frames == room) return out;
      switch (step()) {
        case stepped::by_frame_pointer: break;
        case stepped::without: ++out.without_frame_pointer; break;
        case stepped::end: return out;
        case stepped::nowhere: out.cut = true; return out;
      }
    }
  }

  /// A frame needed a register that was not known any more.
  bool asks_for_all_registers() const noexcept { return asks_for_all_; }

 private:
  enum class stepped : std::uint8_t { by_frame_pointer, without, end, nowhere };

  // Whether all of the stack up to there may be read [walk-1].
  bool reaches(std::uintptr_t end) noexcept {
    if (end <= bounds_.high) return true;
    constexpr std::uintptr_t frame_bytes_max = 1 << 20;
    if (!grows_ || end - bounds_.high > frame_bytes_max) return false;
    while (bounds_.high < end) {
      char byte;
      if (!os::read_memory(bounds_.high, &byte, sizeof(byte))) return false;
      bounds_.high += os::page_bytes;
    }
    return true;
  }

  // The caller's place, if that is further up.
  bool arrive(std::uintptr_t pc, std::uintptr_t sp, std::uintptr_t fp) noexcept {
    if (pc == 0 || sp <= at_.sp) return false;
    at_ = {pc, sp, fp, true};
    is_first_ = false;
    sp_is_exact_ = true;
    return true;
  }

  stepped step() noexcept {
    if (at_.is_return_address && !exact_) {
      for (const std::size_t which : {std::size_t{0}, std::size_t{1}}) {
        const std::uint64_t word = place_of(at_.pc, which).load_relaxed();
        if (word >> quick_rule::bits == quick_rule::address_part(at_.pc))
          return quick_step(quick_rule::unpacked(word));
      }
    }
    return may_interpret_ ? slow_step() : chain_step();
  }

  void note(std::uintptr_t at, std::uintptr_t value, bool is_code) noexcept {
    const std::uintptr_t at_bytes = at - from_sp_;
    if (trail_->count == walk_trail::reads_max || at_bytes >> 31 != 0) {
      trail_->is_whole = false;
      return;
    }
    trail_->all[trail_->count++] = {value, static_cast<std::uint32_t>(at_bytes), is_code};
    if (at_bytes + word_bytes > trail_->end_bytes) trail_->end_bytes = at_bytes + word_bytes;
  }
  // Of a step by quick_step(), before it. `caller`: where it reads a frame pointer; 0: nowhere.
  void leave_trail(bool by_fp, std::uintptr_t back, std::uintptr_t pc,
                   std::uintptr_t caller) noexcept {
    // The first is compared anyway. One that is not gone by may be anything.
    if (by_fp && fp_came_from_ != 0) note(fp_came_from_, at_.fp - from_sp_, false);
    if (by_fp) fp_came_from_ = 0;
    note(back, pc, true);
    if (caller != 0) fp_came_from_ = caller;
  }
  void trail_ends() noexcept {
    if (trail_ != nullptr) trail_->is_whole = false;
  }

  stepped quick_step(const quick_rule& rule) noexcept {
    if (rule.is == quick_rule::how::outermost) return stepped::end;
    const bool by_fp = rule.is == quick_rule::how::by_fp;
    if (!by_fp && !sp_is_exact_) return chain_step();
    const std::uintptr_t end = (by_fp ? at_.fp : at_.sp) + rule.frame_words * word_bytes;
    if (end <= at_.sp || end % word_bytes != 0 || !reaches(end)) return stepped::nowhere;
    const std::uintptr_t caller = end - rule.caller_words * word_bytes;
    const std::uintptr_t back = arch::return_address_place(end, caller);
    if (!bounds_.holds(back) || (rule.caller_words != 0 && !bounds_.holds(caller)))
      return stepped::nowhere;
    const std::uintptr_t fp = rule.caller_words == 0 ? at_.fp : stack_word(caller);
    const std::uintptr_t pc = arch::plain_code_address(stack_word(back));
    if (trail_ != nullptr) leave_trail(by_fp, back, pc, rule.caller_words == 0 ? 0 : caller);
    if (!arrive(pc, end, fp)) return stepped::nowhere;
    return by_fp ? stepped::by_frame_pointer : stepped::without;
  }

  // By the tables. Out of line: they take some kilobytes of stack.
  [[gnu::noinline]] stepped slow_step() noexcept {
    if (!is_first_ && !exact_) {
      state_ = {};
      state_.pc = at_.pc;
      state_.is_return_address = at_.is_return_address;
      if (sp_is_exact_) state_.set(arch::dwarf_stack_pointer, at_.sp);
      state_.set(arch::dwarf_frame_pointer, at_.fp);
    }
    caller_rules rules;
    if (!find_rules(state_, rules)) return chain_step();
    const quick_rule quick = quick_of(rules);
    if (at_.is_return_address && quick.fits() && quick_rule::is_storable(at_.pc)) {
      detail::atomic<std::uint64_t>& first = place_of(at_.pc, 0);
      place_of(at_.pc, 1).store_relaxed(first.load_relaxed());
      first.store_relaxed(quick.packed(at_.pc));
    }
    if (!exact_ && quick.is != quick_rule::how::unknown) return quick_step(quick);
    if (rules.block == nullptr && rules.base < arch::frame_registers) {
      if (!state_.known[rules.base]) {
        asks_for_all_ = true;
        return chain_step();
      }
      (void)reaches(state_.values[rules.base] + static_cast<std::uintptr_t>(rules.offset));
    }
    (void)reaches(at_.fp + 2 * word_bytes);  // a realigned frame
    constexpr std::uintptr_t largest_frame_of_a_signal = 4 * os::page_bytes;
    if (rules.signal_frame) (void)reaches(at_.sp + largest_frame_of_a_signal);
    trail_ends();
    switch (stack::step(state_, rules, bounds_)) {
      case step_result::end: return stepped::end;
      case step_result::done: break;
      default: return chain_step();
    }
    if (state_.sp() < at_.sp || (state_.sp() == at_.sp && at_.is_return_address))
      return stepped::nowhere;
    const bool fp_is_known = state_.known[arch::dwarf_frame_pointer];
    at_ = {state_.pc, state_.sp(), fp_is_known ? state_.values[arch::dwarf_frame_pointer] : 0,
           state_.is_return_address};
    is_first_ = false;
    sp_is_exact_ = true;
    return rules.base == arch::dwarf_frame_pointer ? stepped::by_frame_pointer : stepped::without;
  }

  // The frame pointer points at the caller's, above which lies the return address.
  stepped chain_step() noexcept {
    trail_ends();
    if (at_.fp < at_.sp || at_.fp % word_bytes != 0 || !reaches(at_.fp + 2 * word_bytes) ||
        !bounds_.holds(at_.fp, 2 * word_bytes))
      return stepped::nowhere;
    const std::uintptr_t pc = arch::plain_code_address(stack_word(at_.fp + word_bytes));
    if (pc == 0) return stepped::end;
    if (!arrive(pc, at_.fp + 2 * word_bytes, stack_word(at_.fp))) return stepped::nowhere;
    exact_ = false;  // the others are lost
    sp_is_exact_ = arch::frame_pointer_ends_frame;
    return stepped::by_frame_pointer;
  }

  walk_trail* trail_;  // null: nobody wants one
  std::uintptr_t from_sp_;
  std::uintptr_t fp_came_from_ = 0;  // and was not compared yet; 0: it is the first, or was
  frame_state state_;                // the first, and in an exact walk each
  place at_;
  stack_bounds bounds_;
  bool exact_;
  bool grows_;
  bool is_first_ = true;
  bool sp_is_exact_ = true;
  bool may_interpret_ = false;
  bool asks_for_all_ = false;
};

}  // namespace

GORT_UNSANITIZED frame_state calling_frame() noexcept {
  frame_state out;
  out.pc = arch::plain_code_address(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  out.is_return_address = true;
  out.set(arch::dwarf_stack_pointer, reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa()));
  out.set(arch::dwarf_frame_pointer,
          stack_word(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))));
  return out;
}

frame_state interrupted_frame(std::uintptr_t pc, const std::uintptr_t* registers,
                              std::size_t count) noexcept {
  frame_state out;
  out.pc = pc;
  for (unsigned i = 0; i < count && i < arch::frame_registers; ++i) out.set(i, registers[i]);
  return out;
}

walked walk(const frame_state& from, const stack_bounds& bounds, const void** pcs, std::size_t room,
            walk_trail* trail) noexcept {
  if (trail != nullptr)
    trail->is_whole = bounds.high != 0 && from.is_return_address && from.sp() % word_bytes == 0;
  walker quick(from, bounds, false, trail);
  const walked found = quick.run(pcs, room);
  if (!found.cut && !quick.asks_for_all_registers()) return found;
  if (trail != nullptr) trail->is_whole = false;
  return walker(from, bounds, true, nullptr).run(pcs, room);  // [walk-3]
}

}  // namespace gort::stack

// Inline functions that two units have in common, so that the linker throws copies of them away.
// Of each kind there are sixteen lengths: one of them fills its alignment, whatever the compiler
// makes of it, and three functions of that length lie side by side. The second unit has a copy of
// the one in the middle.
#pragma once

namespace copies {

/// Called with what it will find on its return address: the line of this call, and the line of the
/// call that it is inlined by.
using witness = void (*)(const char* kind, int which, int length, int line, int outer_line);

[[gnu::always_inline]] inline void look(witness f, const char* kind, int which, int length,
                                        int outer_line) {
  f(kind, which, length, __LINE__, outer_line);
  asm volatile("");  // no tail call
}

template <int Which, int Length>
struct step {
  [[gnu::noinline]] static void call(witness f) {
    asm volatile(".rept %c0\n nop\n .endr" ::"i"(Length));
    look(f, "step", Which, Length, __LINE__);
    asm volatile("");
  }
};

template <int Which, int Length>
struct cold {
  [[gnu::noinline, gnu::cold]] static void call(witness f) {
    asm volatile(".rept %c0\n nop\n .endr" ::"i"(Length));
    look(f, "cold", Which, Length, __LINE__);
    asm volatile("");
  }
};

template <int Which, int Length>
[[gnu::noinline]] inline void with_lambda(witness f) {
  const auto lambda = [f](int length) __attribute__((noinline)) {
    asm volatile(".rept %c0\n nop\n .endr" ::"i"(Length));
    look(f, "with_lambda", Which, length, __LINE__);
    asm volatile("");
  };
  lambda(Length);
  asm volatile("");
}

template <int Length>
[[gnu::noinline]] inline void three(witness f) {
  step<1, Length>::call(f);
  step<2, Length>::call(f);
  step<3, Length>::call(f);
  cold<1, Length>::call(f);
  cold<2, Length>::call(f);
  cold<3, Length>::call(f);
  with_lambda<1, Length>(f);
  with_lambda<2, Length>(f);
  with_lambda<3, Length>(f);
}

template <int Length>
void one(witness f) {
  step<2, Length>::call(f);
  cold<2, Length>::call(f);
  with_lambda<2, Length>(f);
}

template <int... Lengths>
struct lengths {
  static void call_three(witness f) { (three<Lengths>(f), ...); }
  static void call_one(witness f) { (one<Lengths>(f), ...); }
};
using all_lengths = lengths<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;

}  // namespace copies

extern "C" void copies_of_the_first_unit(copies::witness f);
extern "C" void copies_of_the_second_unit(copies::witness f);

// How much was allocated is what malloc has handed out more than before. How often it was called it
// does not count, and to count it would cost each call of every program: the line says "? allocs".
#include "os/init_trace.hpp"

#include <string_view>

#include "base/env.hpp"
#include "base/short_text.hpp"
#include "os/clock.hpp"
#include "os/malloc_facts.hpp"
#include "os/write.hpp"

namespace gort::os {

namespace {

// Written before main(), by the first of all constructors.
std::int64_t first_ns = 0;
std::size_t first_in_use_bytes = 0;
bool init_is_traced = false;

[[gnu::constructor(101)]] void note_the_beginning() noexcept {
  init_is_traced = base::godebug("inittrace", 0) > 0;
  if (!init_is_traced) return;
  first_in_use_bytes = read_malloc().in_use_bytes;
  first_ns = monotonic_ns();
}

// Milliseconds as Go prints them: whole from 10 on, else two digits, at most three behind the
// point.
void append_init_ms(base::short_text& to, std::int64_t ns) noexcept {
  constexpr std::int64_t us = 1'000, ms = 1'000'000, whole_from = 10 * ms;
  if (ns >= whole_from) {
    to << ns / ms;
    return;
  }
  std::int64_t digits = ns / us;
  if (digits == 0) {
    to << "0";
    return;
  }
  int decimals = 3;
  for (; digits >= 100; digits /= 10) --decimals;
  std::int64_t unit = 1;
  for (int i = 0; i < decimals; ++i) unit *= 10;
  to << digits / unit;
  if (decimals == 0) return;
  to << ".";
  std::int64_t rest = digits % unit;
  for (std::int64_t place = unit / 10; place != 0; place /= 10) {
    to << rest / place;
    rest %= place;
  }
}

void print_init(const char* what, std::int64_t began_ns, std::int64_t ended_ns,
                std::size_t before_bytes) noexcept {
  const auto more = static_cast<std::int64_t>(read_malloc().in_use_bytes) -
                    static_cast<std::int64_t>(before_bytes);
  base::short_text line;
  line << "init " << what << " @";
  append_init_ms(line, began_ns - first_ns);
  line << " ms, ";
  append_init_ms(line, ended_ns - began_ns);
  line << " ms clock, " << (more < 0 ? 0 : more) << " bytes, ? allocs\n";
  const std::string_view text = line.c_str();
  write_all(stderr_fd, text.data(), text.size());
}

}  // namespace

init_trace::init_trace(const char* what) noexcept : what_(what) {
  if (!init_is_traced) return;
  in_use_bytes_ = read_malloc().in_use_bytes;
  began_ns_ = monotonic_ns();
}

init_trace::~init_trace() {
  if (began_ns_ != 0) print_init(what_, began_ns_, monotonic_ns(), in_use_bytes_);
}

void print_init_of_program() noexcept {
  if (init_is_traced) print_init("program", first_ns, monotonic_ns(), first_in_use_bytes);
}

}  // namespace gort::os

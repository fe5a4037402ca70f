/// The error that misuse throws, where Go panics.
#pragma once

#include <stdexcept>

namespace gort {

/// Thrown on misuse that Go answers with a panic: send on a closed channel, close of a nil channel,
/// a negative WaitGroup counter, unlock of an unlocked mutex. what() is Go's wording.
class runtime_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {
/// Throws runtime_error(text); out of line so that hot paths stay small.
[[noreturn]] void throw_runtime_error(const char* text);
}  // namespace detail

}  // namespace gort

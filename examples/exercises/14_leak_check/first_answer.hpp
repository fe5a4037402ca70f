// Asks several replicas and takes the first answer. What becomes of the others' is the exercise.
#pragma once

#include <chrono>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>

namespace exercise {

inline constexpr int replicas = 3;

inline int ask_replica(int which) {
  gort::sleep(std::chrono::milliseconds(1 + which));
  return which;
}

// Nobody receives the second and third answer: who sends them waits for ever.
inline int first_answer_leaky() {
  auto answers = gort::make_chan<int>();
  for (int i = 0; i < replicas; ++i) gort::go([answers, i] { answers.send(ask_replica(i)); });
  return *answers.recv();
}

// Room for every answer: whether it is received or not, its sender ends.
inline int first_answer_fixed() {
  auto answers = gort::make_chan<int>(replicas);
  for (int i = 0; i < replicas; ++i) gort::go([answers, i] { answers.send(ask_replica(i)); });
  return *answers.recv();
}

}  // namespace exercise

// The labels of goroutines as texts: what is behind g::labels (sched/gmp/labels.hpp).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sched/gmp/labels.hpp"

namespace gort::report {

struct text_labels : detail::label_set {
  std::vector<std::pair<std::string, std::string>> all;  // sorted by key, never empty
};

inline const text_labels& texts_of(const detail::label_set& labels) noexcept {
  return static_cast<const text_labels&>(labels);
}

}  // namespace gort::report

// A profile as numbers: stacks, labels, values. Every profile is gathered in this form and written
// from it, as profile.proto (proto.hpp) or as text (text.hpp).
//
// A stack is a list of return addresses, innermost first: the code that an entry stands for lies
// one byte before it. An address that a signal has interrupted, or that of a function that is to
// be shown, is therefore entered plus one, as report::trace and Go do.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace gort::report {

/// "delay", "nanoseconds"
struct value_type {
  std::string type;
  std::string unit;
  friend bool operator==(const value_type&, const value_type&) = default;
};

/// Text, or a number with a unit where `text` is empty.
struct sample_label {
  std::string key;
  std::string text;
  std::int64_t number = 0;
  std::string unit = {};
  friend auto operator<=>(const sample_label&, const sample_label&) = default;
};

/// For one thread at a time. Throws std::bad_alloc.
class profile_data {
 public:
  using stack = std::span<const void* const>;

  explicit profile_data(std::vector<value_type> types) : types_(std::move(types)) {}

  /// What is measured, and what one sample stands for.
  value_type period_type = {};
  std::int64_t period = 0;
  /// Which value tools show first; empty: the last.
  std::string default_type = {};
  std::int64_t time_ns = 0;  // when it was taken or began, since 1970
  std::int64_t duration_ns = 0;

  struct sample {
    std::vector<const void*> frames;
    std::vector<sample_label> labels;  // sorted by key
    std::vector<std::int64_t> values;  // one for each type
  };

  /// Adds to the sample with the same stack and labels, or makes one. `values`: one for each type;
  /// `labels`: sorted by key.
  void add(stack frames, std::span<const std::int64_t> values,
           std::span<const sample_label> labels = {});
  /// Takes away what an earlier profile of the same kind had: what is left happened since. Samples
  /// of which nothing is left go.
  void subtract(const profile_data& earlier);

  const std::vector<value_type>& types() const noexcept { return types_; }
  /// In the order in which they came.
  const std::vector<sample>& samples() const noexcept { return samples_; }
  /// The index of default_type's.
  std::size_t shown_first() const noexcept;
  /// Over all samples.
  std::int64_t total(std::size_t type) const noexcept;

 private:
  std::vector<value_type> types_;
  std::vector<sample> samples_;
  std::unordered_multimap<std::size_t, std::size_t> by_hash_;  // to an index
};

/// Now, for time_ns.
std::int64_t unix_time_ns() noexcept;

}  // namespace gort::report

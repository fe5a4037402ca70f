// What the exercises' programs print: one flat JSON object of numbers; and several of them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tool {

using measurement = std::map<std::string, double, std::less<>>;

/// Reads `{"key": number, ...}`, the last such line of `text`. Throws std::runtime_error saying
/// what is wrong.
measurement parse_measurement(std::string_view text);

/// The runs of one program.
class series {
 public:
  void add(measurement each) { runs_.push_back(std::move(each)); }
  bool empty() const { return runs_.empty(); }
  /// Of the runs that have the key; 0 where none has.
  double median(std::string_view key) const;
  double smallest(std::string_view key) const;
  double largest(std::string_view key) const;

 private:
  std::vector<double> sorted(std::string_view key) const;

  std::vector<measurement> runs_;
};

}  // namespace tool

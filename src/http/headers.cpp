#include <gort/http/headers.hpp>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "http/text.hpp"

namespace gort::http {

namespace {
constexpr std::size_t first_block = 512;
// What an object may keep for the next message.
constexpr std::size_t kept_block_max = 8 * 1024;
constexpr std::size_t kept_fields_max = 64;

bool is_field_name(std::string_view name) noexcept {
  return !name.empty() && token_chars.has_all(name);
}
}  // namespace

bool equal_fold(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

headers& headers::operator=(const headers& other) {
  if (this == &other) return *this;
  clear();
  for (const field& f : other) fields_.push_back({keep(f.name, false), keep(f.value, true)});
  return *this;
}

std::string_view headers::get(std::string_view name) const noexcept {
  for (const field& f : fields_) {
    if (equal_fold(f.name, name)) return f.value;
  }
  return {};
}

bool headers::has(std::string_view name) const noexcept {
  return std::ranges::any_of(fields_, [&](const field& f) { return equal_fold(f.name, name); });
}

std::vector<std::string_view> headers::values(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const field& f : fields_) {
    if (equal_fold(f.name, name)) out.push_back(f.value);
  }
  return out;
}

bool headers::has_token(std::string_view name, std::string_view token) const noexcept {
  return std::ranges::any_of(fields_, [&](const field& f) {
    return equal_fold(f.name, name) && list_has(f.value, token);
  });
}

void headers::set(std::string_view name, std::string_view value) {
  if (!is_field_name(name)) throw std::invalid_argument("not a field name: " + std::string(name));
  const std::string_view kept = keep(value, true);
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (!equal_fold(fields_[i].name, name)) continue;
    fields_[i].value = kept;
    const auto rest = fields_.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    // A copy: the name may be a view of a field that goes away.
    const std::string_view first = fields_[i].name;
    fields_.erase(std::remove_if(rest, fields_.end(),
                                 [&](const field& f) { return equal_fold(f.name, first); }),
                  fields_.end());
    return;
  }
  fields_.push_back({keep(name, false), kept});
}

void headers::add(std::string_view name, std::string_view value) {
  if (!is_field_name(name)) throw std::invalid_argument("not a field name: " + std::string(name));
  const std::string_view kept = keep(name, false);
  fields_.push_back({kept, keep(value, true)});
}

void headers::del(std::string_view name) noexcept {
  std::erase_if(fields_, [&](const field& f) { return equal_fold(f.name, name); });
}

void headers::clear() noexcept {
  fields_.clear();
  if (fields_.capacity() > kept_fields_max) std::vector<field>().swap(fields_);
  if (blocks_.size() > 1 || block_size_ > kept_block_max) {
    blocks_.clear();
    block_size_ = 0;
  }
  used_ = 0;
}

// Into the newest block; views of the older ones stay good.
std::string_view headers::keep(std::string_view text, bool is_value) {
  if (text.empty()) return {};
  if (block_size_ - used_ < text.size()) {
    const std::size_t size = std::max({first_block, block_size_ * 2, text.size()});
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    block_size_ = size;
    used_ = 0;
  }
  char* at = blocks_.back().get() + used_;
  used_ += text.size();
  if (!is_value) {
    std::memcpy(at, text.data(), text.size());
  } else {
    for (std::size_t i = 0; i < text.size(); ++i) {
      at[i] = is_text_char(text[i]) ? text[i] : ' ';
    }
  }
  return {at, text.size()};
}

}  // namespace gort::http

// The library's way into header fields.
#pragma once

#include <string_view>

#include <gort/http/headers.hpp>

namespace gort::http {

struct headers_access {
  headers& h;

  /// Adds without copying or checking: both texts must outlive the object, and come from a parser.
  void add_view(std::string_view name, std::string_view value) {
    h.fields_.push_back({name, value});
  }
};

}  // namespace gort::http

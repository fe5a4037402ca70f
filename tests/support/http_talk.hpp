// Talking to a server over a pipe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <gort/go.hpp>
#include <gort/http/server.hpp>

#include "support/http_streams.hpp"

namespace gort::test {

using http::server;
using http::server_options;
using http::stream;

inline const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n";
inline const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";

inline std::string without_date(std::string text) {
  for (std::size_t at; (at = text.find("Date: ")) != text.npos;) {
    text.erase(at, text.find("\r\n", at) + 2 - at);
  }
  return text;
}

/// The lines of a log, from any goroutine.
struct log_lines {
  mutex lock;
  std::string text;
  void install(server_options& o) {
    o.log = [this](std::string_view line) {
      std::lock_guard guard(lock);
      (text += line) += '\n';
    };
  }
};

/// The client's end of a connection that is served by a goroutine.
class talk {
 public:
  /// `first` has been said before the server looks.
  explicit talk(server& s, std::string_view first = {}) {
    auto pipe = make_pipe();
    end_ = std::move(pipe.client);
    if (!first.empty()) say(first);
    go([&s, end = std::shared_ptr<stream>(std::move(pipe.server))] {
      s.serve_connection(std::make_unique<forwarding_stream>(end));
    });
  }
  void say(std::string_view text) {
    std::error_code error;
    end_->write(std::as_bytes(std::span(text.data(), text.size())), error);
  }
  /// Reads until the text contains `mark`, or the end.
  std::string hear(std::string_view mark) {
    std::string out;
    std::byte one;
    std::error_code error;
    while (out.find(mark) == out.npos && end_->read({&one, 1}, error) == 1) {
      out.push_back(static_cast<char>(one));
    }
    return out;
  }
  std::string hear_all() { return hear(std::string_view("\0\0\0\0", 4)); }
  stream& end() { return *end_; }

 private:
  std::unique_ptr<stream> end_;
};

}  // namespace gort::test

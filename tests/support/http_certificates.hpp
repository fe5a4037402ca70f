// Certificates made on the spot, for tests of TLS.
#pragma once

#include <stdlib.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "http/tls.hpp"
#include "support/http_world.hpp"

namespace gort::test {

inline stream::time_point in(std::chrono::nanoseconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// A fixture: "good.pem" and "other.pem" in `folder_`, with their keys, for good.example and
/// other.example and 127.0.0.1; unless `made_` is false.
class http_tls : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (std::filesystem::temp_directory_path() / "gort-tls-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    for (const char* who : {"good", "other"}) {
      const std::string base = folder_ + "/" + who;
      const std::string command =
          "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + std::string(who) +
          " -addext subjectAltName=DNS:" + who + ".example,IP:127.0.0.1 -keyout " + base +
          ".key -out " + base + ".pem >" + folder_ + "/log 2>&1";
      if (std::system(command.c_str()) != 0) return;
    }
    made_ = true;
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  /// A client whose connections lead to a server that speaks TLS.
  struct secure_world : world {
    secure_world(handler h, client_options o) : world(std::move(h), with_dial(std::move(o))) {}
    client_options with_dial(client_options o) {
      std::error_code error;
      const auto config =
          http::make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
      EXPECT_FALSE(error);
      // `this` is only used later: the members are not there yet.
      o.dial = [this, config](const context&, const std::string&, std::error_code&) {
        auto pipe = test::make_pipe();
        connections.go([this, config, end = pipe.server.release()] {
          serve.serve_connection(http::make_tls_server(std::unique_ptr<stream>(end), config,
                                                       in(std::chrono::seconds(60))));
        });
        return std::move(pipe.client);
      };
      return o;
    }
  };

  static inline std::string folder_;
  static inline bool made_ = false;
};

}  // namespace gort::test

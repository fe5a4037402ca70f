// TLS both ways, over in-memory pipes, with certificates made on the spot.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "http/tls.hpp"
#include "support/http_world.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::failure;
using test::with_procs;
using test::world;

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
      made_ = std::system(command.c_str()) == 0;
    }
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  /// A client whose connections lead to a server that speaks TLS.
  struct secure_world : world {
    secure_world(handler h, client_options o) : world(std::move(h), with_dial(std::move(o))) {}
    client_options with_dial(client_options o) {
      std::error_code error;
      const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
      EXPECT_FALSE(error);
      // `this` is only used later: the members are not there yet.
      o.dial = [this, config](const context&, const std::string&, std::error_code&) {
        auto pipe = test::make_pipe();
        connections.go([this, config, end = pipe.server.release()] {
          serve.serve_connection(make_tls_server(std::unique_ptr<stream>(end), config, 60s));
        });
        return std::move(pipe.client);
      };
      return o;
    }
  };

  static std::string folder_;
  static bool made_;
};
std::string http_tls::folder_;
bool http_tls::made_ = false;

TEST_F(http_tls, serves_and_verifies) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [&] {
    const handler h = [](request& r, response_writer& out) {
      EXPECT_TRUE(r.is_tls());
      out.write(r.body() + std::string(50'000, 'x'));
    };
    secure_world w(h, {.ca_file = folder_ + "/good.pem"});
    for (int i = 0; i < 3; ++i) {
      response r = w.ask.post("https://good.example/", "t", std::string(200'000, 'y'));
      EXPECT_EQ(r.reused_connection(), i != 0);
      EXPECT_EQ(r.body().size(), 250'000u);
    }
    EXPECT_EQ(w.ask.get("https://127.0.0.1/").body().size(), 50'000u);
    EXPECT_EQ(failure(w.ask, {.url = "https://bad.example/"}), errc::certificate);
    EXPECT_EQ(failure(w.ask, {.url = "https://127.0.0.2/"}), errc::certificate);
    secure_world other(h, {.ca_file = folder_ + "/other.pem"});
    EXPECT_EQ(failure(other.ask, {.url = "https://good.example/"}), errc::certificate);
    secure_world system(h, {});
    EXPECT_EQ(failure(system.ask, {.url = "https://good.example/"}), errc::certificate);
    secure_world trusting(h, {.insecure_skip_verify = true});
    EXPECT_EQ(trusting.ask.get("https://any.example/").status(), 200);
    EXPECT_EQ(failure(w.ask, {.url = "http://good.example/"}), errc::unexpected_eof)
        << "HTTP to a TLS server";
    secure_world missing(h, {.ca_file = "/no/such/file"});
    EXPECT_EQ(failure(missing.ask, {.url = "https://good.example/"}), errc::tls);
  });
}

}  // namespace
}  // namespace gort::http

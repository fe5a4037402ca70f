// /metrics over HTTP: what is asked for comes, in the format that is asked for; promtool has
// nothing to say against it, and a real Prometheus scrapes it and answers queries.
#include <unistd.h>
#include <zlib.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/prometheus_handler.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "support/skip.hpp"

namespace {

using namespace std::chrono_literals;
using gort::prometheus::metrics_handler;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A server on loopback for as long as it lives.
class service {
 public:
  explicit service(gort::http::handler h) : server_(std::move(h)) {
    auto listener = gort::net::listen("127.0.0.1:0");
    address_ = listener.local_endpoint().to_string();
    serving_.go([this, l = std::make_shared<gort::net::listener>(std::move(listener))] {
      server_.serve(std::move(*l));
    });
  }
  ~service() {
    server_.close();
    serving_.wait();
  }
  const std::string& address() const { return address_; }

 private:
  gort::http::server server_;
  gort::wait_group serving_;
  std::string address_;
};

struct answer {
  int status;
  std::string type, encoding, body;
};

answer ask(const service& s, const std::string& accept = "", const std::string& encoding = "",
           const std::string& query = "") {
  gort::http::client client;
  gort::http::client_request r{.url = "http://" + s.address() + "/metrics" + query};
  if (!accept.empty()) r.header.set("Accept", accept);
  if (!encoding.empty()) r.header.set("Accept-Encoding", encoding);
  auto got = client.do_(r);
  return {got.status(), std::string(got.header("Content-Type")),
          std::string(got.header("Content-Encoding")), got.body()};
}

std::string unzipped(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  std::string out(std::size_t{4} << 20, 0);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

/// Family by family, its type.
std::map<std::string, std::string> types_in(const std::string& text) {
  std::map<std::string, std::string> out;
  std::istringstream lines(text);
  for (std::string hash, word, name, type, line; std::getline(lines, line);) {
    std::istringstream words(line);
    words >> hash >> word >> name >> type;
    if (hash == "#" && word == "TYPE") {
      EXPECT_TRUE(out.emplace(name, type).second) << name;
    }
  }
  return out;
}

TEST(prometheus_over_http, every_metric_of_go_s_has_its_name_and_type) {
  gort::run([] {
    const service s(metrics_handler());
    const answer got = ask(s);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.type, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    auto types = types_in(got.body);
    std::ifstream file(GORT_SOURCE_DIR "/tests/support/go_metrics.txt");
    int rows = 0;
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with(' ')) continue;
      std::istringstream words(line);
      std::string name, type;
      words >> name >> type;
      EXPECT_EQ(types[name], type) << name;
      ++rows;
    }
    EXPECT_EQ(rows, 66);
    EXPECT_THAT(got.body, HasSubstr("go_info{version=\"gort0.1.0\"} 1\n"));
    EXPECT_THAT(got.body,
                HasSubstr("\ngo_sched_latencies_seconds_bucket{le=\"0.010485759999999998\"} "));
    EXPECT_THAT(got.body, HasSubstr("\ngo_gc_gomemlimit_bytes 9.223372036854776e+18\n"));
    EXPECT_THAT(got.body, HasSubstr("\ngort_sched_steals_steals_total "));
    EXPECT_THAT(got.body, HasSubstr("\nprocess_resident_memory_bytes "));
  });
}

TEST(prometheus_over_http, formats_by_negotiation) {
  gort::run([] {
    const service s(metrics_handler());
    const answer open = ask(s, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    EXPECT_THAT(open.type, StartsWith("application/openmetrics-text; version=1.0.0;"));
    EXPECT_THAT(open.body, EndsWith("\n# EOF\n"));
    EXPECT_THAT(open.body, HasSubstr("\ngo_goroutines "));
    EXPECT_THAT(open.body, HasSubstr("# TYPE go_cgo_go_to_c_calls_calls counter\n"));
    EXPECT_THAT(ask(s, "text/plain").type, StartsWith("text/plain; version=0.0.4;"));

    const answer packed = ask(s, "text/plain", "gzip");
    EXPECT_EQ(packed.encoding, "gzip");
    EXPECT_THAT(unzipped(packed.body), HasSubstr("\ngo_goroutines "));
    EXPECT_EQ(ask(s, "text/plain", "gzip;q=0").encoding, "");

    EXPECT_THROW(metrics_handler({nullptr}), std::invalid_argument);
    const service plain(metrics_handler({std::make_shared<gort::prometheus::go_collector>()},
                                        {.open_metrics = false, .compression = false}));
    const answer refused = ask(plain, "application/openmetrics-text", "gzip");
    EXPECT_THAT(refused.type, StartsWith("text/plain"));
    EXPECT_EQ(refused.encoding, "");
  });
}

TEST(prometheus_over_http, families_by_name) {
  gort::run([] {
    const service s(metrics_handler());
    const answer got = ask(s, "", "", "?name%5B%5D=go_goroutines&name[]=go_info&x=y");
    EXPECT_EQ(types_in(got.body), (std::map<std::string, std::string>{{"go_goroutines", "gauge"},
                                                                      {"go_info", "gauge"}}));
  });
}

/// What it is told to be.
struct told final : ::prometheus::Collectable {
  explicit told(std::function<std::vector<::prometheus::MetricFamily>()> f)
      : collect(std::move(f)) {}
  std::vector<::prometheus::MetricFamily> Collect() const override { return collect(); }
  std::function<std::vector<::prometheus::MetricFamily>()> collect;
};

::prometheus::MetricFamily one(const std::string& name, ::prometheus::MetricType type) {
  ::prometheus::MetricFamily f{name, "help", type, {}};
  f.metric.emplace_back();
  return f;
}

TEST(prometheus_over_http, the_program_s_own_beside_the_runtime_s) {
  gort::run([] {
    auto registry = std::make_shared<::prometheus::Registry>();
    auto& family =
        ::prometheus::BuildCounter().Name("orders_total").Help("Orders.").Register(*registry);
    family.Add({{"kind", "book"}}).Increment(3);
    const service s(
        metrics_handler({registry, std::make_shared<gort::prometheus::go_collector>()}));
    const answer got = ask(s);
    EXPECT_THAT(got.body, HasSubstr("\norders_total{kind=\"book\"} 3\n"));
    EXPECT_THAT(got.body, HasSubstr("\ngo_goroutines "));
  });
}

TEST(prometheus_over_http, errors_are_answers) {
  using ::prometheus::MetricType;
  gort::run([] {
    const service broken(
        metrics_handler({std::make_shared<told>([]() -> std::vector<::prometheus::MetricFamily> {
          throw std::runtime_error("no disk");
        })}));
    const answer got = ask(broken);
    EXPECT_EQ(got.status, 500);
    EXPECT_THAT(got.body, HasSubstr("An error has occurred while serving metrics:\n\nno disk"));

    const service torn(metrics_handler(
        {std::make_shared<told>([] { return std::vector{one("x", MetricType::Gauge)}; }),
         std::make_shared<told>([] { return std::vector{one("x", MetricType::Counter)}; })}));
    EXPECT_EQ(ask(torn).status, 500);
  });
}

TEST(prometheus_over_http, too_many_at_once_are_refused) {
  gort::run([] {
    auto inside = gort::make_chan<gort::unit>(), go_on = gort::make_chan<gort::unit>();
    const service s(metrics_handler({std::make_shared<told>([=]() mutable {
                                      inside.send({});
                                      go_on.recv();
                                      return std::vector<::prometheus::MetricFamily>{};
                                    })},
                                    {.max_requests_in_flight = 1}));
    gort::wait_group all;
    all.go([&] { EXPECT_EQ(ask(s).status, 200); });
    inside.recv();
    EXPECT_EQ(ask(s).status, 503);
    go_on.close();
    all.wait();
  });
}

TEST(vars, are_go_s_expvar) {
  gort::run([] {
    static gort::expvar::integer hits("test hits \"<\n");
    hits.add(41);
    hits.add(1);
    EXPECT_THROW(gort::expvar::publish("memstats", [] { return "1"; }), gort::runtime_error);
    const service s(gort::http::vars_handler());
    const answer got = ask(s);
    EXPECT_EQ(got.type, "application/json; charset=utf-8");
    EXPECT_THAT(got.body, StartsWith("{\n\"cmdline\": [\""));
    EXPECT_THAT(got.body, HasSubstr(",\n\"memstats\": {\"Alloc\":"));
    EXPECT_THAT(got.body, HasSubstr("\"NumGC\":0"));
    EXPECT_THAT(got.body, EndsWith(",\n\"test hits \\\"\\u003c\\u000a\": 42\n}\n"));
    if (std::system("python3 --version >/dev/null 2>&1") != 0) GORT_SKIP("no python3");
    auto parser = gort::exec::start({.program = "python3",
                                     .arguments = {"-c",
                                                   "import json,sys; d=json.load(sys.stdin); "
                                                   "print(len(d['memstats']['BySize']))"},
                                     .in = gort::exec::redirect::pipe(),
                                     .out = gort::exec::redirect::pipe()});
    parser.in().write(std::as_bytes(std::span(got.body)));
    parser.in().close();
    EXPECT_EQ(parser.out().read_all(), "61\n");
    EXPECT_TRUE(parser.wait().success());
  });
}

TEST(vars, are_json_whatever_a_text_holds) {
  const auto as_json = [](std::string_view text) { return gort::expvar::quoted(text); };
  EXPECT_EQ(as_json("a\"\\\x01<"), "\"a\\\"\\\\\\u0001\\u003c\"");
  for (const std::string good : {"\u00e4", "\u20ac", "\U0001f600", "\U0010ffff", "\ud7ff"})
    EXPECT_EQ(as_json(good + "x"), '"' + good + "x\"");
  // A byte of the midst, cut ones, longer ones than needed, half a pair, beyond the last.
  EXPECT_EQ(as_json("\x80x"), "\"\\ufffdx\"");
  EXPECT_EQ(as_json("x\xe2\x82"), "\"x\\ufffd\\ufffd\"");
  EXPECT_EQ(as_json("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(as_json("\xe0\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(as_json("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(as_json("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(vars, what_cannot_be_called_is_refused_where_it_is_published) {
  EXPECT_THROW(gort::expvar::publish("nothing to call", nullptr), gort::runtime_error);
  EXPECT_THAT(gort::expvar::json(), Not(HasSubstr("nothing to call")));
}

// --- Prometheus's own programs

bool has(const std::string& program) {
  return std::system((program + " --version >/dev/null 2>&1").c_str()) == 0;
}

TEST(prometheus_programs, promtool_has_nothing_against_it) {
  if (!has("promtool")) GORT_SKIP("no promtool");
  gort::run([] {
    const service s(metrics_handler({std::make_shared<gort::prometheus::go_collector>(),
                                     std::make_shared<gort::prometheus::process_collector>()}));
    const service all(metrics_handler());
    for (const service* each : {&s, &all}) {
      auto tool = gort::exec::start({.program = "promtool",
                                     .arguments = {"check", "metrics"},
                                     .in = gort::exec::redirect::pipe(),
                                     .out = gort::exec::redirect::pipe(),
                                     .err = gort::exec::redirect::merge()});
      const answer got = ask(*each);
      tool.in().write(std::as_bytes(std::span(got.body)));
      tool.in().close();
      const std::string said = tool.out().read_all();
      EXPECT_TRUE(tool.wait().success()) << said;
      EXPECT_EQ(said, "");
    }
  });
}

/// In a folder of its own, on a free port of loopback.
class prometheus_server {
 public:
  explicit prometheus_server(const std::string& target) {
    std::string name = (std::filesystem::temp_directory_path() / "gort-prometheus-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
    std::ofstream(folder_ / "prometheus.yml")
        << "scrape_configs:\n- job_name: gort\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n"
           "  static_configs: [{targets: [\""
        << target << "\"]}]\n";
    const std::string folder = folder_.string();
    program_ = gort::exec::start({.program = "prometheus",
                                  .arguments = {"--config.file=" + folder + "/prometheus.yml",
                                                "--storage.tsdb.path=" + folder + "/data",
                                                "--web.listen-address=127.0.0.1:0"},
                                  .directory = folder,
                                  .out = gort::exec::redirect::pipe(),
                                  .err = gort::exec::redirect::merge()});
    // msg="Listening on" address=127.0.0.1:40123
    const std::string mark = "msg=\"Listening on\" address=";
    std::string said;
    std::byte piece[4096];
    std::size_t at;
    while ((at = said.find(mark)) == said.npos || said.find('\n', at) == said.npos) {
      const std::size_t got = program_.out().read(piece);
      if (got == 0) throw std::runtime_error(said);
      said.append(reinterpret_cast<char*>(piece), got);
    }
    at += mark.size();
    address_ = said.substr(at, said.find_first_of(" \n", at) - at);
    log_.go([this] { program_.out().read_all(); });  // or its pipe fills up
  }
  ~prometheus_server() {
    program_.kill();
    program_.wait();
    log_.wait();
    std::filesystem::remove_all(folder_);
  }

  /// The answer to a query once it has any value.
  std::string query(const std::string& what) {
    gort::http::client client;
    for (;;) {
      const std::string got = client
                                  .post("http://" + address_ + "/api/v1/query",
                                        "application/x-www-form-urlencoded", "query=" + what)
                                  .body();
      if (got.find("\"value\":[") != got.npos) return got;
      if (got.find("\"status\":\"error\"") != got.npos) return got;
      gort::sleep(50ms);
    }
  }

 private:
  std::filesystem::path folder_;
  gort::exec::process program_;
  gort::wait_group log_;
  std::string address_;
};

TEST(prometheus_programs, a_server_scrapes_and_answers) {
  if (!has("prometheus")) GORT_SKIP("no prometheus");
  gort::run([] {
    const service s(metrics_handler());
    constexpr int parked = 1234;
    auto never = gort::make_chan<gort::unit>();
    gort::wait_group all;
    for (int i = 0; i < parked; ++i) all.go([&] { never.recv(); });
    prometheus_server server(s.address());
    const std::string goroutines = server.query("go_sched_goroutines_goroutines");
    EXPECT_THAT(goroutines, HasSubstr("\"__name__\":\"go_sched_goroutines_goroutines\""));
    const std::size_t at = goroutines.find("\"value\":[");
    ASSERT_NE(at, goroutines.npos) << goroutines;
    const double value = std::strtod(goroutines.c_str() + goroutines.find(",\"", at) + 2, nullptr);
    EXPECT_GE(value, parked);
    EXPECT_LT(value, parked + 100);
    const std::string quantile =
        server.query("histogram_quantile(0.99, rate(go_sched_latencies_seconds_bucket[1m])) > 0");
    EXPECT_THAT(quantile, HasSubstr("\"status\":\"success\""));
    EXPECT_THAT(quantile, HasSubstr("\"value\":["));
    // What dashboards use to find processes, and to draw restarts.
    EXPECT_THAT(server.query("go_info"), HasSubstr("\"version\":\"gort"));
    EXPECT_THAT(server.query("time() - process_start_time_seconds"), HasSubstr("\"value\":["));
    EXPECT_THAT(server.query("up == 1"), HasSubstr("\"1\""));  // scrapes may be late now and then
    never.close();
    all.wait();
  });
}

}  // namespace

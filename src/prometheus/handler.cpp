#include <zlib.h>
#include <algorithm>
#include <cstdint>
#include <exception>
#include <map>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gort/detail/atomic.hpp>
#include <gort/prometheus_handler.hpp>

#include "os/process_facts.hpp"
#include "prometheus/negotiation.hpp"

namespace gort::prometheus {

namespace {

using ::prometheus::Collectable;
using ::prometheus::MetricFamily;

struct served {
  std::vector<std::shared_ptr<Collectable>> collectors;
  handler_options options;
  detail::atomic<int> in_flight;
};

// One request counts for as long as this lives.
class ticket {
 public:
  explicit ticket(served& of) : of_(of), number_(of.in_flight.fetch_add_relaxed(1) + 1) {}
  ~ticket() { of_.in_flight.fetch_sub_relaxed(1); }
  ticket(const ticket&) = delete;
  ticket& operator=(const ticket&) = delete;
  bool too_many() const noexcept {
    return of_.options.max_requests_in_flight > 0 && number_ > of_.options.max_requests_in_flight;
  }

 private:
  served& of_;
  int number_;
};

std::vector<MetricFamily> collect(const served& what) {
  std::map<std::string, MetricFamily> by_name;
  for (const auto& collector : what.collectors) {
    for (MetricFamily& family : collector->Collect()) {
      const auto [at, fresh] = by_name.try_emplace(family.name);
      if (fresh) {
        at->second = std::move(family);
        continue;
      }
      if (at->second.type != family.type)
        throw std::runtime_error("the metric " + family.name + " has two types");
      std::ranges::move(family.metric, std::back_inserter(at->second.metric));
    }
  }
  std::vector<MetricFamily> out;
  for (auto& [name, family] : by_name) out.push_back(std::move(family));
  return out;
}

// Percent-encoding, and + for a blank.
std::string decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// The values of name[] in a query.
std::set<std::string> wanted_names(std::string_view query) {
  std::set<std::string> out;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == query.npos ? std::string_view() : query.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals != pair.npos && decoded(pair.substr(0, equals)) == "name[]")
      out.insert(decoded(pair.substr(equals + 1)));
  }
  return out;
}

std::string gzip(const std::string& text) {
  constexpr int gzip_format = 16 + MAX_WBITS, memory_level = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_format, memory_level,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string out(deflateBound(&stream, text.size()), 0);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

std::string all_values(const http::headers& fields, std::string_view name) {
  std::string out;
  for (const std::string_view each : fields.values(name)) (out += out.empty() ? "" : ",") += each;
  return out;
}

void serve(served& what, http::request& r, http::response_writer& w) {
  const ticket mine(what);
  if (mine.too_many()) {
    return http::error(w,
                       "Limit of concurrent requests reached (" +
                           std::to_string(what.options.max_requests_in_flight) +
                           "), try again later.",
                       http::status::service_unavailable);
  }
  std::vector<MetricFamily> families;
  try {
    families = collect(what);
  } catch (const std::exception& error) {
    std::string text = "An error has occurred while serving metrics:\n\n";
    if (const char* what_it_says = error.what(); what_it_says != nullptr) text += what_it_says;
    return http::error(w, text, http::status::internal_server_error);
  }
  if (const std::set<std::string> names = wanted_names(r.query()); !names.empty())
    std::erase_if(families, [&](const MetricFamily& f) { return !names.contains(f.name); });
  const bool open_metrics =
      what.options.open_metrics && prefers_open_metrics(all_values(r.header(), "Accept"));
  http::headers& fields = w.header();
  fields.set("Content-Type",
             open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8; "
                            "escaping=underscores"
                          : "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
  fields.add("Vary", "Accept, Accept-Encoding");
  if (what.options.process_start_time) {
    if (const auto start = os::read_process_facts().start_time_seconds)
      fields.set("Process-Start-Time-Unix", std::to_string(static_cast<std::int64_t>(*start)));
  }
  std::string body =
      open_metrics ? to_open_metrics(std::move(families)) : to_text(std::move(families));
  if (what.options.compression && accepts_gzip(all_values(r.header(), "Accept-Encoding"))) {
    body = gzip(body);
    fields.set("Content-Encoding", "gzip");
  }
  w.write(body);
}

}  // namespace

http::handler metrics_handler(std::vector<std::shared_ptr<Collectable>> collectors,
                              const handler_options& options) {
  if (std::ranges::find(collectors, nullptr) != collectors.end())
    throw std::invalid_argument("prometheus: nil collector");
  auto what = std::make_shared<served>();
  what->collectors = std::move(collectors);
  what->options = options;
  return [what](http::request& r, http::response_writer& w) { serve(*what, r, w); };
}

http::handler metrics_handler() {
  return metrics_handler(
      {std::make_shared<go_collector>(collector_options{.runtime = {metrics_all}}),
       std::make_shared<process_collector>()});
}

}  // namespace gort::prometheus

// Prometheus's text format 0.0.4, and OpenMetrics 1.0.0: the same families, with small differences.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/prometheus.hpp>

#include "report/utf8.hpp"

namespace gort::prometheus {

namespace {

using ::prometheus::ClientMetric;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

// As Go's %g: the fewest digits that say the number, an exponent from 1e+06 up and below 1e-04.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific).ptr;
  std::string out(text, end);
  int exponent = 0;
  const std::size_t e = out.find('e');
  const char* digits = out.c_str() + e + (out[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits, out.c_str() + out.size(), exponent);
  constexpr int from = -4, to = 6;
  if (exponent < from || exponent >= to) return out;
  return {text, std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed).ptr};
}

class writer {
 public:
  explicit writer(bool open_metrics) : open_metrics_(open_metrics) {}

  void family(const MetricFamily& f) {
    head(f);
    for (const ClientMetric& m : f.metric) {
      switch (f.type) {
        case MetricType::Counter: sample(counter_name(f), m, "", "", real(m.counter.value)); break;
        case MetricType::Gauge: sample(f.name, m, "", "", real(m.gauge.value)); break;
        case MetricType::Untyped: sample(f.name, m, "", "", real(m.untyped.value)); break;
        case MetricType::Summary: summary(f.name, m); break;
        case MetricType::Histogram: histogram(f.name, m); break;
      }
    }
  }

  std::string text() && {
    if (open_metrics_) out_ += "# EOF\n";
    return std::move(out_);
  }

 private:
  static constexpr std::string_view total = "_total";

  std::string real(double value) const {
    std::string out = number(value);
    // OpenMetrics: a real number looks like one.
    if (open_metrics_ && std::isfinite(value) && out.find_first_of(".e") == out.npos) out += ".0";
    return out;
  }
  std::string whole(std::uint64_t value) const {
    return open_metrics_ ? std::to_string(value) : number(static_cast<double>(value));
  }

  // In OpenMetrics the family of a counter has no _total, and its sample always has.
  std::string_view family_name(const MetricFamily& f) const {
    std::string_view name = f.name;
    if (open_metrics_ && f.type == MetricType::Counter && name.ends_with(total))
      name.remove_suffix(total.size());
    return name;
  }
  std::string counter_name(const MetricFamily& f) const {
    const bool add = open_metrics_ && !f.name.ends_with(total);
    return add ? f.name + std::string(total) : f.name;
  }

  void head(const MetricFamily& f) {
    const std::string_view name = family_name(f);
    if (!f.help.empty()) {
      ((out_ += "# HELP ") += name) += ' ';
      escaped(f.help, open_metrics_);
      out_ += '\n';
    }
    constexpr std::string_view types[] = {"counter", "gauge", "summary", "untyped", "histogram"};
    std::string_view type = types[static_cast<int>(f.type)];
    if (open_metrics_ && f.type == MetricType::Untyped) type = "unknown";
    (((out_ += "# TYPE ") += name) += ' ') += type;
    out_ += '\n';
  }

  void escaped(std::string_view text, bool quotes) {
    for (const char c : report::as_utf8(text)) {
      if (c == '\\')
        out_ += "\\\\";
      else if (c == '\n')
        out_ += "\\n";
      else if (c == '"' && quotes)
        out_ += "\\\"";
      else
        out_ += c;
    }
  }

  void label(std::string_view name, std::string_view value, bool& first) {
    out_ += first ? '{' : ',';
    first = false;
    (out_ += name) += "=\"";
    escaped(value, true);
    out_ += '"';
  }

  void sample(std::string_view name, const ClientMetric& m, std::string_view extra_label,
              std::string_view extra_value, std::string_view value) {
    out_ += name;
    bool first = true;
    for (const ClientMetric::Label& each : m.label) label(each.name, each.value, first);
    if (!extra_label.empty()) label(extra_label, extra_value, first);
    if (!first) out_ += '}';
    (out_ += ' ') += value;
    if (m.timestamp_ms != 0) {
      out_ += ' ';
      out_ += open_metrics_ ? number(static_cast<double>(m.timestamp_ms) / 1000)
                            : std::to_string(m.timestamp_ms);
    }
    out_ += '\n';
  }

  void summary(const std::string& name, const ClientMetric& m) {
    for (const ClientMetric::Quantile& q : m.summary.quantile)
      sample(name, m, "quantile", real(q.quantile), real(q.value));
    sample(name + "_sum", m, "", "", real(m.summary.sample_sum));
    sample(name + "_count", m, "", "", whole(m.summary.sample_count));
  }

  void histogram(const std::string& name, const ClientMetric& m) {
    bool had_infinity = false;
    for (const ClientMetric::Bucket& b : m.histogram.bucket) {
      had_infinity = had_infinity || std::isinf(b.upper_bound);
      sample(name + "_bucket", m, "le", real(b.upper_bound), whole(b.cumulative_count));
    }
    if (!had_infinity) sample(name + "_bucket", m, "le", "+Inf", whole(m.histogram.sample_count));
    sample(name + "_sum", m, "", "", real(m.histogram.sample_sum));
    sample(name + "_count", m, "", "", whole(m.histogram.sample_count));
  }

  bool open_metrics_;
  std::string out_;
};

std::string write(std::vector<MetricFamily> families, bool open_metrics) {
  std::stable_sort(families.begin(), families.end(),
                   [](const MetricFamily& a, const MetricFamily& b) { return a.name < b.name; });
  writer to(open_metrics);
  for (const MetricFamily& each : families) {
    if (!each.metric.empty()) to.family(each);
  }
  return std::move(to).text();
}

}  // namespace

std::string to_text(std::vector<MetricFamily> families) {
  return write(std::move(families), false);
}

std::string to_open_metrics(std::vector<MetricFamily> families) {
  return write(std::move(families), true);
}

}  // namespace gort::prometheus

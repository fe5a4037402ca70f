#include <gort/go.hpp>
#include <gort/prometheus_handler.hpp>

#include <cstdio>

int main() {
  return gort::run([] {
    const gort::http::handler serve = gort::prometheus::metrics_handler();
    const std::string text = gort::prometheus::to_text(gort::prometheus::go_collector().Collect());
    const bool all = serve && text.find("\ngo_goroutines 1\n") != text.npos;
    std::printf("exported: %s\n", all ? "yes" : "no");
  });
}

// Where profiles and traces are to be written to is asked for when they begin.
#include <system_error>

#include <gtest/gtest.h>

#include <gort/error.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/trace.hpp>

namespace {

TEST(sink, that_is_empty_is_refused_at_once) {
  gort::run([] {
    EXPECT_THROW(gort::pprof::lookup("goroutine")->write_to(nullptr), gort::runtime_error);
    EXPECT_THROW(gort::pprof::start_cpu_profile(nullptr), gort::runtime_error);
    EXPECT_THROW(gort::pprof::start_wall_profile({}), gort::runtime_error);
    std::error_code error;
    gort::pprof::start_cpu_profile(nullptr, error);
    EXPECT_EQ(error, std::errc::invalid_argument);
    gort::pprof::start_wall_profile(nullptr, error = {});
    EXPECT_EQ(error, std::errc::invalid_argument);
    EXPECT_THROW(gort::trace::start(nullptr), std::system_error);
    EXPECT_THROW(gort::trace::to_perfetto("", nullptr), gort::runtime_error);
    gort::trace::flight_recorder recorder;
    recorder.start();
    EXPECT_THROW(recorder.write_to(nullptr), std::system_error);
  });
}

}  // namespace

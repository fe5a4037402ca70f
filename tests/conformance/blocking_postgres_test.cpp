// An unmodified client library that blocks: libpq against a real server, with one P.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"
#include "support/skip.hpp"

#ifdef GORT_TEST_LIBPQ
#include "support/postgres.hpp"
#endif

namespace gort {
namespace {

using namespace std::chrono_literals;

#ifdef GORT_TEST_LIBPQ
class client {
 public:
  explicit client(const test::postgres_server& of) : db_(PQconnectdb(of.conninfo().c_str())) {}
  ~client() { PQfinish(db_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// What stands first in the answer; why there is none.
  std::string first_of(const std::string& query) const {
    PGresult* result = PQexec(db_, query.c_str());
    std::string out = PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0)
                                                                : PQerrorMessage(db_);
    PQclear(result);
    return out;
  }

 private:
  PGconn* db_;
};

TEST(blocking, a_postgresql_client) {
  const test::postgres_server server;
  if (!server.problem().empty()) GORT_SKIP(server.problem());
  std::string answer = "none";
  detail::atomic<bool> holds{false}, waits{false}, has_answer{false};
  test::with_procs(1, [&] {
    wait_group all;
    // Two clients, and a lock of the server's that one waits for and the other has. It is released
    // by a goroutine that has had turns meanwhile: without a hand-off all would wait for ever.
    all.go([&] {
      const client holder(server);
      EXPECT_EQ(holder.first_of("select 'held', pg_advisory_lock(1)"), "held");
      holds.store_release(true);  // pairs with the acquire below
      const std::string others =
          "select count(*) from pg_locks where locktype = 'advisory' and not granted";
      while (!waits.load_acquire() || holder.first_of(others) == "0") gort::sleep(1ms);
      for (int turns = 0; turns < 10; ++turns) gort::sleep(1ms);
      EXPECT_FALSE(has_answer.load_acquire());
      EXPECT_EQ(holder.first_of("select 'released', pg_advisory_unlock(1)"), "released");
    });
    all.go([&] {
      const client waiter(server);
      while (!holds.load_acquire()) gort::sleep(1ms);
      waits.store_release(true);  // pairs with the acquire above
      answer = waiter.first_of("select 'slept', pg_advisory_lock(1)");
      has_answer.store_release(true);  // likewise
    });
    all.wait();
  });
  EXPECT_EQ(answer, "slept");
}
#else
TEST(blocking, a_postgresql_client) { GORT_SKIP("built without libpq (libpq-dev)"); }
#endif

}  // namespace
}  // namespace gort

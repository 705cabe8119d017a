// The command line, and what errors become.
#include "../../../test/unit/check.hpp"
#include "pg_live/array_literal.hpp"
#include "pg_live/backoff.hpp"
#include "pg_live/options.hpp"
#include "pg_live/problem.hpp"

using pg_live::Backoff;
using pg_live::Mode;
using pg_live::Options;
using pg_live::ParseDuration;
using pg_live::ParseOptions;
using pg_live::ServerError;

namespace {

// The complaint about a command line; empty if there is none.
std::string Complaint(const std::vector<std::string>& arguments) {
  try {
    ParseOptions(arguments);
  } catch (const pg_live::UsageError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(ConnectionOptionsAreThoseOfPsql) {
  const Options options = ParseOptions({"-h", "box", "-p5433", "--username=me", "--dbname", "shop",
                                        "-w", "SELECT $1", "-3", "--", "SELECT 2"});
  CHECK_EQ(options.host, "box");
  CHECK_EQ(options.port, "5433");
  CHECK_EQ(options.user, "me");
  CHECK_EQ(options.database, "shop");
  CHECK(options.never_ask_password);
  CHECK_EQ(options.queries.size(), 2U);
  CHECK_EQ(options.queries[0].params.size(), 1U);
  CHECK_EQ(options.queries[0].params[0], "-3");
  CHECK_EQ(options.queries[1].query, "SELECT 2");
  CHECK_EQ(ParseOptions({"--", "-x"}).queries[0].query, "-x");
  // An empty value is one: what comes next is no part of it.
  const Options empty = ParseOptions({"--host=", "-d", "", "SELECT 1", "2"});
  CHECK_EQ(empty.host + empty.database, "");
  CHECK_EQ(empty.queries.at(0).query, "SELECT 1");
}

TEST(ModesAndEnds) {
  const Options options =
      ParseOptions({"--changes", "--count=3", "--for", "10s", "--until-empty", "SELECT 1"});
  CHECK(options.mode == Mode::kChanges);
  CHECK_EQ(*options.count, 3U);
  CHECK_EQ(options.time->count(), 10000);
  CHECK(options.until_empty);
  CHECK(ParseOptions({"--exec", "cat", "SELECT 1"}).mode == Mode::kExec);
}

TEST(WrongArguments) {
  CHECK_EQ(Complaint({}), "a query is missing");
  CHECK_EQ(Complaint({"--nothing"}), "there is no option \"--nothing\"");
  CHECK_EQ(Complaint({"-h"}), "-h needs a value");
  CHECK_EQ(Complaint({"--host"}), "--host needs a value");
  CHECK_EQ(Complaint({"--count=", "SELECT 1"}), "--count takes a number above 0, not \"\"");
  CHECK_EQ(Complaint({"--json=1", "SELECT 1"}), "--json takes no value");
  CHECK(Complaint({"--json", "--changes", "SELECT 1"}).starts_with("--json, --changes"));
  CHECK(Complaint({"--count", "0", "SELECT 1"}).starts_with("--count takes a number"));
  CHECK(Complaint({"--for", "soon", "SELECT 1"}).starts_with("--for takes a time"));
  CHECK_EQ(Complaint({"SELECT 1", "--json"}), "\"--json\": options stand before the query");
  CHECK_EQ(Complaint({"SELECT 1", "--"}), "a query is missing after --");
  CHECK(Complaint({"--list", "SELECT 1"}).starts_with("--list takes no query"));
  CHECK_EQ(Complaint({"--list"}), "");
  CHECK_EQ(Complaint({"-wW", "SELECT 1"}), "-w and -W exclude each other");
  CHECK_EQ(Complaint({"-wW", "--list"}), "-w and -W exclude each other");
}

TEST(Durations) {
  CHECK_EQ(ParseDuration("500ms")->count(), 500);
  CHECK_EQ(ParseDuration("1.5s")->count(), 1500);
  CHECK_EQ(ParseDuration("2")->count(), 2000);
  CHECK_EQ(ParseDuration("2min")->count(), 120000);
  CHECK_EQ(ParseDuration("1h")->count(), 3600000);
  for (const char* text : {"", "s", "-1s", "1d", "nan", "inf", "1e300h"})
    CHECK(!ParseDuration(text));
}

TEST(TimesAreThoseOfTheNorm) {
  const pg_live::Times norm = ParseOptions({"SELECT 1"}).times;
  CHECK_EQ(norm.heartbeat.count(), 15000);
  CHECK_EQ(norm.answer.count(), 10000);
  CHECK_EQ(norm.long_answer.count(), 120000);
  CHECK_EQ(norm.first_wait.count(), 1000);
  CHECK_EQ(norm.longest_wait.count(), 30000);
  const pg_live::Times times =
      ParseOptions({"--heartbeat=1s", "--answer", "2s", "--long-answer=3min", "--first-wait=40ms",
                    "--longest-wait=5s", "SELECT 1"})
          .times;
  CHECK_EQ(times.heartbeat.count(), 1000);
  CHECK_EQ(times.answer.count(), 2000);
  CHECK_EQ(times.long_answer.count(), 180000);
  CHECK_EQ(times.first_wait.count(), 40);
  CHECK_EQ(times.longest_wait.count(), 5000);
  CHECK(Complaint({"--answer=soon", "SELECT 1"}).find("--answer takes a time") == 0);
  CHECK(Complaint({"--heartbeat=0", "SELECT 1"}).find("above 0") != std::string::npos);
}

TEST(WaitsAreSpreadAndGrow) {
  Backoff backoff{pg_live::Times()};
  const Backoff::Time start{};
  const auto at = [&](int seconds) { return start + std::chrono::seconds(seconds); };
  CHECK_EQ(backoff.Next(0.25, at(0)).count(), 250);
  CHECK_EQ(backoff.Next(0, at(0)).count(), 0);
  // All was well for less than ten seconds: twice as long as before.
  backoff.Well(at(1));
  CHECK_EQ(backoff.Next(1, at(10)).count(), 4000);
  for (int i = 0; i < 20; ++i) backoff.Next(1, at(10));
  CHECK_EQ(backoff.Next(1, at(10)).count(), 30000);
  // Time alone, in which it never was well, is no calm.
  CHECK_EQ(backoff.Next(0.5, at(1000)).count(), 15000);
  backoff.Well(at(1000));
  CHECK_EQ(backoff.Next(1, at(1010)).count(), 1000);
  // Waits that are set.
  pg_live::Times times;
  times.first_wait = std::chrono::milliseconds(200);
  times.longest_wait = std::chrono::milliseconds(500);
  Backoff other(times);
  CHECK_EQ(other.Next(1, at(0)).count(), 200);
  CHECK_EQ(other.Next(1, at(0)).count(), 400);
  CHECK_EQ(other.Next(1, at(0)).count(), 500);
}

TEST(ProblemsAreOneLine) {
  CHECK_EQ(
      pg_live::ProblemText(ServerError("watching a query requires wal_level = logical", "55000", "",
                                       "Set wal_level = logical and\nrestart the server.")),
      "watching a query requires wal_level = logical. Set wal_level = logical and restart the "
      "server.");
  CHECK(
      pg_live::IsMissingExtension(ServerError("schema \"live\" does not exist", "3F000", "", "")));
  CHECK(!pg_live::IsMissingExtension(ServerError("schema \"x\" does not exist", "3F000", "", "")));
  CHECK(pg_live::WaitingText("live_queries waits for older transactions to end",
                             "Running: process 7.")
            .find("Running: process 7. End them") != std::string::npos);
  CHECK(pg_live::PassesByItself("57P03"));
  CHECK(!pg_live::PassesByItself("42P01"));
}

TEST(ArrayLiterals) {
  CHECK_EQ(pg_live::ArrayLiteral({}), "{}");
  CHECK_EQ(pg_live::ArrayLiteral({"a\"b\\c", "", "NULL", "x,y"}), R"({"a\"b\\c","","NULL","x,y"})");
}

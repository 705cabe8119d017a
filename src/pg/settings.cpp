// Defines the settings. Each is described in the README's table, and a check compares the two.
// Process: postmaster.
#include "pg/settings.hpp"

#include <climits>

#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace live_queries {

int max_subscriptions = 10000;
int max_databases = 16;
int memory_limit_kb = 256 * 1024;
int role_share = 75;
int connection_share = 50;
int mailbox_size_kb = 1024;
int spill_size_kb = 256 * 1024;
int transaction_memory_kb = 16 * 1024;
int idle_timeout_ms = 60 * 1000;
int evaluation_timeout_ms = 5 * 1000;
int evaluators = 1;
int evaluator_share = 20;
int evaluator_work_mem_kb = -1;
int evaluator_temp_file_limit_kb = -1;
int subscribe_timeout_ms = 60 * 1000;
int progress_interval_ms = 0;
bool share_messages = false;
char* always_on_databases = nullptr;

void DefineSettings() {
  DefineCustomIntVariable("live_queries.max_subscriptions",
                          "Maximum number of live queries of the whole server.", nullptr,
                          &max_subscriptions, 10000, 1, 10'000'000, PGC_POSTMASTER, 0, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.max_databases", "Maximum number of databases with live queries at one time.",
      nullptr, &max_databases, 16, 1, 10'000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.memory_limit",
                          "Shared memory for all live queries and their mailboxes.", nullptr,
                          &memory_limit_kb, 256 * 1024, 4 * 1024, INT_MAX, PGC_POSTMASTER,
                          GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.role_share",
      "Percentage of max_subscriptions and of memory_limit that the sessions of one role may take.",
      "100 is no limit. It does not hold for superusers.", &role_share, 75, 1, 100, PGC_SIGHUP, 0,
      nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.connection_share",
      "Percentage of max_subscriptions and of memory_limit that one connection may take.",
      "100 is no limit. It does not hold for superusers.", &connection_share, 50, 1, 100,
      PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.mailbox_size",
                          "Shared memory for the undelivered messages of one connection.",
                          "Messages past it wait in a temporary file.", &mailbox_size_kb, 1024, 64,
                          1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.spill_size", "Disk space for the undelivered messages of one connection.",
      "Past it the live queries of the connection are reset.", &spill_size_kb, 256 * 1024, 0,
      INT_MAX, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.transaction_memory", "Memory for the decoded changes of one transaction.",
      "Changes past it wait in a temporary file.", &transaction_memory_kb, 16 * 1024, 64,
      MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.idle_timeout",
                          "A decoder stops when its database had no live query for this long.",
                          nullptr, &idle_timeout_ms, 60 * 1000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.evaluators",
      "Number of workers that evaluate live queries on more than rows of one table, for each "
      "database.",
      "Each has another one beside it for whole queries. 0: only rows of one table can be watched, "
      "as far as its old rows are logged.",
      &evaluators, 1, 0, kMaxEvaluators, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.evaluation_timeout",
      "A live query whose expressions take longer than this on one batch of changes is ended.",
      "0 turns the limit off.", &evaluation_timeout_ms, 5 * 1000, 0, INT_MAX, PGC_SIGHUP,
      GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.evaluator_share",
      "Percentage of the time that an evaluator works while there is always something to do.",
      "It rests in between, and its batches become longer. 100: it never rests.", &evaluator_share,
      20, 1, 100, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.evaluator_work_mem",
                          "work_mem of the queries that evaluators run.",
                          "-1 is that of the server.", &evaluator_work_mem_kb, -1, -1,
                          MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.evaluator_temp_file_limit",
                          "temp_file_limit of each evaluator.", "-1 is that of the server.",
                          &evaluator_temp_file_limit_kb, -1, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.subscribe_timeout",
                          "live.subscribe gives up when the decoder is not ready after this long.",
                          "0 waits for ever.", &subscribe_timeout_ms, 60 * 1000, 0, INT_MAX,
                          PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("live_queries.progress_interval",
                          "Least time between two messages that say up to where all has been told.",
                          "0 sends none. They come only while transactions begin and end.",
                          &progress_interval_ms, 0, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, nullptr,
                          nullptr, nullptr);
  DefineCustomBoolVariable(
      "live_queries.share_messages",
      "Whether live queries that get the same changes are told of them by one notification.",
      "It has subscription_ids, an array, in place of subscription_id.", &share_messages, false,
      PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "live_queries.databases", "Databases whose decoder always runs, separated by commas.",
      "Their first subscriber never waits for the decoder to start.", &always_on_databases, "",
      PGC_SIGHUP, GUC_LIST_INPUT, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("live_queries");
}

}  // namespace live_queries

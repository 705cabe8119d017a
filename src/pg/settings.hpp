// The settings of the extension (README: Settings). Defined once, by the postmaster, read
// everywhere. Process: any.
#pragma once

#include <cstdint>

namespace live_queries {

extern int max_subscriptions;             // of the whole server
extern int max_databases;                 // with a decoder at one time
extern int memory_limit_kb;               // of the shared registry and all mailboxes
extern int role_share;                    // percent of both that the sessions of one role may take
extern int connection_share;              // percent of both that one connection may take
extern int mailbox_size_kb;               // of one connection, in shared memory
extern int spill_size_kb;                 // of one connection, on disk
extern int transaction_memory_kb;         // of the changes of one decoded transaction
extern int idle_timeout_ms;               // of a decoder that has no subscribers
extern int evaluation_timeout_ms;         // of one subscription's expressions on one batch
extern int evaluators;                    // of a database
extern int evaluator_share;               // percent of its time that it works, under load
extern int evaluator_work_mem_kb;         // of its queries; -1: that of the server
extern int evaluator_temp_file_limit_kb;  // -1: that of the server
extern int subscribe_timeout_ms;          // of waiting for the decoder
extern int progress_interval_ms;          // 0: no such messages
extern bool share_messages;               // one for several subscriptions that get the same
extern char* always_on_databases;         // comma-separated names

inline constexpr int kMaxEvaluators = 8;  // of one database

inline constexpr uint64_t kKilobyte = 1024;  // the unit of some

// Defines all of them. Postmaster only; may ereport.
void DefineSettings();

}  // namespace live_queries

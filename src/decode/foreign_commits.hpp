// Commits of other databases that have changed catalogs which all databases share: roles, members,
// rights on databases. Nothing of them is decoded here, but they concern who listens here, as the
// commits of this database do. Process: decoder
// (in an evaluator, which learns of them from the dirty log, none are noted).
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogreader.h"
}

namespace live_queries {

// If the record that was just decoded is the end of such a transaction, it is noted here, among the
// recent commits, and in the dirty log. Between two records.
void NoteForeignCommit(const XLogReaderState* reader);

// Whether any were noted since this process has heard of their changes.
bool ForeignCommitsAreNew();

// Returns once new snapshots see them, and this process has heard of what they have changed: what
// it concerns is unchecked then (template/unchecked.hpp). In a transaction.
void HearOfForeignCommits();

}  // namespace live_queries

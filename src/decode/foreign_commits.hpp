// Commits of other databases that have changed catalogs which all databases share: roles, members,
// rights on databases. Nothing of them is decoded here, but they concern who listens here, as the
// commits of this database do. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogreader.h"
}

namespace live_queries {

// If the record that was just decoded is the end of such a transaction, it is noted here, among the
// recent commits, and in the dirty log. Between two records.
void NoteForeignCommit(const XLogReaderState* reader);

}  // namespace live_queries

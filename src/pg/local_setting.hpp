// A setting until the end of the subtransaction, whoever the session is. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace live_queries {

inline void SetLocally(const char* name, const char* value) {
  (void)set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

}  // namespace live_queries

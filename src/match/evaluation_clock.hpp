// The time limit of evaluating a subscription's expressions (live_queries.evaluation_timeout). The
// server's own statement timeout interrupts them; when it has, its flag is cleared already, so the
// time tells whether it was that or somebody's pg_cancel_backend. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "registry/settings.hpp"

extern "C" {
#include "utils/timeout.h"
}

namespace live_queries {

inline constexpr const char* kEvaluationTimeoutReason =
    "evaluating the query took longer than live_queries.evaluation_timeout";

class EvaluationClock {
 public:
  void Start() {
    if (evaluation_timeout_ms == 0) return;
    started_ = GetCurrentTimestamp();
    enable_timeout_after(STATEMENT_TIMEOUT, evaluation_timeout_ms);
  }
  void Stop() {
    if (evaluation_timeout_ms > 0) disable_timeout(STATEMENT_TIMEOUT, false);
  }
  bool IsOver() const {
    return evaluation_timeout_ms > 0 && started_ != 0 &&
           TimestampDifferenceExceeds(started_, GetCurrentTimestamp(), evaluation_timeout_ms - 1);
  }

 private:
  TimestampTz started_ = 0;
};

}  // namespace live_queries

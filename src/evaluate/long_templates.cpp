// Notes what is too long. Process: evaluator.
#include "evaluate/long_templates.hpp"

#include "registry/database.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

// Alone, it keeps nobody waiting; and there has to be another one that can do it.
bool CanMove(const ConsumerShared& consumer, const DatabaseShared& database) {
  return consumer.kind == ConsumerKind::kEvaluator && consumer.templates.Load() > 1 &&
         !FailsToRun(database.consumers[RefresherOf(consumer.index)]);
}

}  // namespace

void NoteEvaluation(const Template& common, int64 us, XLogRecPtr position, LongRecord* record) {
  if (record->counted == position) return;
  record->counted = position;
  if (!record->account.Took(us, GetCurrentTimestamp())) return;
  const ConsumerShared& consumer = *MyConsumer();
  DatabaseShared* database = DatabaseAt(consumer.database);
  const bool moves = CanMove(consumer, *database);
  // In the refresher, it is not forgotten as long as that is so.
  if (moves || consumer.kind == ConsumerKind::kRefresher)
    NoteCostly(&database->costly, common.spec_text);
  if (!moves) return;
  record->apart = true;
  record->account = {};
}

}  // namespace live_queries

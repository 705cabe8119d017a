// Which templates the others of an evaluator would wait for too long, too often. Those who listen
// to one are reset once, and as they begin again they choose the refresher
// (registry/costly_shapes.hpp). Process: evaluator.
#pragma once

#include "model/long_evaluations.hpp"
#include "pg/postgres.hpp"
#include "template/template.hpp"

extern "C" {
#include "access/xlogdefs.h"
}

namespace live_queries {

// What its evaluations have been like.
struct LongRecord {
  LongEvaluations account;
  XLogRecPtr counted;  // the end of the last batch in there: one that is repeated counts once
  bool apart;          // those who listen are to be told that it is evaluated apart from now on
};

// Notes one that took `us`, microseconds, in the batch up to `position`. Not of one of a query that
// has to be evaluated as a whole or asks the clock: it is where it has to be.
void NoteEvaluation(const Template& common, int64 us, XLogRecPtr position, LongRecord* record);

}  // namespace live_queries

// The loop over a transaction's changes: in pieces, whose rows are taken apart once, and for each
// piece over the templates of its tables. Process: decoder.
#include "match/matcher.hpp"

#include "match/concerned_templates.hpp"
#include "match/evaluate.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/route_body.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "executor/executor.h"
}

namespace live_queries {
namespace {

constexpr size_t kPieceBytes = 4 * 1024 * 1024;

MemoryContext piece_context = nullptr;
Touched touched = {};
uint64 matched_count = 0;
uint64 evaluation_count = 0;

// Without anybody who listens, a template is not evaluated: after a change of the table, what it
// was compiled for may not even exist.
void NoteForTemplate(Template* common, int change, List** relevant) {
  if (common->listening == 0) return;
  StreamTemplate* stream = StreamPartOf(common);
  if (stream->piece_count == 0) *relevant = lappend(*relevant, stream);
  if (stream->piece_count > 0 && stream->piece[stream->piece_count - 1] == change) return;
  stream->piece[stream->piece_count++] = static_cast<uint8>(change);
}

// StreamTemplates with changes in the piece.
List* RelevantTemplates(DecodedChange* changes, int count) {
  List* relevant = NIL;
  for (int i = 0; i < count; ++i) {
    const Change& change = changes[i].change;
    auto note = [&](Template* common) { NoteForTemplate(common, i, &relevant); };
    if (!IsAboutTables(change.kind)) ForEachConcerned(&changes[i], note);
    const bool children = change.kind == ChangeKind::kChildren;
    for (int k = 0; k < change.table_count; ++k)
      ForEachTemplateOn(children ? Subject::kChildren : Subject::kRows, change.tables[k], note);
  }
  return relevant;
}

bool IsWhollyTruncated(const Template& common, const Change& change) {
  ListCell* cell;
  foreach (cell, common.spec.relations) {
    bool found = false;
    for (int i = 0; i < change.table_count; ++i)
      found = found || change.tables[i] == lfirst_oid(cell);
    if (!found) return false;
  }
  return true;
}

void EvaluateChanges(StreamTemplate* stream, DecodedChange* changes, const Origin& origin,
                     const Sink& sink) {
  Template* common = stream->common;
  Compile(stream);
  LIVE_QUERIES_FAULT("matcher-evaluate");
  for (int i = 0; i < stream->piece_count; ++i) {
    DecodedChange* decoded = &changes[stream->piece[i]];
    if (decoded->change.kind == ChangeKind::kTruncate) {
      if (LIVE_QUERIES_MUTATION("ignore_truncate")) continue;
      if (IsWhollyTruncated(*common, decoded->change))
        EvaluateClear(common, &touched);
      else
        ResetRoutes(common, origin.seq, "a part of the table was truncated", sink);
    } else if (decoded->change.kind == ChangeKind::kRewrite) {
      ResetRoutes(common, origin.seq, "all rows of the table were rewritten", sink);
    } else if (decoded->change.kind == ChangeKind::kChildren) {
      ResetRoutes(common, origin.seq, kRowsMayDifferReason, sink);
    } else if (const char* problem = Evaluate(stream, decoded, &touched)) {
      ResetRoutes(common, origin.seq, problem, sink);
    }
    HandOverLong(&touched, origin, sink);
  }
}

void EvaluatePiece(StreamTemplate* stream, DecodedChange* changes, const Origin& origin,
                   const Sink& sink) {
  Template* common = stream->common;
  if (RoleIsSpent(common->role)) {
    ResetRoutes(common, origin.seq, kRoleIsSpentReason, sink);
  } else {
    ++evaluation_count;
    Guard(common, stream->piece_count, [&] { EvaluateChanges(stream, changes, origin, sink); });
    // A large row would stay here until the next one.
    ResetExprContext(stream->expressions);
  }
  stream->piece_count = 0;
}

// Reads up to a piece; returns how many changes.
int ReadPiece(ChangeBatch* batch, DecodedChange* changes) {
  MemoryContextReset(piece_context);
  int count = 0;
  size_t bytes = 0;
  while (count < kPieceChanges && bytes < kPieceBytes) {
    DecodedChange* decoded = &changes[count];
    if (!batch->Next(piece_context, &decoded->change)) break;
    decoded->taken_apart = false;
    bytes += decoded->change.old_row.t_len + decoded->change.new_row.t_len;
    ++count;
  }
  return count;
}

}  // namespace

void PrepareMatcher(MemoryContext context) {
  piece_context = AllocSetContextCreate(context, "live_queries piece", ALLOCSET_DEFAULT_SIZES);
}

void EvaluateBatch(ChangeBatch* batch, const Sink& sink) {
  static DecodedChange changes[kPieceChanges];
  const Origin origin = {batch->commit_end, batch->xid, batch->committed_at};
  batch->Rewind();
  while (const int count = ReadPiece(batch, changes)) {
    MemoryContext outer = MemoryContextSwitchTo(piece_context);
    List* relevant = RelevantTemplates(changes, count);
    ListCell* cell;
    foreach (cell, relevant)
      EvaluatePiece(static_cast<StreamTemplate*>(lfirst(cell)), changes, origin, sink);
    MemoryContextSwitchTo(outer);
  }
  HandOverAll(&touched, origin, sink);
  matched_count += touched.matched;
  touched = {};
}

void AbandonEvaluation() {
  ForgetChanges(&touched);
  touched = {};
  ForEachTemplate([](Template* common) {
    if (common->part != nullptr) StreamPartOf(common)->piece_count = 0;
  });
}

uint64 TakeEvaluationCount() {
  const uint64 taken = evaluation_count;
  evaluation_count = 0;
  return taken;
}

uint64 TakeMatchedCount() {
  const uint64 taken = matched_count;
  matched_count = 0;
  return taken;
}

}  // namespace live_queries

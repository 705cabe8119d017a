// The check. Process: decoder.
#include "worker/definition_check.hpp"

#include "match/matcher.hpp"
#include "match/routing_index.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "query/analyze.hpp"
#include "query/settings_capture.hpp"
#include "worker/recent_commits.hpp"
#include "worker/registry_sync.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/resowner.h"
}

namespace live_queries {
namespace {

constexpr const char* kRowsMayDiffer =
    "the table, a view, a function or row security of the query has changed";

enum class Finding : uint8_t { kSame, kDifferent, kError, kGone };

struct CheckResult {
  Finding finding;
  int sqlstate;
  const char* message;
};

List* FrozenFromText(const char* text) { return static_cast<List*>(stringToNode(text)); }

// The spec that subscribing again would give, as the subscriber.
const char* SpecNow(const Template& one, const DefinitionCopy& definition) {
  const Identity identity = EnterIdentity(one.role, one.settings);
  FrozenValues frozen = {true, FrozenFromText(definition.Field(DefinitionField::kFrozen))};
  List* params = static_cast<List*>(stringToNode(definition.Field(DefinitionField::kValues)));
  Analysis analysis = Analyze(definition.Field(DefinitionField::kQuery), params, frozen);
  KeepColumns(&analysis.spec, one.spec.targets);
  const char* text = SpecToText(analysis.spec);
  LeaveIdentity(identity);
  return text;
}

// In a subtransaction that is rolled back: no lock of the analysis stays.
CheckResult CheckTarget(const Template& one, const Target& target) {
  DefinitionCopy definition;
  if (!CopyDefinition(target.connection, target.connection_id, target.serial, &definition))
    return {Finding::kGone, 0, nullptr};
  CheckResult result = {Finding::kSame, 0, nullptr};
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  TryCatch(
      context,
      [&] {
        const char* now = SpecNow(one, definition);
        if (strcmp(now, one.spec_text) != 0) result.finding = Finding::kDifferent;
      },
      [&](ErrorData* error) {
        result = {Finding::kError, error->sqlerrcode, pstrdup(error->message)};
        // The decoder itself is being stopped, or the machine is out of something.
        if (error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
            error->sqlerrcode == ERRCODE_QUERY_CANCELED)
          ReThrowError(error);
      });
  RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  return result;
}

List* TargetsOf(Template* one) {
  List* targets = NIL;
  ForEachRoute(
      one,
      [](Route* route, void* context) {
        List** list = static_cast<List**>(context);
        for (Target* target = route->targets; target != nullptr; target = target->next)
          *list = lappend(*list, target);
      },
      &targets);
  return targets;
}

// The first subscription speaks for all while nothing has changed for it: what is checked is the
// same for all of a template (spec.access). Otherwise each is looked at.
void CheckTemplate(Template* one, void* anything) {
  *static_cast<bool*>(anything) = true;
  DropCompiled(one);
  const bool must_reset = one->must_reset && FunctionsChanged(one);
  one->must_reset = false;
  bool all_same = false;
  ListCell* cell;
  List* targets = TargetsOf(one);
  foreach (cell, targets) {
    Target* target = static_cast<Target*>(lfirst(cell));
    if (target->muted) continue;
    const CheckResult result =
        all_same ? CheckResult{Finding::kSame, 0, nullptr} : CheckTarget(*one, *target);
    if (result.finding == Finding::kSame && foreach_current_index(cell) == 0) all_same = true;
    if (result.finding == Finding::kError)
      TerminateTarget(target, result.sqlstate, result.message);
    else if (result.finding == Finding::kDifferent || must_reset)
      ResetTargetNow(target, kRowsMayDiffer);
  }
}

}  // namespace

bool CheckChangedDefinitions() {
  if (!AnyUnchecked()) return false;
  // The log is ahead of what is visible: a change that was decoded may not be in the catalogs yet.
  WaitForRecentCommits();
  MemoryContext context = AllocSetContextCreate(
      CurrentMemoryContext, "live_queries definition check", ALLOCSET_DEFAULT_SIZES);
  bool anything = false;
  InMemoryContext(context, [&] { TakeUnchecked(CheckTemplate, &anything); });
  MemoryContextDelete(context);
  return anything;
}

}  // namespace live_queries

// Attaching a subscription to its route, in two steps, between which its client waits; README.md
// draws it. The first is taken by registry_sync.cpp, the second by the decoder's loop. Process:
// decoder.
#pragma once

#include "pg/postgres.hpp"
#include "subscribers/mirror.hpp"
#include "template/guard.hpp"

extern "C" {
#include "access/xlogdefs.h"
}

namespace live_queries {

// Gives one subscription of `connection` its place, where it sleeps until what committed before
// `begin` has been handled; or resets it, where its client has read a first result long ago. In a
// transaction.
void BeginAttachment(MirroredConnection* connection, uint64_t serial, XLogRecPtr begin);

// While the process ends in looking for a subscription's route: its operators have done that.
void RefuseAttachingAtExit(const GuardFailure& failure);

// Wakes up those whose time has come: all that committed before they were attached is evaluated
// (`handled`) and visible to new snapshots, and their strategy is ready for those who have all that
// committed up to there.
void FinishAttachments(XLogRecPtr handled);

// Whether some wait for that.
bool AttachmentsWait();

// Whether one of them waits for definitions to be checked (definition_check.hpp): those of its
// template are to be, before it is woken up.
bool AttachmentsAwaitCheck(XLogRecPtr handled);

}  // namespace live_queries

// Keeps the mirror in step with the registry: what has come is to be attached, what has gone is
// removed. Called by the decoder's loop in each turn. Process: decoder.
#pragma once

namespace live_queries {

// Takes over what has changed since the last call, or (`everything`) all there is, when the worker
// starts. Outside a transaction.
void SyncRegistry(bool everything);

}  // namespace live_queries

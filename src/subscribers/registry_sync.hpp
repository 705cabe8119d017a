// Keeps the mirror in step with the registry: what has come is to be attached, what has gone is
// removed. Called by the decoder's loop in each turn. Process: decoder.
#pragma once

namespace live_queries {

// Whether anything has changed since the last call of SyncRegistry.
bool RegistryHasChanged();

// Takes over what has changed since the last call, or (`everything`) all there is, when the worker
// starts. In a transaction.
void SyncRegistry(bool everything);

}  // namespace live_queries

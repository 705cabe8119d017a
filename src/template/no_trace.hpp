// Keeps what runs as a subscriber from leaving a trace: a write, a lock, a message, a slot,
// anything that outlasts its evaluation. A part of the guard (guard.hpp). Process: decoder.
#pragma once

namespace live_queries {

// Once, when the worker starts: from now on, all that runs as a subscriber (EnterIdentity) is held
// to it, until its transaction is aborted or the identity is left.
void PrepareNoTrace();

// Whether the transaction has an xid, as one that writes.
bool HasXid();

// After functions of users have run, as the one who is to blame for them: closes the cursors that
// they have left open, and raises an error if they have written. `had_xid`: HasXid before.
void RequireNoTrace(bool had_xid);

}  // namespace live_queries

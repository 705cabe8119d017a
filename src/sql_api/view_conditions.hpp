// Conditions on the view live_queries, such as `pid = 4711 AND subscription_id = 'a'`, become
// arguments of the function behind it, which then need not make the rows of all others. The
// conditions stay: the function may show more. Process: any that plans queries.
#pragma once

namespace live_queries {

// From _PG_init.
void InstallViewConditions();

}  // namespace live_queries

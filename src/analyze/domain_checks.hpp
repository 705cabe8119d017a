// The constraints of domains, which run wherever a value becomes one of the domain.
// Process: client backend, decoder.
#pragma once

#include "pg/postgres.hpp"

namespace live_queries {

// The expressions of the CHECK constraints of `domain`, and of those that it stands on, as they
// were written: nothing in them is inlined.
List* DomainChecks(Oid domain);

// Oids of the domains that values in `tree` become; not of those that columns have already.
List* CheckedDomains(Node* tree);

// All their checks.
List* DomainChecksIn(Node* tree);

// Text that differs as soon as `domain` takes other values.
char* DescribeDomain(Oid domain);

}  // namespace live_queries

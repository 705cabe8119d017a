// The templates of each table that the stream watches: which of them are of one routing group
// (routing_group.hpp), and which of none. Filled by template_table.cpp, asked for each changed row
// by match/concerned_templates.cpp. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

// Those of a table, by its oid.
struct TableTemplates {
  Oid relation;  // hash key
  List* groups;  // RoutingGroup*
  List* others;  // Template*: in no group
};

void PrepareRoutingGroups(MemoryContext context);

// Whether a template is one of a group: the stream watches it, and its index is a hash that calls
// no code of users. In a transaction.
bool HasGroup(const Template& common);
// Any template comes to its group, with the routes that it has, or to the others of its tables; and
// leaves that again, without routes. An error while it comes is for lack of memory, and leaves it
// half known. Leaving never ereports.
void JoinGroup(Template* common, bool has_group);
void LeaveGroup(Template* common);

// nullptr: there are none.
const TableTemplates* TemplatesOfTable(Oid relation);

}  // namespace live_queries

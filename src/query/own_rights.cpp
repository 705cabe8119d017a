// Asks for the current role's privileges on a table's columns, and whether row security would apply
// to it there. Process: client backend, decoder.
#include "query/own_rights.hpp"

#include "pg/compat.hpp"

extern "C" {
#include "access/table.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
}

namespace live_queries {
namespace {

Bitmapset* AllColumns(Oid oid) {
  Bitmapset* all = nullptr;
  Relation relation = table_open(oid, NoLock);  // the analysis has locked it
  TupleDesc descriptor = RelationGetDescr(relation);
  for (int i = 0; i < descriptor->natts; ++i)
    if (!TupleDescAttr(descriptor, i)->attisdropped) all = bms_add_member(all, i + 1);
  table_close(relation, NoLock);
  return all;
}

bool MayRead(Oid relation, const Bitmapset* columns) {
  if (!MayUseSchema(get_rel_namespace(relation))) return false;
  if (pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK) return true;
  for (int number = -1; (number = bms_next_member(columns, number)) >= 0;)
    if (pg_attribute_aclcheck(relation, static_cast<AttrNumber>(number), GetUserId(), ACL_SELECT) !=
        ACLCHECK_OK)
      return false;
  return true;
}

}  // namespace

const char* WhyKeyIsHidden(const ReadTable& table, List* key) {
  const bool as_itself = !OidIsValid(table.as_role) || table.as_role == GetUserId();
  Bitmapset* needed = nullptr;
  ListCell* cell;
  foreach (cell, key) needed = bms_add_member(needed, lfirst_int(cell));
  // The role may know keys, and what a view shows, but not what belongs together.
  if (!as_itself) needed = bms_add_members(needed, table.columns);
  if (bms_is_member(0, needed)) needed = AllColumns(table.relation);
  if (!MayRead(table.relation, needed))
    return as_itself ? "the role may not read it"
                     : "the role itself may not read it together with what the query uses";
  if (!as_itself && check_enable_rls(table.relation, GetUserId(), true) == RLS_ENABLED)
    return "row security would apply if the role itself read the table";
  return nullptr;
}

bool MayReadAllBut(Oid relation, const Bitmapset* known) {
  return MayRead(relation, bms_difference(AllColumns(relation), known));
}

}  // namespace live_queries

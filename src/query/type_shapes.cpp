// Walks expressions and types. Process: client backend, decoder.
#include "query/type_shapes.hpp"

#include "query/tree.hpp"

extern "C" {
#include "access/tupdesc.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// The first letter of a shape; its type's oid follows.
constexpr char kComposite = 'c';
constexpr char kLabel = 'l';

struct Walk {
  List* seen;  // oids of types
  List* shapes;
};

const char* TextOf(const void* shape) { return strVal(static_cast<const Node*>(shape)); }

void AddShape(Walk* walk, char* text) { walk->shapes = lappend(walk->shapes, makeString(text)); }

void AddLabels(Walk* walk, Oid type) {
  CatCList* labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
  for (int i = 0; i < labels->n_members; ++i) {
    const auto* label =
        reinterpret_cast<const FormData_pg_enum*>(GETSTRUCT(&labels->members[i]->tuple));
    AddShape(walk, psprintf("%c%u %u %s", kLabel, type, label->oid, NameStr(label->enumlabel)));
  }
  ReleaseSysCacheList(labels);
}

void AddType(Walk* walk, Oid type);

void AddAttributes(Walk* walk, Oid type) {
  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "%c%u", kComposite, get_typ_typrelid(type));
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped) continue;
    appendStringInfo(&text, " %d %u %s", i + 1, attribute->atttypid, NameStr(attribute->attname));
    AddType(walk, attribute->atttypid);
  }
  AddShape(walk, text.data);
}

void AddType(Walk* walk, Oid any_type) {
  const Oid type = getBaseType(any_type);
  if (!OidIsValid(type) || list_member_oid(walk->seen, type)) return;
  walk->seen = lappend_oid(walk->seen, type);
  const Oid element = get_base_element_type(type);
  if (OidIsValid(element)) return AddType(walk, element);
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      return AddAttributes(walk, type);
    case TYPTYPE_ENUM:
      return AddLabels(walk, type);
    case TYPTYPE_RANGE:
      return AddType(walk, get_range_subtype(type));
    case TYPTYPE_MULTIRANGE:
      return AddType(walk, get_multirange_range(type));
    default:
      return;
  }
}

// Where values come into an expression; what else there is passes them on.
bool AddTypesOf(Node* node, Walk* walk) {
  if (node == nullptr) return false;
  if (IsA(node, Var) || IsA(node, Const) || IsA(node, FuncExpr) || IsA(node, OpExpr) ||
      IsA(node, RowExpr) || IsA(node, ConvertRowtypeExpr) || IsA(node, CoerceViaIO))
    AddType(walk, exprType(node));
  return WalkChildren(node, AddTypesOf, walk);
}

}  // namespace

List* TypeShapes(List* expressions) {
  Walk walk = {NIL, NIL};
  (void)AddTypesOf(reinterpret_cast<Node*>(expressions), &walk);
  return walk.shapes;
}

bool ShapesHold(List* former, List* now) {
  ListCell* cell;
  foreach (cell, list_difference(former, now)) return false;
  foreach (cell, list_difference(now, former))
    if (*TextOf(lfirst(cell)) != kLabel) return false;
  return true;
}

bool ShapesConcern(List* shapes, Oid relation) {
  ListCell* cell;
  foreach (cell, shapes) {
    const char* text = TextOf(lfirst(cell));
    if (!OidIsValid(relation) && *text == kLabel) return true;
    if (*text == kComposite && strtoul(text + 1, nullptr, 10) == relation) return true;
  }
  return false;
}

}  // namespace live_queries

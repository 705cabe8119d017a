// Writes what types look like now as a list of texts, to be compared with that of an earlier time.
// Process: client backend, decoder.
#include "analyze/type_shapes.hpp"

#include "analyze/domain_checks.hpp"
#include "analyze/type_components.hpp"
#include "analyze/type_functions.hpp"

extern "C" {
#include "access/htup_details.h"
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
constexpr char kJsonCast = 'j';
constexpr char kDomain = 'd';

const char* TextOf(const void* shape) { return strVal(static_cast<const Node*>(shape)); }

void AddShape(List** shapes, char* text) { *shapes = lappend(*shapes, makeString(text)); }

void AddLabels(Oid type, List** shapes) {
  CatCList* labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
  for (int i = 0; i < labels->n_members; ++i) {
    const auto* label =
        reinterpret_cast<const FormData_pg_enum*>(GETSTRUCT(&labels->members[i]->tuple));
    AddShape(shapes, psprintf("%c%u %u %s", kLabel, type, label->oid, NameStr(label->enumlabel)));
  }
  ReleaseSysCacheList(labels);
}

void AddAttributes(Oid type, List** shapes) {
  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "%c%u", kComposite, type);
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped) continue;
    appendStringInfo(&text, " %d %u %s", i + 1, attribute->atttypid, NameStr(attribute->attname));
  }
  AddShape(shapes, text.data);
}

void AddType(Oid type, List** shapes) {
  if (get_typtype(type) == TYPTYPE_COMPOSITE) AddAttributes(type, shapes);
  if (get_typtype(type) == TYPTYPE_ENUM) AddLabels(type, shapes);
}

}  // namespace

List* TypeShapes(Node* tree) {
  List* shapes = NIL;
  ListCell* cell;
  foreach (cell, TypesIn(tree, true)) AddType(lfirst_oid(cell), &shapes);
  foreach (cell, TypesMadeJson(tree))
    if (const Oid cast = JsonCastOf(lfirst_oid(cell)); OidIsValid(cast))
      AddShape(&shapes, psprintf("%c%u %u", kJsonCast, lfirst_oid(cell), cast));
  foreach (cell, CheckedDomains(tree))
    AddShape(&shapes, psprintf("%c%s", kDomain, DescribeDomain(lfirst_oid(cell))));
  return shapes;
}

bool ShapesHold(List* former, List* now) {
  ListCell* cell;
  foreach (cell, list_difference(former, now)) return false;
  foreach (cell, list_difference(now, former))
    if (*TextOf(lfirst(cell)) != kLabel) return false;
  return true;
}

}  // namespace live_queries

// Each struct is a list of its fields, in the order in which they are declared. Process: client
// backend, evaluator.
#include "query/delta_plan_text.hpp"

#include "query/tree.hpp"

extern "C" {
#include "nodes/nodes.h"
#include "nodes/value.h"
}

namespace live_queries {
namespace {

Node* Number(int64 value) { return AsNode(makeInteger(static_cast<int>(value))); }

// Takes the fields of one struct off its list.
class Fields {
 public:
  explicit Fields(void* list) : list_(castNode(List, list)) {}

  List* AsList() { return static_cast<List*>(Next()); }
  Query* AsQuery() { return castNode(Query, Next()); }
  const char* AsString() { return strVal(Next()); }
  int AsInt() { return intVal(Next()); }
  Oid AsOid() { return static_cast<Oid>(AsInt()); }

 private:
  void* Next() { return list_nth(list_, next_++); }

  List* list_;
  int next_ = 0;
};

template <class T>
List* WriteEach(List* structs, List* (*write)(const T&)) {
  List* written = NIL;
  ListCell* cell;
  foreach (cell, structs) written = lappend(written, write(*static_cast<T*>(lfirst(cell))));
  return written;
}

template <class T>
List* ReadEach(List* written, T (*read)(Fields)) {
  List* structs = NIL;
  ListCell* cell;
  foreach (cell, written) {
    T* one = static_cast<T*>(palloc(sizeof(T)));
    *one = read(Fields(lfirst(cell)));
    structs = lappend(structs, one);
  }
  return structs;
}

List* WriteColumn(const SetColumn& column) {
  List* fields = list_make3(Number(column.param), Number(column.null_param), Number(column.type));
  fields = lappend(fields, Number(column.array_type));
  fields = lappend(fields, Number(column.equality));
  return lappend(fields, Number(column.collation));
}

SetColumn ReadColumn(Fields fields) {
  SetColumn column;
  column.param = fields.AsInt();
  column.null_param = fields.AsInt();
  column.type = fields.AsOid();
  column.array_type = fields.AsOid();
  column.equality = fields.AsOid();
  column.collation = fields.AsOid();
  return column;
}

List* WriteRestricted(const Restricted& restricted) {
  return list_make2(Number(restricted.set), restricted.query);
}

Restricted ReadRestricted(Fields fields) {
  Restricted restricted;
  restricted.set = fields.AsInt();
  restricted.query = fields.AsQuery();
  return restricted;
}

List* WriteSet(const StaleSet& set) {
  List* fields = list_make4(Number(set.number), Number(set.table), set.relations, set.identity);
  fields = lappend(fields, WriteEach(set.columns, WriteColumn));
  fields = lappend(fields, Number(set.found_param));
  return lappend(fields, WriteEach(set.probe, WriteRestricted));
}

StaleSet ReadSet(Fields fields) {
  StaleSet set;
  set.number = fields.AsInt();
  set.table = fields.AsOid();
  set.relations = fields.AsList();
  set.identity = fields.AsList();
  set.columns = ReadEach(fields.AsList(), ReadColumn);
  set.found_param = fields.AsInt();
  set.probe = ReadEach(fields.AsList(), ReadRestricted);
  return set;
}

}  // namespace

char* DeltaPlanToText(const DeltaPlan& plan) {
  // An empty string cannot be told from none in text.
  const char* why_whole = plan.why_whole == nullptr ? "" : plan.why_whole;
  List* fields = list_make4(plan.query, Number(plan.shown), plan.key, Number(plan.bag));
  fields = lappend(fields, WriteEach(plan.sets, WriteSet));
  fields = lappend(fields, WriteEach(plan.restricted, WriteRestricted));
  fields = lappend(fields, Number(plan.params));
  fields = lappend(fields, makeString(pstrdup(why_whole)));
  fields = lappend(fields, plan.tables);
  return TreeToText(fields);
}

DeltaPlan DeltaPlanFromText(const char* text) {
  Fields fields(stringToNode(text));
  DeltaPlan plan;
  plan.query = fields.AsQuery();
  plan.shown = fields.AsInt();
  plan.key = fields.AsList();
  plan.bag = fields.AsInt() != 0;
  plan.sets = ReadEach(fields.AsList(), ReadSet);
  plan.restricted = ReadEach(fields.AsList(), ReadRestricted);
  plan.params = fields.AsInt();
  plan.why_whole = fields.AsString();
  if (*plan.why_whole == '\0') plan.why_whole = nullptr;
  plan.tables = fields.AsList();
  return plan;
}

}  // namespace live_queries

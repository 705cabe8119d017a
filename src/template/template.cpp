// Making and freeing templates. Process: decoder.
#include "template/template.hpp"

#include "pg/memory.hpp"
#include "template/routing_index.hpp"

namespace live_queries {

Template* MakeTemplate(MemoryContext parent, const char* key, Oid role,
                       const SessionIdentity& session, const char* settings,
                       const char* spec_text) {
  MemoryContext context =
      AllocSetContextCreate(parent, "live_queries template", ALLOCSET_SMALL_SIZES);
  return InMemoryContext(context, [&] {
    Template* one = AllocateIn<Template>(context);
    one->context = context;
    one->key = pstrdup(key);
    one->role = role;
    one->session = session;
    one->settings = pstrdup(settings);
    one->spec_text = pstrdup(spec_text);
    one->spec = SpecFromText(spec_text);
    one->unchecked = true;
    one->values_asked = 1;
    PrepareRouting(one);
    one->dependencies = DependenciesOf(one->spec);
    return one;
  });
}

void FreeTemplate(Template* one) { MemoryContextDelete(one->context); }

void DropPart(Template* one) {
  if (one->part == nullptr) return;
  MemoryContext context = one->part->context;
  one->part = nullptr;
  MemoryContextDelete(context);
}

}  // namespace live_queries

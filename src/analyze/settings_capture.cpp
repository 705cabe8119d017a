// The list of settings that matter, and those of applications (`app.tenant`): captures them as a
// text and applies it. Process: client backend, decoder.
#include "analyze/settings_capture.hpp"

#include <iterator>

#include "pg/compat.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
}

namespace live_queries {
namespace {

// What name lookup, the parser, and the input and output functions of the built-in types read.
constexpr const char* kCaptured[] = {
    "search_path",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "default_text_search_config",
    "extra_float_digits",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "quote_all_identifiers",
    "row_security",
    "standard_conforming_strings",
    "timezone_abbreviations",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
};

// Whether it is of an extension or an application, and set since the server's start. A name that
// was set once and is not any more reads as empty, not as missing.
bool IsOwn(const struct config_generic& setting) {
  if (setting.group != CUSTOM_OPTIONS) return false;
  if (setting.context != PGC_USERSET && setting.context != PGC_SUSET) return false;
  return setting.source >= PGC_S_GLOBAL || (setting.flags & GUC_CUSTOM_PLACEHOLDER) != 0;
}

// What WithOwnSettings has added, if anything: after a line for each of kCaptured.
const char* OwnPart(const char* settings) {
  for (size_t i = 0; i < std::size(kCaptured); ++i) settings = strchr(settings, '\n') + 1;
  return settings;
}

// A line that contains no line break: the name of a schema may.
void AppendEscaped(StringInfo line, const char* value) {
  for (const char* c = value; *c != '\0'; ++c) {
    if (*c == '\n' || *c == '\\') appendStringInfoChar(line, '\\');
    appendStringInfoChar(line, *c == '\n' ? 'n' : *c);
  }
}

void Unescape(char* line) {
  char* to = line;
  for (const char* c = line; *c != '\0'; ++c) {
    if (*c == '\\')
      *to++ = *++c == 'n' ? '\n' : *c;
    else
      *to++ = *c;
  }
  *to = '\0';
}

void Apply(const char* name, const char* value) {
  (void)set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

// One line a setting, in the order of kCaptured.
char* CaptureSettings() {
  StringInfoData text;
  initStringInfo(&text);
  for (const char* name : kCaptured) {
    const char* value = GetConfigOption(name, true, false);
    AppendEscaped(&text, value == nullptr ? "" : value);
    appendStringInfoChar(&text, '\n');
  }
  return text.data;
}

List* CaptureOwnSettings() {
  List* settings = NIL;
  int count;
  struct config_generic** all = AllSettings(&count);
  for (int i = 0; i < count; ++i) {
    if (!IsOwn(*all[i])) continue;
    const char* value = GetConfigOption(all[i]->name, true, false);
    if (value == nullptr) continue;
    settings = lappend(settings,
                       list_make2(makeString(pstrdup(all[i]->name)), makeString(pstrdup(value))));
  }
  return settings;
}

bool HaveAllOwnSettings(List* settings) {
  int count;
  struct config_generic** all = AllSettings(&count);
  for (int i = 0; i < count; ++i) {
    if ((all[i]->flags & GUC_CUSTOM_PLACEHOLDER) == 0) continue;
    bool known = false;
    ListCell* cell;
    foreach (cell, settings)
      known =
          known || strcmp(strVal(linitial(static_cast<List*>(lfirst(cell)))), all[i]->name) == 0;
    if (!known) return false;
  }
  return true;
}

void ApplyOwnSettings(List* settings) {
  ListCell* cell;
  foreach (cell, settings) {
    List* setting = static_cast<List*>(lfirst(cell));
    (void)set_config_option(strVal(linitial(setting)), strVal(lsecond(setting)), PGC_SUSET,
                            PGC_S_SESSION, GUC_ACTION_SAVE, true, DEBUG1, false);
  }
}

const char* WithOwnSettings(const char* settings) {
  if (*OwnPart(settings) != '\0') return settings;
  return psprintf("%s%s", settings, nodeToString(CaptureOwnSettings()));
}

int EnterSettings(const char* settings) {
  const int level = NewGUCNestLevel();
  char* lines = pstrdup(settings);
  char* line = lines;
  for (const char* name : kCaptured) {
    char* end = line + strcspn(line, "\n");
    *end = '\0';
    Unescape(line);
    const char* current = GetConfigOption(name, true, false);
    if (current == nullptr || strcmp(current, line) != 0) Apply(name, line);
    line = end + 1;
  }
  pfree(lines);
  const char* own = OwnPart(settings);
  if (*own != '\0') ApplyOwnSettings(static_cast<List*>(stringToNode(own)));
  return level;
}

void LeaveSettings(int level) { AtEOXact_GUC(false, level); }

Identity EnterIdentity(Oid role, const char* settings) {
  Identity identity;
  identity.settings_level = EnterSettings(settings);
  GetUserIdAndSecContext(&identity.outer_role, &identity.outer_context);
  SetUserIdAndSecContext(
      role, identity.outer_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  return identity;
}

Identity EnterIdentity(const SessionIdentity& session, Oid role, const char* settings) {
  Identity identity;
  GetUserIdAndSecContext(&identity.outer_role, &identity.outer_context);
  identity.settings_level = EnterSettings(settings);
  EnterSession(session);
  SetUserIdAndSecContext(
      role, identity.outer_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  return identity;
}

void LeaveIdentity(const Identity& identity) {
  // First, since the settings of a session's identity have a current role of their own.
  SetUserIdAndSecContext(identity.outer_role, identity.outer_context);
  LeaveSettings(identity.settings_level);
}

}  // namespace live_queries

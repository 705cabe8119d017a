// Converts a text to this database's encoding, and loses characters that it does not have rather
// than fail. Process: client backend.
#include "pg/encoding.hpp"

#include <algorithm>

extern "C" {
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "common/string.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

constexpr char kNoCounterpart = '?';

// A database in SQL_ASCII takes any bytes, but its clients take only those of their own encoding.
int ReadersEncoding() {
  return GetDatabaseEncoding() == PG_SQL_ASCII ? pg_get_client_encoding() : GetDatabaseEncoding();
}

// The bytes of the first character; 0 if there is none of that encoding.
int CharacterBytes(const char* text, int encoding) {
  const int bytes = pg_encoding_verifymbchar(
      encoding, text, static_cast<int>(strnlen(text, MAX_MULTIBYTE_CHAR_LEN)));
  return bytes < 0 ? 0 : bytes;
}

const char* AsciiText(const char* text, int encoding) {
  StringInfoData ascii;
  initStringInfo(&ascii);
  while (*text != '\0') {
    const int bytes = CharacterBytes(text, encoding);
    appendStringInfoChar(&ascii, IS_HIGHBIT_SET(*text) ? kNoCounterpart : *text);
    text += bytes == 0 ? 1 : bytes;
  }
  return ascii.data;
}

// By a conversion function of the server; all of `text` is valid.
const char* ConvertBy(Oid conversion, const char* text, int from, int to) {
  constexpr int kPiece = 512;
  constexpr int kRoom = kPiece * MAX_CONVERSION_GROWTH + 1;
  unsigned char* room = static_cast<unsigned char*>(palloc(kRoom));
  StringInfoData converted;
  initStringInfo(&converted);
  while (*text != '\0') {
    const int left = static_cast<int>(strnlen(text, kPiece + MAX_MULTIBYTE_CHAR_LEN));
    const int piece = pg_encoding_mbcliplen(from, text, left, kPiece);
    char* start = const_cast<char*>(text);
    const int done = pg_do_encoding_conversion_buf(
        conversion, from, to, reinterpret_cast<unsigned char*>(start), piece, room, kRoom, true);
    appendStringInfoString(&converted, reinterpret_cast<char*>(room));
    text += done;
    if (done == piece) continue;
    appendStringInfoChar(&converted, kNoCounterpart);
    text += std::max(CharacterBytes(text, from), 1);
  }
  pfree(room);
  return converted.data;
}

const char* Convert(const char* text, int from, int to) {
  if (from == to) return text;
  const Oid direct = FindDefaultConversionProc(from, to);
  if (OidIsValid(direct)) return ConvertBy(direct, text, from, to);
  const Oid to_unicode = FindDefaultConversionProc(from, PG_UTF8);
  const Oid from_unicode = FindDefaultConversionProc(PG_UTF8, to);
  if (!OidIsValid(to_unicode) || !OidIsValid(from_unicode)) return AsciiText(text, from);
  const char* unicode = ConvertBy(to_unicode, text, from, PG_UTF8);
  return ConvertBy(from_unicode, unicode, PG_UTF8, to);
}

}  // namespace

int EncodingOfDatabase(Oid database) {
  if (database == MyDatabaseId) return GetDatabaseEncoding();
  HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
  if (!HeapTupleIsValid(tuple)) return PG_SQL_ASCII;
  const int encoding = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->encoding;
  ReleaseSysCache(tuple);
  return encoding;
}

const char* ValidText(const char* text, int encoding) {
  if (pg_verify_mbstr(encoding, text, static_cast<int>(strlen(text)), true)) return text;
  StringInfoData valid;
  initStringInfo(&valid);
  while (*text != '\0') {
    const int bytes = CharacterBytes(text, encoding);
    if (bytes == 0)
      appendStringInfoChar(&valid, kNoCounterpart);
    else
      appendBinaryStringInfo(&valid, text, bytes);
    text += bytes == 0 ? 1 : bytes;
  }
  return valid.data;
}

const char* ReadableText(const char* text, int encoding) {
  if (text == nullptr || pg_is_ascii(text)) return text;
  const int reader = ReadersEncoding();
  // One of clients alone has ASCII characters within others: a `\` that is none.
  if (!PG_VALID_BE_ENCODING(reader)) return AsciiText(text, encoding);
  if (encoding == PG_SQL_ASCII) return ValidText(text, reader);
  text = ValidText(text, encoding);
  if (reader == PG_SQL_ASCII) return encoding == reader ? text : AsciiText(text, encoding);
  // A conversion may be a user's.
  return ValidText(Convert(text, encoding, reader), reader);
}

}  // namespace live_queries

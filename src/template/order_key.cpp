// By the comparison functions, which are the server's: each form has the order of a few of them.
// Process: decoder.
#include "template/order_key.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

extern "C" {
#include "catalog/pg_collation.h"
#include "port/pg_bswap.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"
}

namespace live_queries {
namespace {

using Form = OrderKey::Form;

Form FormOf(Oid comparison, Oid collation) {
  switch (comparison) {
    case F_BTINT2CMP:
      return Form::kInt16;
    case F_BTINT4CMP:
    case F_DATE_CMP:
      return Form::kInt32;
    case F_BTINT8CMP:
    case F_CASH_CMP:
    case F_TIME_CMP:
    case F_TIMESTAMP_CMP:
    case F_TIMESTAMPTZ_CMP:
      return Form::kInt64;
    case F_BTOIDCMP:
      return Form::kUnsigned32;
    case F_PG_LSN_CMP:
      return Form::kUnsigned64;
    case F_BTFLOAT4CMP:
      return Form::kFloat4;
    case F_BTFLOAT8CMP:
      return Form::kFloat8;
    case F_BYTEACMP:
      return Form::kBytes;
    case F_BTTEXTCMP:
      return collation == C_COLLATION_OID ? Form::kBytes : Form::kNone;
    case F_UUID_CMP:
      return Form::kUuid;
    case F_NUMERIC_CMP:
      return FLOAT8PASSBYVAL ? Form::kNumeric : Form::kNone;  // its key is as wide as a Datum
    default:
      return Form::kNone;
  }
}

constexpr uint64 kSign = uint64{1} << 63;

uint64 OfSigned(int64 value) { return static_cast<uint64>(value) ^ kSign; }

// The server's order of them: NaN is equal to itself and beyond all others, and 0 equal to -0.
uint64 OfFloat(double value) {
  if (std::isnan(value)) return PG_UINT64_MAX;
  const auto bits = std::bit_cast<uint64>(value == 0 ? 0.0 : value);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

// As if zero bytes followed: what differs in these alone is left to the comparison.
uint64 OfBytes(const void* bytes, size_t size) {
  uint64 first = 0;
  memcpy(&first, bytes, std::min(size, sizeof first));
  return pg_hton64(first);
}

uint64 OfVarlena(Datum value) {
  const auto* bytes = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(value));
  return OfBytes(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

// The server's own key. It orders the greatest first, so that its sorts save a negation.
uint64 OfNumeric(SortSupportData* sort, Datum value) {
  return ~OfSigned(DatumGetInt64(sort->abbrev_converter(value, sort)));
}

SortSupportData* PrepareNumeric() {
  auto* sort = static_cast<SortSupportData*>(palloc0(sizeof(SortSupportData)));
  sort->ssup_cxt = CurrentMemoryContext;
  sort->abbreviate = true;
  (void)DirectFunctionCall1(numeric_sortsupport, PointerGetDatum(sort));
  return sort;
}

}  // namespace

OrderKey PrepareOrderKey(Oid comparison, Oid collation) {
  OrderKey order = {FormOf(comparison, collation), nullptr};
  if (order.form == Form::kNumeric) order.numeric = PrepareNumeric();
  return order;
}

uint64 KeyOf(const OrderKey& order, Datum value) {
  switch (order.form) {
    case Form::kInt16:
      return OfSigned(DatumGetInt16(value));
    case Form::kInt32:
      return OfSigned(DatumGetInt32(value));
    case Form::kInt64:
      return OfSigned(DatumGetInt64(value));
    case Form::kUnsigned32:
      return DatumGetUInt32(value);
    case Form::kUnsigned64:
      return DatumGetUInt64(value);
    case Form::kFloat4:
      return OfFloat(DatumGetFloat4(value));
    case Form::kFloat8:
      return OfFloat(DatumGetFloat8(value));
    case Form::kBytes:
      return OfVarlena(value);
    case Form::kUuid:
      return OfBytes(DatumGetUUIDP(value)->data, UUID_LEN);
    case Form::kNumeric:
      return OfNumeric(order.numeric, value);
    case Form::kNone:
      break;
  }
  return 0;
}

}  // namespace live_queries

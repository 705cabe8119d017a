// A number, an enum or a bool in shared memory that is read and written without a lock, by the
// server's atomics. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "port/atomics.h"
}

namespace live_queries {

template <class T>
class Atomic {
  static constexpr bool kWide = sizeof(T) == 8;
  static_assert((std::is_integral_v<T> || std::is_enum_v<T>)&&sizeof(T) <= 8);

 public:
  // Before anyone else knows of it.
  void Init(T value) {
    if constexpr (kWide)
      pg_atomic_init_u64(&value_, static_cast<uint64>(value));
    else
      pg_atomic_init_u32(&value_, static_cast<uint32>(value));
  }

  // These two order nothing else.
  T Load() const {
    if constexpr (kWide)
      return static_cast<T>(pg_atomic_read_u64(&value_));
    else
      return static_cast<T>(pg_atomic_read_u32(&value_));
  }
  void Store(T value) {
    if constexpr (kWide)
      pg_atomic_write_u64(&value_, static_cast<uint64>(value));
    else
      pg_atomic_write_u32(&value_, static_cast<uint32>(value));
  }

  // Those below are full memory barriers where they change anything. They return what was before.
  T Exchange(T value) {
    if constexpr (kWide)
      return static_cast<T>(pg_atomic_exchange_u64(&value_, static_cast<uint64>(value)));
    else
      return static_cast<T>(pg_atomic_exchange_u32(&value_, static_cast<uint32>(value)));
  }
  T Add(T value) {
    if constexpr (kWide)
      return static_cast<T>(pg_atomic_fetch_add_u64(&value_, static_cast<int64>(value)));
    else
      return static_cast<T>(pg_atomic_fetch_add_u32(&value_, static_cast<int32>(value)));
  }
  T Subtract(T value) {
    if constexpr (kWide)
      return static_cast<T>(pg_atomic_fetch_sub_u64(&value_, static_cast<int64>(value)));
    else
      return static_cast<T>(pg_atomic_fetch_sub_u32(&value_, static_cast<int32>(value)));
  }

  // To at least, or at most, `value`.
  void Raise(T value) {
    for (T current = Load(); current < value && !Replace(&current, value);) {
    }
  }
  void Lower(T value) {
    for (T current = Load(); current > value && !Replace(&current, value);) {
    }
  }
  // Only if it is `*expected`; otherwise that becomes what it is.
  bool Replace(T* expected, T value) {
    if constexpr (kWide) {
      uint64 was = static_cast<uint64>(*expected);
      const bool done = pg_atomic_compare_exchange_u64(&value_, &was, static_cast<uint64>(value));
      *expected = static_cast<T>(was);
      return done;
    } else {
      uint32 was = static_cast<uint32>(*expected);
      const bool done = pg_atomic_compare_exchange_u32(&value_, &was, static_cast<uint32>(value));
      *expected = static_cast<T>(was);
      return done;
    }
  }

 private:
  mutable std::conditional_t<kWide, pg_atomic_uint64, pg_atomic_uint32> value_;
};

}  // namespace live_queries

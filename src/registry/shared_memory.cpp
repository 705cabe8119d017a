// What every process has of the shared memory. Process: any.
#include "registry/shared_memory.hpp"

#include "pg/fault.hpp"
#include "pg/memory.hpp"

namespace live_queries {

Places places;

namespace {

#ifdef LIVE_QUERIES_FAULTS
// In front of each piece: its size, to count what is left over.
constexpr Size kPieceHeader = 16;
#endif

dsa_area* area = nullptr;

}  // namespace

bool SharedMemoryExists() { return places.control != nullptr; }

void RequireSharedMemory() {
  if (SharedMemoryExists()) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("live_queries must be loaded via shared_preload_libraries"),
          errhint("Add live_queries to shared_preload_libraries and restart the server."));
}

ControlShared* Control() { return places.control; }
LWLock* ControlLock() { return places.control_lock; }
LWLock* DefinitionsLock() { return places.definitions_lock; }

dsa_area* Area() {
  if (area == nullptr) {
    // The mapping lasts as long as the process, not as the transaction that happens to be first.
    area =
        InMemoryContext(TopMemoryContext, [] { return dsa_attach_in_place(places.area, nullptr); });
    dsa_pin_mapping(area);
  }
  return area;
}

dsa_pointer AllocateShared(size_t bytes, int flags) {
  if (SharedMemoryIsSpent()) return InvalidDsaPointer;
  flags |= DSA_ALLOC_NO_OOM | (bytes > MaxAllocSize / 2 ? DSA_ALLOC_HUGE : 0);
#ifdef LIVE_QUERIES_FAULTS
  const dsa_pointer piece = dsa_allocate_extended(Area(), kPieceHeader + bytes, flags);
  if (!DsaPointerIsValid(piece)) return piece;
  *FromArea<int64_t>(piece) = static_cast<int64_t>(bytes);
  CountShared(1, static_cast<int64_t>(bytes));
  return piece + kPieceHeader;
#else
  return dsa_allocate_extended(Area(), bytes, flags);
#endif
}

void FreeShared(dsa_pointer pointer) {
#ifdef LIVE_QUERIES_FAULTS
  CountShared(-1, -SharedBytes(pointer));
  pointer -= kPieceHeader;
#endif
  dsa_free(Area(), pointer);
}

#ifdef LIVE_QUERIES_FAULTS
int64_t SharedBytes(dsa_pointer pointer) { return *FromArea<int64_t>(pointer - kPieceHeader); }
#endif

}  // namespace live_queries

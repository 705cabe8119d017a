// Calls the server's FileRead and FileWrite until all is done: they take only so much, and may do
// less. Process: decoder, client backend.
#include "pg/files.hpp"

extern "C" {
#include "utils/wait_event.h"
}

namespace live_queries {
namespace {

// What one call is asked to do: their amount is an int before 16.
constexpr size_t kPiece = size_t{16} * 1024 * 1024;

int AmountOf(size_t left) { return static_cast<int>(left < kPiece ? left : kPiece); }

}  // namespace

void ReadWhole(File file, void* bytes, size_t size, off_t offset) {
  for (size_t done = 0; done < size;) {
    errno = 0;
    const int result = FileRead(file, static_cast<char*>(bytes) + done, AmountOf(size - done),
                                offset + static_cast<off_t>(done), WAIT_EVENT_BUFFILE_READ);
    if (result < 0)
      ereport(ERROR, errcode_for_file_access(),
              errmsg("could not read spilled messages of live_queries: %m"));
    if (result == 0)
      ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
              errmsg("could not read spilled messages of live_queries: the file is too short"));
    done += static_cast<size_t>(result);
  }
}

bool TryWriteWhole(File file, const void* bytes, size_t size, off_t offset) {
  char* place = static_cast<char*>(const_cast<void*>(bytes));  // not const before 16
  for (size_t done = 0; done < size;) {
    errno = 0;
    const int result = FileWrite(file, place + done, AmountOf(size - done),
                                 offset + static_cast<off_t>(done), WAIT_EVENT_BUFFILE_WRITE);
    if (result <= 0) {
      if (errno == 0) errno = ENOSPC;
      return false;
    }
    done += static_cast<size_t>(result);
  }
  return true;
}

void WriteWhole(File file, const void* bytes, size_t size, off_t offset) {
  if (!TryWriteWhole(file, bytes, size, offset))
    ereport(ERROR, errcode_for_file_access(),
            errmsg("could not write spilled messages of live_queries: %m"));
}

}  // namespace live_queries

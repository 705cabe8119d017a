// A hash table from keys to what has happened to them. A key is in it once, so the order in which
// its changes are told is free: deletes, updates, inserts, as the evaluators have it. Process:
// client backend.
#include "deliver/net_changes.hpp"

#include "model/change_text.hpp"
#include "model/message.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace live_queries {
namespace {

using Op = ChangeText::Op;

// What has happened to the rows of one key. Of a result without a key, whose key is the row, there
// may be many, and none is ever updated.
struct Entry {
  Entry* next_same_hash;
  Entry* next;
  std::string_view key;
  Op first;                // what happened first
  std::string_view row;    // and its row
  std::string_view old;    // if that was an update
  std::string_view after;  // the row of the last insert or update
  std::string_view gone;   // of the last delete
  int64 count;             // inserts minus deletes
};

struct Bucket {
  uint32 hash;  // hash key
  Entry* first;
};

struct Net {
  HTAB* buckets;
  Entry* first;  // in the order in which they came
  Entry* last;
  bool cleared;
  RecordHeader header;  // of the last message
  uint64 messages;
  // Of the transactions: the xid if it is one alone, or the first of them as a message lists them.
  uint32 xid;
  int listed;
  bool several;
  StringInfoData xids;
};

// The table forgets what it has.
void StartTable(Net* net) {
  if (net->buckets != nullptr) hash_destroy(net->buckets);
  net->buckets = MakeHashTable("live_queries net changes", &Bucket::hash, 64, CurrentMemoryContext);
  net->first = net->last = nullptr;
}

Entry* FindOrAdd(Net* net, const ChangeText& change, bool* found) {
  const uint32 hash = hash_bytes(reinterpret_cast<const unsigned char*>(change.key.data()),
                                 static_cast<int>(change.key.size()));
  auto* bucket = static_cast<Bucket*>(hash_search(net->buckets, &hash, HASH_ENTER, found));
  if (!*found) bucket->first = nullptr;
  *found = true;
  for (Entry* entry = bucket->first; entry != nullptr; entry = entry->next_same_hash)
    if (entry->key == change.key) return entry;
  *found = false;
  Entry* entry = AllocateIn<Entry>(CurrentMemoryContext);
  entry->next_same_hash = bucket->first;
  bucket->first = entry;
  (net->first == nullptr ? net->first : net->last->next) = entry;
  net->last = entry;
  return entry;
}

void Add(Net* net, const ChangeText& change) {
  if (change.op == Op::kClear) {
    StartTable(net);
    net->cleared = true;
    return;
  }
  bool found;
  Entry* entry = FindOrAdd(net, change, &found);
  if (!found) {
    entry->key = change.key;
    entry->first = change.op;
    entry->row = change.row;
    entry->old = change.old;
  }
  if (change.op == Op::kDelete) {
    entry->gone = change.row;
    --entry->count;
    return;
  }
  entry->after = change.row;
  if (change.op == Op::kInsert) ++entry->count;
}

void ListXid(Net* net, std::string_view number) {
  if (net->listed == kMostXids) return;
  if (net->listed++ > 0) appendStringInfoChar(&net->xids, ',');
  appendBinaryStringInfo(&net->xids, number.data(), static_cast<int>(number.size()));
}

// Messages of one group are parts of what the same transactions have changed.
void AddOrigin(Net* net, const RecordHeader& header, std::string_view xids) {
  const bool same = net->messages > 0 && net->header.group == header.group;
  net->header = header;
  if (net->messages++ > 0 && same) return;
  if (net->messages > 1 || header.xid == 0) net->several = true;
  net->xid = header.xid;
  if (header.xid != 0) {
    const char* number = psprintf("%u", header.xid);
    ListXid(net, number);
  }
  while (!xids.empty()) {
    const size_t comma = xids.find(',');
    ListXid(net, xids.substr(0, comma));
    xids.remove_prefix(comma == std::string_view::npos ? xids.size() : comma + 1);
  }
}

// False if they are those of a list; then it has not read all.
bool Read(Net* net, RecordQueue* from) {
  RecordView record;
  while (from->Read(&record)) {
    CHECK_FOR_INTERRUPTS();
    const std::string_view xids = record.body.substr(0, record.header.xids_bytes);
    AddOrigin(net, record.header, xids);
    // What the queue gives is valid until the next one is read.
    const size_t size = record.body.size() - xids.size();
    auto* copy = static_cast<char*>(
        MemoryContextAllocExtended(CurrentMemoryContext, size + 1, MCXT_ALLOC_HUGE));
    memcpy(copy, record.body.data() + xids.size(), size);
    ChangeReader changes({copy, size});
    while (const auto change = changes.Next()) {
      if (!change->position.empty()) return false;
      Add(net, *change);
    }
    if (changes.corrupt()) elog(ERROR, "live_queries cannot read a message that it has held back");
  }
  return true;
}

// What is released goes on with nobody's transaction.
uint64_t NewGroup() {
  constexpr uint8_t kOfNoConsumer = UINT8_MAX;
  static uint64_t number = 0;
  return GroupNumber(kOfNoConsumer, ++number);
}

// With one seq they are one point.
NetSize AppendUnmerged(RecordQueue* from, uint64_t seq, RecordQueue* to) {
  NetSize size = {};
  RecordView record;
  while (from->Read(&record)) {
    CHECK_FOR_INTERRUPTS();
    if (seq != 0) record.header.seq = seq;
    to->Append(record.header, record.body);
    ++size.messages;
    size.changes += record.header.change_count;
  }
  return size;
}

// What is written: the body of a message, and those that were closed before.
struct Writing {
  const Net* net;
  RecordQueue* to;
  StringInfoData body;
  uint32 count;
  NetSize size;
};

void Close(Writing* writing) {
  if (writing->count == 0) return;
  const Net& net = *writing->net;
  const Origin origin = {net.header.seq, net.several ? 0 : net.xid, net.header.committed_at,
                         net.several ? View(net.xids) : std::string_view()};
  RecordHeader header =
      ChangesHeader(net.header.subscription_serial, origin, writing->count, View(writing->body));
  header.group = net.header.group;
  StringInfoData whole;
  initStringInfo(&whole);
  appendBinaryStringInfo(&whole, origin.xids.data(), static_cast<int>(origin.xids.size()));
  appendBinaryStringInfo(&whole, writing->body.data, writing->body.len);
  writing->to->Append(header, View(whole));
  ++writing->size.messages;
  writing->size.changes += writing->count;
  pfree(whole.data);
  resetStringInfo(&writing->body);
  writing->count = 0;
}

template <class Write>
void WriteOne(Writing* writing, Write&& write) {
  StringInfoSink sink{&writing->body};
  if (writing->count++ > 0) appendStringInfoChar(&writing->body, ',');
  write(sink);
  if (static_cast<size_t>(writing->body.len) >= kMessageSplitBytes) Close(writing);
}

std::string_view RowBefore(const Entry& entry) {
  if (entry.first == Op::kDelete) return entry.row;
  if (entry.old.empty()) return {};
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteRowBefore(sink, entry.row, entry.old);
  return View(text);
}

// The key is there before and after: an update, if anything of it is another one.
void WriteChanged(Writing* writing, const Entry& entry, OldRows old_rows) {
  const std::string_view before =
      old_rows == OldRows::kWhole ? RowBefore(entry) : std::string_view();
  StringInfoData old;
  initStringInfo(&old);
  if (!before.empty()) {
    StringInfoSink sink{&old};
    if (!WriteOldMembers(sink, before, entry.after)) return;
  }
  WriteOne(writing,
           [&](StringInfoSink& sink) { WriteUpdate(sink, entry.key, entry.after, View(old)); });
}

void WriteGone(Writing* writing, const Entry& entry, OldRows old_rows) {
  const std::string_view before =
      old_rows == OldRows::kWhole ? RowBefore(entry) : std::string_view();
  const std::string_view row = before.empty() ? entry.gone : before;
  for (int64 i = entry.count; i < 0; ++i)
    WriteOne(writing, [&](StringInfoSink& sink) { WriteDelete(sink, entry.key, row); });
}

void WriteNew(Writing* writing, const Entry& entry) {
  for (int64 i = 0; i < entry.count; ++i)
    WriteOne(writing, [&](StringInfoSink& sink) { WriteInsert(sink, entry.key, entry.after); });
}

// What a visit allocates is freed after it.
template <class Visit>
void ForEachEntry(const Net& net, Visit&& visit) {
  MemoryContext context =
      AllocSetContextCreate(CurrentMemoryContext, "live_queries net change", ALLOCSET_SMALL_SIZES);
  InMemoryContext(context, [&] {
    for (const Entry* entry = net.first; entry != nullptr; entry = entry->next) {
      CHECK_FOR_INTERRUPTS();
      visit(*entry);
      MemoryContextReset(context);
    }
  });
  MemoryContextDelete(context);
}

}  // namespace

NetSize AppendNet(RecordQueue* from, OldRows old_rows, uint64_t seq, RecordQueue* to) {
  Net net = {};
  initStringInfo(&net.xids);
  StartTable(&net);
  const RecordQueue::ReadPosition start = from->read_position();
  if (!Read(&net, from)) {
    from->ReturnTo(start);
    return AppendUnmerged(from, seq, to);
  }
  if (seq != 0) {
    net.header.seq = seq;
    net.header.group = NewGroup();
  }
  Writing writing = {&net, to, {}, 0, {}};
  initStringInfo(&writing.body);
  if (net.cleared) WriteOne(&writing, [](StringInfoSink& sink) { WriteClear(sink); });
  ForEachEntry(net, [&](const Entry& entry) {
    if (entry.count < 0) WriteGone(&writing, entry, old_rows);
  });
  ForEachEntry(net, [&](const Entry& entry) {
    if (entry.count == 0 && entry.first != Op::kInsert) WriteChanged(&writing, entry, old_rows);
  });
  ForEachEntry(net, [&](const Entry& entry) {
    if (entry.count > 0) WriteNew(&writing, entry);
  });
  Close(&writing);
  return writing.size;
}

}  // namespace live_queries

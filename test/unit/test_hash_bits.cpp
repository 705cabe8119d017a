// Tests of model/hash_bits.hpp.
#include <random>
#include <vector>

#include "check.hpp"
#include "model/hash_bits.hpp"

namespace live_queries {
namespace {

struct Bits {
  explicit Bits(size_t hashes)
      : memory(HashBits::BytesFor(hashes)), bits(memory.data(), memory.size()) {}

  std::vector<uint8_t> memory;
  HashBits bits;
};

TEST(ThereIsRoomForTwiceAsMany) {
  for (const size_t count : {0, 1, 63, 64, 65, 1000, 100000}) {
    Bits made(count);
    size_t added = 0;
    for (; !made.bits.IsFull(); ++added) made.bits.Add(static_cast<uint32_t>(added));
    CHECK(added >= 2 * count);
    CHECK(made.memory.size() <= std::max(count, size_t{64}) * 4);
  }
}

TEST(OfNoneItHasNone) {
  Bits made(10);
  for (uint32_t hash = 0; hash < 5000; ++hash) CHECK(!made.bits.MayHave(hash));
}

TEST(AllAreKnownAndFewOthersSeemToBe) {
  std::mt19937 random(1);
  for (const size_t count : {100, 10000}) {
    Bits made(count);
    std::vector<uint32_t> hashes;
    while (!made.bits.IsFull()) {
      hashes.push_back(random());
      made.bits.Add(hashes.back());
    }
    for (const uint32_t hash : hashes) CHECK(made.bits.MayHave(hash));
    int seem = 0;
    for (int i = 0; i < 100000; ++i) seem += made.bits.MayHave(random()) ? 1 : 0;
    CHECK(seem < 100000 / 8 * 11 / 10);
  }
}

TEST(TheGreatestHashesAreHashesToo) {
  Bits made(1);
  made.bits.Add(UINT32_MAX);
  CHECK(made.bits.MayHave(UINT32_MAX));
  CHECK(!made.bits.MayHave(UINT32_MAX - 1));
  CHECK(!made.bits.MayHave(0));
}

}  // namespace
}  // namespace live_queries

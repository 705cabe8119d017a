// Tests of model/body_holders.hpp: whoever takes something off learns what there is to do, once
// each, in whatever order they come.
#include <random>

#include "check.hpp"
#include "model/body_holders.hpp"

namespace live_queries {
namespace {

// A body, as those see it who change its count.
struct Body {
  uint32_t holders = kMakerOfBody;
  int charged = 0;
  int freed = 0;

  void Hold() {
    CHECK_EQ(freed, 0);
    const uint32_t before = holders;
    holders += kBlockOfBody;
    if (IsFirstBlock(before)) ++charged;
  }
  void LetGo() {
    CHECK_EQ(freed, 0);
    const uint32_t before = holders;
    holders -= kBlockOfBody;
    if (WasLastBlock(before)) --charged;
    if (NobodyHolds(before, kBlockOfBody)) ++freed;
  }
  void Release() {
    CHECK_EQ(freed, 0);
    const uint32_t before = holders;
    holders -= kMakerOfBody;
    if (NobodyHolds(before, kMakerOfBody)) ++freed;
  }
};

TEST(ABodyThatNoBlockHasIsItsMakersToFree) {
  Body body;
  body.Release();
  CHECK_EQ(body.freed, 1);
  CHECK_EQ(body.charged, 0);
}

TEST(AMakerKeepsABodyThatAllBlocksHaveLetGoOf) {
  Body body;
  body.Hold();
  CHECK_EQ(body.charged, 1);
  body.LetGo();
  CHECK_EQ(body.charged, 0);
  CHECK_EQ(body.freed, 0);
  body.Hold();
  CHECK_EQ(body.charged, 1);
  body.Release();
  CHECK_EQ(body.freed, 0);
  body.LetGo();
  CHECK_EQ(body.freed, 1);
  CHECK_EQ(body.charged, 0);
}

TEST(InWhateverOrderItIsFreedOnceAndLast) {
  std::mt19937 random(12);
  for (int i = 0; i < 2000; ++i) {
    Body body;
    uint32_t blocks = 0;
    uint32_t to_come = random() % 20;
    bool made = true;
    while (made || blocks > 0) {
      CHECK_EQ(body.charged, blocks > 0 ? 1 : 0);
      CHECK_EQ(BlocksOfBody(body.holders), blocks);
      CHECK_EQ(body.freed, 0);
      const unsigned next = random() % 3;
      if (next == 0 && made && to_come > 0) {
        body.Hold();
        ++blocks;
        --to_come;
      } else if (next == 1 && blocks > 0) {
        body.LetGo();
        --blocks;
      } else if (next == 2 && made && (to_come == 0 || random() % 10 == 0)) {
        body.Release();
        made = false;
      }
    }
    CHECK_EQ(body.freed, 1);
    CHECK_EQ(body.charged, 0);
    CHECK_EQ(body.holders, 0u);
  }
}

}  // namespace
}  // namespace live_queries

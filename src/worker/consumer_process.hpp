// The life of a consumer's process, whatever its kind: it takes its place in shared memory, says
// how it is, and frees the place however it ends. Called by decoder.cpp and evaluator.cpp. Process:
// decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"
#include "pg/try_catch.hpp"
#include "registry/database.hpp"

namespace live_queries {

// The database whose consumer this is.
DatabaseShared* DatabaseOfMine();

// As AcceptSignals; but the process is not cancelled.
void AcceptConsumerSignals();

// Takes the place `index`, counted over all databases, or ends the process: it is not wanted any
// more.
void TakePlace(int index);

// From here on it serves: what has gone wrong before is forgotten.
void BeginToServe();

// Whether this consumer has nobody to work for, or must make way for DROP DATABASE. If so its place
// is free at once, so that nobody who subscribes now counts on it.
bool ShouldStop();
// Ends the process, and that is no failure.
[[noreturn]] void StopAsAsked();

// Keeps an error that ends the process, for who waits for this consumer.
void NoteProblem(const ErrorData& error);

// Waits until `pace_us` have passed since `*last`, and sets it to now.
void KeepPace(TimestampTz* last, int64 pace_us);

// Runs `work` in its place. An error of it is noted, and ends the process.
template <class Work>
void RunConsumer(int index, Work&& work) {
  TakePlace(index);
  TryCatch(TopMemoryContext, work, [](ErrorData* error) {
    // It may have come while one was held, and this may be no transaction, whose abort would do it.
    LWLockReleaseAll();
    NoteProblem(*error);
    ReThrowError(error);
  });
}

}  // namespace live_queries

// Loaded before the server where live_queries was built with a sanitizer: the sanitizers' options,
// and ASan's start. Whatever is found goes to the server's log and ends the process by a signal,
// which the postmaster takes for a crash.
#include <stdlib.h>

// Not in the environment: UBSan looks there only when it has found something, and the server writes
// the titles of its processes over it.
const char* __ubsan_default_options(void) {
  return "print_stacktrace=1:halt_on_error=1:abort_on_error=1";
}

// detect_leaks: memory contexts are never freed at exit, so everything would seem to leak.
// detect_stack_use_after_return: the server measures the depth of its stack by the address of a
// variable, which has to be on it. quarantine_size_mb: a hundred processes, each with a quarter of a
// gigabyte of freed memory kept, would be too much. verify_asan_link_order: this library comes
// before ASan's, but replaces nothing of it.
const char* __asan_default_options(void) {
  return "abort_on_error=1:disable_coredump=1:detect_leaks=0:detect_stack_use_after_return=0:"
         "quarantine_size_mb=16:verify_asan_link_order=0";
}

// ASan starts at the first malloc(), and calls gettext then. If that malloc() is gettext's own, as
// in the constructor of a library of the server's, a lock is taken twice and the server hangs. So
// this one is the first, by the linker's -z initfirst.
__attribute__((constructor)) static void StartAsan(void) {
  void* volatile memory = malloc(1);
  free(memory);
}

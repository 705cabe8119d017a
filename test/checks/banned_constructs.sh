# What must not stand in code that runs inside the server, where an error is a longjmp that runs no destructor
# (CONTRIBUTING.md, "C++ inside PostgreSQL"). src/model is pure C++ and may use more, but never a server header. Clients are
# programs of their own, which may use all of C++, but nothing that has no bounds.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# ban FILE PATTERN WHY: a finding for each line of code that matches.
ban() {
  local line
  while IFS= read -r line; do
    complain "$1:$line -- $3"
  done < <(code_of "$1" | grep -nP "$2" || true)
}

while read -r file; do
  case $file in
    src/model/*)
      ban "$file" '^\s*#\s*include\s*(<[^>]*\.h>|"(?!model/))' "src/model includes only the standard library and itself"
      ;;
    *)
      ban "$file" '\bstd::(basic_string|string|u8string|wstring|vector|deque|list|forward_list|map|multimap|set|multiset|unordered_\w+|unique_ptr|shared_ptr|weak_ptr|make_unique|make_shared|function|any|thread|jthread|(\w+_)?mutex|condition_variable|future|async|promise|\w*stringstream|cout|cerr|regex|format)\b' \
        "owns memory or a thread behind the server's back"
      ban "$file" '^\s*#\s*include\s*<(string|vector|deque|list|forward_list|map|set|unordered_map|unordered_set|memory|functional|any|thread|mutex|shared_mutex|condition_variable|future|iostream|sstream|fstream|regex|exception|stdexcept)>' \
        "a header of what is banned"
      ban "$file" '\b(throw|try|catch|dynamic_cast|typeid|thread_local)\b' "no exceptions, no RTTI, no threads"
      ban "$file" '\b(new|delete)\b(?!\s*;)(?<!= delete)' "memory comes from contexts"
      ban "$file" '\b(malloc|calloc|realloc|strdup|free)\s*\(' "memory comes from contexts"
      ban "$file" '(?<!\w)(sprintf|strcpy|strcat|gets|atoi|atol|system|popen|usleep|sleep)\s*\(' "not in a server"
      ;;
  esac
  [[ $file == src/pg/try_catch.hpp ]] || ban "$file" '\bPG_(TRY|CATCH|FINALLY|END_TRY)\b' "use TryCatch of pg/try_catch.hpp"
  [[ $file == src/pg/compat*.hpp ]] || ban "$file" '\bPG_VERSION_NUM\b|\bPG_MAJORVERSION' "version differences live in src/pg/compat*.hpp"
  ban "$file" '\busing\s+namespace\b' "name what is used"
done < <(files src cpp hpp)

while read -r file; do
  ban "$file" '\busing\s+namespace\b' "name what is used"
  ban "$file" '(?<!\w)(sprintf|strcpy|strcat|gets|atoi|atol|system|popen|usleep|sleep)\s*\(' "has no bounds, or waits deaf to signals"
  [[ $file == */unit/* ]] || ban "$file" '\b(new|delete)\b(?!\s*;)(?<!= delete)' "memory belongs to an object"
  ban "$file" '^\s*#\s*include\s*"(?!pg_live/|\.\./\.\./\.\./test/unit/)' "a client knows the extension by SQL alone"
done < <(files clients cpp hpp)

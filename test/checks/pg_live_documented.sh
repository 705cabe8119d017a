# pg_live's options and exit statuses are those of its man page and of --help.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

directory=clients/pg_live

# same WHAT WHERE EXPECTED FOUND: lists, a line for each.
same() {
  [[ $3 == "$4" ]] || complain "$1 of $2: $(diff <(echo "$3") <(echo "$4") | grep '^[<>]' | tr '\n' ' ')(<: only in the code)"
}

help=$(sed -n '/R"(/,/)";/p' $directory/options.cpp)
options=$(grep -oE '"[a-z-]+", (true|false)\}' $directory/options.cpp | sed -E 's/"([a-z-]+)".*/--\1/' | sort)
[[ -n $options ]] || complain "there are no options in $directory/options.cpp"
same options --help "$options" "$(grep -oE '^  (-.|  ).*' <<<"$help" | grep -oE -- '--[a-z-]+' | sort -u | grep -v '^--$')"
same options 'the man page' "$options" "$(
  grep -E '^\.BR? .*\\-\\-' $directory/pg_live.1 | grep -oE '\\-\\-[a-z\\-]+' | sed 's/\\//g' | sort -u | grep -v '^--$'
)"

statuses=$(sed -nE 's/^  k\w+ = ([0-9]+),.*/\1/p' $directory/options.hpp | sort -n)
[[ -n $statuses ]] || complain "there are no exit statuses in $directory/options.hpp"
same 'exit statuses' --help "$statuses" "$(sed -n '/^Exit status:/,$p' <<<"$help" | grep -oE '(^|[:,] |, )([0-9]+) ' | grep -oE '[0-9]+' | sort -n)"
same 'exit statuses' 'the man page' "$statuses" "$(sed -n '/^\.SH EXIT STATUS/,/^\.SH EXAMPLES/p' $directory/pg_live.1 | sed -nE 's/^\.B ([0-9]+).*/\1/p' | sort -n)"

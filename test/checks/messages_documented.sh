# Every message of the extension stands in docs: errors with cause and cure in operations.md, what is refused and why a query is
# evaluated as a whole in strategies.md. A message is what errmsg() says, and any other text of three words or more that is none
# of: a hint or detail, an internal error (elog), the name of a memory context or table, what live.explain shows, a setting's
# description. Values are written as `...` there. And the other way round: no row of a table of messages is of one that has gone.
#
#   messages_documented.sh [SOURCES DOCS]   the folders, src and docs unless told otherwise
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sources=${1:-src}
docs=${2:-docs}
# Texts that no user reads as messages.
others=$(
  cat <<'TEXTS'
... for database ...
current_user, or one like it,
part of a live query
the result of a live query
TEXTS
)

messages() {
  # shellcheck disable=SC2016  # perl's own
  perl -0777 -ne '
    next if $ARGV =~ m{/(fault|settings|explain)\.cpp$};
    s{^\#ifdef LIVE_QUERIES_FAULTS.*?^\#(?:else|endif)}{}gms;
    my $literal = qr{"(?:\\.|[^"\\\n])*"};
    s{^(\s*\#[ ]*(?:include|error)[^\n]*)|(//[^\n]*|/\*.*?\*/)|($literal)|(\x27(?:\\.|[^\x27\\\n])+\x27)}
     {defined $3 ? $3 : defined $4 ? $4 : ""}gmse;
    s{"\s*(?:PRI\w+|U?INT64_FORMAT)\s*"}{%d}g;
    s{(?<!\\)"\s*"}{}g;
    s{\b(?:elog|AllocSetContextCreate|GenerationContextCreate|SlabContextCreate|hash_create|MakeTable|static_assert)\s*\([^;]*?$literal}{}g;
    s{\berr(?:detail|hint)(?:_internal|_plural)?\s*\(\s*$literal(?:\s*,\s*$literal)?}{}g;
    while (/(\berrmsg(?:_internal|_plural)?\s*\(\s*)?"((?:\\.|[^"\\\n])*)"/g) {
      my ($always, $text) = ($1, $2);
      next unless $always || $text =~ /\w,? [\w\x27(]+.* \w/;
      $text =~ s/\\"/"/g;
      $text =~ s/%(?:[.*\d]*(?:z|l|ll)?[a-z]|%)/.../g;
      print "$text\n" unless $text =~ /^[.\s]*$/ || $text =~ /^live_queries [a-z ]+$/ && !$always;
    }' "$@" | sort -u
}

mapfile -t files < <(files "$sources" cpp hpp)
said=$(messages "${files[@]}" | grep -vxF -e "$others" || true)
[[ -n $said ]] || complain "found no message in $sources: is this check still right?"
pages=$(cat "$docs"/*.md | tr -s ' \n' '  ')
while read -r message; do
  [[ $pages == *"$message"* ]] || complain "no page of $docs has the message: $message"
done <<<"$said"

# The first cell of each row of the tables whose head is `message`.
documented=$(awk '/^\| message \|/ { rows = 1; next } !/^\|/ { rows = 0 } rows' "$docs"/*.md | sed -nE 's/^\| `([^`]*)` \|.*/\1/p' | sort -u)
while read -r message; do
  grep -qxF -e "$message" <<<"$said" || complain "$docs has a message that $sources does not: $message"
done < <(grep . <<<"$documented" || true)

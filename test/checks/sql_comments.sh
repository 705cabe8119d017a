# Every object that the extension makes for its users has a COMMENT (\df+ and \d+ are the documentation that is always
# at hand), and every function stands in the README. A SECURITY DEFINER function sets its search_path.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

script=$(find . -maxdepth 1 -name 'live_queries--*.sql' ! -name '*--*--*' | sort -V | tail -n 1)
[[ -n $script ]] || { complain "no install script" && exit 1; }
# Its statements, one a line, without comments and without the bodies of functions.
statements=$(perl -0777 -pe 's{--[^\n]*}{}g; s{\$(\w*)\$.*?\$\1\$}{BODY}gs; s{\s+}{ }g; s{;}{;\n}g' "$script")
name='([a-z_.@"]+)'

created() { sed -nE "s/^ *CREATE (OR REPLACE )?$1 $name.*/\2/Ip" <<<"$statements" | tr -d '"' | sort -u; }
commented() { sed -nE "s/^ *COMMENT ON $1 $name.*/\1/Ip" <<<"$statements" | tr -d '"' | sort -u; }

[[ -n $(created FUNCTION) ]] || complain "found no function in $script: is this check still right?"
for kind in FUNCTION PROCEDURE VIEW TYPE DOMAIN TABLE SCHEMA; do
  while read -r object; do
    complain "$script: ${kind,,} $object has no COMMENT"
  done < <(comm -23 <(created "$kind") <(commented "$kind") | grep . || true)
done
for function in $(created FUNCTION); do
  grep -q "COMMENT ON FUNCTION $function(.* IS 'The rows of the view" <<<"$statements" && continue
  grep -qF "\`$function(" README.md || complain "README.md does not have $function"
done
while read -r statement; do
  grep -qi 'SET search_path' <<<"$statement" || complain "$script: SECURITY DEFINER without a search_path: ${statement:0:80}"
done < <(grep -i 'SECURITY DEFINER' <<<"$statements" || true)

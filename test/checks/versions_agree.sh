# The version is written in eight places. They agree.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

control=$(sed -nE "s/^default_version *= *'([^']+)'.*/\1/p" live_queries.control)
[[ -n $control ]] || complain "live_queries.control has no default_version"
[[ -e live_queries--$control.sql ]] || complain "there is no live_queries--$control.sql"
for script in live_queries--*.sql; do
  grep -qE "^DATA *=(.* )?$script( |\$)" Makefile || grep -qE '^DATA *=.*(\*|wildcard)' Makefile ||
    complain "the Makefile does not install $script"
done

distribution=$(python3 -c 'import json; print(json.load(open("META.json"))["version"])')
provided=$(python3 -c 'import json; print(json.load(open("META.json"))["provides"]["live_queries"]["version"])')
script=$(python3 -c 'import json; print(json.load(open("META.json"))["provides"]["live_queries"]["file"])')
changelog=$(sed -nE '0,/^## /s/^## ([0-9.]+).*/\1/p' CHANGELOG.md)
[[ $distribution == "$control".* ]] || complain "META.json has version $distribution, the control file $control"
[[ $provided == "$distribution" ]] || complain "META.json provides $provided, and is of version $distribution"
[[ $script == "live_queries--$control.sql" ]] || complain "META.json names $script"
[[ $changelog == "$distribution" ]] || complain "CHANGELOG.md begins with $changelog, META.json has $distribution"
packaged=$(sed -nE '1s/^live-queries \(([^)-]+)-.*/\1/p' debian/changelog)
[[ $packaged == "$distribution" ]] || complain "debian/changelog begins with $packaged, META.json has $distribution"
client=$(sed -nE 's/^version = "([^"]+)"$/\1/p' clients/python/pyproject.toml)
[[ $client == "$distribution" ]] || complain "clients/python/pyproject.toml has version $client, META.json has $distribution"
client=$(sed -nE 's/^__version__ = "([^"]+)"$/\1/p' clients/python/live_queries/__init__.py)
[[ $client == "$distribution" ]] || complain "clients/python/live_queries/__init__.py has version $client, META.json has $distribution"

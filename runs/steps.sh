# Sourced by the recipes: `step NAME COMMAND…` runs a command and says how many minutes it took, `table` shows them all;
# `allowed=6 step …` goes on after exit code 6. For bash 3.2 and later; commands come from BIN, what `make setup` makes.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${BIN:-$root/.venv/bin}
[ -x "$BIN/corpus" ] || { echo "There is no $BIN/corpus; run make setup, or name its folder in BIN." >&2 && exit 4; }
# Threads that spin while they wait make training many times slower on a machine that has other work too.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
rows="" all_began=$SECONDS

minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

step() {
  local name=$1 began=$SECONDS code=0 took
  shift
  printf '\n== %s: %s\n' "$name" "${*//$BIN\//}" >&2
  "$@" || code=$?
  took=$(minutes $((SECONDS - began)))
  if [ "$code" != 0 ] && [ "$code" != "${allowed:-0}" ]; then
    echo "== $name: exit code $code after $took minutes; start again to go on" >&2
    exit "$code"
  fi
  echo "== $name: $took minutes" >&2
  rows+=$(printf '%7s  %s' "$took" "$name")$'\n'
}

# `kept FILE COMMAND…`: what a command prints goes to FILE; once that is there, the command is not run again.
kept() {
  [ -s "$1" ] || { "${@:2}" >"$1.part" && mv "$1.part" "$1"; }
}

table() { printf '\nminutes  step\n%s%7s  all\n' "$rows" "$(minutes $((SECONDS - all_began)))"; }

# SPDX-License-Identifier: GPL-2.0
# Common ground of the set-up scripts: the cache, its locks, progress, errors.
#
# The cache holds *parts*: directories that are expensive to make and whose
# whole definition goes into their name (NAME-KEY).  A part is made under a
# lock, in place, and counts only once its stamp file is there; what an
# interrupted run left behind is removed and made again.

set -eu -o pipefail
shopt -s inherit_errexit

HOSPES_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOSPES_CACHE=${HOSPES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hospes}
export HOSPES_ROOT HOSPES_CACHE

say() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# key FILE|STRING...: twelve hex digits over all arguments; the arguments that
# name files count with their contents.
key() {
	local arg
	for arg in "$@"; do
		if [ -f "$arg" ]; then cat -- "$arg"; else printf '%s\n' "$arg"; fi
	done | sha256sum | cut -c1-12
}

# part NAME KEY HOW-LONG COMMAND...: runs COMMAND DIR unless the part is whole,
# and prints the part's directory.  COMMAND is a program, not a function: under
# a shell's `if` a function would go on after a failed line.  Its output goes to
# DIR.log; of a failure the last lines are shown.
part() {
	local dir=$HOSPES_CACHE/$1-$2 lock
	if [ ! -e "$dir.complete" ]; then
		mkdir -p "$HOSPES_CACHE"
		exec {lock}>"$dir.lock"
		if ! flock --nonblock "$lock"; then
			say "$1: another run is making it, waiting"
			flock "$lock"
		fi
		[ -e "$dir.complete" ] || make_part "$dir" "$lock" "$1" "${@:3}"
		exec {lock}>&-
	fi
	printf '%s\n' "$dir"
}

# make_part DIR LOCK NAME HOW-LONG COMMAND...: the half of part() that runs with
# the lock held.  COMMAND does not inherit the lock, so that a process it leaves
# behind cannot keep others waiting.
make_part() {
	local dir=$1 lock=$2 name=$3 how_long=$4 log=$1.log start=$SECONDS
	shift 4
	say "$name: making it, $how_long (log: $log)"
	remove_tree "$dir"
	mkdir -p "$dir"
	if ! "$@" "$dir" >"$log" 2>&1 {lock}>&-; then
		tail -n 30 "$log" >&2
		die "$name: failed; the whole log is $log"
	fi
	touch "$dir.complete"
	say "$name: done in $((SECONDS - start)) s"
}

# remove_tree DIR: removes a part.  Refuses if something is still mounted in it,
# so that a bind mount's far side is never deleted.
remove_tree() {
	[ -e "$1" ] || return 0
	if grep -qF " $1/" /proc/self/mountinfo; then
		die "$1: something is mounted inside; unmount it and run again"
	fi
	as_root rm -rf --one-file-system -- "$1"
}

# as_root COMMAND...: as root, or as the root of a user namespace that owns what
# a user's build root holds.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		unshare --user --map-auto --map-root-user "$@"
	fi
}

# need COMMAND PACKAGE: a tool of the host.  As root on Debian it is installed;
# else one line says what to do.
need() {
	command -v "$1" >/dev/null && return 0
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing $2 (for $1)"
		apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1 ||
			{ apt-get update >/dev/null 2>&1 &&
				apt-get install -y --no-install-recommends "$2" >/dev/null 2>&1; } ||
			die "cannot install $2; is there a network? Run: apt-get install $2"
		return 0
	fi
	die "$1 is missing; run: apt-get install $2"
}

# Every script says what it is for: by the lines that it begins with.
case ${1:-} in
-h | --help)
	sed -n '/^# SPDX/d; 2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit ;;
esac

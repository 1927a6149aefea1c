# SPDX-License-Identifier: GPL-2.0
# What scripts/test and scripts/demo share: making the parts, calling the lab.

OUT=$HOSPES_ROOT/out

# make_parts KERNEL...: kernel trees, our modules for them, the static tools.
# Sets PARTS to the arguments that tell the lab where they are.
make_parts() {
	local kernel directory tool
	PARTS=()
	mkdir -p "$OUT/log"
	"$HOSPES_ROOT/scripts/buildroot" path >/dev/null
	for kernel in "$@"; do
		directory=$("$HOSPES_ROOT/scripts/buildroot" run scripts/kernel-tree "$kernel")
		PARTS+=(--kernel "$kernel=$directory")
	done
	directory=$(logged "modules for $*" "$HOSPES_ROOT/scripts/modules" "$@")
	for kernel in "$@"; do
		PARTS+=(--modules "$kernel=$(grep "/$kernel$" <<<"$directory")")
	done
	directory=$(logged "VMM and tools" "$HOSPES_ROOT/scripts/vmm" build)
	# Every guest gets a copy, so without what only a debugger reads.
	mkdir -p "$OUT/bin"
	for tool in hospes diskcheck ioload; do
		"$HOSPES_ROOT/scripts/buildroot" run strip -o "$OUT/bin/$tool" "$directory/$tool"
	done
	PARTS+=(--programs "$("$HOSPES_ROOT/scripts/guest-packages")")
	PARTS+=(--tools "$OUT/bin" --cargo-target "$(dirname "$(dirname "$directory")")")
}

# logged WHAT COMMAND…: COMMAND's output is kept, and shown only if it fails.
logged() {
	local what=$1 log=$OUT/log/${1// /-}.log
	shift
	say "building $what (log: $log)"
	"$@" 2>"$log" || { tail -n 40 "$log" >&2; die "building $what failed; the whole log is $log"; }
}

# lab SUB-COMMAND…: the runner, in the build root.
lab() {
	local out=$OUT/test
	[ "$1" = demo ] && out=$OUT/demo
	[ "$1" = bench ] && out=$OUT/bench
	"$HOSPES_ROOT/scripts/buildroot" run env PYTHONDONTWRITEBYTECODE=1 \
		PYTHONPATH="$HOSPES_ROOT/scripts" \
		python3 -m lab --root "$HOSPES_ROOT" --out "$out" "$@"
}

cd "$HOSPES_ROOT"

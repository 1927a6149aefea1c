# SPDX-License-Identifier: GPL-2.0
#
# The unit tests inside our modules and wrappers pass in a kernel with KUnit,
# which runs them when a module is loaded.
#
# machine: module=none driver=rust vmm=qemu kernel=lab
# cmdline: kunit.enable=1 kunit.autorun=1

. /tests/lib.sh

# suites MODULE: loads it, shows what KUnit said, fails as KUnit did.
suites() {
	dmesg -c >/dev/null
	insmod "/modules/ours/$1.ko" || return 1
	dmesg | sed 's/^\[[^]]*\] //' >/tmp/kunit
	rmmod "$1"
	grep -E '^ *(# |ok |not ok )' /tmp/kunit | grep -v -e '# Subtest' -e module: >/tmp/results
	grep 'not ok' /tmp/kunit
	! grep -q 'not ok' /tmp/kunit
}

total=0
for module in /modules/ours/*.ko; do
	name=${module##*/}
	name=${name%.ko}
	# A helper of the tests has no unit tests, and may refuse to load alone.
	grep -qa kunit "$module" || continue
	# So does a driver for Hyper-V anywhere else.
	grep -qa '^alias=vmbus:\|[^[:print:]]alias=vmbus:' "$module" && continue
	grep -qa 'alias=acpi\*:VMBUS' "$module" && continue
	check "$name" suites "$name"
	while read -r line; do
		case $line in ok\ *) total=$((total + 1)) ;; esac
		say "  # kunit: $line"
	done </tmp/results
done
check "suites ran ($total lines)" [ $total -gt 0 ]

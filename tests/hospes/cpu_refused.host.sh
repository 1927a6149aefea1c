# SPDX-License-Identifier: GPL-2.0
#
# Outside of hospes/cpu_refused: asks hospes for models beside the running one.

# Features that no guest has unless the host's processor has them.
OF_PROCESSOR="pcid hle rtm invpcid avx2 fma movbe bmi2 smep"

# try MODEL: starts a machine with it, for a second at most.
try() {
	hospes run --kernel "$KERNEL" --memory 64M --serial null --time-limit 1 \
		--cpu-model "$1" >/dev/null 2>try.log
}

# lacks FEATURE: whether the error names it.
lacks() { sed 's/.*lacks \(.*\); use.*/,\1,/; s/ //g' try.log | grep -q ",$1,"; }

# The running machine's kernel.
KERNEL=$(tr '\0' '\n' </proc/"$(pidof hospes | cut -d ' ' -f 1)"/cmdline | sed -n '/^--kernel$/{n;p}')

case $1 in
missing)
	try haswell
	status=$?
	wrong=
	for feature in $OF_PROCESSOR; do
		if grep -qw "^flags.*[[:space:]]$feature" /proc/cpuinfo; then
			! lacks "$feature" || wrong="$wrong $feature (is there)"
		else
			[ $status = 2 ] && lacks "$feature" || wrong="$wrong $feature (is not there)"
		fi
	done
	[ -z "$wrong" ] || { echo "status $status, wrong:$wrong"; cat try.log; exit 1; } ;;
proposal)
	if try haswell || [ $? != 2 ]; then exit 0; fi
	proposal=$(sed -n 's/.*do without: cpu_model=//p' try.log)
	try "$proposal"
	# The time limit's status: the guest ran until then.
	[ $? = 36 ] || { echo "$proposal:"; cat try.log; exit 1; } ;;
unknown)
	try haswell,+avx3
	[ $? = 2 ] && grep -q "+avx3: no such feature" try.log || { cat try.log; exit 1; } ;;
esac

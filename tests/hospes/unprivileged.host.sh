# SPDX-License-Identifier: GPL-2.0
#
# Outside of hospes/unprivileged: looks at the VMM's process.

# The one that runs the machine; `hospes ctl` may be there as well.
process=$(for id in $(pidof hospes); do
	tr '\0' ' ' </proc/$id/cmdline | grep -q "^hospes run" && echo "$id"
done | head -n 1)
[ -n "$process" ] || { echo "hospes does not run"; exit 1; }

# each PATTERN: a line of every thread's status matches it.
each() {
	for thread in /proc/"$process"/task/*; do
		grep -q "$1" "$thread/status" && continue
		echo "$(cat "$thread/comm"): no '$1'"
		return 1
	done
}

case $1 in
user) each "^Uid:[[:space:]]1000[[:space:]]1000[[:space:]]1000" ;;
capabilities) each "^CapEff:[[:space:]]0*$" && each "^NoNewPrivs:[[:space:]]1" ;;
filters) each "^Seccomp:[[:space:]]2" ;;
files)
	for file in /proc/"$process"/fd/*; do
		target=$(readlink "$file")
		case $target in
		/dev/kvm | /dev/null | anon_inode:* | pipe:* | socket:* | "$PWD"/* | /dev/vport*) ;;
		*) echo "open: $target"; bad=1 ;;
		esac
	done
	[ -z "$bad" ] ;;
memory)
	# All resident pages less those of the mapping that is the guest's memory,
	# which is by far the largest.
	awk '/^[0-9a-f]+-[0-9a-f]+ / { size = rss = 0 }
		/^Size:/ { size = $2 }
		/^Rss:/ { total += $2; if (size > largest) { largest = size; guest = $2 } }
		END { beyond = total - guest; print beyond " KiB"; exit beyond > 5120 }' \
		/proc/"$process"/smaps ;;
esac

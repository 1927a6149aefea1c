# SPDX-License-Identifier: GPL-2.0
#
# The trace events of the bus: names, fields and texts are listed, for the lab to
# compare with the C bus; each that can happen here happens, with the values that
# belong to it, from the module's first message on, and not when it is disabled.
#
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=debug vcpus=2 disks=1x4M+1x2M:spare
# host: yes
# alone: yes
# limit: 240

. /tests/lib.sh
. /tests/vmbus.sh

TRACING=/sys/kernel/tracing
EVENTS=$TRACING/events/hyperv
DEVICES=/sys/bus/vmbus/devices

# surface KEY VALUE
surface() { say "  # surface trace: $1 = $2"; }

# The numbers of events differ from boot to boot.
formats() {
	local event name line
	for event in "$EVENTS"/vmbus_*; do
		name=${event##*/}
		surface "$name" "$(ls "$event" | tr '\n' ' ')"
		grep -v '^ID:' "$event/format" | grep . | while read -r line; do
			surface "$name" "$line"
		done
	done
}

enable() { echo "$1" >"$EVENTS/enable"; }

begin() { echo >$TRACING/trace; }

# stage NAME: what has happened since `begin` is in /tmp/trace. Messages are the same
# on both buses; how often a channel is used is nobody's promise.
stage() {
	sed -n 's/^.*: \(vmbus_[a-z_]*\): /\1 /p' $TRACING/trace >/tmp/trace
	surface "$1" "$(sed 's/ .*//' /tmp/trace | sort -u |
		grep -vE '^vmbus_(chan_sched|on_event|setevent)$' | tr '\n' ' ')"
}

# saw EVENT [PATTERN]: it happened, with a text that matches as a whole.
saw() { grep -qxE "$1 ${2:-.*}" /tmp/trace || { grep "$1" /tmp/trace | head -n 3; return 1; }; }

# saw_now EVENT: since `begin`.
saw_now() { grep -q ": $1: " $TRACING/trace; }

# numbers EVENT FIELD: the values of a field, without 0x.
numbers() { sed -n "s/^$1 .*$2 0x\([0-9a-f]*\).*/\1/p" /tmp/trace | sort -u; }

# The numbers of the controller's channels; the names of their directories are decimal.
channels() {
	local relid
	for relid in $(ls "$DEVICES/$controller/channels"); do printf '%x\n' "$relid"; done | sort -u
}

devices_are() { same "$(ls "$DEVICES" | wc -l)" "$1"; }

channels_are() { same "$(channels | wc -l)" "$1"; }

mount -t tracefs tracefs $TRACING

# From the first message on.
if [ ! -e /sys/module/hv_vmbus ]; then
	check "events of a module that is still to come" sh -c "echo :mod:hv_vmbus >$TRACING/set_event"
fi
check "bus loads" bus_load
stage loading
formats
check "there are 22" same "$(ls -d "$EVENTS"/vmbus_* | wc -l)" 22
controller=$(vmbus_devices | head -n 1)
check "a version is asked for" saw vmbus_negotiate_version \
	'sending vmbus_version_requested [0-9]+, target_vcpu 0x0, pages [0-9a-f]+:[0-9a-f]+:[0-9a-f]+, ret 0'
check "one is agreed on" saw vmbus_onversion_response 'version_supported 1'
check "offers are asked for" saw vmbus_request_offers 'sending ret 0'
check "a message is an offer" saw vmbus_on_msg_dpc 'msgtype=1'
check "a message says that there are no more" saw vmbus_on_msg_dpc 'msgtype=4'
check "an offer is handled" saw vmbus_on_message 'msgtype=1'
check "no answer was queued" sh -c "! grep -q '^vmbus_on_message msgtype=15' /tmp/trace"
check "it is the controller" saw vmbus_onoffer \
	"child_relid 0x$(channels), monitorid 0x[0-9a-f]+, is_dedicated [01], connection_id 0x[0-9a-f]+, if_type ba6163d9-04a1-4d29-b605-72e2ffb1dc7f, if_instance $controller, chn_flags 0x[0-9a-f]+, mmio_megabytes [0-9]+, sub_channel_index 0"

# A driver opens channels and uses them.
check "all are enabled" enable 1
begin
check "storage driver loads" child_load hv_storvsc
check "disk is there" until_true 30 disks_there
check "all channels are open" until_true 30 channels_are "$VCPUS"
check "contents are right" disk_verify 0 --direct
stage opening
check "memory is announced" saw vmbus_establish_gpadl_header \
	'sending child_relid 0x[0-9a-f]+, gpadl 0x[0-9a-f]+, range_buflen [0-9]+ rangecount 1, ret 0'
check "all of it" saw vmbus_establish_gpadl_body 'sending msgnumber 0, gpadl 0x[0-9a-f]+, ret 0'
check "it is taken" saw vmbus_ongpadl_created \
	'child_relid 0x[0-9a-f]+, gpadl 0x[0-9a-f]+, creation_status 0'
check "of each handle" same "$(numbers vmbus_ongpadl_created gpadl)" "$(numbers vmbus_establish_gpadl_header gpadl)"
check "channels are opened" saw vmbus_open \
	'sending child_relid 0x[0-9a-f]+, openid [0-9]+, gpadlhandle 0x[0-9a-f]+, target_vp 0x[0-9a-f]+, offset 0x[0-9a-f]+, ret 0'
check "those of the device" same "$(numbers vmbus_open child_relid)" "$(channels)"
check "with that memory" same "$(numbers vmbus_open gpadlhandle)" "$(numbers vmbus_ongpadl_created gpadl)"
check "they are open" saw vmbus_onopen_result 'child_relid 0x[0-9a-f]+, openid [0-9]+, status 0'
check "sub-channels were offered" saw vmbus_onoffer '.*, sub_channel_index [1-9]'
for event in vmbus_chan_sched vmbus_on_event vmbus_setevent; do
	check "${event#vmbus_}" saw $event 'relid 0x[0-9a-f]+'
done

# A channel moves.
begin
channel=$DEVICES/$controller/channels/$(ls "$DEVICES/$controller/channels" | head -n 1)
to=$(($(cat "$channel/cpu") ^ 1))
check "a channel moves" sh -c "echo $to >$channel/cpu"
stage moving
check "the host is asked" saw vmbus_send_modifychannel \
	"binding child_relid 0x$(printf %x "${channel##*/}") to target_vp 0x$to, ret 0"
check "and has done it" saw vmbus_onmodifychannel_response 'child_relid 0x[0-9a-f]+, status 0'

# The driver goes, and with it the sub-channels.
begin
check "storage driver unloads" child_unload hv_storvsc
check "numbers are given back" until_true 30 saw_now vmbus_release_relid
check "one channel is left" until_true 30 channels_are 1
stage closing
check "channels are closed" saw vmbus_close_internal 'sending child_relid 0x[0-9a-f]+, ret 0'
check "memory is asked for" saw vmbus_teardown_gpadl \
	'sending child_relid 0x[0-9a-f]+, gpadl 0x[0-9a-f]+, ret 0'
check "and given back" saw vmbus_ongpadl_torndown 'gpadl 0x[0-9a-f]+'
check "sub-channels are taken away" saw vmbus_onoffer_rescind 'child_relid 0x[0-9a-f]+'
check "their numbers are given back" saw vmbus_release_relid 'sending child_relid 0x[0-9a-f]+, ret 0'

# A device that comes and goes, without a driver.
count=$(ls $DEVICES | wc -l)
begin
check "add a controller" host add-controller 1
check "it is there" until_true 30 devices_are $((count + 1))
check "remove it" host remove-controller
check "it is gone" until_true 30 devices_are "$count"
check "its number is given back" until_true 30 saw_now vmbus_release_relid
stage "coming and going"
check "one number" same "$(numbers vmbus_onoffer child_relid)" "$(numbers vmbus_release_relid child_relid)"
check "taken away by the host" same "$(numbers vmbus_onoffer_rescind child_relid)" \
	"$(numbers vmbus_release_relid child_relid)"

# And nothing when nobody listens.
check "all are disabled" enable 0
begin
check "storage driver loads again" child_load hv_storvsc
check "disk is there" until_true 30 disks_there
check "storage driver unloads again" child_unload hv_storvsc
stage disabled
check "nothing was noted" same "$(wc -l </tmp/trace)" 0
if bus_can_go; then
	check "enabled once more" enable 1
	check "bus unloads" bus_unload
	check "no event is left" [ ! -e "$EVENTS/vmbus_open" ]
	check "bus loads again" bus_load
	check "events are there again" same "$(ls -d "$EVENTS"/vmbus_* | wc -l)" 22
	check "bus unloads in the end" bus_unload
fi
umount $TRACING

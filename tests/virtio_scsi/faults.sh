# SPDX-License-Identifier: GPL-2.0
#
# A device that lies, loses, repeats and stalls does no more to the guest than its
# own disks: nothing panics, warns, hangs for ever or reaches another's memory,
# whatever else is asked of the device it can be unloaded, and after that and a
# new load everything works.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=3x2M
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=3x2M set=long
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=3x2M
# host: yes
# limit: 400

. /tests/lib.sh
. /tests/faults.sh

# taken: the device is taken from the driver, which ends what the device keeps.
taken() {
	local virtio
	for virtio in /sys/bus/virtio/drivers/"$MODULE"/virtio*; do
		[ ! -e "$virtio" ] || echo "${virtio##*/}" >"/sys/bus/virtio/drivers/$MODULE/unbind" || return
	done
}

# recovered: the driver goes, comes, and finds everything as it was left.
recovered() {
	driver_unload || { echo "cannot unload"; return 1; }
	driver_load || return 1
	disk_verify 0 --direct --io-size 256K
}

# survives NAME FAULT…: the driver gets along with a device that has these faults.
survives() {
	local name=$1 load
	injected "$@"
	# A request that the device keeps does not end until the device is reset: to
	# wait for all would be in vain.
	provoke >/tmp/provoked 2>&1 &
	load=$!
	until_true 8 ended $load
	check "$name: clear" host clear-faults
	check "$name: the device is taken away" taken
	check "$name: every request is ended" until_true 30 ended $load
	check "$name: the driver goes and comes back" recovered
	check "$name: disk 1 can be written and read" again
}

# configured NAME FAULT: the driver loads, or refuses to, with that in the
# device's configuration.
configured() {
	check "$1: inject $2" host fault "$2"
	check "$1: the driver goes" driver_unload
	insmod "/modules/$MODULE.ko" >/tmp/refused 2>&1 && sleep 1
	check "$1: clear" host clear-faults
	if driver_loaded; then
		check "$1: the device is taken away" taken
		check "$1: the driver goes again" driver_unload
	fi
	check "$1: the driver comes back" driver_load
	check "$1: its disks are right" disk_verify 0 --direct --io-size 256K
}

check "driver loads" driver_load
disk_known 0
rm -f /tmp/leaves.1
# Late and wrong answers.
survives delay kind=delay,ms=200,lun=1,count=20
survives status kind=status,lun=1,percent=30,seed=1
survives busy kind=status,status=8,lun=1,count=5
survives response kind=response,lun=1,percent=30,seed=2
survives "every response code" kind=response,code=1,lun=1,count=1 kind=response,code=2,lun=1,count=1 \
	kind=response,code=4,lun=1,count=1 kind=response,code=7,lun=1,count=1 kind=response,code=255,lun=1,count=1
survives garbage kind=garbage,lun=1,percent=50,seed=3
survives "sense longer than its buffer" kind=garbage,lun=1,status=2,sense_len=4294967295,count=3
survives "residue larger than the request" kind=garbage,lun=1,resid=4294967295,count=3
survives "no response written" kind=unwritten,lun=1,count=3
# Broken rings.
survives "used length 0" kind=used-length,len=0,lun=1,count=3
survives "used length too large" kind=used-length,len=4294967295,lun=1,count=3
survives "used index ahead" kind=used-index,ahead=3,lun=1,count=1
survives "used index far ahead" kind=used-index,ahead=5000,lun=1,count=1
survives "completed twice" kind=used-twice,lun=1,count=2
survives "unknown id" kind=used-unknown,lun=1,count=2
survives "id out of turn" kind=used-unknown,id=0,lun=1,count=2
# Losses.
survives "requests that are dropped" kind=drop,lun=1,count=2
survives "needs reset" kind=needs-reset
# Events.
survives "events of any kind" kind=events,number=100,seed=4
# Each has the driver look at what there is while a scan adds to it.
survives "missed events" kind=events,number=100,event=1,reason=1,missed=on
survives "missed events once more" kind=events,number=100,event=1,reason=1,missed=on
# What the configuration says.
configured "no queues" kind=config,field=num_queues,value=0
configured "all queues" kind=config,field=num_queues,value=65535
configured "no segments" kind=config,field=seg_max,value=0
configured "no commands per unit" kind=config,field=cmd_per_lun,value=0
configured "a sense size of any size" kind=config,field=sense_size,value=4294967295,notify=on
check "driver unloads" driver_unload

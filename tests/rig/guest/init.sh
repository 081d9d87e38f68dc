#!/bin/busybox sh
# First process of the rig's guest: a User-Mode Linux whose root is the host's own, read-only. It makes the few places
# that must be writable, runs the file `job` of the folder rig.out of the kernel's command line (mounted at /mnt),
# leaves its exit code in the file `code` there, and switches the machine off.
b=/bin/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev 2>/dev/null
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t tmpfs run /run
for word in $($b cat /proc/cmdline); do
    case $word in rig.out=*) out=${word#rig.out=} ;; esac
done
$b mount -t hostfs -o "$out" none /mnt
# What bluetoothd and udevd keep is to be new in every guest; and D-Bus is to start no bluetoothd by itself.
for place in /var/lib/bluetooth /etc/udev/rules.d /usr/share/dbus-1/system-services; do
    [ -d $place ] && $b mount -t tmpfs place $place
done
$b ifconfig lo 127.0.0.1 up
$b env -i PATH="$PATH" HOME=/dev/shm TMPDIR=/dev/shm LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HYPOTHESIS_STORAGE_DIRECTORY=/dev/shm/hypothesis INR_RIG=guest $b sh /mnt/job
echo $? >/mnt/code
$b dmesg >/mnt/dmesg
$b sync
$b poweroff -f

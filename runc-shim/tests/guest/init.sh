#!/bin/busybox sh
# The test guest's first process: makes an initramfs fit for pivot_root, mounts
# what a runtime needs, runs each case and prints what it prints.
bb=/bin/busybox
if [ "$1" != pivoted ]; then
    $bb mount -o bind / /mnt
    cd /mnt
    $bb mount --move . /
    exec $bb chroot . /bin/busybox sh /init pivoted
fi
cd /
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
$bb mkdir -p /dev/pts
$bb mount -t devpts devpts /dev/pts
$bb mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
$bb mount -t tmpfs run /run
$bb mount -t tmpfs tmp /tmp
export PATH=/bin
exec </dev/null >/dev/console 2>&1
mkdir -p /run/state
for module in /modules/*.ko; do
    [ -e "$module" ] && insmod "$module"
done
mount -o remount,bind,ro /
mount --make-rshared /
for case in /cases/*; do
    name=${case##*/}
    echo "=== $name"
    cd "$case"
    # A case that hangs is a failure of its own, and not of those after it.
    timeout -s KILL 90 sh ./run.sh "$name" 2>&1
    echo "--- $?"
done
echo "=== end"
poweroff -f

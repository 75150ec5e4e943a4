#!/bin/busybox sh
# The clients' guest: makes an initramfs fit for pivot_root, mounts what they
# need, makes an image of busybox, starts the daemons, and runs each case.
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
$bb mkdir -p /dev/pts /dev/shm /dev/mqueue
$bb mount -t devpts devpts /dev/pts
$bb mount -t tmpfs shm /dev/shm
$bb mount -t mqueue mqueue /dev/mqueue
$bb mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
$bb mount -t tmpfs run /run
$bb mount -t tmpfs tmp /tmp
$bb --install -s /bin
export PATH=/usr/bin:/usr/sbin HOME=/root
exec </dev/null >/dev/console 2>&1
mount --make-rshared /
# Whoever is in the root group keeps controllers from being passed on only in
# groups below it.
echo +memory +pids +cpu +cpuset +io >/sys/fs/cgroup/cgroup.subtree_control

# Waits until a command succeeds, at most 120 tries, a second between.
cat >/usr/bin/wait_for <<'END'
#!/bin/sh
n=0
until sh -c "$*" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 120 ] || { echo "no success: $*"; exit 1; }
    sleep 1
done
END
chmod +x /usr/bin/wait_for

# `docker save`'s form, which both read.
chroot /image /bin/busybox --install -s /bin
mkdir /run/image && cd /run/image
tar -cf layer.tar -C /image .
digest=$(sha256sum layer.tar | cut -d ' ' -f 1)
echo '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:'"$digest"'"]}}' >config.json
echo '[{"Config":"config.json","RepoTags":["docker.io/library/busybox:latest"],"Layers":["layer.tar"]}]' >manifest.json
tar -cf /run/busybox.tar config.json manifest.json layer.tar
cd /

prepare_podman() {
    podman --storage-driver vfs load -q -i /run/busybox.tar
}
start_containerd() {
    [ ! -S /run/containerd/containerd.sock ] || return 0
    mkdir -p /run/containerd
    containerd >/run/containerd.log 2>&1 &
    wait_for test -S /run/containerd/containerd.sock && wait_for ctr version
}
prepare_ctr() {
    start_containerd && ctr image import --snapshotter native /run/busybox.tar
}
# Docker asks the containerd that runs already, makes no network of its own, and
# copies layers: nothing that a kernel module or a helper is needed for.
prepare_docker() {
    start_containerd || return 1
    mkdir -p /run/docker-data
    dockerd --containerd /run/containerd/containerd.sock --data-root /run/docker-data --storage-driver vfs \
        --iptables=false --ip6tables=false --ip-forward=false --bridge=none --exec-opt native.cgroupdriver=cgroupfs \
        --add-runtime runc-shim=/usr/bin/runc-shim --default-runtime runc-shim >/run/dockerd.log 2>&1 &
    wait_for docker version && docker load -q -i /run/busybox.tar
}
export STORAGE_DRIVER=vfs
prepared=
for case in /cases/*; do
    name=${case##*/}
    client=${name#*-}
    client=${client%%-*}
    if [ "$client" != "$prepared" ]; then
        echo "=== prepare $client"
        prepared=$client
        ready=1
        prepare_$client || { ready=0; tail -n 15 /run/*.log; }
        echo "--- at $(cut -d ' ' -f 1 /proc/uptime)"
    fi
    [ $ready = 1 ] || continue
    echo "=== $name"
    # A case that hangs is a failure of its own, and not of those after it.
    timeout -s KILL 400 sh "$case" 2>&1
    echo "--- $? at $(cut -d ' ' -f 1 /proc/uptime)"
done
echo "=== end"
poweroff -f

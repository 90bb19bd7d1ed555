# Process 1 of the engine's own namespaces: ROOT becomes the root file system, under a layer that takes what is
# written, and this process becomes dockerd.
#   sh boot.sh ROOT LAYER DATA SOURCE WORK CGROUP
set -e
here=$2/merged
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$here"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$here"
mount --rbind /dev "$here/dev"
mount --rbind /sys "$here/sys"
mount -t proc proc "$here/proc"
mount -t tmpfs tmpfs "$here/run"
mount -t tmpfs tmpfs "$here/tmp"
mkdir -p "$here/var/lib/docker" "$here/old"
mount --bind "$3" "$here/var/lib/docker"
mount --bind -o ro "$4" "$here/srv"
mount --bind -o ro "$5" "$here/mnt"
echo nameserver 10.0.2.3 >"$here/etc/resolv.conf" # slirp4netns's
cd "$here"
pivot_root . old # not chroot: runc needs to do the same in it
umount --lazy old
exec docker-init -- dockerd --data-root /var/lib/docker --exec-root /run/docker --pidfile /run/docker.pid \
    --host unix:///run/docker.sock --storage-driver overlay2 --log-level warn \
    --cgroup-parent "$6" --exec-opt native.cgroupdriver=cgroupfs

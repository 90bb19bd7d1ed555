# Process 1 of its namespaces: this machine's root file system under a layer that takes what is written, TREE laid over
# it, then systemd.
#   sh boot.sh LAYER TREE PYTHON PACKAGES
set -e
here=$1/merged
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$here"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$here"
mount -t proc proc "$here/proc"
mount --bind -o ro "$here/proc/sys" "$here/proc/sys" # and /sys: systemd would set up the machine's kernel and devices
mount -t sysfs -o ro sysfs "$here/sys"
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$here/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$here/sys/fs/cgroup"
    mkdir "$here/sys/fs/cgroup/systemd" "$here/sys/fs/cgroup/memory" "$here/sys/fs/cgroup/pids"
    mount -t cgroup -o none,name=systemd systemd "$here/sys/fs/cgroup/systemd"
    mount -t cgroup -o memory memory "$here/sys/fs/cgroup/memory"
    mount -t cgroup -o pids pids "$here/sys/fs/cgroup/pids"
fi
for place in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$here/$place"; done
for device in null zero full random urandom tty; do
    touch "$here/dev/$device"
    mount --bind "/dev/$device" "$here/dev/$device"
done
ln -s pts/ptmx "$here/dev/ptmx" # systemd mounts pts
cp -a --no-preserve=ownership "$2/." "$here/"
mkdir -p "$here/opt/python" "$here/opt/packages" "$here/old"
mount --bind -o ro "$3" "$here/opt/python"
mount --bind -o ro "$4" "$here/opt/packages"
ldconfig -r "$here"
cd "$here"
pivot_root . old # not chroot: PrivateUsers= needs a user namespace, which the kernel refuses in one
# Shared: systemd makes a unit's credentials in a namespace beside its own.
exec sh -c 'umount --lazy /old && mount --make-rshared / && cd / && exec /lib/systemd/systemd --unit=sysinit.target --show-status=no'

#!/bin/sh
# Builds a target of ../../Dockerfile without Docker: a Debian 12 from debootstrap stands in for the base image (the same Debian and the
# same Python 3.11), buildah walks the Dockerfile's steps in a chroot. Leaves the root file system in .local/image/<target>.
#   deploy/image/build.sh [TARGET] [--build-arg NAME=VALUE ...]     needs root, and Debian's packages debootstrap and buildah
set -eu
cd "$(dirname "$0")/../.."
target=${1:-cpu}
[ $# -eq 0 ] || shift
work=$PWD/.local/image
base=docker.io/library/python:3.11-slim-bookworm

fail() {
    echo "image: $*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || fail "needs root: debootstrap and buildah make devices and owners"
if ! command -v debootstrap >/dev/null || ! command -v buildah >/dev/null; then
    command -v apt-get >/dev/null || fail "debootstrap and buildah are missing, and there is no apt-get to install them with"
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends debootstrap buildah >/dev/null
fi
mkdir -p "$work"
box="buildah --root $work/storage --runroot $work/run --storage-driver vfs"

if ! $box inspect --type image "$base" >/dev/null 2>&1; then
    if [ ! -e "$work/base/.complete" ]; then
        # The mirror that this machine uses, else debootstrap's own default.
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1)
        rm -rf "$work/base"
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log" ||
            fail "debootstrap failed; see .local/image/debootstrap.log"
        ln -s /usr/bin/python3 "$work/base/usr/local/bin/python"
        rm -rf "$work/base/var/cache/apt/archives" "$work/base/var/lib/apt/lists" "$work/base/usr/share/doc" "$work/base/usr/share/man"
        touch "$work/base/.complete"
    fi
    container=$($box from scratch)
    $box copy --quiet "$container" "$work/base" / >/dev/null
    $box commit --quiet --rm "$container" "$base" >/dev/null
fi

# This machine's way to its package index: mounted for the build, not copied into the image.
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || set -- "$@" --volume "$file:$file:ro"
done
$box build --isolation chroot --pull-never --network host --format docker --layers=false --target "$target" --tag "sttd:$target" "$@" .

$box inspect --type image "localhost/sttd:$target" >"$work/$target.json"
container=$($box from --pull-never "localhost/sttd:$target")
mounted=$($box mount "$container")
rm -rf "${work:?}/$target"
cp -a "$mounted" "$work/$target"
$box umount "$container" >/dev/null
$box rm "$container" >/dev/null
echo "image: .local/image/$target: $(du -sm "$work/$target" | cut -f1) MB, of which /opt $(du -sm "$work/$target/opt" | cut -f1) MB and the base $(du -sm "$work/base" | cut -f1) MB"

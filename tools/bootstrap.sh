#!/bin/sh
# Builds .venv from requirements.lock: python3 >= 3.11, its venv module (installed with apt-get where root may), hashes checked.
# Called by `make setup`, which also keeps the stamp that makes a second call free.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    echo "setup: $*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "no $python here; install Python 3.11 or newer, or name one: make setup PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; Python 3.11 or newer is needed: make setup PYTHON=python3.12"

# Debian ships venv without ensurepip, so that making an environment fails half-way.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing $version with apt-get"
        apt-get -qq -o DPkg::Lock::Timeout=300 update || true # the lists may be good enough
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$version" >/dev/null
    else
        fail "$python has no venv module with pip; install it, on Debian and Ubuntu: sudo apt-get install $version"
    fi
fi

.venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
pip=".venv/bin/python -m pip --disable-pip-version-check --no-input install"
total=$(grep -c '==' requirements.lock)
log=.venv/setup.log
echo "setup: installing $total locked packages into .venv; the first time takes a minute or two"
# The lock is complete and wheels only: nothing is resolved anew, nothing is built.
$pip --progress-bar off --require-hashes --no-deps --only-binary :all: -r requirements.lock >"$log" 2>&1 &
installer=$!
trap 'kill "$installer" 2>/dev/null || true' INT TERM EXIT # a shell lets its background jobs ignore Ctrl-C
while [ -t 1 ] && kill -0 "$installer" 2>/dev/null; do
    fetched=$(grep -c '^Collecting ' "$log" || true)
    there=$(find .venv/lib -maxdepth 3 -name '*.dist-info' 2>/dev/null | wc -l)
    printf '\rsetup: %s of %s fetched, %s installed ' "$fetched" "$total" "$there"
    sleep 1
done
if ! wait "$installer"; then
    tail -n 20 "$log" >&2
    fail "pip could not install the locked packages; all that it wrote is in $log"
fi
$pip --quiet --no-build-isolation --no-deps -e .
echo "setup: done"

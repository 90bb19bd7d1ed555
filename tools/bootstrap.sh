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
echo "setup: installing the locked dependencies into .venv"
pip=".venv/bin/python -m pip --quiet --disable-pip-version-check --no-input install"
# The lock is complete and wheels only: nothing is resolved anew, nothing is built.
$pip --require-hashes --no-deps --only-binary :all: -r requirements.lock
$pip --no-build-isolation --no-deps -e .

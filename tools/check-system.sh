#!/bin/sh
# Sees to it that the system has what pip cannot install; as root it installs it, otherwise it says
# which command does. Usage: check-system.sh PYTHON
set -eu

python=$1
missing=""

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    if command -v "$python" >/dev/null 2>&1; then
        echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2
        exit 2
    fi
    missing="$missing python3"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"

has_library() {
    ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"
}
has_library 'libGL\.so\.1' || missing="$missing libgl1"
has_library 'libgthread-2\.0\.so\.0' || missing="$missing libglib2.0-0"

[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages is meant
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
else
    echo "some system packages are missing; run: sudo apt-get install$missing" >&2
    exit 2
fi

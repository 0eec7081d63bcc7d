#!/bin/sh
# Install the Debian or Ubuntu packages that a group of targets needs: setup.sh build|test|windows|lint|bench|fuzz|coverage
# Does nothing when they are there. Without root and sudo it says what to install and stops.
set -eu

case "${1:-}" in
build) packages="gcc mold libc6-dev python3 pkg-config libpcap-dev libxxhash-dev libjansson-dev libdw-dev libxen-dev nettle-dev" ;;
test) packages="gdb check python3 patch parallel clang-19" ;;
windows) packages="gcc-mingw-w64-x86-64 binutils-mingw-w64-x86-64 mingw-w64-common python3" ;;
lint) packages="clang clang-format cppcheck python3" ;;
bench) packages="valgrind python3" ;;
fuzz) packages="clang check pkg-config" ;;
coverage) packages="gcc gcovr python3" ;;
*)
    echo "usage: setup.sh build|test|windows|lint|bench|fuzz|coverage" >&2
    exit 2
    ;;
esac

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "pvsim needs these packages (Debian's names), and there is no apt-get here:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "pvsim needs packages that only root can install. Run, then try again:" >&2
    echo "    sudo apt-get install -y$missing" >&2
    exit 1
fi

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
# shellcheck disable=SC2086
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null

#!/bin/sh
# Unpack programs of Xen's packages into build/xen-tools: xen_tools.sh
# The real daemons and tools that tests compare with (xenstored, test-xenstore, xenstore-ls, ...). They are not installed: the
# packages' scripts expect to run on Xen, and nothing here needs more than the files. No root needed.
set -eu

folder=build/xen-tools
packages="xen-utils-4.17 xenstore-utils"

[ -x $folder/usr/lib/xen-4.17/bin/xenstored ] && [ -x $folder/usr/bin/xenstore-ls ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1; then
    echo "Xen's programs come from the packages $packages, and there is no apt-get here: unpack them into $folder" >&2
    exit 125
fi
mkdir -p $folder/packages
# shellcheck disable=SC2086
if ! (cd $folder/packages && apt-get download -qq -o APT::Sandbox::User=root $packages); then
    echo "apt-get can't get $packages (Debian 12, Ubuntu 24.04): tests against Xen's own programs are skipped" >&2
    exit 125
fi
for package in $folder/packages/*.deb; do
    dpkg -x "$package" $folder
done
rm -r $folder/packages

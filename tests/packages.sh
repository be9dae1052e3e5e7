#!/bin/sh
# Installs the Debian packages that some tests run against; says what will be skipped otherwise.
set -eu
wanted="openssh-client iproute2"
wanted="$wanted e2fsprogs" # test_agent_read_only: real ext4
wanted="$wanted systemd-container debootstrap" # test_agent_systemd: a booted Debian
wanted="$wanted snmpd" # test_snmp_driver: net-snmp's own agent
wanted="$wanted fence-agents" # test_fence_driver: fence_dummy, an agent of the real library
wanted="$wanted nfs-ganesha nfs-ganesha-mem" # test_agent_nfs: a real NFS server that stalls
wanted="$wanted dropbear-bin busybox" # lab.switch.dropbear: the switch's own ssh server and shell
wanted="$wanted libxml2-utils pacemaker-cli-utils" # test_fence_pimedic: the schema, and stonith_admin
wanted="$wanted openssh-server sudo" # test_real_sshd, test_ssh_commands: OpenSSH, visudo
wanted="$wanted bindfs fuse3" # test_agent_root_stall, test_agent_hung_root: a server that is stopped
missing=""
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing Debian packages for the tests:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    # A list fetched weeks ago names files that are gone; one update mends that.
    apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
else
    echo "not root: tests that need these Debian packages will be skipped:$missing" >&2
fi

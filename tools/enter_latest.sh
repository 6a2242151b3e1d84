#!/bin/sh
# Run a command in another Debian: tools/enter_latest.sh FOLDER COMMAND...    (root alone; see tools/setup.sh latest)
#
# This checkout, /tmp and /dev are there under the same names; /host is this system's root. What is mounted and what still
# runs goes when the command ends.
set -eu
cd "$(dirname "$0")/.."

if [ "${1:-}" != --mounted ]; then
    exec unshare --mount --pid --fork --kill-child sh "$0" --mounted "$@"
fi
root=$2
shift 2
mkdir -p "$root/host" "$root/$PWD"
mount --rbind / "$root/host"
mount -t proc proc "$root/host/proc"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /tmp "$root/tmp"
mount --bind "$PWD" "$root/$PWD"
# The engine's Python belongs to this system and its libraries, so it is started in this system.
cat >"$root/usr/local/bin/wsss-geo-python" <<END
#!/bin/sh
exec /usr/sbin/chroot /host /usr/bin/env -C "\$PWD" $PWD/.venv/bin/python "\$@"
END
chmod 755 "$root/usr/local/bin/wsss-geo-python"
exec /usr/sbin/chroot "$root" /usr/bin/env -C "$PWD" "$@"

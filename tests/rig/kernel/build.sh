#!/usr/bin/env bash
# Builds the rig's kernel, a User-Mode Linux, from Debian's package linux-source into the file given. Takes about ten
# minutes of one processor and 2 GB of disk in the folder of that file, which it gives back.
#   build.sh FILE        needs: linux-source flex bison bc make gcc libc6-dev xz-utils
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
packed=$(ls /usr/src/linux-source-*.tar.xz 2>/dev/null | sort -V | tail -n 1)
[ -n "$packed" ] || { echo "no /usr/src/linux-source-*.tar.xz: install the package linux-source" >&2; exit 1; }

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "unpacking $packed" >&2
tar -xf "$packed" -C "$work" --strip-components=1
cd "$work"

# Processors with AMX save 11 kB of floating point registers; this architecture of Linux 6.1 has room for 2.7 kB, and
# dies in put_fp_registers. The room is taken from the kernel stack, which must grow with it.
room=arch/x86/um/user-offsets.c
if grep -q 'HOST_FP_SIZE, 2696' $room; then
    sed -i 's/HOST_FP_SIZE, 2696/HOST_FP_SIZE, 12288/' $room
fi

# Linux 6.1.192 frees the HCI channel of a Bluetooth link that is lost a second time when the last socket on it is closed,
# and dies (hci_chan_del from l2cap_conn_free). It is given back once, where it was in earlier releases of 6.1.
l2cap=net/bluetooth/l2cap_core.c
if sed -n '/^static void l2cap_conn_free/,/^}/p' $l2cap | grep -q 'hci_chan_del(conn->hchan)'; then
    sed -i -e '/^static void l2cap_conn_free/,/^}/s/hci_chan_del(conn->hchan)/if (conn->hchan) &/' \
        -e '/^static void l2cap_conn_del/,/^}/s/^\thcon->l2cap_data = NULL;/\thci_chan_del(conn->hchan); conn->hchan = NULL;\n&/' \
        $l2cap
    sed -n '/^static void l2cap_conn_del/,/^}/p' $l2cap | grep -q 'conn->hchan = NULL' ||
        { echo "$l2cap has changed: look at its repair in $0" >&2; exit 1; }
fi

options=$(grep -v '^#' "$here/options")
make -s ARCH=um allnoconfig >/dev/null
for option in $options; do scripts/config -e "$option"; done
scripts/config --set-val KERNEL_STACK_ORDER 4 -d DEBUG_INFO -d MODULES -d WERROR --set-str INITRAMFS_SOURCE ""
make -s ARCH=um olddefconfig >/dev/null
missing=()
for option in $options; do grep -qx "CONFIG_$option=y" .config || missing+=("$option"); done
[ ${#missing[@]} = 0 ] || { echo "this kernel lacks options: ${missing[*]}" >&2; exit 1; }

echo "compiling" >&2
make -s ARCH=um -j"$(nproc)" linux >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
strip -o "$target.new" linux
mv "$target.new" "$target"

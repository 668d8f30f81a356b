#!/bin/sh
# How fast disks are: ours over UAS and Bulk-Only Transport beside the kernel's own f_mass_storage on dummy_hcd, all in memory, by fio;
# and beside what a Gadget Zero of ours moves at the same size and depth, by usbtest. Prints tables in Markdown.
#
#     usbwright lab --memory 1536 --kernel-arg usb-storage.delay_use=0 -- sh benches/disk.sh [PAIRS [MILLISECONDS]]
#
# It needs fio, and a usbwright that is built with --release in the path. It is for the lab, as it leaves all that it made behind.
set -eu
pairs=${1:-5} time=${2:-500}
size=127m
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"

attach() {
    usbwright attach "$1" >"$work/attached-$2" &
    until grep -q ready "$work/attached-$2"; do kill -0 $!; sleep 0.02; done
}

# The device file of the disk with that product name, filled once, so that nothing is measured that takes memory for the first time.
disk() {
    until found=$(grep -lx "$1 *" /sys/block/sd*/device/model 2>/dev/null); do sleep 0.02; done
    found=${found#/sys/block/}
    until [ -b "/dev/${found%%/*}" ]; do sleep 0.02; done
    dd if=/dev/zero of="/dev/${found%%/*}" bs=1M count=${size%m} oflag=direct 2>/dev/null
    echo "/dev/${found%%/*}"
}

# A disk of the kernel's own.
peer() {
    gadget=/sys/kernel/config/usb_gadget/disk
    mkdir $gadget $gadget/configs/c.1 $gadget/functions/mass_storage.0
    echo 0x0525 >$gadget/idVendor
    echo 0xa4a5 >$gadget/idProduct
    truncate -s 128M "$work/peer"
    echo "$work/peer" >$gadget/functions/mass_storage.0/lun.0/file
    printf '%-8s%-16s%-4s' kernel peer 1 >$gadget/functions/mass_storage.0/lun.0/inquiry_string
    ln -s $gadget/functions/mass_storage.0 $gadget/configs/c.1/
    echo dummy_udc.0 >$gadget/UDC
}

# KiB/s of a run of fio.
fio_rate() {
    fio --name=run --filename="$1" --direct=1 --ioengine=libaio --rw="$2" --bs="$3" --iodepth="$4" --time_based --runtime="${time}ms" \
        --size=$size --norandommap --gtod_reduce=1 --output-format=terse 2>/dev/null | awk -F';' '/^3;/ { print $7 + $48 }'
}

# KiB/s of a Gadget Zero: cases 1 and 2 move one transfer at a time, 27 and 28 a queue of them.
zero_rate() {
    case $1-$3 in
    write-1) number=1 ;;
    read-1) number=2 ;;
    write-*) number=27 ;;
    *) number=28 ;;
    esac
    # 32 MiB of small transfers, 512 MiB of others.
    case $2 in 4) all=32768 ;; *) all=524288 ;; esac
    usbwright usbtest --json --case $number --length $(($2 * 1024)) --queue "$3" --iterations $((all / $2 / $3)) --pattern 0 |
        awk -F'[:,]' '/"bytes_per_second"/ { printf "%d\n", $2 / 1024 }'
}

# The middle of the numbers that are read.
median() {
    sort -g | awk '{ all[NR] = $1 } END { print NR % 2 ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'
}

# The median of what an expression of awk gives for the runs: $1 to $4 are UAS, Bulk-Only, the kernel's own, and Gadget Zero.
middle() {
    awk "{ print $1 }" "$work/runs" | median
}

# A line of the table.
row() {
    awk -v job="$1" -v uas="$(middle '$1')" -v bulk="$(middle '$2')" -v kernel="$(middle '$3')" -v uas_kernel="$(middle '$1 / $3')" \
        -v bulk_kernel="$(middle '$2 / $3')" -v zero="$(middle '$4')" -v uas_zero="$(middle '$4 ? $1 / $4 : 0')" \
        -v bulk_zero="$(middle '$4 ? $2 / $4 : 0')" 'BEGIN {
            m = 1024 / 1000000
            printf "| %s | %d | %d | %d | %.1f, %.1f |", job, uas * m, bulk * m, kernel * m, uas_kernel, bulk_kernel
            if (zero) printf " %d | %.2f, %.2f |\n", zero * m, uas_zero, bulk_zero
            else print " | |"
        }'
}

peer
attach disk,size=128M,product=by-uas uas
attach disk,size=128M,product=by-bulk,transport=bulk-only bulk
attach gadget-zero,pattern=2 zero
uas=$(disk by-uas) bulk=$(disk by-bulk) kernel=$(disk peer)
uname -sr
echo "$pairs pairs of $time ms; MB/s, and the ratio of UAS and of Bulk-Only Transport"
echo
echo '| job | UAS | Bulk-Only | f_mass_storage | ratio | Gadget Zero | ratio |'
echo '|---|---|---|---|---|---|---|'
for block in 4 128 1024; do
    for depth in 1 16; do
        for way in read write randread randwrite; do
            : >"$work/runs"
            for _ in $(seq "$pairs"); do
                rates=
                for disk in "$uas" "$bulk" "$kernel"; do
                    rates="$rates $(fio_rate "$disk" $way ${block}k $depth)"
                done
                case $way in
                rand*) zero=0 ;;
                *) zero=$(zero_rate $way $block $depth) ;;
                esac
                echo "$rates $zero" >>"$work/runs"
            done
            row "$way ${block}k ×$depth"
        done
    done
done

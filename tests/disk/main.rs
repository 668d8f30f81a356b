//! What a real kernel makes of a disk: its drivers, its file systems, the SCSI tools of Debian, and `fio`.
//!
//! The tests boot the lab. Some run one of [`guest`]'s functions in it: this very program, with `--ignored`.

mod deaths;
mod guest;
#[expect(
    dead_code,
    reason = "some of it is for the tests of the kernel's drivers"
)]
#[path = "../support/lab.rs"]
mod lab;
mod load;
mod stamped;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lab::{Guest, Ran};

/// What the scripts begin with: they stop at the first error, and `named NAME` gives the device file of the disk that has
/// NAME for its product, once it is there; `fails` is for what has to.
const BEGIN: &str = "set -e
    named() {
        until found=$(grep -lx \"$1 *\" /sys/block/sd*/device/model 2>/dev/null); do sleep 0.02; done
        found=${found#/sys/block/}
        until [ -b /dev/${found%%/*} ]; do sleep 0.02; done
        echo /dev/${found%%/*}
    }
    fails() {
        if \"$@\" 2>/dev/null; then echo \"passed: $*\"; exit 1; fi
    }
    mkdir /tmp/m\n";

/// What a disk of high speed offers.
const TRANSPORTS: [&str; 2] = ["uas", "bulk-only"];

fn guest(disks: &[String]) -> Guest {
    // By default the kernel gives a disk a second before it looks at it.
    Guest::new(disks)
        .kernel_argument("usb-storage.delay_use=0")
        .programs(&[
            ("mkfs.ext4", "e2fsprogs"),
            ("mkfs.vfat", "dosfstools"),
            ("sg_inq", "sg3-utils"),
            ("fio", "fio"),
        ])
}

/// Runs a script with these disks.
fn run_in(folder: &Path, disks: &[String], script: &str) -> Ran {
    guest(disks).run_in(folder, &format!("{BEGIN}{script}"))
}

fn run(disks: &[String], script: &str) -> Ran {
    guest(disks).run(&format!("{BEGIN}{script}"))
}

/// Runs a program of the host on a file, and gives what it prints.
fn on_host(folder: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    output.stdout
}

#[test]
fn file_systems_of_a_guest_are_read_by_the_host_from_their_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut disks = Vec::new();
    let mut script = String::new();
    for speed in ["full", "high", "super"] {
        for kind in ["ext4", "vfat"] {
            let name = format!("{kind}-{speed}");
            let image = path.join(&name).display().to_string();
            disks.push(format!(
                "disk,speed={speed},product={name},image={image},size=40M,transport=bulk-only"
            ));
            script.push_str(&format!(
                "disk=$(named {name})
                 mkfs.{kind} $disk >/dev/null 2>&1
                 mount $disk /tmp/m
                 mkdir /tmp/m/folder
                 cp data /tmp/m/folder/data
                 umount /tmp/m
                 mount $disk /tmp/m
                 cmp data /tmp/m/folder/data
                 umount /tmp/m
                 fsck.{kind} -n $disk\n"
            ));
        }
    }
    let data: Vec<u8> = (0..5_000_011u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    fs::write(path.join("data"), &data).unwrap();
    run_in(path, &disks, &script).assert_success();
    for speed in ["full", "high", "super"] {
        let (ext4, vfat) = (format!("ext4-{speed}"), format!("vfat-{speed}"));
        on_host(path, "fsck.ext4", &["-f", "-n", &ext4]);
        on_host(path, "fsck.vfat", &["-n", &vfat]);
        let read = on_host(path, "debugfs", &["-R", "cat /folder/data", &ext4]);
        assert!(read == data, "{ext4}");
    }
}

#[test]
fn a_disk_is_as_large_as_it_says_and_has_blocks_of_the_size_asked_for() {
    let disks = [
        "disk,product=large,size=5T".to_owned(),
        "disk,product=blocks,size=9T,block=4096,speed=super".to_owned(),
        "disk,product=both,speed=full,size=1M,lun=size=3T".to_owned(),
    ];
    run(
        &disks,
        "large=$(named large) blocks=$(named blocks)
         both=$(named both | tail -n 1)
         [ $(blockdev --getsize64 $large) = $((5 << 40)) ]
         [ $(blockdev --getsize64 $blocks) = $((9 << 40)) ]
         [ $(blockdev --getss $large) = 512 ]
         [ $(blockdev --getss $blocks) = 4096 ]
         for disk in $large $blocks; do
             end=$(($(blockdev --getsize64 $disk) / 4096 - 1))
             head -c 4096 /dev/urandom >data
             dd if=data of=$disk bs=4096 seek=$end oflag=direct 2>/dev/null
             dd if=$disk bs=4096 skip=$end iflag=direct 2>/dev/null | cmp - data
             # Nothing else has changed, such as what is 2 TiB before.
             cmp -n 4096 -i $(((end << 12) - (2 << 40))):0 $disk /dev/zero
         done",
    )
    .assert_success();
}

#[test]
fn fifteen_logical_units_are_fifteen_disks() {
    let mut disk = "disk,product=units".to_owned();
    for megabytes in 1..=15 {
        disk.push_str(&format!(",lun=size={megabytes}M"));
    }
    for transport in TRANSPORTS {
        run(
            &[format!("{disk},transport={transport}")],
            "until [ -b /dev/sdo ]; do sleep 0.02; done
         for disk in /dev/sd?; do
             lun=$(ls -d /sys/block/${disk#/dev/}/device/scsi_disk/* | sed 's/.*://')
             [ $(blockdev --getsize64 $disk) = $(((lun + 1) << 20)) ]
             yes $lun | head -c 1M | dd of=$disk bs=64k oflag=direct 2>/dev/null
         done
         for disk in /dev/sd?; do
             lun=$(ls -d /sys/block/${disk#/dev/}/device/scsi_disk/* | sed 's/.*://')
             yes $lun | head -c 1M | cmp -n 1048576 - $disk
         done",
        )
        .assert_success();
    }
}

#[test]
fn the_tools_of_scsi_find_all_that_a_disk_tells() {
    for transport in TRANSPORTS {
        let output = run(
            &[format!(
                "disk,product=Told,serial=00112233445566,size=64M,removable,transport={transport}"
            )],
            "disk=$(named Told)
         sg_inq $disk
         for page in sv sn di bl bdc lbpv; do sg_vpd --page=$page $disk; done
         sg_opcodes $disk
         sg_opcodes --opcode=28h $disk
         sg_luns $disk
         sg_readcap --long $disk
         sg_modes --page=8 $disk
         sg_modes --six --page=8 $disk
         sg_requests --desc $disk
         sg_turs $disk
         sg_sync $disk
         sg_verify --lba=0 --count=1000 $disk",
        );
        output.assert_success();
        let told = output.stdout();
        for expected in [
            "Vendor identification: usbwrigh",
            "Product identification: Told",
            "Unit serial number: 00112233445566",
            "vendor specific: Told            00112233445566:0",
            "Maximum unmap block descriptor count: 256",
            "Non-rotating medium (e.g. solid state)",
            "Unmap command supported (LBPU): 1",
            "Synchronize cache(16)",
            "Device size: 67108864 bytes, 64.0 MiB",
            "lbpme=1, lbprz=1",
            "RMB=1",
        ] {
            assert!(told.contains(expected), "no {expected:?} in {told}");
        }
    }
}

#[test]
fn room_that_a_guest_gives_back_reads_as_zeros() {
    for transport in TRANSPORTS {
        run(
        &[format!("disk,product=thin,size=64M,transport={transport}")],
        "disk=$(named thin)
         yes | head -c 1M | dd of=$disk bs=64k oflag=direct 2>/dev/null
         sg_unmap --lba=100 --num=50 $disk
         sg_write_same --16 --unmap --lba=1000 --num=24 $disk
         sg_write_same --10 --in=/dev/zero --lba=2000 --num=1 $disk
         yes | head -c 1M >expected
         for hole in 100:50 1000:24 2000:1; do
             dd if=/dev/zero of=expected bs=512 seek=${hole%:*} count=${hole#*:} conv=notrunc 2>/dev/null
         done
         cmp -n 1048576 expected $disk",
    )
    .assert_success();
    }
}

#[test]
fn a_disk_that_is_not_to_be_written_to_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("image"), vec![7; 8 << 20]).unwrap();
    let image = path.join("image").display().to_string();
    let disks = [
        format!("disk,product=protected,image={image},ro"),
        format!("disk,product=snapshot,image={image},snapshot"),
    ];
    run_in(
        path,
        &disks,
        "protected=$(named protected) snapshot=$(named snapshot)
         [ $(blockdev --getro $protected) = 1 ]
         [ $(blockdev --getro $snapshot) = 0 ]
         cmp $protected image
         mkfs.ext4 -q $snapshot
         mount $snapshot /tmp/m
         cp image /tmp/m/ || [ $(stat -c %s /tmp/m/image) -gt 4000000 ]
         umount /tmp/m
         fsck.ext4 -f -n $snapshot",
    )
    .assert_success();
    let after = fs::read(path.join("image")).unwrap();
    assert!(after.iter().all(|byte| *byte == 7));
}

#[test]
fn a_guest_ejects_a_disk_and_loads_it_again() {
    for transport in TRANSPORTS {
        run(
            &[format!(
                "disk,product=tray,size=64M,removable,transport={transport}"
            )],
            "disk=$(named tray)
         [ $(cat /sys/block/${disk#/dev/}/removable) = 1 ]
         # Whoever has the disk itself open, has the kernel lock the medium in.
         tray=/dev/$(ls /sys/block/${disk#/dev/}/device/scsi_generic)
         mkfs.ext4 -q $disk
         mount $disk /tmp/m
         fails sg_start --eject $tray
         echo kept >/tmp/m/note
         umount /tmp/m
         sg_start --eject $tray
         fails mount $disk /tmp/m
         sg_start --load $tray
         mount $disk /tmp/m
         grep -x kept /tmp/m/note",
        )
        .assert_success();
    }
}

#[test]
fn what_was_flushed_is_in_the_image_after_its_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    run_in(
        path,
        &[],
        "usbwright attach disk,product=killed,image=image,size=16M >/dev/null &
         disk=$(named killed)
         head -c 5M /dev/urandom >data
         dd if=data of=$disk bs=1M conv=fsync 2>/dev/null
         kill -9 $!
         wait $! || true
         cmp -n 5242880 data image
         usbwright attach disk,product=again,image=image,snapshot >/dev/null &
         cmp -n 5242880 data $(named again)",
    )
    .assert_success();
    let (data, image) = ("data", "image");
    let read = |name| fs::read(path.join(name)).unwrap();
    assert!(read(image)[..5 << 20] == read(data));
}

#[test]
fn linux_uses_uas_at_high_speed_unless_it_is_not_offered() {
    let disks = ["high", "full", "super"]
        .map(|speed| format!("disk,product={speed},speed={speed},size=1M"));
    let mut disks = disks.to_vec();
    disks.push("disk,product=alone,size=1M,transport=bulk-only".to_owned());
    run(
        &disks,
        "for pair in high:uas full:usb-storage super:usb-storage alone:usb-storage; do
             disk=$(named ${pair%:*})
             driver=$(readlink -f /sys/block/${disk#/dev/}/device/../../../driver)
             [ ${driver##*/} = ${pair#*:} ]
         done",
    )
    .assert_success();
}

#[test]
fn many_programs_at_once_read_and_write_what_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    run_in(
        folder.path(),
        &["disk,product=busy,size=64M".to_owned()],
        "disk=$(named busy)
         head -c 64M /dev/urandom >data
         pids=
         for part in 0 1 2 3 4 5 6 7; do
             ( set -e
               for round in 1 2 3; do
                   where=\"bs=64k count=128 skip=$((part * 128)) seek=$((part * 128))\"
                   dd if=data of=$disk $where oflag=direct conv=notrunc 2>/dev/null
                   dd if=$disk bs=64k count=128 skip=$((part * 128)) iflag=direct 2>/dev/null |
                       cmp -i 0:$((part * 8388608)) -n 8388608 - data
               done ) &
             pids=\"$pids $!\"
         done
         for pid in $pids; do wait $pid; done
         cmp data $disk",
    )
    .assert_success();
}

#[test]
fn a_file_system_that_is_trimmed_gives_room_of_its_image_back() {
    run(
        &[],
        "truncate -s 64M /tmp/image
         usbwright attach disk,product=trim,image=/tmp/image >/dev/null &
         disk=$(named trim)
         mkfs.ext4 -q $disk
         mount $disk /tmp/m
         head -c 40M /dev/urandom >/tmp/m/data
         sync
         [ $(du -k /tmp/image | cut -f1) -gt 40000 ]
         rm /tmp/m/data
         sync
         fstrim /tmp/m
         [ $(du -k /tmp/image | cut -f1) -lt 20000 ]
         umount /tmp/m
         fsck.ext4 -f -n $disk
         blkdiscard -f $disk
         [ $(du -k /tmp/image | cut -f1) -lt 100 ]
         cmp -n 67108864 $disk /dev/zero",
    )
    .assert_success();
}

#[test]
fn a_host_without_room_for_an_image_fails_what_is_written_and_nothing_else() {
    run(
        &[],
        "mkdir /tmp/small
         mount -t tmpfs -o size=4m tmpfs /tmp/small
         usbwright attach disk,product=full,image=/tmp/small/image,size=16M >/dev/null &
         disk=$(named full)
         head -c 8M /dev/urandom >/tmp/data
         dd if=/tmp/data of=$disk bs=64k count=32 oflag=direct 2>/dev/null
         dd if=/tmp/data of=$disk bs=64k oflag=direct 2>&1 | grep 'No space left on device'
         cmp -n $((32 << 16)) /tmp/data $disk
         blkdiscard $disk
         dd if=/tmp/data of=$disk bs=64k count=32 seek=100 oflag=direct 2>/dev/null
         cmp -n $((32 << 16)) -i 0:$((100 << 16)) /tmp/data $disk",
    )
    .assert_success();
}

#[test]
fn a_stock_debian_kernel_uses_disks_by_both_transports() {
    let disks = TRANSPORTS
        .map(|transport| format!("disk,product={transport},size=64M,transport={transport}"));
    let script = "for module in usb-storage uas sd_mod ext4; do modprobe $module; done
         head -c 20M /dev/urandom >/tmp/data
         for disk in $(named uas) $(named bulk-only); do
             mkfs.ext4 -q $disk
             mount -t ext4 $disk /tmp/m
             cp /tmp/data /tmp/m/data
             umount /tmp/m
             mount -t ext4 $disk /tmp/m
             cmp /tmp/data /tmp/m/data
             umount /tmp/m
             fsck.ext4 -f -n $disk
         done";
    guest(&disks)
        .option(&["--engine", "qemu"])
        .run(&format!("{BEGIN}{script}"))
        .assert_success();
}

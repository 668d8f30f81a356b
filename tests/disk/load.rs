//! `fio` writes, reads back and compares, over both transports; the file systems are whole and the kernel has nothing to say afterwards.

use super::{TRANSPORTS, run};

/// What the scripts go on with. `check DEVICE JOB…` has fio write and verify; `quiet` fails where the kernel tells of anything that
/// is not as it should be.
const BEGIN: &str = "
    check() {
        filename=$1; shift
        fio --filename=$filename --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 --name=check \"$@\" >told ||
            { echo \"$*\"; cat told; exit 1; }
    }
    quiet() {
        # Each disk tells once that it was reset: as it is switched on.
        if dmesg | grep -Ei 'error|fail|abort|timed out|timeout|hung|sense key|warning|bug:|reset|offline' |
            grep -v 'Power-on or device reset occurred'; then exit 1; fi
    }\n";

/// The jobs: how they go through a disk, bytes in a block, blocks under way, and bytes in all.
type Jobs = Vec<(&'static str, &'static str, u32, &'static str)>;

/// A disk for each transport, on which fio does jobs, alone and at once, and then on a file system.
fn run_jobs(jobs: &Jobs) {
    let disks = TRANSPORTS
        .map(|transport| format!("disk,product={transport},size=256M,transport={transport}"));
    let mut script =
        format!("{BEGIN}disks=\"$(named uas) $(named bulk-only)\"\nfor disk in $disks; do\n");
    for (way, block, depth, size) in jobs {
        script.push_str(&format!(
            "check $disk --rw={way} --bs={block} --iodepth={depth} --size={size}\n"
        ));
    }
    script.push_str(
        "done
         pids=
         for disk in $disks; do
             ( mkdir /tmp/on-${disk#/dev/}
               cd /tmp/on-${disk#/dev/}
               mkfs.ext4 -q $disk
               mkdir m
               mount $disk m
               check m/file --rw=randwrite --bsrange=4k-1m --iodepth=8 --size=12m --numjobs=2 --fsync=16 --fallocate=none
               umount m
               fsck.ext4 -f -n $disk ) &
             pids=\"$pids $!\"
         done
         for pid in $pids; do wait $pid; done
         quiet",
    );
    run(&disks, &script).assert_success();
}

#[test]
fn fio_finds_what_it_wrote_and_file_systems_stay_whole() {
    run_jobs(&vec![
        ("randwrite", "4k", 32, "4m"),
        ("write", "64k", 1, "16m"),
        ("randwrite", "1m", 8, "32m"),
        ("randrw", "16k", 16, "4m"),
    ]);
}

#[test]
#[ignore = "it takes minutes"]
fn fio_finds_what_it_wrote_with_blocks_of_every_size_at_every_depth() {
    let mut jobs = Jobs::new();
    let sizes = [
        ("4k", "16m"),
        ("16k", "32m"),
        ("128k", "96m"),
        ("1m", "128m"),
    ];
    for (block, size) in sizes {
        for depth in [1, 4, 16, 32] {
            for way in ["write", "randwrite", "rw", "randrw"] {
                jobs.push((way, block, depth, size));
            }
        }
    }
    run_jobs(&jobs);
}

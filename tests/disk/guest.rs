//! What runs in the lab: a disk is written to while it goes, and looked at when it is back.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    TRANSPORTS,
    stamped::{Flushed, Numbers},
};

/// How long anything may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(90);
/// The variable that tells how often.
pub(super) const ROUNDS: &str = "ROUNDS";
const IMAGE: &str = "/tmp/image";

fn rounds() -> u64 {
    env::var(ROUNDS).map_or(1, |rounds| rounds.parse().unwrap())
}

/// A command that goes with this.
struct Running(Child);

impl Running {
    /// Starts a command, and waits until it has printed `ready`.
    fn until_ready(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "{command:?} ended");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

/// Looks until it is so.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: it does not come");
        thread::yield_now();
    }
}

/// The device file of the disk of that name, once it is there.
fn disk(product: &str) -> PathBuf {
    until(product, || {
        let disks = fs::read_dir("/sys/block").unwrap().flatten();
        let is_meant = |folder: &Path| {
            let model = fs::read_to_string(folder.join("device/model"));
            model.is_ok_and(|model| model.trim() == product)
        };
        let found = disks.map(|it| it.path()).find(|path| is_meant(path))?;
        let device = Path::new("/dev").join(found.file_name()?);
        File::open(&device).ok().map(|_| device)
    })
}

fn wait_for_the_end_of(disk: &Path) {
    let folder = Path::new("/sys/block").join(disk.file_name().unwrap());
    until("the disk's end", || (!folder.exists()).then_some(()));
}

/// fio, which keeps the second half of a disk busy with writes and flushes.
fn fio(disk: &Path) -> Running {
    let mut fio = Command::new("fio");
    fio.arg(format!("--filename={}", disk.display()))
        .args(
            "--name=load --offset=32m --size=32m --direct=1 --ioengine=libaio --iodepth=8"
                .split(' '),
        )
        .args("--rw=randwrite --bsrange=4k-128k --fsync=8 --time_based --runtime=600".split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(fio.spawn().unwrap())
}

/// Whoever writes until that fails.
struct Writer<T> {
    progress: Receiver<()>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Writer<T> {
    fn start(write: impl FnOnce(&Sender<()>) -> T + Send + 'static) -> Self {
        let (sender, progress) = mpsc::channel();
        let thread = thread::spawn(move || write(&sender));
        Self { progress, thread }
    }

    fn wait_for(&self, steps: u64) {
        for _ in 0..steps {
            self.progress.recv_timeout(PATIENCE).expect("it goes on");
        }
    }

    /// What it has when it has failed.
    fn end(self) -> T {
        loop {
            match self.progress.recv_timeout(PATIENCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return self.thread.join().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("a disk that is gone is written to"),
            }
        }
    }
}

#[test]
#[ignore = "it runs in the lab"]
fn servers_are_killed() {
    let mut flushed = Flushed::default();
    let mut numbers = Numbers::new(7);
    for round in 0..rounds() {
        let transport = TRANSPORTS[round as usize % 2];
        let product = format!("{transport}-{round}");
        let spec = format!("disk,product={product},image={IMAGE},size=64M,transport={transport}");
        let server = Running::until_ready(Command::new("usbwright").args(["attach", &spec]));
        let disk = disk(&product);
        flushed.check(&disk);
        let load = fio(&disk);
        let place = disk.clone();
        let writer = Writer::start(move |progress| {
            flushed.write_on(&place, round, progress);
            flushed
        });
        writer.wait_for(10 + numbers.below(400));
        server.kill();
        flushed = writer.end();
        drop(load);
        wait_for_the_end_of(&disk);
    }
    let spec = format!("disk,product=last,image={IMAGE},ro");
    let _server = Running::until_ready(Command::new("usbwright").args(["attach", &spec]));
    flushed.check(&disk("last"));
    println!(
        "{} servers killed; {} flushes, {} blocks there",
        rounds(),
        flushed.flushes,
        flushed.blocks.len()
    );
    assert!(flushed.flushes > 0);
}

/// Writes a file and syncs it, and gives what is in it then.
fn write_file(path: &Path, numbers: &mut Numbers, progress: &Sender<()>) -> io::Result<Vec<u8>> {
    let data = vec![numbers.below(256) as u8; numbers.below(200_000) as usize];
    let mut file = File::create(path)?;
    let _ = progress.send(());
    file.write_all(&data)?;
    let _ = progress.send(());
    file.sync_all()?;
    File::open(path.parent().unwrap())?.sync_all()?;
    Ok(data)
}

/// Writes files of many sizes until that fails, and tells those that were synced.
fn write_files(folder: &Path, round: u64, progress: &Sender<()>) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut numbers = Numbers::new(round);
    let mut synced = BTreeMap::new();
    // The disk would be full after some hundreds, so they are written again and again.
    for number in 0.. {
        let path = folder.join(format!("{round}-{}", number % 150));
        synced.remove(&path);
        match write_file(&path, &mut numbers, progress) {
            Ok(data) => synced.insert(path, data),
            Err(_) => break,
        };
    }
    synced
}

const LISTEN: &str = "unix:/tmp/server";
const CONTROL: &str = "unix:/tmp/control";
/// Where the file system is.
const MOUNT: &str = "/tmp/m";

fn control(arguments: &[&str]) {
    let arguments = [&["control", "--control", CONTROL], arguments].concat();
    run("usbwright", &arguments);
}

/// Plugs the disk of a round in; gives its device file.
fn plug(round: u64) -> PathBuf {
    let transport = TRANSPORTS[round as usize % 2];
    let product = format!("{transport}-{round}");
    let size = if round == 0 { ",size=64M" } else { "" };
    control(&[
        "plug",
        &format!("disk,product={product},image={IMAGE}{size},transport={transport},busid=1-1"),
    ]);
    run("usbwright", &["attach", "-r", LISTEN, "-b", "1-1"]);
    disk(&product)
}

/// Mounts a file system that was cut off: its journal is replayed.
fn mount_again(device: &str) {
    run("dmesg", &["--clear"]);
    run("mount", &[device, MOUNT]);
    run("sh", &["-c", "dmesg | grep -q 'recovery complete'"]);
}

#[test]
#[ignore = "it runs in the lab"]
fn disks_are_unplugged() {
    let mut serve = Command::new("usbwright");
    serve.args(["serve", "--listen", LISTEN, "--control", CONTROL]);
    let _server = Running::until_ready(&mut serve);
    fs::create_dir(MOUNT).unwrap();
    let mut numbers = Numbers::new(9);
    let mut all = 0;
    let mut disk = plug(0);
    run("mkfs.ext4", &["-q", disk.to_str().unwrap()]);
    run("mount", &[disk.to_str().unwrap(), MOUNT]);
    for round in 1..=rounds() {
        let writer = Writer::start(move |progress| write_files(MOUNT.as_ref(), round, progress));
        writer.wait_for(20 + numbers.below(300));
        control(&["unplug", "1-1"]);
        let synced = writer.end();
        run("umount", &[MOUNT]);
        wait_for_the_end_of(&disk);
        disk = plug(round);
        mount_again(disk.to_str().unwrap());
        all += synced.len();
        for (path, data) in synced {
            assert!(
                fs::read(&path).is_ok_and(|it| it == data),
                "{path:?} is lost"
            );
        }
        run("sh", &["-c", &format!("rm {MOUNT}/{round}-*")]);
        run("umount", &[MOUNT]);
        run("fsck.ext4", &["-f", "-n", disk.to_str().unwrap()]);
        run("mount", &[disk.to_str().unwrap(), MOUNT]);
    }
    println!("{} disks unplugged; {all} files there", rounds());
    assert!(all > 0);
}

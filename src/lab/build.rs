//! Builds the lab's own kernel, User-mode Linux with USB, from the distribution's source package.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::cache::{Cache, Exclusive, key_of};
use super::error::LabError;
use super::interrupt::Interrupt;
use super::packages::{self, Need};
use super::{Engine, step, stock};

const CONFIG: &str = include_str!("uml-kernel.config");
const SOURCE_PACKAGE: &str = "linux-source-6.12";
/// Goes up with every change of the steps below that changes the kernel.
const RECIPE: &str = "1";
/// How many lines `make` prints, nearly; only the progress bar depends on it.
const MAKE_LINES: u64 = 1930;
const NEEDS: &[Need] = &[
    Need {
        what: "make",
        package: "make",
    },
    Need {
        what: "gcc",
        package: "gcc",
    },
    Need {
        what: "ld",
        package: "binutils",
    },
    Need {
        what: "strip",
        package: "binutils",
    },
    Need {
        what: "/usr/include/stdio.h",
        package: "libc6-dev",
    },
    Need {
        what: "flex",
        package: "flex",
    },
    Need {
        what: "bison",
        package: "bison",
    },
    Need {
        what: "bc",
        package: "bc",
    },
    Need {
        what: "xz",
        package: "xz-utils",
    },
    Need {
        what: "tar",
        package: "tar",
    },
    Need {
        what: "perl",
        package: "perl",
    },
];

/// Makes an engine's kernel, if the cache has none that is up to date, and returns its file: for User-mode Linux a build of
/// the distribution's kernel source, for QEMU the distribution's own kernel.
pub fn build(engine: Engine) -> Result<PathBuf, LabError> {
    match engine {
        Engine::Uml => build_newest(&Cache::open()?),
        Engine::Qemu => stock::fetch_newest(&Cache::open()?).map(|stock| stock.image),
    }
}

/// The newest kernel that this version of the lab has built; where there is none it is built now.
pub(super) fn uml_kernel() -> Result<PathBuf, LabError> {
    let cache = Cache::open()?;
    match cache.newest("uml-", &recipe_key()) {
        Some(entry) => Ok(entry.join("linux")),
        None => {
            eprintln!(
                "no kernel is built yet; building one, once (about five minutes on two processors)"
            );
            build_newest(&cache)
        }
    }
}

fn recipe_key() -> String {
    key_of(&[CONFIG, RECIPE, std::env::consts::ARCH])
}

fn build_newest(cache: &Cache) -> Result<PathBuf, LabError> {
    packages::require_apt()?;
    let interrupt = Interrupt::watch()?;
    let source = Source::find(&interrupt)?;
    let name = format!("uml-{}-{}", source.version, recipe_key());
    if let Some(entry) = cache.entry(&name) {
        return Ok(entry.join("linux"));
    }
    let exclusive = cache.exclusive()?;
    match cache.entry(&name) {
        Some(entry) => Ok(entry.join("linux")), // whom we waited for has built it
        None => Build::new(&exclusive, &interrupt)?.run(&source, &name),
    }
}

/// The distribution's kernel source.
struct Source {
    version: String,
    installed: bool,
}

impl Source {
    fn find(interrupt: &Interrupt) -> Result<Self, LabError> {
        Ok(match packages::installed_version(SOURCE_PACKAGE)? {
            Some(version) => Self {
                version,
                installed: true,
            },
            None => Self {
                version: packages::candidate_version(SOURCE_PACKAGE, interrupt)?,
                installed: false,
            },
        })
    }
}

struct Build<'a> {
    exclusive: &'a Exclusive<'a>,
    interrupt: &'a Interrupt,
    folder: tempfile::TempDir,
    progress: Progress,
}

impl<'a> Build<'a> {
    fn new(exclusive: &'a Exclusive<'a>, interrupt: &'a Interrupt) -> Result<Self, LabError> {
        Ok(Self {
            exclusive,
            interrupt,
            folder: exclusive.build_folder()?,
            progress: Progress::new(),
        })
    }

    fn run(self, source: &Source, name: &str) -> Result<PathBuf, LabError> {
        packages::ensure(NEEDS, self.interrupt)?;
        let sources = self.unpack(source)?;
        self.configure(&sources)?;
        self.compile(&sources)?;
        let result = self.folder.path().join("result");
        fs::create_dir(&result).map_err(LabError::file("make", &result))?;
        let (from, to) = (
            self.folder.path().join("out/.config"),
            result.join("config"),
        );
        fs::copy(&from, &to).map_err(LabError::file("write", &to))?;
        let mut strip = Command::new("strip");
        strip
            .arg("-o")
            .arg(result.join("linux"))
            .arg(self.folder.path().join("out/linux"));
        self.step(strip)?;
        Ok(self.exclusive.keep(&result, name)?.join("linux"))
    }

    fn unpack(&self, source: &Source) -> Result<PathBuf, LabError> {
        let folder = self.folder.path();
        let mut root = Path::new("/");
        if !source.installed {
            self.progress
                .stage(&format!("downloading {SOURCE_PACKAGE} {}", source.version));
            packages::unpack(SOURCE_PACKAGE, &source.version, folder, self.interrupt)?;
            root = folder;
        }
        self.progress.stage("unpacking the source");
        let archive = root
            .join("usr/src")
            .join(format!("{SOURCE_PACKAGE}.tar.xz"));
        let mut tar = Command::new("tar");
        // The largest part by far of the source, and nothing that this kernel includes.
        tar.arg("--exclude=*/drivers/gpu/drm/amd/include/*")
            .arg("-xJf")
            .arg(archive)
            .arg("-C")
            .arg(folder);
        self.step(tar)?;
        Ok(folder.join(SOURCE_PACKAGE))
    }

    fn configure(&self, sources: &Path) -> Result<(), LabError> {
        self.progress.stage("configuring");
        let out = self.folder.path().join("out");
        let fragment = self.folder.path().join("lab.config");
        fs::write(&fragment, CONFIG).map_err(LabError::file("write", &fragment))?;
        self.step(self.make(sources, "tinyconfig"))?;
        let mut merge = Command::new(sources.join("scripts/kconfig/merge_config.sh"));
        merge
            .arg("-m")
            .arg("-O")
            .arg(&out)
            .arg(out.join(".config"))
            .arg(&fragment);
        self.step(merge)?;
        self.step(self.make(sources, "olddefconfig"))
    }

    fn compile(&self, sources: &Path) -> Result<(), LabError> {
        self.progress.compile();
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut make = self.make(sources, "linux");
        make.arg(format!("-j{jobs}"));
        step::run(make, ADVICE, self.interrupt, |line| {
            self.progress.made(line);
        })
    }

    fn make(&self, sources: &Path, target: &str) -> Command {
        let mut make = Command::new("make");
        let mut out = std::ffi::OsString::from("O=");
        out.push(self.folder.path().join("out"));
        // The caller's own make, if it is what runs us, would pass on its flags and its jobs.
        make.env_remove("MAKEFLAGS").env_remove("MFLAGS");
        make.arg("-C")
            .arg(sources)
            .arg("ARCH=um")
            .arg(out)
            .arg(target);
        make
    }

    fn step(&self, command: Command) -> Result<(), LabError> {
        step::run(command, ADVICE, self.interrupt, |_| self.progress.tick())
    }
}

const ADVICE: &str = "check that there is room on the disk (3 GB while it builds), then run `usbwright lab build` again";

/// What a build shows: a bar on a terminal, and a line for each stage elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr()
            .is_terminal()
            .then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar }
    }

    fn stage(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("{what} …"),
        }
    }

    fn compile(&self) {
        match &self.bar {
            Some(bar) => {
                let template =
                    "compiling the kernel {wide_bar} {percent:>3} %  {elapsed} of about {duration}";
                bar.set_style(
                    ProgressStyle::with_template(template)
                        .unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                bar.set_length(MAKE_LINES);
                bar.reset();
            }
            None => eprintln!("compiling the kernel …"),
        }
    }

    fn made(&self, line: &str) {
        if let Some(bar) = self.bar.as_ref().filter(|_| line.starts_with("  ")) {
            bar.set_length(MAKE_LINES.max(bar.position() + 1));
            bar.inc(1);
        }
    }

    fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

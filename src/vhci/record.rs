//! Where the devices at the ports came from, in the files where the `usbip` tool keeps that, too.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

/// Where a device came from: three words, none of them empty.
///
/// The `usbip` tool prints them as `usbip://HOST:SERVICE/BUSID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The server's host; `unix:/PATH` for a UNIX socket, and `usbwright` for a device that a process has made itself.
    pub host: String,
    /// The server's port; `-` for a UNIX socket, and the process's id for a device that it has made itself.
    pub service: String,
    /// The device's name at its server.
    pub bus_id: String,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usbip://{}:{}/{}", self.host, self.service, self.bus_id)
    }
}

impl Record {
    /// Reads `HOST SERVICE BUSID`; none, if it is anything else.
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_ascii_whitespace().map(str::to_owned).collect();
        let [host, service, bus_id] = words.try_into().ok()?;
        Some(Self {
            host,
            service,
            bus_id,
        })
    }

    fn line(&self) -> String {
        let word = |text: &str| text.replace(char::is_whitespace, "%20");
        let (host, service) = (word(&self.host), word(&self.service));
        format!("{host} {service} {}\n", word(&self.bus_id))
    }
}

/// The folder of the records, a file `port<N>` for each port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records(PathBuf);

impl Default for Records {
    /// Where the `usbip` tool keeps them, too.
    fn default() -> Self {
        Self::new("/var/run/vhci_hcd")
    }
}

impl Records {
    /// The records in a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn file(&self, port: u32) -> PathBuf {
        self.0.join(format!("port{port}"))
    }

    /// What is known of a port; none, if nothing is, or this user may not read it.
    pub fn read(&self, port: u32) -> Option<Record> {
        Record::parse(&fs::read_to_string(self.file(port)).ok()?)
    }

    /// Notes where a port's device came from.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn write(&self, port: u32, record: &Record) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o700)
            .open(self.file(port))?
            .write_all(record.line().as_bytes())
    }

    /// Forgets a port's device; the folder goes with the last.
    pub fn remove(&self, port: u32) {
        let _ = fs::remove_file(self.file(port));
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(host: &str, service: &str) -> Record {
        Record {
            host: host.to_owned(),
            service: service.to_owned(),
            bus_id: "1-1".to_owned(),
        }
    }

    #[test]
    fn a_record_is_what_the_usbip_tool_writes() {
        let root = tempfile::tempdir().unwrap();
        let records = Records::new(root.path().join("vhci_hcd"));
        let record = record("127.0.0.1", "3240");
        assert_eq!(records.read(7), None);
        records.write(7, &record).unwrap();
        let file = root.path().join("vhci_hcd/port7");
        assert_eq!(fs::read_to_string(file).unwrap(), "127.0.0.1 3240 1-1\n");
        assert_eq!(records.read(7), Some(record));
        records.remove(7);
        assert!(!root.path().join("vhci_hcd").exists());
    }

    #[test]
    fn a_record_has_three_words_whatever_the_path_of_its_socket() {
        let line = record("unix:/run/a b", "-").line();
        assert_eq!(line, "unix:/run/a%20b - 1-1\n");
        assert_eq!(Record::parse("a b"), None);
        assert_eq!(Record::parse("a b c d"), None);
    }
}

//! The shape of the scanner sample of Windows' minifilters: a driver asks for each file that is opened whether it is clean, and a service's workers
//! look at the contents and answer.
//!
//! ```console
//! $ cargo run -p usbwright-ports --example scanner
//! ```
//!
//! The service is a process of its own: this program, started once more.

use std::{
    env,
    error::Error,
    process::Command,
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use usbwright_ports::{
    Callbacks, Client, Connection, Filter, LONGEST, Message, NameSpace, PortName, PortOptions,
    SendError, Sent, status::NtStatus,
};

/// What the service takes for foul.
const FOUL: &[u8] = b"foul";
/// How many of the service's threads look at files.
const WORKERS: usize = 4;
/// How long the driver waits before it lets a file be opened unseen.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let name: PortName = r"\ScannerPort".parse()?;
    match env::args().nth(1) {
        Some(directory) => serve(&NameSpace::at(directory), &name),
        None => drive(name),
    }
}

/// The driver's port: one service at a time, and no messages from it.
struct Scanner(Sender<Connection>);

impl Callbacks for Scanner {
    type Session = ();

    fn connect(&self, connection: &Connection, _context: &[u8]) -> Result<(), NtStatus> {
        let connection = connection.clone();
        self.0
            .send(connection)
            .map_err(|_| NtStatus::DEVICE_NOT_READY)
    }
}

fn drive(name: PortName) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (connections, connected) = channel();
    let filter = Filter::new()?;
    let options = PortOptions::new(name).name_space(NameSpace::at(directory.path()));
    let _port = filter.create_port(options, Scanner(connections))?;
    let mut service = Command::new(env::current_exe()?)
        .arg(directory.path())
        .spawn()?;
    let connection = connected.recv()?;
    println!("a process of the user {} scans", connection.peer().uid());
    thread::scope(|scope| {
        for (file, contents) in [
            ("letter.txt", "dear reader"),
            ("game.exe", "fun and foul play"),
            ("song.mp3", "la la la"),
        ] {
            let connection = &connection;
            scope.spawn(move || match is_clean(connection, contents) {
                Ok(true) => println!("{file} is opened"),
                Ok(false) => println!("{file} is foul, and stays shut"),
                Err(error) => println!("{file} is opened unseen: {error}"),
            });
        }
    });
    filter.unload();
    service.wait()?;
    Ok(())
}

/// What the service says of contents. A time that is up is an error, and can't be taken for an answer.
fn is_clean(connection: &Connection, contents: &'static str) -> Result<bool, SendError> {
    match connection
        .send_message(contents, Some(1), PATIENCE)
        .wait()?
    {
        Sent::Replied(reply) => Ok(reply.data == [1].to_vec()),
        Sent::Delivered => Ok(true),
    }
}

fn serve(space: &NameSpace, name: &PortName) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(space, name, b"")?;
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(&client));
        }
    });
    Ok(())
}

/// Scans until the port is disconnected.
fn work(client: &Client) {
    let mut next = client.get_message().wait();
    while let Ok(Message { data, reply, .. }) = next {
        let Some(token) = reply else {
            next = client.get_message().wait();
            continue;
        };
        let clean = !data.windows(FOUL.len()).any(|it| it == FOUL);
        let verdict = vec![u8::from(clean)];
        // Whether the driver has waited for it does not matter to the next one.
        (_, next) = token
            .reply_and_get(NtStatus::SUCCESS, verdict, LONGEST)
            .wait();
    }
}

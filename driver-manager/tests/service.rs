//! Who looks at a manager: what it answers, also to those that make no sense or do not read.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::Arc,
};

use tempfile::TempDir;
use usbwright_driver_manager::{
    manager::{Manager, Offer, OpenError, Settings},
    service::{Client, ClientError, ListenError, Service},
};

/// A manager without packages, and a device that nothing is for.
struct Bench {
    manager: Manager,
    service: Service,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manager = Manager::start(Vec::new(), Settings::default()).unwrap();
        let path = folder.path().join("control");
        let service = Service::listen(&path, manager.observer()).unwrap();
        manager.plug().arrived(Offer {
            name: "board".to_owned(),
            ids: Vec::new(),
            source: Arc::new(|| Err::<_, OpenError>("nobody asks".into())),
        });
        Self {
            manager,
            service,
            folder,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.folder.path().join("control")).unwrap()
    }

    fn raw(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("control")).unwrap()
    }
}

fn line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn one_connection_asks_as_often_as_it_likes() {
    let bench = Bench::new();
    let mut client = bench.client();
    for _ in 0..3 {
        assert_eq!(client.view().unwrap().devices[0].name, "board");
    }
    let refused = client.kill_host(1).unwrap_err().to_string();
    assert_eq!(refused, "the driver manager refused: there is no host 1");
    let mut numbers = Vec::new();
    let told = client.events(0, false, |entry| {
        numbers.push(entry.number);
        Ok::<_, ClientError>(())
    });
    assert!(told.is_ok());
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn what_is_no_request_is_told_so_and_ends_the_connection() {
    let bench = Bench::new();
    for request in ["nonsense\n", "{\"command\":\"dance\"}\n", "{}\n"] {
        let mut stream = bench.raw();
        stream.write_all(request.as_bytes()).unwrap();
        let told = line(&stream);
        assert!(
            told.starts_with("{\"error\":\"this is no request: "),
            "{told}"
        );
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }
    let mut stream = bench.raw();
    // It is refused once it is too long, and nobody waits for its end.
    stream.write_all(&[b' '; 4096]).unwrap();
    assert!(line(&stream).contains("this is no request"));
}

#[test]
fn only_so_many_clients_are_served_at_a_time() {
    let bench = Bench::new();
    let mut clients: Vec<Client> = (0..32).map(|_| bench.client()).collect();
    // Each has been admitted once it was answered.
    clients.iter_mut().for_each(|it| drop(it.view().unwrap()));
    let told = line(&bench.raw());
    assert_eq!(told, "{\"error\":\"32 clients are connected already\"}\n");
    assert!(clients[0].view().is_ok());
}

#[test]
fn a_manager_that_has_ended_shows_nothing_and_its_followers_hear_all_of_it() {
    let bench = Bench::new();
    let mut follower = bench.client();
    let following = std::thread::spawn(move || {
        let mut count = 0;
        let ended = follower.events(0, true, |_| {
            count += 1;
            Ok::<_, ClientError>(())
        });
        ended.map(|()| count)
    });
    let mut client = bench.client();
    client.view().unwrap();
    bench.manager.end(std::time::Duration::from_secs(10));
    assert!(client.view().unwrap().devices.is_empty());
    assert_eq!(following.join().unwrap().unwrap(), 2);
    let path = bench.folder.path().join("control");
    drop(bench.service);
    assert!(!path.exists());
    assert!(matches!(
        Client::connect(&path),
        Err(ClientError::Unreachable { .. })
    ));
}

#[test]
fn a_second_manager_at_the_same_path_is_refused() {
    let bench = Bench::new();
    let path = bench.folder.path().join("control");
    let second = Service::listen(&path, bench.manager.observer());
    assert!(matches!(second.err(), Some(ListenError::InUse(it)) if it == path));
}

//! Bytes both ways, and who waits for them.

use super::*;

#[test]
fn bytes_pass_both_ways_as_they_are() {
    for speed in [Speed::Full, Speed::High, Speed::Super] {
        let (mut host, terminal) = port(speed);
        host.write(DATA_OUT, &b"\x11to \x00\xff the line\x13"[..], false);
        assert_eq!(host.ended().unwrap().status, Status::Done);
        assert_eq!(read_all(&terminal), b"\x11to \x00\xff the line\x13");
        let waits = host.read(DATA_IN, 2048);
        assert!(host.ended().is_none());
        assert_eq!(offer(&terminal, b"\x13to the host".to_vec()), 12);
        host.pass(Duration::ZERO);
        let came = host.ended().unwrap();
        assert_eq!((came.id, told(&came)), (waits, b"\x13to the host".to_vec()));
    }
}

#[test]
fn a_read_with_room_left_ends_also_where_the_last_packet_is_full() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![7; 1024]);
    assert_eq!(host.got(DATA_IN, 4096), vec![7; 1024]);
    offer(&terminal, vec![8; 512]);
    assert_eq!(host.got(DATA_IN, 512), vec![8; 512]);
    // It was whole: no empty packet is owed to the next one.
    host.read(DATA_IN, 512);
    assert!(host.ended().is_none());
}

#[test]
fn a_host_whose_bytes_nobody_reads_waits_and_loses_none() {
    let (mut host, terminal) = port(Speed::High);
    let data: Vec<u8> = (0..CAPACITY * 2 + 700).map(|i| (i / 251) as u8).collect();
    for chunk in data.chunks(10_240) {
        host.write(DATA_OUT, chunk.to_vec(), false);
    }
    let ended = std::iter::from_fn(|| host.ended()).count();
    assert_eq!(ended, CAPACITY / 10_240);
    let mut got = Vec::new();
    while got.len() < data.len() {
        let more = read_all(&terminal);
        assert!(!more.is_empty());
        got.extend(more);
        host.pass(Duration::ZERO);
    }
    assert!(got == data);
}

#[test]
fn a_terminal_whose_bytes_no_host_reads_waits_and_loses_none() {
    let (mut host, terminal) = port(Speed::Super);
    let data: Vec<u8> = (0..CAPACITY * 2).map(|i| (i / 251) as u8).collect();
    let mut given = offer(&terminal, data.clone());
    assert_eq!((given, terminal.waiting()), (CAPACITY, CAPACITY));
    let mut all = Vec::new();
    while all.len() < data.len() {
        let length = (data.len() - all.len()).min(2048);
        all.extend(got(&mut host, length));
        given += offer(&terminal, data[given..].to_vec());
    }
    assert!(all == data);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The waker of a task that has the terminal, and is over.
struct Last(Terminal);

impl Wake for Last {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        self.0.waiting();
    }
}

#[test]
fn the_last_waker_of_a_task_that_has_the_terminal_may_be_replaced() {
    let (_host, terminal) = port(Speed::High);
    let full = Bytes::from(vec![0; CAPACITY + 1]);
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Last(terminal.clone())));
        let cx = &mut Context::from_waker(&waker);
        assert!(terminal.poll_read(cx, 1).is_pending());
        assert!(terminal.poll_write(cx, &mut full.clone()).is_pending());
    }
}

#[test]
fn both_ends_are_woken_when_they_can_go_on() {
    let (mut host, terminal) = port(Speed::High);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let cx = &mut Context::from_waker(&waker);
    let woken = || count.0.swap(0, Ordering::SeqCst);
    {
        let mut read = pin!(terminal.read(100));
        assert!(read.as_mut().poll(cx).is_pending());
        host.write(DATA_OUT, &b"hello"[..], false);
        assert_eq!(woken(), 1);
        assert_eq!(read.poll(cx), Poll::Ready(Some(b"hello"[..].into())));
    }
    {
        let mut write = pin!(terminal.write(vec![1; CAPACITY + 1].into()));
        assert!(write.as_mut().poll(cx).is_pending());
        got(&mut host, 1024);
        assert_eq!(woken(), 0);
        got(&mut host, 200_000);
        assert_eq!(woken(), 1);
        assert_eq!(write.poll(cx), Poll::Ready(Ok(())));
    }
    // The device is woken where the host waits, and not where it does not.
    while host.ended().is_some() {}
    let device = Arc::new(Count::default());
    host.device.set_waker(Arc::clone(&device).into());
    let woken = || device.0.swap(0, Ordering::SeqCst);
    offer(&terminal, vec![2; 100]);
    assert_eq!(woken(), 0);
    let waiting = terminal.waiting();
    got(&mut host, waiting);
    host.pass(Duration::from_micros(125));
    host.read(DATA_IN, 100);
    offer(&terminal, vec![3; 100]);
    offer(&terminal, vec![4; 100]);
    assert_eq!(woken(), 1);
}

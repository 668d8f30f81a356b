//! How much Linux is sent, and when.

use super::*;

/// How many transfers have ended, each of them full.
fn full(host: &mut Host, length: u32) -> usize {
    std::iter::from_fn(|| host.ended())
        .inspect(|it| assert_eq!((it.status, it.actual_length), (Status::Done, length)))
        .count()
}

#[test]
fn linux_has_no_more_under_way_than_its_terminal_takes() {
    for (speed, length, at_once) in [(Speed::High, 1024, 2), (Speed::Super, 2048, 1)] {
        let (mut host, terminal) = port(speed);
        offer(&terminal, vec![5; 256 << 10]);
        host.pass(Duration::ZERO);
        // It keeps sixteen here. Those that were answered come back once it has room again.
        let mut free = 0;
        while free < 32 {
            host.read(DATA_IN, length);
            free += full(&mut host, length);
        }
        for _ in 0..16 {
            host.read(DATA_IN, length);
        }
        for _ in 0..20 {
            assert_eq!(full(&mut host, length), at_once);
            host.pass(Duration::from_millis(200));
            assert_eq!(full(&mut host, length), 0);
            for _ in 0..at_once {
                host.read(DATA_IN, length);
            }
        }
    }
}

#[test]
fn linux_has_a_pause_in_which_it_moves_bytes_to_its_terminal() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 256 << 10]);
    host.pass(Duration::ZERO);
    let (mut came, mut due) = (0, 16);
    while due > 0 {
        for _ in 0..due {
            host.read(DATA_IN, 1024);
        }
        due = full(&mut host, 1024);
        came += due;
        offer(&terminal, vec![5; 16 << 10]);
    }
    assert_eq!(came, 256);
    host.pass(Duration::from_micros(3900));
    assert_eq!(full(&mut host, 1024), 0);
    host.pass(Duration::from_micros(100));
    assert!(full(&mut host, 1024) > 0);
}

#[test]
fn linux_whose_program_reads_now_and_then_gets_no_more_than_it_can_hold() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 256 << 10]);
    host.pass(Duration::ZERO);
    let (mut missing, mut holds) = (16, 0usize);
    for _ in 0..100 {
        for _ in 0..missing {
            host.read(DATA_IN, 1024);
        }
        missing = 0;
        for _ in 0..10 {
            missing += full(&mut host, 1024);
            host.pass(Duration::from_millis(100));
        }
        missing += full(&mut host, 1024);
        offer(&terminal, vec![5; 256 << 10]);
        // Somebody reads 4095 bytes, and it asks again.
        holds += missing;
        assert!(holds < 50, "{holds} KiB");
        holds = holds.saturating_sub(3);
    }
}

#[test]
fn a_host_that_keeps_fewer_transfers_here_than_linux_waits_for_that_once() {
    for kept in 1..14 {
        let (mut host, terminal) = port(Speed::High);
        offer(&terminal, vec![5; 256 << 10]);
        host.pass(Duration::ZERO);
        for _ in 0..kept {
            host.read(DATA_IN, 1024);
        }
        let mut came = full(&mut host, 1024);
        while came < 32 {
            host.read(DATA_IN, 1024);
            came += full(&mut host, 1024);
        }
        for _ in 0..kept {
            host.read(DATA_IN, 1024);
        }
        assert_eq!(full(&mut host, 1024), 0);
        host.pass(Duration::from_millis(250));
        while came < 200 {
            let more = full(&mut host, 1024);
            assert!(more > 0);
            came += more;
            for _ in 0..more {
                host.read(DATA_IN, 1024);
            }
        }
    }
}

#[test]
fn a_read_of_another_length_than_linux_has_gets_all_that_is_there() {
    let (mut host, terminal) = port(Speed::High);
    offer(&terminal, vec![5; 100_000]);
    assert_eq!(host.got(DATA_IN, 60_000).len(), 60_000);
    assert_eq!(host.got(DATA_IN, 512).len(), 512);
    let (mut host, terminal) = port(Speed::Full);
    offer(&terminal, vec![5; 100_000]);
    for _ in 0..50 {
        assert_eq!(host.got(DATA_IN, 128).len(), 128);
    }
}

//! Many threads and tasks at once, in orders that chance decides: each transfer ends, with what is its own.

use std::sync::{
    Arc,
    mpsc::{self, TryRecvError},
};

use super::{super::wait::Wait, Engine, Lazy, Wire, endpoint, engine, first, read, spawn};

/// Numbers by chance, from a seed.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    /// A number below `most` (xorshift64).
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Transfers of each thread.
const TRANSFERS: u64 = 40;

/// Reads from an endpoint that is nobody else's, in one way or another.
async fn reads(engine: Arc<Engine>, number: u8, mut chance: Chance) {
    for _ in 0..TRANSFERS {
        match chance.below(4) {
            0 => assert_eq!(first(read(&engine, number).await), number),
            1 => {
                let (one, other) = tokio::join!(
                    Lazy::new(read(&engine, number)),
                    Lazy::new(read(&engine, number))
                );
                assert_eq!([first(one), first(other)], [number; 2]);
            }
            2 => drop(Lazy::new(read(&engine, number))),
            _ => {
                let flight = read(&engine, number);
                tokio::select! {
                    biased;
                    () = std::future::ready(()) => {}
                    _ = flight => {}
                }
                engine.cancel_all(endpoint(number));
                engine.idle(endpoint(number)).await;
            }
        }
    }
}

/// Runs threads and tasks against one port, which answers them in any order.
fn run(seed: u64, wire: &Wire, threads: u8, tasks: u8) {
    let engine = engine(wire);
    let mut running = Vec::new();
    for number in 1..=threads + tasks {
        let chance = Chance(seed * 31 + u64::from(number));
        let reads = reads(Arc::clone(&engine), number, chance.clone());
        running.push(spawn(move || match number <= threads {
            true => reads.wait(),
            false => {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.unwrap().block_on(reads);
            }
        }));
    }
    let (stop, stopped) = mpsc::channel::<()>();
    let wire = wire.clone();
    let answering = spawn(move || {
        let mut chance = Chance(seed);
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            let number = 1 + chance.below(u64::from(threads + tasks)) as u8;
            wire.answer(number, number);
            std::thread::yield_now();
        }
    });
    running.into_iter().for_each(super::Running::end);
    stop.send(()).unwrap();
    answering.end();
    assert!(engine.state().followers.is_empty());
}

#[test]
fn each_transfer_ends_whoever_waits_and_in_whatever_order() {
    for seed in 1..=30 {
        for (threads, tasks) in [(3, 0), (0, 3), (2, 2), (4, 1)] {
            run(seed, &Wire::with_outside(), threads, tasks);
            run(seed, &Wire::without_outside(), threads, tasks);
        }
    }
}

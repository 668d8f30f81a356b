use std::{sync::mpsc, thread, time::Duration};

use super::*;

/// Tells that it was done.
struct Tells(Mutex<mpsc::Sender<()>>);

impl Job for Tells {
    fn run(self: Arc<Self>) {
        self.0.lock().unwrap().send(()).unwrap();
    }
}

#[test]
fn what_woke_a_thread_that_had_its_answer_already_is_done_by_another() {
    let scheduler = Scheduler::new(Clock::System, Threads::Worker);
    let (tell, told) = mpsc::channel();
    let mut asked = 0;
    scheduler.wait_for(|| {
        asked += 1;
        if asked < 2 {
            return None;
        }
        // This thread waits already, and is the one that is woken.
        let (scheduler, tell) = (Arc::clone(&scheduler), tell.clone());
        let posts = move || scheduler.post(None, Arc::new(Tells(Mutex::new(tell))));
        thread::spawn(posts).join().unwrap();
        Some(())
    });
    let limit = Duration::from_secs(10);
    told.recv_timeout(limit).expect("the worker does it");
    scheduler.end();
}

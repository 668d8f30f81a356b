//! The same calls in tasks.

mod support;

use std::time::Duration;

use support::Setup;
use usbwright_ports::{Deadline, SendError, Sent, status::NtStatus};

#[tokio::test]
async fn tasks_send_get_and_reply() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let service = tokio::spawn(async move {
        for _ in 0..100 {
            let message = client.get_message().await.unwrap();
            message.reply.unwrap().reply(message.data).await.unwrap();
        }
        client.send_message("done", 0).await
    });
    for number in 0..100_u8 {
        let sent = connection.send_message(vec![number], Some(1), Deadline::Never);
        let Ok(Sent::Replied(reply)) = sent.await else {
            panic!("no reply");
        };
        assert_eq!(reply.data, vec![number]);
    }
    let answer = service.await.unwrap().unwrap_err();
    assert_eq!(answer.status(), NtStatus::NOT_SUPPORTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_share_the_messages_of_many_senders() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                while let Ok(message) = client.get_message().await {
                    let _ = message.reply.unwrap().reply(message.data).await;
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..8_u8)
        .map(|sender| {
            let connection = connection.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let sending =
                        connection.send_message(vec![sender, number], Some(2), Deadline::Never);
                    let Ok(Sent::Replied(reply)) = sending.await else {
                        panic!("no reply");
                    };
                    assert_eq!(reply.data, vec![sender, number]);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    connection.close();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn a_task_is_woken_when_its_time_is_up() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let short = Duration::from_millis(10);
    let sent = connection.send_message("?", Some(4), short).await;
    assert_eq!(sent, Err(SendError::TimedOutBeforeDelivery));
    let get = client.get_message().start();
    let sent = connection.send_message("?", Some(4), short).await;
    assert_eq!(sent, Err(SendError::TimedOutBeforeReply));
    drop(get);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_threads_wait_together() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let its = client.clone();
    let task = tokio::spawn(async move { its.get_message().await });
    let thread = std::thread::spawn(move || client.get_message().wait());
    for _ in 0..2 {
        let sent = connection.send_message("hear", None, Deadline::Never);
        assert_eq!(sent.await, Ok(Sent::Delivered));
    }
    assert_eq!(task.await.unwrap().unwrap().data, "hear");
    assert_eq!(thread.join().unwrap().unwrap().data, "hear");
}

#[tokio::test]
async fn a_get_that_loses_a_race_loses_no_message() {
    let setup = Setup::new();
    let (client, connection) = setup.connect();
    let its = connection.clone();
    let sender = tokio::spawn(async move {
        for number in 0..200_u8 {
            let sent = its.send_message(vec![number], None, Deadline::Never);
            assert_eq!(sent.await, Ok(Sent::Delivered));
        }
    });
    let mut number = 0;
    while number < 200 {
        let soon = tokio::time::timeout(Duration::from_micros(50), client.get_message());
        if let Ok(message) = soon.await {
            assert_eq!(message.unwrap().data, vec![number]);
            number += 1;
        }
    }
    sender.await.unwrap();
}

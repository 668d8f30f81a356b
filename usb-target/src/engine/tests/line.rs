//! Transfers that are awaited in their order.

use std::sync::Arc;

use usbwright_protocol::{Status, TransferKind};

use super::{super::Line, Wire, endpoint, engine, first};
use crate::pipe::Kept;

#[test]
fn ends_that_came_together_are_told_one_by_one_and_only_the_others_are_taken_back() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    let mut line = Line::new(&engine);
    for _ in 0..4 {
        let kind = TransferKind::In { length: 64 };
        line.submit(&engine, endpoint(1), kind, None);
    }
    wire.answer(1, 7);
    wire.answer(1, 8);
    engine.drive();
    assert_eq!(line.take(&engine).map(first), Some(7));
    assert_eq!(line.len(), 3);
    line.cancel(&engine, 0);
    assert!(wire.state().cancelled.is_empty());
    line.cancel(&engine, 2);
    assert_eq!(wire.state().cancelled.len(), 1);
    let kept = Arc::new(Kept::new(64));
    line.abandon(&engine, Some(&kept));
    assert_eq!(wire.state().cancelled.len(), 2);
    assert_eq!(kept.take(64, true).0.to_vec(), [8]);
    assert!(kept.has_nothing() && line.is_empty());
}

#[test]
fn what_ends_before_its_turn_is_told_in_its_turn() {
    let wire = Wire::without_outside();
    let engine = engine(&wire);
    let mut line = Line::new(&engine);
    for _ in 0..4 {
        let kind = TransferKind::In { length: 64 };
        line.submit(&engine, endpoint(1), kind, None);
    }
    line.cancel(&engine, 1);
    line.cancel(&engine, 2);
    engine.drive();
    assert!(line.take(&engine).is_none());
    wire.answer(1, 7);
    wire.answer(1, 8);
    engine.drive();
    let statuses: Vec<_> = std::iter::from_fn(|| line.take(&engine))
        .map(|it| it.status)
        .collect();
    let (done, cancelled) = (Status::Done, Status::Cancelled);
    assert_eq!(statuses, [done, cancelled, cancelled, done]);
}

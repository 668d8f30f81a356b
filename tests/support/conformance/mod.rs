//! What every backend of the crate `usbwright-target` is held to: one suite, run against a Gadget Zero behind each of them.
//!
//! A backend is declared in [`backends`]: what it lacks is listed with how it refuses it, and that it does so is checked as well.

pub(crate) mod ability;
pub(crate) mod backends;
mod checks;
mod data;
pub(crate) mod kernel;
pub(crate) mod local;
mod refusals;
mod report;
pub(crate) mod served;
mod subject;
mod table;

use std::{sync::Arc, time::Duration};

use self::{
    checks::{CHECKS, Check},
    report::Outcome,
};
pub(crate) use self::{report::Report, subject::Subject, table::table};

/// How long a check may take; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs every check that the backend has the abilities for, and has it refuse what it lacks.
pub(crate) async fn run(subject: Subject) -> Report {
    let subject = Arc::new(subject);
    let mut report = Report::new(subject.backend());
    for check in CHECKS {
        let lacking = check.needs.iter().find(|it| !subject.backend().has(**it));
        let outcome = match lacking {
            Some(ability) => Outcome::Lacks(*ability),
            None => bounded(&subject, check).await,
        };
        report.add(check.name, outcome);
    }
    for lack in subject.backend().lacks {
        let check = refusals::of(*lack);
        report.add(check.name, bounded(&subject, &check).await);
    }
    report
}

/// Runs a check in a task of its own, so that a panic ends no other.
async fn bounded(subject: &Arc<Subject>, check: &Check) -> Outcome {
    let task = tokio::spawn((check.run)(Arc::clone(subject)));
    let ender = task.abort_handle();
    match tokio::time::timeout(PATIENCE, task).await {
        Ok(Ok(Ok(()))) => Outcome::Passed,
        Ok(Ok(Err(error))) => Outcome::Failed(format!("{error:#}")),
        Ok(Err(panic)) => Outcome::Failed(panic.to_string()),
        Err(_) => {
            ender.abort();
            Outcome::Failed(format!("it takes more than {} s", PATIENCE.as_secs()))
        }
    }
}

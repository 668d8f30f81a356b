//! What became of each check.

use std::fmt;

use super::{ability::Ability, backends::Backend};

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// The backend lacks what the check is about, by its declaration.
    Lacks(Ability),
    Failed(String),
}

/// The checks of one backend, in their order.
pub(crate) struct Report {
    backend: &'static Backend,
    checks: Vec<(&'static str, Outcome)>,
}

impl Report {
    pub(super) fn new(backend: &'static Backend) -> Self {
        Self {
            backend,
            checks: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'static str, outcome: Outcome) {
        self.checks.push((name, outcome));
    }

    /// Fails the test, with every check told, where one has failed.
    #[track_caller]
    pub(crate) fn assert_conforms(&self) {
        let failed = |(_, outcome): &&(_, Outcome)| matches!(outcome, Outcome::Failed(_));
        let failures = self.checks.iter().filter(failed).count();
        assert!(failures == 0, "{failures} checks failed\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.backend.name)?;
        for (name, outcome) in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "  passed  {name}")?,
                Outcome::Lacks(what) => writeln!(f, "  lacks   {name} ({})", what.words())?,
                Outcome::Failed(why) => writeln!(f, "  FAILED  {name}: {why}")?,
            }
        }
        Ok(())
    }
}

//! The backends that the suite is run against, and what each lacks.

use super::{
    ability::{Ability, Refusal, Unsupported},
    data::Pattern,
};

/// A backend, as it is declared.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What it is, in the table.
    pub(crate) name: &'static str,
    /// What its device's source sends and its sink takes.
    pub(crate) pattern: Pattern,
    /// What it lacks.
    pub(crate) lacks: &'static [Unsupported],
}

impl Backend {
    /// How it refuses what it lacks; `None` where it has it.
    pub(crate) fn refusal(&self, ability: Ability) -> Option<Refusal> {
        let lack = self.lacks.iter().find(|it| it.ability == ability);
        lack.map(|it| it.refusal)
    }

    pub(crate) fn has(&self, ability: Ability) -> bool {
        self.refusal(ability).is_none()
    }
}

/// An emulated device in the same process.
pub(crate) static IN_PROCESS: Backend = Backend {
    name: "in process",
    pattern: Pattern::Mod63,
    lacks: &[],
};

//! What whoever runs a stack is told of it as it happens: the callbacks of its drivers, the rules that they break, and its failure.

use std::{fmt, sync::Arc};

use crate::{stack::CallbackError, verifier::Violation};

/// Something that happens in a stack. It is told on the thread on which it happens, before anything follows from it, so whoever hears of it returns soon and calls nothing of the stack.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum StackEvent<'a> {
    /// A driver is called for a change of its device's state.
    CallbackBegins {
        /// The driver.
        driver: &'a str,
        /// The callback, such as `d0_entry`.
        callback: &'static str,
    },
    /// It has returned, or panicked.
    CallbackEnded {
        /// The driver.
        driver: &'a str,
        /// The callback.
        callback: &'static str,
    },
    /// A driver has broken a rule.
    RuleBroken(&'a Violation),
    /// A callback has panicked: the stack has failed.
    Failed(&'a CallbackError),
}

type Tell = dyn Fn(StackEvent<'_>) + Send + Sync;

/// Whoever is told.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Tell>>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(StackEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    pub(crate) fn tell(&self, event: StackEvent<'_>) {
        if let Some(observer) = &self.0 {
            observer(event);
        }
    }

    /// Tells of a callback's begin and end.
    pub(crate) fn around<T>(
        &self,
        driver: &str,
        callback: &'static str,
        call: impl FnOnce() -> T,
    ) -> T {
        self.tell(StackEvent::CallbackBegins { driver, callback });
        let result = call();
        self.tell(StackEvent::CallbackEnded { driver, callback });
        result
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

//! Contexts: what a driver keeps with an object of the framework, until the object goes.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

/// What a driver has made a context of.
pub(crate) type Anything = Arc<dyn Any + Send + Sync>;

/// An object's context. There is one at the most, for all of the object's life.
#[derive(Default)]
pub(crate) struct Context(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    None,
    Assigned(Anything),
    /// The object has gone.
    Gone,
}

impl Context {
    /// Assigns it, unless there is one already or the object goes.
    pub(crate) fn assign<T: Any + Send + Sync>(&self, context: T) -> Result<(), T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::None => {
                *state = State::Assigned(Arc::new(context));
                Ok(())
            }
            State::Assigned(_) | State::Gone => Err(context),
        }
    }

    /// The context, if it is one of this type.
    pub(crate) fn retrieve<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Assigned(context) => Arc::clone(context).downcast().ok(),
            State::None | State::Gone => None,
        }
    }

    /// Drops it, as the object goes.
    pub(crate) fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, State::Gone);
        drop(state);
        drop(before);
    }
}

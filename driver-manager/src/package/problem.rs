//! What is wrong with a package, and how it is told: the place, the line, and what to do.

use std::{fmt, io, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A part of a package's text, in bytes.
pub(super) type Span = Range<usize>;

/// One thing that is wrong with a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) what: String,
    pub(super) remedy: String,
    pub(super) place: Span,
    pub(super) other: Option<(Span, &'static str)>,
}

impl Problem {
    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Where it is, in bytes of the text.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

/// What has been found to be wrong so far.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, place: Span, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Problem {
            what: what.into(),
            remedy: remedy.into(),
            place,
            other: None,
        });
    }

    /// Adds one that has to do with a second place, which gets a label.
    pub(super) fn add_with(
        &mut self,
        place: Span,
        (other, label): (Span, &'static str),
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(place, what, remedy);
        if let Some(last) = self.0.last_mut() {
            last.other = Some((other, label));
        }
    }
}

/// How many problems of a package are shown.
const MOST_SHOWN: usize = 20;

/// All that is wrong with a package's text, in the order of its lines. It is shown with these lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    path: PathBuf,
    text: String,
    problems: Vec<Problem>,
}

impl Invalid {
    pub(super) fn new(path: PathBuf, text: &str, problems: Problems) -> Self {
        let mut problems = problems.0;
        problems.sort_by_key(|it| it.place.start);
        Self {
            path,
            text: text.to_owned(),
            problems,
        }
    }

    /// What is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        for (index, problem) in self.problems.iter().take(MOST_SHOWN).enumerate() {
            let mut snippet = Snippet::source(&self.text)
                .path(path.as_ref())
                .annotation(AnnotationKind::Primary.span(problem.place()));
            if let Some((place, label)) = &problem.other {
                let other = AnnotationKind::Context.span(place.clone());
                snippet = snippet.annotation(other.label(*label));
            }
            let group = Level::ERROR
                .primary_title(&problem.what)
                .element(snippet)
                .element(Level::HELP.message(&problem.remedy));
            let separator = if index == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{}", Renderer::plain().render(&[group]))?;
        }
        match self.problems.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

/// Why a package can't be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("can't read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too long to be a package.
    #[error("{path} has more than {limit} bytes: it is no driver package", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many bytes it may have.
        limit: u64,
    },
    /// It is no text.
    #[error("{path} is not UTF-8 at line {line}: write it as UTF-8, as TOML is", path = path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first line with a byte that is not UTF-8, counted from 1.
        line: usize,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

//! The rules file: TOML in, checked settings out, all mistakes at once.
pub mod place;
pub mod problem;
pub mod section;
mod values;
pub mod walk;

pub use problem::{Problem, Problems};
pub use section::Section;
pub use walk::walk;

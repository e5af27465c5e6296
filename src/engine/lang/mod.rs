//! The rule language (stub to be replaced by its owner).
#[derive(Clone, Debug)]
pub struct Program;

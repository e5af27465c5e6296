//! Schedules against wall clocks with gaps and folds.
//!
//! Neighbours: `mod`, `crontab`, `due`. A part of its own for its length.

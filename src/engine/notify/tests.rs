//! Plans and folds as stories: rows in, rows out.

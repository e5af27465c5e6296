//! stub to be replaced by its owner

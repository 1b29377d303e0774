//! The media module.

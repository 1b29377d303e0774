//! The call in virtual time: golden scripts, properties, and the rehearsals of turn-taking. No socket, no sleep, no model.

mod barge_in;
mod golden;
mod line;
mod long;
mod marks;
mod patience;
mod props;
mod sim;
mod stale;

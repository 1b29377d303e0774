//! The call in virtual time: golden scripts, properties, and the rehearsals of turn-taking. No socket, no sleep, no model.

mod golden;
mod sim;

//! What a caller's words mean to a script: intents, yes and no, and the values of slots. Functions over values: no clock,
//! no state. Never accepts a value; the dialogue does, and reads the dangerous ones back.

pub mod date;
pub mod intent;
pub mod lexicon;
pub mod name;
pub mod number;
pub mod polarity;
pub mod slot;
pub mod spell;
pub mod time;
pub mod words;

pub use date::Calendar;
pub use intent::{Fit, Intent, rank};
pub use polarity::{Opinion, Polarity};
pub use slot::{Manner, SlotValue, read};
pub use words::Words;

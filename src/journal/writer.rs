//! Turns a call's facts and orders into the bytes of its journal, one line each. Gives bytes only; the recorder thread
//! writes them.

use super::{Entry, Fact, Header, Line, Order, VERSION};
use crate::call;
use crate::units::{BotId, CallId, Moment, Stamp};

/// The journal of one call while it is written.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    origin: Moment,
}

impl Writer {
    /// Begins a journal at `now`, which is `started` for people, and puts the header line into `out`.
    pub fn begin(
        call: &CallId,
        bot: &BotId,
        bot_version: &str,
        started: Stamp,
        now: Moment,
        out: &mut Vec<u8>,
    ) -> Self {
        let header = Header {
            version: VERSION,
            call_id: call.as_str().to_owned(),
            bot: bot.as_str().to_owned(),
            bot_version: bot_version.to_owned(),
            started,
        };
        put(out, &header);
        Self { origin: now }
    }

    /// Puts one fact into `out`.
    pub fn fact(&self, now: Moment, fact: &call::Fact, out: &mut Vec<u8>) {
        self.line(now, Entry::Fact(Fact::of(fact, self.origin)), out);
    }

    /// Puts one order into `out`.
    pub fn order(&self, now: Moment, order: &call::Order, out: &mut Vec<u8>) {
        self.line(now, Entry::Order(Order::of(order)), out);
    }

    /// Puts one line into `out`.
    pub fn line(&self, now: Moment, entry: Entry, out: &mut Vec<u8>) {
        let at_us = u64::try_from(now.since(self.origin).as_micros()).unwrap_or(u64::MAX);
        put(out, &Line { at_us, entry });
    }
}

fn put<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    let begin = out.len();
    // Writing to memory cannot fail and no mirror type refuses to be JSON; should one ever, its line is left out whole.
    match serde_json::to_writer(&mut *out, value) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(begin),
    }
}

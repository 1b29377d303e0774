//! The calls in progress: who they are, what they do, and how to reach their drivers. An entry lives as long as its guard, so
//! that no ending can forget it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::driver::Control;
use crate::call::{Call, CallState};
use crate::units::{BotId, CallId, Pii, Stamp};

/// What a live call says of itself.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    /// The call.
    pub id: CallId,
    /// Its bot.
    pub bot: BotId,
    /// The customer's number.
    pub caller: Pii<String>,
    /// The customer was rung.
    pub outgoing: bool,
    /// The leg's protocol.
    pub dialect: &'static str,
    /// When it was accepted.
    pub started_at: Stamp,
    /// What it does now.
    pub state: &'static str,
    /// Turns of the caller so far.
    pub turns: u32,
    /// Latency of the last answered turn.
    pub last_turn_ms: Option<u32>,
    control: mpsc::Sender<Control>,
}

/// All live calls. Its lock is held for the copy of a few words and never on a media thread.
#[derive(Debug, Default)]
pub struct Directory {
    calls: Mutex<BTreeMap<String, LiveEntry>>,
}

/// Takes a call out of the directory when it is over, however it ended.
#[derive(Debug)]
pub struct Listing {
    directory: Arc<Directory>,
    id: CallId,
    /// What the directory says of it.
    noted: Mutex<Doing>,
}

/// What changes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doing {
    state: &'static str,
    turns: u32,
    last_turn_ms: Option<u32>,
}

impl Directory {
    /// Lists a call that has just been accepted.
    pub fn enter(
        self: &Arc<Self>,
        id: &CallId,
        bot: &BotId,
        who: (Pii<String>, bool, &'static str),
        started_at: Stamp,
        control: mpsc::Sender<Control>,
    ) -> Listing {
        let (caller, outgoing, dialect) = who;
        let entry = LiveEntry {
            id: id.clone(),
            bot: bot.clone(),
            caller,
            outgoing,
            dialect,
            started_at,
            state: "opening",
            turns: 0,
            last_turn_ms: None,
            control,
        };
        let noted = Mutex::new(Doing { state: entry.state, turns: entry.turns, last_turn_ms: entry.last_turn_ms });
        self.lock().insert(id.as_str().to_owned(), entry);
        Listing { directory: Arc::clone(self), id: id.clone(), noted }
    }

    /// The live calls, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<LiveEntry> {
        self.lock().values().cloned().collect()
    }

    /// One live call.
    #[must_use]
    pub fn find(&self, id: &CallId) -> Option<LiveEntry> {
        self.lock().get(id.as_str()).cloned()
    }

    /// Tells one live call something; `false` where it is not up. A call whose queue is full is ending already.
    pub fn tell(&self, id: &CallId, control: Control) -> bool {
        let to = self.lock().get(id.as_str()).map(|entry| entry.control.clone());
        to.is_some_and(|to| !matches!(to.try_send(control), Err(mpsc::error::TrySendError::Closed(_))))
    }

    /// Tells every live call something; returns how many took it.
    pub fn tell_all(&self, control: &Control) -> usize {
        let all: Vec<mpsc::Sender<Control>> = self.lock().values().map(|e| e.control.clone()).collect();
        all.iter().filter(|c| c.try_send(control.clone()).is_ok()).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, LiveEntry>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listing {
    /// Notes what the call does now.
    pub fn note(&self, call: &Call) {
        let turn = call.turn();
        let answered = turn.timings().iter().rfind(|t| t.audible_at.is_some());
        let now = Doing {
            state: state(call),
            turns: u32::try_from(turn.timings().len()).unwrap_or(u32::MAX),
            last_turn_ms: answered
                .map(|t| u32::try_from(t.stages().iter().map(|s| s.us).sum::<u64>() / 1000).unwrap_or(u32::MAX)),
        };
        // Most of what a call is told changes nothing of this, and the directory is everybody's.
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *noted, now) == now {
            return;
        }
        if let Some(entry) = self.directory.lock().get_mut(self.id.as_str()) {
            (entry.state, entry.turns, entry.last_turn_ms) = (now.state, now.turns, now.last_turn_ms);
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.directory.lock().remove(self.id.as_str());
    }
}

/// One word for an operator: the phase, or in the conversation what is being done.
fn state(call: &Call) -> &'static str {
    match call.state() {
        CallState::Setup => "opening",
        CallState::Ringing => "ringing",
        CallState::Live => call.turn().state().word(),
        CallState::Leaving | CallState::Settling | CallState::Over => "ending",
    }
}

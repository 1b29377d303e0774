//! The worker as the HTTP routes see it: everything from memory. Never waits.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::directory::LiveEntry;
use super::{App, CallControl};
use crate::api::{
    BotRow, CallDetail, CallFiles, Control, DialAsk, DialRefusal, EndedCall, EndedPage, Health, Linked, LiveCall,
    NotReady, PageAsk,
};
use crate::fleet::{FleetView, WorkerState};
use crate::results::{CallRow, NO_ANALYSIS, call_folder};
use crate::rt;
use crate::telemetry::{ProcessSample, SipFigures};
use crate::units::CallId;

impl Control for App {
    fn fleet(&self) -> FleetView {
        self.capacity.view()
    }

    fn health(&self) -> Health {
        let shards = self.machinery.shards.views();
        Health {
            version: env!("CARGO_PKG_VERSION"),
            uptime: rt::now().since(self.started),
            shards: u32::try_from(shards.len()).unwrap_or(u32::MAX),
            fifo: !shards.is_empty() && shards.iter().all(|s| s.fifo),
            process: ProcessSample::read(),
        }
    }

    fn ready(&self) -> Result<(), NotReady> {
        match self.capacity.state() {
            WorkerState::Draining => Err(NotReady::Draining),
            WorkerState::Starting => Err(NotReady::Starting),
            WorkerState::Ready if self.capacity.view().available == 0 => Err(NotReady::Full),
            WorkerState::Ready => Ok(()),
        }
    }

    fn metrics(&self) -> String {
        let view = self.capacity.view();
        let recorder = self.machinery.recorder.stats();
        self.metrics.recorder_lost_frames.inner().fetch_max(recorder.lost_frames / 160, Relaxed);
        self.metrics.sample(&ProcessSample::read(), self.capacity.held(), view.max);
        if let Some(sip) = self.sip.get().and_then(std::sync::Weak::upgrade) {
            let (watched, registrations) = (sip.endpoint.watched(), sip.endpoint.registrations());
            self.metrics.sample_trunks(watched.iter().map(|row| row.up), registrations.iter().map(|row| row.1));
            let (counted, now) = (sip.endpoint.counters(), sip.endpoint.census());
            self.metrics.sample_sip(SipFigures {
                calls: counted.calls.load(Relaxed),
                refused: counted.refused.load(Relaxed),
                strangers: counted.strangers.load(Relaxed),
                nobodys: self.machinery.shards.views().iter().map(|shard| shard.nobodys).sum(),
                crowded: counted.crowded.load(Relaxed),
                faulty: counted.faulty.load(Relaxed),
                unreadable: counted.unreadable.load(Relaxed),
                dialogs: now.dialogs,
                transactions: now.transactions,
                streams: now.streams,
            });
        }
        self.metrics.encode()
    }

    fn bots(&self) -> Vec<BotRow> {
        let row = |status: crate::bot::BotStatus| BotRow {
            language: self.bots.get(status.id.as_str()).map_or_else(String::new, |b| b.language.clone()),
            id: status.id,
            name: status.name,
            version: status.version.unwrap_or_default(),
            faults: status.fault.unwrap_or_default().iter().map(ToString::to_string).collect(),
        };
        self.bots.list().into_iter().map(row).collect()
    }

    fn live_calls(&self) -> Vec<LiveCall> {
        self.directory.list().into_iter().rev().map(live).collect()
    }

    fn ended_calls(&self, ask: &PageAsk) -> EndedPage {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = index.newest().peekable();
        if let Some(before) = &ask.before {
            // Passes everything up to that call.
            let _ = rows.by_ref().find(|row| row.call_id == *before);
        }
        let calls = rows.by_ref().take(ask.limit).map(|row| self.ended(row)).collect();
        EndedPage { calls, more: rows.next().is_some() }
    }

    fn call(&self, id: &CallId) -> Option<CallDetail> {
        if let Some(entry) = self.directory.find(id) {
            return Some(CallDetail::Live(live(entry)));
        }
        let ended = {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            self.ended(index.find(id)?)
        };
        let folder = call_folder(&self.data_dir, id).ok()?;
        Some(CallDetail::Ended(ended, folder.join("result.json")))
    }

    fn hang_up(&self, id: &CallId) -> bool {
        let told = self.directory.tell(id, CallControl::HangUp);
        if told {
            tracing::info!(call = %id, "an operator ends this call");
        }
        told
    }

    fn press(&self, id: &CallId, keys: &str) -> bool {
        self.directory.tell(id, CallControl::Keys(keys.to_owned()))
    }

    fn dial(&self, ask: DialAsk) -> Result<CallId, DialRefusal> {
        let placed = self.place(ask);
        if let Err(refusal @ DialRefusal::Internal(_)) = &placed {
            tracing::error!(%refusal, "a call could not be placed");
        }
        placed
    }

    fn linked(&self, token: &str) -> Option<Linked> {
        let id = self.links.verify(token)?;
        if self.directory.find(&id).is_some() {
            return Some(Linked::StillRunning);
        }
        let folder = call_folder(&self.data_dir, &id).ok()?;
        let result = folder.join("result.json");
        if !result.exists() {
            return None;
        }
        let recording = Some(folder.join("recording.wav")).filter(|path| path.exists());
        Some(Linked::Ended(CallFiles { id, recording, result }))
    }
}

impl App {
    fn ended(&self, row: &CallRow) -> EndedCall {
        EndedCall {
            id: row.call_id.clone(),
            bot: row.bot.clone(),
            bot_version: row.bot_version.clone(),
            caller: row.caller.clone(),
            outgoing: row.outgoing,
            started_at: row.started_at,
            duration_ms: (row.duration_s * 1000.0) as u64,
            disconnected_by: row.disconnected_by.code().to_owned(),
            end_reason: row.end_reason.clone(),
            disposition: Some(row.disposition.clone()).filter(|d| d != NO_ANALYSIS),
            turns: row.turns,
            token: self.links.token(&row.call_id),
            recorded: row.recorded,
        }
    }
}

fn live(entry: LiveEntry) -> LiveCall {
    LiveCall {
        id: entry.id,
        bot: entry.bot,
        caller: entry.caller,
        outgoing: entry.outgoing,
        dialect: entry.dialect,
        started_at: entry.started_at,
        state: entry.state,
        turns: entry.turns,
        last_turn_ms: entry.last_turn_ms,
    }
}

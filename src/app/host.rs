//! The worker as the WebSocket edge sees it, and the life of one call from its opening to its result. A panic of a driver ends
//! its call with a result like any other cause. Never refuses after the upgrade.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::App;
use super::directory::Listing;
use super::driver::{Control, Driver, LegChannels, LegMedia, Papers, RecordingSlot};
use super::finish::{self, Record};
use super::scribe::Scribe;
use super::sip::RtpShelf;
use crate::bot::Bot;
use crate::call::{Call, LegMeta, LegOrder, VoicemailSettings};
use crate::fleet::{Refused, SlotGuard};
use crate::journal::Note;
use crate::provider::ProviderError;
use crate::record::Recording;
use crate::results::{CallResult, CallRow, RecordingReport, Remains as JournalRemains, Warning, call_folder, rebuild};
use crate::rt;
use crate::telemetry::{RtpFigures, Stage};
use crate::template::{CallFacts, CrmSources, Fields, Template, Values, call_values};
use crate::transport::sip::{LiveLadder, SipEnd, SipReport};
use crate::transport::ws::{Host, LegEnd, LegLink, LegReport, Opened, Refusal, UpgradeRequest};
use crate::units::{BotId, CallId, Stamp};

/// Words from operators that may wait for a driver. Full: the call is ending already.
const CONTROLS: usize = 8;

/// A slot with the bot version that the call will have.
#[derive(Debug)]
pub struct Held {
    _slot: SlotGuard,
    bot: Arc<Bot>,
}

/// The far end of a call, by the protocol that it came by.
#[derive(Debug)]
pub(super) enum FarEnd {
    /// A dialler's socket.
    Ws { end: LegEnd, dialect: &'static str },
    /// A SIP dialog, and where its RTP waits.
    Sip { end: SipEnd, media: (RtpShelf, u64), trunk: String },
}

/// What a far end says of itself when it is over.
#[derive(Debug)]
pub(super) enum FarReport {
    Ws(LegReport),
    Sip(SipReport),
}

/// What is still to come of it.
enum FarRest {
    Ws(oneshot::Receiver<LegReport>),
    Sip(oneshot::Receiver<SipReport>),
}

impl FarEnd {
    /// What logs and the page of live calls call it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Ws { dialect, .. } => dialect,
            Self::Sip { .. } => "sip",
        }
    }

    fn split(self) -> (LegChannels, FarRest) {
        match self {
            Self::Ws { end: LegEnd { facts, orders, port, report }, .. } => {
                let (media, ladder) = (LegMedia::Task(Some(port)), LiveLadder::default());
                (LegChannels { facts, orders, media, ladder }, FarRest::Ws(report))
            }
            Self::Sip { end: SipEnd { facts, orders, report, ladder }, media: (shelf, id), .. } => {
                (LegChannels { facts, orders, media: LegMedia::Rtp(shelf, id), ladder }, FarRest::Sip(report))
            }
        }
    }
}

impl FarRest {
    /// Waits for the leg's last word, within a bound.
    async fn report(self) -> Option<FarReport> {
        let limit = std::time::Duration::from_secs(3);
        match self {
            Self::Ws(report) => rt::timeout(limit, report).await.and_then(Result::ok).map(FarReport::Ws),
            Self::Sip(report) => rt::timeout(limit, report).await.and_then(Result::ok).map(FarReport::Sip),
        }
    }
}

impl App {
    /// Takes a slot for a call with this bot.
    pub(super) fn hold(&self, bot: &BotId) -> Result<Held, Refusal> {
        let bot = self.bots.get(bot.as_str()).ok_or(Refusal::UnknownBot)?;
        match self.capacity.try_hold() {
            Ok(slot) => Ok(Held { _slot: slot, bot }),
            Err(Refused::Full { .. }) => Err(Refusal::Full { retry_after_s: 5 }),
            Err(Refused::Draining) => Err(Refusal::Draining),
            Err(Refused::NotReady) => Err(Refusal::Starting),
        }
    }

    /// Takes a call on: it is listed when this returns, and it ends in one result.
    pub(super) fn accept(&self, slot: Held, meta: LegMeta, far: FarEnd) -> CallId {
        let id = CallId::new(&uuid::Uuid::now_v7().to_string());
        let call = Accepted { id: id.clone(), bot: Arc::clone(&slot.bot), meta, started: rt::stamp() };
        let (control, controls) = mpsc::channel(CONTROLS);
        let dialect = far.name();
        let who = (call.meta.caller_id.clone(), call.meta.outgoing, dialect);
        let listing = self.directory.enter(&id, &call.bot.id, who, call.started, control);
        let trunk = if let FarEnd::Sip { trunk, .. } = &far { trunk.as_str() } else { "" };
        tracing::info!(call = %id, bot = %call.bot.id, dialect, trunk, "call accepted");
        let app = self.me();
        drop(rt::spawn("call", async move { conduct(app, slot, call, far, controls, listing).await }));
        id
    }
}

impl Host for App {
    type Slot = Held;

    fn admit(&self, request: &UpgradeRequest<'_>) -> Result<Held, Refusal> {
        self.hold(request.bot)
    }

    fn open(&self, slot: Held, opened: Opened) -> LegLink {
        let (link, end) = LegLink::pair();
        let Opened { meta, dialect, .. } = opened;
        self.accept(slot, meta, FarEnd::Ws { end, dialect });
        link
    }
}

/// One accepted call.
struct Accepted {
    id: CallId,
    bot: Arc<Bot>,
    meta: LegMeta,
    started: Stamp,
}

/// Runs one call and writes its one result.
async fn conduct(
    app: Arc<App>,
    slot: Held,
    call: Accepted,
    far: FarEnd,
    controls: mpsc::Receiver<Control>,
    listing: Listing,
) {
    let _live = app.metrics.live_calls.enter();
    let Ok(folder) = call_folder(&app.data_dir, &call.id) else {
        tracing::error!(call = %call.id, "a call id of our own making is no folder name");
        return;
    };
    app.metrics.call_started(call.meta.outgoing);
    let listing = Arc::new(listing);
    let result = run(&app, &call, &folder, far, controls, Arc::clone(&listing)).await;
    app.metrics.call_ended(end_label(&result.end_reason), (result.call_duration_seconds * 1e6) as u64);
    note_result(&app, &result);
    let row = CallRow::from(&result);
    let reason = result.end_reason.clone();
    match finish::write(&folder, result).await {
        Ok(()) => {
            tracing::info!(call = %call.id, reason, "call ended");
            app.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(row);
            // Only now: a call is live or in the log of ended ones at any time, never neither.
            drop(listing);
        }
        Err(error) => {
            tracing::error!(call = %call.id, %error, "the result was not written; the next start makes it from the journal")
        }
    }
    drop(slot);
}

async fn run(
    app: &Arc<App>,
    call: &Accepted,
    folder: &Path,
    far: FarEnd,
    controls: mpsc::Receiver<Control>,
    listing: Arc<Listing>,
) -> CallResult {
    let leg_up = app.metrics.live_legs.enter();
    let (leg, rest) = far.split();
    let now = rt::now();
    let mut scribe = Scribe::begin(&app.machinery, folder, &call.id, &call.bot, (call.started, now), &call.meta);
    scribe.settle().await;
    // Only now: whoever knows the call's id may count on its result. A leg that is gone already takes no order.
    let _ = leg.orders.try_send(LegOrder::Ready { call_id: call.id.as_str().to_owned() });
    let values = values(app, call);
    let voicemail = voicemail(call, &values);
    for name in unset(&call.bot, &values) {
        scribe.warn("template_unset", &name);
    }
    // No place is given before the models are loaded.
    let starting = || ProviderError::Unavailable("the models are still being loaded".to_owned());
    let kit = match app.speech.get().ok_or_else(starting).and_then(|speech| speech.kit(&call.bot, values)) {
        Ok(kit) => kit,
        Err(error) => {
            tracing::error!(call = %call.id, %error, "the bot's providers are not there");
            scribe.warn("provider_missing", &error.to_string());
            let end = Note::Ended {
                end_reason: "provider_failed".to_owned(),
                disconnected_by: "error".to_owned(),
                analysis: None,
            };
            let (warnings, _) = scribe.close(rt::now(), end).await;
            return rebuilt(app, call, folder, (warnings, None), "provider_failed").await;
        }
    };
    let record_to = call.bot.recording.then(|| folder.join("recording.wav"));
    let talk = Call::new(rt::now(), &call.meta, call.bot.turn.clone());
    let talk = if let Some(settings) = voicemail { talk.with_voicemail(settings) } else { talk };
    let machinery = app.machinery.clone();
    let recording = RecordingSlot::default();
    let papers = Papers { record_to, recording: Arc::clone(&recording), scribe };
    let driver = Driver::new(talk, leg, kit, machinery, controls, papers);
    let running = rt::spawn("driver", driver.run(move |state| listing.note(state)));
    let ran = running.await;
    let recorded = finish::close_recording(&app.machinery.recorder, &recording).await;
    match ran {
        Ok(Ok(remains)) => {
            let leg = rest.report().await;
            drop(leg_up);
            let record =
                Record { id: &call.id, bot: &call.bot, meta: &call.meta, started: call.started, links: &app.links };
            finish::close(remains, record, recorded, leg, rt::now()).await
        }
        Ok(Err(_)) | Err(_) => {
            // The driver panicked: its journal knows what it knew.
            let detail = "the call's driver failed; this result is made from its journal";
            rebuilt(app, call, folder, (vec![Warning::new("internal", detail)], recorded), "internal").await
        }
    }
}

/// The result of a call whose driver never ran or failed, from its journal.
async fn rebuilt(
    app: &App,
    call: &Accepted,
    folder: &Path,
    left: (Vec<Warning>, Option<Recording>),
    reason: &str,
) -> CallResult {
    let (warnings, recording) = left;
    let path = folder.join("journal");
    let read = tokio::task::spawn_blocking(move || {
        let bytes = std::fs::read(path).unwrap_or_default();
        (crate::journal::read(&bytes), bytes.len() as u64)
    });
    let (journal, journal_bytes) = read.await.unwrap_or_default();
    let mut summary = rebuild(JournalRemains {
        call_id: call.id.clone(),
        journal: &journal,
        journal_bytes,
        recording_url: recording.as_ref().filter(|r| r.bytes > 0).map(|_| app.links.recording_url(&call.id)),
        recording: recording.as_ref().map(RecordingReport::from),
        last_seen: rt::stamp(),
    });
    reason.clone_into(&mut summary.end_reason);
    summary.warnings.extend(warnings);
    CallResult::from(summary)
}

/// What templates may name in this call.
fn values(app: &App, call: &Accepted) -> Values {
    let custom: Fields =
        call.meta.custom.iter().map(|(k, v)| (k.clone(), serde_json::Value::from(v.clone()))).collect();
    let (to, from) = if call.meta.outgoing {
        (call.meta.caller_id.reveal().as_str(), call.meta.did.as_str())
    } else {
        (call.meta.did.as_str(), call.meta.caller_id.reveal().as_str())
    };
    let recording_url = call.bot.recording.then(|| app.links.recording_url(&call.id));
    let facts = CallFacts {
        id: call.id.as_str(),
        caller_id: call.meta.caller_id.reveal(),
        to,
        from,
        direction: if call.meta.outgoing { "outbound" } else { "inbound" },
        started_at: call.started,
        recording_url: recording_url.as_deref(),
    };
    call_values(&facts, CrmSources { custom_fields: custom, ..CrmSources::default() })
}

/// What is to happen where a voicemail answers; `None` where nobody is to look for one.
fn voicemail(call: &Accepted, values: &Values) -> Option<VoicemailSettings> {
    let wanted = &call.bot.voicemail;
    (wanted.detect && call.meta.outgoing).then(|| {
        let message = wanted.message.as_deref().map(|message| Template::parse(message).render(values).text);
        VoicemailSettings { message: message.filter(|text| !text.trim().is_empty()), beep_wait_ms: wanted.beep_wait_ms }
    })
}

/// Fields that the bot's prompt, opening and spoken lines name and this call lacks. A line may never be said; what would be missing
/// in it is worth a warning all the same. What a dialogue finds out itself (`result.*`) is not there yet.
fn unset(bot: &Bot, values: &Values) -> Vec<String> {
    let mut names: Vec<String> = [&bot.system_prompt, &bot.opening_message]
        .into_iter()
        .chain(&bot.disclosure)
        .chain(&bot.filled_lines)
        .flat_map(|t| t.render(values).unset)
        .filter(|name| !name.starts_with("result."))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Metrics want a closed set of labels.
fn end_label(reason: &str) -> &'static str {
    crate::call::EndReason::of(reason).map_or("internal", crate::call::EndReason::code)
}

/// Adds one result to the metrics.
fn note_result(app: &App, result: &CallResult) {
    for turn in &result.turns {
        app.metrics.turn_latency.observe_us((turn.total_ms * 1000.0) as u64);
        for stage in &turn.stages {
            let of = match stage.stage.as_str() {
                "silence" | "patience" => Stage::Patience,
                "recognise" => Stage::Stt,
                "think" => Stage::Llm,
                "synthesise" => Stage::Tts,
                "playout" => Stage::Playout,
                _ => Stage::Own,
            };
            app.metrics.stage(of).observe_us((stage.ms * 1000.0) as u64);
        }
    }
    app.metrics.barge_ins("cut", result.media.barge_ins.into());
    if let Some(rtp) = &result.media.rtp {
        app.metrics.rtp_ended(&RtpFigures {
            received: rtp.received,
            lost: rtp.lost,
            late: rtp.late,
            sent: rtp.sent,
            jitter_us: rtp.jitter_us,
            round_trip_ms: rtp.round_trip_ms,
            mos: rtp.mos,
        });
    }
}

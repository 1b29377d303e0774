//! A worker's WebSocket edge on a real port of this machine, with a host that a test scripts in the place of the driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use voicefleet::call::line::{ENDS_PER_FRAME, Ended};
use voicefleet::call::{LegFact, LegOrder, Mark};
use voicefleet::rt;
use voicefleet::shard::{LegPort, OutFrame, OutItem};
use voicefleet::transport::ws::{
    Host, HttpLimits, LegEnd, LegLink, LegReport, Opened, Refusal, UpgradeRequest, WsConfig, WsMetrics, routes, serve,
};
use voicefleet::units::{MAX_FRAME_SAMPLES, SampleRate};

use crate::fake_dialler::{FakeDialler, PATIENCE};

pub const CONNECTED: &str = r#"{"event":"connected","callerId":"+919800000001","did":"+918000000002","callDirection":"incoming","streamId":"st-1"}"#;
pub const START: &str =
    r#"{"event":"start","streamId":"st-1","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#;
pub const ANSWER: &str = r#"{"event":"answer"}"#;

pub struct ScriptedHost {
    slots: Arc<Semaphore>,
    draining: AtomicBool,
    opened: mpsc::Sender<(OwnedSemaphorePermit, Opened, LegEnd)>,
}

impl Host for ScriptedHost {
    type Slot = OwnedSemaphorePermit;

    fn admit(&self, request: &UpgradeRequest<'_>) -> Result<Self::Slot, Refusal> {
        match request.bot.as_str() {
            "demo" | "panics" => {}
            "asleep" => return Err(Refusal::OutsideHours { retry_after_s: 60 }),
            _ => return Err(Refusal::UnknownBot),
        }
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Draining);
        }
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Refusal::Full { retry_after_s: 1 })
    }

    fn open(&self, slot: Self::Slot, opened: Opened) -> LegLink {
        assert_ne!(opened.bot.as_str(), "panics", "a host that panics, as the test asked");
        let (link, end) = LegLink::pair();
        self.opened.try_send((slot, opened, end)).expect("room for a call");
        link
    }
}

pub struct World {
    pub host: Arc<ScriptedHost>,
    pub metrics: Arc<WsMetrics>,
    pub address: std::net::SocketAddr,
    pub stop: watch::Sender<bool>,
    pub served: tokio::task::JoinHandle<Result<(), rt::Stopped>>,
    calls: mpsc::Receiver<(OwnedSemaphorePermit, Opened, LegEnd)>,
}

impl World {
    pub async fn new(config: WsConfig) -> Self {
        Self::with(config, 4, None, HttpLimits::default()).await
    }

    pub async fn with(config: WsConfig, slots: usize, tls: Option<TlsAcceptor>, limits: HttpLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, calls) = mpsc::channel(16);
        let slots = Arc::new(Semaphore::new(slots));
        let host = Arc::new(ScriptedHost { slots, draining: AtomicBool::new(false), opened });
        let metrics = Arc::new(WsMetrics::default());
        let router = routes(Arc::clone(&host), config, Arc::clone(&metrics));
        let (stop, stopped) = watch::channel(false);
        let served = rt::spawn("listener", serve(listener, tls, router, limits, stopped));
        Self { host, metrics, address, stop, served, calls }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub async fn dial(&self) -> FakeDialler {
        FakeDialler::connect(&self.url("/ws/demo")).await
    }

    /// The driver's side of the next call.
    pub async fn call(&mut self) -> Call {
        let (slot, opened, end) = rt::timeout(PATIENCE, self.calls.recv()).await.expect("a call in time").unwrap();
        Call { opened, end, slot, line: None }
    }

    /// A call that is answered, with its media line.
    pub async fn answered(&mut self) -> (FakeDialler, Call) {
        let mut dialler = self.dial().await;
        for text in [CONNECTED, START, ANSWER] {
            dialler.say(text).await;
        }
        let mut call = self.call().await;
        assert_eq!(call.fact().await, LegFact::Started { rate: SampleRate::NARROW });
        assert_eq!(call.fact().await, LegFact::Answered);
        call.give_line(SampleRate::NARROW);
        (dialler, call)
    }

    pub fn no_call(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    pub fn free_slots(&self) -> usize {
        self.host.slots.available_permits()
    }

    pub fn drain(&self) {
        self.host.draining.store(true, Ordering::Relaxed);
    }

    /// Waits until `free` slots are free and every socket is gone.
    pub async fn quiet(&self, free: u32) {
        let done = async {
            let all = self.host.slots.acquire_many(free).await;
            drop(all.expect("slots"));
            while self.metrics.live.load(Ordering::Relaxed) != 0 {
                tokio::task::yield_now().await;
            }
        };
        rt::timeout(PATIENCE, done).await.expect("sockets and slots that are given back");
    }
}

/// The shard's end of a media line.
pub struct Line {
    pub caller: rtrb::Consumer<i16>,
    pub out: rtrb::Producer<OutItem>,
    pub wake: Arc<Notify>,
}

/// A call as its driver sees it.
pub struct Call {
    pub opened: Opened,
    pub end: LegEnd,
    #[expect(dead_code, reason = "held until the call is dropped, as a driver does")]
    slot: OwnedSemaphorePermit,
    pub line: Option<Line>,
}

impl Call {
    pub async fn fact(&mut self) -> LegFact {
        rt::timeout(PATIENCE, self.end.facts.recv())
            .await
            .expect("a fact in time")
            .expect("a session that tells its end")
    }

    /// No fact comes after the last one.
    pub async fn over(mut self) -> LegReport {
        assert_eq!(rt::timeout(PATIENCE, self.end.facts.recv()).await.expect("a closed channel in time"), None);
        rt::timeout(PATIENCE, self.end.report).await.expect("a report in time").expect("a report")
    }

    pub async fn order(&self, order: LegOrder) {
        self.end.orders.send(order).await.expect("a session that listens");
    }

    pub fn give_line(&mut self, rate: SampleRate) {
        let (caller_in, caller) = rtrb::RingBuffer::new(rate.hz() as usize * 4);
        let (out, out_items) = rtrb::RingBuffer::new(64);
        let wake = Arc::new(Notify::new());
        let (port, _) = tokio::sync::oneshot::channel();
        let port = std::mem::replace(&mut self.end.port, port);
        let _ = port.send(LegPort::new(caller_in, out_items, Arc::clone(&wake)));
        self.line = Some(Line { caller, out, wake });
    }

    fn line(&mut self) -> &mut Line {
        self.line.as_mut().expect("a media line")
    }

    /// Puts `ms` of a constant level out, meant for now; gives how many frames found room.
    pub fn speak(&mut self, ms: usize, level: i16) -> usize {
        let mut frame =
            OutFrame { due: rt::now(), len: 160, samples: [0; MAX_FRAME_SAMPLES], ended: [None; ENDS_PER_FRAME] };
        frame.samples[..160].fill(level);
        let line = self.line();
        let put = (0..ms / 20).take_while(|_| line.out.push(OutItem::Frame(frame)).is_ok()).count();
        line.wake.notify_one();
        put
    }

    pub fn clear(&mut self) {
        let line = self.line();
        line.out.push(OutItem::Clear).unwrap();
        line.wake.notify_one();
    }

    /// Puts items in without waking the session between them.
    pub fn put(&mut self, items: Vec<OutItem>) {
        let line = self.line();
        for item in items {
            line.out.push(item).unwrap();
        }
        line.wake.notify_one();
    }

    /// Everything that the caller said until now.
    pub fn heard(&mut self) -> Vec<i16> {
        let line = self.line();
        let mut samples = Vec::new();
        while let Ok(sample) = line.caller.pop() {
            samples.push(sample);
        }
        samples
    }
}

/// The same frame with the ends of these pieces of speech in it.
pub fn ending(item: OutItem, marks: &[Mark]) -> OutItem {
    let OutItem::Frame(mut frame) = item else { panic!("a frame") };
    let mut ended: Ended = [None; ENDS_PER_FRAME];
    ended.iter_mut().zip(marks).for_each(|(slot, mark)| *slot = Some(*mark));
    frame.ended = ended;
    OutItem::Frame(frame)
}

/// A frame of a constant level.
pub fn frame(level: i16, due: voicefleet::units::Moment) -> OutItem {
    let mut frame = OutFrame { due, len: 160, samples: [0; MAX_FRAME_SAMPLES], ended: [None; ENDS_PER_FRAME] };
    frame.samples[..160].fill(level);
    OutItem::Frame(frame)
}

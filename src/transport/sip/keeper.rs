//! The standing tasks of trunks: one that watches the addresses, one that keeps us registered. They follow the book, and end with the
//! endpoint. Never touches a call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::Core;
use super::register::Registration;
use crate::rt::{self, Stopped};
use crate::trunk::{Book, Trunk};

type Task = JoinHandle<Result<(), Stopped>>;

/// The tasks of all trunks.
#[derive(Debug)]
pub(super) struct Keepers {
    core: Arc<Core>,
    rows: Mutex<HashMap<String, Row>>,
    /// Trunks that are gone while their tasks may still be at work: should one come back, its new tasks wait for the old.
    leaving: Mutex<HashMap<String, Row>>,
}

#[derive(Debug, Default)]
struct Row {
    watching: Option<Watching>,
    registering: Option<Registering>,
    /// What was before and may not be over.
    watched: Option<Watching>,
    registered: Option<Task>,
}

#[derive(Debug)]
struct Watching {
    trunk: Arc<Trunk>,
    task: Task,
}

#[derive(Debug)]
struct Registering {
    trunk: Arc<Trunk>,
    /// Dropped or set: the registration is taken back, and the task ends.
    over: watch::Sender<bool>,
    up: Arc<AtomicBool>,
    task: Task,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The trunk is watched as long as this lives.
struct Watch(Arc<Core>, Arc<Trunk>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.pulses.forget(&self.1.id);
    }
}

impl Keepers {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, rows: Mutex::default(), leaving: Mutex::default() }
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts, ends and replaces tasks as the book has it; what a change does not concern goes on.
    pub fn follow(&self, book: &Book) {
        let mut rows = self.rows();
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|_, row| !row.is_over());
        for (id, mut row) in rows.extract_if(|id, _| book.get(id).is_none()) {
            row.leave();
            leaving.insert(id, row);
        }
        for trunk in book.all() {
            let row = rows.entry(trunk.id.clone()).or_insert_with(|| leaving.remove(&trunk.id).unwrap_or_default());
            row.watch(&self.core, trunk);
            row.register(&self.core, trunk);
        }
    }

    /// Trunks that want to be registered, and whether they are.
    pub fn registrations(&self) -> Vec<(String, bool)> {
        let rows = self.rows();
        let one =
            |(id, row): (&String, &Row)| row.registering.as_ref().map(|of| (id.clone(), of.up.load(Ordering::Acquire)));
        rows.iter().filter_map(one).collect()
    }

    /// Ends all tasks; registrations are taken back, within the time that a hang-up may take.
    pub async fn close(&self) {
        let rows: Vec<Row> = self.rows().drain().map(|(_, row)| row).collect();
        let gone: Vec<Row> =
            self.leaving.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, row)| row).collect();
        let tasks = |mut row: Row| {
            let registering = row.registering.take().map(|registering| {
                registering.over.send_replace(true);
                registering.task
            });
            [registering, row.registered.take()]
        };
        let leaving: Vec<Task> = rows.into_iter().chain(gone).flat_map(tasks).flatten().collect();
        let limit = Duration::from_millis(self.core.config.hang_up_ms) + Duration::from_millis(500);
        let _ = rt::timeout(limit, futures_util::future::join_all(leaving)).await;
    }

    /// Ends all tasks at once; registrations lapse.
    pub fn abort(&self) {
        for (_, row) in self.rows().drain() {
            if let Some(registering) = &row.registering {
                registering.task.abort();
            }
        }
    }
}

impl Row {
    /// Its trunk is gone: the watch ends, the registration takes itself back.
    fn leave(&mut self) {
        if let Some(watching) = self.watching.take() {
            watching.task.abort();
            self.watched = Some(watching);
        }
        // Dropping the sender is the word.
        if let Some(registering) = self.registering.take() {
            self.registered = Some(registering.task);
        }
    }

    fn is_over(&self) -> bool {
        self.watched.as_ref().is_none_or(|watching| watching.task.is_finished())
            && self.registered.as_ref().is_none_or(Task::is_finished)
    }

    fn watch(&mut self, core: &Arc<Core>, trunk: &Arc<Trunk>) {
        let same = |of: &Watching| of.trunk.outbound == trunk.outbound && of.trunk.health == trunk.health;
        if self.watching.as_ref().is_some_and(same) {
            return;
        }
        let before = self.watching.take().or_else(|| self.watched.take());
        if trunk.health.options_s == 0 || trunk.outbound.targets.is_empty() {
            return;
        }
        let (core, of) = (Arc::clone(core), Arc::clone(trunk));
        let task = rt::spawn("sip trunk health", async move {
            if let Some(mut before) = before {
                before.task.abort();
                // What it knew is forgotten before anything new is.
                let _ = (&mut before.task).await;
            }
            let watch = Watch(Arc::clone(&core), Arc::clone(&of));
            core.watch(of).await;
            drop(watch);
        });
        self.watching = Some(Watching { trunk: Arc::clone(trunk), task });
    }

    fn register(&mut self, core: &Arc<Core>, trunk: &Arc<Trunk>) {
        if self.registering.as_ref().is_some_and(|of| same_registration(&of.trunk, trunk)) {
            return;
        }
        // Dropping the sender makes the old one take itself back.
        let before = self.registering.take().map(|old| old.task).or_else(|| self.registered.take());
        if !trunk.account.register {
            self.registered = before;
            return;
        }
        let up = Arc::new(AtomicBool::new(false));
        let (over, told) = watch::channel(false);
        let registration = Registration::new(Arc::clone(core), Arc::clone(trunk), Arc::clone(&up));
        let task = rt::spawn("sip registration", async move {
            if let Some(before) = before {
                // It ends in bounded time; were both at work, the old one would take back what the new one has made.
                let _ = before.await;
            }
            registration.run(told).await;
        });
        self.registering = Some(Registering { trunk: Arc::clone(trunk), over, up, task });
    }
}

/// Would both register the same way?
fn same_registration(a: &Trunk, b: &Trunk) -> bool {
    let outbound = |trunk: &Trunk| {
        let out = &trunk.outbound;
        let identity = (trunk.identity.contact_user.clone(), trunk.identity.contact.clone());
        (out.targets.clone(), out.transport, out.domain.clone(), identity)
    };
    a.account == b.account && a.password == b.password && outbound(a) == outbound(b)
}

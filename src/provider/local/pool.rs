//! The small blocking pool that all local models share: a few threads, each with its own models, fed by bounded lanes.
//! A job that panics ends alone: its thread makes new models and goes on. Never waits for a call: a job that cannot
//! deliver gives up (see `deliver`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, select_biased};

use super::load::Load;
pub use super::load::PoolStats;
use crate::provider::ProviderError;
use crate::units::Moment;

const WHAT: &str = "the local speech pool";
/// Longest time that a thread may take to load its models: a second's work, also from a slow disk.
const LOADED_MS: u64 = 120_000;
const LOADED_WITHIN: Duration = Duration::from_millis(LOADED_MS);
/// Longest time that the end of the pool waits for running jobs: the longest one takes a second or two.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// How soon a job is wanted. A thread takes the first lane that has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    /// Somebody waits in silence: finals, end-of-turn judgements, the first words of an answer.
    Now,
    /// Wanted while something else is playing: the rest of an answer, lines rendered ahead.
    Soon,
    /// Worth having if there is time: partial transcripts. Dropped without a word when the lane is full.
    Spare,
}

/// Work for the pool. `B` is what a thread owns: its models.
pub(super) trait Job<B>: Send {
    /// Does the work; the job reports what it found itself.
    fn run(self: Box<Self>, bench: &mut B);
    /// A description of the failure for whoever waits, made before the job runs, since a panic consumes the job.
    fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send>;
}

struct Queued<B> {
    job: Box<dyn Job<B>>,
    since: Moment,
}

/// The way into the pool. Cheap to clone, outlives the pool: jobs offered after its end are refused.
pub(super) struct Lanes<B> {
    now: Sender<Queued<B>>,
    soon: Sender<Queued<B>>,
    spare: Sender<Queued<B>>,
    bound: usize,
    load: Arc<Load>,
}

impl<B> Lanes<B> {
    /// Queues `job`.
    ///
    /// # Errors
    /// [`ProviderError::Busy`] where the lane is full, [`ProviderError::Unavailable`] where the pool has ended. The job
    /// was not started and does not report anything.
    pub(super) fn offer(&self, lane: Lane, job: impl Job<B> + 'static) -> Result<(), ProviderError> {
        let sender = match lane {
            Lane::Now => &self.now,
            Lane::Soon => &self.soon,
            Lane::Spare => &self.spare,
        };
        match sender.try_send(Queued { job: Box::new(job), since: crate::rt::now() }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.load.refused(lane == Lane::Spare);
                Err(ProviderError::Busy { what: WHAT, limit: self.bound })
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(ProviderError::Unavailable("local speech has been shut down".to_owned()))
            }
        }
    }

    /// Figures since the start.
    pub(super) fn stats(&self) -> PoolStats {
        self.load.stats()
    }
}

/// The threads. Dropping it ends them: running jobs finish, queued ones are forgotten. A job that takes longer than
/// [`ENDED_WITHIN`] is left to itself with a warning: its thread ends after it, or with the process.
pub(super) struct Pool {
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// Never sent on: closed once every thread has ended.
    ended: Receiver<()>,
    patience: Duration,
}

/// Starts `threads` threads with lanes of `bound` jobs. `make` makes a thread's bench; all threads make theirs before this
/// returns.
///
/// # Errors
/// The first error of `make`, or [`ProviderError::Failed`] where a thread cannot be started.
pub(super) fn start<B: 'static>(
    threads: usize,
    bound: usize,
    make: Arc<dyn Fn() -> Result<B, ProviderError> + Send + Sync>,
) -> Result<(Pool, Arc<Lanes<B>>), ProviderError> {
    let (now, now_jobs) = bounded(bound);
    let (soon, soon_jobs) = bounded(bound);
    let (spare, spare_jobs) = bounded(bound);
    let (stop, stopped) = bounded(0);
    let (ready, readiness) = bounded(threads);
    let load = Arc::new(Load::default());
    let (alive, ended) = bounded(0);
    let mut pool = Pool { stop: Some(stop), threads: Vec::with_capacity(threads), ended, patience: ENDED_WITHIN };
    for index in 0..threads {
        let worker = Worker {
            now: now_jobs.clone(),
            soon: soon_jobs.clone(),
            spare: spare_jobs.clone(),
            stopped: stopped.clone(),
            load: load.clone(),
            make: make.clone(),
            _alive: alive.clone(),
        };
        let ready = ready.clone();
        let thread = std::thread::Builder::new()
            .name(format!("speech-{index}"))
            .spawn(move || worker.run(&ready))
            .map_err(|error| ProviderError::Failed { what: "starting a speech thread", detail: error.to_string() })?;
        pool.threads.push(thread);
    }
    drop((ready, alive));
    for _ in 0..threads {
        let lost = || ProviderError::Failed { what: "starting a speech thread", detail: "it ended at once".to_owned() };
        readiness.recv_timeout(LOADED_WITHIN).map_err(|why| match why {
            RecvTimeoutError::Timeout => {
                ProviderError::TimedOut { what: "loading the speech models", after_ms: LOADED_MS }
            }
            RecvTimeoutError::Disconnected => lost(),
        })??;
    }
    Ok((pool, Arc::new(Lanes { now, soon, spare, bound, load })))
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop = None;
        let me = std::thread::current().id();
        let own = self.threads.iter().any(|thread| thread.thread().id() == me);
        // Dropped by one of its own jobs, it can wait for nobody.
        if !own && self.ended.recv_timeout(self.patience) == Err(RecvTimeoutError::Timeout) {
            let busy = self.threads.iter().filter(|thread| !thread.is_finished()).count();
            tracing::warn!(busy, waited_ms = self.patience.as_millis(), "speech threads are left to their last jobs");
        }
    }
}

struct Worker<B> {
    now: Receiver<Queued<B>>,
    soon: Receiver<Queued<B>>,
    spare: Receiver<Queued<B>>,
    stopped: Receiver<()>,
    load: Arc<Load>,
    make: Arc<dyn Fn() -> Result<B, ProviderError> + Send + Sync>,
    _alive: Sender<()>,
}

impl<B> Worker<B> {
    fn run(self, ready: &Sender<Result<(), ProviderError>>) {
        // Media comes first: a model may wait, a frame may not. Where the system refuses, the pool works all the same.
        if let Err(error) = rustix::process::nice(5) {
            tracing::debug!(%error, "a speech thread keeps its priority");
        }
        let mut bench = match catch_unwind(AssertUnwindSafe(|| (self.make)())) {
            Ok(Ok(bench)) => Some(bench),
            Ok(Err(error)) => {
                let _nobody_waits = ready.send(Err(error));
                return;
            }
            Err(panic) => {
                let _nobody_waits = ready.send(Err(panicked(&*panic)));
                return;
            }
        };
        let _nobody_waits = ready.send(Ok(()));
        while let Some(queued) = self.next() {
            self.perform(queued, &mut bench);
        }
    }

    fn next(&self) -> Option<Queued<B>> {
        select_biased! {
            recv(self.stopped) -> _ => None,
            recv(self.now) -> job => job.ok(),
            recv(self.soon) -> job => job.ok(),
            recv(self.spare) -> job => job.ok(),
        }
    }

    fn perform(&self, queued: Queued<B>, bench: &mut Option<B>) {
        let waited = crate::rt::now().since(queued.since);
        let mourner = queued.job.mourner();
        if bench.is_none() {
            match catch_unwind(AssertUnwindSafe(|| (self.make)())) {
                Ok(Ok(made)) => *bench = Some(made),
                Ok(Err(error)) => return mourner(error),
                Err(panic) => return mourner(panicked(&*panic)),
            }
        }
        let Some(models) = bench.as_mut() else { return };
        let job = queued.job;
        let outcome = catch_unwind(AssertUnwindSafe(|| job.run(models)));
        self.load.ran(waited);
        if let Err(panic) = outcome {
            // What the panic left behind in the models is unknown.
            *bench = None;
            self.load.panicked();
            let error = panicked(&*panic);
            tracing::error!(%error, "a speech job panicked; its thread makes new models");
            mourner(error);
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ProviderError {
    let detail = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned());
    ProviderError::Failed { what: "a local speech job", detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::unbounded;

    /// A bench that remembers how many jobs ran on it.
    struct Count(u32);

    struct Act<F>(F, Sender<String>);

    impl<F: FnOnce(&mut Count) + Send> Job<Count> for Act<F> {
        fn run(self: Box<Self>, bench: &mut Count) {
            (self.0)(bench);
        }
        fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send> {
            let tell = self.1.clone();
            Box::new(move |error| tell.send(error.to_string()).unwrap())
        }
    }

    fn pool(bound: usize) -> (Pool, Arc<Lanes<Count>>) {
        start(1, bound, Arc::new(|| Ok(Count(0)))).unwrap()
    }

    /// Keeps the only thread busy until the sender is dropped, so that what is queued behind it stays queued.
    fn hold(lanes: &Lanes<Count>, tell: &Sender<String>) -> Sender<()> {
        let (release, held) = bounded::<()>(0);
        let (began, begun) = bounded::<()>(0);
        let wait = move |_: &mut Count| {
            began.send(()).unwrap();
            let _released = held.recv();
        };
        lanes.offer(Lane::Now, Act(wait, tell.clone())).unwrap();
        begun.recv().unwrap();
        release
    }

    #[test]
    fn what_somebody_waits_for_comes_before_what_is_merely_worth_having() {
        let (_pool, lanes) = pool(4);
        let (tell, told) = unbounded();
        let release = hold(&lanes, &tell);
        for (lane, name) in [(Lane::Spare, "partial"), (Lane::Soon, "later segment"), (Lane::Now, "final")] {
            let say = tell.clone();
            lanes.offer(lane, Act(move |_: &mut Count| say.send(name.to_owned()).unwrap(), tell.clone())).unwrap();
        }
        drop(release);
        let order: Vec<String> = (0..3).map(|_| told.recv().unwrap()).collect();
        assert_eq!(order, ["final", "later segment", "partial"]);
    }

    #[test]
    fn a_full_lane_refuses_and_names_its_bound() {
        let (_pool, lanes) = pool(2);
        let (tell, _told) = unbounded();
        let release = hold(&lanes, &tell);
        for _ in 0..2 {
            lanes.offer(Lane::Spare, Act(|_: &mut Count| (), tell.clone())).unwrap();
        }
        let refused = lanes.offer(Lane::Spare, Act(|_: &mut Count| (), tell.clone()));
        assert_eq!(refused, Err(ProviderError::Busy { what: WHAT, limit: 2 }));
        assert_eq!(
            lanes.offer(Lane::Now, Act(|_: &mut Count| (), tell.clone())),
            Ok(()),
            "partials take nobody's place"
        );
        assert_eq!(lanes.stats().partials_dropped, 1);
        drop(release);
    }

    #[test]
    fn a_panic_is_reported_and_the_next_job_gets_fresh_models() {
        let (_pool, lanes) = pool(4);
        let (tell, told) = unbounded();
        lanes.offer(Lane::Now, Act(|count: &mut Count| count.0 += 7, tell.clone())).unwrap();
        lanes.offer(Lane::Now, Act(|_: &mut Count| panic!("the model broke"), tell.clone())).unwrap();
        assert!(told.recv().unwrap().contains("the model broke"));
        let say = tell.clone();
        lanes.offer(Lane::Now, Act(move |count: &mut Count| say.send(count.0.to_string()).unwrap(), tell)).unwrap();
        assert_eq!(told.recv().unwrap(), "0");
        assert_eq!(lanes.stats().panics, 1);
    }

    #[test]
    fn an_ended_pool_refuses() {
        let (pool, lanes) = pool(2);
        drop(pool);
        let (tell, _told) = unbounded();
        let refused = lanes.offer(Lane::Now, Act(|_: &mut Count| (), tell));
        assert!(matches!(refused, Err(ProviderError::Unavailable(_))), "{refused:?}");
    }

    #[test]
    fn the_end_waits_for_a_running_job_but_not_for_ever() {
        let (pool, lanes) = pool(2);
        let (tell, told) = unbounded();
        let (began, begun) = bounded::<()>(0);
        let (say, name) = (tell.clone(), "finished");
        let quick = move |_: &mut Count| {
            began.send(()).unwrap();
            say.send(name.to_owned()).unwrap();
        };
        lanes.offer(Lane::Now, Act(quick, tell.clone())).unwrap();
        begun.recv().unwrap();
        drop(pool);
        assert_eq!(told.try_recv(), Ok(name.to_owned()), "a job that runs is waited for");

        let (mut pool, lanes) = self::pool(2);
        pool.patience = Duration::from_millis(20);
        // A job that never ends while the pool is dropped: this returns all the same.
        let release = hold(&lanes, &tell);
        drop(pool);
        drop(release);
    }

    #[test]
    fn a_bench_that_cannot_be_made_stops_the_start() {
        let broken: Arc<dyn Fn() -> Result<Count, ProviderError> + Send + Sync> =
            Arc::new(|| Err(ProviderError::Unavailable("no model".to_owned())));
        assert_eq!(start(2, 4, broken).err(), Some(ProviderError::Unavailable("no model".to_owned())));
    }
}
